"""The tables of a run that Markdown and the terminal share."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.table import Column
from rich.text import Text

from lab.coldstart.record import ImageRecord
from lab.coldstart.summary import Against, Goal, Quantity, Reached, Row, Summary
from lab.report import boots as seen
from lab.report import chunks, words
from lab.report.document import Cell, Table, code, left, right
from lab.report.page.figures import lookup
from lab.report.page.view import images, layer_share, platform_sizes
from lab.report.study import published
from lab.report.summary import Results
from lab.report.targets import worth_showing
from lab.spec import FLOOR, Phase, Platform

_CELL: Final = ("variant", "model", "platform", "tier", "start")


def totals(summary: Summary) -> Table:
    """Every native row: totals, memory and sizes."""
    return Table(
        title="Start to first prediction",
        columns=[
            *(*_CELL, "n", "failed", "skipped", "p50", "interval"),
            *("2nd prediction", "CPU", "throttled", "peak memory", "compressed", "unpacked"),
        ],
        rows=[
            [
                *(*_cell(row), str(row.n), str(row.failures), str(row.skipped)),
                *(words.seconds(row.total_s.p50), words.median_interval(row)),
                words.seconds(row.second_prediction_s.p50),
                *(words.seconds(row.cpu_s), words.seconds(row.throttled_s)),
                words.count_bytes(row.peak_memory_bytes),
                words.count_bytes(row.image_compressed_bytes),
                words.count_bytes(row.image_unpacked_bytes),
            ]
            for row in summary.rows
            if not row.emulated
        ],
    )


def phases(summary: Summary) -> Table:
    """Of native rows with samples, the phases that any of them has."""
    rows = [row for row in summary.rows if row.n and not row.emulated]
    shown = [phase for phase in Phase if any(phase in row.phases_s for row in rows)]
    return Table(
        title="Phases, medians",
        columns=[*_CELL, *(words.PHASES[phase] for phase in shown)],
        rows=[
            [*_cell(row), *(words.seconds(row.phases_s.get(phase)) for phase in shown)]
            for row in rows
        ],
    )


def boots(summary: Summary) -> Table:
    """Of starts that tell nothing of themselves, what was seen from outside."""
    return Table(
        title="Inside boot, as seen from outside",
        columns=[
            *(*_CELL, words.PHASES[Phase.BOOT], "port open", left("before 200")),
            *("CPU", "throttled", left("processes")),
        ],
        rows=[
            [
                *(*_cell(row), words.seconds(row.phases_s.get(Phase.BOOT))),
                words.seconds(row.boot.port_open_s),
                seen.answers(row.boot) or words.NOTHING,
                words.seconds(row.boot.cpu_seconds),
                words.seconds(row.boot.throttled_seconds),
                seen.processes(row.boot) or words.NOTHING,
            ]
            for row in summary.rows
            if row.boot is not None and row.n and not row.emulated and row.variant != FLOOR
        ],
    )


def bytes_read(rows: Iterable[Row]) -> Table:
    """Of native on-demand starts, what they read of their image beside what there is of it."""
    return Table(
        title="Bytes read beside bytes shipped, on-demand starts",
        columns=[
            *("variant", left("model"), left("platform"), left("tier"), left("start")),
            *("compressed", "unpacked", "read", "of it", "chunks", "waited"),
            left("most of it in"),
        ],
        page_only=["model", "platform", "start", "most of it in"],
        rows=[
            [
                *(*_cell(row), words.count_bytes(row.image_compressed_bytes)),
                words.count_bytes(row.chunks.image_bytes),
                words.count_bytes(row.image_read_bytes),
                words.percent(chunks.share_read(row.chunks)),
                str(row.chunks.count),
                words.seconds(row.chunk_wait_s),
                chunks.longest_wait(row.chunks) or words.NOTHING,
            ]
            for row in rows
            if row.chunks and not row.emulated and row.variant != FLOOR
        ],
    )


def ratios(summary: Summary) -> Table:
    """Every comparison within the run."""
    return Table(
        title="Ratios",
        columns=[
            *("ratio", "of", "model", "platform", "tier", "start"),
            *("times", "interval", "verdict"),
        ],
        rows=[
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
        ],
    )


def targets(goals: Sequence[Goal]) -> Table:
    """The figures to reach; nothing when none was measured: the table would only distract."""
    styles = {Reached.YES: "green", Reached.NO: "red", Reached.UNMEASURED: "dim"}
    marks = {Reached.YES: "✓ ", Reached.NO: "✗ ", Reached.UNMEASURED: ""}
    rows: list[Sequence[Cell]] = [
        [
            *(one.what, one.goal, _target_value(one), words.ratio_pair(one.ci95)),
            Text(marks[one.reached] + one.reached, styles[one.reached]),
            one.published or words.NOTHING,
        ]
        for one in goals
    ]
    return Table(
        title="Figures to reach",
        columns=[
            *(Column("figure"), "goal", right("this run", style="bold"), "interval"),
            *(Column("result"), Column("published study", style="dim")),
        ],
        page_only=["interval"],
        rows=rows if worth_showing(goals) else [],
    )


def emulated(rows: Iterable[Row]) -> Table:
    """Labelled and apart: nothing that divides or ranks stands in this table."""
    return Table(
        title="Emulated (QEMU), in no other table",
        style="bold yellow",
        page_only=["model"],
        columns=[
            *("variant", left("model"), left("platform"), left("tier"), left("start")),
            *("n", "failed", "skipped", right("p50, emulated", style="dim italic")),
        ],
        rows=[
            [
                *(*_cell(row), str(row.n), str(row.failures), str(row.skipped)),
                words.seconds(row.total_s.p50),
            ]
            for row in rows
            if row.emulated
        ],
    )


def image_sizes(results: Results) -> Table:
    """The images as they were measured."""
    return Table(
        title="Images",
        columns=["image", "platform", "compressed", "unpacked", "layers", "digest or id"],
        rows=[
            [
                *(image.variant, image.platform, words.count_bytes(image.compressed_bytes)),
                *(words.count_bytes(image.unpacked_bytes), str(len(image.layers))),
                image.digest or image.image_id or words.NOTHING,
            ]
            for image in images(results)
        ],
    )


def layers(image: ImageRecord) -> Table:
    """An image's layers, the oldest first, each with the command that made it."""
    return Table(
        title=f"{image.variant}, {image.platform}",
        columns=["made by", "compressed", "unpacked", "share"],
        rows=[
            [
                code(words.shortened(layer.created_by, words.COMMAND_WIDTH)),
                words.count_bytes(layer.compressed_bytes),
                words.count_bytes(layer.unpacked_bytes),
                words.percent(layer_share(layer, image)),
            ]
            for layer in image.layers
        ],
    )


