import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity
from tests.unit.endpoint.controlled import ARN, Plane, instance, serverless


@contextlib.contextmanager
def refused(message: str, code: str = "ValidationException") -> Iterator[None]:
    with pytest.raises(ClientError) as caught:
        yield
    error = caught.value.response["Error"]
    assert error["Code"] == code
    assert message in error["Message"]


@fidelity(
    "DescribeModel",
    "A model is described as it was made, with what was left out at its default.",
    DOCUMENTED,
    "botocore: DescribeModelOutput",
)
def test_a_model_is_described_as_it_was_made_with_its_defaults(plane: Plane) -> None:
    arn = plane.client.create_model(
        ModelName="Net",
        PrimaryContainer={"Image": "image", "Environment": {"A": "1"}},
        ExecutionRoleArn="arn:aws:iam::123456789012:role/r",
    )["ModelArn"]
    found = plane.client.describe_model(ModelName="Net")
    assert arn == found["ModelArn"] == f"{ARN}:model/Net"
    assert found["PrimaryContainer"] == {
        "Image": "image",
        "Environment": {"A": "1"},
        "Mode": "SingleModel",
    }
    assert found["EnableNetworkIsolation"] is False
    assert found["CreationTime"].timestamp() == plane.clock.time()


@fidelity(
    "CreateModel",
    'A name that is taken is refused: `Cannot create already existing model "arn:...".`.',
    SEEN,
    "https://github.com/awslabs/spot-tagging-bot-for-digital-assets/issues/2 (of "
    "CreateEndpointConfig)",
)
@fidelity(
    "CreateEndpointConfig",
    "A name that is taken is refused: `Cannot create already existing endpoint configuration "
    '"arn:...".`.',
    SEEN,
    "https://github.com/awslabs/spot-tagging-bot-for-digital-assets/issues/2",
)
@fidelity(
    "CreateEndpoint",
    "A name that is taken is refused, in whatever case it is written.",
    DOCUMENTED,
    "botocore: CreateEndpointInput.EndpointName",
)
def test_duplicates_are_refused_in_awss_words(hosted: Plane) -> None:
    with refused(f'Cannot create already existing model "{ARN}:model/m".'):
        hosted.given_model()
    with refused(
        f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/c".'
    ):
        hosted.given_config()
    with refused(f'Cannot create already existing endpoint "{ARN}:endpoint/E".'):
        hosted.given_endpoint("E")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.describe_model(ModelName="x"), f'Could not find model "{ARN}:model/x".'),
        (lambda c: c.delete_model(ModelName="x"), f'Could not find model "{ARN}:model/x".'),
        (
            lambda c: c.describe_endpoint_config(EndpointConfigName="x"),
            f'Could not find endpoint configuration "{ARN}:endpoint-config/x".',
        ),
        (
            lambda c: c.create_endpoint(EndpointName="n", EndpointConfigName="x"),
            f'Could not find endpoint configuration "{ARN}:endpoint-config/x".',
        ),
        (
            lambda c: c.update_endpoint(EndpointName="e", EndpointConfigName="x"),
            f'Could not find endpoint configuration "{ARN}:endpoint-config/x".',
        ),
        (
            lambda c: c.describe_endpoint(EndpointName="E"),
            f'Could not find endpoint "{ARN}:endpoint/E".',
        ),
        (
            lambda c: c.delete_endpoint(EndpointName="x"),
            f'Could not find endpoint "{ARN}:endpoint/x".',
        ),
        (
            lambda c: c.update_endpoint_weights_and_capacities(
                EndpointName="x", DesiredWeightsAndCapacities=[{"VariantName": "v"}]
            ),
            f'Could not find endpoint "{ARN}:endpoint/x".',
        ),
        (
            lambda c: c.create_endpoint_config(
                EndpointConfigName="n", ProductionVariants=[instance(ModelName="gone")]
            ),
            f'Could not find model "{ARN}:model/gone".',
        ),
    ],
)
@fidelity(
    "CreateEndpoint",
    "A configuration that is not there is refused: `Could not find endpoint configuration "
    '"arn:...".`.',
    SEEN,
    "https://github.com/hashicorp/terraform-provider-aws/issues/40048",
)
@fidelity(
    "DeleteEndpoint",
    'An endpoint that is not there is refused: `Could not find endpoint "arn:...".`.',
    SEEN,
    "https://github.com/aws/amazon-sagemaker-examples/issues/2402",
)
@fidelity(
    "CreateEndpointConfig",
    'A model that is not there is refused: `Could not find model "arn:...".`.',
    SEEN,
    "https://github.com/aws/sagemaker-python-sdk/issues/2112 (of CreateEndpoint)",
)
def test_what_is_not_there_is_named_by_its_arn(
    hosted: Plane, call: Callable[[Any], Any], message: str
) -> None:
    with refused(message):
        call(hosted.client)


