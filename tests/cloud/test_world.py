"""The AWS that the other tests are held in: it spoils what it is told, and rolls back."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.cloud.world import World

BODY = """
Parameters:
  Image: {Type: String, Default: ""}
Conditions:
  Deploy: !Not [!Equals [!Ref Image, ""]]
Resources:
  Repository:
    Type: AWS::ECR::Repository
    Properties: {RepositoryName: !Sub "${AWS::StackName}/one", EmptyOnDelete: true}
  Bucket:
    Type: AWS::S3::Bucket
    Properties: {BucketName: !Sub "${AWS::StackName}-${AWS::AccountId}"}
  Closed:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Bucket
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - {Effect: Deny, Principal: "*", Action: "s3:*", Resource: !GetAtt Bucket.Arn}
  Role:
    Type: AWS::IAM::Role
    Properties: {AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: []}}
  Model:
    Type: AWS::SageMaker::Model
    Condition: Deploy
    Properties:
      ExecutionRoleArn: !GetAtt Role.Arn
      PrimaryContainer: {Image: !Ref Image}
  Config:
    Type: AWS::SageMaker::EndpointConfig
    Condition: Deploy
    Properties:
      ProductionVariants:
        - VariantName: main
          ModelName: !GetAtt Model.ModelName
          ServerlessConfig: {MemorySizeInMB: 2048, MaxConcurrency: 5}
  Endpoint:
    Type: AWS::SageMaker::Endpoint
    Condition: Deploy
    Properties:
      EndpointName: !Ref AWS::StackName
      EndpointConfigName: !GetAtt Config.EndpointConfigName
Outputs:
  Repository: {Value: !GetAtt Repository.RepositoryUri}
