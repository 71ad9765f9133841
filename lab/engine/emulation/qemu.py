"""Whether an engine runs programs of another architecture, and how to make it do so.

On Linux the kernel hands such programs to QEMU, which has to be installed and registered; engines
in a virtual machine of their own (Docker Desktop) bring it. What runs so is correct and slow: its
timings are labelled *emulated*.
"""

import os
import re
from dataclasses import dataclass
from typing import Final

from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.engine.emulation.binfmt import Binfmt, BinfmtEntry, Registration
from lab.engine.install import packages, privilege
from lab.engine.install.packages import Tool
from lab.engine.select import Choice, choice
from lab.errors import CommandError, EmulationError, EngineError
from lab.process import run
from lab.progress import Progress
from lab.spec import Platform

OLDEST: Final = 8
"""QEMU's first major version that runs ONNX Runtime: 7.2 crashes at its import (signal 11)."""

_COMMAND_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Emulation:
    """How an engine stands to a platform."""

    platform: Platform
    detail: str
    runs: bool = True
    """Images for it can be built and run."""
    version: str | None = None
    """QEMU's, where it can be told."""
    remedy: str = ""
    """What to do when it does not run, or when a doubt remains."""
    mendable: bool = False
    """It does not run, but ``ensure_runs`` may set it up."""


def look(platform: Platform, engine: Engine, *, binfmt: Binfmt | None = None) -> Emulation:
    """See whether ``engine`` runs images for ``platform``; changes nothing."""
    if engine.facts().platform is platform:
        return Emulation(platform=platform, detail="the engine's own architecture")
    if not isinstance(engine, DockerEngine):
        return _lacks(
            platform,
            "without containers only programs of this machine's architecture run",
            "Use a Docker Engine (see `lab doctor`).",
        )
    if not shares_kernel(engine):
        return _look_there(platform, engine)
    return look_here(platform, binfmt=binfmt)


def look_here(platform: Platform, *, binfmt: Binfmt | None = None) -> Emulation:
    """See whether this machine's kernel runs programs for ``platform``, which is not its own."""
    binfmt = binfmt or Binfmt()
    entry = binfmt.serving(platform)
    arch = platform.arch
    if entry is None or not entry.enabled:
        where = "" if binfmt.heeded else f" (binfmt_misc is {_off(binfmt)})"
        return _lacks(platform, f"no interpreter for {arch} programs is registered{where}", binfmt)
    if not entry.fixed:
        return _lacks(
            platform, f"{entry.interpreter} is registered, but containers do not find it", binfmt
        )
    version = _version(entry)
    if version is not None and _too_old(version):
        return _lacks(
            platform,
            f"QEMU {version} starts {arch} programs, but crashes ONNX Runtime: "
            f"{OLDEST} or newer is needed",
            binfmt,
            version=version,
        )
    if entry.stale:
        return _lacks(platform, f"{entry.interpreter} has changed since it was registered", binfmt)
    if version is None:
        return Emulation(
            platform=platform,
            detail=f"{entry.interpreter} is registered; its version cannot be told",
            remedy=f"If {arch} containers crash, see that it is QEMU {OLDEST} or newer.",
        )
    return Emulation(platform=platform, version=version, detail=f"QEMU {version}")


def ensure_runs(
    platform: Platform, engine: Engine, progress: Progress, *, binfmt: Binfmt | None = None
) -> Emulation:
    """Have images for ``platform`` run on ``engine``: QEMU is installed and registered if need be.

    Takes some milliseconds when all is there. Raises ``EmulationError`` with the commands to run
    where the lab may not, or cannot, do it.
    """
    binfmt = binfmt or Binfmt()
    seen = look(platform, engine, binfmt=binfmt)
    if seen.runs:
        return seen
    if not isinstance(engine, DockerEngine) or not shares_kernel(engine):
        raise _refusal(seen, remedy=seen.remedy)
    forbidden = _forbidden()
    if forbidden is not None:
        raise _refusal(seen, because=forbidden, remedy=_by_hand(platform, binfmt))
    try:
        _install(platform, binfmt, progress)
        wanted = binfmt.registration(platform)
        if wanted is None:
            raise _refusal(seen, remedy=_by_container(platform))
        with progress.step(f"Registering QEMU for {platform.arch} programs"):
            binfmt.register(wanted)
    except CommandError as error:
        if not (seen := look(platform, engine, binfmt=binfmt)).runs:  # nor did another process
            because = f"registering it failed: {error.what}"
            raise _refusal(seen, because=because, remedy=_by_container(platform)) from error
    seen = look(platform, engine, binfmt=binfmt)
    if not seen.runs:
        raise _refusal(seen, remedy=_by_container(platform))
    progress.note(f"{platform} images run here by {seen.detail}: emulated, so much slower.")
    return seen


