"""The join as one HTML file: self-contained, like the report of a run."""

from collections.abc import Sequence
from typing import Any, Final

from lab.report import words
from lab.report.join.model import Joined, Machines, Member
from lab.report.join.view import panels, within
from lab.report.page.facts import Fact, lines
from lab.report.page.figures import Figures
from lab.report.page.html import environment
from lab.report.study import graviton, published, published_out
from lab.spec import Phase

_RUN: Final = ("id", "started_at", "plan", "lab_version", "git_commit", "bandwidth_bits_per_s")


def render(joined: Joined) -> str:
    """``report.html`` of a join."""
    document: dict[str, Any] = joined.model_dump(mode="json", by_alias=True)
    figures = Figures(document)
    rows = [row for run in joined.runs for row in run.rows]
    return (
        environment()
        .get_template("join.html.j2")
        .render(
            joined=joined,
            number=figures.number,
            pair=figures.pair,
            panels=panels(joined),
            within=within(joined),
            emulated=any(row.emulated for row in rows),
            different=any(run.against_first is Machines.DIFFERENT for run in joined.runs),
            phases=list(Phase),
            shown_phases={phase for row in rows if not row.emulated for phase in row.phases_s},
            facts=[_facts(run) for run in joined.runs],
            words=words,
            published=published,
            graviton=graviton,
            published_source=published_out.source(),
            aside="" if joined.container else " — partly no container",
        )
    )


def _facts(run: Member) -> Sequence[tuple[str, Sequence[Fact]]]:
    about = {key: getattr(run, key) for key in _RUN}
    sections = (("Run", about), ("Host", run.host), ("Engine", run.engine))
    return [(title, lines(values)) for title, values in sections]
