"""How long work tells what it does, without knowing who listens."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Step(Protocol):
    """A piece of work that is under way."""

    def detail(self, text: str) -> None:
        """What it does this moment: the last line of a build, the layer being pulled."""

    def advance(self, done: float, total: float) -> None:
        """How far it is, in any unit."""


class Progress(Protocol):
    """Where work is announced."""

    def step(self, title: str) -> AbstractContextManager[Step]:
        """A piece of work with a beginning and an end; its duration is shown."""

    def note(self, text: str) -> None:
        """A line that stays: a choice made, a doubt, a thing skipped with its reason."""


class Silent:
    """Listens to nothing but keeps the notes: for tests and for callers that are programs."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator["Silent"]:
        self.steps.append(title)
        yield self

    def note(self, text: str) -> None:
        self.notes.append(text)

    def detail(self, text: str) -> None:
        """Nothing."""

    def advance(self, done: float, total: float) -> None:
        """Nothing."""
