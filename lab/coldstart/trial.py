"""What a trial starts, who runs it, and how it may end other than well."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.coldstart.record import Failure, FailureKind, Sample
from lab.coldstart.schedule import Trial


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a cell starts: an image, a model archive and a question."""

    image: str
    """As the engine on this machine knows it."""
    archive: Path | None
    """``model.tar.gz``; None mounts nothing at ``/opt/ml/model``."""
    payload: bytes
    content_type: str


class Executor(Protocol):
    """Runs trials, one at a time."""

    def run(self, trial: Trial) -> Sample:
        """Run one. A failure is a sample too; only what ends the run is raised."""

    def close(self) -> None:
        """Remove everything that was kept between trials."""


class TrialFailed(Exception):  # noqa: N818 - an outcome, not an error of the lab
    """The trial ends here, and why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure

    @classmethod
    def of(cls, kind: FailureKind, message: str) -> "TrialFailed":
        """A failure of which nothing more is known."""
        return cls(Failure(kind=kind, message=message))


class TrialSkipped(Exception):  # noqa: N818 - an outcome, not an error of the lab
    """The trial cannot be run here, and why."""
