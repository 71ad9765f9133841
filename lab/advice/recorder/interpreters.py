"""What the kernel opens beside a program that is executed, without a call that could be seen."""

import os
import struct
from typing import Final

HEAD_BYTES: Final = 4096
"""So much of a program must be known: its headers and the names that they point to."""

_LONGEST_LINE: Final = 256
_ELF: Final = b"\x7fELF"
_INTERPRETER: Final = 3
_WIDTHS: Final = {1: ("II", 28, 42), 2: ("QQ", 32, 54)}
"""By ELF class: file offset and size of a segment, where the table's offset is, and its shape."""


class UnknownInterpreterError(ValueError):
    """A program names an interpreter beyond what is known of it."""


def interpreter(head: bytes) -> str | None:
    """The interpreter that a program names, from its first bytes; None if it names none.

    Of a script the word after ``#!``, which may be relative; of an ELF file its ``PT_INTERP``.
    Raises ``UnknownInterpreterError`` if that lies beyond ``head``.
    """
    if head.startswith(b"#!"):
        words = head[2:_LONGEST_LINE].partition(b"\n")[0].split()
        return os.fsdecode(words[0]) if words else None
    if not head.startswith(_ELF):
        return None
    try:
        return _elf(head)
    except struct.error as error:
        raise UnknownInterpreterError("its headers lie beyond its first bytes") from error


def _elf(head: bytes) -> str | None:
    order = ">" if head[5] == 2 else "<"
    word, table_at, shape_at = _WIDTHS[2 if head[4] == 2 else 1]
    (table,) = struct.unpack_from(order + word[0], head, table_at)
    size, count = struct.unpack_from(order + "HH", head, shape_at)
    for number in range(count):
        at = table + number * size
        (kind,) = struct.unpack_from(order + "I", head, at)
        if kind != _INTERPRETER:
            continue
        if word == "QQ":
            (offset,) = struct.unpack_from(order + "Q", head, at + 8)
            (length,) = struct.unpack_from(order + "Q", head, at + 32)
        else:
            (offset,) = struct.unpack_from(order + "I", head, at + 4)
            (length,) = struct.unpack_from(order + "I", head, at + 16)
        if offset + length > len(head):
            raise UnknownInterpreterError("its interpreter's name lies beyond its first bytes")
        return os.fsdecode(head[offset : offset + length].rstrip(b"\0"))
    return None
