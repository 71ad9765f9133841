"""A push to the real emulator: made, kept, changed, failed and removed as on AWS."""

import io
import json
import secrets
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.aws.emulator.target import LocalStack
from lab.aws.model import (
    Action,
    Artifacts,
    AwsError,
    CloudResource,
    DeploymentNames,
    Kept,
    Order,
    ServingKind,
)
from lab.endpoint.addresses import Addresses
from lab.endpoint.client import EmulatorClient
from lab.engine.docker.engine import DockerEngine
from lab.errors import UsageError
from lab.images.base import ensure_base
from lab.progress import Progress, Silent
from lab.spec import Platform
from tests.docker import known
from tests.docker.endpoint.site import ACCOUNT, REGION, Emulator, Site, realtime

SERVERLESS = Order(
    endpoint="eyes", variant="slim", model="retina", kind=ServingKind.SERVERLESS, memory_mb=1024
)
REAL_TIME = Order(
    endpoint="eyes",
    variant="slim",
    model="retina",
    kind=ServingKind.REAL_TIME,
    instance_type="ml.m5.large",
    max_instances=2,
)
NAMES = DeploymentNames.of("eyes", account=ACCOUNT, region=REGION)
LEFT_OUT = {
    "ECR repository",
    "S3 bucket policy",
    "CloudWatch log group",
    "IAM role",
    "CloudWatch alarm",
    "Autoscaling target",
    "Autoscaling policy",
}


@pytest.fixture(scope="module")
def client(emulator: Emulator) -> Iterator[EmulatorClient]:
    at = Addresses(sagemaker=emulator.url, s3=emulator.s3, region=REGION, account=ACCOUNT)
    one = EmulatorClient(at, env={})
    yield one
    one.close()


@pytest.fixture(scope="module")
def failing(engine: DockerEngine, platform: Platform, progress: Progress) -> Iterator[str]:
    """An image whose server says why it will not start."""
    base = ensure_base(platform, engine, progress).ref
    server = Path(__file__).parent / "model_server.py"
    name = f"failing-{secrets.token_hex(4)}"
    ref = known.make(engine, base, name, {"FAIL": "exit"}, server=server)
    yield ref
    known.remove(engine, ref)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo("weights")
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"1234"))
    return path


@pytest.fixture
def stack(client: EmulatorClient) -> Iterator[LocalStack]:
    one = LocalStack(client, NAMES)
    yield one
    one.destroy(Silent())


@pytest.fixture
def served(stack: LocalStack, client: EmulatorClient, archive: Path, site: Site) -> Artifacts:
    """The image that obeys, and an archive that is in the bucket of the first step."""
    stack.prepare(SERVERLESS, Silent())
    key = "models/one/model.tar.gz"
    client.upload(archive, NAMES.bucket, key)
    return Artifacts(image=site.image, model_data=f"s3://{NAMES.bucket}/{key}")


def asked(client: EmulatorClient) -> str:
    """Its answer to a question; it obeys."""
    order = json.dumps({"say": "here"}).encode()
    return client.invoke(NAMES.endpoint, order, "application/json").body.decode()


def actions(stack: LocalStack, order: Order, what: Artifacts | None = None) -> dict[str, Action]:
    rows = [item for item in stack.plan(order, what) if item.kind not in LEFT_OUT]
    return {item.kind: item.action for item in rows}


def everything(site: Site) -> tuple[int, int, list[str]]:
    """Models, configurations and endpoints of ours."""
    ours = {"NameContains": NAMES.endpoint}
    return (
        len(site.sagemaker.list_models(**ours)["Models"]),
        len(site.sagemaker.list_endpoint_configs(**ours)["EndpointConfigs"]),
        [one["EndpointName"] for one in site.sagemaker.list_endpoints(**ours)["Endpoints"]],
    )


def test_a_push_serves_and_the_same_again_changes_nothing(
    stack: LocalStack, client: EmulatorClient, served: Artifacts, site: Site
) -> None:
    assert set(actions(stack, SERVERLESS, served).values()) == {Action.KEEP, Action.CREATE}
    assert stack.deploy(SERVERLESS, served, Silent()).changed
    assert asked(client) == "here"
    before = site.describe(NAMES.endpoint)
    stack.prepare(SERVERLESS, Silent())
    assert not stack.deploy(SERVERLESS, served, Silent()).changed
    assert site.describe(NAMES.endpoint)["LastModifiedTime"] == before["LastModifiedTime"]
    assert everything(site) == (1, 1, [NAMES.endpoint])
    assert set(actions(stack, SERVERLESS, served).values()) == {Action.KEEP}
    assert set(actions(stack, SERVERLESS).values()) == {Action.KEEP}


def test_what_the_emulator_does_not_have_is_said(stack: LocalStack, served: Artifacts) -> None:
    rows = [item for item in stack.plan(REAL_TIME, served) if item.kind in LEFT_OUT]
    assert {item.kind for item in rows} == LEFT_OUT
    assert {item.detail for item in rows} == {"not on the emulator: left out"}
    progress = Silent()
    stack.prepare(REAL_TIME, progress)
    assert "IAM role" in progress.notes[-1]


