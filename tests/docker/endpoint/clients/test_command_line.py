"""The AWS command line, version 1 and 2: its forms of writing, waiting, paging and selecting."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docker.endpoint.clients.conftest import Run, aws
from tests.docker.endpoint.site import BUCKET, INSTANCE_TYPE, ROLE, Site, realtime
from tests.fidelity import DOCUMENTED, fidelity
from tests.timing import wait_until

pytestmark = pytest.mark.long


@pytest.fixture(params=["version 1", "version 2"])
def command(request: pytest.FixtureRequest, user: Mapping[str, str]) -> Run:
    return aws(request.param, user)


@pytest.fixture
def name() -> str:
    return f"typed-{uuid.uuid4().hex[:8]}"


@fidelity(
    "Clients",
    "The AWS command line makes a model, a configuration and an endpoint from its shorthand and "
    "from JSON, waits for the endpoint, changes its weights and capacities, and deletes it.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-shorthand.html",
)
def test_an_endpoint_is_typed_from_creation_to_deletion(
    command: Run, site: Site, name: str, tmp_path: Path
) -> None:
    for model, container in (
        (f"{name}-a", f"Image={site.image},Environment={{NAME=short}}"),
        (f"{name}-b", json.dumps({"Image": site.image, "Environment": {"NAME": "json"}})),
    ):
        made = command(
            *("sagemaker", "create-model", "--model-name", model),
            *("--execution-role-arn", ROLE, "--primary-container", container),
        )
        assert made["ModelArn"].endswith(f":model/{model}")
    command(
        *("sagemaker", "create-endpoint-config", "--endpoint-config-name", name),
        "--production-variants",
        *(
            f"VariantName={one},ModelName={name}-{one},InitialInstanceCount=1,"
            f"InstanceType={INSTANCE_TYPE},InitialVariantWeight=1"
            for one in "ab"
        ),
    )
    command(
        *("sagemaker", "create-endpoint", "--endpoint-name", name),
        *("--endpoint-config-name", name, "--tags", "Key=team,Value=lab"),
    )
    command("sagemaker", "wait", "endpoint-in-service", "--endpoint-name", name)
    status = command(
        *("sagemaker", "describe-endpoint", "--endpoint-name", name),
        *("--query", "[EndpointStatus, ProductionVariants[].VariantName]"),
    )
    assert status == ["InService", ["a", "b"]]

    def asked(variant: str) -> str:
        command(
            *("sagemaker-runtime", "invoke-endpoint", "--endpoint-name", name),
            *("--target-variant", variant, "--body", "fileb:///dev/null", tmp_path / "answer"),
        )
        return str(json.loads((tmp_path / "answer").read_text())["name"])

    assert [asked("a"), asked("b")] == ["short", "json"]
    command(
        *("sagemaker", "update-endpoint-weights-and-capacities", "--endpoint-name", name),
        "--desired-weights-and-capacities",
        *("VariantName=a,DesiredWeight=3", "VariantName=b,DesiredInstanceCount=2"),
    )
    command("sagemaker", "wait", "endpoint-in-service", "--endpoint-name", name)
    weighed = command(
        *("sagemaker", "describe-endpoint", "--endpoint-name", name),
        *("--query", "ProductionVariants[].[CurrentWeight, CurrentInstanceCount]"),
    )
    assert weighed == [[3.0, 1], [1.0, 2]]
    assert command("sagemaker", "delete-endpoint", "--endpoint-name", name) == ""
    command("sagemaker", "wait", "endpoint-deleted", "--endpoint-name", name)
    said = command("sagemaker", "describe-endpoint", "--endpoint-name", name, refused=True)
    assert "An error occurred (ValidationException) when calling the DescribeEndpoint" in said


@fidelity(
    "Clients",
    "The AWS command line pages by itself, and by --max-items and --starting-token.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-pagination.html",
)
def test_lists_are_paged_by_the_command_line(command: Run, site: Site, name: str) -> None:
    made = [f"{name}-{number}" for number in range(5)]
    for one in made:
        container = {"Image": site.image}
        site.sagemaker.create_model(
            ModelName=one, PrimaryContainer=container, ExecutionRoleArn=ROLE
        )
    words = ("sagemaker", "list-models", "--name-contains", name, "--sort-by", "Name")
    order = ("--sort-order", "Ascending")
    whole = command(*words, *order, "--page-size", "2", "--query", "Models[].ModelName")
    assert whole == made
    first = command(*words, *order, "--max-items", "3")
    rest = command(*words, *order, "--starting-token", first["NextToken"])
    names = [row["ModelName"] for page in (first, rest) for row in page["Models"]]
    assert names == made
    assert "NextToken" not in rest
    text = command(*words, *order, "--query", "Models[-1].ModelName", "--output", "text")
    assert text == f"{made[-1]}\n"


@fidelity(
    "Clients",
    "The AWS command line adds tags, lists them and takes them away.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/cli/latest/reference/sagemaker/add-tags.html",
)
def test_tags_are_typed(command: Run, site: Site) -> None:
    arn = site.sagemaker.describe_model(ModelName=site.model())["ModelArn"]
    added = command(
        *("sagemaker", "add-tags", "--resource-arn", arn),
        *("--tags", "Key=a,Value=1", "Key=b,Value=2"),
    )
    assert added["Tags"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    command("sagemaker", "delete-tags", "--resource-arn", arn, "--tag-keys", "a")
    left = command("sagemaker", "list-tags", "--resource-arn", arn, "--query", "Tags")
    assert left == [{"Key": "b", "Value": "2"}]


@fidelity(
    "Clients",
    "invoke-endpoint-async of the AWS command line prints where the result and the failure go.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/cli/latest/reference/sagemaker-runtime/invoke-endpoint-async.html",
)
def test_an_asynchronous_request_is_typed(command: Run, site: Site, name: str) -> None:
    config = site.config(
        realtime(site.model()),
        AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/{name}/out"}},
    )
    endpoint = site.endpoint(config)
    site.s3.put_object(Bucket=BUCKET, Key=f"{name}/in", Body=b'{"say": "typed"}')
    said = command(
        *("sagemaker-runtime", "invoke-endpoint-async", "--endpoint-name", endpoint),
        *("--input-location", f"s3://{BUCKET}/{name}/in", "--content-type", "application/json"),
    )
    assert {"InferenceId", "OutputLocation"} <= said.keys()
    key = said["OutputLocation"].removeprefix(f"s3://{BUCKET}/")
    body = wait_until(
        lambda: site.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() or None,
        despite=site.s3.exceptions.NoSuchKey,
    )
    assert body == b"typed"
    site.delete(endpoint)


@fidelity(
    "Clients",
    "Version 2 of the AWS command line takes a body as base64, or raw where --cli-binary-format "
    "says so.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/cli/latest/userguide/cliv2-migration-changes.html",
)
def test_version_2_s_binary_formats_reach_the_container_alike(
    user: Mapping[str, str], site: Site, tmp_path: Path
) -> None:
    command = aws("version 2", user)
    endpoint = site.endpoint(site.config(realtime(site.model())))
    for words in (
        ("--body", "eyJzYXkiOiAiaGkifQ=="),
        ("--body", '{"say": "hi"}', "--cli-binary-format", "raw-in-base64-out"),
    ):
        command(
            *("sagemaker-runtime", "invoke-endpoint", "--endpoint-name", endpoint, *words),
            *("--no-cli-pager", tmp_path / "answer"),
        )
        assert (tmp_path / "answer").read_text() == "hi"
    site.delete(endpoint)


@fidelity(
    "Clients",
    "A model's error is printed by the AWS command line with the status and the container's words.",
    DOCUMENTED,
    "botocore: ModelError",
)
def test_a_model_s_error_is_printed(command: Run, site: Site, tmp_path: Path) -> None:
    endpoint = site.endpoint(site.config(realtime(site.model())))
    (tmp_path / "body").write_text('{"status": 418, "say": "short and stout"}')
    said = command(
        *("sagemaker-runtime", "invoke-endpoint", "--endpoint-name", endpoint),
        *("--body", f"fileb://{tmp_path}/body", tmp_path / "answer"),
        refused=True,
    )
    assert "(ModelError)" in said
    assert 'Received client error (418) from primary with message "short and stout"' in said
    site.delete(endpoint)
