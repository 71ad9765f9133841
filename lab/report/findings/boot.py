"""Where a start's seconds go, and which of them can be had back."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from lab.report.load import Recorded
from lab.report.model import Finding, FindingKind, Row, Severity
from lab.report.rows import Measured, floor_of
from lab.report.words import KINDS, percent, seconds, tier, times
from lab.spec import FLOOR, Phase

DOMINATES: Final = 0.4
"""Share of the container's own start from which one phase is said to dominate it."""
MATTERS_S: Final = 0.15
"""Below this, nobody would act."""
THROTTLED: Final = 0.5
"""Share of the container's own start spent waiting for the CPU quota."""
LAZY: Final = 5.0
"""First prediction over second from which something was left to the first request."""
OPAQUE: Final = 0.6

BEFORE: Final = (
    Phase.IMAGE_PULL,
    Phase.IMAGE_UNPACK,
    Phase.MODEL_FETCH,
    Phase.CREATE,
    Phase.START,
)
"""What happens before the container's first instruction."""


def own(row: Row) -> float:
    """Seconds of the container's own start, to the first prediction."""
    return sum(value for phase, value in row.phases_s.items() if phase not in BEFORE)


def imports(_: Recorded, measured: Sequence[Measured]) -> Iterator[Finding]:
    """Importing takes longest."""
    for worst, share, cells in _dominated(measured, Phase.IMPORTS):
        stake = worst.phases_s[Phase.IMPORTS]
        yield Finding(
            kind=FindingKind.IMPORTS_DOMINATE,
            severity=Severity.WARNING,
            title=f"{worst.variant}: imports take {percent(share)} of its own start",
            seen=f"{seconds(stake)} of {seconds(own(worst))} between the first instruction and "
            f"the first prediction go into importing libraries ({_where(worst)}).",
            why="Every start pays for it again, and with a small CPU quota it stretches most.",
            remedy="Import what the first request does not need later, or beside the model load; "
            "byte-compile the image; prefer a smaller runtime (ONNX Runtime for TensorFlow) and "
            "a smaller web framework.",
            stake_s=stake,
            cells=cells,
        )


def model_load(_: Recorded, measured: Sequence[Measured]) -> Iterator[Finding]:
    """Loading the model takes longest."""
    for worst, share, cells in _dominated(measured, Phase.MODEL_LOAD):
        stake = worst.phases_s[Phase.MODEL_LOAD]
        yield Finding(
            kind=FindingKind.MODEL_LOAD_DOMINATES,
            severity=Severity.WARNING,
            title=f"{worst.variant}: loading the model takes {percent(share)} of its own start",
            seen=f"{seconds(stake)} of {seconds(own(worst))} between the first instruction and "
            f"the first prediction go into loading and warming up the model ({_where(worst)}).",
            why="It grows with the model and is paid on every start.",
            remedy="Convert the model to ONNX, store it already optimised, quantise it, or load "
            "it in a thread while libraries are still being imported.",
            stake_s=stake,
            cells=cells,
        )


def opaque(_: Recorded, measured: Sequence[Measured]) -> Iterator[Finding]:
    """A foreign image that says nothing of its start."""
    chosen = (one for one in measured if one.row.variant != FLOOR)
    for worst, cells in _by_variant(chosen, _opaque_s):
        stake = worst.phases_s[Phase.BOOT]
        yield Finding(
            kind=FindingKind.BOOT_OPAQUE,
            severity=Severity.HINT,
            title=f"{worst.variant}: {seconds(stake)} of boot cannot be told apart",
            seen=f"The container reports no marks, so imports, model load and server start are "
            f"one phase of {seconds(stake)} ({_where(worst)}).",
            why="What cannot be seen cannot be shortened.",
            remedy="Print the lab_startup line or answer GET /startup as "
            "services/inference/README.md describes: the standard library is enough.",
            stake_s=stake,
            cells=cells,
        )


def throttled(_: Recorded, measured: Sequence[Measured]) -> Iterator[Finding]:
    """The CPU quota, not the work, sets the pace."""
    for worst, cells in _by_variant(measured, _throttled_s):
        waited = _throttled_s(worst) or 0.0
        share = waited / own(worst)
        yield Finding(
            kind=FindingKind.THROTTLED,
            severity=Severity.WARNING,
            title=f"{worst.variant}: the CPU quota holds it back for {percent(share)} of its start",
            seen=f"Throttled for {seconds(worst.throttled_s)} (summed over CPUs) in a start of "
            f"{seconds(own(worst))} ({_where(worst)}).",
            why="The tier's CPU share grows with its memory: the time is spent waiting.",
            remedy="Try a tier with more memory: a start that ends sooner can cost less. "
            "Otherwise do less work during the start.",
            stake_s=min(waited, own(worst)),
            cells=cells,
        )