def test_a_new_endpoint_is_creating_until_the_fleet_has_done_it(plane: Plane) -> None:
    plane.given_model()
    plane.given_config()
    plane.client.create_endpoint(EndpointName="e", EndpointConfigName="c")
    assert plane.fleet.kicked == ["e"]
    found = plane.client.describe_endpoint(EndpointName="e")
    assert found["EndpointStatus"] == "Creating"
    assert "ProductionVariants" not in found
    (coming,) = found["PendingDeploymentSummary"]["ProductionVariants"]
    assert coming["VariantStatus"][0]["Status"] == "Creating"
    assert coming["DesiredInstanceCount"] == 1

    plane.fleet.work()
    found = plane.client.describe_endpoint(EndpointName="e")
    assert found["EndpointStatus"] == "InService"
    assert "PendingDeploymentSummary" not in found
    (variant,) = found["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["DesiredWeight"]) == (1.0, 1.0)
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 1)
    assert variant["DeployedImages"][0]["SpecifiedImage"] == "image"


def test_a_machine_that_is_too_small_is_said_to_be_while_the_endpoint_is_created(
    plane: Plane,
) -> None:
    plane.given_model()
    plane.given_config("big", instance(InstanceType="ml.m5.4xlarge"))
    plane.client.create_endpoint(EndpointName="e", EndpointConfigName="big")
    found = plane.client.describe_endpoint(EndpointName="e")
    (coming,) = found["PendingDeploymentSummary"]["ProductionVariants"]
    assert "2 of 16 vCPU and 8 GiB of 64 GiB" in coming["VariantStatus"][0]["StatusMessage"]


def test_why_a_container_is_started_again_is_said_while_the_endpoint_is_created(
    plane: Plane,
) -> None:
    plane.given_model()
    plane.given_config("big", instance(InstanceType="ml.m5.4xlarge"))
    plane.client.create_endpoint(EndpointName="e", EndpointConfigName="big")
    (variant,) = plane.client.describe_endpoint_config(EndpointConfigName="big")[
        "ProductionVariants"
    ]
    plane.fleet.trouble["e"] = {variant["VariantName"]: "It ended: no weights."}
    found = plane.client.describe_endpoint(EndpointName="e")
    (coming,) = found["PendingDeploymentSummary"]["ProductionVariants"]
    said = coming["VariantStatus"][0]["StatusMessage"]
    assert said.startswith("It ended: no weights. ")
    assert "of 16 vCPU" in said


def test_botocores_waiters_end_as_on_aws(hosted: Plane) -> None:
    quick = {"Delay": 0, "MaxAttempts": 2}
    hosted.client.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig=quick)
    hosted.client.delete_endpoint(EndpointName="e")
    assert hosted.client.describe_endpoint(EndpointName="e")["EndpointStatus"] == "Deleting"
    hosted.fleet.work()
    hosted.client.get_waiter("endpoint_deleted").wait(EndpointName="e", WaiterConfig=quick)

    hosted.client.create_endpoint(EndpointName="f", EndpointConfigName="c")
    hosted.fleet.fail("f", "because")
    with pytest.raises(WaiterError) as caught:
        hosted.client.get_waiter("endpoint_in_service").wait(EndpointName="f", WaiterConfig=quick)
    assert caught.value.last_response["FailureReason"] == "because"


