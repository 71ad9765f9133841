"""Packages of several suites in one apt command, which leaves the user's configuration alone."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.engine.install import apt
from lab.errors import EngineUnavailableError

_PIN: Final = """\
Package: *
Pin: release n={suite}
Pin-Priority: 100

Package: {packages}
Pin: release n={suite}
Pin-Priority: 600
"""


@dataclass(frozen=True, kw_only=True)
class Newer:
    """A newer suite of the same archive, and all that is taken from it."""

    suite: str
    packages: Sequence[str]

    @property
    def pins(self) -> str:
        """As apt's preferences have it."""
        return _PIN.format(suite=self.suite, packages=" ".join(self.packages))


def sources_of(
    codename: str,
    family: str,
    newer: Sequence[Newer] = (),
    *,
    etc: Path = Path("/etc/apt"),
) -> Sequence[apt.Source]:
    """The archives of a distribution as the machine has them, and newer suites beside them.

    ``family`` is ``debian`` or ``ubuntu``.
    """
    known = apt.official(codename, family, etc=etc)
    if not newer:
        return known
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    beside = apt.Source(
        uri=known[0].uri,
        suites=[one.suite for one in newer],
        components=["main"],
        signed_by=known[0].signed_by or (str(keyring) if keyring.exists() else None),
    )
    return [*known, beside]


def write_config(
    folder: Path, sources: Sequence[apt.Source], newer: Sequence[Newer] = ()
) -> Sequence[str]:
    """Write sources and pins into ``folder``; the options that make apt use them and no others."""
    lists, parts, pins = folder / "lists", folder / "sources", folder / "preferences"
    for made in (folder, lists, lists / "partial", parts, pins):
        made.mkdir(exist_ok=True)
        made.chmod(0o755)  # apt downloads as a user of its own
    (parts / "lab.sources").write_text(apt.deb822(sources), encoding="utf-8")
    for one in newer:
        (pins / f"lab-{one.suite}").write_text(one.pins, encoding="utf-8")
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


def refuse_changes(simulated: str, *, but: Collection[str] = ()) -> None:
    """Raise ``EngineUnavailableError`` when apt would upgrade or remove what is installed.

    The packages ``but`` may be upgraded.
    """
    upgraded = [
        name for name in re.findall(r"^Inst (\S+) \[", simulated, re.MULTILINE) if name not in but
    ]
    removed = re.findall(r"^(?:Remv|Purg) (\S+)", simulated, re.MULTILINE)
    if upgraded or removed:
        would = [f"upgrade {name}" for name in upgraded] + [f"remove {name}" for name in removed]
        raise EngineUnavailableError(
            f"Installing the packages would {', '.join(would)}: nothing was changed.",
            remedy="Install Docker Engine (https://docs.docker.com/engine/install/) and whatever "
            "else `lab doctor` names yourself.",
        )
