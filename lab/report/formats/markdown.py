"""The summary as Markdown, for a pull request."""

from lab.report import words
from lab.report.catalogue import out as catalogue
from lab.report.document import Document, section
from lab.report.formats import tables
from lab.report.page.view import images
from lab.report.study import graviton, published, published_out
from lab.report.summary import Results


def to_markdown(results: Results, predicted: Document | None = None) -> str:
    """``report.md``: the same tables as the page, less the plots. ``predicted``: for AWS."""
    summary = results.summary
    aside = "" if summary.run.container else " — no container"
    parts = [
        f"# Cold starts: {summary.headline.text}{aside}",
        summary.headline.detail,
        (
            f"Run `{summary.run.id}`, plan `{summary.run.plan}`, {summary.run.engine}, "
            f"{summary.run.recorded} of {summary.run.planned} trials, seed {summary.run.seed}."
        ),
    ]
    for table in (tables.totals(summary), tables.phases(summary), tables.boots(summary)):
        parts += section(f"{table.title}{aside}", table.to_markdown())
    findings = []
    for one in summary.findings:
        stake = "" if one.stake_s is None else f" ({words.seconds(one.stake_s)} at stake)"
        findings.append(f"- **{one.title}**{stake}: {one.seen} {one.why} *{one.remedy}*")
    parts += section(f"Findings{aside}", "\n\n".join(findings))
    for table in (
        *(tables.bytes_read(summary.rows), tables.image_sizes(results)),
        tables.sizes_by_platform(summary),
    ):
        parts += section(f"{table.title}{aside}", table.to_markdown())
    for image in images(results):
        table = tables.layers(image)
        parts += section(f"Layers of {table.title}{aside}", table.to_markdown(), level=3)
    for table in (tables.ratios(summary), tables.targets(summary.targets)):
        parts += section(f"{table.title}{aside}", table.to_markdown())
    sizes = catalogue.document(summary)
    if sizes is not None:
        parts += section(f"{sizes.title}{aside}", sizes.body(level=3))
    if predicted is not None:
        parts += section(f"{predicted.title}{aside}", predicted.body(level=3))
    emulated = tables.emulated(summary.rows)
    if emulated.rows:
        body = f"{words.EMULATED_WHY}\n\n{emulated.to_markdown()}"
        parts += section(f"{emulated.title}{aside}", body)
    if published.repeated(summary.rows):
        study = tables.study(summary)
        parts += section(f"{study.title}{aside}", study.to_markdown())
        parts += section(graviton.TITLE, published_out.document().body(level=3))
    return "\n\n".join(parts) + "\n"
