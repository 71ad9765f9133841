"""Where Debian's packages come from.

This machine's own mirror while building, the public one in what is built.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lab.engine.install.apt import Source, official
from lab.host import os_release

SUITE: Final = "trixie"
KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
PUBLIC: Final = "http://deb.debian.org/debian"
PUBLIC_SECURITY: Final = "http://deb.debian.org/debian-security"


def public_sources() -> Sequence[Source]:
    """What Debian documents, and what an image is left with."""
    return (
        _source(PUBLIC, SUITE, f"{SUITE}-updates"),
        _source(PUBLIC_SECURITY, f"{SUITE}-security"),
    )


def host_sources(
    release: Mapping[str, str] | None = None, *, etc: Path = Path("/etc/apt")
) -> Sequence[Source]:
    """The same suites from the mirrors in the machine's own apt sources.

    The public ones where it is no Debian: a mirror of something else does not have Debian.
    """
    known = os_release() if release is None else release
    codename = known.get("VERSION_CODENAME", "")
    if known.get("ID") != "debian" or not codename:
        return public_sources()
    main, *others = official(codename, "debian", etc=etc)
    security = [source for source in others if f"{codename}-security" in source.suites]
    return (
        _source(main.uri, SUITE, f"{SUITE}-updates"),
        *(_source(source.uri, f"{SUITE}-security") for source in security[:1]),
    )


def one_line(sources: Sequence[Source]) -> Sequence[str]:
    """A line per suite, as mmdebstrap takes them."""
    return [
        f"deb [signed-by={source.signed_by}] {source.uri} {suite} {' '.join(source.components)}"
        for source in sources
        for suite in source.suites
    ]


def _source(uri: str, *suites: str) -> Source:
    return Source(uri=uri, suites=suites, components=["main"], signed_by=KEYRING)
