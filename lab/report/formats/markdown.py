"""The summary as Markdown, for a pull request."""

from collections.abc import Iterator, Sequence

from lab.coldstart.summary import Against, Goal, Quantity, Reached, Row, Summary
from lab.report import words
from lab.report.markdown_table import table
from lab.report.page.figures import lookup
from lab.report.page.view import images, platform_sizes
from lab.report.study import graviton, published, published_out
from lab.report.summary import Results
from lab.report.targets import worth_showing
from lab.spec import Phase, Platform


def to_markdown(results: Results) -> str:
    """``report.md``: the same tables as the page, less the plots."""
    summary = results.summary
    aside = "" if summary.run.container else " — no container"
    about = (
        f"Run `{summary.run.id}`, plan `{summary.run.plan}`, {summary.run.engine}, "
        f"{summary.run.recorded} of {summary.run.planned} trials, seed {summary.run.seed}."
    )
    parts = [
        f"# Cold starts: {summary.headline.text}{aside}",
        summary.headline.detail,
        about,
        *_section(f"Start to first prediction{aside}", _totals(summary)),
        *_section(f"Phases, medians{aside}", _phases(summary)),
        *_section(f"Ratios{aside}", _ratios(summary)),
    ]
    if worth_showing(summary.targets):
        parts += _section(f"Figures to reach{aside}", _targets(summary.targets))
    parts += [f"## Findings{aside}", *_findings(summary)] if summary.findings else []
    parts += _section(f"Emulated (QEMU), in no other table{aside}", _emulated(summary))
    parts += _section(f"Images{aside}", _images(results))
    parts += _section(f"Image sizes by platform{aside}", _sizes(summary))
    parts += _section(
        f"The published study ({published.SOURCE}) beside ours{aside}", _study(summary)
    )
    parts += [f"## {graviton.TITLE}", published_out.to_markdown()]
    return "\n\n".join(parts) + "\n"


def _section(title: str, body: str) -> Sequence[str]:
    return [f"## {title}", body] if body else []


def _timed(summary: Summary) -> Iterator[Row]:
    return (row for row in summary.rows if not row.emulated)


def _totals(summary: Summary) -> str:
    return table(
        [
            *("variant", "model", "platform", "tier", "start", "n", "failed", "skipped", "p50"),
            *("interval", "2nd prediction", "peak memory", "compressed", "unpacked"),
        ],
        (
            [
                *(row.variant, row.model, row.platform, words.tier(row.tier)),
                *(words.KINDS[row.start_kind], str(row.n), str(row.failures), str(row.skipped)),
                *(words.seconds(row.total_s.p50), words.median_interval(row)),
                words.seconds(row.second_prediction_s.p50),
                words.count_bytes(row.peak_memory_bytes),
                words.count_bytes(row.image_compressed_bytes),
                words.count_bytes(row.image_unpacked_bytes),
            ]
            for row in _timed(summary)
        ),
    )


def _phases(summary: Summary) -> str:
    rows = [row for row in _timed(summary) if row.n]
    shown = [phase for phase in Phase if any(phase in row.phases_s for row in rows)]
    return table(
        [
            *("variant", "model", "platform", "tier", "start"),
            *(words.PHASES[phase] for phase in shown),
        ],
        (
            [
                *(row.variant, row.model, row.platform, words.tier(row.tier)),
                words.KINDS[row.start_kind],
                *(words.seconds(row.phases_s.get(phase)) for phase in shown),
            ]
            for row in rows
        ),
    )


def _ratios(summary: Summary) -> str:
    return table(
        ["ratio", "of", "model", "platform", "tier", "start", "times", "interval", "verdict"],
        (
            [
                f"{one.numerator} / {one.denominator}"
                + (f" ({one.variant})" if one.variant else ""),
                {"total_s": "total"}.get(one.quantity, one.quantity.replace("_", " ")),
                one.model or words.NOTHING,
                words.NOTHING if one.against is Against.PLATFORM else one.platform,
                words.tier(one.tier) if one.tier else words.NOTHING,
                words.KINDS[one.start_kind] if one.start_kind else words.NOTHING,
                *(words.times(one.ratio), words.ratio_interval(one), one.verdict),
            ]
            for one in summary.comparisons
        ),
    )


def _targets(targets: Sequence[Goal]) -> str:
    marks = {Reached.YES: "✓ ", Reached.NO: "✗ ", Reached.UNMEASURED: ""}
    return table(
        ["figure", "goal", "this run", "interval", "result", "published study"],
        (
            [
                *(one.what, one.goal, target_value(one), words.ratio_pair(one.ci95)),
                *(marks[one.reached] + one.reached, one.published or words.NOTHING),
            ]
            for one in targets
        ),
    )


def target_value(target: Goal) -> str:
    """What the run measured, in the target's unit."""
    if target.value is None:
        return words.NOTHING
    return words.count_bytes(target.value) if target.unit == "B" else words.times(target.value)


def _findings(summary: Summary) -> Iterator[str]:
    for one in summary.findings:
        stake = "" if one.stake_s is None else f" ({words.seconds(one.stake_s)} at stake)"
        yield f"- **{one.title}**{stake}: {one.seen} {one.why} *{one.remedy}*"


def _emulated(summary: Summary) -> str:
    shown = table(
        [
            *("variant", "model", "platform", "tier", "start"),
            *("n", "failed", "skipped", "p50, emulated"),
        ],
        (
            [
                *(row.variant, row.model, row.platform, words.tier(row.tier)),
                *(words.KINDS[row.start_kind], str(row.n), str(row.failures), str(row.skipped)),
                words.seconds(row.total_s.p50),
            ]
            for row in summary.rows
            if row.emulated
        ),
    )
    return f"{words.EMULATED_WHY}\n\n{shown}" if shown else ""


def _images(results: Results) -> str:
    return table(
        ["image", "platform", "compressed", "unpacked", "layers", "digest or id"],
        (
            [
                *(image.variant, image.platform, words.count_bytes(image.compressed_bytes)),
                *(words.count_bytes(image.unpacked_bytes), str(len(image.layers))),
                image.digest or image.image_id or words.NOTHING,
            ]
            for image in images(results)
        ),
    )


def _sizes(summary: Summary) -> str:
    head = ["image"]
    for word in ("compressed", "unpacked"):
        head += [f"{word}, {platform.arch}" for platform in Platform]
        head += [f"{word}, arm64 / amd64"]
    document = summary.model_dump(mode="json", by_alias=True)
    lines = []
    for line in platform_sizes(summary):
        cells = [line.variant]
        for quantity in (Quantity.COMPRESSED, Quantity.UNPACKED):
            for platform in Platform:
                path = line.sizes.get((quantity, platform))
                cells.append(words.count_bytes(lookup(document, path) if path else None))
            path = line.ratios.get(quantity)
            cells.append(words.times(lookup(document, path)) if path else words.NOTHING)
        lines.append(cells)
    return table(head, lines)


def _study(summary: Summary) -> str:
    return table(
        ["ratio", "model", "published", "this run", "interval", "ours is"],
        (
            [
                *(one.what, published.NAMES.get(one.model or "", words.NOTHING)),
                words.times(one.published),
                "not measured" if one.ours is None else words.times(one.ours),
                *(words.ratio_pair(one.ci95), one.ours_is),
            ]
            for one in published.beside(summary)
        ),
    )
