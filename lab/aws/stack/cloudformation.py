"""The one CloudFormation stack of an endpoint: made in two steps, changed, waited for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from lab.aws.access.errors import CallError, redacted
from lab.aws.access.session import AwsSession
from lab.aws.model import (
    Action,
    Artifacts,
    AwsError,
    Deployment,
    DeploymentNames,
    Order,
    PlanItem,
    Removal,
    tag_list,
    tags,
)
from lab.aws.stack import changes, removal, template
from lab.aws.stack.events import MEND, Follower, container_said, log_group, log_tail, now
from lab.aws.stack.inventory import SCALED, inventory, resources
from lab.aws.stack.state import StackState
from lab.aws.stack.watch import POLL_S, WAIT_S, StackWatch, token
from lab.awserrors import ErrorKind
from lab.progress import Progress

_STEP_1_MINUTES: Final = 15
_DELETIONS: Final = 2  # something may be put into the bucket between emptying and deleting it
_SHARED_ROLE: Final = (
    "Kept: AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint, the role that AWS made for "
    "autoscaling. All endpoints of the account share it, and it costs nothing."
)


class CloudFormationStack:
    """A ``Deployer`` to AWS."""

    def __init__(
        self,
        aws: AwsSession,
        names: DeploymentNames,
        *,
        poll_s: float = POLL_S,
        wait_s: float = WAIT_S,
    ) -> None:
        self.names = names
        self._aws = aws
        self._poll_s = poll_s
        self._watch = StackWatch(aws=aws, names=names, poll_s=poll_s, wait_s=wait_s)

    def look(self) -> StackState | None:
        """The stack as it is; None if there is none. Raises ``AwsError`` if it is not ours."""
        return self._watch.look()

    def plan(self, order: Order, artifacts: Artifacts | None = None) -> Sequence[PlanItem]:
        state = self._watch.look()
        standing = state if state and not state.is_wreck else None
        if standing:
            standing.refuse_other_hosting(order)
        body = self._body() if standing else None
        first, *others = changes.items(
            order,
            self.names,
            artifacts,
            # The account is in names that do not differ.
            around=template.pseudo(account="", region=self._aws.region),
            deployed=standing.parameters if standing else None,
            body=body,
        )
        if standing and (standing.under_way or standing.is_broken):
            first = replace(first, action=Action.CHANGE, detail=standing.status)
        elif standing and artifacts and first.action is Action.KEEP:
            given = template.parameters(order, self.names, artifacts)
            if not self._is_deployed(standing, given, order, body or ""):
                first = replace(first, action=Action.CHANGE, detail="its tags or parameters")
        return [first, *others]

    # --- step 1 ----------------------------------------------------------------------------------

    def prepare(self, order: Order, progress: Progress) -> None:
        state = self._watch.settled(progress)
        if state and state.is_wreck:
            progress.note(f"{state.says} It can only be removed: making it anew.")
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
                **self._wanted(order, given),
                # Nothing of a first step that failed is worth keeping.
                OnFailure="DELETE",
                TimeoutInMinutes=_STEP_1_MINUTES,
            )
            follower = Follower(self._aws, made["StackId"])
            state = self._watch.wait(made["StackId"], follower, progress, step)
        if state is None or state.status != "CREATE_COMPLETE":
            left = "Nothing is left of it." if state is None else state.says
            raise self._failure("The stack could not be made.", left, follower, started)

    # --- step 2 ----------------------------------------------------------------------------------

    def deploy(self, order: Order, artifacts: Artifacts, progress: Progress) -> Deployment:
        state = self._watch.settled(progress)
        if state is None or state.is_wreck:
            raise AwsError(
                f"There is no stack {self.names.stack} to deploy to.", remedy="Push again."
            )
        state.refuse_other_hosting(order)
        given = template.parameters(order, self.names, artifacts)
        changed = not self._is_deployed(state, given, order, self._body())
        changed = changed and self._update(state, given, order, progress)
        self._serves(given["EndpointConfigName"])
        return Deployment(
            names=self.names, region=self._aws.region, changed=changed, artifacts=artifacts
        )

    def _wanted(self, order: Order, given: Mapping[str, str]) -> dict[str, Any]:
        """What making and updating the stack both are told."""
        return {
            "StackName": self.names.stack,
            "TemplateBody": template.BODY,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in given.items()
            ],
            "Tags": tag_list(order),
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "ClientRequestToken": token(),
        }

    @staticmethod
    def _is_deployed(state: StackState, given: Mapping[str, str], order: Order, body: str) -> bool:
        return (
            not state.is_broken
            and state.parameters == given
            and state.tags == tags(order)
            and template.is_current(body, given)
        )

    def _update(
        self, state: StackState, given: Mapping[str, str], order: Order, progress: Progress
    ) -> bool:
        follower = Follower(self._aws, state.id)
        follower.skip()
        started = now()
        title = "Updating" if state.serves else "Making"
        with progress.step(f"{title} the endpoint {self.names.endpoint}") as step:
            try:
                wanted = self._wanted(order, given)
                self._aws.call("cloudformation", "update_stack", **wanted)
            except CallError as error:
                if error.kind is not ErrorKind.UNCHANGED:
                    raise
                return False
            after = self._watch.wait(state.id, follower, progress, step)
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

    def _serves(self, config: str) -> None:
        seen = self._aws.find(
            "sagemaker", "describe_endpoint", EndpointName=self.names.endpoint
        ) or {"EndpointStatus": "gone"}
        if seen["EndpointStatus"] == "InService":
            if seen["EndpointConfigName"] == config:
                return
            # SageMaker takes back by itself what does not start, and is in service again.
            raise AwsError(
                f"The stack is complete, but the endpoint {self.names.endpoint} serves "
                f"{seen['EndpointConfigName']}, not {config}: SageMaker took the update back, "
                "or somebody else changed it.",
                remedy="Remove it with `lab push destroy` and push again.",
            )
        reason = redacted(str(seen.get("FailureReason", "")))
        raise AwsError(
            f"The stack is complete, but the endpoint {self.names.endpoint} is "
            f"{seen['EndpointStatus']}. {reason}".rstrip(),
            remedy="Somebody else changed it: remove it with `lab push destroy` and push again.",
        )

    # --- away ------------------------------------------------------------------------------------

    def destroy(self, progress: Progress) -> Removal:
        state = self._watch.look()
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
        if own and any(resource.kind == SCALED for resource in before):
            progress.note(_SHARED_ROLE)
        return removal.compared(
            before, lambda: inventory(self._aws, self.names), own=own, poll_s=self._poll_s
        )

    def _stopped(self, state: StackState, progress: Progress) -> StackState | None:
        """Ready to be deleted: what is under way is cancelled, or waited for."""
        if state.status == "CREATE_IN_PROGRESS":  # which can be deleted at once
            return state
        if state.status == "UPDATE_IN_PROGRESS":
            try:
                self._watch.ask("cancel_update_stack")
            except CallError as error:
                if error.kind is not ErrorKind.INVALID:  # it has just ended
                    raise
        return self._watch.settled(progress, mend=False)

    def _delete(self, state: StackState, progress: Progress) -> None:
        follower = Follower(self._aws, state.id)
        follower.skip()
        with progress.step(f"Deleting the stack {self.names.stack}") as step:
            for _ in range(_DELETIONS):
                if self.names.bucket in resources(self._aws, state):
                    removal.empty(partial(self._aws.find, "s3"), self.names.bucket, progress)
                self._watch.ask("delete_stack")
                if self._watch.wait(state.id, follower, progress, step) is None:
                    return
        what = f"The stack {self.names.stack} could not be deleted. Some of it may cost money."
        raise AwsError(
            "\n".join([what, *(f"  {cause}" for cause in follower.causes)]),
            remedy="Mend the cause and run `lab push destroy` again.",
        )

    # --- asking ----------------------------------------------------------------------------------

    def _body(self) -> str:
        asked = {"StackName": self.names.stack, "TemplateStage": "Original"}
        found: Any = self._aws.call("cloudformation", "get_template", **asked)["TemplateBody"]
        return str(found)

    def _failure(self, what: str, left: str, follower: Follower, started: datetime) -> AwsError:
        causes = [f"  {cause}" for cause in follower.causes] or ["  CloudFormation gave no reason."]
        try:
            lines = log_tail(self._aws, self.names.endpoint, started)
        except CallError as error:
            lines = [f"(not to be had: {error.what})"]
        logs, cure = container_said(lines)
        return AwsError("\n".join([what, *causes, *logs, left]), remedy=f"{cure}{MEND}")
