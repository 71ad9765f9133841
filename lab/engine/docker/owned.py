"""Removing what a command made, however slow the engine is, and what dead commands left behind.

A container carries its owner's label; one that must not outlive the process that made it carries
that process's mark too, by which a later command knows it for nobody's.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.process import proctree
from lab.errors import EngineError
from lab.host import read_text
from lab.progress import Progress
from lab.spec import LABEL, LABEL_PROCESS

PATIENCE_S: Final = 300.0
"""For an engine that is too busy to remove a container at once."""

_UNREACHABLE_S: Final = 10.0
_PAUSES_S: Final = (0.0, 0.2, 1.0, 3.0)
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/self/ns/pid")
_DEFAULT: Final = "unix:///var/run/docker.sock"


def of_this_process() -> Mapping[str, str]:
    """The label of what must not outlive this process; none where processes cannot be told."""
    where = _here()
    if where is None:
        return {}
    pid = os.getpid()
    return {LABEL_PROCESS: f"{where}/{pid}/{proctree.born(pid)}"}


def is_dead(mark: str, *, local: bool) -> bool:
    """Whether the process of that mark is surely gone. One of another machine, or of a container
    with processes of its own, cannot be seen from here: it lives.

    ``local``: the engine is this machine's own, so that marks of another boot are of this one's.
    """
    where = _here()
    boot, _, rest = mark.partition("/")
    words = rest.split("/")
    if where is None or len(words) != 3 or not all(word.isdigit() for word in words):
        return False
    space, pid, born = words
    if f"{boot}/{space}" == where:
        return not proctree.runs(int(pid), int(born))
    return local and boot != where.partition("/")[0]


def remove_owned(
    engine: Engine,
    labels: Mapping[str, str],
    *,
    within_s: float = PATIENCE_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Sequence[str]:
    """Remove the containers that carry the labels, and networks, and see that they are gone.

    What is still there after so long is returned in words, with the command that removes it.
    """
    begin = time.monotonic()
    pauses = iter(_PAUSES_S)
    while True:
        patience_s = within_s
        try:
            left = [*_containers_left(engine, labels), *_networks_left(engine, labels)]
        except EngineError as error:
            # It is gone rather than busy.
            patience_s = min(within_s, _UNREACHABLE_S)
            words = " ".join(f"--filter label={name}={value}" for name, value in labels.items())
            listing = f"`{_docker(engine)} ps --all {words}`"
            left = [f"Whether containers are left cannot be told: {error.what} See {listing}."]
        if not left or time.monotonic() >= begin + patience_s:
            return left
        sleep(next(pauses, _PAUSES_S[-1]))


def sweep(engine: Engine, progress: Progress) -> None:
    """Remove what earlier commands of this machine left that were killed; others' stays."""
    local = isinstance(engine, DockerEngine) and engine.local
    marks = [one.labels.get(LABEL_PROCESS, "") for one in engine.containers({})]
    dead = [mark for mark in marks if is_dead(mark, local=local)]
    also = {mark for mark in _marks_of_networks(engine) if is_dead(mark, local=local)}
    for mark in sorted({*dead, *also}):
        for line in remove_owned(engine, {LABEL_PROCESS: mark}, within_s=PATIENCE_S / 10):
            progress.note(line)
    if dead:
        count = "a container" if len(dead) == 1 else f"{len(dead)} containers"
        progress.note(f"Removed {count} that a killed command had left behind.")


def _containers_left(engine: Engine, labels: Mapping[str, str]) -> Sequence[str]:
    """Try each once; what may still be there."""
    left = []
    for container in engine.containers(labels):
        said = "The engine has not done it yet."
        try:
            container.remove()
        except EngineError as error:
            said = error.what
        left.append(
            f"The container {container.name} could not be removed: {said} Remove it: "
            f"`{_docker(engine)} rm --force --volumes {container.name}`."
        )
    return left


def _networks_left(engine: Engine, labels: Mapping[str, str]) -> Sequence[str]:
    left: list[str] = []
    if not isinstance(engine, DockerEngine):
        return left
    for network in _networks(engine, labels):
        name = network["Name"]
        try:
            with translated():
                engine.client.remove_network(network["Id"])
        except EngineError as error:
            left.append(
                f"The network {name} could not be removed: {error.what} Remove it: "
                f"`{_docker(engine)} network rm {name}`."
            )
    return left


def _networks(engine: Engine, labels: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    if not isinstance(engine, DockerEngine):
        return ()
    wanted = [f"{name}={value}" for name, value in {**labels, LABEL: "true"}.items()]
    with translated():
        found: Sequence[Mapping[str, Any]] = engine.client.networks(filters={"label": wanted})
    return found


def _marks_of_networks(engine: Engine) -> Sequence[str]:
    return [(one.get("Labels") or {}).get(LABEL_PROCESS, "") for one in _networks(engine, {})]


def _docker(engine: Engine) -> str:
    address = engine.address if isinstance(engine, DockerEngine) else _DEFAULT
    return "docker" if address == _DEFAULT else f"docker -H {address}"


def _here() -> str | None:
    """The boot of this machine, and whose process numbers are seen."""
    boot = read_text(_BOOT)
    try:
        space = _NAMESPACE.readlink().name
    except OSError:
        return None
    digits = "".join(filter(str.isdigit, space))
    return f"{boot.strip()}/{digits}" if boot and digits else None
