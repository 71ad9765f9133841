"""The trainer: its container, watched to its end, and the folder that it fills.

What is half-made lies in a hidden folder beside the models, and takes its place in one step.
"""

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab import paths
from lab.artifacts import store
from lab.artifacts.archive import pack, sha256
from lab.engine.api import Container, ContainerSpec, Engine, Mount
from lab.engine.interrupt import uninterrupted
from lab.errors import BuildError
from lab.progress import Progress, Step
from lab.spec import LABEL_OWNER, LABEL_ROLE, EngineKind, Runtime

ROLE: Final = "trainer"
OUT: Final = "/out"

_CODE: Final = "/lab/models"
_SERVICE: Final = "/lab/app"
_ENV: Final = {"PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
_POLL_S: Final = 0.5
_COUNTED: Final = re.compile(r"(\d+)/(\d+)")
_NOISE: Final = re.compile(r"[IWEF]\d{4} |WARNING|$")
"""What TensorFlow's libraries write before they can be told to be quiet."""
_UNFINISHED: Final = ".building-"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the trainer ended, and what it said."""

    code: int | None
    oom_killed: bool
    said: str

    def check(self) -> None:
        """Raise ``BuildError`` with its last lines unless all went well."""
        if self.code != 0:
            why = "ran out of memory" if self.oom_killed else f"ended with code {self.code}"
            tail = "\n".join(self.said.strip().splitlines()[-12:])
            raise BuildError(f"The trainer {why}.\n{tail}")

    def lines(self, prefix: str) -> Sequence[str]:
        """What it said behind ``prefix: ``."""
        begin = f"{prefix}: "
        return [
            line.removeprefix(begin) for line in self.said.splitlines() if line.startswith(begin)
        ]


def seen(engine: Engine, path: Path, inside: str) -> str:
    """What the trainer calls a file or folder that a container would have at ``inside``."""
    return str(path) if engine.kind is EngineKind.PROCESS else inside


def spec(
    engine: Engine,
    words: Sequence[str],
    *,
    image: str,
    folder: Path,
    mounts: Sequence[Mount] = (),
    env: Mapping[str, str] | None = None,
    network: str | None = "none",
) -> ContainerSpec:
    """A Python module of ``models`` with its arguments, to fill ``folder`` (``OUT``).

    ``mounts`` and ``env`` are a container's; a process sees the machine as it is.
    """
    inference = paths.SERVICES / "inference"
    if engine.kind is EngineKind.PROCESS:
        return ContainerSpec(
            image=image,
            command=["-m", *words],
            env={"PYTHONPATH": f"{paths.ROOT}{os.pathsep}{inference}", **_ENV},
            labels=labels(),
        )
    return ContainerSpec(
        image=image,
        command=["-m", *words],
        env={"HOME": "/tmp", **_ENV, **(env or {})},  # noqa: S108 - the container's own
        labels=labels(),
        mounts=[
            Mount(source=str(paths.MODELS), target=_CODE),
            # What it notes of an input is noted of the reference's with it.
            Mount(source=str(inference / "app"), target=_SERVICE),
            Mount(source=str(folder), target=OUT, read_only=False),
            *mounts,
        ],
        network=network,
        user=f"{os.getuid()}:{os.getgid()}",
    )


def labels() -> Mapping[str, str]:
    """Of this lab's trainers."""
    return {LABEL_ROLE: ROLE, LABEL_OWNER: str(paths.artifacts())}


def run(engine: Engine, spec: ContainerSpec, step: Step) -> Ended:
    """Run the trainer to its end, and leave nothing of it but its words."""
    with ExitStack() as stack:
        with uninterrupted():  # or a container could be made that nobody knows of
            container = engine.create(spec)
            stack.callback(_remove, container)
        container.start()
        _watch(container, step)
        said = container.logs(tail=400)
        state = container.state()
    return Ended(code=state.exit_code, oom_killed=bool(state.oom_killed), said=said)


def _remove(container: Container) -> None:
    with uninterrupted():
        container.remove()


def _watch(container: Container, step: Step) -> None:
    while container.state().running:
        line = container.logs(tail=1).strip()
        if not _NOISE.match(line):
            step.detail(line)
            counted = _COUNTED.search(line)
            if counted:
                step.advance(int(counted[1]), int(counted[2]))
        time.sleep(_POLL_S)


def finish(folder: Path, made_from: Mapping[str, str | None]) -> None:
    """Pack the archives and complete the card with sums and sizes."""
    file = folder / store.CARD
    card: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    sums, sizes = dict(card["sha256"]), {}
    for runtime in Runtime:
        names = store.content(folder, runtime)
        if not names:
            continue
        name = store.archive_name(runtime)
        sums[name] = pack(folder, folder / name, names=names)
        sizes[name] = (folder / name).stat().st_size
    for name in store.onnx(folder):
        sums[name], sizes[name] = sha256(folder / name), (folder / name).stat().st_size
    card["sha256"], card["bytes"] = sums, sizes
    card["fingerprint"] = made_from
    file.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def replace(new: Path, place: Path) -> None:
    """Put the new folder in the old one's place; a reader sees either, or for an instant none."""
    old = new.with_name(f"{new.name}-old")
    with uninterrupted():
        if place.exists():
            place.rename(old)
        new.rename(place)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def unfinished(model: str) -> Iterator[Path]:
    """A folder beside the finished ones, gone at the end unless it was renamed."""
    folder = paths.artifacts() / f"{_UNFINISHED}{model}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def alone(progress: Progress) -> Iterator[None]:
    """One build or import at a time: a second waits, and then finds its work done."""
    paths.artifacts().mkdir(parents=True, exist_ok=True)
    with (paths.artifacts() / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.note("Another command builds models: waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
