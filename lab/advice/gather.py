"""Which of an image's files the rules want to look into."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from lab.advice.contents import Contents, Entry, EntryKind
from lab.advice.recording import Recording
from lab.images.layers.looked import LARGEST_TEXT
from lab.images.layers.packages import OTHER

_LIBRARY_BYTES: Final = 1_000_000
_MOST_TEXTS: Final = 200
_MOST_BYTES: Final = 3_000_000_000
"""Of libraries that are read, the largest first: 10 s or so."""
_LIBRARY: Final = re.compile(r".*\.so(?:[.-][\w.-]*)?|.*\.node")
_PROGRAM: Final = re.compile(r".*\.(?:py|sh|js|mjs|cjs|R|r|pl|rb)|.*/[^/.]+")
_REQUIREMENTS: Final = re.compile(r".*/[^/]*requirements[^/]*\.(?:txt|in)")
_THEIRS: Final = re.compile(
    r".*/(?:site|dist)-packages/.*|.*/node_modules/.*|.*/lib/python[\d.]+/.*|/(?:usr/)?s?bin/.*"
    r"|/(?:usr/)?lib(?:64)?/.*|/(?:etc|var|proc|sys|dev)/.*|.*/(?:site-library|R/library)/.*"
)


def texts(contents: Contents, recording: Recording) -> Sequence[str]:
    """The image's own programs that the run opened, and lists of requirements."""
    opened = {one.path for one in recording.files if one.opened}
    found = [
        path
        for path, entry in contents.entries.items()
        if entry.kind is EntryKind.FILE
        and 0 < entry.size <= LARGEST_TEXT
        and not _THEIRS.fullmatch(path)
        and (
            _REQUIREMENTS.fullmatch(path)
            or (path in opened and entry.package[0] == OTHER and _PROGRAM.fullmatch(path))
        )
    ]
    return found[:_MOST_TEXTS]


def libraries(contents: Contents) -> Sequence[str]:
    """Large libraries that no distribution has stripped, and large files that may be the same."""
    files = [
        one
        for one in contents.entries.values()
        if one.kind is EntryKind.FILE and one.size >= _LIBRARY_BYTES
    ]
    sizes = Counter(one.size for one in files)
    wanted = [one for one in files if sizes[one.size] > 1 or _unstripped(one)]
    found, total = [], 0
    for one in sorted(wanted, key=lambda one: (-sizes[one.size], -one.size)):
        if total + one.size <= _MOST_BYTES:
            total += one.size
            found.append(one.path)
    return found


def _unstripped(entry: Entry) -> bool:
    return entry.package[0] != "Debian" and _LIBRARY.fullmatch(entry.path) is not None
