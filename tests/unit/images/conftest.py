"""Images are built by a program and held by an engine: both answer from a script here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.errors import CommandError
from lab.process import Result
from tests.unit.engine.fakedocker import FakeDocker


@dataclass
class Builder:
    """Stands for every program: remembers commands, and fails with ``fails`` if that is set."""

    commands: list[list[str]] = field(default_factory=list)
    environments: list[Mapping[str, str]] = field(default_factory=list)
    says: Sequence[str] = ()
    fails: str | None = None

    def stream(
        self,
        command: Sequence[str | Path],
        *,
        on_line: Callable[[str], None],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.run(command, env=env)
        for line in self.says:
            on_line(line)
        if self.fails is not None:
            raise CommandError(self.fails)

    def run(self, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> Result:
        self.commands.append([str(word) for word in command])
        self.environments.append(env or {})
        return Result(code=0, stdout="", stderr="")


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    made = Builder()
    for module in ("bake", "base", "venvs", "hostfiles"):
        monkeypatch.setattr(f"lab.images.{module}.run", made.run)
    for module in ("bake", "base", "venvs"):
        monkeypatch.setattr(f"lab.images.{module}.stream", made.stream)
    return made


@pytest.fixture
def docker(short: Path) -> Iterator[FakeDocker]:
    with FakeDocker(short / "docker.sock") as fake:
        yield fake
