"""Choose the engine: the one that is there, else one installed and started, else processes."""

import os
from collections.abc import Mapping
from enum import StrEnum, unique
from pathlib import Path
from typing import Final

from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.engine.install import packages, privilege
from lab.engine.install.daemon import Daemon
from lab.engine.install.locate import Search, ask, search
from lab.engine.install.packages import Tool
from lab.engine.process.engine import ProcessEngine
from lab.errors import EngineError, EngineUnavailableError, UsageError
from lab.progress import Progress

VARIABLE: Final = "LAB_ENGINE"
_UNIX: Final = "unix://"


@unique
class Choice(StrEnum):
    """What ``LAB_ENGINE`` may say."""

    AUTO = "auto"
    """Docker if it can be had, else processes."""
    DOCKER = "docker"
    """Docker, installed if need be, or an error."""
    EXTERNAL = "external"
    """A Docker Engine that answers already, or an error: nothing is installed or started."""
    PROCESS = "process"
    """No containers."""


def choice(env: Mapping[str, str] = os.environ) -> Choice:
    """The user's choice. Raises ``UsageError`` for a word that is none."""
    value = env.get(VARIABLE) or Choice.AUTO
    try:
        return Choice(value)
    except ValueError:
        raise UsageError(
            f"{VARIABLE}={value} is not a choice of engine.",
            remedy=f"Set it to one of {', '.join(Choice)}.",
        ) from None


def open_engine(progress: Progress) -> Engine:
    """The engine to use, ready.

    When Docker cannot be had and was not asked for by name, what to install is said, and
    processes stand in. Raises ``EngineUnavailableError`` or another ``EngineError``.
    """
    chosen = choice()
    if chosen is Choice.PROCESS:
        return ProcessEngine()
    try:
        return open_docker(progress)
    except EngineError as error:
        if chosen is not Choice.AUTO:
            raise
        progress.note(f"No container engine: {error.what} {error.remedy}".rstrip())
        progress.note(f"Going on with processes, without containers ({VARIABLE}=process).")
        return ProcessEngine(notes=(f"No container engine: {error.what}",))


def open_docker(progress: Progress, *, allow_install: bool = True) -> DockerEngine:
    """A Docker Engine that answers: found, or installed and started. Raises ``EngineError``."""
    may_change = allow_install and choice() is not Choice.EXTERNAL
    seen = search()
    if seen.found is None:
        if choice() is Choice.EXTERNAL:
            raise _nothing_answers(seen)
        seen = _started(seen, progress, may_install=may_change)
    elif may_change:
        _complete((Tool.CLIENT, Tool.BUILDX), progress)
    if seen.found is None:
        raise _nothing_answers(seen)
    return DockerEngine(seen.found.address)


def _admitted(seen: Search, progress: Progress) -> Search:
    """Let this user use the engine that was just installed for it, where the system started it.

    Only then: who may use an engine that was there before is not the lab's to change.
    """
    for refusal in seen.forbidden:
        socket = Path(refusal.candidate.address.removeprefix(_UNIX))
        if privilege.prefix() is not None and socket.is_socket():
            privilege.as_root(["chown", str(os.geteuid()), socket])
            progress.note(f"Took ownership of {socket} by sudo, to use the engine that runs.")
            if ask(refusal.candidate) is None:
                return Search(found=refusal.candidate, refused=seen.refused)
    return seen


def _started(seen: Search, progress: Progress, *, may_install: bool) -> Search:
    """Start a private engine, after installing what it needs."""
    for refusal in seen.forbidden:
        # Beside it a second engine would fight over the same bridge.
        raise EngineUnavailableError(
            f"An engine is at {refusal.candidate.address}, but this user may not use it.",
            remedy="Run `sudo usermod -aG docker $USER` and log in again.",
        )
    if may_install:
        _complete(packages.ENGINE_TOOLS, progress)
        seen = search()  # the package may have started the system's own
        if seen.found is not None:
            return seen
        seen = _admitted(seen, progress)
        if seen.found is not None:
            return seen
    if not packages.has(Tool.ENGINE):
        raise EngineUnavailableError(
            "No engine answers, and none is installed.",
            remedy=packages.advice(packages.ENGINE_TOOLS),
        )
    if privilege.prefix() is None:
        raise EngineUnavailableError(
            "Docker is installed but does not run, and this user may not start it.",
            remedy="Start it (`sudo systemctl start docker`), or run `sudo lab engine up`.",
        )
    daemon = Daemon()
    with progress.step(f"Starting a private engine in {daemon.places.data}"):
        daemon.start()
    return search()


def _complete(tools: tuple[Tool, ...], progress: Progress) -> None:
    """Install what is missing of the tools; only a missing engine is reason to give up."""
    try:
        packages.ensure(tools, progress)
    except EngineUnavailableError as error:
        if Tool.ENGINE in tools and not packages.has(Tool.ENGINE):
            raise
        progress.note(str(error))


def _nothing_answers(seen: Search) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"No Docker Engine answers ({seen.why}).",
        remedy=f"Start one, point DOCKER_HOST at one, or unset {VARIABLE} to let the lab start "
        "its own.",
    )
