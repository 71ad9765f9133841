"""`lab push aws` from end to end: the real engine and registry, and an AWS on this machine."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.artifacts import store
from lab.aws.answers import AnswerPayload
from lab.aws.push.ecr import REGISTRY
from lab.aws.push.proof import local_answer
from lab.aws.stack import cloudformation
from lab.cli import main
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.distribution import Distribution
from lab.engine.registry.local import Registry
from lab.engine.registry.manifests import DOCKER_MANIFEST
from lab.progress import Silent
from lab.spec import Runtime
from tests.cloud.faults import Answer, Call, error
from tests.cloud.world import World, moto, world
from tests.docker import known

NAME = f"inference-lab-registry-test-{secrets.token_hex(4)}"
ENDPOINT = "retina"
FULL = f"inference-lab-{ENDPOINT}"

PUSH = (
    "push aws --variant onnx-slim --model retinopathy-mobilenet --kind serverless --memory 2048 "
    f"--endpoint {ENDPOINT}"
)
"""With the contract check, which takes 15 s."""

INTERRUPTED = 130
"""What a shell says of Ctrl-C."""

QUICK = f"{PUSH} --no-contract --yes"


@pytest.fixture(scope="module")
def registry(engine: DockerEngine, built: Callable[[str], str]) -> Iterator[Registry]:
    """In ECR's place."""
    with known.registry(engine, built("registry"), name=NAME) as found:
        yield found


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
def aws(
    upstream: str,
    registry: Registry,
    engine: DockerEngine,
    built: Callable[[str], str],
    mobilenet: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    image = built("onnx-slim")
    home = tmp_path / "aws"
    home.mkdir()
    with world(home, upstream) as found:
        found.use(monkeypatch)
        monkeypatch.setenv(REGISTRY, registry.host)
        at_once = {"poll_s": 0.0, "wait_s": 600.0}
        monkeypatch.setattr(cloudformation.CloudFormationStack.__init__, "__kwdefaults__", at_once)
        found.faults.raw("sagemaker:InvokeEndpoint", _Served(found, engine, image, tmp_path))
        yield found


class _Served:
    """What SageMaker would do with an invocation: the model that was uploaded, in the image."""

    def __init__(self, aws: World, engine: DockerEngine, image: str, work: Path) -> None:
        self.aws = aws
        self.engine = engine
        self.image = image
        self.work = work

    def __call__(self, call: Call) -> Answer:
        name = call.path.split("/")[2]
        if name not in self.aws.endpoints():
            return error(call, "ValidationError", f"Endpoint {name} not found.", 400)
        sagemaker = self.aws.client("sagemaker")
        config = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
        variant = sagemaker.describe_endpoint_config(EndpointConfigName=config)
        model = sagemaker.describe_model(ModelName=variant["ProductionVariants"][0]["ModelName"])
        bucket, _, key = (
            model["PrimaryContainer"]["ModelDataUrl"].removeprefix("s3://").partition("/")
        )
        archive = self.work / "downloaded.tar.gz"
        self.aws.client("s3").download_file(bucket, key, str(archive))
        body = local_answer(
            self.engine,
            image=self.image,
            archive=archive,
            payload=AnswerPayload(name="any", body=call.body, content_type="image/jpeg"),
            progress=Silent(),
        )
        return 200, {"Content-Type": "application/json"}, body


def lab(line: str) -> int:
    return main.run(line.split())


def assert_is_docker_schema_2(aws: World, registry: Registry) -> None:
    sagemaker = aws.client("sagemaker")
    (model,) = sagemaker.list_models()["Models"]
    image = sagemaker.describe_model(ModelName=model["ModelName"])["PrimaryContainer"]["Image"]
    repository, _, digest = image.partition("/")[2].partition("@")
    held = Distribution(registry.host)
    assert held.media_type(repository, digest) == DOCKER_MANIFEST
    held.close()


def assert_is_the_archive(aws: World, model: str) -> None:
    (bucket,) = aws.client("s3").list_buckets()["Buckets"]
    archive = store.find(model, Runtime.ONNX)
    (held,) = aws.client("s3").list_objects_v2(Bucket=bucket["Name"])["Contents"]
    assert held["Key"] == f"models/{archive.sha256}/model.tar.gz"
    assert held["Size"] == archive.bytes
    head = aws.client("s3").head_object(Bucket=bucket["Name"], Key=held["Key"])
    assert head["ServerSideEncryption"] == "AES256"


def test_a_push_is_planned_made_asked_and_taken_away(
    aws: World, registry: Registry, capsys: pytest.CaptureFixture[str], mobilenet: str
) -> None:
    assert lab(f"{QUICK} --dry-run") == 0
    assert "1,000,000 requests" in capsys.readouterr().out
    assert aws.faults.writes == []

    assert lab(QUICK) == 0
    assert "it answers as the container does here: best is grade" in capsys.readouterr().out
    assert aws.endpoints() == {FULL: "InService"}
    assert_is_docker_schema_2(aws, registry)
    assert_is_the_archive(aws, mobilenet)

    assert lab(f"push destroy --endpoint {ENDPOINT} --yes") == 0
    assert "nothing is left" in capsys.readouterr().out
    assert aws.left() == []


@pytest.mark.long
def test_a_push_is_looked_at_planned_made_asked_kept_changed_and_taken_away(
    aws: World, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab(f"{PUSH} --dry-run") == 0
    said = capsys.readouterr().out
    assert "fit for serverless" in said
    assert "1,000,000 requests" in said
    assert aws.faults.writes == []
    assert aws.left() == []

    assert lab(QUICK) == 0
    assert "it answers as the container does here: best is grade" in capsys.readouterr().out
    assert aws.endpoints() == {FULL: "InService"}
    assert_is_docker_schema_2(aws, registry)
    before = aws.left()

    aws.faults.calls.clear()
    assert lab(QUICK) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert aws.faults.writes == []

    sagemaker = aws.client("sagemaker")
    created = sagemaker.describe_endpoint(EndpointName=FULL)["CreationTime"]
    assert lab(QUICK.replace("2048", "3072 --max-concurrency 4")) == 0
    after = sagemaker.describe_endpoint(EndpointName=FULL)
    variant = after["ProductionVariants"][0]
    assert variant["CurrentServerlessConfig"]["MemorySizeInMB"] == 3072
    assert after["CreationTime"] == created
    assert len(aws.left()) == len(before)

    assert lab(f"push destroy --endpoint {ENDPOINT} --yes") == 0
    assert "nothing is left" in capsys.readouterr().out
    assert aws.left() == []
    assert lab(f"push destroy --endpoint {ENDPOINT} --yes") == 0
    assert "There was nothing" in capsys.readouterr().out


@pytest.mark.long
def test_a_push_that_is_interrupted_as_the_image_goes_up_goes_on_when_it_is_run_again(
    aws: World,
) -> None:
    aws.faults.after("ecr:GetAuthorizationToken", aws.interrupt)
    assert lab(QUICK) == INTERRUPTED
    assert aws.endpoints() == {}

    assert lab(QUICK) == 0
    assert aws.endpoints() == {FULL: "InService"}


def test_an_answer_that_is_another_is_not_called_a_success(
    aws: World, capsys: pytest.CaptureFixture[str]
) -> None:
    other = b'{"predictions": [{"probabilities": [0.9, 0.025, 0.025, 0.025, 0.025]}]}'
    aws.faults.raw("sagemaker:InvokeEndpoint", lambda call: (200, {}, other))

    assert lab(QUICK) == 11
    assert "does not answer as the container does" in capsys.readouterr().err


def test_an_image_for_another_processor_is_refused_before_anything_is_made(
    aws: World, capsys: pytest.CaptureFixture[str]
) -> None:
    line = PUSH.replace("--kind serverless --memory 2048", "--kind real-time --instance-type ml.x")

    assert lab(f"{line} --no-contract --yes") == 11
    assert "hosts no endpoints" in capsys.readouterr().err
    assert aws.left() == []
