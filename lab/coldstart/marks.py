"""Taking the marks of one trial, on two clocks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab.spec import Mark


class TrialRecorder:
    """What one trial has left behind so far."""

    def __init__(self) -> None:
        self.marks: dict[Mark, int] = {}
        self.evidence: dict[str, Any] = {}
        self.pulled_layers: int | None = None
        self._began: float | None = None
        self.wall_s: float | None = None

    def begin(self) -> None:
        """The trial begins, on both clocks."""
        self._began = time.monotonic()
        self.mark(Mark.BEGIN)

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
