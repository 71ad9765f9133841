"""The machine's own package archive, read from apt's sources in both formats."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lab.host import read_text

_ETC: Final = Path("/etc/apt")
_FALLBACK: Final = {
    "debian": "http://deb.debian.org/debian",
    "ubuntu": "http://archive.ubuntu.com/ubuntu",
}
"""The distributions' documented addresses, for a machine without apt sources."""


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
