"""``recording.json``: what a start and a few requests read of an image, and when.

Two views of one run. *Blocks*: the image is served from a device that says which of its blocks
were read; it knows bytes, but in chunks. *Calls*: every look-up of a path, as ``strace`` saw it; it
knows each file and each one that was looked for in vain, but not how much of it was read.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from pydantic import Field, PlainSerializer, PlainValidator

from lab.runfiles import parse, write_whole
from lab.schema import Frozen, Versioned
from lab.spec import Platform

RECORDING_FILE: Final = "recording.json"

BLOCKS: Final = "blocks"
CALLS: Final = "calls"

_SURROGATE: Final = re.compile(r"\\udc([89a-f][0-9a-f])")


def _from_text(text: object) -> str:
    if not isinstance(text, str):
        raise ValueError("a path is a string")  # noqa: TRY004 - pydantic's word for it
    return _SURROGATE.sub(lambda found: chr(0xDC00 + int(found[1], 16)), text)


def _to_text(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()


ImagePath: TypeAlias = Annotated[str, PlainValidator(_from_text), PlainSerializer(_to_text)]
"""Absolute. Bytes that are no UTF-8 are as ``os.fsdecode`` has them; in a file, ``\\udcff``."""


@unique
class Stage(StrEnum):
    """When something was read, in the order in which the stages come."""

    READY = "ready"
    """Before ``/ping`` was answered 200."""
    FIRST = "first_prediction"
    """From then on until the first prediction was there."""
    LATER = "later"
    """During the next requests: the other payloads, each again, ``/metrics``, wrong ones."""


class FileRead(Frozen):
    """A file, folder or link of the image that the run touched."""

    path: ImagePath
    """Absolute, as the image has it; of a file that is reached through links, its own."""
    first: Stage
    """When it was touched first."""
    opened: bool
    """Else only looked at: ``stat``, ``readlink``, a folder on the way to another file."""
    block_bytes: Mapping[Stage, int] = Field(default_factory=dict)
    """Bytes of its blocks that were fetched, by stage; read-ahead is among them. Empty where the
    blocks were not seen, and for what has none."""
    waited_s: Mapping[Stage, float] = Field(default_factory=dict)
    """Its share of the seconds in which chunks were waited for, by stage
    (``lab.advice.costs.shared_waits``); empty where chunks were not told apart."""

    @property
    def read_bytes(self) -> int:
        return sum(self.block_bytes.values())


class Answer(Frozen):
    """What the container answered while it was recorded."""

    what: str
    """``request.json``, ``/metrics``, ``wrong type``, ..."""
    status: int
    """0 where there was no answer: then ``excerpt`` says why."""
    content_type: str
    sha256: str
    excerpt: str


class ChunkCount(Frozen):
    """What the device served."""

    chunks: int = 0
    bytes: int = 0
    waited_s: float = 0.0


class Recording(Versioned):
    """``recording.json``, whole."""

    image: str
    image_id: str
    platform: Platform
    emulated: bool
    lab_version: str
    recorded_at: str
    views: Sequence[str]
    """Which views there are: ``blocks``, ``calls``."""
    files: Sequence[FileRead]
    """Sorted by path."""
    missed: Sequence[ImagePath]
    """Absolute paths that were looked for in vain, sorted; links on the way are followed."""
    answers: Sequence[Answer]
    chunks: Mapping[Stage, ChunkCount] = Field(default_factory=dict)
    new_by_payload: Mapping[str, int] = Field(default_factory=dict)
    """How many files each payload touched first; 0 says that it added nothing."""
    untouched_bytes: Mapping[Stage, int] = Field(default_factory=dict)
    """Bytes fetched that are no touched file's: tables of names, read-ahead into neighbours."""
    doubts: Sequence[str] = ()
    """What could not be seen for sure, in words."""

    def touched(self) -> Mapping[str, FileRead]:
        """By path."""
        return {one.path: one for one in self.files}

    def save(self, folder: Path) -> Path:
        """Write ``recording.json`` there. Raises ``DiskFullError`` and ``UsageError``."""
        return write_whole(folder / RECORDING_FILE, self.to_json())


def load_recording(path: Path) -> Recording:
    """Read a ``recording.json``. Raises ``UsageError`` that names file and field."""
    return parse(Recording, path.read_bytes(), of=path)
