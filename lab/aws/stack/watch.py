"""A stack that changes by itself: waited for, and taken up where an earlier command left it."""

import time
import uuid
from dataclasses import dataclass
from typing import Final

from lab.aws.access.session import AwsSession
from lab.aws.model import AwsError, DeploymentNames
from lab.aws.stack.events import Follower
from lab.aws.stack.inventory import described
from lab.aws.stack.state import StackState
from lab.errors import LabError
from lab.progress import Progress, Step

POLL_S: Final = 5.0
WAIT_S: Final = 3600.0
"""SageMaker gives a container at most an hour to start."""


@dataclass(frozen=True, kw_only=True)
class StackWatch:
    """Waits for one stack. Raises ``AwsError``."""

    aws: AwsSession
    names: DeploymentNames
    poll_s: float
    wait_s: float

    def look(self) -> StackState | None:
        """The stack as it is; None if there is none. Raises ``AwsError`` if it is not ours."""
        return described(self.aws, self.names)

    def ask(self, operation: str) -> None:
        """An operation that takes the stack's name and nothing else."""
        said = {"StackName": self.names.stack, "ClientRequestToken": token()}
        self.aws.call("cloudformation", operation, **said)

    def settled(self, progress: Progress, *, mend: bool = True) -> StackState | None:
        """The stack once nothing is under way; a roll-back that got stuck is taken up again."""
        state = self.look()
        if state and state.under_way:
            progress.note(f"{state.says} Waiting for it.")
            state = self._followed(state, progress)
        if mend and state and state.status == "UPDATE_ROLLBACK_FAILED":
            progress.note(f"{state.says} Taking the roll-back up again.")
            self.ask("continue_update_rollback")
            state = self._followed(state, progress)
            if state and state.status == "UPDATE_ROLLBACK_FAILED":
                raise AwsError(
                    f"{state.says} It could not be rolled back.",
                    remedy="Remove it with `lab push destroy` and push again.",
                )
        return state

    def wait(
        self, stack: str, follower: Follower, progress: Progress, step: Step
    ) -> StackState | None:
        """Until nothing is under way. None when the stack, known by its ARN, is gone.

        Whoever is interrupted here is told how to go on.
        """
        deadline = time.monotonic() + self.wait_s
        state: StackState | None = None
        try:
            while True:
                for event in follower.read():
                    step.detail(str(event))
                state = described(self.aws, self.names, stack)
                if state is None or not state.under_way:
                    follower.read()
                    return state
                if time.monotonic() > deadline:
                    raise AwsError(
                        f"{state.says} That has taken longer than an hour.",
                        remedy="The same command waits on; `lab push destroy` removes it.",
                    )
                time.sleep(self.poll_s)
        except (KeyboardInterrupt, LabError):
            said = state.says if state else f"The stack {self.names.stack} is under way."
            progress.note(
                f"{said} AWS goes on with it. The same command takes it up again; "
                "`lab push destroy` removes everything."
            )
            raise

    def _followed(self, state: StackState, progress: Progress) -> StackState | None:
        follower = Follower(self.aws, state.id)
        follower.skip()
        with progress.step(f"Waiting for the stack {self.names.stack}") as step:
            return self.wait(state.id, follower, progress, step)


def token() -> str:
    """By which AWS knows a request that boto3 repeats because its answer was lost."""
    return f"lab-{uuid.uuid4().hex}"
