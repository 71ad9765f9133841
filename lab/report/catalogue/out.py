"""The sizes of a model in words and tables: for the page, as Markdown and on a terminal."""

from collections.abc import Sequence
from typing import Final

from lab.coldstart.catalogue import Binding, Catalogue, Crossing, SizeFigures
from lab.coldstart.summary import Row, Summary
from lab.report.document import Document, Table, right
from lab.report.words import (
    KINDS,
    NOTHING,
    count_bytes,
    median_interval,
    percent,
    seconds,
    seconds_pair,
    tier,
)
from lab.spec import SERVERLESS_TIERS, Phase, Tier

TITLE: Final = "By catalogue size"
_PHASES: Final = (
    (Phase.MODEL_FETCH, "fetch"),
    (Phase.MODEL_LOAD, "load"),
    (Phase.FIRST_PREDICTION, "first"),
)
_HELD: Final = "95 %"
_REST: Final = "engine, interpreter and imports"
_HOW: Final = (
    "What grows with the table: model fetch, model load and first prediction. The rest: image, "
    "engine, interpreter, imports, socket. Where the first passes the second is taken from the "
    "difference of the two, start by start: its median is affine in the items between two "
    "neighbouring sizes, and nothing is said beyond the smallest and the largest. A server that "
    "loads while it still imports waits for its model only where that takes longer."
)
_MEMORY: Final = (
    "Memory is the kernel's peak of the container. Pages of files that it could have dropped are "
    "in it, so that a smaller size may do, slowly; starts in the sizes themselves prove it: "
    "`--tier 1024 --tier 2048`. What was seen there (✓ every start went well, ✗ one was killed) "
    "counts before the peak."
)


def document(summary: Summary) -> Document | None:
    """All that is to be said of sizes; None where no model was measured in three."""
    found = summary.catalogues
    if not found:
        return None
    return Document(
        title=TITLE,
        answer="\n\n".join(sentence(one, found) for one in found),
        tables=[table(one, summary.rows) for one in found],
        notes=[_HOW, _MEMORY],
    )


def table(one: Catalogue, rows: Sequence[Row]) -> Table:
    """A line for each size."""
    lines = [(size, rows[size.place]) for size in one.sizes]
    held = any(row.phases_ci95.get(phase) for _, row in lines for phase, _ in _PHASES)
    tried = any(size.started or size.killed for size, _ in lines)
    phases = [word for _, phase in _PHASES for word in ((phase, _HELD) if held else (phase,))]
    return Table(
        title=name(one),
        columns=[
            *(right("items"), "image", "archive"),
            *phases,
            *(right("start", style="bold"), "interval", "peak", "fits from", "of it"),
            *(["seen"] if tried else []),
        ],
        page_only=["image", _HELD, "interval", *(["archive", "peak", "of it"] if tried else [])],
        rows=[
            [
                *(f"{size.items:,}", count_bytes(_image(row)), count_bytes(size.archive_bytes)),
                *(cell for phase, _ in _PHASES for cell in _phase(row, phase, held=held)),
                *(seconds(row.total_s.p50) if row.n else "failed", median_interval(row)),
                *(count_bytes(row.peak_memory_bytes), *_fits(size, row)),
                *([_seen(size)] if tried else []),
            ]
            for size, row in lines
        ],
    )


def name(one: Catalogue) -> str:
    """``recommender-niser · onnx-slim · fresh · no limit``."""
    return f"{one.base} · {one.variant} · {KINDS[one.start_kind]} · {tier(one.tier)}"


def sentence(one: Catalogue, among: Sequence[Catalogue]) -> str:
    """Where it turns, or that it does not within what was measured."""
    first, last = one.sizes[0].items, one.sizes[-1].items
    who = f"{one.variant}, {KINDS[one.start_kind]}"
    if len({each.base for each in among}) > 1:
        who = f"{one.base}, {who}"
    found = one.crossing
    if found is None:
        return f"{who}: where the start turns is not known; its times say too little."
    grows = f"each 100,000 items add {seconds(found.per_item_s * 100_000)}"
    if found.binding is Binding.CROSSES and found.items is not None:
        return (
            f"{who}: up to {rounded(found.items)} items{_between(found, first, last)} a start is "
            f"bound by {_REST}, from there on by the table; {grows}."
        )
    if found.binding is Binding.REST:
        return (
            f"{who}: at every size up to {last:,} items a start is bound by {_REST}; where the "
            f"table takes over is not within what was measured; {grows}."
        )
    return (
        f"{who}: at every size from {first:,} items on a start is bound by the table; where "
        f"{_REST} are the limit is not within what was measured; {grows}."
    )


def rounded(items: float) -> str:
    """Two figures: more than an interpolation holds. ``83,000``."""
    digits = len(str(int(items))) - 2
    return f"{round(items, -max(digits, 0)):,.0f}"


def _between(found: Crossing, first: int, last: int) -> str:
    if found.coverage is None:
        return " (too few starts for an interval)"
    low = f"fewer than {first:,}" if found.low is None else rounded(found.low)
    high = f"more than {last:,}" if found.high is None else rounded(found.high)
    return f" ({low} to {high}, at {percent(found.coverage)})"


def _image(row: Row) -> int | None:
    return row.image_compressed_bytes or row.image_unpacked_bytes


def _phase(row: Row, phase: Phase, *, held: bool) -> Sequence[str]:
    told = seconds(row.phases_s.get(phase))
    return [told, seconds_pair(row.phases_ci95.get(phase))] if held else [told]


def _fits(size: SizeFigures, row: Row) -> tuple[str, str]:
    """``1024 MB``, and which share of it the peak takes."""
    peak = row.peak_memory_bytes
    if size.memory_mb is None:
        none = peak is None and not size.killed
        return NOTHING if none else f"over {SERVERLESS_TIERS[-1].name}", NOTHING
    limit = Tier(memory_mb=size.memory_mb).memory_bytes
    return f"{size.memory_mb} MB", percent(peak / limit) if peak and limit else NOTHING


def _seen(size: SizeFigures) -> str:
    """``✗ 1024 ✓ 2048``: the largest in which it was killed, the smallest in which it started."""
    killed = [f"✗ {max(size.killed)}"] if size.killed else []
    started = [f"✓ {min(size.started)}"] if size.started else []
    return " ".join([*killed, *started]) or NOTHING
