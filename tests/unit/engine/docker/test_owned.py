"""What a command made is removed whatever the engine's mood, and what dead ones left, too."""

import os
from collections.abc import Mapping, Sequence

import pytest

from lab.engine.api import ContainerSpec
from lab.engine.docker import owned
from lab.engine.docker.owned import is_dead, of_this_process, remove_owned, sweep
from lab.errors import EngineError
from lab.progress import Silent
from lab.spec import LABEL_OWNER, LABEL_PROCESS
from tests.unit.engine.fake import FakeContainer, FakeEngine

MORE_THAN_LINUX_HAS = 2**22 + 1
MINE = {LABEL_OWNER: "me"}


class Busy(FakeContainer):
    """Removed at the third try only."""

    tries = 0

    def remove(self) -> None:
        self.tries += 1
        if self.tries < 3:
            raise EngineError("The engine took too long to answer.")
        super().remove()


class Slow(FakeContainer):
    """The engine says that it removes it, and takes its time."""

    tries = 0

    def remove(self) -> None:
        self.tries += 1
        self.removed = self.tries > 2


class Stuck(FakeContainer):
    def remove(self) -> None:
        raise EngineError("device or resource busy.")


def engine_with(*kinds: type[FakeContainer], labels: Mapping[str, str] = MINE) -> FakeEngine:
    engine = FakeEngine()
    for number, kind in enumerate(kinds):
        spec = ContainerSpec(image="x", labels=labels)
        made = kind(id=f"{number}", spec=spec, does=engine.does, engine=engine, name=f"c{number}")
        engine.made.append(made)
    return engine


def test_a_container_that_a_busy_engine_does_not_remove_at_once_is_removed_later() -> None:
    waited: list[float] = []
    engine = engine_with(Busy, Slow)
    assert remove_owned(engine, MINE, sleep=waited.append) == []
    assert engine.containers({}) == []
    assert len(waited) >= 2


def test_what_cannot_be_removed_is_told_with_its_name_and_the_command() -> None:
    engine = engine_with(Stuck, FakeContainer)
    (said,) = remove_owned(engine, MINE, within_s=0.0)[:1]
    assert "The container c0 could not be removed: device or resource busy." in said
    assert "docker rm --force --volumes c0" in said
    assert [one.name for one in engine.containers({})] == ["c0"]


def test_that_the_engine_does_not_answer_is_told_too() -> None:
    class Gone(FakeEngine):
        def containers(self, labels: Mapping[str, str]) -> Sequence[FakeContainer]:
            raise EngineError("The engine does not answer.")

    (said,) = remove_owned(Gone(), MINE, within_s=0.0)
    assert "The engine does not answer." in said
    assert f"label={LABEL_OWNER}=me" in said


def dead_mark() -> str:
    """Of a process that has ended."""
    where, _, _ = of_this_process()[LABEL_PROCESS].rsplit("/", 2)
    return f"{where}/{MORE_THAN_LINUX_HAS}/1"


def test_a_process_is_known_by_its_number_and_its_birth() -> None:
    mark = of_this_process()[LABEL_PROCESS]
    assert not is_dead(mark, local=True)
    assert is_dead(dead_mark(), local=False)
    where, pid, born = mark.rsplit("/", 2)
    assert pid == str(os.getpid())
    assert is_dead(f"{where}/{pid}/{int(born) - 1}", local=False), "the number was given again"


def test_who_cannot_be_seen_from_here_lives() -> None:
    boot, space, pid, born = dead_mark().split("/")
    assert not is_dead(f"{boot}/1/{pid}/{born}", local=True), "in a container of its own"
    assert not is_dead(f"other-boot/{space}/{pid}/{born}", local=False), "on another machine"
    assert is_dead(f"other-boot/{space}/{pid}/{born}", local=True), "before this machine's boot"
    for strange in ("", "x", "a/b/c/d", f"{boot}/{space}/{pid}"):
        assert not is_dead(strange, local=True), strange


def test_what_a_dead_command_left_is_swept_and_what_lives_is_not() -> None:
    engine = FakeEngine()
    for labels in ({LABEL_PROCESS: dead_mark()}, {**MINE, **of_this_process()}, {}):
        engine.create(ContainerSpec(image="x", labels={"role": "check", **labels}))
    progress = Silent()
    sweep(engine, progress)
    assert [one.removed for one in engine.made] == [True, False, False]
    assert progress.notes == ["Removed a container that a killed command had left behind."]


def test_where_processes_cannot_be_told_nothing_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = dead_mark()
    monkeypatch.setattr(owned, "_here", lambda: None)
    assert of_this_process() == {}
    assert not is_dead(mark, local=True)
