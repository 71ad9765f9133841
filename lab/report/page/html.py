"""The summary as one HTML file."""

import functools
from pathlib import Path
from typing import Any, Final

import jinja2

from lab.report import words
from lab.report.model import Quantity, Reached
from lab.report.page import view
from lab.report.page.facts import facts
from lab.report.page.figures import Figures
from lab.report.study import graviton, published, published_aws, published_out
from lab.report.summary import Results
from lab.report.targets import worth_showing
from lab.spec import FLOOR, PHASE_COLOURS, Phase, Platform
from lab.stats.ratios import RESAMPLES
from lab.units import format_rate

TEMPLATES: Final = Path(__file__).resolve().parent.parent / "templates"


@functools.cache
def environment() -> jinja2.Environment:
    """Templates of the report; everything printed is escaped, everything missing is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["phase_colours"] = PHASE_COLOURS
    return made


def render(results: Results) -> str:
    """``report.html``."""
    summary = results.summary
    document: dict[str, Any] = summary.model_dump(mode="json", by_alias=True)
    figures = Figures(document)
    groups = view.group_views(results)
    timed = [row for row in summary.rows if not row.emulated]
    shown = {phase for row in timed for phase in row.phases_s}
    own = [row for row in summary.rows if row.variant != FLOOR]
    probes = [row.probe_interval_s for row in timed if row.probe_interval_s]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            summary=summary,
            run=results.recorded.run,
            measured=results.measured,
            number=figures.number,
            pair=figures.pair,
            groups=groups,
            timed=any(group.waterfalls or group.strips for group in groups),
            memory=view.memory_plots(results),
            tiles=view.tiles(results),
            images=view.images(results),
            byte_ratios=view.byte_ratios(summary.comparisons),
            platform_sizes=view.platform_sizes(summary),
            platforms=list(Platform),
            quantities=(Quantity.COMPRESSED, Quantity.UNPACKED),
            study=view.study(results),
            published=published,
            aws=published_aws,
            graviton=graviton,
            published_source=published_out.source(),
            facts=facts(results),
            show_targets=worth_showing(summary.targets),
            severities=view.severity_words(),
            reached=Reached.YES,
            missed=Reached.NO,
            words=words,
            phases=list(Phase),
            shown_phases=shown,
            packed=all(row.image_compressed_bytes for row in own),
            probe=max(probes, default=None),
            rate=format_rate,
            resamples=RESAMPLES,
            aside="" if summary.run.container else " — no container",
        )
    )
