"""What no running program needs of an ELF file, cut off at its end: symbol tables, debug sections.

A program is mapped by its program headers, and linked at run time by ``.dynsym``, which is loaded.
Sections without ``SHF_ALLOC`` are in no memory: ``.symtab`` with its ``.strtab``, ``.debug_*`` and
``.comment`` serve linkers, debuggers and the names in a crash's trace. So what is loaded keeps its
bytes and its places: ``dlopen`` maps the same, NumPy's OpenBLAS and TensorFlow find the same names,
a JVM its exported structures; of a crash they then say addresses where they said names.

The section table is kept, for Go's and others' readers of build information, ``objcopy`` and
``patchelf`` look at it, and so is its numbering: ``sh_link``, ``sh_info`` and the symbols'
``st_shndx`` count in it. What is cut becomes an inactive section (``SHT_NULL``, of zeros), what
stays behind it moves up, ``.shstrtab`` as it was, and the table comes last.

Left whole is whatever is not plainly so: other classes and byte orders, relocatable objects and
kernel modules (``ET_REL``: linked by ``.symtab``), archives, files with anything in a gap or after
the last section and the table (self-extracting programs, PyInstaller, single executables of Node,
AppImages: their data lie there), symbols that lie between what is loaded (as patchelf leaves
them), sections that refer to what would go, and libraries that are compared with a checksum of
their own.
"""

import posixpath
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import IO, Final, NamedTuple

HEAD_BYTES: Final = 64
"""So much is needed to tell whether a file may be meant."""
LEAST_BYTES: Final = 4096
"""A file that would lose less is left as it was: no disk has fewer blocks for it."""

_IDENT: Final = b"\x7fELF\x02\x01\x01"
"""64 bits, little-endian, version 1."""
_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SHOFF_AT: Final = 40
_LINKED: Final = frozenset({2, 3})
"""``ET_EXEC`` and ``ET_DYN``."""
_NULL, _PROGBITS, _SYMTAB, _STRTAB, _NOBITS, _SYMTAB_SHNDX = 0, 1, 2, 3, 8, 18
_ALLOC, _INFO_LINK = 0x2, 0x40
_DEBUG: Final = (".debug_", ".zdebug_")
_NAMES_ALIGNED: Final = 8
_LONGEST_GAP: Final = 4096
_PIECE: Final = 1 << 20


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    each: int

    @property
    def end(self) -> int:
        return self.offset + (0 if self.kind == _NOBITS else self.size)


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """What can go of one file."""

    moves: Sequence[tuple[int, int, int]]
    """From, to, length: what stays behind the first cut, in order; to is never behind from."""
    begin: int
    """Where the first of them is put at the earliest: all before stays as it is."""
    table: bytes
    table_at: int
    size_before: int

    @property
    def size(self) -> int:
        """Of the file afterwards."""
        return self.table_at + len(self.table)

    @property
    def saved(self) -> int:
        """Bytes."""
        return self.size_before - self.size

    def apply(self, file: IO[bytes]) -> None:
        """Cut the file, in place; its position is undefined afterwards."""
        end = self.begin
        for source, target, length in self.moves:
            _zero(file, end, target)
            for done in range(0, length, _PIECE):
                file.seek(source + done)
                piece = file.read(min(_PIECE, length - done))
                file.seek(target + done)
                file.write(piece)
            end = target + length
        _zero(file, end, self.table_at)
        file.write(self.table)
        file.truncate()
        file.seek(_SHOFF_AT)
        file.write(struct.pack("<Q", self.table_at))


def may_be_meant(head: bytes) -> bool:
    """Whether a file that begins so, with ``HEAD_BYTES``, is worth a look."""
    if len(head) < HEAD_BYTES or not head.startswith(_IDENT):
        return False
    return _HEADER.unpack_from(head)[1] in _LINKED


def compares_itself(path: str, there: Collection[str]) -> bool:
    """Whether a library is compared with a checksum that lies beside it: OpenSSL's FIPS module,
    NSS's ``.chk``, and the ``.hmac`` of libgcrypt, GnuTLS and fipscheck.
    """
    folder, name = posixpath.split(path)
    if name == "fips.so":
        return True
    beside = (f"{name.removesuffix('.so')}.chk", f".{name}.hmac", f"fipscheck/{name}.hmac")
    return any(posixpath.join(folder, one) in there for one in beside)


