"""The real model on a real picture: the endpoint answers what the container answers."""

import json
import math
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from lab.artifacts import store
from lab.engine.docker.engine import DockerEngine
from lab.images.variants import image_ref
from lab.spec import LABEL_ROLE, Platform, Runtime
from tests.docker.endpoint.site import BUCKET, REGION, Site, answered, realtime, serverless
from tests.fidelity import DOCUMENTED, fidelity

_PHOTOGRAPHS = Path(__file__).parents[4] / "shared/data"


@pytest.fixture(scope="module")
def picture(mobilenet: str) -> bytes:
    for path in sorted(_PHOTOGRAPHS.glob("*.jp*g")) + sorted(_PHOTOGRAPHS.glob("*.png")):
        return path.read_bytes()
    return store.payload(mobilenet).path.read_bytes()


@pytest.fixture(scope="module")
def model(site: Site, built: object, mobilenet: str, platform: Platform) -> str:
    assert callable(built)
    built("onnx-slim")
    archive = store.find(mobilenet, Runtime.ONNX).path
    site.s3.upload_file(str(archive), BUCKET, "mobilenet/model.tar.gz")
    return site.model(
        image_ref("onnx-slim", platform), data=f"s3://{BUCKET}/mobilenet/model.tar.gz"
    )


@pytest.mark.parametrize("kind", ["real time", "serverless"])
def test_the_endpoint_grades_the_picture_as_its_container_does(
    site: Site, engine: DockerEngine, model: str, picture: bytes, kind: str
) -> None:
    variant = realtime(model) if kind == "real time" else serverless(model, memory=2048)
    name = site.endpoint(site.config(variant))
    through = answered(site.invoke(name, picture, ContentType="image/jpeg"))
    (container,) = engine.containers({LABEL_ROLE: "endpoint", "org.inference-lab.endpoint": name})
    address = engine.client.inspect_container(container.id)["NetworkSettings"]["Networks"]
    ip = next(iter(address.values()))["IPAddress"]
    direct = httpx.post(
        f"http://{ip}:8080/invocations", content=picture, headers={"Content-Type": "image/jpeg"}
    ).json()
    assert through["predictions"][0]["probabilities"] == direct["predictions"][0]["probabilities"]
    assert math.isclose(sum(through["predictions"][0]["probabilities"]), 1.0, abs_tol=1e-5)
    site.delete(name)


@fidelity(
    "Clients",
    "The AWS command line sends a picture as it is and is answered what the container answers.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-parameters-file.html",
)
def test_the_aws_command_line_meets_the_same_endpoint(
    site: Site, model: str, picture: bytes, tmp_path: Path
) -> None:
    program = shutil.which("aws")
    if program is None:
        pytest.skip("the AWS command line is not installed (Debian: awscli)")
    name = site.endpoint(site.config(serverless(model, memory=2048)))
    body = tmp_path / "picture"
    body.write_bytes(picture)
    common = ["--endpoint-url", site.emulator.url, "--region", REGION]
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_PAGER": "",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }

    def aws(*words: str) -> str:
        done = subprocess.run(
            [program, *words, *common], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    seen = json.loads(aws("sagemaker", "describe-endpoint", "--endpoint-name", name))
    assert seen["EndpointStatus"] == "InService"
    out = tmp_path / "answer.json"
    words = ["--endpoint-name", name, "--body", f"fileb://{body}", "--content-type", "image/jpeg"]
    aws("sagemaker-runtime", "invoke-endpoint", *words, str(out))
    assert len(json.loads(out.read_text())["predictions"][0]["probabilities"]) == 5
    site.delete(name)
