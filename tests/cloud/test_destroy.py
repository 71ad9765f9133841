"""Everything is taken away again, and proved to be away."""

from collections.abc import Mapping
from typing import Any

import pytest

from lab.aws.access.session import AwsSession
from lab.aws.model import AwsError, CloudResource, DeploymentNames
from lab.aws.stack import removal as destroy
from lab.aws.stack.cloudformation import CloudFormationStack
from lab.aws.stack.inventory import unmanaged
from lab.progress import Silent
from tests.cloud.world import World
from tests.unit.aws.orders import artifacts, pushed, real_time, serverless


def filled(world: World, names: DeploymentNames) -> None:
    """Versions, a marker of a deleted one, and an upload that was cut off."""
    s3 = world.client("s3")
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=names.bucket, VersioningConfiguration=enabled)
    for body in (b"one", b"two"):
        s3.put_object(Bucket=names.bucket, Key="models/a/model.tar.gz", Body=body)
    s3.delete_object(Bucket=names.bucket, Key="models/a/model.tar.gz")
    s3.create_multipart_upload(Bucket=names.bucket, Key="models/b/model.tar.gz")


def test_nothing_is_left_and_all_of_it_is_listed(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, real_time(max_instances=3))
    filled(world, names)
    progress = Silent()
    removal = stack.destroy(progress)
    assert world.left() == []
    assert removal.kept == ()
    assert any("AWSServiceRoleForApplicationAutoScaling" in note for note in progress.notes)
    assert [thing.kind for thing in removal.removed] == [
        "CloudFormation stack",
        "ECR repository",
        "S3 bucket",
        "CloudWatch log group",
        "IAM role",
        "SageMaker model",
        "SageMaker endpoint configuration",
        "SageMaker endpoint",
        "CloudWatch alarm",
        "CloudWatch alarm",
        "Autoscaling target",
    ]