@pytest.mark.parametrize("status", ["Creating", "Updating", "Deleting"])
@fidelity(
    "DeleteEndpoint",
    "An endpoint that is being created, updated or deleted cannot be deleted: `Cannot update "
    'in-progress endpoint "arn:...".`.',
    SEEN,
    "https://github.com/aws/amazon-sagemaker-examples/issues/3432",
)
def test_an_endpoint_under_way_can_be_neither_changed_nor_deleted(
    hosted: Plane, status: str
) -> None:
    hosted.given_config("d")
    if status == "Creating":
        hosted.client.create_endpoint(EndpointName="n", EndpointConfigName="c")
    else:
        hosted.given_endpoint("n")
    if status == "Updating":
        hosted.client.update_endpoint(EndpointName="n", EndpointConfigName="d")
    if status == "Deleting":
        hosted.client.delete_endpoint(EndpointName="n")
    assert hosted.client.describe_endpoint(EndpointName="n")["EndpointStatus"] == status
    message = f'Cannot update in-progress endpoint "{ARN}:endpoint/n".'
    with refused(message):
        hosted.client.update_endpoint(EndpointName="n", EndpointConfigName="d")
    with refused(message):
        hosted.client.update_endpoint_weights_and_capacities(
            EndpointName="n", DesiredWeightsAndCapacities=[{"VariantName": "v"}]
        )
    with refused(message):
        hosted.client.delete_endpoint(EndpointName="n")


def test_a_failed_endpoint_can_only_be_deleted(hosted: Plane) -> None:
    hosted.given_config("d")
    hosted.fleet.fail("e", "because")
    with refused("it can only be deleted"):
        hosted.client.update_endpoint(EndpointName="e", EndpointConfigName="d")
    hosted.client.delete_endpoint(EndpointName="e")


def test_an_update_shows_what_is_and_what_comes(hosted: Plane) -> None:
    hosted.given_config("d", instance(InitialInstanceCount=3))
    policy = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "WaitIntervalInSeconds": 5,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 30},
            }
        }
    }
    hosted.client.update_endpoint(EndpointName="e", EndpointConfigName="d", DeploymentConfig=policy)
    found = hosted.client.describe_endpoint(EndpointName="e")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("Updating", "c")
    assert found["ProductionVariants"][0]["DesiredInstanceCount"] == 1
    pending = found["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "d"
    assert pending["ProductionVariants"][0]["DesiredInstanceCount"] == 3
    assert found["LastDeploymentConfig"] == policy

    hosted.fleet.work()
    found = hosted.client.describe_endpoint(EndpointName="e")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "d")
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 3

    hosted.given_config("f")
    hosted.client.update_endpoint(
        EndpointName="e", EndpointConfigName="f", RetainDeploymentConfig=True
    )
    found = hosted.client.describe_endpoint(EndpointName="e")
    assert found["LastDeploymentConfig"] == policy


def test_an_update_to_the_configuration_in_use_is_refused(hosted: Plane) -> None:
    with refused("with the currently in use endpoint configuration"):
        hosted.client.update_endpoint(EndpointName="e", EndpointConfigName="c")


def test_instances_cannot_become_serverless_but_the_reverse(hosted: Plane) -> None:
    hosted.given_config("s", serverless())
    with refused("cannot be converted to a serverless endpoint"):
        hosted.client.update_endpoint(EndpointName="e", EndpointConfigName="s")
    hosted.given_endpoint("f", "s")
    hosted.client.update_endpoint(EndpointName="f", EndpointConfigName="c")


