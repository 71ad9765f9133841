"""Which package a file came with: as package managers list their files, else by its place."""

import json
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

Package: TypeAlias = tuple[str, str]
"""Whose packages they are (``Python``, ``Debian``, ``Node``, ...), and its name."""

OTHER: Final = ""
"""Of files that came with no package: their folder is the name."""

LARGEST_LIST: Final = 32 * 1024 * 1024
_DEPTH: Final = 3
_SITE: Final = "(?:site|dist)-packages"
_MERGED: Final = ("bin/", "sbin/", "lib/", "lib32/", "lib64/")
"""Folders that are links to those in /usr."""


def _record(place: re.Match[str], text: str) -> Iterator[str]:
    for line in text.splitlines():
        path = line.rsplit(",", 2)[0].strip('"')
        yield posixpath.normpath(posixpath.join(place["root"], path)).lstrip("/")


def _lines(place: re.Match[str], text: str) -> Iterator[str]:
    del place
    for line in text.splitlines():
        path = line.rpartition("  ")[2].strip().removeprefix("./").lstrip("/")
        yield path
        if path.startswith(_MERGED):
            yield f"usr/{path}"


def _conda(place: re.Match[str], text: str) -> Iterator[str]:
    try:
        files = json.loads(text).get("files") or ()
    except (ValueError, AttributeError):
        return
    yield from (posixpath.join(place["root"], str(path)) for path in files)


_LISTS: Final[
    Sequence[tuple[str, re.Pattern[str], Callable[[re.Match[str], str], Iterator[str]]]]
] = tuple(
    (manager, re.compile(pattern), read)
    for manager, pattern, read in (
        (
            "Python",
            r"(?P<root>.*)/(?P<name>[^/]+)-(?P<version>[^/-]+)\.dist-info/RECORD",
            _record,
        ),
        ("Debian", r"var/lib/dpkg/info/(?P<name>[^/:]+)(?::\w+)?\.list", _lines),
        ("Debian", r"var/lib/dpkg/status\.d/(?P<name>[^/]+)\.md5sums", _lines),
        (
            "conda",
            r"(?P<root>.*)/conda-meta/(?P<name>[^/]+)-(?P<version>[^/-]+)-[^/-]+\.json",
            _conda,
        ),
    )
)
_PLACES: Final = tuple(
    (manager, re.compile(pattern))
    for manager, pattern in (
        ("Node", r".*(?:^|/)node_modules/(?P<name>@[^/]+/[^/]+|[^/@.][^/]*)/.*"),
        ("R", r"(?:.*/)?(?:site-library|R/library)/(?P<name>[^/]+)/.*"),
        (
            "Python",
            rf"(?:.*/)?{_SITE}/(?P<name>[A-Za-z0-9]\w*)(?:\.libs|-\d[^/]*-info)?[./].*",
        ),
    )
)


def is_list(path: str) -> bool:
    """Whether a file says which files came with a package."""
    return any(pattern.fullmatch(path) for _, pattern, _ in _LISTS)


def listed(path: str, content: bytes) -> Mapping[str, Package]:
    """The files that such a file lists, and their package."""
    for manager, pattern, read in _LISTS:
        found = pattern.fullmatch(path)
        if found:
            version = found.groupdict().get("version")
            package = (manager, f"{found['name']} {version}" if version else found["name"])
            files = read(found, content.decode(errors="surrogateescape"))
            return dict.fromkeys(filter(None, files), package)
    return {}


def by_package(files: Mapping[str, int], owners: Mapping[str, Package]) -> Mapping[Package, int]:
    """Bytes by package, the largest first; of files that came with none, by folder."""
    below = {_top(path): package for path, package in owners.items() if path in files}
    counted: Counter[Package] = Counter()
    for path, size in files.items():
        if size:
            package = owners.get(path) or (below.get(top) if (top := _top(path)) else None)
            counted[package or by_place(path)] += size
    return dict(counted.most_common())


def _top(path: str) -> str:
    """A Python package's own folder: what was compiled later is in it, and in no list."""
    found = re.match(r"(?:.*/)?(?:site|dist)-packages/[^/]+/", path)
    return found[0] if found else ""


def by_place(path: str) -> Package:
    """Of a file that came with no package that lists it; its path is relative to the root."""
    for manager, pattern in _PLACES:
        found = pattern.fullmatch(path)
        if found:
            return manager, found["name"]
    folder = path.split("/")[:-1][:_DEPTH]
    return OTHER, f"/{'/'.join(folder)}"
