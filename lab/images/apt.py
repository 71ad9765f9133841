"""Which Debian mirror this machine uses."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUITE: Final = "trixie"
PUBLIC: Final = "http://deb.debian.org/debian"
PUBLIC_SECURITY: Final = "http://deb.debian.org/debian-security"
KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"

_ONE_LINE: Final = re.compile(r"^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Mirrors:
    """Where Debian's packages come from. ``security`` None: the mirror names no such archive."""

    main: str
    security: str | None


PUBLIC_MIRRORS: Final = Mirrors(main=PUBLIC, security=PUBLIC_SECURITY)


def host_mirrors(folder: Path = Path("/etc/apt")) -> Mirrors:
    """The mirror in the machine's own apt sources; Debian's public one where it has none.

    A machine that is not Debian has no Debian mirror, whatever it uses for itself.
    """
    main = security = None
    for uri, suite in _entries(folder):
        location = uri.rstrip("/")
        if suite.endswith("-security") or location.endswith("debian-security"):
            security = security or location
        elif location.endswith("debian") and "-" not in suite:
            main = main or location
    if main is None:
        return PUBLIC_MIRRORS
    return Mirrors(main=main, security=security)


def sources(mirrors: Mirrors) -> str:
    """The mirrors as apt reads them (deb822)."""
    stanzas = [_stanza(mirrors.main, f"{SUITE} {SUITE}-updates")]
    if mirrors.security is not None:
        stanzas.append(_stanza(mirrors.security, f"{SUITE}-security"))
    return "\n".join(stanzas)


def one_line_sources(mirrors: Mirrors) -> tuple[str, ...]:
    """The same, a line each, as mmdebstrap takes them."""
    security = () if mirrors.security is None else ((mirrors.security, f"{SUITE}-security"),)
    places = ((mirrors.main, SUITE), (mirrors.main, f"{SUITE}-updates"), *security)
    return tuple(f"deb [signed-by={KEYRING}] {uri} {suite} main" for uri, suite in places)


def _stanza(uri: str, suites: str) -> str:
    return f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {KEYRING}\n"


def _entries(folder: Path) -> Iterator[tuple[str, str]]:
    """(URI, suite) of each source of binary packages, in apt's own order."""
    lists = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    for path in lists:
        if path.is_file():
            for uri, suite in _ONE_LINE.findall(path.read_text(encoding="utf-8") + " "):
                yield uri, suite
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
            fields = {
                key.strip().lower(): value.split()
                for line in stanza.splitlines()
                if not line.startswith("#")
                for key, colon, value in [line.partition(":")]
                if colon
            }
            if "deb" not in fields.get("types", []) or "no" in fields.get("enabled", []):
                continue
            for uri in fields.get("uris", []):
                for suite in fields.get("suites", []):
                    yield uri, suite