def test_weights_and_counts_are_desired_before_they_are_current(hosted: Plane) -> None:
    hosted.given_config("ab", instance("a"), instance("b", InitialVariantWeight=3))
    hosted.given_endpoint("ab", "ab")
    hosted.client.update_endpoint_weights_and_capacities(
        EndpointName="ab",
        DesiredWeightsAndCapacities=[
            {"VariantName": "b", "DesiredWeight": 0, "DesiredInstanceCount": 2}
        ],
    )
    found = hosted.client.describe_endpoint(EndpointName="ab")
    a, b = found["ProductionVariants"]
    assert "PendingDeploymentSummary" not in found
    assert (a["CurrentWeight"], a["DesiredWeight"]) == (1.0, 1.0)
    assert (b["CurrentWeight"], b["DesiredWeight"]) == (3.0, 0.0)
    assert (b["CurrentInstanceCount"], b["DesiredInstanceCount"]) == (1, 2)
    assert b["VariantStatus"][0]["Status"] == "Updating"
    hosted.fleet.work()
    _, b = hosted.client.describe_endpoint(EndpointName="ab")["ProductionVariants"]
    assert (b["CurrentWeight"], b["CurrentInstanceCount"]) == (0.0, 2)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"VariantName": "x"}, 'The variant name(s) "x" is/are not present within'),
        ({"VariantName": "v", "DesiredInstanceCount": 0}, "at least 1"),
        ({"VariantName": "v", "DesiredWeight": 0}, "sum of the weights"),
        ({"VariantName": "v", "ServerlessUpdateConfig": {"MaxConcurrency": 2}}, "not serverless"),
    ],
)
@fidelity(
    "UpdateEndpointWeightsAndCapacities",
    "Unknown variants, no instance at all, weights that sum to 0 and serverless settings of an "
    "instance are refused.",
    DOCUMENTED,
    "botocore: DesiredWeightAndCapacity",
)
def test_weights_and_counts_that_make_no_sense_are_refused(
    hosted: Plane, wanted: dict[str, Any], message: str
) -> None:
    with refused(message):
        hosted.client.update_endpoint_weights_and_capacities(
            EndpointName="e", DesiredWeightsAndCapacities=[wanted]
        )
    assert hosted.client.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService"


def test_a_serverless_endpoint_shows_its_configuration_and_no_instances(plane: Plane) -> None:
    plane.given_model()
    plane.given_config("s", serverless(ProvisionedConcurrency=1))
    plane.given_endpoint("s", "s")
    (variant,) = plane.client.describe_endpoint(EndpointName="s")["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 0
    assert variant["CurrentServerlessConfig"] == {
        "MemorySizeInMB": 2048,
        "MaxConcurrency": 5,
        "ProvisionedConcurrency": 1,
    }
    plane.client.update_endpoint_weights_and_capacities(
        EndpointName="s",
        DesiredWeightsAndCapacities=[
            {"VariantName": "v", "ServerlessUpdateConfig": {"MaxConcurrency": 9}}
        ],
    )
    (variant,) = plane.client.describe_endpoint(EndpointName="s")["ProductionVariants"]
    assert variant["DesiredServerlessConfig"]["MaxConcurrency"] == 9
    plane.fleet.work()
    (variant,) = plane.client.describe_endpoint(EndpointName="s")["ProductionVariants"]
    assert variant["CurrentServerlessConfig"]["MaxConcurrency"] == 9


def test_everything_a_configuration_adds_is_described(plane: Plane) -> None:
    plane.given_model()
    plane.given_config(
        "c",
        ShadowProductionVariants=[instance("shadow")],
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": 50,
            "DestinationS3Uri": "s3://b/x",
            "CaptureOptions": [{"CaptureMode": "Input"}],
        },
    )
    plane.given_endpoint()
    found = plane.client.describe_endpoint(EndpointName="e")
    assert [v["VariantName"] for v in found["ProductionVariants"]] == ["v"]
    assert [v["VariantName"] for v in found["ShadowProductionVariants"]] == ["shadow"]
    assert found["DataCaptureConfig"]["CaptureStatus"] == "Started"

    asynchronous = {"OutputConfig": {"S3OutputPath": "s3://b/out"}}
    plane.given_config("a", AsyncInferenceConfig=asynchronous)
    plane.given_endpoint("a", "a")
    found = plane.client.describe_endpoint(EndpointName="a")
    assert found["AsyncInferenceConfig"] == asynchronous
    plane.client.update_endpoint_weights_and_capacities(
        EndpointName="a",
        DesiredWeightsAndCapacities=[{"VariantName": "v", "DesiredInstanceCount": 0}],
    )


