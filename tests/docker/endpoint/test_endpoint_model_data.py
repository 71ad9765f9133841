"""Model data as people pack and upload them: what the container sees, and what fails in whose
words.
"""

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.docker.endpoint.site import BUCKET, ROLE, Site, answered, realtime
from tests.fidelity import DOCUMENTED, fidelity


def put(site: Site, key: str, body: bytes) -> str:
    site.emulator.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
    return f"s3://{BUCKET}/{key}"


def model_of(site: Site, name: str, uri: str, kind: str, compression: str) -> str:
    source = {"S3Uri": uri, "S3DataType": kind, "CompressionType": compression}
    site.sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={"Image": site.image, "ModelDataSource": {"S3DataSource": source}},
        ExecutionRoleArn=ROLE,
    )
    return name


def seen(site: Site, model: str) -> Any:
    """The names at the top of the container's /opt/ml/model."""
    name = site.endpoint(site.config(realtime(model)))
    found = answered(site.invoke(name))["model"]
    site.delete(name)
    return found


def failure(site: Site, model: str) -> str:
    name = site.endpoint(site.config(realtime(model)), wait=False)
    described = site.settled(name)
    assert described["EndpointStatus"] == "Failed"
    site.delete(name)
    return str(described["FailureReason"])


@fidelity(
    "Model data",
    "An archive of a Hugging Face cache, with its links, fails the endpoint; the same one packed "
    "with `tar --dereference` is taken.",
    DOCUMENTED,
    "https://repost.aws/knowledge-center/sagemaker-endpoint-creation-fail",
)
def test_an_archive_with_links_fails_and_dereferenced_it_is_taken(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "ab12").write_bytes(b"weights")
    (tmp_path / "snapshots" / "1").mkdir(parents=True)
    (tmp_path / "snapshots" / "1" / "model.bin").symlink_to("../../blobs/ab12")
    pack = ["tar", "-czf", "model.tar.gz", "blobs", "snapshots"]

    subprocess.run(pack, cwd=tmp_path, check=True)
    links = put(site, "links.tar.gz", (tmp_path / "model.tar.gz").read_bytes())
    subprocess.run([*pack, "--dereference"], cwd=tmp_path, check=True)
    files = put(site, "files.tar.gz", (tmp_path / "model.tar.gz").read_bytes())

    reason = failure(site, site.model(data=links))
    assert reason.startswith(
        'Failed to extract model data archive for container "container_1" from URL '
        f'"{links}". Please ensure that the object located at the URL is a valid tar.gz archive.'
    )
    assert "'snapshots/1/model.bin' is a symbolic link to '../../blobs/ab12'" in reason
    assert "tar --dereference" in reason
    assert seen(site, site.model(data=files)) == ["blobs", "snapshots"]


def test_a_colon_in_a_name_is_taken(site: Site) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name in ("b:0.npy", "back\\slash", "ü"):
            tar.addfile(tarfile.TarInfo(name))
    data = put(site, "colon.tar.gz", raw.getvalue())
    assert seen(site, site.model(data=data)) == ["b:0.npy", "back\\slash", "ü"]


def test_one_uncompressed_object_is_a_file_of_its_name(site: Site) -> None:
    uri = put(site, "deep/model.onnx", b"weights")
    assert seen(site, model_of(site, "one-object", uri, "S3Object", "None")) == ["model.onnx"]


def test_what_lies_below_a_prefix_is_a_folder(site: Site) -> None:
    for key in ("config.json", "code/inference.py", "b:0.npy"):
        put(site, f"plain/{key}", b"x")
    model = model_of(site, "prefix", f"s3://{BUCKET}/plain/", "S3Prefix", "None")
    assert seen(site, model) == ["b:0.npy", "code", "config.json"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["console/", "console/weights"], "aws s3api delete-object"),
        (["clash/weights", "clash/weights/part1"], "would be a file and"),
        (["empty//weights"], "is blank"),
    ],
    ids=["a folder key", "keys that clash", "an empty segment"],
)
def test_keys_that_make_no_files_fail_the_endpoint(site: Site, keys: list[str], said: str) -> None:
    for key in keys:
        put(site, key, b"")
    prefix = keys[0].partition("/")[0]
    model = model_of(site, f"bad-{prefix}", f"s3://{BUCKET}/{prefix}/", "S3Prefix", "None")
    assert said in failure(site, model)
