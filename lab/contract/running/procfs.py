"""What the kernel says of a container from outside: its ports and its process 1.

Nothing need be installed in the image. Where the engine's processes cannot be seen from here (a
virtual machine, another host) the answer is None.
"""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.engine.docker.container import DockerContainer
from lab.errors import EngineError
from lab.sockets import listening_sockets

_PROC: Final = Path("/proc")
_QEMU: Final = "qemu-"
_ESTABLISHED: Final = "01"
_KEEPS_NAME: Final = "-binfmt-P"


@dataclass(frozen=True, kw_only=True)
class Listening:
    """A port that something in the container listens on."""

    port: int
    loopback: bool
    """Only reached from within the container."""

    def __str__(self) -> str:
        return f"127.0.0.1:{self.port}" if self.loopback else str(self.port)


def listening(container: DockerContainer, *, proc: Path = _PROC) -> Sequence[Listening] | None:
    """The ports, lowest first, as loopback only where no other address is listened on.

    None where this machine does not see the container's processes.
    """
    process = _process(container, proc)
    if process is None:
        return None
    ports: dict[int, bool] = {}
    for one in listening_sockets(process / "net"):
        ports[one.port] = ports.get(one.port, True) and one.address.is_loopback
    return [Listening(port=port, loopback=only) for port, only in sorted(ports.items())]


def process_one(container: DockerContainer, *, proc: Path = _PROC) -> Sequence[str] | None:
    """The command line of the container's process 1, without the interpreter that emulates it."""
    process = _process(container, proc)
    if process is None:
        return None
    return emulated(_read(process / "cmdline").rstrip("\0").split("\0")) or None


def processes(container: DockerContainer) -> int | None:
    """How many processes it has; None where the engine cannot say."""
    try:
        return container.processes()
    except EngineError:
        return None


def emulated(words: Sequence[str]) -> Sequence[str]:
    """A command line as the program itself sees it.

    The kernel puts the interpreter that runs a foreign program, and the program's path, before its
    arguments; with the flag ``P``, which Debian's names tell, the program's own name follows.
    """
    name = words[0].rpartition("/")[2]
    if name.endswith(_KEEPS_NAME):
        words = words[2:]
    elif name.startswith(_QEMU):
        words = words[1:]
    return [word for word in words if word]


def terminator(container: DockerContainer) -> Callable[[], None]:
    """Sends SIGTERM to process 1 when called: by the kernel where it is seen and may be reached,
    in microseconds, else by the engine, whose 20 ms a quick answer does not wait for.
    """
    process = _process(container, _PROC)
    if process is None:
        return lambda: container.kill("TERM")

    def terminate() -> None:
        try:
            os.kill(int(process.name), signal.SIGTERM)
        except (PermissionError, ProcessLookupError):
            container.kill("TERM")

    return terminate


def taken(container: DockerContainer, port: int, *, proc: Path = _PROC) -> bool | None:
    """Whether a program in the container has accepted the connection from that port of ours.

    Until then it waits in the kernel's queue, and no program knows of it. None where it cannot be
    seen.
    """
    process = _process(container, proc)
    if process is None:
        return None
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in _read(process / "net" / table).splitlines()[1:]
    ]
    from_us = [row for row in rows if row[2].endswith(f":{port:04X}") and row[3] == _ESTABLISHED]
    return any(row[9] != "0" for row in from_us) if from_us else None


def _process(container: DockerContainer, proc: Path) -> Path | None:
    try:
        pid = container.state().pid
    except EngineError:
        return None
    if pid is None or container.id not in _read(proc / str(pid) / "cgroup"):
        return None
    return proc / str(pid)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
