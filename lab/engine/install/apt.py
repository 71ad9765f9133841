"""apt's sources: the machine's own package archive, and an apt that takes newer suites beside it
and leaves the user's configuration alone.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lab.errors import EngineUnavailableError
from lab.host import read_text

_ETC: Final = Path("/etc/apt")
_FALLBACK: Final = {
    "debian": "http://deb.debian.org/debian",
    "ubuntu": "http://archive.ubuntu.com/ubuntu",
}
"""The distributions' documented addresses, for a machine without apt sources."""

_PIN: Final = """\
Package: *
Pin: release n={suite}
Pin-Priority: 100

Package: {packages}
Pin: release n={suite}
Pin-Priority: 600
"""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One archive: an address and what is taken from it."""

    uri: str
    suites: Sequence[str]
    components: Sequence[str]
    signed_by: str | None


def deb822(sources: Sequence[Source]) -> str:
    """As apt reads them from ``sources.list.d``."""
    return "\n".join(
        "Types: deb\n"
        f"URIs: {source.uri}\n"
        f"Suites: {' '.join(source.suites)}\n"
        f"Components: {' '.join(source.components)}\n"
        + (f"Signed-By: {source.signed_by}\n" if source.signed_by else "")
        for source in sources
    )


def official(codename: str, family: str, *, etc: Path = _ETC) -> Sequence[Source]:
    """The distribution's own archives among the machine's sources, its main one first.

    Others (a vendor's, a PPA) are left out: they take suites of other names, have no ``main``, or
    are signed by a key of their own. Without any, the documented default stands in.
    """
    ours = [
        replace(source, suites=suites)
        for source in _all(etc)
        if (suites := [suite for suite in source.suites if _belongs(suite, codename)])
        and "main" in source.components
        and _signed_by_distribution(source.signed_by)
        and not source.uri.startswith(("cdrom:", "file:", "copy:"))
    ]
    first = next((source for source in ours if codename in source.suites), None)
    if first is None:
        default = Source(
            uri=_FALLBACK[family],
            suites=[codename, f"{codename}-updates"],
            components=["main"] if family == "debian" else ["main", "universe"],
            signed_by=f"/usr/share/keyrings/{family}-archive-keyring.gpg",
        )
        return [default]
    return [first, *(source for source in ours if source is not first)]


def _belongs(suite: str, codename: str) -> bool:
    return suite in {codename, *(f"{codename}-{part}" for part in ("updates", "security"))}


def _signed_by_distribution(signed_by: str | None) -> bool:
    return signed_by is None or bool(re.search(r"/(debian|ubuntu)-archive-[\w.-]+$", signed_by))


def _all(etc: Path) -> Iterator[Source]:
    parts = etc / "sources.list.d"
    for path in [etc / "sources.list", *sorted(parts.glob("*.list"))]:
        yield from parse_one_line(read_text(path) or "")
    for path in sorted(parts.glob("*.sources")):
        yield from parse_deb822(read_text(path) or "")


def parse_one_line(text: str) -> Iterator[Source]:
    """Sources of the ``deb [options] URI suite component ...`` format."""
    for line in text.splitlines():
        found = re.match(r"^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if found:
            options = dict(re.findall(r"(\S+?)=(\S+)", found[1] or ""))
            yield Source(
                uri=found[2],
                suites=[found[3]],
                components=found[4].split(),
                signed_by=options.get("signed-by"),
            )


def parse_deb822(text: str) -> Iterator[Source]:
    """Sources of the stanza format. A key inlined in a stanza counts as one of its own."""
    plain = re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)
    for stanza in re.split(r"\n\s*\n", plain):
        fields: dict[str, str] = {
            key.lower(): value.strip()
            for key, value in re.findall(
                r"^([\w-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", stanza, re.MULTILINE
            )
        }
        enabled = fields.get("enabled", "yes").lower() not in {"no", "false", "0", "off"}
        if enabled and "deb" in fields.get("types", "").split() and fields.get("uris"):
            for uri in fields["uris"].split():
                yield Source(
                    uri=uri,
                    suites=fields.get("suites", "").split(),
                    components=fields.get("components", "").split(),
                    signed_by=fields.get("signed-by"),
                )


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
) -> Sequence[Source]:
    """The archives of a distribution as the machine has them, and newer suites beside them.

    ``family`` is ``debian`` or ``ubuntu``.
    """
    known = official(codename, family, etc=etc)
    if not newer:
        return known
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    beside = Source(
        uri=known[0].uri,
        suites=[one.suite for one in newer],
        components=["main"],
        signed_by=known[0].signed_by or (str(keyring) if keyring.exists() else None),
    )
    return [*known, beside]


def write_config(
    folder: Path, sources: Sequence[Source], newer: Sequence[Newer] = ()
) -> Sequence[str]:
    """Write sources and pins into ``folder``; the options that make apt use them and no others."""
    lists, parts, pins = folder / "lists", folder / "sources", folder / "preferences"
    for made in (folder, lists, lists / "partial", parts, pins):
        made.mkdir(exist_ok=True)
        made.chmod(0o755)  # apt downloads as a user of its own
    (parts / "lab.sources").write_text(deb822(sources), encoding="utf-8")
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