def cuts(file: IO[bytes]) -> Cuts | None:
    """What can go of a file that can be sought in; None where it is to be left whole.

    Memory holds its tables, nothing of its content.
    """
    size = file.seek(0, 2)
    head = _at(file, 0, HEAD_BYTES)
    if not may_be_meant(head):
        return None
    found = _HEADER.unpack(head)
    segments_at, table_at = found[5:7]
    header_size, segment_size, segment_count, section_size, count, names_at = found[8:]
    sizes = (header_size, segment_size, section_size)
    if sizes != (_HEADER.size, _SEGMENT.size, _SECTION.size):
        return None
    ends = (segments_at + segment_count * segment_size, table_at + count * section_size)
    if not segment_count or names_at >= count or max(ends) > size:
        return None
    segments = _SEGMENT.iter_unpack(_at(file, segments_at, segment_count * segment_size))
    packed = _at(file, table_at, count * section_size)
    sections = [_Section._make(one) for one in _SECTION.iter_unpack(packed)]
    loaded = max(
        HEAD_BYTES,
        ends[0],
        *(offset + length for _, _, offset, _, _, length, _, _ in segments),
        *(one.end for one in sections if one.flags & _ALLOC),
    )
    behind = _behind(file, sections, loaded, table_at, size)
    if behind is None:
        return None
    gone = _dispensable(file, sections, behind, names_at)
    if gone is None:
        return None
    return _planned(sections, [one for one in behind if one not in gone], gone, loaded, size)


def _behind(
    file: IO[bytes], sections: Sequence[_Section], loaded: int, table_at: int, size: int
) -> Sequence[int] | None:
    """The sections behind all that is loaded, in the file's order; None where anything else is."""
    there = [
        number
        for number, one in enumerate(sections)
        if one.kind not in {_NULL, _NOBITS} and one.size and one.end > loaded
    ]
    there.sort(key=lambda number: sections[number].offset)
    extents = [(sections[one].offset, sections[one].end) for one in there]
    end = loaded
    for begin, its_end in sorted([*extents, (table_at, table_at + len(sections) * _SECTION.size)]):
        gap = begin - end
        if not 0 <= gap < _LONGEST_GAP or _at(file, end, gap).strip(b"\0"):
            return None
        end = its_end
    return there if end == size else None


def _dispensable(
    file: IO[bytes], sections: Sequence[_Section], behind: Sequence[int], names_at: int
) -> Collection[int] | None:
    """Those that no running program needs; None where something else refers to one."""
    names = _at(file, sections[names_at].offset, sections[names_at].size)
    gone = {
        number
        for number in behind
        if _goes(
            sections[number], names[sections[number].name :].split(b"\0", 1)[0].decode("latin1")
        )
    }
    for number, one in enumerate(sections):
        refers = {one.info} if one.flags & _INFO_LINK else set()
        refers |= set() if one.flags & _ALLOC else {one.link}
        if number not in gone and refers & gone:
            return None
    return None if names_at in gone else gone


def _goes(one: _Section, name: str) -> bool:
    if one.kind == _SYMTAB_SHNDX:
        return True
    if one.kind == _PROGBITS:
        return name == ".comment" or name.startswith(_DEBUG)
    return (one.kind, name) in {(_SYMTAB, ".symtab"), (_STRTAB, ".strtab")}


def _planned(
    sections: Sequence[_Section],
    stays: Sequence[int],
    gone: Collection[int],
    loaded: int,
    size: int,
) -> Cuts | None:
    end = loaded
    moves: list[tuple[int, int, int]] = []
    placed: dict[int, int] = {}
    for number in stays:
        one = sections[number]
        align = max(1, one.align)
        target = -(-end // align) * align
        if target > one.offset:  # it was not aligned before
            return None
        moves.append((one.offset, target, one.size))
        placed[number] = target
        end = target + one.size
    # Loaded relocations of a static program name its .symtab and use none of it.
    table = b"".join(
        bytes(_SECTION.size)
        if number in gone
        else _SECTION.pack(
            *one._replace(
                offset=placed.get(number, one.offset), link=0 if one.link in gone else one.link
            )
        )
        for number, one in enumerate(sections)
    )
    found = Cuts(
        moves=moves,
        begin=loaded,
        table=table,
        table_at=-(-end // _NAMES_ALIGNED) * _NAMES_ALIGNED,
        size_before=size,
    )
    return found if found.saved >= LEAST_BYTES else None


def _at(file: IO[bytes], offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _zero(file: IO[bytes], begin: int, end: int) -> None:
    file.seek(begin)
    file.write(bytes(end - begin))
