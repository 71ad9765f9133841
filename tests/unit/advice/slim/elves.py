"""Hand-made ELF files: what a linker writes, with every byte known."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

ALLOC: Final = 2
NULL, PROGBITS, SYMTAB, STRTAB, RELA, NOTE, NOBITS = 0, 1, 2, 3, 4, 7, 8
EXEC, DYN, REL = 2, 3, 1
TEXT_AT: Final = 64 + 56


@dataclass(frozen=True, kw_only=True)
class Section:
    name: str
    content: bytes
    kind: int = PROGBITS
    flags: int = 0
    align: int = 1
    link: int = 0
    info: int = 0


TEXT: Final = Section(name=".text", content=b"\xc3" * 256, flags=ALLOC | 4, align=8)
COMMENT: Final = Section(name=".comment", content=b"GCC 14\0")
KEPT: Final = Section(name=".note.stapsdt", content=b"probe" * 3, kind=NOTE, align=4)
SYMBOLS: Final = Section(name=".symtab", content=b"s" * 4800, kind=SYMTAB, align=8, link=6)
DEBUG: Final = Section(name=".debug_info", content=b"d" * 3001)
NAMES: Final = Section(name=".strtab", content=b"\0main\0" * 400, kind=STRTAB)
ALL: Final = (TEXT, COMMENT, KEPT, SYMBOLS, DEBUG, NAMES)
"""As sections 1 to 6; the seventh is ``.shstrtab``."""


def elf(sections: Sequence[Section] = ALL, *, kind: int = DYN, after: bytes = b"") -> bytes:
    """A file of one loaded segment, which ends with its last section that has ``ALLOC``."""
    names = b"\0" + b"".join(one.name.encode() + b"\0" for one in sections) + b".shstrtab\0"
    whole = [*sections, Section(name=".shstrtab", content=names, kind=STRTAB)]
    body = bytearray(TEXT_AT)
    table = bytearray(64)
    loaded = 0
    for one in whole:
        body += bytes(-len(body) % one.align)
        offset = len(body)
        body += b"" if one.kind == NOBITS else one.content
        loaded = len(body) if one.flags & ALLOC else loaded
        name = names.index(b"\0" + one.name.encode() + b"\0") + 1
        table += struct.pack(
            "<IIQQQQIIQQ",
            *(name, one.kind, one.flags, 0, offset, len(one.content)),
            *(one.link, one.info, one.align, 0),
        )
    body += bytes(-len(body) % 8)
    struct.pack_into(
        "<16sHHIQQQIHHHHHH",
        body,
        0,
        *(b"\x7fELF\x02\x01\x01", kind, 62, 1, 0, 64, len(body), 0, 64, 56, 1, 64),
        *(len(whole) + 1, len(whole)),
    )
    struct.pack_into("<IIQQQQQQ", body, 64, 1, 5, 0, 0, 0, loaded, loaded, 4096)
    return bytes(body + table + after)


def parsed(data: bytes) -> dict[int, tuple[str, int, bytes, int]]:
    """Each section that is active: its name, kind, content and link, by its number."""
    (table,) = struct.unpack_from("<Q", data, 40)
    count, names_at = struct.unpack_from("<HH", data, 60)
    assert table + count * 64 == len(data)
    found = [struct.unpack_from("<IIQQQQIIQQ", data, table + at * 64) for at in range(count)]
    names = data[found[names_at][4] :][: found[names_at][5]]
    return {
        number: (
            names[one[0] :].split(b"\0")[0].decode(),
            one[1],
            b"" if one[1] == NOBITS else data[one[4] : one[4] + one[5]],
            one[6],
        )
        for number, one in enumerate(found)
        if one[1] != NULL
    }


def with_(section: Section, **changes: object) -> tuple[Section, ...]:
    """``ALL`` with one changed."""
    return tuple(replace(one, **changes) if one is section else one for one in ALL)  # type: ignore[arg-type]
