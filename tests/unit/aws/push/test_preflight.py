import io
import re
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qs

import pytest
from rich.console import Console

from lab.aws.access.errors import CallError
from lab.aws.access.quotas import quota_check
from lab.aws.access.session import AwsIdentity, AwsSession, open_session
from lab.aws.access.simulation import permission_check, principal
from lab.aws.model import (
    AwsError,
    DeploymentNames,
    Order,
    PreflightCheck,
    PreflightState,
    ServingKind,
)
from lab.aws.push.preflight import (
    hosting_check,
    identity_check,
    names_check,
    preflight,
    refuse_failed,
    show_checks,
)
from lab.awserrors import ErrorKind
from lab.progress import Silent
from lab.spec import Platform
from tests.cloud.world import World
from tests.unit.aws.quota_answers import quotas, simulator

SERVERLESS = Order(
    endpoint="eyes", variant="onnx-slim", model="m", kind=ServingKind.SERVERLESS, memory_mb=2048
)
CONCURRENCY = "service-quotas:GetServiceQuota"
SIMULATE = "iam:SimulatePrincipalPolicy"


@pytest.fixture(autouse=True)
def _one_attempt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.fixture(name="aws")
def _aws(world: World) -> Iterator[AwsSession]:
    with open_session(read_only=True) as aws:
        yield aws


@pytest.fixture(name="names")
def _names(world: World) -> DeploymentNames:
    return DeploymentNames.of("eyes", account=world.account, region=world.region)


def real_time(instance_type: str, **more: object) -> Order:
    given = {
        "endpoint": "eyes",
        "variant": "v",
        "model": "m",
        "kind": ServingKind.REAL_TIME,
        **more,
    }
    return Order(instance_type=instance_type, **given)  # type: ignore[arg-type]


def well() -> Sequence[PreflightCheck]:
    return (PreflightCheck(name="contract", state=PreflightState.OK, detail="fit for: serverless"),)


def test_who_and_where_is_said_in_one_line(aws: AwsSession, world: World) -> None:
    check = identity_check(aws)
    assert world.account in check.detail
    assert world.region in check.detail


@pytest.mark.parametrize(
    ("order", "state", "said"),
    [
        (SERVERLESS, PreflightState.OK, "2048 MB"),
        (real_time("ml.m5.xlarge"), PreflightState.OK, "ml.m5.xlarge"),
        (real_time("ml.m6g.xlarge", platform=Platform.ARM64), PreflightState.OK, "arm64"),
        (real_time("ml.m6g.xlarge"), PreflightState.FAIL, "would not start"),
        (
            real_time("ml.m5.xlarge", platform=Platform.ARM64),
            PreflightState.FAIL,
            "would not start",
        ),
        (
            real_time("ml.m7g.xlarge", platform=Platform.ARM64),
            PreflightState.FAIL,
            "hosts no endpoints",
        ),
    ],
)
def test_hosting_must_run_the_images_architecture(
    aws: AwsSession, order: Order, state: PreflightState, said: str
) -> None:
    check = hosting_check(aws, order)
    assert check.state is state
    assert said in check.detail


def test_serverless_is_refused_for_arm64_which_aws_documents_nowhere(aws: AwsSession) -> None:
    order = Order(
        endpoint="eyes",
        variant="v",
        model="m",
        kind=ServingKind.SERVERLESS,
        memory_mb=1024,
        platform=Platform.ARM64,
    )
    assert hosting_check(aws, order).state is PreflightState.FAIL


# --- names ---------------------------------------------------------------------------------------


def test_names_that_nobody_has_are_free(aws: AwsSession, names: DeploymentNames) -> None:
    there, check = names_check(aws, names)
    assert not there
    assert check.state is PreflightState.OK


def test_a_repository_of_somebody_elses_stops_everything(
    aws: AwsSession, names: DeploymentNames, world: World
) -> None:
    world.client("ecr").create_repository(repositoryName=names.repository)
    _, check = names_check(aws, names)
    assert check.state is PreflightState.FAIL
    assert names.repository in check.detail
    with pytest.raises(AwsError, match="Nothing was made"):
        refuse_failed([check])


def test_a_bucket_of_another_account_stops_everything(
    aws: AwsSession, names: DeploymentNames, world: World
) -> None:
    # A HEAD has no body: S3 says no more than 403 of a bucket that is another account's.
    world.faults.refuse("s3:HeadBucket", "403", status=403)
    _, check = names_check(aws, names)
    assert check.state is PreflightState.FAIL
    assert names.bucket in check.detail
    with pytest.raises(AwsError) as caught:
        refuse_failed([check])
    assert world.account not in str(caught.value)


