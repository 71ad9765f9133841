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
from lab.report.join.model import Joined, Machines, Member
from lab.report.join.view import panels, within
from lab.report.join.words_out import to_markdown
from lab.report.page.facts import Fact, lines
from lab.report.page.html import page
from lab.report.summary import Results
from lab.runfiles import write_whole

INPUTS: Final = "inputs"
_RUN: Final = ("id", "started_at", "plan", "lab_version", "git_commit", "bandwidth_bits_per_s")


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


def render(joined: Joined) -> str:
    """``report.html`` of a join."""
    rows = [row for run in joined.runs for row in run.rows]
    return page(
        "join.html.j2",
        joined,
        joined=joined,
        panels=panels(joined),
        within=within(joined),
        demanded=any(row.chunks and not row.emulated for row in rows),
        emulated=any(row.emulated for row in rows),
        different=any(run.against_first is Machines.DIFFERENT for run in joined.runs),
        shown_phases={phase for row in rows if not row.emulated for phase in row.phases_s},
        facts=[_facts(run) for run in joined.runs],
        aside="" if joined.container else " — partly no container",
    )


def _facts(run: Member) -> Sequence[tuple[str, Sequence[Fact]]]:
    about = {key: getattr(run, key) for key in _RUN}
    sections = (("Run", about), ("Host", run.host), ("Engine", run.engine))
    return [(title, lines(values)) for title, values in sections]
