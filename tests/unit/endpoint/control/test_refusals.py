"""Which call says no to what, and in whose words."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.endpoint.clock import SystemClock
from lab.endpoint.control import unemulated
from lab.endpoint.protocol.errors import ApiError
from tests.fidelity import ABSENT, DOCUMENTED, OURS, SEEN, fidelity
from tests.unit.endpoint.control.test_operations import refused
from tests.unit.endpoint.controlled import ACCOUNT, ARN, MODEL, Plane, instance, serverless

ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"
ECR = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
VPC = {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
CAPTURE = {
    "InitialSamplingPercentage": 1,
    "DestinationS3Uri": "s3://b/x",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}
S3_SOURCE = {"S3Uri": "s3://b/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}
MISSPELT = ("Tiny:1", "tiny:", "tiny:1:2", "/tiny", "tiny/", "tiny@sha256:12", "localhost/Tiny")
EXPLAINER = {
    "ClarifyExplainerConfig": {"ShapConfig": {"ShapBaselineConfig": {"ShapBaseline": "1,2"}}}
}


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    made = Plane(tmp_path, max_instances=5)
    yield made
    made.store.close()


def make(plane: Plane, container: Mapping[str, Any], **more: Any) -> None:
    asked = {"PrimaryContainer": container, "ExecutionRoleArn": ROLE, **more}
    asked = {name: value for name, value in asked.items() if value is not None}
    plane.client.create_model(ModelName="x", **asked)


# --- what a model is made from


@fidelity(
    "CreateModel",
    "An image that no registry has is refused at once: `Requested image ... not found.`.",
    SEEN,
    "https://github.com/aws-samples/easy-amazon-sagemaker-deployments/issues/4",
)
def test_an_image_that_is_nowhere_makes_no_model(plane: Plane) -> None:
    plane.artifacts.missing.add("tiny:nonesuch")
    with refused("Requested image tiny:nonesuch not found."):
        make(plane, {"Image": "tiny:nonesuch"})
    assert plane.client.list_models()["Models"] == []


@fidelity(
    "CreateModel",
    "Model data that is not in S3 is refused at once: `Could not find model data at s3://...`.",
    SEEN,
    "https://github.com/aws/aws-step-functions-data-science-sdk-python/issues/61",
)
@pytest.mark.parametrize(
    "container",
    [{"ModelDataUrl": "s3://b/m/"}, {"ModelDataSource": {"S3DataSource": S3_SOURCE}}],
)
def test_data_that_is_not_there_makes_no_model(plane: Plane, container: dict[str, Any]) -> None:
    plane.artifacts.missing.add("s3://b/m/")
    with refused("Could not find model data at s3://b/m/."):
        make(plane, {"Image": "tiny", **container})
    assert plane.client.list_models()["Models"] == []


@fidelity(
    "CreateModel",
    'An image of another region\'s ECR is refused: `Region of "..." does not match expected '
    "region of us-east-1. Cross region ECR image pulls are not allowed.`.",
    SEEN,
    "https://github.com/aws/sagemaker-pytorch-inference-toolkit/pull/7",
)
@fidelity(
    "CreateModel",
    'An image of another registry than ECR is refused: `Using non-ECR image "..." without Vpc '
    "repository access mode is not supported.`.",
    SEEN,
    "https://github.com/aws/sagemaker-python-sdk/pull/4700",
)
@fidelity(
    "CreateModel",
    'A malformed ECR address is refused: `ECR image "..." is invalid.`.',
    SEEN,
    "https://github.com/aws/amazon-sagemaker-examples/issues/195",
)
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/tea:7",
            (
                f'Region of "{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/tea:7" does not match '
                "expected region of us-east-1. Cross region ECR image pulls are not allowed."
            ),
        ),
        (
            "ghcr.io/team/tea:7",
            (
                'Using non-ECR image "ghcr.io/team/tea:7" without Vpc repository access mode is '
                "not supported."
            ),
        ),
        ("public.ecr.aws/team/tea:7", 'Using non-ECR image "public.ecr.aws/team/tea:7" without'),
        ("docker.io/library/tea", 'Using non-ECR image "docker.io/library/tea" without'),
        ("example.com:5000/tea", 'Using non-ECR image "example.com:5000/tea" without'),
        (f"{ECR}/Tea:7", f'ECR image "{ECR}/Tea:7" is invalid.'),
        (f"{ECR}/tea:", f'ECR image "{ECR}/tea:" is invalid.'),
        (f"{ECR}/tea@sha256:12", f'ECR image "{ECR}/tea@sha256:12" is invalid.'),
        (f"{ECR}/", f'ECR image "{ECR}/" is invalid.'),
        (f"1{ECR}/tea", f'ECR image "1{ECR}/tea" is invalid.'),
        (ECR, f'ECR image "{ECR}" is invalid.'),
        *((name, f'The lab cannot read the image name "{name}"') for name in MISSPELT),
    ],
)
def test_a_name_that_aws_would_not_take_makes_no_model(
    plane: Plane, image: str, message: str
) -> None:
    with refused(message):
        make(plane, {"Image": image})
    assert plane.artifacts.looked_for == []


@fidelity(
    "CreateModel",
    "An image may be named by tag, by digest or by neither, and be of another account's ECR.",
    DOCUMENTED,
    "botocore: ContainerDefinition.Image; "
    "https://github.com/aws/sagemaker-pytorch-inference-toolkit/pull/7",
)
@fidelity(
    "CreateModel",
    "An image may have a local name, without a registry: AWS takes ECR's only, and the answer's "
    "`x-lab-note` and the emulator's log say so.",
    OURS,
    "what the lab is for",
)
@pytest.mark.parametrize(
    ("image", "local"),
    [
        (f"{ECR}/tea", False),
        (f"{ECR}/team-a/tea__x:7", False),
        (f"{ECR}/tea@sha256:{'a' * 64}", False),
        ("999999999999.dkr.ecr.us-east-1.amazonaws.com/tea:7", False),
        ("tiny", True),
        (f"tiny:1@sha256:{'a' * 64}", True),
        (f"sha256:{'a' * 64}", True),
        ("inference-lab/tiny:1-amd64", True),
        ("localhost:5000/tiny:1", True),
        ("127.0.0.1:5000/tiny", True),
    ],
)
def test_names_of_ecr_and_of_this_machine_make_a_model(
    plane: Plane, image: str, *, local: bool
) -> None:
    make(plane, {"Image": image})
    said = plane.control.notes(
        "CreateModel", {"ModelName": "x", "PrimaryContainer": {"Image": image}}
    )
    assert [image in note for note in said] == [True] * local


@fidelity(
    "CreateModel",
    "A role of another account cannot be passed: AccessDeniedException.",
    SEEN,
    "https://github.com/aws-samples/amazon-bedrock-samples/issues/624 (of Bedrock; IAM is one)",
)
@fidelity(
    "CreateEndpointConfig",
    "A role of another account cannot be passed: AccessDeniedException, as in CreateModel.",
    SEEN,
    "https://github.com/aws-samples/amazon-bedrock-samples/issues/624 (of Bedrock; IAM is one)",
)
def test_a_role_of_another_account_is_refused(hosted: Plane) -> None:
    other = "arn:aws:iam::999999999999:role/r"
    message = "Cross-account pass role is not allowed."
    with refused(message, "AccessDeniedException"):
        make(hosted, {"Image": "tiny"}, ExecutionRoleArn=other)
    with refused(message, "AccessDeniedException"):
        hosted.given_config("d", ExecutionRoleArn=other)


@fidelity(
    "CreateModel",
    "A prefix cannot be compressed: S3Prefix goes with None.",
    DOCUMENTED,
    "botocore: S3ModelDataSource.CompressionType",
)
def test_a_compressed_prefix_is_refused(plane: Plane) -> None:
    source = {**S3_SOURCE, "CompressionType": "Gzip"}
    with refused("The lab refuses S3DataType S3Prefix with CompressionType Gzip"):
        make(plane, {"Image": "i", "ModelDataSource": {"S3DataSource": source}})


# --- what is not emulated


@fidelity(
    "CreateModel",
    "Several containers, multi-model containers, model packages, private registries, a VpcConfig, "
    "additional sources of model data, manifests and hubs are refused by name.",
    ABSENT,
    "botocore: CreateModelInput, ContainerDefinition",
)
@pytest.mark.parametrize(
    ("above", "container", "what"),
    [
        ({"VpcConfig": VPC}, {}, "VpcConfig"),
        ({"InferenceExecutionConfig": {"Mode": "Direct"}}, {}, "InferenceExecutionConfig"),
        (
            {"Containers": [{"Image": "a"}, {"Image": "b"}], "PrimaryContainer": None},
            {},
            "a model of 2 containers",
        ),
        ({}, {"Mode": "MultiModel", "ModelDataUrl": "s3://b/m/"}, "Mode MultiModel"),
        ({}, {"MultiModelConfig": {"ModelCacheSetting": "Enabled"}}, "MultiModelConfig"),
        ({}, {"Image": None, "ModelPackageName": "package"}, "ModelPackageName"),
        ({}, {"InferenceSpecificationName": "s"}, "InferenceSpecificationName"),
        (
            {},
            {"AdditionalModelDataSources": [{"ChannelName": "c", "S3DataSource": S3_SOURCE}]},
            "AdditionalModelDataSources",
        ),
        (
            {},
            {"ImageConfig": {"RepositoryAccessMode": "Vpc"}},
            "ImageConfig.RepositoryAccessMode Vpc",
        ),
        (
            {},
            {"ModelDataSource": {"S3DataSource": {**S3_SOURCE, "ManifestS3Uri": "s3://b/m"}}},
            "ModelDataSource.S3DataSource.ManifestS3Uri",
        ),
    ],
)
def test_a_model_that_is_not_emulated_is_refused_when_it_is_made(
    plane: Plane, above: dict[str, Any], container: dict[str, Any], what: str
) -> None:
    with refused(f"The lab does not emulate {what}; on SageMaker it may work."):
        make(plane, {"Image": "i", **container}, **above)
    assert plane.artifacts.looked_for == []


@fidelity(
    "CreateEndpointConfig",
    "KMS keys, a VpcConfig, explainers, cross-Region traffic, instance pools, accelerators, "
    "capacity reservations, core dumps, SSM access and inference components are refused by name.",
    ABSENT,
    "botocore: CreateEndpointConfigInput, ProductionVariant",
)
@pytest.mark.parametrize(
    ("variant", "more", "what"),
    [
        ({}, {"KmsKeyId": "key"}, "KmsKeyId"),
        ({}, {"VpcConfig": VPC}, "VpcConfig"),
        ({}, {"DataCaptureConfig": {**CAPTURE, "KmsKeyId": "key"}}, "DataCaptureConfig.KmsKeyId"),
        (
            {},
            {
                "AsyncInferenceConfig": {
                    "OutputConfig": {"S3OutputPath": "s3://b/o", "KmsKeyId": "key"}
                }
            },
            "AsyncInferenceConfig.OutputConfig.KmsKeyId",
        ),
        ({}, {"ExplainerConfig": EXPLAINER}, "ExplainerConfig"),
        (
            {},
            {
                "CrossRegionTrafficConfig": {
                    "MaxInvocationsPerSecondPerInstance": 1,
                    "MaxCrossRegionPercentPerEndpoint": 1,
                }
            },
            "CrossRegionTrafficConfig",
        ),
        (
            {
                "InstanceType": None,
                "InstancePools": [{"InstanceType": "ml.m5.large", "Priority": 1}],
            },
            {},
            "InstancePools",
        ),
        ({"AcceleratorType": "ml.eia2.medium"}, {}, "AcceleratorType"),
        (
            {
                "CapacityReservationConfig": {
                    "CapacityReservationPreference": "capacity-reservations-only"
                }
            },
            {},
            "CapacityReservationConfig",
        ),
        ({"CoreDumpConfig": {"DestinationS3Uri": "s3://b/c"}}, {}, "CoreDumpConfig"),
        ({"EnableSSMAccess": True}, {}, "EnableSSMAccess"),
        ({"InstanceType": "ml.g5.xlarge"}, {}, "ml.g5.xlarge, which has an accelerator"),
        ({"ModelName": None}, {"ExecutionRoleArn": ROLE}, "inference components"),
    ],
)
def test_a_configuration_that_is_not_emulated_is_refused_when_it_is_made(
    plane: Plane, variant: dict[str, Any], more: dict[str, Any], what: str
) -> None:
    plane.given_model()
    with refused(f"The lab does not emulate {what}"):
        plane.given_config("c", instance(**variant), **more)
    assert plane.client.list_endpoint_configs()["EndpointConfigs"] == []


@fidelity(
    "CreateEndpointConfig",
    "VolumeSizeInGB, InferenceAmiVersion, VariantInstanceProvisionTimeoutInSeconds, MetricsConfig "
    "and SNS's topics are described but make no difference, which `x-lab-note` says.",
    ABSENT,
    "botocore: ProductionVariant, MetricsConfig, AsyncInferenceNotificationConfig",
)
@fidelity(
    "CreateModel",
    "ContainerMetricsConfig and ModelAccessConfig are described but make no difference, which "
    "`x-lab-note` says.",
    ABSENT,
    "botocore: ContainerDefinition, S3ModelDataSource",
)
def test_what_makes_no_difference_is_said(plane: Plane) -> None:
    plane.given_model()
    variant = instance(VolumeSizeInGB=5, InferenceAmiVersion="al2-ami-sagemaker-inference-gpu-2")
    config = {
        "EndpointConfigName": "c",
        "ProductionVariants": [variant],
        "MetricsConfig": {"EnableEnhancedMetrics": True},
    }
    plane.client.create_endpoint_config(**config)
    found = plane.client.describe_endpoint_config(EndpointConfigName="c")
    assert found["ProductionVariants"][0]["VolumeSizeInGB"] == 5
    assert plane.control.notes("CreateEndpointConfig", config) == [
        "The lab ignores VolumeSizeInGB: the disk is this machine's.",
        "The lab ignores InferenceAmiVersion: the machine is this one.",
        "The lab ignores MetricsConfig: metrics come as often as LAB_PING_S says.",
    ]
    source = {**S3_SOURCE, "ModelAccessConfig": {"AcceptEula": True}}
    model = {
        "ModelName": "n",
        "PrimaryContainer": {
            "Image": f"{ECR}/tea",
            "ContainerMetricsConfig": {"MetricsEndpoints": [{"MetricsEndpointPath": "/m"}]},
            "ModelDataSource": {"S3DataSource": source},
        },
    }
    plane.client.create_model(**model)
    assert [note.split(":")[0] for note in plane.control.notes("CreateModel", model)] == [
        "The lab ignores ContainerMetricsConfig",
        "The lab ignores ModelDataSource.S3DataSource.ModelAccessConfig",
    ]


@pytest.mark.parametrize(
    ("operation", "instead"),
    [
        ("CreateInferenceComponent", "a production variant of its own"),
        ("CreateTransformJob", "InvokeEndpointAsync"),
        ("CreateModelPackage", "Image and ModelDataUrl in CreateModel"),
        ("CreateNotebookInstance", "It emulates AddTags, CreateEndpoint,"),
    ],
)
@fidelity(
    "Clients",
    "An operation of SageMaker's that is not emulated is named in an UnknownOperationException, "
    "with what to use instead.",
    ABSENT,
    "botocore: sagemaker has several hundred operations, of which 17 are for hosting",
)
def test_an_operation_that_is_not_emulated_says_what_to_use(
    plane: Plane, operation: str, instead: str
) -> None:
    with pytest.raises(ApiError) as caught:
        plane.control.call(operation, {})
    assert caught.value.code == "UnknownOperationException"
    assert f"The lab does not emulate {operation} of SageMaker." in str(caught.value.message)
    assert instead in str(caught.value.message)


# --- names and accounts


@fidelity(
    "AddTags",
    "An ARN of another region is refused: `ARN should be scoped to correct region: ...`.",
    SEEN,
    "https://github.com/aws/amazon-sagemaker-examples/issues/1438 (of DescribeModelPackage)",
)
@fidelity(
    "ListTags",
    "ListTags refuses ARNs of other regions and accounts as AddTags does.",
    SEEN,
    "https://github.com/aws/amazon-sagemaker-examples/issues/1438 (of DescribeModelPackage)",
)
@fidelity(
    "DeleteTags",
    "DeleteTags refuses ARNs of other regions and accounts as AddTags does.",
    SEEN,
    "https://github.com/aws/amazon-sagemaker-examples/issues/1438 (of DescribeModelPackage)",
)
@fidelity(
    "AddTags",
    "An ARN of another account is an AccessDeniedException; the words are the lab's.",
    OURS,
    "AWS's words depend on the caller's policies",
)
@pytest.mark.parametrize(
    "call",
    [
        lambda c, arn: c.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}]),
        lambda c, arn: c.list_tags(ResourceArn=arn),
        lambda c, arn: c.delete_tags(ResourceArn=arn, TagKeys=["a"]),
    ],
)
def test_arns_of_other_regions_and_accounts_are_refused(
    hosted: Plane, call: Callable[[Any, str], Any]
) -> None:
    with refused("ARN should be scoped to correct region: us-east-1"):
        call(hosted.client, f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:endpoint/e")
    with refused("The lab has the account", "AccessDeniedException"):
        call(hosted.client, "arn:aws:sagemaker:us-east-1:999999999999:endpoint/e")
    with refused("Resource does not exist."):
        call(hosted.client, f"{ARN}:training-job/e")


@fidelity(
    "CreateEndpoint",
    "A configuration is named by its name: an ARN does not have the form of one.",
    DOCUMENTED,
    "botocore: EndpointConfigName",
)
@fidelity(
    "DescribeEndpoint",
    "A name with a slash does not have the form of one: a ValidationException names the pattern.",
    DOCUMENTED,
    "botocore: EndpointName",
)
def test_arns_and_paths_are_no_names(hosted: Plane) -> None:
    with refused("at 'endpointConfigName' failed to satisfy constraint"):
        hosted.client.create_endpoint(EndpointName="n", EndpointConfigName=f"{ARN}:endpoint/c")
    with refused("Value 'a/b' at 'endpointName' failed to satisfy constraint"):
        hosted.client.describe_endpoint(EndpointName="a/b")


# --- lists


@fidelity(
    "ListEndpoints",
    "A NextToken is good for the operation, the filters and the order that it came from only.",
    OURS,
    "AWS's tokens are opaque; programs may not rely on one that is reused elsewhere",
)
def test_a_token_of_another_list_is_refused(hosted: Plane) -> None:
    for number in range(3):
        hosted.given_model(f"m{number}")
        hosted.given_config(f"c{number}")
        hosted.given_endpoint(f"e{number}", f"c{number}")
    token = hosted.client.list_models(MaxResults=1)["NextToken"]
    assert hosted.client.list_models(MaxResults=1, NextToken=token)["Models"]
    with refused("Invalid NextToken"):
        hosted.client.list_endpoints(MaxResults=1, NextToken=token)
    with refused("Invalid NextToken"):
        hosted.client.list_endpoint_configs(MaxResults=1, NextToken=token)
    with refused("Invalid NextToken"):
        hosted.client.list_tags(ResourceArn=f"{ARN}:endpoint/e", NextToken=token)


@fidelity(
    "ListModels",
    "CreationTime has whole milliseconds, so that a filter by it finds its own row: "
    "CreationTimeAfter includes it, CreationTimeBefore does not.",
    SEEN,
    "https://github.com/aws/amazon-sagemaker-examples/issues/293; "
    "botocore: ListModelsInput.CreationTimeAfter",
)
def test_a_row_is_found_by_its_own_time(plane: Plane) -> None:
    now = SystemClock().time()
    assert round(now, 3) == now
    plane.clock._epoch = now
    plane.given_model()
    (row,) = plane.client.list_models()["Models"]
    at = row["CreationTime"].timestamp()
    assert round(at, 3) == now

    def names(**filters: float) -> list[str]:
        # Not through boto3, which sends whole seconds: as the CLI sends what its user typed.
        asked = json.loads(json.dumps(filters))
        return [m["ModelName"] for m in plane.control.call("ListModels", asked)["Models"]]

    assert names(CreationTimeAfter=at) == ["m"]
    assert names(CreationTimeBefore=at) == []
    assert names(CreationTimeBefore=at + 0.001) == ["m"]
    assert names(CreationTimeAfter=at + 0.001) == []


# --- instances


@fidelity(
    "UpdateEndpointWeightsAndCapacities",
    "A variant that is named twice is refused, since only one of its two orders could hold.",
    OURS,
    "AWS publishes nothing",
)
def test_a_variant_may_be_named_once_only(hosted: Plane) -> None:
    with refused('names the variant "v" more than once'):
        hosted.client.update_endpoint_weights_and_capacities(
            EndpointName="e",
            DesiredWeightsAndCapacities=[
                {"VariantName": "v", "DesiredInstanceCount": 1},
                {"VariantName": "v", "DesiredInstanceCount": 2},
            ],
        )


@fidelity(
    "Limits",
    "More instances than the account's quota are a ResourceLimitExceeded of CreateEndpoint, "
    "UpdateEndpoint or UpdateEndpointWeightsAndCapacities, with what is used and what was asked.",
    SEEN,
    "https://github.com/aws/amazon-sagemaker-examples/issues/307",
)
@fidelity(
    "Limits",
    "The quota is 20 instances of all endpoints together, or LAB_MAX_INSTANCES.",
    OURS,
    "an account's quotas differ by type, region and age; a machine carries a number of containers",
)
def test_more_instances_than_a_quota_allows_are_never_begun(hosted: Plane) -> None:
    said = (
        "The account-level service limit 'Number of instances across active endpoints' is 5 "
        "Instances, with current utilization of {} Instances and a request delta of {} Instances."
    )
    hosted.given_config("many", instance(InitialInstanceCount=1_000_000_000))
    with refused(said.format(1, 1_000_000_000), "ResourceLimitExceeded"):
        hosted.client.create_endpoint(EndpointName="n", EndpointConfigName="many")
    with refused(said.format(1, 999_999_999), "ResourceLimitExceeded"):
        hosted.client.update_endpoint(EndpointName="e", EndpointConfigName="many")
    hosted.given_config("three", instance(InitialInstanceCount=3))
    hosted.client.create_endpoint(EndpointName="n", EndpointConfigName="three")
    scaled = {"EndpointName": "e", "DesiredWeightsAndCapacities": [{"VariantName": "v"}]}
    with refused(said.format(4, 2), "ResourceLimitExceeded"):
        scaled["DesiredWeightsAndCapacities"][0]["DesiredInstanceCount"] = 3  # type: ignore[index]
        hosted.client.update_endpoint_weights_and_capacities(**scaled)
    assert hosted.client.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService"
    scaled["DesiredWeightsAndCapacities"][0]["DesiredInstanceCount"] = 2  # type: ignore[index]
    hosted.client.update_endpoint_weights_and_capacities(**scaled)
    hosted.fleet.work()
    hosted.fleet.fail("n", "because")
    hosted.given_endpoint("after", "three")


def test_serverless_endpoints_use_no_instances(hosted: Plane) -> None:
    for number in range(7):
        hosted.given_config(f"s{number}", serverless(ProvisionedConcurrency=1))
        hosted.given_endpoint(f"s{number}", f"s{number}")
    hosted.given_config("four", instance(InitialInstanceCount=4))
    hosted.given_endpoint("four", "four")
    assert hosted.client.describe_endpoint(EndpointName="four")["EndpointStatus"] == "InService"


@fidelity(
    "UpdateEndpoint",
    "No alarm rolls an update back, and a rollback is at once: AutoRollbackConfiguration and "
    "RollbackMaximumBatchSize make no difference, which `x-lab-note` says.",
    ABSENT,
    "botocore: DeploymentConfig.AutoRollbackConfiguration, RollingUpdatePolicy",
)
def test_alarms_that_nobody_watches_are_spoken_of(hosted: Plane) -> None:
    hosted.given_config("d")
    asked = {
        "EndpointName": "e",
        "EndpointConfigName": "d",
        "DeploymentConfig": {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]}},
    }
    hosted.client.update_endpoint(**asked)
    assert hosted.control.notes("UpdateEndpoint", asked) == [
        (
            "The lab ignores DeploymentConfig.AutoRollbackConfiguration: there are no alarms to "
            "roll an update back."
        )
    ]


@fidelity(
    "CreateEndpointConfig",
    "Data is captured unless EnableCapture is false: it defaults to enabled.",
    DOCUMENTED,
    "botocore: DataCaptureConfig.EnableCapture",
)
def test_capture_is_enabled_unless_it_is_not(plane: Plane) -> None:
    plane.given_model()
    plane.given_config("on", DataCaptureConfig=CAPTURE)
    plane.given_endpoint("on", "on")
    plane.given_config("off", DataCaptureConfig={**CAPTURE, "EnableCapture": False})
    plane.given_endpoint("off", "off")
    seen = [
        plane.client.describe_endpoint(EndpointName=name)["DataCaptureConfig"]
        for name in ("on", "off")
    ]
    assert [(one["EnableCapture"], one["CaptureStatus"]) for one in seen] == [
        (True, "Started"),
        (False, "Stopped"),
    ]


# --- whether something was forgotten

EMULATED = {
    "CreateModel": {
        "ModelName",
        "PrimaryContainer",
        "Containers",
        "ExecutionRoleArn",
        "Tags",
        "EnableNetworkIsolation",
    },
    "ContainerDefinition": {
        "ContainerHostname",
        "Image",
        "Mode",
        "ModelDataUrl",
        "Environment",
        "ImageConfig.RepositoryAccessMode",
        "ModelDataSource.S3DataSource.S3Uri",
        "ModelDataSource.S3DataSource.S3DataType",
        "ModelDataSource.S3DataSource.CompressionType",
        "ModelDataSource.S3DataSource.ETag",
    },
    "CreateEndpointConfig": {
        "EndpointConfigName",
        "ProductionVariants",
        "ShadowProductionVariants",
        "Tags",
        "ExecutionRoleArn",
        "EnableNetworkIsolation",
        "DataCaptureConfig",
        "AsyncInferenceConfig.ClientConfig",
        "AsyncInferenceConfig.OutputConfig.S3OutputPath",
        "AsyncInferenceConfig.OutputConfig.S3FailurePath",
    },
    "CreateEndpoint": {
        "EndpointName",
        "EndpointConfigName",
        "Tags",
        "DeploymentConfig.BlueGreenUpdatePolicy",
        "DeploymentConfig.RollingUpdatePolicy.MaximumBatchSize",
        "DeploymentConfig.RollingUpdatePolicy.WaitIntervalInSeconds",
        "DeploymentConfig.RollingUpdatePolicy.MaximumExecutionTimeoutInSeconds",
    },
    "ProductionVariant": {
        "VariantName",
        "ModelName",
        "InstanceType",
        "InitialInstanceCount",
        "InitialVariantWeight",
        "ServerlessConfig",
        "ModelDataDownloadTimeoutInSeconds",
        "ContainerStartupHealthCheckTimeoutInSeconds",
        "RoutingConfig",
    },
}


def unaccounted(shape: Any, known: set[str], path: str = "") -> Iterator[str]:
    """Members that are in no table, as paths."""
    for name, member in shape.members.items():
        place = f"{path}{name}"
        if place in known:
            continue
        if any(one.startswith(f"{place}.") for one in known):
            yield from unaccounted(member, known, f"{place}.")
        else:
            yield place


@pytest.mark.parametrize(
    ("what", "refused_here"),
    [
        ("CreateModel", unemulated._MODEL),
        ("ContainerDefinition", unemulated._CONTAINER),
        ("CreateEndpointConfig", unemulated._CONFIG),
        ("CreateEndpoint", {}),
        ("ProductionVariant", unemulated._VARIANT),
    ],
)
def test_every_member_of_a_request_is_emulated_ignored_or_refused(
    what: str, refused_here: Mapping[str, frozenset[str]]
) -> None:
    shape = (
        MODEL.operation_model(what).input_shape
        if what.startswith("Create")
        else MODEL.shape_for(what)
    )
    known = EMULATED[what] | set(unemulated._IGNORED) | set(refused_here)
    assert list(unaccounted(shape, known)) == []
    there = set(refused_here) | EMULATED[what]
    assert not [path for path in there if path.split(".")[0] not in shape.members]