def test_reading_that_is_denied_names_the_action_and_the_policy(
    aws: AwsSession, names: DeploymentNames, world: World
) -> None:
    world.faults.deny("ecr:DescribeRepositories")
    _, check = names_check(aws, names)
    assert check.state is PreflightState.FAIL
    assert "ecr:DescribeRepositories" in check.remedy
    assert "docs/aws-policy.json" in check.remedy


# --- permissions ---------------------------------------------------------------------------------


def test_permissions_are_simulated_for_every_action_on_what_would_be_made(
    aws: AwsSession, names: DeploymentNames, world: World
) -> None:
    world.faults.answer(SIMULATE, simulator())
    check = permission_check(aws, names, dry_run=False)
    assert check.state is PreflightState.OK
    asked = [
        {key: value[0] for key, value in parse_qs(call.body.decode()).items()}
        for call in world.faults.calls
        if call.name == SIMULATE
    ]
    values = {value for one in asked for value in one.values()}
    assert {"s3:PutObject", "sagemaker:CreateEndpoint", "iam:PassRole"} <= values
    ecr = f"arn:aws:ecr:{world.region}:{world.account}:repository/inference-lab/eyes"
    assert ecr in values
    assert "sagemaker.amazonaws.com" in values  # or PassRole would look denied
    arns = [one for one in values if one.startswith("arn:")]
    assert not [arn for arn in arns if "*" in arn]


def test_a_denied_action_fails_a_push_and_only_warns_a_dry_run(
    aws: AwsSession, names: DeploymentNames, world: World
) -> None:
    world.faults.answer(SIMULATE, simulator(denied=["sagemaker:CreateEndpoint"]))
    check = permission_check(aws, names, dry_run=False)
    assert check.state is PreflightState.FAIL
    assert "sagemaker:CreateEndpoint" in check.detail
    assert permission_check(aws, names, dry_run=True).state is PreflightState.WARN


def test_an_action_that_one_of_its_resources_allows_is_allowed(
    aws: AwsSession, names: DeploymentNames, world: World
) -> None:
    row = {
        "EvalActionName": "sagemaker:CreateModel",
        "EvalResourceName": "*",
        "EvalDecision": "implicitDeny",
        "ResourceSpecificResults": [
            {"EvalResourceName": "arn:endpoint", "EvalResourceDecision": "implicitDeny"},
            {"EvalResourceName": "arn:model", "EvalResourceDecision": "allowed"},
        ],
    }
    world.faults.answer(SIMULATE, {"EvaluationResults": [row], "IsTruncated": False})
    assert permission_check(aws, names, dry_run=False).state is PreflightState.OK


def test_without_the_simulator_permissions_are_not_known_until_tried(
    aws: AwsSession, names: DeploymentNames, world: World
) -> None:
    world.faults.deny(SIMULATE)
    check = permission_check(aws, names, dry_run=False)
    assert check.state is PreflightState.UNKNOWN
    assert "not known until tried" in check.detail


def test_an_expired_token_is_no_unknown_permission(
    aws: AwsSession, names: DeploymentNames, world: World
) -> None:
    aws.identity()
    world.faults.expire(SIMULATE)
    with pytest.raises(CallError) as caught:
        permission_check(aws, names, dry_run=False)
    assert caught.value.kind is ErrorKind.EXPIRED


def test_the_session_of_a_role_is_judged_by_the_role_with_its_path(
    aws: AwsSession, world: World
) -> None:
    role = world.client("iam").create_role(
        Path="/team/", RoleName="deployer", AssumeRolePolicyDocument="{}"
    )["Role"]["Arn"]
    who = identity(f"arn:aws:sts::{world.account}:assumed-role/deployer/me", world)
    assert principal(aws, who) == role
    unknown = identity(f"arn:aws:sts::{world.account}:assumed-role/other/me", world)
    assert principal(aws, unknown) == f"arn:aws:iam::{world.account}:role/other"
    user = identity(f"arn:aws:iam::{world.account}:user/me", world)
    assert principal(aws, user) == user.arn


def identity(arn: str, world: World) -> AwsIdentity:
    return AwsIdentity(
        account=world.account, arn=arn, partition="aws", region=world.region, profile=None
    )


def test_the_root_user_is_warned_of_and_not_simulated(
    aws: AwsSession, names: DeploymentNames, world: World
) -> None:
    said = {"Account": world.account, "Arn": f"arn:aws:iam::{world.account}:root", "UserId": "u"}
    world.faults.answer("sts:GetCallerIdentity", said)
    assert permission_check(aws, names, dry_run=False).state is PreflightState.WARN
    assert SIMULATE not in world.faults.names


