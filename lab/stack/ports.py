"""Who listens on a port of the stack's that should be free."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from lab.errors import CommandError, PortTakenError
from lab.process import run
from lab.services import Service
from lab.sockets import free_port, listening_sockets

_PROC: Final = Path("/proc")


def taken(port: int) -> bool:
    """Whether a server could not listen on 127.0.0.1 at this port."""
    try:
        free_port(port)
    except OSError:
        return True
    return False


def refuse_taken(
    services: Sequence[Service], *, env: Mapping[str, str], docker: str | None = None
) -> None:
    """Raise ``PortTakenError`` that names every port that is taken, by whom, and its variable.

    ``docker`` is the engine's address: behind its proxy a container may hold the port.
    """
    faults = []
    for service in services:
        port = service.port(env)
        if taken(port):
            by = holder(port, docker=docker)
            faults.append((service, f"port {port} of {service.name} is taken" + _by(by)))
    if faults:
        said = "; ".join(what for _, what in faults)
        variables = " ".join(f"{service.variable}=PORT" for service, _ in faults)
        raise PortTakenError(
            f"{said[0].upper()}{said[1:]}.",
            remedy=f"Stop it, or choose another port: {variables} lab up.",
        )


def holder(port: int, *, docker: str | None = None, proc: Path = _PROC) -> str | None:
    """Who listens there, as far as this user may know: a container, or a program."""
    if docker is not None:
        with suppress(CommandError):
            asked = ["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"]
            env = {"DOCKER_HOST": docker, "DOCKER_CONTEXT": ""}
            names = run(asked, env=env, timeout_s=5).stdout.split()
            if names:
                return f"the container {names[0]}"
    return _program(port, proc)


def _by(who: str | None) -> str:
    return "" if who is None else f" by {who}"


def _program(port: int, proc: Path) -> str | None:
    sockets = {
        f"socket:[{one.inode}]" for one in listening_sockets(proc / "net") if one.port == port
    }
    if not sockets:
        return None
    for folder in proc.glob("[0-9]*"):
        with suppress(OSError):
            if any(str(fd.readlink()) in sockets for fd in (folder / "fd").iterdir()):
                name = (folder / "comm").read_text(encoding="utf-8").strip()
                return f"{name} (process {folder.name})"
    return None