def shares_kernel(engine: DockerEngine) -> bool:
    """Whether the engine's containers run on this machine's kernel: not those of a machine in it.

    Docker Desktop's socket is here, its kernel is another.
    """
    here = os.uname()
    return (
        here.sysname == "Linux"
        and engine.address.startswith("unix://")
        and engine.facts().versions.get("kernel") == here.release
    )


def _look_there(platform: Platform, engine: DockerEngine) -> Emulation:
    """What the engine's own builder says: it has tried to run a program of each platform."""
    try:
        output = run(
            ["docker", "buildx", "inspect", "default"],
            env={"DOCKER_HOST": engine.address, "DOCKER_CONTEXT": ""},
            timeout_s=_COMMAND_S,
        ).stdout
    except CommandError as error:
        return _lacks(
            platform,
            f"what the engine runs cannot be asked: {error.what}",
            packages.advice([Tool.CLIENT, Tool.BUILDX]),
        )
    listed = re.search(r"^Platforms:(.*)$", output, re.MULTILINE)
    if listed and platform in re.split(r"[\s,*]+", listed[1]):
        return Emulation(platform=platform, detail="the engine says that it does")
    return _lacks(platform, f"the engine does not run {platform}", _by_container(platform))


def _off(binfmt: Binfmt) -> str:
    return "switched off" if binfmt.mounted else "not mounted"


def _lacks(
    platform: Platform, detail: str, remedy: str | Binfmt, *, version: str | None = None
) -> Emulation:
    """One that does not run; with the table of this machine, whether and how it can be mended."""
    mendable = isinstance(remedy, Binfmt) and _forbidden() is None
    if isinstance(remedy, Binfmt):
        remedy = (
            f"`lab images build --platform {platform}` sets it up."
            if mendable
            else _by_hand(platform, remedy)
        )
    return Emulation(
        platform=platform,
        runs=False,
        version=version,
        detail=detail,
        remedy=remedy,
        mendable=mendable,
    )


def _forbidden() -> str | None:
    """Why the lab may not change this machine, or None."""
    if choice() is Choice.EXTERNAL:
        return "LAB_ENGINE=external forbids to set it up"
    if privilege.prefix() is None:
        return privilege.NO_ROOT
    return None


def _install(platform: Platform, binfmt: Binfmt, progress: Progress) -> None:
    """Have a QEMU that is new enough. Raises ``EmulationError``."""
    try:
        if binfmt.registration(platform) is None:
            packages.ensure([Tool.EMULATOR], progress)
        elif _outdated(platform, binfmt):
            packages.replace(Tool.EMULATOR, progress)
    except EngineError as error:
        raise EmulationError(
            f"{platform} images cannot run here. {error.what}", remedy=_by_hand(platform, binfmt)
        ) from error
    still = _outdated(platform, binfmt)
    if still is not None:
        raise EmulationError(
            f"{platform} images cannot run here: the distribution's QEMU is {still}, which crashes "
            f"ONNX Runtime; {OLDEST} or newer is needed.",
            remedy=_by_container(platform),
        )


def _outdated(platform: Platform, binfmt: Binfmt) -> str | None:
    """The version of the QEMU that is installed, if it is too old."""
    wanted = binfmt.registration(platform)
    version = None if wanted is None else _version(wanted)
    return version if version is not None and _too_old(version) else None


def _version(of: BinfmtEntry | Registration) -> str | None:
    # By its own name: under the one that is registered it takes every word for a program's.
    try:
        output = run([of.interpreter.resolve(), "--version"], timeout_s=_COMMAND_S).stdout
    except (CommandError, OSError):
        return None
    found = re.search(r"version (\d+(?:\.\d+)*)", output)
    return found[1] if found else None


def _too_old(version: str) -> bool:
    return int(version.partition(".")[0]) < OLDEST


def _by_hand(platform: Platform, binfmt: Binfmt) -> str:
    wanted = binfmt.registration(platform)
    commands = list(binfmt.by_hand(wanted, platform))
    if wanted is None or _outdated(platform, binfmt):
        commands.insert(0, packages.command(Tool.EMULATOR))
    return f"Run as root: {'; '.join(commands)}"


def _by_container(platform: Platform) -> str:
    return (
        "Register a newer QEMU from a container: "
        f"docker run --privileged --rm tonistiigi/binfmt --install {platform.arch}"
    )


def _refusal(seen: Emulation, *, because: str = "", remedy: str) -> EmulationError:
    why = f"{seen.detail}, and {because}" if because else seen.detail
    return EmulationError(f"{seen.platform} images cannot run here: {why}.", remedy=remedy)