def sizes_by_platform(summary: Summary) -> Table:
    """Image bytes: exact, emulated or not. Nothing when there is but one platform."""
    document = summary.model_dump(mode="json", by_alias=True)
    rows = []
    for variant, paths in platform_sizes(summary).items():
        for quantity in (Quantity.COMPRESSED, Quantity.UNPACKED):
            found = {
                platform: lookup(document, paths[quantity, platform])
                for platform in (*Platform, None)
                if (quantity, platform) in paths
            }
            sizes = [words.count_bytes(found.get(platform)) for platform in Platform]
            over = words.times(found[None]) if None in found else words.NOTHING
            name = quantity.removeprefix("image_").removesuffix("_bytes")
            rows.append([f" {variant}", name, *sizes, over])
    return platform_table(rows)


def platform_table(rows: Sequence[Sequence[str]]) -> Table:
    """The same, of rows that are there already."""
    return Table(
        title="Image sizes by platform",
        columns=["image", left("bytes"), "amd64", "arm64", "arm64 / amd64"],
        rows=rows,
    )


def study(summary: Summary) -> Table:
    """The published ratios beside ours."""
    return Table(
        title=f"The published study ({published.SOURCE}) beside ours",
        columns=["ratio", "model", "published", "this run", "interval", "ours is"],
        rows=[
            [
                *(one.what, published.NAMES.get(one.model or "", words.NOTHING)),
                words.times(one.published),
                "not measured" if one.ours is None else words.times(one.ours),
                *(words.ratio_pair(one.ci95), one.ours_is),
            ]
            for one in published.beside(summary)
        ],
    )


def _cell(row: Row) -> Sequence[str]:
    return [
        *(f" {words.name_of(row)}", row.model, row.platform, words.tier(row.tier)),
        words.KINDS[row.start_kind],
    ]


def _target_value(target: Goal) -> str:
    if target.value is None:
        return words.NOTHING
    return words.count_bytes(target.value) if target.unit == "B" else words.times(target.value)