@fidelity(
    "DeleteModel",
    "A model that an endpoint uses can be deleted, and the endpoint lives on.",
    DOCUMENTED,
    "botocore: DeleteModel",
)
@fidelity(
    "DeleteEndpointConfig",
    "A configuration that an endpoint uses can be deleted, and the endpoint lives on.",
    DOCUMENTED,
    "botocore: DeleteEndpointConfig",
)
def test_models_and_configurations_in_use_can_be_deleted_and_the_endpoint_lives_on(
    hosted: Plane,
) -> None:
    before = hosted.client.describe_endpoint(EndpointName="e")
    hosted.client.delete_model(ModelName="m")
    hosted.client.delete_endpoint_config(EndpointConfigName="c")
    assert (
        hosted.client.describe_endpoint(EndpointName="e")["ProductionVariants"]
        == (before["ProductionVariants"])
    )
    hosted.client.update_endpoint_weights_and_capacities(
        EndpointName="e", DesiredWeightsAndCapacities=[{"VariantName": "v", "DesiredWeight": 2}]
    )


@pytest.mark.parametrize(
    ("variants", "more", "message"),
    [
        ([serverless("a"), serverless("b")], {}, "only one production variant"),
        ([serverless(memory=1500)], {}, "MemorySizeInMB must be one of"),
        ([serverless(most=1, ProvisionedConcurrency=2)], {}, "less than or equal to Max"),
        ([serverless(most=201)], {}, "Member must have value less than or equal to 200"),
        ([{**serverless(), "InstanceType": "ml.m5.large"}], {}, "InstanceType cannot be"),
        ([serverless()], {"ShadowProductionVariants": [instance("s")]}, "not supported for"),
        (
            [serverless()],
            {"VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}},
            "VpcConfig is not supported for serverless endpoints",
        ),
        (
            [serverless()],
            {
                "DataCaptureConfig": {
                    "InitialSamplingPercentage": 1,
                    "DestinationS3Uri": "s3://b/x",
                    "CaptureOptions": [{"CaptureMode": "Input"}],
                }
            },
            "DataCaptureConfig is not supported for serverless endpoints",
        ),
        ([instance("a"), instance("a")], {}, "must be unique"),
        (
            [instance("a"), instance("b")],
            {"ShadowProductionVariants": [instance("s")]},
            "exactly one production variant and one shadow variant",
        ),
        ([instance(InitialVariantWeight=0)], {}, "must be greater than 0"),
        ([{"VariantName": "v", "ModelName": "m"}], {}, "Specify InstanceType or Serverless"),
        ([instance(ManagedInstanceScaling={"Status": "ENABLED"})], {}, "only supported for"),
        (
            [instance(InstanceType="ml.m5d.large", VolumeSizeInGB=8)],
            {},
            "VolumeSize parameter is not allowed for the selected Instance type ml.m5d.large",
        ),
        ([instance(InstanceType="ml.m7g.large")], {}, "Member must satisfy enum value set: [ml."),
        (
            [instance(RoutingConfig={"RoutingStrategy": "PREFIX_AWARE"})],
            {},
            "PrefixAwareRoutingConfig.PrefixLength is required with PREFIX_AWARE",
        ),
        (
            [
                instance(
                    RoutingConfig={
                        "RoutingStrategy": "RANDOM",
                        "PrefixAwareRoutingConfig": {"PrefixLength": 1024},
                    }
                )
            ],
            {},
            "PrefixAwareRoutingConfig is only supported with PREFIX_AWARE",
        ),
    ],
)
@fidelity(
    "CreateEndpointConfig",
    "What the service model's documentation forbids of variants, shadows, weights and "
    "serverless settings is refused when the configuration is made.",
    DOCUMENTED,
    "botocore: CreateEndpointConfigInput, ProductionVariant",
)
@fidelity(
    "CreateEndpointConfig",
    "An instance with a disk of its own takes no VolumeSizeInGB: `VolumeSize parameter is not "
    "allowed for the selected Instance type ...`.",
    SEEN,
    "https://github.com/autogluon/autogluon-cloud/pull/50",
)
def test_configurations_that_break_a_rule_are_refused(
    plane: Plane, variants: list[dict[str, Any]], more: dict[str, Any], message: str
) -> None:
    plane.given_model()
    with refused(message):
        plane.given_config("c", *variants, **more)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"EnableNetworkIsolation": True}, "network isolation"),
    ],
)
@fidelity(
    "CreateEndpointConfig",
    "A model with network isolation cannot be serverless.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html",
)
def test_serverless_refuses_models_that_it_cannot_host(
    plane: Plane, model: dict[str, Any], message: str
) -> None:
    plane.given_model(**model)
    with refused(message):
        plane.given_config("c", serverless())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "PrimaryContainer or Containers"),
        ({"Containers": []}, "PrimaryContainer or Containers"),
        ({"PrimaryContainer": {}}, "Specify one of either Image and Model Data URL or"),
        (
            {"PrimaryContainer": {"Image": "i", "Environment": {"A" * 1000: "b" * 1000}}},
            None,
        ),
        (
            {
                "PrimaryContainer": {
                    "Image": "i",
                    "Environment": {f"{n:04}".replace("0", "A", 1): "b" * 1024 for n in range(40)},
                }
            },
            "bytes long",
        ),
    ],
)
@fidelity(
    "CreateModel",
    "One of PrimaryContainer and Containers, one of Image and ModelPackageName, and at most 32 "
    "KB of Environment.",
    DOCUMENTED,
    "botocore: CreateModelInput, ContainerDefinition.Environment",
)
def test_models_that_break_a_rule_are_refused(
    plane: Plane, asked: dict[str, Any], message: str | None
) -> None:
    with refused(message) if message else contextlib.nullcontext():
        plane.client.create_model(ModelName="x", **asked)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"Type": "CANARY"}, "CanarySize is required"),
        (
            {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 60}},
            "between 1% and 50%",
        ),
        (
            {"Type": "LINEAR", "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 5}},
            "between 10% and 50%",
        ),
        (
            {"Type": "ALL_AT_ONCE", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}},
            "only supported when",
        ),
    ],
)
@fidelity(
    "UpdateEndpoint",
    "A canary is at most half of a variant, a linear step a tenth to a half, and each goes with "
    "its own type of routing only.",
    DOCUMENTED,
    "botocore: TrafficRoutingConfig",
)
def test_deployments_that_break_a_rule_are_refused(
    hosted: Plane, policy: dict[str, Any], message: str
) -> None:
    hosted.given_config("d")
    routing = {"TrafficRoutingConfiguration": {"WaitIntervalInSeconds": 1, **policy}}
    with refused(message):
        hosted.client.update_endpoint(
            EndpointName="e",
            EndpointConfigName="d",
            DeploymentConfig={"BlueGreenUpdatePolicy": routing},
        )


