"""A push to an emulator whose containers are played: made, kept, changed, taken away."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from moto.server import ThreadedMotoServer

from lab.aws.emulator.target import LocalStack
from lab.aws.measure.task import on_emulator
from lab.aws.model import Action, AwsError, CloudResource, DeploymentNames, Kept
from lab.aws.stack.template import is_release
from lab.endpoint.addresses import Addresses
from lab.endpoint.client import EmulatorClient
from lab.endpoint.live import STARTED_AGAIN
from lab.errors import UsageError
from lab.progress import Silent
from tests.timing import wait_until
from tests.unit.aws.orders import artifacts, pushed, real_time, serverless
from tests.unit.services.endpoint.standing import Standing, standing

REGION = "us-east-1"
NAMES = DeploymentNames.of("eyes", account="0" * 12, region=REGION)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(tmp_path_factory.mktemp("state")) as one:
        yield one


@pytest.fixture(scope="module")
def client(lab: Standing) -> Iterator[EmulatorClient]:
    s3 = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    s3.start()
    host, port = s3.get_host_and_port()
    at = Addresses(
        sagemaker=f"http://127.0.0.1:{lab.port}",
        s3=f"http://{host}:{port}",
        region=REGION,
        account="0" * 12,
    )
    one = EmulatorClient(at, env={})
    yield one
    one.close()
    s3.stop()


@pytest.fixture
def stack(client: EmulatorClient) -> Iterator[LocalStack]:
    one = LocalStack(client, NAMES, poll_s=0.01, wait_s=10)
    yield one
    one.destroy(Silent())


def releases(client: EmulatorClient) -> dict[str, list[str]]:
    models = [row["ModelName"] for row in client.every("list_models", "Models")]
    configs = client.every("list_endpoint_configs", "EndpointConfigs")
    named = [row["EndpointConfigName"] for row in configs]
    return {
        "models": [name for name in models if is_release(name, NAMES)],
        "configurations": [name for name in named if is_release(name, NAMES)],
    }


def test_a_push_makes_what_it_planned_and_the_same_again_changes_nothing(
    stack: LocalStack, client: EmulatorClient
) -> None:
    what = artifacts(NAMES)
    planned = {item.kind: item for item in stack.plan(serverless(), what)}
    assert planned["SageMaker endpoint"].action is Action.CREATE
    assert planned["IAM role"].detail == "not on the emulator: left out"

    assert pushed(stack, serverless())
    again = stack.plan(serverless(), what)
    assert {item.action for item in again} == {Action.KEEP}
    assert not pushed(stack, serverless())
    assert client.call("describe_endpoint", EndpointName=NAMES.endpoint)["EndpointStatus"] == (
        "InService"
    )


def test_a_change_serves_another_release_and_removes_the_one_before(
    stack: LocalStack, client: EmulatorClient
) -> None:
    pushed(stack, serverless())
    before = releases(client)
    assert pushed(stack, serverless(memory_mb=3072), artifacts(NAMES, model="two"))
    after = releases(client)
    for kind in before:
        assert len(before[kind]) == len(after[kind]) == 1
        assert before[kind] != after[kind]


@pytest.mark.parametrize(
    ("instances", "said"),
    [(1, "real-time, ml.m5.large"), (2, "real-time, ml.m5.large, 2 instances routed RANDOM")],
)
def test_a_measurement_of_several_instances_says_how_they_were_routed(
    stack: LocalStack, client: EmulatorClient, instances: int, said: str
) -> None:
    pushed(stack, real_time(instances=instances, max_instances=instances))
    subject = on_emulator(client, NAMES)
    assert str(subject) == f"onnx, retina, {said}"


def test_serverless_does_not_become_real_time(stack: LocalStack) -> None:
    pushed(stack, serverless())
    with pytest.raises(UsageError, match="cannot become real-time"):
        stack.plan(real_time(), artifacts(NAMES))


def test_removal_takes_all_that_is_ours_and_names_what_is_not(
    stack: LocalStack, client: EmulatorClient
) -> None:
    pushed(stack, serverless())
    model = f"{NAMES.endpoint}-{12 * 'a'}"
    role = "arn:aws:iam::000000000000:role/x"
    client.call(
        "create_model", ModelName=model, PrimaryContainer={"Image": "x"}, ExecutionRoleArn=role
    )
    removal = stack.destroy(Silent())
    assert [one.kind for one in removal.removed] == [
        "S3 bucket",
        "SageMaker model",
        "SageMaker endpoint configuration",
        "SageMaker endpoint",
    ]
    assert removal.kept == (
        Kept(
            resource=CloudResource(kind="SageMaker model", name=model),
            why="it has no tag inference-lab:endpoint of this endpoint",
        ),
    )
    client.call("delete_model", ModelName=model)
    assert stack.destroy(Silent()).nothing


def test_an_endpoint_of_that_name_without_the_tags_is_somebody_elses(
    lab: Standing, client: EmulatorClient
) -> None:
    names = replace(NAMES, endpoint="inference-lab-others")
    lab.endpoint(names.endpoint)
    stack = LocalStack(client, names, poll_s=0.01)
    with pytest.raises(AwsError, match="belongs to somebody else"):
        stack.plan(serverless(), artifacts(names))
    removal = stack.destroy(Silent())
    assert [one.resource.name for one in removal.kept] == [names.endpoint]


def test_an_endpoint_that_is_never_ready_is_told_with_its_status(
    lab: Standing, client: EmulatorClient
) -> None:
    stack = LocalStack(client, NAMES, poll_s=0.01, wait_s=0)
    progress = Silent()
    lab.launcher.gate.clear()
    try:
        with pytest.raises(AwsError, match="is still Creating after 0 s"):
            pushed(stack, serverless(), progress=progress)
    finally:
        lab.launcher.gate.set()
    assert any("goes on with" in note for note in progress.notes)
    LocalStack(client, NAMES, poll_s=0.01).destroy(Silent())


def test_whoever_pushes_is_told_why_a_container_is_started_again(
    lab: Standing, stack: LocalStack
) -> None:
    order, progress = real_time(), Silent()
    lab.launcher.trouble = {"AllTraffic": f"{STARTED_AGAIN}: no weights."}
    lab.launcher.gate.clear()
    stack.prepare(order, progress)
    with ThreadPoolExecutor(1) as pool:
        pushing = pool.submit(stack.deploy, order, artifacts(NAMES), progress)
        try:
            wait_until(lambda: any(STARTED_AGAIN in note for note in progress.notes))
        finally:
            lab.launcher.trouble = {}
            lab.launcher.gate.set()
        assert pushing.result().changed
    assert sum(STARTED_AGAIN in note for note in progress.notes) == 1
