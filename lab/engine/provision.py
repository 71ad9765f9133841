"""Install what is missing from the distribution's own packages, and touch nothing else."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Final

from lab.engine import apt, privilege
from lab.engine.daemon import program
from lab.errors import CommandError, EngineUnavailableError
from lab.host import os_release
from lab.progress import Progress

_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_PLUGINS: Final = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
_NEWER: Final = "trixie"
"""Debian 12's own Compose is the retired first version, and it has no Buildx."""
_FROM_NEWER: Final = ("docker.io", "docker-cli", "docker-compose", "docker-buildx", "containerd")
"""Taken from there; runc stays Debian 12's, for the newer one needs a newer C library."""
_PINS: Final = f"""\
Package: *
Pin: release n={_NEWER}
Pin-Priority: 100

Package: {" ".join(_FROM_NEWER)}
Pin: release n={_NEWER}
Pin-Priority: 600
"""
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


ENGINE_TOOLS: Final = tuple(Tool)
"""What a private engine and the images built with it need."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a distribution provides the tools."""

    system: str
    family: str
    codename: str
    packages: Mapping[Tool, Sequence[str]]
    newer: str | None = None
    """A newer suite of the same archive from which the packages of ``_FROM_NEWER`` come."""


def recipe_for(release: Mapping[str, str]) -> Recipe | None:
    """The recipe for the system that ``/etc/os-release`` describes, or None."""
    name = release.get("ID", "")
    system = release.get("PRETTY_NAME", name)
    ubuntu = release.get("UBUNTU_CODENAME")
    if name == "ubuntu" or ubuntu:
        return Recipe(
            system=system,
            family="ubuntu",
            codename=ubuntu or release.get("VERSION_CODENAME", ""),
            packages=_packages(compose="docker-compose-v2", client=()),
        )
    codename = release.get("VERSION_CODENAME", "")
    if name != "debian" or not codename or _debian(release) < 12:  # noqa: PLR2004
        return None
    return Recipe(
        system=system,
        family="debian",
        codename=codename,
        packages=_packages(compose="docker-compose", client=("docker-cli",)),
        newer=_NEWER if codename == "bookworm" else None,
    )


def missing(tools: Iterable[Tool]) -> Sequence[Tool]:
    """Those of the tools that this machine lacks."""
    return [tool for tool in tools if not has(tool)]


def has(tool: Tool) -> bool:
    """Whether the tool is installed; a file is looked for, nothing is run."""
    if tool is Tool.ENGINE:
        return program() is not None
    if tool in {Tool.COMPOSE, Tool.BUILDX}:
        name = tool.value.replace(" ", "-")
        folders = (*_PLUGINS, Path(os.environ.get("HOME", "/")) / ".docker/cli-plugins")
        return any((Path(folder) / name).exists() for folder in folders)
    return bool(shutil.which(tool.value) or shutil.which(tool.value, path=_SBIN))


def obstacle(release: Mapping[str, str] | None = None) -> str | None:
    """Why nothing can be installed here, or None."""
    release = os_release() if release is None else release
    if recipe_for(release) is None:
        return f"the lab installs on Debian 12 or newer and on Ubuntu, not on {_name(release)}"
    if shutil.which("apt-get") is None:
        return "apt-get is not here"
    if privilege.prefix() is None:
        return "this user is not root, and sudo is not here or asks for a password"
    return None


def advice(tools: Sequence[Tool], release: Mapping[str, str] | None = None) -> str:
    """Exactly what a person has to install for these tools."""
    recipe = recipe_for(os_release() if release is None else release)
    if recipe is None:
        return (
            "Install Docker Engine with the Compose and Buildx plugins "
            "(https://docs.docker.com/engine/install/) and start it."
        )
    names = " ".join(_names(recipe, tools))
    if recipe.newer:
        return (
            f"Run `lab engine up` as root: it installs {names} from the {recipe.newer} suite "
            "without upgrading anything."
        )
    return f"Run as root: apt-get install --no-install-recommends {names}"


