"""The join as a folder that holds everything needed to check it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lab import paths
from lab.coldstart.folder import RUN_FILE, SAMPLES_FILE
from lab.errors import UsageError
from lab.report.formats.write import REPORT
from lab.report.join.build import build, letter
from lab.report.join.collect import JOIN_FILE
from lab.report.join.model import Joined
from lab.report.join.page import render
from lab.report.join.words_out import to_markdown
from lab.report.summary import Results
from lab.runfiles import write_whole

INPUTS: Final = "inputs"


def write_join(found: Sequence[Results], folder: Path | None = None) -> tuple[Joined, Path]:
    """Join runs and write ``join.json``, ``report.md``, ``report.html`` and a copy of each record.

    ``folder`` None is a new one beside the runs. Returns the join and its page. Raises
    ``UsageError`` for a folder that holds a run, and ``DiskFullError``.
    """
    target = folder or _new()
    if (target / RUN_FILE).exists():
        raise UsageError(
            f"{target} holds a run, whose report would be lost.",
            remedy="Choose another folder: --out.",
        )
    joined = build(found, join_id=target.resolve().name)
    for place, one in enumerate(found):
        copy = target / INPUTS / f"{letter(place)}-{one.recorded.run.id}"
        for name in (RUN_FILE, SAMPLES_FILE):
            source = one.recorded.folder / name
            if source.exists():
                write_whole(copy / name, source.read_bytes())
    write_whole(target / JOIN_FILE, joined.to_json())
    write_whole(target / "report.md", to_markdown(joined))
    return joined, write_whole(target / REPORT, render(joined))


def _new() -> Path:
    stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-join"
    target, twin = paths.runs() / stem, 1
    while target.exists():
        twin += 1
        target = paths.runs() / f"{stem}-{twin}"
    return target
