"""Models, configurations and endpoints as boto3 makes, sees and deletes them."""

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from lab.engine.docker.engine import DockerEngine
from lab.spec import LABEL_OWNER
from tests.docker.endpoint.site import (
    ACCOUNT,
    BUCKET,
    REGION,
    ROLE,
    Beside,
    Emulator,
    Site,
    answered,
    realtime,
    serverless,
)
from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    """The code and the message of an error that must come."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def containers_of(engine: DockerEngine, endpoint: str) -> list[str]:
    return [container.id for container in Beside(engine, endpoint).containers()]


def owner_of(engine: DockerEngine, endpoint: str) -> str:
    (container,) = Beside(engine, endpoint).containers()
    return container.labels[LABEL_OWNER]


@fidelity(
    "DescribeEndpoint",
    "EndpointStatus goes from Creating to InService, and boto3's waiters end.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html",
)
def test_an_endpoint_lives_from_create_to_delete(site: Site, engine: DockerEngine) -> None:
    name = site.endpoint(site.config(realtime(site.model())))
    seen = site.describe(name)
    assert seen["EndpointStatus"] == "InService"
    assert seen["EndpointArn"] == f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{name}"
    (variant,) = seen["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 1)
    assert variant["CurrentWeight"] == 1.0
    assert variant["DeployedImages"][0]["SpecifiedImage"] == site.image
    assert len(containers_of(engine, name)) == 1
    assert site.invoke(name)["InvokedProductionVariant"] == "AllTraffic"
    listed = site.sagemaker.list_endpoints(NameContains=name)["Endpoints"]
    assert [one["EndpointName"] for one in listed] == [name]
    site.delete(name)
    assert containers_of(engine, name) == []
    assert refused(site.sagemaker.describe_endpoint, EndpointName=name) == (
        "ValidationException",
        f'Could not find endpoint "{seen["EndpointArn"]}".',
    )
    code, message = refused(site.runtime.invoke_endpoint, EndpointName=name, Body=b"")
    assert (code, message) == (
        "ValidationError",
        f"Endpoint {name} of account {ACCOUNT} not found.",
    )


@fidelity(
    "CreateEndpointConfig",
    "A name that is taken is refused: Cannot create already existing endpoint configuration.",
    SEEN,
    "https://github.com/awslabs/spot-tagging-bot-for-digital-assets/issues/2",
)
def test_names_are_taken_once(site: Site) -> None:
    model = site.model()
    code, message = refused(
        site.sagemaker.create_model,
        ModelName=model,
        PrimaryContainer={"Image": site.image},
        ExecutionRoleArn=ROLE,
    )
    assert code == "ValidationException"
    assert "already existing model" in message
    config = site.config(realtime(model))
    code, message = refused(
        site.sagemaker.create_endpoint_config,
        EndpointConfigName=config,
        ProductionVariants=[realtime(model)],
    )
    assert (code, "already existing endpoint configuration" in message) == (
        "ValidationException",
        True,
    )


def test_a_wrong_name_is_refused_in_the_words_of_aws(site: Site) -> None:
    code, message = refused(
        site.sagemaker.create_model,
        ModelName="under_score",
        PrimaryContainer={"Image": site.image},
        ExecutionRoleArn=ROLE,
    )
    assert code == "ValidationException"
    assert message.startswith(
        "1 validation error detected: Value 'under_score' at 'modelName' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern: "
    )


@fidelity(
    "ListEndpoints",
    "Lists are newest first, ten a page, sorted and filtered as asked.",
    DOCUMENTED,
    "botocore: ListEndpointsInput",
)
def test_lists_are_paged_and_sorted(site: Site) -> None:
    mark = uuid.uuid4().hex[:6]
    names = [f"paged-{mark}-{number}" for number in range(7)]
    for name in names:
        site.sagemaker.create_model(
            ModelName=name, PrimaryContainer={"Image": site.image}, ExecutionRoleArn=ROLE
        )
    pages = site.sagemaker.get_paginator("list_models").paginate(
        NameContains=mark, SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 3}
    )
    seen = [[one["ModelName"] for one in page["Models"]] for page in pages]
    assert seen == [names[:3], names[3:6], names[6:]]


@fidelity(
    "AddTags",
    "Tags are added, replaced by key, listed and deleted by the ARN of their resource.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AddTags.html",
)
@fidelity("DeleteTags", "Keys that are not there are no error.", OURS, "AWS documents none")
@fidelity(
    "ListTags",
    "Tags are listed by the ARN of a model, a configuration or an endpoint.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListTags.html",
)
def test_tags_are_kept_and_taken_away(site: Site) -> None:
    arn = site.sagemaker.describe_model(ModelName=site.model())["ModelArn"]
    site.sagemaker.add_tags(
        ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    )
    site.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert site.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]


@fidelity(
    "UpdateEndpoint",
    "While an endpoint is Creating, Updating or Deleting it cannot be changed.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html",
)
def test_an_endpoint_that_is_being_made_can_neither_be_updated_nor_taken_twice(
    site: Site, engine: DockerEngine
) -> None:
    config = site.config(realtime(site.model(env={"GATE": "ready"})))
    name = site.endpoint(config, wait=False)
    code, message = refused(
        site.sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=config
    )
    assert (code, "in-progress" in message) == ("ValidationException", True)
    code, message = refused(
        site.sagemaker.create_endpoint, EndpointName=name, EndpointConfigName=config
    )
    assert (code, "already existing endpoint" in message) == ("ValidationException", True)
    Beside(engine, name).open("ready")
    site.wait(name)
    site.delete(name)


@fidelity(
    "Containers",
    "The FailureReason of an endpoint whose container does not get ready begins with AWS's "
    "sentence about the ping health check; the cause that follows is the lab's.",
    DOCUMENTED,
    "https://repost.aws/knowledge-center/sagemaker-endpoint-creation-fail",
)
@pytest.mark.parametrize(
    ("fail", "words"),
    [
        ("exit", ["exited", "code 3", "no such file: weights.bin"]),
        ("oom", ["memory"]),
    ],
)
def test_a_failed_start_says_why_in_one_message(
    site: Site, engine: DockerEngine, fail: str, words: list[str]
) -> None:
    model = site.model(env={"FAIL": fail})
    # A serverless container has the less to eat before it is out of memory.
    variant = serverless(model) if fail == "oom" else realtime(model)
    name = site.endpoint(site.config(variant), wait=False)
    seen = site.settled(name)
    assert seen["EndpointStatus"] == "Failed"
    reason = seen["FailureReason"]
    assert "did not pass the ping health check" in reason
    for word in words:
        assert word in reason
    assert len(reason) <= 1024
    with pytest.raises(WaiterError):
        site.wait(name)
    assert containers_of(engine, name) == []
    site.delete(name)


@fidelity(
    "CreateEndpoint",
    "An image that went after CreateModel fails the endpoint, whose FailureReason names it.",
    SEEN,
    "https://github.com/aws/sagemaker-tensorflow-training-toolkit/issues/294",
)
def test_an_image_that_is_gone_by_then_fails_the_endpoint(site: Site, engine: DockerEngine) -> None:
    gone = f"inference-lab/gone-{uuid.uuid4().hex[:8]}:1"
    engine.client.tag(site.image, *gone.split(":"))
    model = site.model(gone)
    engine.client.remove_image(gone, noprune=True)
    name = site.endpoint(site.config(realtime(model)), wait=False)
    seen = site.settled(name)
    assert (seen["EndpointStatus"], gone in seen["FailureReason"]) == ("Failed", True)
    site.delete(name)


@fidelity(
    "CreateEndpoint",
    "Model data that went after CreateModel fails the endpoint, whose FailureReason names it.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html",
)
def test_an_archive_that_is_gone_by_then_fails_the_endpoint(site: Site) -> None:
    place = {"Bucket": BUCKET, "Key": "nothing/model.tar.gz"}
    site.s3.put_object(**place, Body=b"")
    model = site.model(data="s3://models/nothing/model.tar.gz")
    site.s3.delete_object(**place)
    name = site.endpoint(site.config(realtime(model)), wait=False)
    seen = site.settled(name)
    assert seen["EndpointStatus"] == "Failed"
    assert "s3://models/nothing/model.tar.gz" in seen["FailureReason"]
    site.delete(name)


@fidelity(
    "Serverless",
    "Containers of serverless endpoints do not run as root.",
    SEEN,
    "https://github.com/huggingface/text-embeddings-inference/issues/609",
)
def test_serverless_containers_are_not_root_and_know_their_memory(
    site: Site, engine: DockerEngine
) -> None:
    name = site.endpoint(site.config(serverless(site.model(env={"NAME": "x"}), memory=2048)))
    seen = site.describe(name)["ProductionVariants"][0]
    assert seen["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 2}
    said = answered(site.invoke(name))
    assert (said["uid"], said["name"]) == (993, "x")
    (container,) = containers_of(engine, name)
    host = engine.client.inspect_container(container)["HostConfig"]
    assert (host["Memory"], host["ReadonlyRootfs"]) == (2048 * 1024**2, True)
    site.delete(name)


def test_two_emulators_leave_each_other_s_containers_alone(
    site: Site, engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = site.endpoint(site.config(realtime(site.model())))
    (before,) = containers_of(engine, name)
    other = Emulator(
        state=tmp_path_factory.mktemp("other") / "state",
        engine=engine.address,
        s3=site.emulator.s3,
        network=site.emulator.network,
    )
    other.start()
    try:
        beside = Site(other, site.image)
        second = beside.endpoint(beside.config(realtime(beside.model())))
        mine, its = (owner_of(engine, endpoint) for endpoint in (name, second))
        assert mine != its
        other.kill()
        other.start()
    finally:
        code = other.stop()
    assert code == 0
    assert containers_of(engine, second) == []
    assert containers_of(engine, name) == [before]
    assert site.invoke(name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    site.delete(name)
