"""The one CloudFormation stack of an endpoint: made in two steps, changed, waited for."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from lab.aws import changes, destroy, template
from lab.aws.deployer import Aws, Removal
from lab.aws.errors import CallError, Kind, redacted
from lab.aws.events import Follower, log_group, log_tail, now
from lab.aws.inventory import SCALED, described, inventory, resources
from lab.aws.model import Action, Artifacts, AwsError, Deployment, Names, Order, PlanItem, tags
from lab.aws.state import State
from lab.errors import LabError
from lab.progress import Progress, Step

POLL_S: Final = 5.0
WAIT_S: Final = 3600.0
"""SageMaker gives a container at most an hour to start."""

_STEP_1_MINUTES: Final = 15
_DELETIONS: Final = 2  # something may be put into the bucket between emptying and deleting it
_SHARED_ROLE: Final = (
    "Kept: AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint, the role that AWS made for "
    "autoscaling. All endpoints of the account share it, and it costs nothing."
)
_UNCHANGED: Final = "No updates are to be performed"


class Stack:
    """A ``Deployer`` to AWS."""

    def __init__(
        self, aws: Aws, names: Names, *, poll_s: float = POLL_S, wait_s: float = WAIT_S
    ) -> None:
        self.names = names
        self._aws = aws
        self._poll_s = poll_s
        self._wait_s = wait_s

    # --- what is there ---------------------------------------------------------------------------

    def look(self) -> State | None:
        """The stack as it is; None if there is none. Raises ``AwsError`` if it is not ours."""
        return described(self._aws, self.names)

    def plan(self, order: Order, artifacts: Artifacts | None = None) -> Sequence[PlanItem]:
        """See ``Deployer``."""
        state = self.look()
        standing = state if state and not state.is_wreck else None
        if standing:
            standing.refuse_other_hosting(order)
        first, *others = changes.items(
            order,
            self.names,
            artifacts,
            # The account is in names that do not differ.
            around=template.pseudo(account="", region=self._aws.region),
            deployed=standing.parameters if standing else None,
            body=self._body() if standing else None,
        )
        if standing and (standing.under_way or standing.is_broken):
            first = replace(first, action=Action.CHANGE, detail=standing.status)
        return [first, *others]

    # --- step 1 ----------------------------------------------------------------------------------

    def prepare(self, order: Order, progress: Progress) -> None:
        """See ``Deployer``."""
        state = self._settled(progress)
        if state and state.is_wreck:
            progress.note(f"{state.says} An earlier push failed at its first step: making it anew.")
            self._delete(state, progress)
            state = None
        if state is None:
            self._create(order, progress)

    def _create(self, order: Order, progress: Progress) -> None:
        given = template.parameters(order, self.names, None)
        started = now()
        with progress.step(f"Making the stack {self.names.stack}") as step:
            made = self._aws.call(
                "cloudformation",
                "create_stack",
                StackName=self.names.stack,
                TemplateBody=template.BODY,
                Parameters=_listed(given),
                Tags=_tagged(order),
                Capabilities=["CAPABILITY_NAMED_IAM"],
                # Nothing of a first step that failed is worth keeping.
                OnFailure="DELETE",
                TimeoutInMinutes=_STEP_1_MINUTES,
                ClientRequestToken=_token(),
            )
            follower = Follower(self._aws, made["StackId"])
            state = self._wait(made["StackId"], follower, progress, step)
        if state is None or state.status != "CREATE_COMPLETE":
            left = "Nothing is left of it." if state is None else state.says
            raise self._failure("The stack could not be made.", left, follower, started)

    # --- step 2 ----------------------------------------------------------------------------------

    def deploy(self, order: Order, artifacts: Artifacts, progress: Progress) -> Deployment:
        """See ``Deployer``."""
        state = self._settled(progress)
        if state is None or state.is_wreck:
            raise AwsError(
                f"There is no stack {self.names.stack} to deploy to.", remedy="Push again."
            )
        state.refuse_other_hosting(order)
        given = template.parameters(order, self.names, artifacts)
        changed = not self._is_deployed(state, given, order)
        changed = changed and self._update(state, given, order, progress)
        self._in_service()
        return Deployment(
            names=self.names, region=self._aws.region, changed=changed, artifacts=artifacts
        )

    def _is_deployed(self, state: State, given: Mapping[str, str], order: Order) -> bool:
        return (
            not state.is_broken
            and state.parameters == given
            and state.tags == tags(order)
            and self._body() == template.BODY.strip()
        )

    def _update(
        self, state: State, given: Mapping[str, str], order: Order, progress: Progress
    ) -> bool:
        follower = Follower(self._aws, state.id)
        follower.skip()
        started = now()
        title = "Updating" if state.serves else "Making"
        with progress.step(f"{title} the endpoint {self.names.endpoint}") as step:
            try:
                self._aws.call(
                    "cloudformation",
                    "update_stack",
                    StackName=self.names.stack,
                    TemplateBody=template.BODY,
                    Parameters=_listed(given),
                    Tags=_tagged(order),
                    Capabilities=["CAPABILITY_NAMED_IAM"],
                    ClientRequestToken=_token(),
                )
            except CallError as error:
                if _UNCHANGED in error.what:
                    return False
                raise
            after = self._wait(state.id, follower, progress, step)
        if after is None or after.status != "UPDATE_COMPLETE":
            left = after.says if after else "The stack was deleted meanwhile."
            if after and after.status == "UPDATE_ROLLBACK_COMPLETE":
                left = (
                    "What was served before still is."
                    if after.serves
                    else "It was taken back: nothing of it costs by the hour."
                )
            raise self._failure("The endpoint could not be deployed.", left, follower, started)
        return True

    def _in_service(self) -> None:
        seen = self._aws.find(
            "sagemaker", "describe_endpoint", EndpointName=self.names.endpoint
        ) or {"EndpointStatus": "gone"}
        if seen["EndpointStatus"] == "InService":
            return
        reason = redacted(str(seen.get("FailureReason", "")))
        raise AwsError(
            f"The stack is complete, but the endpoint {self.names.endpoint} is "
            f"{seen['EndpointStatus']}. {reason}".rstrip(),
            remedy="Somebody else changed it: remove it with `lab push destroy` and push again.",
        )

    # --- away ------------------------------------------------------------------------------------

    def destroy(self, progress: Progress) -> Removal:
        """See ``Deployer``."""
        state = self.look()
        before = inventory(self._aws, self.names)
        own: frozenset[str] = frozenset()
        if state:
            own = resources(self._aws, state)
            state = self._stopped(state, progress)
        if state:
            own |= resources(self._aws, state)
            self._delete(state, progress)
            # A container's last words come late, and SageMaker makes a group for them.
            group = log_group(self.names.endpoint)
            if group in own:
                self._aws.find("logs", "delete_log_group", logGroupName=group)
            if any(thing.kind == SCALED for thing in before):
                progress.note(_SHARED_ROLE)
        return destroy.compared(
            before, lambda: inventory(self._aws, self.names), own=own, poll_s=self._poll_s
        )

    def _stopped(self, state: State, progress: Progress) -> State | None:
        """Ready to be deleted: what is under way is cancelled, or waited for."""
        if state.status == "CREATE_IN_PROGRESS":  # which can be deleted at once
            return state
        if state.status == "UPDATE_IN_PROGRESS":
            try:
                self._ask("cancel_update_stack")
            except CallError as error:
                if error.kind is not Kind.INVALID:  # it has just ended
                    raise
        return self._settled(progress, mend=False)

    def _delete(self, state: State, progress: Progress) -> None:
        follower = Follower(self._aws, state.id)
        follower.skip()
        with progress.step(f"Deleting the stack {self.names.stack}") as step:
            for _ in range(_DELETIONS):
                if self.names.bucket in resources(self._aws, state):
                    destroy.empty(partial(self._aws.find, "s3"), self.names.bucket, progress)
                self._ask("delete_stack")
                if self._wait(state.id, follower, progress, step) is None:
                    return
        raise AwsError(
            "\n".join(
                [
                    f"The stack {self.names.stack} could not be deleted. Some of it may cost money.",
                    *(f"  {cause}" for cause in follower.causes),
                ]
            ),
            remedy="Mend the cause and run `lab push destroy` again.",
        )

    # --- waiting ---------------------------------------------------------------------------------

    def _settled(self, progress: Progress, *, mend: bool = True) -> State | None:
        """The stack once nothing is under way; a roll-back that got stuck is taken up again."""
        state = self.look()
        if state and state.under_way:
            progress.note(f"{state.says} Waiting for it.")
            state = self._followed(state, progress)
        if mend and state and state.status == "UPDATE_ROLLBACK_FAILED":
            progress.note(f"{state.says} Taking the roll-back up again.")
            self._ask("continue_update_rollback")
            state = self._followed(state, progress)
            if state and state.status == "UPDATE_ROLLBACK_FAILED":
                raise AwsError(
                    f"{state.says} It could not be rolled back.",
                    remedy="Remove it with `lab push destroy` and push again.",
                )
        return state

    def _followed(self, state: State, progress: Progress) -> State | None:
        follower = Follower(self._aws, state.id)
        follower.skip()
        with progress.step(f"Waiting for the stack {self.names.stack}") as step:
            return self._wait(state.id, follower, progress, step)

    def _wait(self, stack: str, follower: Follower, progress: Progress, step: Step) -> State | None:
        """Until nothing is under way. None when the stack is gone."""
        deadline = time.monotonic() + self._wait_s
        state: State | None = None
        try:
            while True:
                for event in follower.read():
                    step.detail(str(event))
                state = described(self._aws, self.names, stack)
                if state is None or not state.under_way:
                    follower.read()
                    return state
                if time.monotonic() > deadline:
                    raise AwsError(
                        f"{state.says} That has taken longer than an hour.",
                        remedy="The same command waits on; `lab push destroy` removes it.",
                    )
                time.sleep(self._poll_s)
        except (KeyboardInterrupt, LabError):
            said = state.says if state else f"The stack {self.names.stack} is under way."
            progress.note(
                f"{said} AWS goes on with it. The same command takes it up again; "
                "`lab push destroy` removes everything."
            )
            raise

    # --- asking ----------------------------------------------------------------------------------

    def _ask(self, operation: str) -> None:
        said = {"StackName": self.names.stack, "ClientRequestToken": _token()}
        self._aws.call("cloudformation", operation, **said)

    def _body(self) -> str:
        asked = {"StackName": self.names.stack, "TemplateStage": "Original"}
        found: Any = self._aws.call("cloudformation", "get_template", **asked)["TemplateBody"]
        return str(found).strip()

    def _failure(self, what: str, left: str, follower: Follower, started: datetime) -> AwsError:
        causes = [f"  {cause}" for cause in follower.causes] or ["  CloudFormation gave no reason."]
        try:
            lines = log_tail(self._aws, self.names.endpoint, started)
        except CallError as error:
            lines = [f"(not to be had: {error.what})"]
        logs = ["The container's last lines:", *(f"  {line}" for line in lines)] if lines else []
        return AwsError(
            "\n".join([what, *causes, *logs, left]),
            remedy="Mend the cause and push again; `lab push destroy` removes everything.",
        )


def _token() -> str:
    """By which AWS knows a request that boto3 repeats because its answer was lost."""
    return f"lab-{uuid.uuid4().hex}"


def _listed(given: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]


def _tagged(order: Order) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags(order).items()]
