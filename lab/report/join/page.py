"""The join as one HTML file: self-contained, like the report of a run."""

from collections.abc import Sequence
from typing import Final

from lab.report.join.model import Joined, Machines, Member
from lab.report.join.view import panels, within
from lab.report.page.facts import Fact, lines
from lab.report.page.html import page

_RUN: Final = ("id", "started_at", "plan", "lab_version", "git_commit", "bandwidth_bits_per_s")


def render(joined: Joined) -> str:
    """``report.html`` of a join."""
    rows = [row for run in joined.runs for row in run.rows]
    return page(
        "join.html.j2",
        joined,
        joined=joined,
        panels=panels(joined),
        within=within(joined),
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
