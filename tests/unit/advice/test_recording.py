"""``recording.json``: written and read back, whatever names an image holds."""

from pathlib import Path

import pytest

from lab.advice.recording import FileRead, Recording, Stage, load_recording
from lab.errors import UsageError
from lab.spec import Platform

RECORDING = Recording(
    image="a:1",
    image_id="sha256:0",
    platform=Platform.AMD64,
    emulated=False,
    lab_version="0",
    recorded_at="2026-01-01T00:00:00+00:00",
    views=["calls"],
    files=[
        FileRead(path="/ä", first=Stage.READY, opened=True, block_bytes={Stage.READY: 4096}),
        FileRead(path="/\udcff\udcfe\\x", first=Stage.LATER, opened=False),
    ],
    missed=["/\udc80"],
    answers=[],
    doubts=[],
)


def test_names_that_are_no_text_come_back_as_they_were(tmp_path: Path) -> None:
    path = RECORDING.save(tmp_path)
    assert load_recording(path) == RECORDING
    assert "/\udcff\udcfe\\x" in load_recording(path).touched()


def test_a_damaged_file_is_named_with_its_field(tmp_path: Path) -> None:
    path = RECORDING.save(tmp_path)
    path.write_text(path.read_text().replace('"ready"', '"never"', 1))
    with pytest.raises(UsageError, match=r"recording\.json: files\.0\.first"):
        load_recording(path)
