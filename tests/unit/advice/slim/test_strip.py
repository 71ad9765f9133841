"""What is cut off an ELF file, to the byte, and what is left whole."""

import ctypes
import io
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.advice.slim.strip import compares_itself, cuts, may_be_meant
from tests.unit.advice.slim import elves
from tests.unit.advice.slim.elves import ALL, ALLOC, DEBUG, KEPT, NAMES, SYMBOLS, TEXT, elf, parsed

CC = shutil.which("cc")
SOURCE = """
#include <stdio.h>
#ifdef PROGRAM
int main(void) { puts("still here"); return 0; }
#else
int answer(void) { return 42; }
#endif
"""


def stripped(data: bytes) -> bytes | None:
    file = io.BytesIO(data)
    found = cuts(file)
    if found is None:
        assert file.getvalue() == data
        return None
    found.apply(file)
    after = file.getvalue()
    assert (found.size, found.saved) == (len(after), len(data) - len(after))
    return after


def test_symbols_debug_sections_and_the_comment_go_and_the_rest_moves_up() -> None:
    data = elf()
    after = stripped(data)
    assert after is not None
    loaded = elves.TEXT_AT + 256
    assert after[:40] == data[:40]
    assert after[48:loaded] == data[48:loaded]
    assert parsed(after) == {
        number: one for number, one in parsed(data).items() if number in {1, 3, 7}
    }
    names = parsed(data)[7][2]
    # The note needs no filling here: what is loaded ends at a multiple of 4.
    kept = KEPT.content + names
    end = loaded + len(kept)
    assert after[loaded:end] == kept
    assert len(after) == -(-end // 8) * 8 + 8 * 64
    assert struct.unpack_from("<Q", after, 40) == (len(after) - 8 * 64,)


def test_what_is_stripped_has_nothing_more_to_lose_and_the_same_comes_of_the_same() -> None:
    after = stripped(elf())
    assert after is not None
    assert stripped(elf()) == after
    assert stripped(after) is None


def test_loaded_sections_keep_their_bytes_whatever_they_are_called() -> None:
    loaded = elves.Section(name=".debug_loaded", content=b"l" * 64, flags=ALLOC)
    after = stripped(elf([TEXT, loaded, elves.COMMENT, KEPT, SYMBOLS, DEBUG, NAMES]))
    # SYMBOLS.link is 6 there, too: the debug section, which goes.
    assert after is not None
    assert parsed(after)[2][2] == loaded.content


def test_relocations_of_a_static_program_name_no_table_that_is_gone() -> None:
    relocations = elves.Section(
        name=".rela.plt", content=b"r" * 48, kind=elves.RELA, flags=ALLOC, link=4
    )
    data = elf([TEXT, relocations, KEPT, SYMBOLS, DEBUG, NAMES], kind=elves.EXEC)
    after = stripped(data)
    assert after is not None
    assert parsed(data)[2][3] == 4
    assert parsed(after)[2] == (".rela.plt", elves.RELA, relocations.content, 0)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (elf(after=b"PYZ archive"), "PyInstaller's archive lies after the table"),
        (elf(after=bytes(1)), "even of one byte it is not known what it is for"),
        (elf(kind=elves.REL), "objects and kernel modules are linked by their symbols"),
        (b"!<arch>\n" + elf(), "an archive"),
        (elf()[:5] + b"\x02" + elf()[6:], "big-endian"),
        (elf()[:4] + b"\x01" + elf()[5:], "32 bits"),
        (elf()[:-1], "cut short within the table"),
        (elf()[:2000], "cut short"),
        (elf()[:60], "a header that is none"),
        (b"", "empty"),
        (
            elf([*ALL, elves.Section(name=".rela.text", content=b"r" * 24, kind=4, link=4)]),
            "relocations that are not loaded need the symbols",
        ),
        (
            elf([SYMBOLS, DEBUG, NAMES, TEXT]),
            "what patchelf appended is loaded, so nothing before it can move",
        ),
        (elf([TEXT, elves.COMMENT, KEPT]), "less than a block"),
        (elf([TEXT, elves.Section(name=".mine", content=b"m" * 9000)]), "of an unknown kind"),
        (
            elf([TEXT, elves.Section(name=".symtab", content=b"m" * 9000)]),
            "called like symbols, and of another type",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_left_whole_is(data: bytes, why: str) -> None:
    assert stripped(data) is None, why


def test_data_in_a_gap_between_sections_leave_a_file_whole() -> None:
    data = bytearray(elf(elves.with_(DEBUG, align=64)))
    (table,) = struct.unpack_from("<Q", data, 40)
    (begin,) = struct.unpack_from("<Q", data, table + 5 * 64 + 24)
    assert stripped(bytes(data)) is not None
    data[begin - 1] = 1
    assert stripped(bytes(data)) is None


@pytest.mark.parametrize("at", [32, 40, 56, 60, 62])
def test_a_header_that_points_anywhere_is_left_whole(at: int) -> None:
    data = bytearray(elf())
    struct.pack_into("<H", data, at, 0xFFF0)
    assert stripped(bytes(data)) is None


def test_only_the_first_bytes_are_needed_to_see_that_it_is_no_program() -> None:
    assert may_be_meant(elf()[:64])
    assert not may_be_meant(b"#!/bin/sh\n" + bytes(64))
    assert not may_be_meant(elf()[:63])


@pytest.mark.parametrize(
    ("path", "beside"),
    [
        ("/usr/lib/ossl-modules/fips.so", ()),
        ("/usr/lib/libsoftokn3.so", ("/usr/lib/libsoftokn3.chk",)),
        ("/usr/lib/libgnutls.so.30", ("/usr/lib/.libgnutls.so.30.hmac",)),
        ("/usr/bin/ssh", ("/usr/bin/fipscheck/ssh.hmac",)),
    ],
)
def test_a_library_with_a_checksum_of_its_own_is_known(path: str, beside: Sequence[str]) -> None:
    assert compares_itself(path, {path, *beside})
    assert compares_itself(path, {path}) is (not beside)


@pytest.mark.skipif(CC is None, reason="there is no C compiler here")
@pytest.mark.parametrize("flags", [[], ["-static"], ["-no-pie"], ["-Wl,--emit-relocs"]])
def test_a_compiled_program_runs_as_before(tmp_path: Path, flags: Sequence[str]) -> None:
    program = compiled(tmp_path, "program", ["-DPROGRAM", *flags])
    before = program.read_bytes()
    after = stripped(before)
    if "--emit-relocs" in str(flags):
        assert after is None
        return
    assert after is not None
    assert len(after) < len(before) - 10_000
    program.write_bytes(after)
    said = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert said == "still here\n"


@pytest.mark.skipif(CC is None, reason="there is no C compiler here")
def test_a_compiled_library_is_loaded_and_its_function_found(tmp_path: Path) -> None:
    library = compiled(tmp_path, "library.so", ["-shared", "-fPIC"])
    after = stripped(library.read_bytes())
    assert after is not None
    assert b".debug_info" in after  # the names stay, the sections do not
    assert {".symtab", ".strtab", ".debug_info", ".comment"} & {
        one[0] for one in parsed(after).values()
    } == set()
    library.write_bytes(after)
    assert ctypes.CDLL(str(library)).answer() == 42


def compiled(folder: Path, name: str, flags: Sequence[str]) -> Path:
    source = folder / "source.c"
    source.write_text(SOURCE)
    out = folder / name
    subprocess.run([str(CC), "-g3", "-o", out, source, *flags], check=True)
    return out
