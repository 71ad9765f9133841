"""What goes wrong on AWS, and what is left of it."""

import time
from dataclasses import replace
from typing import Any

import pytest

from lab.aws.access.session import AwsSession
from lab.aws.model import Action, AwsError, DeploymentNames
from lab.aws.stack import template
from lab.aws.stack.cloudformation import CloudFormationStack
from lab.progress import Silent
from tests.cloud.world import World
from tests.unit.aws.orders import artifacts, pushed, serverless

REASON = "The primary container for production variant AllTraffic did not pass the ping check."


@pytest.fixture(autouse=True)
def _one_attempt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


def failed(stack: CloudFormationStack, **more: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        pushed(stack, serverless(), **more)
    return caught.value


def logged(world: World, names: DeploymentNames, *lines: str) -> None:
    """As a container would."""
    logs, group = world.client("logs"), f"/aws/sagemaker/Endpoints/{names.endpoint}"
    logs.create_log_stream(logGroupName=group, logStreamName="AllTraffic/i-1")
    now = int(time.time() * 1000)
    logs.put_log_events(
        logGroupName=group,
        logStreamName="AllTraffic/i-1",
        logEvents=[{"timestamp": now + n, "message": line} for n, line in enumerate(lines)],
    )


def test_a_first_step_that_fails_leaves_nothing_and_names_its_cause(
    world: World, stack: CloudFormationStack
) -> None:
    world.formation.fail("Role", f"arn:aws:iam::{world.account}:user/me may not iam:CreateRole")
    error = failed(stack)
    assert "Role: arn:aws:iam::************:user/me may not iam:CreateRole" in error.what
    assert "Nothing is left" in error.what
    assert world.account not in str(error)
    assert world.left() == []
    assert pushed(stack, serverless())


def test_what_an_earlier_first_step_left_is_cleared_away(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    stack.prepare(serverless(), Silent())
    world.formation.stick(names.stack, "ROLLBACK_COMPLETE")
    progress = Silent()
    assert pushed(stack, serverless(), progress=progress)
    assert any("making it anew" in note for note in progress.notes)
    assert world.endpoints() == {names.endpoint: "InService"}


def test_an_endpoint_that_does_not_start_costs_nothing_and_says_why(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    stack.prepare(serverless(), Silent())
    logged(world, names, "Traceback:", "ModuleNotFoundError: No module named 'onnxruntime'")
    world.formation.fail("Endpoint", REASON)
    error = failed(stack)
    assert f"Endpoint: {REASON}" in error.what
    assert "No module named 'onnxruntime'" in error.what
    assert "nothing of it costs by the hour" in error.what
    assert world.endpoints() == {}
    assert not [one for one in world.left() if one.startswith(("model", "config", "alarm"))]
    assert pushed(stack, serverless())
    assert world.endpoints() == {names.endpoint: "InService"}


def test_only_the_last_lines_of_the_container_are_shown(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    stack.prepare(serverless(), Silent())
    logged(world, names, *(f"line {number:03}" for number in range(60)))
    world.formation.fail("Endpoint", REASON)
    shown = [line for line in failed(stack).what.splitlines() if "line 0" in line]
    assert [shown[0].strip(), shown[-1].strip(), len(shown)] == ["line 040", "line 059", 20]


def test_logs_that_may_not_be_read_do_not_hide_the_cause(
    world: World, stack: CloudFormationStack
) -> None:
    world.formation.fail("Endpoint", REASON)
    world.faults.deny("logs:FilterLogEvents")
    error = failed(stack)
    assert REASON in error.what
    assert "logs:FilterLogEvents" in error.what


def test_an_update_that_fails_leaves_what_was_served(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    sagemaker = world.client("sagemaker")
    before = sagemaker.describe_endpoint(EndpointName=names.endpoint)["EndpointConfigName"]
    left = world.left()
    world.formation.fail("Endpoint", REASON)
    error = failed(stack, what=artifacts(names, image="sha256:" + 64 * "b"))
    assert REASON in error.what
    assert "What was served before still is." in error.what
    after = sagemaker.describe_endpoint(EndpointName=names.endpoint)
    assert (after["EndpointConfigName"], after["EndpointStatus"]) == (before, "InService")
    assert world.left() == left


def test_a_roll_back_that_got_stuck_is_taken_up_again(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    world.formation.stick(names.stack, "UPDATE_ROLLBACK_FAILED")
    other = artifacts(names, model="two")
    assert pushed(stack, serverless(), other)
    assert "cloudformation:ContinueUpdateRollback" in world.faults.names


def test_a_roll_back_that_stays_stuck_is_told(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    world.formation.stick(names.stack, "UPDATE_ROLLBACK_FAILED")
    world.faults.after(
        "cloudformation:ContinueUpdateRollback",
        lambda: world.formation.stick(names.stack, "UPDATE_ROLLBACK_FAILED"),
    )
    error = failed(stack)
    assert "could not be rolled back" in error.what
    assert "lab push destroy" in error.remedy


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED"])
def test_a_plan_says_that_there_is_work_even_when_nothing_else_differs(
    world: World, stack: CloudFormationStack, names: DeploymentNames, status: str
) -> None:
    pushed(stack, serverless())
    world.formation.stick(names.stack, status)
    first, *others = stack.plan(serverless())
    assert (first.action, first.detail) == (Action.CHANGE, status)
    assert {item.action for item in others} == {Action.KEEP}


@pytest.mark.parametrize("step", ["CreateStack", "UpdateStack"])
@pytest.mark.parametrize("polls", [1, 3])
def test_what_was_interrupted_goes_on(
    world: World, stack: CloudFormationStack, names: DeploymentNames, step: str, polls: int
) -> None:
    world.formation.pace = 1
    world.faults.after(
        f"cloudformation:{step}",
        lambda: world.faults.after("cloudformation:DescribeStacks", world.interrupt, nth=polls),
    )
    progress = Silent()
    with pytest.raises(KeyboardInterrupt):
        pushed(stack, serverless(), progress=progress)
    assert "lab push destroy" in progress.notes[-1]
    assert "_IN_PROGRESS" in progress.notes[-1] or "under way" in progress.notes[-1]
    pushed(stack, serverless())
    assert world.endpoints() == {names.endpoint: "InService"}
    assert world.faults.names.count("cloudformation:CreateStack") == 1
    assert world.faults.names.count("cloudformation:UpdateStack") == 1


def test_a_connection_that_is_lost_while_waiting_says_how_to_go_on(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    world.formation.pace = 1
    world.faults.after(
        "cloudformation:UpdateStack", lambda: world.faults.cut("cloudformation:DescribeStacks")
    )
    progress = Silent()
    with pytest.raises(AwsError):
        pushed(stack, serverless(), progress=progress)
    assert "takes it up again" in progress.notes[-1]
    pushed(stack, serverless())
    assert world.endpoints() == {names.endpoint: "InService"}


def test_waiting_has_an_end(world: World, aws: AwsSession, names: DeploymentNames) -> None:
    world.formation.pace = 0
    stack = CloudFormationStack(aws, names, poll_s=0, wait_s=0)
    error = failed(stack)
    assert "CREATE_IN_PROGRESS" in error.what
    assert "waits on" in error.remedy


def test_an_endpoint_that_somebody_deleted_is_missed(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    world.client("sagemaker").delete_endpoint(EndpointName=names.endpoint)
    error = failed(stack)
    assert "is gone" in error.what
    assert "lab push destroy" in error.remedy


def test_a_difference_that_is_none_to_cloudformation_changes_nothing(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    made = world.formation.stack(names.stack)
    assert made is not None
    # Only a scaled endpoint has a use for it.
    made.plan = replace(made.plan, given={**made.plan.given, "InvocationsPerInstance": "7"})
    assert not pushed(stack, serverless())
    assert world.faults.names[-2:] == [
        "cloudformation:UpdateStack",
        "sagemaker:DescribeEndpoint",
    ]


def test_a_template_of_an_older_lab_is_brought_up_to_date(
    stack: CloudFormationStack, names: DeploymentNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = template.BODY.replace("RetentionInDays: 14", "RetentionInDays: 7")
    with monkeypatch.context() as before:
        before.setattr(template, "BODY", older)
        pushed(stack, serverless())
    changed = {item.kind for item in stack.plan(serverless()) if item.action == "change"}
    assert changed == {"CloudFormation stack", "CloudWatch log group"}
    assert pushed(stack, serverless())
    assert {item.action for item in stack.plan(serverless(), artifacts(names))} == {Action.KEEP}


def test_a_template_that_cannot_be_read_is_replaced(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    made = world.formation.stack(names.stack)
    assert made is not None
    text = made.plan.text.replace(
        "RoleName: !Ref RoleName", 'RoleName: !Join ["", [!Ref RoleName]]'
    )
    made.plan = replace(made.plan, text=text)
    first = stack.plan(serverless())[0]
    assert (first.action, "another version" in first.detail) == (Action.CHANGE, True)


@pytest.mark.parametrize("operation", ["CreateStack", "UpdateStack", "DeleteStack"])
def test_an_answer_that_is_lost_is_asked_for_again_and_nothing_is_done_twice(
    world: World, stack: CloudFormationStack, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    world.faults.vanish(f"cloudformation:{operation}")
    assert pushed(stack, serverless())
    stack.destroy(Silent())
    assert world.faults.names.count(f"cloudformation:{operation}") == 2
    assert world.left() == []


def test_a_deployment_without_its_first_step_is_refused(
    world: World, stack: CloudFormationStack
) -> None:
    with pytest.raises(AwsError, match="no stack"):
        stack.deploy(serverless(), artifacts(stack.names), Silent())
    assert world.left() == []
