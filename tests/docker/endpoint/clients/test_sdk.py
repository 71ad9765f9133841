"""The SageMaker Python SDK, version 2 and 3, beyond the one call of `test_clients.py`."""

import tarfile
from pathlib import Path

import pytest

from tests.docker.endpoint.clients.conftest import Run
from tests.docker.endpoint.site import ACCOUNT, BUCKET, INSTANCE_TYPE, REGION, Site
from tests.fidelity import ABSENT, DOCUMENTED, SEEN, fidelity

pytestmark = pytest.mark.long


@fidelity(
    "Clients",
    "Payloads of the SDK's JSON, JSON lines, CSV, NumPy and identity serializers reach the "
    "container with their content type, and what its deserializer takes is sent as Accept.",
    DOCUMENTED,
    "https://sagemaker.readthedocs.io/en/v2/api/inference/serializers.html",
)
def test_serializers_of_sdk_2_reach_the_container(sdk2: Run) -> None:
    said = sdk2("serializers", instance_type=INSTANCE_TYPE)
    kinds = {name: seen["headers"]["content-type"] for name, seen in said["got"].items()}
    assert kinds == {
        "JSONSerializer": "application/json",
        "JSONLinesSerializer": "application/jsonlines",
        "CSVSerializer": "text/csv",
        "NumpySerializer": "application/x-npy",
        "IdentitySerializer": "image/jpeg",
    }
    assert {seen["headers"]["accept"] for seen in said["got"].values()} == {"application/json"}
    assert said["got"]["CSVSerializer"]["bytes"] == len("1,2\n3,4")
    assert (said["text"], said["raw"]) == ("words", "bytes")
    assert said["named"]["headers"]["x-amzn-sagemaker-custom-attributes"] == "trace=1"
    assert said["named"]["headers"]["x-amzn-sagemaker-inference-id"] == "mine"


@fidelity(
    "Clients",
    "AsyncPredictor waits for results and failures at the locations that the answer named, and "
    "raises AsyncInferenceModelError with the failure's text.",
    DOCUMENTED,
    "https://sagemaker.readthedocs.io/en/v2/api/inference/predictor_async.html",
)
def test_sdk_2_predicts_asynchronously(sdk2: Run) -> None:
    said = sdk2("asynchronous", instance_type=INSTANCE_TYPE)
    assert (said["waited"]["id"], said["later"]["id"]) == ("waited", "later")
    bucket = f"s3://sagemaker-{REGION}-{ACCOUNT}/async-endpoint-outputs/"
    assert said["output"].startswith(bucket)
    assert said["failed"].startswith("Model returned error: ")
    assert 'Received server error (500) from primary with message "no"' in said["failed"]


@fidelity(
    "Clients",
    "ServerlessInferenceConfig() of the SDK makes a serverless endpoint of 2048 MB and 5 requests "
    "at a time.",
    DOCUMENTED,
    "https://sagemaker.readthedocs.io/en/v2/api/inference/serverless.html",
)
def test_sdk_2_deploys_serverless(sdk2: Run) -> None:
    said = sdk2("serverless")
    assert said["seen"]["id"] == "serverless"
    assert said["config"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}


@fidelity(
    "Clients",
    "What DataCaptureConfig of the SDK asks for is found by its S3Downloader, a JSON line each.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html",
)
def test_sdk_2_reads_what_was_captured(sdk2: Run) -> None:
    said = sdk2("capture", instance_type=INSTANCE_TYPE, bucket=BUCKET)
    (line,) = said["lines"]
    assert line["eventMetadata"]["inferenceId"] == "captured-1"
    assert line["captureData"]["endpointOutput"]["data"] == '{"grade": 1}'
    assert said["files"][0].startswith(f"s3://{BUCKET}/captured/{said['endpoint']}/AllTraffic/")


@fidelity(
    "Clients",
    "update_endpoint of the SDK's predictor puts another model behind the endpoint, which keeps "
    "its name.",
    DOCUMENTED,
    "https://sagemaker.readthedocs.io/en/v2/api/inference/predictors.html",
)
def test_sdk_2_updates_an_endpoint(sdk2: Run) -> None:
    said = sdk2("update", instance_type=INSTANCE_TYPE)
    assert said == {"names": ["first", "second", "second"], "instances": 2}


@fidelity(
    "Clients",
    "An archive that upload_data of the SDK put into the default bucket is unpacked for the "
    "container.",
    DOCUMENTED,
    "https://sagemaker.readthedocs.io/en/v2/api/utility/session.html",
)
def test_sdk_2_uploads_model_data_to_its_default_bucket(
    sdk2: Run, archive: Path, site: Site
) -> None:
    said = sdk2("archive", instance_type=INSTANCE_TYPE, folder=str(archive.parent))
    assert said["data"] == f"s3://sagemaker-{REGION}-{ACCOUNT}/sdk2/model/model.tar.gz"
    assert said["seen"]["model"] == ["weights.txt"]