@fidelity(
    "AddTags",
    "A resource has at most 50 tags, none of which begins with `aws:`.",
    DOCUMENTED,
    "botocore: TagList, TagKey",
)
@fidelity(
    "DeleteTags",
    "Keys that the resource has not are ignored.",
    OURS,
    "AWS publishes nothing",
)
def test_tags_are_added_changed_listed_and_taken_away(hosted: Plane) -> None:
    arn = f"{ARN}:endpoint/e"
    hosted.client.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    found = hosted.client.add_tags(
        ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "3"}]
    )
    wanted = [{"Key": "a", "Value": "3"}, {"Key": "b", "Value": "2"}]
    assert found["Tags"] == hosted.client.list_tags(ResourceArn=arn)["Tags"] == wanted
    hosted.client.delete_tags(ResourceArn=arn, TagKeys=["a", "x"])
    assert hosted.client.list_tags(ResourceArn=arn)["Tags"] == wanted[1:]
    with refused("Resource does not exist."):
        hosted.client.list_tags(ResourceArn=f"{ARN}:endpoint/x")
    with refused("Resource does not exist."):
        hosted.client.list_tags(ResourceArn="arn:aws:sagemaker:us-east-1:123456789012:\ud800")
    with refused("aws: prefixed"):
        hosted.client.add_tags(ResourceArn=arn, Tags=[{"Key": "aws:x", "Value": "2"}])
    with refused("at most 50"):
        hosted.client.add_tags(
            ResourceArn=arn, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)]
        )


