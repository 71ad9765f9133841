"""A trial: what it starts, what it has left behind so far, and how it may end other than well."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import busy
from lab.coldstart.record import Chunks, Failure, FailureKind
from lab.spec import Mark
from lab.start.boot import Boot


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a cell starts: an image, a model archive and a question."""

    image: str
    """As the engine on this machine knows it."""
    archive: Path | None
    """``model.tar.gz``; None mounts nothing at ``/opt/ml/model``."""
    payload: bytes
    content_type: str


class TrialRecorder:
    """What one trial has left behind so far; its marks are taken on two clocks."""

    boot: Boot | None = None
    chunks: Chunks | None = None
    machine: busy.MachineUse | None = None

    def __init__(self, *, here: bool = False) -> None:
        """``here``: the engine is of this machine, so what else this does is looked at."""
        self.marks: dict[Mark, int] = {}
        self.evidence: dict[str, Any] = {}
        self.pulled_layers: int | None = None
        self._here = here
        self._before: busy.Reading | None = None
        self._began: float | None = None
        self.wall_s: float | None = None

    def begin(self) -> None:
        """The trial begins, on both clocks."""
        self._before = busy.read() if self._here else None
        self._began = time.monotonic()
        self.mark(Mark.BEGIN)

    def look(self, ours: Collection[str]) -> None:
        """See what the machine did since the beginning; ``ours`` are the trial's containers."""
        if self._before is not None:
            self.machine = busy.between(self._before, busy.read(), ours=ours)

    def predicted(self) -> None:
        """The first prediction is there: the trial's end, on both clocks."""
        self.mark(Mark.PREDICTED)
        if self._began is not None:
            self.wall_s = time.monotonic() - self._began

    def mark(self, mark: Mark) -> None:
        self.marks[mark] = time.time_ns()

    @contextmanager
    def span(self, begin: Mark, end: Mark) -> Iterator[None]:
        """Mark the beginning and the end of what happens inside."""
        self.mark(begin)
        yield
        self.mark(end)


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
