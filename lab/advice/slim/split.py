"""A container's files as its engine exports them, parted into what stays and what goes.

Headers are written as they came, extended attributes among them, so that the same export gives the
same bytes. What the engine itself put there is taken out again.
"""

import hashlib
import tarfile
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final, TypeAlias

from lab.advice.contents import Entry, EntryKind
from lab.advice.slim.strip import HEAD_BYTES, cuts, may_be_meant

PLACED: Final = (
    *("/.dockerenv", "/dev/console", "/etc/hostname", "/etc/hosts", "/etc/mtab"),
    "/etc/resolv.conf",
)
"""What an engine puts into each container in place of what the image has there."""
_STAMPED: Final = frozenset({"/", "/dev", "/etc"})
"""Folders that have a new time for it."""
_SIGNED: Final = frozenset({"SCHILY.xattr.security.ima", "SCHILY.xattr.security.evm"})
"""Of a file that has these the kernel knows the content."""
_BLOCK: Final = 512
_PIECE: Final = 1 << 20
_END: Final = bytes(2 * _BLOCK)

Content: TypeAlias = tuple[tarfile.TarInfo, IO[bytes] | None]
Fetch: TypeAlias = Callable[[str], AbstractContextManager[Content]]
"""A single file of the same container, by its path."""


class Layer:
    """A tar that grows, whose digest is known as it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.files = 0
        """How many members it has."""

    @property
    def diff_id(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def add(self, member: tarfile.TarInfo, content: Iterable[bytes] | None) -> None:
        """Append a member, with its content in pieces."""
        self._write(header(member))
        self.files += 1
        if content is None:
            return
        for piece in content:
            self._write(piece)
        self._write(padding(member.size))

    def close(self) -> None:
        """Write what ends a tar; the file stays open."""
        self._write(_END)

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)


def header(member: tarfile.TarInfo) -> bytes:
    """A member's header, with whatever PAX records it has."""
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def padding(size: int) -> bytes:
    """What fills up the last block of a member's content."""
    return bytes(-size % _BLOCK)


def pieces(content: IO[bytes]) -> Iterable[bytes]:
    """Content, a piece at a time."""
    return iter(lambda: content.read(_PIECE), b"")


def path_of(name: str) -> str:
    """The absolute path of a member."""
    return "/" + name.removeprefix("./").strip("/")


@dataclass(frozen=True, kw_only=True)
class Parting:
    """What is to be parted, and how."""

    entries: Mapping[str, Entry]
    """What the image has: all else is the engine's."""
    kept: Collection[str]
    placed: Mapping[str, tuple[tarfile.TarInfo, bytes]]
    """What the image has where the engine puts things of its own, see ``PLACED``."""
    stamp: int
    """The time of the folders that the engine changed, in seconds of the epoch."""
    fetch: Fetch
    strippable: Collection[str] = frozenset()
    """Of those that stay, what may lose what no running program needs (``strip``); of what does,
    the whole is among what goes, too."""
    spool: Path | None = None
    """Where such a file lies meanwhile; None is the system's folder for it."""
    stripped: dict[str, int] = field(default_factory=dict)
    """Filled by ``run``: the bytes that each of them lost."""

    def run(self, source: tarfile.TarFile, kept: Layer, removed: Layer) -> None:
        """Write every member into one of the two, and end both. Raises ``tarfile.TarError``."""
        promoted: dict[str, str] = {}
        parted: dict[str, bool] = {}
        while (member := source.next()) is not None:
            source.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
            path = path_of(member.name)
            if path not in self.entries or path in PLACED:
                continue
            stays = path in self.kept
            parted[path] = stays
            layer = kept if stays else removed
            if path in _STAMPED:
                member.mtime = self.stamp
                member.pax_headers = {
                    name: value for name, value in member.pax_headers.items() if name != "mtime"
                }
            target = path_of(member.linkname) if member.islnk() else None
            if target is not None and parted.get(target) is not stays:
                self._promote(path, target, member, layer, promoted)
                continue
            content = source.extractfile(member) if member.isreg() else None
            if content is not None and stays and path in self.strippable:
                self._strip(path, member, content, kept, removed)
                continue
            layer.add(member, None if content is None else pieces(content))
            if target in self.stripped:  # what comes back must have this name, too
                removed.add(member, None)
        for path, (member, placed) in sorted(self.placed.items()):
            if path in self.entries:
                whole = [placed] if member.isreg() else None
                (kept if path in self.kept else removed).add(member, whole)
        for layer in (kept, removed):
            layer.close()

    def _strip(
        self,
        path: str,
        member: tarfile.TarInfo,
        content: IO[bytes],
        kept: Layer,
        removed: Layer,
    ) -> None:
        head = content.read(HEAD_BYTES)
        if not may_be_meant(head) or _SIGNED & member.pax_headers.keys():
            kept.add(member, chain([head], pieces(content)))
            return
        with TemporaryFile(dir=self.spool) as file:
            for piece in chain([head], pieces(content)):
                file.write(piece)
            found = cuts(file)
            file.seek(0)
            if found is not None:
                removed.add(member, pieces(file))
                found.apply(file)
                file.seek(0)
                self.stripped[path] = found.saved
                member = copy(member)
                member.size = found.size
            kept.add(member, pieces(file))

    def _promote(
        self,
        path: str,
        target: str,
        member: tarfile.TarInfo,
        layer: Layer,
        promoted: dict[str, str],
    ) -> None:
        """Of a file whose first name went elsewhere the next name becomes the first."""
        first = promoted.get(target)
        if first is not None:
            member.linkname = first.lstrip("/")
            member.pax_headers = {
                name: value for name, value in member.pax_headers.items() if name != "linkpath"
            }
            layer.add(member, None)
            return
        promoted[target] = path
        with self.fetch(path) as (whole, content):
            whole.name = member.name
            whole.pax_headers = {
                name: value for name, value in whole.pax_headers.items() if name != "path"
            }
            layer.add(whole, None if content is None else pieces(content))


def hidden_by_engine(entries: Mapping[str, Entry]) -> Collection[str]:
    """What the image has at the places of ``PLACED``, and an export does not show."""
    return {
        path for path in PLACED if path in entries and entries[path].kind is not EntryKind.FOLDER
    }