def lazy(_: Recorded, measured: Sequence[Measured]) -> Iterator[Finding]:
    """The first prediction does what the start should have done."""
    for worst, cells in _by_variant(measured, _lazy_s):
        first = worst.phases_s[Phase.FIRST_PREDICTION]
        second = worst.second_prediction_s.p50 or 0.0
        yield Finding(
            kind=FindingKind.LAZY_MODEL,
            severity=Severity.WARNING,
            title=f"{worst.variant}: the first prediction takes {times(first / second)} the second",
            seen=f"{seconds(first)} for the first, {seconds(second)} for the second "
            f"({_where(worst)}).",
            why="/ping answered 200 before the model was ready to predict, so SageMaker sends "
            "traffic too early and a user waits for what the start had left undone.",
            remedy="Load the model and run one inference before /ping answers 200.",
            stake_s=first - second,
            cells=cells,
        )


def floor(_: Recorded, measured: Sequence[Measured]) -> Iterator[Finding]:
    """How much of the quickest start is the engine's own."""
    rows = [one.row for one in measured]
    pairs = [
        (row.total_s.p50, least.total_s.p50, row)
        for row in rows
        if row.variant != FLOOR and row.total_s.p50 and not row.emulated
        if (least := floor_of(row, rows)) and least.total_s.p50
    ]
    if not pairs:
        return
    taken, least_s, quickest = min(pairs, key=lambda pair: pair[0])
    yield Finding(
        kind=FindingKind.FLOOR_SHARE,
        severity=Severity.HINT,
        title=f"{percent(least_s / taken)} of the quickest start is the engine's own",
        seen=f"{quickest.variant} takes {seconds(taken)}, a container that only "
        f"answers takes {seconds(least_s)} ({_where(quickest)}).",
        why="No packaging gets below the floor: what is above it is what can still be won.",
        remedy="Work on the rest, unless it is already small.",
        stake_s=max(taken - least_s, 0.0),
        cells=[str(quickest.cell)],
    )


def _dominated(
    measured: Sequence[Measured], phase: Phase
) -> Iterator[tuple[Row, float, Sequence[str]]]:
    def at_stake(row: Row) -> float | None:
        taken = row.phases_s.get(phase, 0.0)
        return taken if taken >= MATTERS_S and taken >= DOMINATES * own(row) else None

    for worst, cells in _by_variant(measured, at_stake):
        yield worst, worst.phases_s[phase] / own(worst), cells


def _by_variant(
    measured: Sequence[Measured] | Iterator[Measured], at_stake: Callable[[Row], float | None]
) -> Iterator[tuple[Row, Sequence[str]]]:
    """For each variant concerned: its row with the most seconds at stake, and all its cells."""
    concerned: dict[str, list[tuple[float, Row]]] = {}
    for one in measured:
        stake = at_stake(one.row) if one.row.n and not one.row.emulated else None
        if stake is not None:
            concerned.setdefault(one.row.variant, []).append((stake, one.row))
    for found in concerned.values():
        worst = max(found, key=lambda pair: pair[0])[1]
        yield worst, [str(row.cell) for _, row in found]


def _opaque_s(row: Row) -> float | None:
    boot = row.phases_s.get(Phase.BOOT, 0.0)
    return boot if boot >= MATTERS_S and boot >= OPAQUE * own(row) else None


def _throttled_s(row: Row) -> float | None:
    waited = row.throttled_s or 0.0
    return waited if waited >= MATTERS_S and waited >= THROTTLED * own(row) else None


def _lazy_s(row: Row) -> float | None:
    first = row.phases_s.get(Phase.FIRST_PREDICTION, 0.0)
    second = row.second_prediction_s.p50
    if not second or first < LAZY * second or first - second < MATTERS_S:
        return None
    return first - second


def _where(row: Row) -> str:
    return f"{KINDS[row.start_kind]}, {row.model}, {tier(row.tier)}"


RULES: Final[Sequence[Callable[[Recorded, Sequence[Measured]], Iterator[Finding]]]] = (
    imports,
    model_load,
    opaque,
    throttled,
    lazy,
    floor,
)
