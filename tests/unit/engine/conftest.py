"""No unit test of the engine starts a process by accident: programs answer from a script."""

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.engine.install import privilege
from tests.unit.engine.fakedocker import FakeDocker


class Programs:
    """What programs answer, by the beginning of their command line; the longest counts."""

    DEVNULL = subprocess.DEVNULL
    PIPE = subprocess.PIPE
    STDOUT = subprocess.STDOUT
    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self) -> None:
        self.ran: list[str] = []
        self._answers: dict[str, tuple[int, str]] = {}

    def answer(self, beginning: str, output: str = "", *, code: int = 0) -> None:
        self._answers[beginning] = (code, output)

    def run(self, words: Sequence[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        line = " ".join(words)
        self.ran.append(line)
        known = [beginning for beginning in self._answers if line.startswith(beginning)]
        if not known:
            raise FileNotFoundError(words[0])
        code, output = self._answers[max(known, key=len)]
        said, complained = (output, "") if code == 0 else ("", output)
        return subprocess.CompletedProcess(words, code, said, complained)

    def Popen(self, words: Sequence[str], **_: Any) -> None:  # noqa: N802  # subprocess's name
        pytest.fail(f"a unit test would have started {words}")


@pytest.fixture
def real_processes() -> None:
    """Ask for this to start real ones."""


@pytest.fixture(autouse=True)
def programs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Programs]:
    script = Programs()
    if "real_processes" not in request.fixturenames:
        monkeypatch.setattr("lab.process.subprocess", script)
    forget = privilege.prefix.cache_clear
    forget()
    yield script
    forget()


@pytest.fixture
def docker(short: Path) -> Iterator[FakeDocker]:
    """An engine that answers from a script, on a real socket."""
    with FakeDocker(short / "docker.sock") as fake:
        yield fake
