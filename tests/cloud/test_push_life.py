"""The life of an endpoint on AWS: made, kept, changed, failed, interrupted anywhere, taken away."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.aws.access.permissions import is_read
from lab.aws.model import Action, AwsError
from lab.errors import UsageError
from tests.cloud.pushing import ENDPOINT, FULL, REAL_TIME, Pusher, carry, goods
from tests.cloud.world import World

HOSTS = ("endpoint", "config", "model", "alarm", "scaling")
"""Of what exists, what belongs to the second step; endpoints cost by the hour."""

WHOLE = [
    "alarm",
    "alarm",
    "bucket",
    "config",
    "endpoint",
    "log",
    "model",
    "repository",
    "role",
]
"""All that a serverless endpoint has."""


@pytest.fixture
def pusher(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pusher:
    carry(monkeypatch)
    return Pusher(goods(tmp_path))


def actions(pusher: Pusher) -> set[Action]:
    return {item.action for item in pusher.look()[1].items}


def test_a_dry_run_says_what_would_be_made_and_only_reads(world: World, pusher: Pusher) -> None:
    _, plan = pusher.look()

    assert {item.action for item in plan.items} == {Action.CREATE}
    assert {"image", "model archive", "SageMaker endpoint"} <= {item.kind for item in plan.items}
    assert all(call.reads for call in world.faults.calls), world.faults.names
    assert world.left() == []


def test_a_push_leaves_an_endpoint_that_serves_what_was_pushed(
    world: World, pusher: Pusher
) -> None:
    done = pusher.push()

    assert done.changed
    assert world.endpoints() == {FULL: "InService"}
    (model,) = world.client("sagemaker").list_models()["Models"]
    said = world.client("sagemaker").describe_model(ModelName=model["ModelName"])
    assert said["PrimaryContainer"]["Image"] == done.artifacts.image
    assert said["PrimaryContainer"]["ModelDataUrl"] == done.artifacts.model_data
    assert pusher.goods.archive.sha256 in done.artifacts.model_data


def test_all_that_is_made_carries_the_labs_tags(world: World, pusher: Pusher) -> None:
    pusher.push()

    stack = world.formation.stack(FULL)
    assert stack is not None
    tagless = {"BucketPolicy", "ScalableTarget", "ScalingPolicy"}
    for logical, made in stack.made.items():
        if made.type in tagless:
            continue
        tags = {one["Key"]: one["Value"] for one in made.properties["Tags"]}
        assert tags["inference-lab:managed"] == "true", logical
        assert tags["inference-lab:endpoint"] == ENDPOINT, logical


def test_a_second_push_of_the_same_writes_nothing(world: World, pusher: Pusher) -> None:
    pusher.push()
    before = world.left()
    world.faults.forget()

    again = pusher.push()

    assert not again.changed
    assert world.faults.writes == []
    assert world.left() == before
    assert actions(pusher) == {Action.KEEP}


def test_a_new_image_or_archive_is_an_update_of_the_same_endpoint(
    world: World, pusher: Pusher, tmp_path: Path
) -> None:
    pusher.push()
    sagemaker = world.client("sagemaker")
    before = sagemaker.describe_endpoint(EndpointName=FULL)
    pusher.goods = goods(tmp_path, image="second")
    _, plan = pusher.look()
    changes = {item.kind: item.action for item in plan.items}
    assert changes["image"] is Action.CREATE
    assert changes["SageMaker endpoint"] is Action.CHANGE

    done = pusher.push()

    after = sagemaker.describe_endpoint(EndpointName=FULL)
    assert done.changed
    assert after["CreationTime"] == before["CreationTime"]
    assert after["EndpointConfigName"] != before["EndpointConfigName"]
    assert len(sagemaker.list_models()["Models"]) == 1
    assert len(sagemaker.list_endpoint_configs()["EndpointConfigs"]) == 1


def test_a_real_time_endpoint_scales_and_one_that_no_longer_may_does_not(
    world: World, pusher: Pusher
) -> None:
    pusher.push(REAL_TIME)
    (target,) = world.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker"
    )["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 2)

    pusher.push(replace(REAL_TIME, max_instances=1))

    assert not [one for one in world.left() if one.startswith("scaling")]
    assert world.endpoints() == {FULL: "InService"}


def test_serverless_cannot_become_real_time_in_place(world: World, pusher: Pusher) -> None:
    pusher.push()
    before = world.left()

    with pytest.raises(UsageError, match="serverless"):
        pusher.push(REAL_TIME)
    assert world.left() == before


def test_removal_leaves_nothing_and_a_second_one_finds_nothing(
    world: World, pusher: Pusher, tmp_path: Path
) -> None:
    pusher.push()
    pusher.push(goods=goods(tmp_path, image="second"))

    first, second = pusher.destroy(), pusher.destroy()

    assert world.left() == []
    assert {thing.kind for thing in first.removed} >= {"S3 bucket", "SageMaker endpoint"}
    assert first.kept == ()
    assert second.nothing


def test_removal_takes_what_a_push_that_was_cut_short_left(world: World, pusher: Pusher) -> None:
    world.faults.before("s3:PutObject", world.interrupt)
    with pytest.raises(KeyboardInterrupt):
        pusher.push()
    assert world.left() != []

    assert pusher.destroy().kept == ()
    assert world.left() == []


# --- interrupted anywhere ------------------------------------------------------------------------


def calls_of_a_push(world: World, pusher: Pusher) -> list[str]:
    """Every call of one from its first write on, while the stack takes its time."""
    world.formation.pace = 3
    pusher.push()
    names = list(world.faults.names)
    world.begin_anew()
    return names


def taken_up_again(world: World, pusher: Pusher) -> None:
    """After whatever went wrong: the same command again, and all is as after a clean push."""
    world.faults.forget()
    pusher.push()
    assert world.endpoints() == {FULL: "InService"}
    kinds = [one.split()[0] for one in world.left()]
    assert kinds == WHOLE
    (model,) = world.client("sagemaker").list_models()["Models"]
    said = world.client("sagemaker").describe_model(ModelName=model["ModelName"])
    assert pusher.goods.archive.sha256 in said["PrimaryContainer"]["ModelDataUrl"]


def test_ctrl_c_at_any_write_and_wait_is_taken_up_where_it_was(
    world: World, pusher: Pusher
) -> None:
    calls = calls_of_a_push(world, pusher)
    for number in places(calls):
        world.faults.after("*", world.interrupt, nth=number)
        with pytest.raises(KeyboardInterrupt):
            pusher.push()
        taken_up_again(world, pusher)
        world.begin_anew()


@pytest.mark.parametrize("how", ["cut", "vanish"])
def test_a_network_that_goes_at_any_write_is_taken_up_where_it_was(
    world: World, pusher: Pusher, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    calls = calls_of_a_push(world, pusher)
    for name in dict.fromkeys(one for one in calls if not reads(one)):
        getattr(world.faults, how)(name, times=None)
        with pytest.raises(AwsError) as caught:
            pusher.push()
        assert caught.value.remedy
        taken_up_again(world, pusher)
        world.begin_anew()


def reads(name: str) -> bool:
    return is_read(name.partition(":")[2])


def places(calls: list[str]) -> list[int]:
    """Where to interrupt: once with each thing that is written, and while the stack is waited for.

    Calls are counted from 1.
    """
    numbers = {name: number for number, name in enumerate(calls, start=1) if not reads(name)}
    begun = [numbers["cloudformation:CreateStack"], numbers["cloudformation:UpdateStack"]]
    polls = [calls.index("cloudformation:DescribeStacks", number) + 1 for number in begun]
    return sorted([*numbers.values(), *polls])


Spoil = Callable[[World], object]


# --- what goes wrong -----------------------------------------------------------------------------


def test_an_endpoint_that_fails_is_taken_back_and_its_container_quoted(
    world: World, pusher: Pusher
) -> None:
    why = "The primary container for production variant AllTraffic did not pass the ping health"
    world.formation.fail("AWS::SageMaker::Endpoint", why)
    said = "ModuleNotFoundError: No module named 'app'"

    def speak() -> None:
        logs = world.client("logs")
        group = f"/aws/sagemaker/Endpoints/{FULL}"
        logs.create_log_stream(logGroupName=group, logStreamName="AllTraffic/i-1")
        event = {"timestamp": int(time.time() * 1000) + 50, "message": said}
        logs.put_log_events(logGroupName=group, logStreamName="AllTraffic/i-1", logEvents=[event])

    world.faults.after("cloudformation:UpdateStack", speak)

    with pytest.raises(AwsError) as caught:
        pusher.push()

    assert why in caught.value.what
    assert said in caught.value.what
    assert world.endpoints() == {}
    assert not [one for one in world.left() if one.startswith(HOSTS)]
    taken_up_again(world, pusher)


def test_an_update_that_fails_leaves_what_was_served(
    world: World, pusher: Pusher, tmp_path: Path
) -> None:
    pusher.push()
    before = world.left()
    world.formation.fail("AWS::SageMaker::Endpoint", "no capacity")

    with pytest.raises(AwsError, match="still is"):
        pusher.push(goods=goods(tmp_path, image="second"))

    assert world.left() == before
    assert world.endpoints() == {FULL: "InService"}


@pytest.mark.parametrize("logical", ["Repository", "Bucket", "Role", "LogGroup"])
def test_a_first_step_that_fails_leaves_nothing(world: World, pusher: Pusher, logical: str) -> None:
    world.formation.fail(logical, "it may not be")

    with pytest.raises(AwsError, match="it may not be"):
        pusher.push()

    assert world.left() == []
    taken_up_again(world, pusher)


@pytest.mark.parametrize("what", ["repository", "bucket", "stack", "endpoint"])
def test_what_belongs_to_somebody_else_is_not_touched(
    world: World, pusher: Pusher, what: str
) -> None:
    match what:
        case "repository":
            world.client("ecr").create_repository(repositoryName=f"inference-lab/{ENDPOINT}")
        case "bucket":
            world.client("s3").create_bucket(
                Bucket=f"{FULL}-{world.account}-{world.region}",
                CreateBucketConfiguration={"LocationConstraint": world.region},
            )
        case "stack":
            body = "{Resources: {G: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: x}}}}"
            world.direct("cloudformation").create_stack(StackName=FULL, TemplateBody=body)
            world.formation.settle()
        case "endpoint":
            variant = {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1}
            sagemaker = world.client("sagemaker")
            role = f"arn:aws:iam::{world.account}:role/theirs"
            sagemaker.create_model(
                ModelName="m", ExecutionRoleArn=role, PrimaryContainer={"Image": "theirs"}
            )
            sagemaker.create_endpoint_config(
                EndpointConfigName="c",
                ProductionVariants=[{**variant, "InstanceType": "ml.m5.large"}],
            )
            sagemaker.create_endpoint(EndpointName=FULL, EndpointConfigName="c")
    before = world.left()
    world.faults.forget()

    with pytest.raises(AwsError, match="somebody else"):
        pusher.push()

    assert world.faults.writes == []
    assert world.left() == before


def test_a_bucket_that_the_world_has_is_said_so_and_nothing_stays(
    world: World, pusher: Pusher
) -> None:
    world.formation.fail("Bucket", f"{FULL} already exists (BucketAlreadyExists)")

    with pytest.raises(AwsError, match="already exists"):
        pusher.push()
    assert world.left() == []


def test_a_quota_that_is_reached_while_deploying_leaves_nothing_that_costs(
    world: World, pusher: Pusher
) -> None:
    reason = "The account-level service limit 'ml.m5.large for endpoint usage' is 0 Instances"
    world.formation.fail("AWS::SageMaker::Endpoint", reason)

    with pytest.raises(AwsError, match="service limit"):
        pusher.push(REAL_TIME)
    assert world.endpoints() == {}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda world: world.faults.expire(), "expired"),
        (lambda world: world.faults.deny("cloudformation:CreateStack"), "CreateStack"),
        (lambda world: world.faults.deny("s3:PutObject"), "s3:PutObject"),
        (lambda world: world.faults.deny("cloudformation:UpdateStack"), "UpdateStack"),
        (lambda world: world.faults.throttle("cloudformation:UpdateStack"), "throttled"),
        (lambda world: world.faults.throttle("s3:PutObject"), "throttled"),
        (lambda world: world.faults.cut("s3:PutObject", after_bytes=900, times=None), "connection"),
        (
            lambda world: world.faults.limit("cloudformation:CreateStack"),
            "limit",
        ),
    ],
    ids=["expired", "no-stack", "no-object", "no-update", "slow-update", "slow-s3", "cut", "quota"],
)
def test_what_aws_refuses_is_said_with_a_way_on_and_nothing_costs(
    world: World, pusher: Pusher, spoil: Spoil, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    spoil(world)

    with pytest.raises(AwsError) as caught:
        pusher.push()

    assert said.lower() in str(caught.value).lower()
    assert caught.value.remedy
    assert world.endpoints() == {}


def test_throttling_that_passes_is_waited_out(world: World, pusher: Pusher) -> None:
    world.faults.throttle("cloudformation:DescribeStacks", times=2)
    world.faults.throttle("cloudformation:UpdateStack", times=1)

    pusher.push()

    assert world.endpoints() == {FULL: "InService"}


def test_without_credentials_it_says_how_to_have_some(
    world: World, pusher: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)

    with pytest.raises(AwsError) as caught:
        pusher.push()

    assert "credentials" in str(caught.value)
    assert world.faults.calls == []


def test_a_large_archive_that_is_cut_in_the_middle_leaves_no_parts_and_goes_up_the_next_time(
    world: World, pusher: Pusher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    pusher.goods = goods(tmp_path, image="large", size=40_000_000)
    world.faults.cut("s3:UploadPart", after_bytes=1_000_000, after=1, times=None)

    with pytest.raises(AwsError, match=r"(?i)upload|connection"):
        pusher.push()

    bucket = f"{FULL}-{world.account}-{world.region}"
    s3 = world.client("s3")
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
    world.faults.forget()
    pusher.push()
    (held,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert held["Size"] == 40_000_000