def ensure(tools: Iterable[Tool], progress: Progress) -> None:
    """Install the packages of those tools that are missing; nothing happens when none is.

    What will be installed and from where is said first, and apt is asked what it would do: it
    must neither upgrade nor remove an installed package. The user's apt configuration stays as
    it is. Raises ``EngineUnavailableError``.
    """
    wanted = missing(tools)
    if not wanted:
        return
    release = os_release()
    recipe = recipe_for(release)
    why = obstacle(release)
    if recipe is None or why is not None:
        names = ", ".join(tool.value for tool in wanted)
        raise EngineUnavailableError(
            f"{names} cannot be installed: {why}.", remedy=advice(wanted, release)
        )
    packages = _names(recipe, wanted)
    sources = sources_of(recipe)
    progress.note(
        f"Installing {' '.join(packages)} from {sources[0].uri} "
        f"({recipe.newer or recipe.codename}); nothing installed is upgraded or removed."
    )
    try:
        with (
            tempfile.TemporaryDirectory(prefix="inference-lab-apt-") as folder,
            progress.step("Installing packages") as step,
        ):
            options = write_config(Path(folder), sources, recipe)
            step.detail("reading the package lists")
            _apt([*options, "update"], timeout_s=_UPDATE_S)
            step.detail("asking what would change")
            refuse_changes(_apt([*options, "-s", *_INSTALL, *packages], timeout_s=_UPDATE_S))
            step.detail(f"{len(packages)} packages and what they need")
            _apt([*options, *_INSTALL, *packages], timeout_s=_INSTALL_S)
    except CommandError as error:
        raise EngineUnavailableError(
            f"The packages cannot be installed: {error.what}", remedy=advice(wanted, release)
        ) from error


_INSTALL: Final = ("install", "-y", "-q", "--no-install-recommends", "--no-upgrade", "--no-remove")


def sources_of(recipe: Recipe, *, etc: Path = Path("/etc/apt")) -> Sequence[apt.Source]:
    """The distribution's archives as the machine has them, and the newer suite beside them."""
    known = apt.official(recipe.codename, recipe.family, etc=etc)
    if recipe.newer is None:
        return known
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    newer = apt.Source(
        uri=known[0].uri,
        suites=[recipe.newer],
        components=["main"],
        signed_by=known[0].signed_by or (str(keyring) if keyring.exists() else None),
    )
    return [*known, newer]


def write_config(folder: Path, sources: Sequence[apt.Source], recipe: Recipe) -> Sequence[str]:
    """Write sources and pins into ``folder``; the options that make apt use them and no others."""
    lists, parts, pins = folder / "lists", folder / "sources", folder / "preferences"
    for made in (folder, lists, lists / "partial", parts, pins):
        made.mkdir(exist_ok=True)
        made.chmod(0o755)  # apt downloads as a user of its own
    text = "\n".join(source.stanza() for source in sources)
    (parts / "lab.sources").write_text(text, encoding="utf-8")
    if recipe.newer:
        (pins / "lab").write_text(_PINS, encoding="utf-8")
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": parts,
        "Dir::Etc::preferencesparts": pins,
        "Dir::State::lists": lists,
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "DPkg::Lock::Timeout": "120",
        "Dpkg::Options::": "--force-confold",
        "Acquire::Languages": "none",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def refuse_changes(simulated: str) -> None:
    """Raise ``EngineUnavailableError`` when apt would upgrade or remove what is installed."""
    upgraded = re.findall(r"^Inst (\S+) \[", simulated, re.MULTILINE)
    removed = re.findall(r"^(?:Remv|Purg) (\S+)", simulated, re.MULTILINE)
    if upgraded or removed:
        would = [f"upgrade {name}" for name in upgraded] + [f"remove {name}" for name in removed]
        raise EngineUnavailableError(
            f"Installing the engine would {', '.join(would)}: nothing was changed.",
            remedy="Install Docker Engine yourself (https://docs.docker.com/engine/install/).",
        )


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
    }


def _names(recipe: Recipe, tools: Iterable[Tool]) -> Sequence[str]:
    return list(dict.fromkeys(name for tool in tools for name in recipe.packages[tool]))


def _debian(release: Mapping[str, str]) -> int:
    with suppress(ValueError):
        return int(release.get("VERSION_ID", "99"))  # testing and unstable have no number
    return 0


def _name(release: Mapping[str, str]) -> str:
    return release.get("PRETTY_NAME") or release.get("ID") or "this system"