def test_alarms_that_autoscaling_made_are_ours_and_their_staying_is_told(
    world: World, aws: AwsSession, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    """AWS makes and removes them with the scaling policy; moto does neither."""
    pushed(stack, real_time(max_instances=3))
    made = f"TargetTracking-endpoint/{names.endpoint}/variant/AllTraffic-AlarmHigh-1"
    world.client("cloudwatch").put_metric_alarm(
        AlarmName=made,
        Namespace="AWS/SageMaker",
        MetricName="InvocationsPerInstance",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=3,
        Threshold=300,
        ComparisonOperator="GreaterThanThreshold",
    )
    assert unmanaged(aws, names) == []
    (kept,) = stack.destroy(Silent()).kept
    assert (kept.resource.kind, kept.resource.name) == ("CloudWatch alarm", made)
    assert "AWS still lists it" in kept.why


def test_a_second_time_there_is_nothing(world: World, stack: CloudFormationStack) -> None:
    pushed(stack, serverless())
    assert not stack.destroy(Silent()).nothing
    world.faults.calls.clear()
    assert stack.destroy(Silent()).nothing
    assert not [name for name in world.faults.names if ":Delete" in name]


def test_after_it_the_same_can_be_pushed_again(world: World, stack: CloudFormationStack) -> None:
    pushed(stack, serverless())
    before = world.left()
    stack.destroy(Silent())
    pushed(stack, serverless())
    assert world.left() == before


def test_a_first_step_alone_is_taken_away_too(world: World, stack: CloudFormationStack) -> None:
    stack.prepare(serverless(), Silent())
    stack.destroy(Silent())
    assert world.left() == []


def test_more_objects_than_one_call_removes_are_removed(
    world: World, aws: AwsSession, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    stack.prepare(serverless(), Silent())
    s3 = world.client("s3")
    for number in range(25):
        s3.put_object(Bucket=names.bucket, Key=f"models/{number}", Body=b"")

    def few(operation: str, **said: Any) -> Mapping[str, Any] | None:
        most: dict[str, Any] = {"MaxKeys": 10} if operation == "list_object_versions" else {}
        return aws.find("s3", operation, **said, **most)

    assert destroy.empty(few, names.bucket, Silent()) == 25
    assert "Contents" not in s3.list_objects_v2(Bucket=names.bucket)


def test_what_came_into_the_bucket_meanwhile_is_removed_too(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    world.faults.before("cloudformation:DeleteStack", lambda: filled(world, names))
    assert stack.destroy(Silent()).kept == ()
    assert world.left() == []
    assert world.faults.names.count("cloudformation:DeleteStack") == 2


def test_objects_that_may_not_be_removed_are_named(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    filled(world, names)
    refused = {"Key": "models/a/model.tar.gz", "Code": "AccessDenied", "Message": "Access Denied"}
    world.faults.answer("s3:DeleteObjects", {"Errors": [refused]})
    with pytest.raises(AwsError, match=r"models/a/model\.tar\.gz.*AccessDenied"):
        stack.destroy(Silent())
    assert "cloudformation:DeleteStack" not in world.faults.names


def test_what_cannot_be_deleted_is_told_with_its_cause(
    world: World, stack: CloudFormationStack
) -> None:
    pushed(stack, serverless())
    world.formation.fail("delete Role", "Cannot delete entity, must detach policies", times=2)
    with pytest.raises(AwsError, match="Role: Cannot delete entity") as caught:
        stack.destroy(Silent())
    assert "may cost money" in caught.value.what
    assert "lab push destroy" in caught.value.remedy
    assert world.endpoints() == {}
    assert stack.destroy(Silent()).kept == ()
    assert world.left() == []


@pytest.mark.parametrize("step", ["CreateStack", "UpdateStack"])
def test_what_is_being_made_is_taken_away_at_once(
    world: World, stack: CloudFormationStack, names: DeploymentNames, step: str
) -> None:
    world.formation.pace = 1
    world.faults.after(f"cloudformation:{step}", world.interrupt)
    with pytest.raises(KeyboardInterrupt):
        pushed(stack, serverless())
    assert stack.destroy(Silent()).kept == ()
    assert world.left() == []
    assert world.endpoints() == {}


def test_a_removal_that_was_interrupted_goes_on(world: World, stack: CloudFormationStack) -> None:
    pushed(stack, serverless())
    world.formation.pace = 1
    world.faults.after("cloudformation:DeleteStack", world.interrupt)
    with pytest.raises(KeyboardInterrupt):
        stack.destroy(Silent())
    world.formation.pace = 10_000
    stack.destroy(Silent())
    assert world.left() == []


def test_a_late_word_of_a_container_leaves_no_group_of_logs(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    group = f"/aws/sagemaker/Endpoints/{names.endpoint}"
    world.faults.before(
        "logs:DeleteLogGroup", lambda: world.client("logs").create_log_group(logGroupName=group)
    )
    assert stack.destroy(Silent()).kept == ()
    assert world.left() == []


def test_what_no_stack_of_ours_made_is_kept_and_said(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    world.client("ecr").create_repository(repositoryName=names.repository)
    removal = stack.destroy(Silent())
    assert removal.removed == ()
    ((kept),) = removal.kept
    assert kept.resource == CloudResource(kind="ECR repository", name=names.repository)
    assert "no stack" in kept.why
    assert world.left() == [f"repository {names.repository}"]


def test_a_listing_that_lags_is_asked_again() -> None:
    role = CloudResource(kind="IAM role", name="mine")
    listings = iter([[role], [role], []])
    removal = destroy.compared([role], lambda: next(listings), own={"mine"}, poll_s=0)
    assert (removal.removed, removal.kept) == ((role,), ())


def test_what_stays_listed_is_told() -> None:
    role = CloudResource(kind="IAM role", name="mine")
    removal = destroy.compared([role], lambda: [role], own={"mine"}, poll_s=0)
    assert removal.removed == ()
    assert "still lists" in removal.kept[0].why


def test_a_new_image_and_then_nothing(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    pushed(stack, serverless(), artifacts(names, model="two"))
    stack.destroy(Silent())
    assert world.left() == []
