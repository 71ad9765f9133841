"""CreateModel says no at once to what cannot be found, in AWS's words."""

import io
import json
import secrets
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import Registry
from lab.engine.registry.manifests import DOCKER_MANIFEST, OCI_MANIFEST
from lab.progress import Silent
from tests.docker import known
from tests.docker.endpoint.site import ACCOUNT, BUCKET, ROLE, Emulator, Site, realtime
from tests.fidelity import DOCUMENTED, OURS, fidelity
from tests.ports import free_port

ECR = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
MINE = secrets.token_hex(4)
"""In the names of images: other test processes have theirs."""


@pytest.fixture(scope="module")
def registry(engine: DockerEngine, built: Callable[[str], str]) -> Iterator[Registry]:
    name = f"inference-lab-registry-{MINE}"
    with known.registry(engine, built("registry"), name=name) as found:
        yield found


@pytest.fixture(scope="module")
def env(registry: Registry) -> Mapping[str, str]:
    return {"LAB_REGISTRY": registry.host}


def refusal(site: Site, container: Mapping[str, Any], name: str = "gone") -> str:
    with pytest.raises(ClientError) as caught:
        site.sagemaker.create_model(
            ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container
        )
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert caught.value.operation_name == "CreateModel"
    assert site.sagemaker.list_models(NameContains=name)["Models"] == []
    return str(caught.value.response["Error"]["Message"])


@fidelity(
    "CreateModel",
    "What it refuses leaves nothing behind: the same name makes a model once all is there.",
    DOCUMENTED,
    "https://github.com/aws-ia/ecs-blueprints/issues/223",
)
@pytest.mark.parametrize(
    ("image", "data", "said"),
    [
        (None, {"ModelDataUrl": "s3://models/no-such.tar.gz"}, "data"),
        (None, {"ModelDataUrl": "s3://no-such-bucket/model.tar.gz"}, "data"),
        (None, {"ModelDataUrl": "https://s3.us-east-1.amazonaws.com/models/no-such"}, "data"),
        (None, {"prefix": "s3://models/no-such/"}, "data"),
        ("tiny:nonesuch", {}, "Requested image {image} not found."),
        (f"{ECR}/no-such:1", {}, "Requested image {image} not found."),
        (
            f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/no-such:1",
            {},
            (
                'Region of "{image}" does not match expected region of us-east-1. Cross region '
                "ECR image pulls are not allowed."
            ),
        ),
        (
            "ghcr.io/team/no-such:1",
            {},
            'Using non-ECR image "{image}" without Vpc repository access mode is not supported.',
        ),
    ],
)
def test_what_cannot_be_found_makes_no_model(
    site: Site, image: str | None, data: dict[str, str], said: str
) -> None:
    container: dict[str, Any] = {"Image": image or site.image, **data}
    if prefix := container.pop("prefix", None):
        source = {"S3Uri": prefix, "S3DataType": "S3Prefix", "CompressionType": "None"}
        container["ModelDataSource"] = {"S3DataSource": source}
    where = prefix or data.get("ModelDataUrl")
    wanted = f"Could not find model data at {where}." if said == "data" else said
    assert refusal(site, container).startswith(wanted.format(image=image))


def test_what_was_refused_is_made_once_it_is_there(site: Site, engine: DockerEngine) -> None:
    image, key = f"later-{MINE}:1", f"later-{MINE}/model.tar.gz"
    container = {"Image": image, "ModelDataUrl": f"s3://{BUCKET}/{key}"}
    assert refusal(site, container, "later").startswith(f"Requested image {image} not found.")
    engine.client.tag(site.image, *image.split(":"))
    try:
        assert refusal(site, container, "later").startswith("Could not find model data at")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz"):
            pass
        site.s3.put_object(Bucket=BUCKET, Key=key, Body=packed.getvalue())
        answer = site.sagemaker.create_model(
            ModelName="later", ExecutionRoleArn=ROLE, PrimaryContainer=container
        )
        note = answer["ResponseMetadata"]["HTTPHeaders"]["x-lab-note"]
        assert note == f"The image {image} has a local name; AWS takes names of Amazon ECR's only."
        assert site.emulator.log.read_text().count(note) == 1
        name = site.endpoint(site.config(realtime("later")))
        site.delete(name)
    finally:
        engine.client.remove_image(image, noprune=True)


def test_an_image_of_the_local_registry_makes_a_model_but_not_with_an_oci_manifest(
    site: Site, engine: DockerEngine, registry: Registry
) -> None:
    repository = f"pushed-{MINE}"
    engine.client.tag(site.image, repository, "1")
    try:
        registry.push(engine, f"{repository}:1", Silent())
    finally:
        engine.client.remove_image(f"{repository}:1", noprune=True)
    site.sagemaker.create_model(
        ModelName=repository,
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": f"{ECR}/{repository}:1"},
    )
    place = f"http://{registry.host}/v2/{repository}/manifests"
    manifest = httpx.get(f"{place}/1", headers={"Accept": DOCKER_MANIFEST}).json()
    httpx.put(
        f"{place}/2",
        headers={"Content-Type": OCI_MANIFEST},
        content=json.dumps({**manifest, "mediaType": OCI_MANIFEST}),
    ).raise_for_status()
    assert refusal(site, {"Image": f"{ECR}/{repository}:2"}) == (
        f"Unsupported manifest media type {OCI_MANIFEST} for image {ECR}/{repository}:2. Ensure "
        "that valid manifest media type is used for specified image."
    )


@fidelity(
    "CreateModel",
    "While S3 does not answer, a model without data is made all the same.",
    OURS,
    "nothing of it lies there",
)
def test_without_s3_only_models_without_data_are_made(
    site: Site, tmp_path_factory: pytest.TempPathFactory, engine: DockerEngine
) -> None:
    alone = Emulator(
        state=tmp_path_factory.mktemp("alone") / "state",
        engine=engine.address,
        s3=f"http://127.0.0.1:{free_port()}",
        network=site.emulator.network,
    )
    alone.start()
    try:
        apart = Site(alone, site.image)
        data = {"Image": site.image, "ModelDataUrl": "s3://models/model.tar.gz"}
        said = refusal(apart, data)
        assert said.startswith(
            "The lab could not reach S3 to look for the model data at s3://models/model.tar.gz."
        )
        assert alone.s3 in said
        apart.model()
    finally:
        assert alone.stop() == 0
