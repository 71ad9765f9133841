"""What is read of large programs: their digest, and what only a debugger reads of them."""

import hashlib
import io
import struct
import sys
from pathlib import Path

import pytest

from lab.images.layers.looked import debug_bytes, library

_TYPE, _FLAGS, _ADDRESS = 1, 0, 0


def elf(sections: dict[str, int]) -> bytes:
    """A file of 64 bits with sections of these lengths, and their names at its end."""
    names = b"\0" + b"".join(f"{name}\0".encode() for name in [*sections, ".shstrtab"])
    body, table = b"", [struct.pack("<IIQQQQIIQQ", *[0] * 10)]
    for name, size in sections.items():
        table.append(_row(names, name, 64 + len(body), size))
        body += bytes(size)
    table.append(_row(names, ".shstrtab", 64 + len(body), len(names)))
    body += names
    head = b"\x7fELF\x02\x01".ljust(40, b"\0") + struct.pack("<Q", 64 + len(body))
    head = head.ljust(58, b"\0") + struct.pack("<HHH", 64, len(table), len(table) - 1)
    return head + body + b"".join(table)


def _row(names: bytes, name: str, offset: int, size: int) -> bytes:
    at = names.index(f"\0{name}\0".encode()) + 1
    return struct.pack("<IIQQQQIIQQ", at, _TYPE, _FLAGS, _ADDRESS, offset, size, 0, 0, 1, 0)


def test_symbols_and_debugging_information_are_counted_and_nothing_else() -> None:
    data = elf({".text": 700, ".dynsym": 90, ".symtab": 40, ".strtab": 30, ".debug_info": 500})
    found = library(io.BytesIO(data))
    assert found.debug_bytes == 570
    assert found.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "data",
    [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + bytes(90), elf({".symtab": 9})[:-100]],
)
def test_what_is_no_whole_elf_file_has_none(data: bytes) -> None:
    assert debug_bytes(data, data, len(data)) == 0


def test_a_table_that_lies_before_the_part_that_was_kept_is_not_guessed() -> None:
    data = elf({".symtab": 40})
    assert debug_bytes(data, data[-20:], len(data)) == 0


def test_a_real_program_can_be_read() -> None:
    with Path(sys.executable).resolve().open("rb") as file:
        found = library(file)
    assert 0 <= found.debug_bytes < Path(sys.executable).resolve().stat().st_size