@fidelity(
    "Clients",
    "The SDK raises what a failed endpoint's FailureReason says.",
    DOCUMENTED,
    "botocore: DescribeEndpointOutput.FailureReason",
)
def test_both_sdks_say_why_an_endpoint_failed(sdk2: Run, sdk3: Run) -> None:
    second = sdk2("failing", instance_type=INSTANCE_TYPE)
    assert second["status"] == "Failed"
    for said in (second["said"], sdk3("failing", instance_type=INSTANCE_TYPE)["said"]):
        assert "did not pass the ping health check" in said
        assert "no such file: weights.bin" in said


@fidelity(
    "Clients",
    "Tags, volume size and time-outs given to deploy() of the SDK are described again, and its "
    "predictor switches capture on and off.",
    DOCUMENTED,
    "https://sagemaker.readthedocs.io/en/v2/api/inference/model.html",
)
def test_sdk_2_s_further_options_are_kept(sdk2: Run) -> None:
    said = sdk2("options", instance_type=INSTANCE_TYPE, bucket=BUCKET)
    wanted = {
        "VolumeSizeInGB": 30,
        "ModelDataDownloadTimeoutInSeconds": 600,
        "ContainerStartupHealthCheckTimeoutInSeconds": 600,
    }
    assert said["variant"].items() >= wanted.items()
    assert said["capture"] == [True, False]
    assert said["tags"] == [{"Key": "team", "Value": "lab"}]


@fidelity(
    "Clients",
    "What the SDK can ask for and the lab does not emulate (several models or containers, a VPC, a "
    "key, a GPU) is refused by CreateModel or CreateEndpointConfig, before there is an endpoint.",
    ABSENT,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints-options.html",
)
def test_what_is_not_emulated_is_refused_before_there_is_an_endpoint(sdk2: Run) -> None:
    said = sdk2("refused", instance_type=INSTANCE_TYPE, bucket=BUCKET)
    assert {what: one.get("operation") for what, one in said.items()} == {
        "several models": "CreateModel",
        "several containers": "CreateModel",
        "a VPC": "CreateModel",
        "a key": "CreateEndpointConfig",
        "a GPU": "CreateEndpointConfig",
    }
    assert {one["Code"] for one in said.values()} == {"ValidationException"}
    assert all(one["Message"].startswith("The lab ") for one in said.values())


@fidelity(
    "Clients",
    "account_id(), default_bucket() without a bucket in the settings, and get_execution_role() of "
    "the SDKs ask STS at AWS's own address, whatever the environment says: with DefaultS3Bucket in "
    "the SDK's settings file the first two are not needed.",
    SEEN,
    "https://github.com/aws/sagemaker-python-sdk/blob/master/src/sagemaker/session.py",
)
def test_the_sdk_s_account_is_asked_of_aws_whatever_the_environment_says(sdk2: Run) -> None:
    said = sdk2("account")
    assert said["asked"] == f"https://sts.{REGION}.amazonaws.com"
    assert said["boto3"] == ACCOUNT


@fidelity(
    "Clients",
    "An endpoint of the SDK 3 with a serializer and a deserializer answers with what was read.",
    DOCUMENTED,
    "https://sagemaker.readthedocs.io/en/stable/",
)
def test_sdk_3_serializes(sdk3: Run) -> None:
    assert sdk3("serialized", instance_type=INSTANCE_TYPE)["seen"]["id"] == "serialized"


@fidelity(
    "Clients",
    "invoke_async of the SDK 3 says where the result will be, and where the failure.",
    DOCUMENTED,
    "botocore: InvokeEndpointAsyncOutput.FailureLocation",
)
def test_sdk_3_predicts_asynchronously(sdk3: Run) -> None:
    said = sdk3("asynchronous", instance_type=INSTANCE_TYPE, bucket=BUCKET)
    assert said["output"] == "result"
    assert 'Received server error (500) from primary with message "no"' in said["failure"]


@fidelity(
    "Clients",
    "ModelBuilder of the SDK 3 builds and deploys an image of the user's: it asks IAM what the "
    "role may do first.",
    DOCUMENTED,
    "https://sagemaker.readthedocs.io/en/stable/",
)
def test_the_model_builder_of_sdk_3_deploys(sdk3: Run, archive: Path, site: Site) -> None:
    site.s3.upload_file(str(archive), BUCKET, "builder/model.tar.gz")
    said = sdk3("builder", instance_type=INSTANCE_TYPE, data=f"s3://{BUCKET}/builder/model.tar.gz")
    assert said["model"]
    assert (said["seen"]["name"], said["seen"]["model"]) == ("built", ["weights.txt"])


@pytest.fixture(name="archive")
def _archive(tmp_path: Path) -> Path:
    (tmp_path / "weights.txt").write_text("weights")
    made = tmp_path / "data/model.tar.gz"
    made.parent.mkdir()
    with tarfile.open(made, "w:gz") as archive:
        archive.add(tmp_path / "weights.txt", "weights.txt")
    return made