# --- quotas --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "state"), [(10.0, PreflightState.OK), (4.0, PreflightState.FAIL)]
)
def test_serverless_needs_its_concurrency_of_the_accounts(
    aws: AwsSession, world: World, allowed: float, state: PreflightState
) -> None:
    world.faults.answer(CONCURRENCY, {"Quota": {"QuotaName": "q", "Value": allowed}})
    check = quota_check(aws, SERVERLESS, update=False)
    assert check.state is state
    assert f"{allowed:g} allowed, 5 needed" in check.detail


def test_instances_have_a_quota_of_their_own_type(aws: AwsSession, world: World) -> None:
    listed = quotas("ml.m5.xlarge for training job usage", "ml.m5.xlarge for endpoint usage")
    world.faults.answer("service-quotas:ListServiceQuotas", listed)
    assert quota_check(aws, real_time("ml.m5.xlarge"), update=False).state is PreflightState.OK


def test_an_update_needs_twice_the_instances_while_it_lasts(aws: AwsSession, world: World) -> None:
    listed = quotas("ml.m5.xlarge for endpoint usage", value=3.0)
    world.faults.answer("service-quotas:ListServiceQuotas", listed)
    order = real_time("ml.m5.xlarge", instances=2, max_instances=2)
    assert quota_check(aws, order, update=False).state is PreflightState.OK
    assert quota_check(aws, order, update=True).state is PreflightState.FAIL


def test_a_quota_that_was_never_raised_is_read_from_the_defaults(
    aws: AwsSession, world: World
) -> None:
    world.faults.answer("service-quotas:ListServiceQuotas", {"Quotas": []})
    listed = quotas("ml.m5.xlarge for endpoint usage", value=0.0)
    world.faults.answer("service-quotas:ListAWSDefaultServiceQuotas", listed)
    check = quota_check(aws, real_time("ml.m5.xlarge"), update=False)
    assert check.state is PreflightState.FAIL
    assert "Service Quotas" in check.remedy


def test_quotas_that_may_not_be_read_are_unknown(aws: AwsSession, world: World) -> None:
    world.faults.deny("service-quotas:*")
    assert quota_check(aws, SERVERLESS, update=False).state is PreflightState.UNKNOWN
    assert quota_check(aws, real_time("ml.m5.xlarge"), update=False).state is PreflightState.UNKNOWN


# --- all of it -----------------------------------------------------------------------------------


def test_the_whole_preflight_only_reads(
    aws: AwsSession, names: DeploymentNames, world: World
) -> None:
    world.faults.answer(SIMULATE, simulator())
    world.faults.answer(CONCURRENCY, {"Quota": {"QuotaName": "q", "Value": 10.0}})
    checks = preflight(aws, SERVERLESS, names, contract=well, dry_run=True, progress=Silent())
    assert [check.name for check in checks] == [
        "identity",
        "hosting",
        "names",
        "permissions",
        "quotas",
        "contract",
    ]
    assert {check.state for check in checks} == {PreflightState.OK}
    assert world.faults.writes == []
    assert all(call.reads for call in world.faults.calls)
    refuse_failed(checks)


def test_what_is_not_known_stops_nothing(
    aws: AwsSession, names: DeploymentNames, world: World
) -> None:
    world.faults.refuse(SIMULATE, "InternalFailure", status=500)
    world.faults.refuse("service-quotas:*", "InternalFailure", status=500)
    checks = preflight(aws, SERVERLESS, names, contract=well, dry_run=False, progress=Silent())
    states = {check.name: check.state for check in checks}
    assert states["permissions"] is PreflightState.UNKNOWN
    assert states["quotas"] is PreflightState.UNKNOWN
    refuse_failed(checks)


def test_every_failure_is_named_and_the_first_remedy_given() -> None:
    checks = [
        PreflightCheck(name="one", state=PreflightState.FAIL, detail="broken", remedy="Mend it."),
        PreflightCheck(name="two", state=PreflightState.WARN, detail="odd"),
        PreflightCheck(name="three", state=PreflightState.FAIL, detail="also"),
    ]
    with pytest.raises(AwsError, match="one: broken; three: also") as caught:
        refuse_failed(checks)
    assert caught.value.remedy == "Mend it."


def test_what_is_not_well_is_shown_with_what_to_do() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(
        show_checks(
            [
                PreflightCheck(
                    name="one", state=PreflightState.OK, detail="fine [1]", remedy="Nothing."
                ),
                PreflightCheck(
                    name="two", state=PreflightState.FAIL, detail="broken", remedy="Mend it."
                ),
            ]
        )
    )
    text = console.export_text()
    assert "fine [1]" in text
    assert "Mend it." in text
    assert not re.search("Nothing", text)
