"""What boto3's clients of other services get at the emulator's address."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.fidelity import ABSENT, DOCUMENTED, OURS, fidelity
from tests.unit.services.endpoint.standing import Standing, standing

DIMENSION = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/eye/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
CALLS: list[tuple[str, str, dict[str, Any], str, str]] = [
    (
        "application-autoscaling",
        "register_scalable_target",
        DIMENSION,
        "Application Auto Scaling",
        "UpdateEndpointWeightsAndCapacities",
    ),
    ("cloudwatch", "list_metrics", {}, "CloudWatch", "http://127.0.0.1:9090"),
    ("logs", "describe_log_groups", {}, "CloudWatch Logs", "lab endpoint logs"),
    ("sns", "create_topic", {"Name": "x"}, "SNS", "lab endpoint logs"),
    ("sqs", "list_queues", {}, "SQS", "output in S3"),
    ("ecr", "describe_repositories", {}, "ECR", "registry"),
    ("s3", "list_buckets", {}, "S3", "AWS_ENDPOINT_URL_S3=http://127.0.0.1:9000"),
    ("s3", "get_object", {"Bucket": "bucket", "Key": "a/b"}, "S3", "AWS_ENDPOINT_URL_S3"),
    ("s3", "put_object", {"Bucket": "b-ucket", "Key": "k", "Body": bytes(9 << 20)}, "S3", "S3"),
    ("lambda", "list_functions", {}, "Lambda", "plain program"),
    ("kms", "list_keys", {}, "KMS", "KmsKeyId"),
    ("ec2", "describe_vpcs", {}, "EC2", "VpcConfig"),
    ("iam", "create_role", {"RoleName": "x", "AssumeRolePolicyDocument": "{}"}, "IAM", "GetRole"),
    ("sts", "get_federation_token", {"Name": "xy"}, "STS", "GetCallerIdentity"),
    ("cloudformation", "list_stacks", {}, "CloudFormation", "SageMaker's own calls"),
    ("secretsmanager", "list_secrets", {}, "Secrets Manager", "Environment"),
    ("autoscaling", "describe_policies", {}, "EC2 Auto Scaling", "Weights"),
    ("events", "list_rules", {}, "EventBridge", "DescribeEndpoint"),
    ("dynamodb", "list_tables", {}, "'dynamodb'", "SageMaker's hosting"),
    ("route53", "list_hosted_zones", {}, "'route53'", "SageMaker's hosting"),
    ("bedrock-runtime", "list_async_invokes", {}, "'bedrock'", "SageMaker's hosting"),
    (
        "sagemaker-featurestore-runtime",
        "get_record",
        {"FeatureGroupName": "x", "RecordIdentifierValueAsString": "1"},
        "SageMaker Feature Store",
        "hosting",
    ),
    (
        "sagemaker-a2i-runtime",
        "describe_human_loop",
        {"HumanLoopName": "x"},
        "Augmented",
        "hosting",
    ),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(tmp_path_factory.mktemp("state")) as one:
        yield one


@fidelity(
    "Other services",
    "A call of any other service of AWS's is refused with `NotEmulated` and 501: the message names "
    "the service and what to use instead, in the protocol that the caller speaks.",
    ABSENT,
    "botocore: metadata.protocols of each service's model",
)
@pytest.mark.parametrize(
    ("service", "call", "arguments", "named", "instead"),
    CALLS,
    ids=[f"{row[0]}-{row[1]}" for row in CALLS],
)
def test_boto3_shows_which_service_is_not_here_and_what_to_use(
    lab: Standing, service: str, call: str, arguments: dict[str, Any], named: str, instead: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(lab.client(service), call)(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == "NotEmulated"
    assert named in error["Message"]
    assert instead in error["Message"]
    assert error["Message"].startswith("The lab does not emulate ")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


@pytest.mark.parametrize("protocol", ["smithy-rpc-v2-cbor", "json", "query"])
def test_every_protocol_that_cloudwatch_was_ever_asked_in_is_spoken(
    lab: Standing, protocol: str
) -> None:
    session = boto3.Session()
    core = session._session
    real = core.get_component("data_loader")
    model = dict(real.load_service_model("cloudwatch", "service-2"))
    model["metadata"] = {**model["metadata"], "protocols": [protocol], "protocol": protocol}
    core.register_component("data_loader", _Loader(real, model))
    client = session.client(
        "cloudwatch",
        endpoint_url=f"http://127.0.0.1:{lab.port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )
    with pytest.raises(ClientError, match="Prometheus") as caught:
        client.put_metric_data(Namespace="x", MetricData=[{"MetricName": "m", "Value": 1.0}])
    assert caught.value.response["Error"]["Code"] == "NotEmulated"
    client.close()


class _Loader:
    """Botocore's, but for one service's model."""

    def __init__(self, real: Any, model: dict[str, Any]) -> None:
        self._real = real
        self._model = model

    def load_service_model(self, service: str, kind: str, *rest: Any, **more: Any) -> Any:
        if (service, kind) == ("cloudwatch", "service-2"):
            return self._model
        return self._real.load_service_model(service, kind, *rest, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@fidelity(
    "Other services",
    "GetCallerIdentity names the lab's account, and a session of the lab's role as the caller.",
    OURS,
    "A role, so that get_execution_role() of SageMaker's SDK finds one: "
    "https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html",
)
@fidelity(
    "Other services",
    "GetRole answers for every name, with an ARN of the lab's account: nothing is permitted or "
    "forbidden here.",
    OURS,
    "ModelBuilder and get_execution_role() of SageMaker's SDK ask for the role that they run as.",
)
def test_the_caller_is_a_session_of_a_role_that_iam_knows(lab: Standing) -> None:
    who = lab.client("sts").get_caller_identity()
    assert who["Account"] == "000000000000"
    found = re.fullmatch(r"arn:aws:sts::000000000000:assumed-role/([\w-]+)/([\w-]+)", who["Arn"])
    assert found is not None
    role = lab.client("iam").get_role(RoleName=found[1])["Role"]
    assert role["Arn"] == f"arn:aws:iam::000000000000:role/{found[1]}"
    assert who["UserId"] == f"{role['RoleId']}:{found[2]}"
    trusted = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
    assert trusted == {"Service": "sagemaker.amazonaws.com"}


@fidelity(
    "Other services",
    "SimulatePrincipalPolicy finds every action of every role allowed.",
    OURS,
    "ModelBuilder of SageMaker's SDK 3 asks it of the execution role before it makes a model.",
)
def test_every_role_may_do_everything(lab: Standing) -> None:
    simulated = (
        lab.client("iam")
        .get_paginator("simulate_principal_policy")
        .paginate(
            PolicySourceArn="arn:aws:iam::000000000000:role/any",
            ActionNames=["sagemaker:CreateModel", "s3:GetObject"],
        )
    )
    results = [result for page in simulated for result in page["EvaluationResults"]]
    assert [(one["EvalActionName"], one["EvalDecision"]) for one in results] == [
        ("sagemaker:CreateModel", "allowed"),
        ("s3:GetObject", "allowed"),
    ]


@fidelity(
    "Other services",
    "AssumeRole answers with the role's own account and the session's name in the caller's ARN.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html",
)
@fidelity(
    "Other services",
    "AssumeRole and GetSessionToken give out the caller's own keys under a new token.",
    OURS,
    "Only keys that the lab was given have signatures that it can verify.",
)
def test_temporary_credentials_work_where_signatures_are_verified(tmp_path: Path) -> None:
    with standing(tmp_path, access_keys={"AKID": "secret"}) as lab:
        sts = lab.client("sts", key="AKID", secret="secret")
        arn = "arn:aws:iam::111122223333:role/service-role/mine"
        taken = sts.assume_role(RoleArn=arn, RoleSessionName="me+you")
        assert taken["AssumedRoleUser"]["Arn"] == (
            "arn:aws:sts::111122223333:assumed-role/mine/me+you"
        )
        for one in (taken["Credentials"], sts.get_session_token()["Credentials"]):
            client = boto3.client(
                "sagemaker",
                endpoint_url=f"http://127.0.0.1:{lab.port}",
                region_name="us-east-1",
                aws_access_key_id=one["AccessKeyId"],
                aws_secret_access_key=one["SecretAccessKey"],
                aws_session_token=one["SessionToken"],
                config=Config(proxies={}),
            )
            assert client.list_endpoints()["Endpoints"] == []
            client.close()
        with pytest.raises(ClientError, match=r"SignatureDoesNotMatch"):
            lab.client("sts", key="AKID", secret="wrong").get_caller_identity()
        with pytest.raises(ClientError, match=r"InvalidClientTokenId"):
            lab.client("iam", key="other", secret="wrong").get_role(RoleName="x")


@fidelity(
    "Other services",
    "GetRole refuses a name with other characters than `\\w+=,.@-`.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html",
)
def test_what_aws_refuses_of_a_role_is_refused(lab: Standing) -> None:
    with pytest.raises(ClientError, match=r"ValidationError.*roleName is invalid"):
        lab.client("iam").get_role(RoleName="a b")
    with pytest.raises(ClientError, match=r"ValidationError.*is invalid"):
        lab.client("sts").assume_role(RoleArn="arn:aws:iam::1:role/some-role", RoleSessionName="me")


def test_who_signs_nothing_is_known_by_the_form_of_the_call(lab: Standing) -> None:
    url = f"http://127.0.0.1:{lab.port}/"
    asked = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
    for answer in (httpx.post(url, data=asked), httpx.get(url, params=asked)):
        assert answer.status_code == 200
        assert "<Account>000000000000</Account>" in answer.text
    answer = httpx.post(url, data={"Action": "Publish", "Version": "2010-03-31"})
    assert "<Message>The lab does not emulate SNS." in answer.text
    answer = httpx.post(
        url, json={}, headers={"X-Amz-Target": "AnyScaleFrontendService.PutScalingPolicy"}
    )
    assert "Application Auto Scaling" in answer.json()["message"]


def test_a_form_that_names_an_operation_of_sagemakers_is_for_sagemaker(lab: Standing) -> None:
    """As `curl -d` sends it."""
    answer = httpx.post(
        f"http://127.0.0.1:{lab.port}/",
        content=b"{}",
        headers={
            "X-Amz-Target": "SageMaker.ListEndpoints",
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    assert answer.json() == {"Endpoints": []}


def test_a_presigned_url_of_s3s_gets_s3s_form_of_an_error(lab: Standing) -> None:
    url = lab.client("s3").generate_presigned_url("get_object", {"Bucket": "b-b", "Key": "k"})
    answer = httpx.get(url)
    assert answer.status_code == 501
    assert "<Error><Code>NotEmulated</Code><Message>The lab does not emulate S3." in answer.text


def test_a_client_that_waits_before_its_body_is_refused_without_it(lab: Standing) -> None:
    with socket.create_connection(("127.0.0.1", lab.port), timeout=30) as connection:
        credential = "test/20260101/us-east-1/s3/aws4_request"
        head = (
            "PUT /bucket/key HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n"
            "Expect: 100-continue\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, "
            "Signature=0\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 501"