"""
STACK = "inference-lab-one"
SAID = {"StackName": STACK, "TemplateBody": BODY, "Capabilities": ["CAPABILITY_NAMED_IAM"]}


@pytest.fixture
def client() -> Callable[[str], Any]:
    retries = {"mode": "standard", "total_max_attempts": 1}
    return lambda service: boto3.client(service, config=Config(retries=retries))


@pytest.fixture
def stacks(world: World, client: Callable[[str], Any]) -> Any:
    return client("cloudformation")


def given(image: str) -> list[dict[str, str]]:
    return [{"ParameterKey": "Image", "ParameterValue": image}]


def status(stacks: Any) -> str:
    for _ in range(50):
        found: str = stacks.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
        if not found.endswith("_PROGRESS"):
            return found
    raise AssertionError(found)


def test_a_stack_grows_by_its_condition_and_updates_its_endpoint_in_place(
    world: World, stacks: Any
) -> None:
    stacks.create_stack(**SAID)
    assert status(stacks) == "CREATE_COMPLETE"
    assert not world.endpoints()
    stacks.update_stack(**SAID, Parameters=given("x@sha256:1"))
    assert status(stacks) == "UPDATE_COMPLETE"
    before = world.client("sagemaker").describe_endpoint(EndpointName=STACK)
    stacks.update_stack(**SAID, Parameters=given("x@sha256:2"))
    assert status(stacks) == "UPDATE_COMPLETE"
    after = world.client("sagemaker").describe_endpoint(EndpointName=STACK)

    assert after["CreationTime"] == before["CreationTime"]
    assert after["EndpointConfigName"] != before["EndpointConfigName"]
    models = world.client("sagemaker").list_models()["Models"]
    assert len(models) == 1
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stacks.update_stack(**SAID, Parameters=given("x@sha256:2"))
    stacks.delete_stack(StackName=STACK)
    world.formation.settle()
    assert world.left() == []


def test_what_fails_is_rolled_back_and_said_in_its_events(world: World, stacks: Any) -> None:
    stacks.create_stack(**SAID)
    status(stacks)
    world.formation.fail("AWS::SageMaker::Endpoint", "did not pass the ping health check")
    stacks.update_stack(**SAID, Parameters=given("x@sha256:1"))

    assert status(stacks) == "UPDATE_ROLLBACK_COMPLETE"
    events = stacks.describe_stack_events(StackName=STACK)["StackEvents"]
    assert "did not pass the ping health check" in {
        event.get("ResourceStatusReason") for event in events
    }
    assert [one for one in world.left() if not one.startswith(("repo", "bucket", "role"))] == []
    assert world.formation.stack(STACK) is not None


def test_a_first_time_that_fails_leaves_only_the_word_of_it(world: World, stacks: Any) -> None:
    world.formation.fail("Role", "no")
    stacks.create_stack(**SAID)

    assert status(stacks) == "ROLLBACK_COMPLETE"
    assert world.left() == []
    with pytest.raises(ClientError, match="can not be updated"):
        stacks.update_stack(**SAID)


def test_a_full_bucket_keeps_its_stack(world: World, stacks: Any) -> None:
    stacks.create_stack(**SAID)
    status(stacks)
    bucket = f"{STACK}-{world.account}"
    world.client("s3").put_object(Bucket=bucket, Key="a", Body=b"1")
    stacks.delete_stack(StackName=STACK)
    world.formation.settle()

    assert status(stacks) == "DELETE_FAILED"


def test_an_errors_words_reach_boto3_in_every_protocol(
    world: World, client: Callable[[str], Any]
) -> None:
    world.faults.deny("s3:HeadBucket")
    world.faults.deny("s3:ListObjectsV2")
    world.faults.deny("ecr:DescribeRepositories")
    world.faults.expire("sts:*")
    world.faults.throttle("cloudwatch:DescribeAlarms", times=1)
    asked: list[tuple[Callable[[], Any], str]] = [
        (lambda: client("s3").head_bucket(Bucket="b"), "403"),
        (lambda: client("s3").list_objects_v2(Bucket="b"), "AccessDenied"),
        (lambda: client("ecr").describe_repositories(), "AccessDeniedException"),
        (lambda: client("sts").get_caller_identity(), "ExpiredToken"),
        (lambda: client("cloudwatch").describe_alarms(), "ThrottlingException"),
    ]
    for ask, code in asked:
        with pytest.raises(ClientError) as caught:
            ask()
        assert caught.value.response["Error"]["Code"] == code
    client("cloudwatch").describe_alarms()
    assert world.faults.names == [
        "s3:HeadBucket",
        "s3:ListObjectsV2",
        "ecr:DescribeRepositories",
        "sts:GetCallerIdentity",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:DescribeAlarms",
    ]
    assert world.faults.writes == []


def test_a_cut_connection_is_cut_before_and_a_vanished_one_after_it_is_done(
    world: World, client: Callable[[str], Any]
) -> None:
    s3 = client("s3")
    place = {"LocationConstraint": world.region}
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration=place)
    world.faults.cut("s3:PutObject", after_bytes=1000)
    with pytest.raises(BotoCoreError):
        s3.put_object(Bucket="bucket", Key="cut", Body=b"x" * 100_000)
    world.faults.vanish("s3:PutObject")
    with pytest.raises(BotoCoreError):
        s3.put_object(Bucket="bucket", Key="vanished", Body=b"x" * 100_000)
    s3.put_object(Bucket="bucket", Key="whole", Body=b"x" * 100_000)

    found = world.client("s3").list_objects_v2(Bucket="bucket")["Contents"]
    assert [one["Key"] for one in found] == ["vanished", "whole"]


def test_ctrl_c_comes_with_the_call_it_is_tied_to(
    world: World, client: Callable[[str], Any]
) -> None:
    ecr = client("ecr")
    world.faults.after("ecr:CreateRepository", world.interrupt, nth=2)
    ecr.create_repository(repositoryName="one")
    with pytest.raises(KeyboardInterrupt):
        ecr.create_repository(repositoryName="two")

    assert "repository two" in world.left()


def test_answers_are_scripted_where_moto_has_none(
    world: World, client: Callable[[str], Any]
) -> None:
    world.faults.answer(
        "service-quotas:GetServiceQuota", {"Quota": {"QuotaCode": "L-1", "Value": 4.0}}
    )
    world.faults.answer(
        "iam:SimulatePrincipalPolicy",
        {"EvaluationResults": [{"EvalActionName": "s3:PutObject", "EvalDecision": "allowed"}]},
    )

    quota = client("service-quotas").get_service_quota(ServiceCode="sagemaker", QuotaCode="L-1")
    simulated = client("iam").simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::1:user/x", ActionNames=["s3:PutObject"]
    )

    assert quota["Quota"]["Value"] == 4.0
    assert simulated["EvaluationResults"][0]["EvalDecision"] == "allowed"
