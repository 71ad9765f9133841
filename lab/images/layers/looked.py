"""What some of an image's files say: small ones whole, of large programs what a debugger needs."""

import hashlib
import struct
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import IO, Final

from lab.engine.api import ContainerSpec
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.docker.owned import of_this_process
from lab.engine.docker.tar import tar_of
from lab.errors import EngineError

LARGEST_TEXT: Final = 256 * 1024
_ELF64: Final = b"\x7fELF\x02\x01"
_HEAD: Final = 1 << 16
_TAIL: Final = 4 << 20
"""Where the table of sections and their names are: at the end, as linkers and strip leave them."""
_CHUNK: Final = 1 << 20
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOLS: Final = (".symtab", ".strtab")


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """What was read of a large file."""

    sha256: str
    debug_bytes: int = 0
    """Of sections that no running program needs: symbols, and ``.debug_*``."""


@contextmanager
def opened(engine: DockerEngine, image: str) -> Iterator["Files"]:
    """An image's files as a container would see them. None is started."""
    made = engine.create(ContainerSpec(image=image, labels=of_this_process()))
    try:
        yield Files(made)
    finally:
        made.remove()


class Files:
    """Reads a file at a time."""

    def __init__(self, container: DockerContainer) -> None:
        self._container = container

    def texts(self, paths: Iterable[str]) -> Mapping[str, str]:
        """Of those that are there, are no larger than ``LARGEST_TEXT`` and are in UTF-8."""
        found = {}
        for path in paths:
            with self._file(path) as file:
                data = b"" if file is None else file.read(LARGEST_TEXT + 1)
            if 0 < len(data) <= LARGEST_TEXT and b"\0" not in data:
                try:
                    found[path] = data.decode()
                except UnicodeDecodeError:
                    continue
        return found

    def libraries(self, paths: Iterable[str]) -> Mapping[str, Library]:
        """Read once from a stream; memory holds some MB of each."""
        found = {}
        for path in paths:
            with self._file(path) as file:
                if file is not None:
                    found[path] = library(file)
        return found

    @contextmanager
    def _file(self, path: str) -> Iterator[IO[bytes] | None]:
        """A regular file's content; None of what is none, or cannot be read."""
        try:
            with translated():
                stream, _ = self._container.client.get_archive(self._container.id, path)
        except EngineError:
            yield None
            return
        with closing(stream), tar_of(stream) as packed:
            try:
                member = packed.next()
            except tarfile.TarError:
                member = None
            yield packed.extractfile(member) if member is not None and member.isreg() else None


def library(file: IO[bytes]) -> Library:
    """Read a file to its end."""
    digest = hashlib.sha256()
    head = tail = b""
    size = 0
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        head = head or chunk[:_HEAD]
        tail = (tail + chunk)[-_TAIL:]
    return Library(sha256=digest.hexdigest(), debug_bytes=debug_bytes(head, tail, size))


def debug_bytes(head: bytes, tail: bytes, size: int) -> int:
    """Of a file of ``size`` bytes that begins and ends like this; 0 where it is no ELF file of 64
    bits, or its sections are named elsewhere.
    """
    if not head.startswith(_ELF64) or len(head) < 64:
        return 0
    (table,) = struct.unpack_from("<Q", head, 40)
    each, count, names_at = struct.unpack_from("<HHH", head, 58)
    begin = size - len(tail)
    if each != _SECTION.size or table < begin or names_at >= count:
        return 0
    if table + count * each > size:
        return 0
    sections = [
        _SECTION.unpack_from(tail, table - begin + number * each) for number in range(count)
    ]
    names_offset, names_size = sections[names_at][4:6]
    if names_offset < begin or names_offset + names_size > size:
        return 0
    names = tail[names_offset - begin : names_offset - begin + names_size]
    total = 0
    for name_at, _, _, _, _, length, *_ in sections:
        name = names[name_at:].split(b"\0", 1)[0].decode(errors="replace")
        if name in _SYMBOLS or name.startswith((".debug_", ".zdebug_")):
            total += length
    return total
