"""Install what is missing from the distribution's own packages, and touch nothing else."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Final

from lab.engine.install import apt, privilege
from lab.engine.install.apt import Newer
from lab.engine.install.daemon import program
from lab.errors import CommandError, EngineUnavailableError
from lab.host import os_release
from lab.progress import Progress

_PLUGINS: Final = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
_UPDATE_S: Final = 300.0
_INSTALL_S: Final = 900.0


@unique
class Tool(Enum):
    """A program the lab uses; the value is its name for people."""

    ENGINE = "dockerd"
    CLIENT = "docker"
    COMPOSE = "docker compose"
    BUILDX = "docker buildx"
    IPTABLES = "iptables"
    BOOTSTRAP = "mmdebstrap"
    EMULATOR = "qemu-user-static"
    ARCH_TEST = "arch-test"


FOREIGN_TOOLS: Final = (Tool.EMULATOR, Tool.ARCH_TEST)
"""What images for another architecture need beyond that."""
ENGINE_TOOLS: Final = tuple(tool for tool in Tool if tool not in FOREIGN_TOOLS)
"""What a private engine and the images built with it need."""


_BOOKWORM: Final = (
    # Debian 12's own Compose is the retired first version, and it has no Buildx. runc stays
    # Debian 12's, for the newer one needs a newer C library.
    Newer(
        suite="trixie",
        packages=("docker.io", "docker-cli", "docker-compose", "docker-buildx", "containerd"),
    ),
    # Debian 12's own QEMU crashes ONNX Runtime.
    Newer(
        suite="bookworm-backports", packages=("qemu-user-static", "qemu-user", "qemu-user-binfmt")
    ),
)


@dataclass(frozen=True, kw_only=True)
class PackageRecipe:
    """How a distribution provides the tools."""

    family: str
    codename: str
    packages: Mapping[Tool, Sequence[str]]
    newer: Sequence[Newer] = ()

    def newer_for(self, packages: Iterable[str]) -> Sequence[Newer]:
        """The newer suites that these packages come from."""
        return [newer for newer in self.newer if set(packages) & set(newer.packages)]


def recipe_for(release: Mapping[str, str]) -> PackageRecipe | None:
    """The recipe for the system that ``/etc/os-release`` describes, or None."""
    name = release.get("ID", "")
    ubuntu = release.get("UBUNTU_CODENAME")
    if name == "ubuntu" or ubuntu:
        return PackageRecipe(
            family="ubuntu",
            codename=ubuntu or release.get("VERSION_CODENAME", ""),
            packages=_packages(compose="docker-compose-v2", client=()),
        )
    codename = release.get("VERSION_CODENAME", "")
    if name != "debian" or not codename or _debian(release) < 12:
        return None
    return PackageRecipe(
        family="debian",
        codename=codename,
        packages=_packages(compose="docker-compose", client=("docker-cli",)),
        newer=_BOOKWORM if codename == "bookworm" else (),
    )


def missing(tools: Iterable[Tool]) -> Sequence[Tool]:
    """Those of the tools that this machine lacks."""
    return [tool for tool in tools if not has(tool)]


def has(tool: Tool) -> bool:
    """Whether the tool is installed; a file is looked for, nothing is run."""
    if tool is Tool.EMULATOR:
        return any(shutil.which(f"qemu-{name}-static") for name in ("aarch64", "x86_64"))
    if tool in {Tool.COMPOSE, Tool.BUILDX}:
        name = tool.value.replace(" ", "-")
        folders = (*_PLUGINS, Path(os.environ.get("HOME", "/")) / ".docker/cli-plugins")
        return any((Path(folder) / name).exists() for folder in folders)
    return program(tool.value) is not None


def obstacle(release: Mapping[str, str] | None = None) -> str | None:
    """Why nothing can be installed here, or None."""
    release = os_release() if release is None else release
    if recipe_for(release) is None:
        return f"the lab installs on Debian 12 or newer and on Ubuntu, not on {_name(release)}"
    if shutil.which("apt-get") is None:
        return "apt-get is not here"
    if privilege.prefix() is None:
        return privilege.NO_ROOT
    return None


def advice(tools: Sequence[Tool], release: Mapping[str, str] | None = None) -> str:
    """Exactly what a person has to install for these tools."""
    recipe = recipe_for(os_release() if release is None else release)
    if recipe is None:
        return (
            "Install Docker Engine with the Compose and Buildx plugins "
            "(https://docs.docker.com/engine/install/) and start it."
        )
    names = _names(recipe, tools)
    newer = [one.suite for one in recipe.newer_for(names)]
    if newer and not set(tools) & set(FOREIGN_TOOLS):
        return (
            f"Run `lab engine up` as root: it installs {' '.join(names)} from the "
            f"{', '.join(newer)} suite without upgrading anything."
        )
    return f"Run as root: {command(*tools, release=release)}"


def command(*tools: Tool, release: Mapping[str, str] | None = None) -> str:
    """The command with which root installs these tools."""
    recipe = recipe_for(os_release() if release is None else release)
    if recipe is None:
        return f"(install {', '.join(tool.value for tool in tools)})"
    names = _names(recipe, tools)
    from_suites = [f"-t {one.suite}" for one in recipe.newer_for(names)]
    return " ".join(["apt-get install --no-install-recommends", *from_suites, *names])


def ensure(tools: Iterable[Tool], progress: Progress) -> None:
    """Install the packages of those tools that are missing; nothing happens when none is.

    What will be installed and from where is said first, and apt is asked what it would do: it
    must neither upgrade nor remove an installed package. The user's apt configuration stays as
    it is. Raises ``EngineUnavailableError``.
    """
    wanted = missing(tools)
    if wanted:
        _install(wanted, progress)


def replace(tool: Tool, progress: Progress) -> None:
    """Install the tool although an older one is there, and so upgrade its packages and no others.

    Raises ``EngineUnavailableError``.
    """
    _install([tool], progress, replacing=True)


def _install(tools: Sequence[Tool], progress: Progress, *, replacing: bool = False) -> None:
    release = os_release()
    recipe = recipe_for(release)
    why = obstacle(release)
    if recipe is None or why is not None:
        names = ", ".join(tool.value for tool in tools)
        raise EngineUnavailableError(
            f"{names} cannot be installed: {why}.", remedy=advice(tools, release)
        )
    packages = _names(recipe, tools)
    newer = recipe.newer_for(packages)
    sources = apt.sources_of(recipe.codename, recipe.family, newer)
    upgraded = {name for one in newer for name in one.packages} | set(packages)
    how = [*_QUIETLY, *(() if replacing else ("--no-upgrade",)), *packages]
    progress.note(
        f"Installing {' '.join(packages)} from {sources[0].uri} "
        f"({', '.join(one.suite for one in newer) or recipe.codename}); "
        + (
            "the older one is replaced, and nothing else is upgraded or removed."
            if replacing
            else "nothing installed is upgraded or removed."
        )
    )
    try:
        with (
            tempfile.TemporaryDirectory(prefix="inference-lab-apt-") as folder,
            progress.step("Installing packages") as step,
        ):
            options = apt.write_config(Path(folder), sources, newer)
            step.detail("reading the package lists")
            _apt([*options, "update"], timeout_s=_UPDATE_S)
            step.detail("asking what would change")
            simulated = _apt([*options, "-s", *how], timeout_s=_UPDATE_S)
            apt.refuse_changes(simulated, but=upgraded if replacing else ())
            step.detail(f"{len(packages)} packages and what they need")
            _apt([*options, *how], timeout_s=_INSTALL_S)
    except CommandError as error:
        raise EngineUnavailableError(
            f"The packages cannot be installed: {error.what}", remedy=advice(tools, release)
        ) from error


_QUIETLY: Final = ("install", "-y", "-q", "--no-install-recommends", "--no-remove")


def _apt(words: Sequence[str], *, timeout_s: float) -> str:
    env = ("env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
    return privilege.as_root([*env, "apt-get", *words], timeout_s=timeout_s).stdout


def _packages(*, compose: str, client: Sequence[str]) -> Mapping[Tool, Sequence[str]]:
    return {
        Tool.ENGINE: ("docker.io", *client),
        Tool.CLIENT: client or ("docker.io",),
        Tool.COMPOSE: (compose,),
        Tool.BUILDX: ("docker-buildx",),
        Tool.IPTABLES: ("iptables",),
        Tool.BOOTSTRAP: ("mmdebstrap",),
        Tool.EMULATOR: ("qemu-user-static",),
        Tool.ARCH_TEST: ("arch-test",),
    }


def _names(recipe: PackageRecipe, tools: Iterable[Tool]) -> Sequence[str]:
    return list(dict.fromkeys(name for tool in tools for name in recipe.packages[tool]))


def _debian(release: Mapping[str, str]) -> int:
    with suppress(ValueError):
        return int(release.get("VERSION_ID", "99"))  # testing and unstable have no number
    return 0


def _name(release: Mapping[str, str]) -> str:
    return release.get("PRETTY_NAME") or release.get("ID") or "this system"