def test_tags_given_at_creation_go_with_the_resource(plane: Plane) -> None:
    plane.given_model(Tags=[{"Key": "a", "Value": "1"}])
    arn = f"{ARN}:model/m"
    assert plane.client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
    plane.client.delete_model(ModelName="m")
    plane.given_model()
    assert plane.client.list_tags(ResourceArn=arn)["Tags"] == []


@fidelity(
    "ListModels",
    "Pages hold 10 rows unless MaxResults says otherwise, newest first, and rows that come and "
    "go between two pages shift nothing.",
    DOCUMENTED,
    "botocore: ListEndpointsInput.MaxResults",
)
def test_lists_are_paged_by_botocores_paginators_while_rows_come_and_go(plane: Plane) -> None:
    for number in range(25):
        plane.given_model(f"m-{number:02}")
    seen = []
    pages = plane.client.get_paginator("list_models").paginate(SortBy="Name", SortOrder="Ascending")
    for number, page in enumerate(pages):
        seen += [model["ModelName"] for model in page["Models"]]
        if number == 0:
            assert len(seen) == 10
            plane.client.delete_model(ModelName="m-09")
            plane.given_model("m-00a")
    assert seen == [f"m-{number:02}" for number in range(25)]
    newest = plane.client.list_models(MaxResults=3)
    assert [model["ModelName"] for model in newest["Models"]] == ["m-24", "m-23", "m-22"]
    for bad in ("x", newest["NextToken"]):
        with refused("Invalid NextToken"):
            plane.client.list_models(NextToken=bad, NameContains="m")


@pytest.mark.anyio
@fidelity(
    "ListEndpoints",
    "CreationTimeAfter includes its own instant; CreationTimeBefore and the LastModifiedTime "
    "filters do not.",
    DOCUMENTED,
    "botocore: ListEndpointsInput",
)
async def test_lists_are_filtered_by_name_time_and_status(hosted: Plane) -> None:
    start = hosted.clock.time()
    await hosted.clock.advance(100)
    hosted.client.create_endpoint(EndpointName="Other", EndpointConfigName="c")

    def names(**filters: Any) -> list[str]:
        found = hosted.client.list_endpoints(**filters)["Endpoints"]
        return [endpoint["EndpointName"] for endpoint in found]

    assert names() == ["Other", "e"]
    assert names(SortOrder="Ascending") == ["e", "Other"]
    assert names(SortBy="Status", SortOrder="Ascending") == ["Other", "e"]
    assert names(NameContains="oth") == ["Other"]
    assert names(CreationTimeAfter=start + 100) == ["Other"]
    assert names(CreationTimeBefore=start + 100) == ["e"]
    assert names(LastModifiedTimeAfter=start + 99) == ["Other"]
    assert names(LastModifiedTimeBefore=start + 1) == ["e"]
    assert names(StatusEquals="Creating") == ["Other"]
    assert hosted.client.list_endpoint_configs()["EndpointConfigs"][0]["EndpointConfigName"] == "c"


def test_an_operation_that_is_not_emulated_says_so(plane: Plane) -> None:
    with refused("The lab does not emulate ListTrainingJobs", "UnknownOperationException"):
        plane.client.list_training_jobs()


def test_what_was_made_survives_the_emulator(hosted: Plane, tmp_path: Path) -> None:
    before = hosted.client.describe_endpoint(EndpointName="e")
    again = Plane(tmp_path)
    after = again.client.describe_endpoint(EndpointName="e")
    before.pop("ResponseMetadata")
    after.pop("ResponseMetadata")
    assert after == before
    again.store.close()
