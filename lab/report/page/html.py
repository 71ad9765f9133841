"""The summary as one HTML file."""

import functools
import re
from pathlib import Path
from typing import Final

import jinja2
from markupsafe import Markup, escape
from pydantic import BaseModel

from lab.coldstart.summary import Quantity, Reached
from lab.report import boots, chunks, words
from lab.report.catalogue import out as catalogue
from lab.report.catalogue.plot import plots
from lab.report.document import Document
from lab.report.page import view
from lab.report.page.facts import facts
from lab.report.page.figures import Figures
from lab.report.rows import VARIANT_ORDER
from lab.report.study import graviton, published, published_out
from lab.report.summary import Results
from lab.report.targets import worth_showing
from lab.spec import FLOOR, PHASE_COLOURS, Phase, Platform
from lab.stats.ratios import RESAMPLES
from lab.units import format_rate

TEMPLATES: Final = Path(__file__).resolve().parent.parent / "templates"


@functools.cache
def _environment() -> jinja2.Environment:
    """Templates of the report; everything printed is escaped, everything missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "words": words,
        "boots": boots,
        "chunks": chunks,
        "phases": list(Phase),
        "phase_colours": PHASE_COLOURS,
        "published": published,
        "graviton": graviton,
        "published_source": published_out.source(),
    }
    environment.filters |= {"code": _code, "zip": zip}
    return environment


def _code(text: str) -> Markup:
    """Escaped; what stands between backticks is set as something to be typed."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def page(template: str, document: BaseModel, **more: object) -> str:
    """A template with a document's figures, which it looks up by their pointers."""
    figures = Figures(document.model_dump(mode="json", by_alias=True))
    found = _environment().get_template(template)
    return found.render(number=figures.number, pair=figures.pair, **more)


def render(results: Results, predicted: Document | None = None) -> str:
    """``report.html``. ``predicted``: what AWS will show."""
    summary = results.summary
    groups = view.group_views(results)
    native = [one.row for one in results.native]
    images = view.images(results)
    beside = {row.variant for row in summary.rows if row.reference}
    foreign = [one for one in images if one.variant not in (*beside, *VARIANT_ORDER)]
    theirs = dict.fromkeys(one.ref for one in foreign)
    own = [row for row in summary.rows if row.variant != FLOOR]
    probes = [row.probe_interval_s for row in native if row.probe_interval_s]
    return page(
        "report.html.j2",
        summary,
        summary=summary,
        run=results.recorded.run,
        groups=groups,
        measured=any(row.n for row in own if not row.reference),
        timed=any(group.waterfalls or group.strips for group in groups),
        sized=any(group.sizes or group.demanded for group in groups),
        demanded=any(group.demanded for group in groups),
        memory=view.memory_plots(results),
        tiles=view.tiles(results),
        images=images,
        beside=beside,
        about=", ".join(theirs) or f"plan {results.recorded.run.plan_name}",
        layer_share=view.layer_share,
        byte_ratios=view.byte_ratios(summary.comparisons),
        platform_sizes=view.platform_sizes(summary),
        platforms=list(Platform),
        quantities=(Quantity.COMPRESSED, Quantity.UNPACKED),
        study=published.beside(summary) if published.repeated(summary.rows) else [],
        facts=facts(results),
        catalogue=catalogue.document(summary),
        catalogue_plots=plots(summary.catalogues),
        predicted=predicted,
        show_targets=worth_showing(summary.targets),
        first=view.first_to_mend(summary.findings),
        severities=view.SEVERITIES,
        reached=Reached.YES,
        missed=Reached.NO,
        shown_phases={phase for row in native for phase in row.phases_s},
        packed=all(row.image_compressed_bytes for row in own),
        probe=max(probes, default=None),
        rate=format_rate,
        resamples=RESAMPLES,
        aside="" if summary.run.container else " — no container",
    )
