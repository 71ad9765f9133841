"""A tuning as a document: a table, the sentence, what to push; and the files of its report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab.report.document import Document, Table, left, right
from lab.report.words import KINDS, NOTHING, bounds, count_bytes, rate, seconds
from lab.runfiles import write_whole
from lab.tune.choice import dollars, quantile_of, share
from lab.tune.page import render
from lab.tune.record import SUMMARY_FILE, TuneFolder
from lab.tune.result import SizeOutcome, SizeResult, TuneResult
from lab.tune.summarise import summarise

REPORT_FILE: Final = "report.html"
_MARKDOWN: Final = "report.md"
_KEEPS: Final = {True: "yes", False: "no", None: "?"}
_ROOM: Final = 6
"""Where it stands in a row, less the name."""


def write_report(folder: TuneFolder) -> tuple[TuneResult, Path]:
    """Write ``summary.json``, ``report.md`` and ``report.html``; the result and the last's path.

    Raises ``UsageError`` for files that do not parse and ``DiskFullError``.
    """
    result = summarise(folder)
    write_whole(folder.path / SUMMARY_FILE, result.to_json())
    write_whole(folder.path / _MARKDOWN, document(result).to_markdown())
    return result, write_whole(folder.path / REPORT_FILE, render(result))


def document(result: TuneResult) -> Document:
    """``report.md``, and what a terminal shows."""
    about = f"{result.id}: {result.payload}, {count_bytes(result.payload_bytes)}"
    about += f"; {result.traffic.said}" if result.traffic else ""
    about += f"; objective {result.objective}" if result.objective else ""
    if result.steps < result.planned:
        about += f"; {result.steps} of {result.planned} steps"
    notes = [*result.notes]
    if result.push is not None:
        notes.insert(0, " ".join(filter(None, (result.push.command, result.push.note))))
    return Document(
        title=f"{result.name} by memory and instance",
        about=f"{about}.",
        answer=result.sentence,
        tables=[_table(result)],
        notes=notes,
    )


def _table(result: TuneResult) -> Table:
    daily = result.traffic is not None
    q = quantile_of(result.objective)
    return Table(
        title="Sizes",
        columns=[
            left("size"),
            left("starts"),
            right("cold"),
            right("p50"),
            right(f"p{q * 100:g}"),
            right("95 % of it"),
            right("peak"),
            right("room"),
            right("takes"),
            right("is cold"),
            right("a day" if daily else "a million"),
            right("a month"),
            left("keeps"),
        ],
        rows=[_row(one, result, q) for one in result.sizes],
        page_only=[
            *("starts", "p50", "95 % of it", "peak", "a month"),
            *([] if daily else ["is cold"]),
            *([] if result.objective else ["keeps"]),
        ],
    )


def _row(one: SizeResult, result: TuneResult, q: float) -> Sequence[str]:
    """Of one size: ``*`` is the chosen one, ``~`` one of which the machine has less."""
    mark = "*" if one.name == result.chosen else ""
    name = f"{mark}{one.size}".removesuffix(" serverless") + (" ~" if one.size.capped else "")
    if one.outcome is not SizeOutcome.SERVES:
        cells = [NOTHING] * 12
        cells[_ROOM] = NOTHING if one.missed_by is None else f"-{count_bytes(one.missed_by)}"
        return [f"{name}: {one.outcome}", *cells]
    figure = None if one.warm is None else one.warm.at(q)
    memory, money = one.memory, one.money
    return [
        name,
        NOTHING if one.cold is None else f"{one.cold.n} {KINDS[one.cold.kind]}",
        seconds(None if one.cold is None else one.cold.total_s),
        seconds(one.at(0.5)),
        seconds(None if figure is None else figure.seconds),
        NOTHING if figure is None else bounds(figure.low_s, figure.high_s),
        count_bytes(None if memory is None else memory.peak),
        count_bytes(None if memory is None else memory.room),
        NOTHING if one.throughput_per_s is None else rate(one.throughput_per_s),
        NOTHING if money is None or money.cold_share is None else share(money.cold_share),
        NOTHING if one.cost is None else _times(one, dollars(one.cost)),
        NOTHING if money is None or money.usd_per_month is None else dollars(money.usd_per_month),
        _KEEPS[one.keeps_objective],
    ]


def _times(one: SizeResult, said: str) -> str:
    many = one.money.instances if one.money else None
    return f"{said} ({many}x)" if many and many > 1 else said
