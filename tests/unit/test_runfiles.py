"""Files of runs when the disk is full, the machine crashes, or two runs begin at once."""

import errno
import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from lab.errors import BusyError, DiskFullError, UsageError
from lab.runfiles import Lines, new_folder, parse, write_whole
from lab.schema import Versioned


class Cup(BaseModel):
    size: int


@pytest.fixture
def lines(tmp_path: Path) -> Lines[Cup]:
    return Lines(tmp_path / "cups.jsonl", Cup, full="Wash up.")


def test_a_file_that_is_not_there_has_no_records(lines: Lines[Cup]) -> None:
    assert lines.read() == []
    assert not lines.torn
    lines.mend()


def test_a_torn_last_line_is_told_left_out_and_cut_off(lines: Lines[Cup]) -> None:
    lines.append(Cup(size=1))
    with lines.path.open("ab") as file:
        file.write(b'{"si')
    assert (lines.read(), lines.torn) == ([Cup(size=1)], True)
    lines.mend()
    lines.append(Cup(size=2))
    assert (lines.read(), lines.torn) == ([Cup(size=1), Cup(size=2)], False)


def test_a_damaged_line_is_named_with_its_field(lines: Lines[Cup]) -> None:
    lines.path.write_text('{"size": 1}\n{"size": "wide"}\n')
    with pytest.raises(UsageError, match=r"cups\.jsonl, line 2: size: "):
        lines.read()


class Cupboard(Versioned):
    cups: int


@pytest.mark.parametrize("text", ['{"schema": 2, "cups": 1}', '{"schema": 2, "saucers": 1}'])
def test_another_schema_is_named_whatever_else_it_holds(text: str) -> None:
    with pytest.raises(UsageError, match=r"c\.json is of schema 2, and this lab reads schema 1"):
        parse(Cupboard, text.encode(), of=Path("c.json"))


@pytest.mark.parametrize("text", ["[]", "{", '{"cups": "many"}', '{"schema": 1, "cups": "many"}'])
def test_what_is_of_no_other_schema_is_damaged(text: str) -> None:
    with pytest.raises(UsageError, match=r"c\.json: .*"):
        parse(Cupboard, text.encode(), of=Path("c.json"))


def test_a_versioned_file_can_be_read_back() -> None:
    text = Cupboard(cups=2).to_json()
    assert text == '{\n "schema": 1,\n "cups": 2\n}\n'
    assert parse(Cupboard, text.encode(), of=Path("c.json")) == Cupboard(cups=2)


def test_an_empty_line_is_no_record(lines: Lines[Cup]) -> None:
    lines.path.write_text('{"size": 1}\n\n{"size": 2}\n')
    assert lines.read() == [Cup(size=1), Cup(size=2)]


def test_a_record_that_does_not_fit_leaves_those_before_it(
    lines: Lines[Cup], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines.append(Cup(size=1))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match="what was written before is kept") as told:
        lines.append(Cup(size=2))
    assert told.value.remedy == "Wash up."
    assert (lines.read(), lines.torn) == ([Cup(size=1)], False)


def test_a_folder_that_another_run_has_just_made_is_left_to_it(tmp_path: Path) -> None:
    assert new_folder(tmp_path / "runs" / "now").is_dir()
    with pytest.raises(BusyError, match="Another run began in the same second: now"):
        new_folder(tmp_path / "runs" / "now")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"report\.html cannot be written: "):
        write_whole(tmp_path / "file" / "report.html", "page")