def test_a_rebuilt_image_is_an_update_and_the_old_model_goes(
    stack: LocalStack, client: EmulatorClient, served: Artifacts, site: Site
) -> None:
    stack.deploy(SERVERLESS, served, Silent())
    before = site.describe(NAMES.endpoint)
    rebuilt = LocalStack(client, NAMES, content="sha256:other")
    changed = actions(rebuilt, SERVERLESS, served)
    assert changed.pop("S3 bucket") == Action.KEEP
    assert set(changed.values()) == {Action.CHANGE}
    assert rebuilt.deploy(SERVERLESS, served, Silent()).changed
    after = site.describe(NAMES.endpoint)
    assert after["CreationTime"] == before["CreationTime"]
    assert after["EndpointConfigName"] != before["EndpointConfigName"]
    assert everything(site) == (1, 1, [NAMES.endpoint])
    assert asked(client) == "here"


def test_what_is_made_carries_our_tags_and_new_ones_after_an_update(
    stack: LocalStack, served: Artifacts, site: Site
) -> None:
    stack.deploy(SERVERLESS, served, Silent())
    stack.deploy(replace(SERVERLESS, memory_mb=2048, variant="onnx"), served, Silent())
    arn = site.describe(NAMES.endpoint)["EndpointArn"]
    found = site.sagemaker.list_tags(ResourceArn=arn)["Tags"]
    assert {one["Key"]: one["Value"] for one in found} == {
        "inference-lab:managed": "true",
        "inference-lab:endpoint": "eyes",
        "inference-lab:variant": "onnx",
        "inference-lab:model": "retina",
    }


def test_a_container_that_does_not_start_is_told_and_taken_back(
    stack: LocalStack, served: Artifacts, failing: str, site: Site
) -> None:
    with pytest.raises(AwsError) as caught:
        stack.deploy(REAL_TIME, replace(served, image=failing), Silent())
    assert "could not be deployed" in caught.value.what
    assert "taken back" in caught.value.what
    assert everything(site) == (0, 0, [])
    assert stack.deploy(REAL_TIME, served, Silent()).changed


def test_an_update_that_fails_leaves_what_was_served(
    stack: LocalStack, client: EmulatorClient, served: Artifacts, failing: str, site: Site
) -> None:
    stack.deploy(REAL_TIME, served, Silent())
    before = site.describe(NAMES.endpoint)["EndpointConfigName"]
    with pytest.raises(AwsError, match="What was served before still is"):
        stack.deploy(REAL_TIME, replace(served, image=failing), Silent())
    assert site.describe(NAMES.endpoint)["EndpointConfigName"] == before
    assert everything(site) == (1, 1, [NAMES.endpoint])
    assert asked(client) == "here"


def test_instances_do_not_become_serverless(stack: LocalStack, served: Artifacts) -> None:
    stack.deploy(REAL_TIME, served, Silent())
    with pytest.raises(UsageError, match="is real-time"):
        stack.plan(SERVERLESS, served)
    with pytest.raises(UsageError, match="is real-time"):
        stack.deploy(SERVERLESS, served, Silent())


def test_a_push_that_was_left_alone_is_waited_for(
    stack: LocalStack, client: EmulatorClient, served: Artifacts
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    hasty = LocalStack(client, NAMES)
    progress = Silent()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lab.aws.emulator.inventory.time.sleep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            hasty.deploy(REAL_TIME, served, progress)
    assert "takes it up again" in progress.notes[-1]
    stack.deploy(REAL_TIME, served, Silent())
    assert asked(client) == "here"


def test_all_of_it_is_removed_and_the_second_time_there_is_nothing(
    stack: LocalStack, served: Artifacts, site: Site
) -> None:
    stack.deploy(SERVERLESS, served, Silent())
    removal = stack.destroy(Silent())
    assert [thing.kind for thing in removal.removed] == [
        "S3 bucket",
        "SageMaker model",
        "SageMaker endpoint configuration",
        "SageMaker endpoint",
    ]
    assert removal.kept == ()
    assert everything(site) == (0, 0, [])
    assert NAMES.bucket not in [one["Name"] for one in site.s3.list_buckets()["Buckets"]]
    assert stack.destroy(Silent()).nothing


def test_an_endpoint_of_somebody_else_is_left_alone(
    stack: LocalStack, client: EmulatorClient, served: Artifacts, site: Site
) -> None:
    other = DeploymentNames.of("theirs", account=ACCOUNT, region=REGION)
    theirs = LocalStack(client, other)
    order = replace(SERVERLESS, endpoint="theirs")
    config = site.config(realtime(site.model()))
    site.sagemaker.create_endpoint(EndpointName=other.endpoint, EndpointConfigName=config)
    site.wait(other.endpoint)
    for refused in (
        lambda: theirs.plan(order, served),
        lambda: theirs.prepare(order, Silent()),
        lambda: theirs.deploy(order, served, Silent()),
    ):
        with pytest.raises(AwsError, match="belongs to somebody else"):
            refused()
    removal = theirs.destroy(Silent())
    assert removal.removed == ()
    assert removal.kept == (
        Kept(
            resource=CloudResource(kind="SageMaker endpoint", name=other.endpoint),
            why="it has no tag inference-lab:endpoint of this endpoint",
        ),
    )
    site.delete(other.endpoint)
