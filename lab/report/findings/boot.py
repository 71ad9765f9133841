"""Where a start's seconds go, and which of them can be had back.

A rule looks at every row, keeps each variant's worst, and tells them all in one finding.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lab.coldstart.summary import Finding, FindingKind, Row, Severity
from lab.report.load import Recorded
from lab.report.rows import MeasuredRow, floor_of
from lab.report.words import PHASES, percent, seconds, start_of, times
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


@dataclass(frozen=True, kw_only=True)
class Worst:
    """The rows that a rule is about: each variant's worst first, by the seconds at stake."""

    rows: Sequence[Row]
    cells: Sequence[str]
    stake_s: float

    @property
    def names(self) -> str:
        return ", ".join(row.variant for row in self.rows)


def worst(measured: Sequence[MeasuredRow], stake: Callable[[Row], float | None]) -> Worst | None:
    """The rows where ``stake`` finds seconds; None if it finds none. Emulated rows are left out."""
    found = [
        (seconds_, one.row)
        for one in measured
        if one.row.n and not one.row.emulated and (seconds_ := stake(one.row)) is not None
    ]
    if not found:
        return None
    found.sort(key=lambda pair: -pair[0])
    by_variant: dict[str, Row] = {}
    for _, row in found:
        by_variant.setdefault(row.variant, row)
    return Worst(
        rows=list(by_variant.values()),
        cells=[str(row.cell) for _, row in found],
        stake_s=found[0][0],
    )


def imports(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """Importing takes longest."""
    found = worst(measured, lambda row: _dominating(row, Phase.IMPORTS))
    if found:
        yield Finding(
            kind=FindingKind.IMPORTS_DOMINATE,
            severity=Severity.WARNING,
            title=f"Imports are most of the container's own start: {found.names}",
            seen=_shares(found, Phase.IMPORTS),
            why="Every start pays for them again, and a small CPU quota stretches them most.",
            remedy="Import later what the first request does not need, or beside the model load; "
            "byte-compile the image; prefer a smaller runtime (ONNX Runtime for TensorFlow) and "
            "a smaller web framework.",
            stake_s=found.stake_s,
            cells=found.cells,
        )


def model_load(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """Loading the model takes longest."""
    found = worst(measured, lambda row: _dominating(row, Phase.MODEL_LOAD))
    if found:
        yield Finding(
            kind=FindingKind.MODEL_LOAD_DOMINATES,
            severity=Severity.WARNING,
            title=f"Loading the model is most of the container's own start: {found.names}",
            seen=_shares(found, Phase.MODEL_LOAD),
            why="It grows with the model and is paid on every start.",
            remedy="Convert the model to ONNX, store it already optimised, quantise it, or load "
            "it in a thread while libraries are still being imported.",
            stake_s=found.stake_s,
            cells=found.cells,
        )


def opaque(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """A foreign image that says nothing of its start."""
    found = worst(measured, lambda row: None if row.variant == FLOOR else _opaque_s(row))
    if found:
        yield Finding(
            kind=FindingKind.BOOT_OPAQUE,
            severity=Severity.HINT,
            title=f"{seconds(found.stake_s)} of boot cannot be told apart: {found.names}",
            seen="\n".join(
                f"{row.variant}: imports, model load and server start are one phase of "
                f"{seconds(row.phases_s[Phase.BOOT])} ({start_of(row)})."
                for row in found.rows
            ),
            why="The container reports no marks, and what cannot be seen cannot be shortened.",
            remedy="Print the lab_startup line or answer GET /startup as "
            "services/inference/README.md describes: the standard library is enough.",
            stake_s=found.stake_s,
            cells=found.cells,
        )


def throttled(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """The CPU quota, not the work, sets the pace."""
    found = worst(measured, _throttled_s)
    if found:
        yield Finding(
            kind=FindingKind.THROTTLED,
            severity=Severity.WARNING,
            title=f"The CPU quota sets the pace: {found.names}",
            seen="\n".join(
                f"{row.variant}: throttled for {seconds(row.throttled_s)} (summed over CPUs) in "
                f"a start of {seconds(own(row))} ({start_of(row)})."
                for row in found.rows
            ),
            why="The tier's CPU share grows with its memory: the time is spent waiting.",
            remedy="Try a tier with more memory: a start that ends sooner can cost less. "
            "Otherwise do less work during the start.",
            stake_s=found.stake_s,
            cells=found.cells,
        )


def lazy(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """The first prediction does what the start should have done."""
    found = worst(measured, _lazy_s)
    if found:
        yield Finding(
            kind=FindingKind.LAZY_MODEL,
            severity=Severity.WARNING,
            title=f"The first prediction does the start's work: {found.names}",
            seen="\n".join(
                f"{row.variant}: {seconds(first)} for the first prediction, {seconds(second)} "
                f"for the second, {times(first / second)} ({start_of(row)})."
                for row in found.rows
                if (first := row.phases_s[Phase.FIRST_PREDICTION])
                and (second := row.second_prediction_s.p50)
            ),
            why="/ping answered 200 before the model was ready to predict, so SageMaker sends "
            "traffic too early and a user waits for what the start had left undone.",
            remedy="Load the model and run one inference before /ping answers 200.",
            stake_s=found.stake_s,
            cells=found.cells,
        )


def floor(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
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
        seen=f"{quickest.variant} takes {seconds(taken)}, a container that only answers takes "
        f"{seconds(least_s)} ({start_of(quickest)}).",
        why="No packaging gets below the floor: what is above it is what can still be won.",
        remedy="Work on what is above it, unless that is already small.",
        stake_s=max(taken - least_s, 0.0),
        cells=[str(quickest.cell)],
    )


def _shares(found: Worst, phase: Phase) -> str:
    return "\n".join(
        f"{row.variant}: {PHASES[phase]} takes {seconds(row.phases_s[phase])} of "
        f"{seconds(own(row))}, {percent(row.phases_s[phase] / own(row))} ({start_of(row)})."
        for row in found.rows
    ).replace("imports takes", "imports take")


def _dominating(row: Row, phase: Phase) -> float | None:
    taken = row.phases_s.get(phase, 0.0)
    return taken if taken >= MATTERS_S and taken >= DOMINATES * own(row) else None


def _opaque_s(row: Row) -> float | None:
    boot = row.phases_s.get(Phase.BOOT, 0.0)
    return boot if boot >= MATTERS_S and boot >= OPAQUE * own(row) else None


def _throttled_s(row: Row) -> float | None:
    waited = min(row.throttled_s or 0.0, own(row))
    return waited if waited >= MATTERS_S and waited >= THROTTLED * own(row) else None


def _lazy_s(row: Row) -> float | None:
    first = row.phases_s.get(Phase.FIRST_PREDICTION, 0.0)
    second = row.second_prediction_s.p50
    if not second or first < LAZY * second or first - second < MATTERS_S:
        return None
    return first - second


RULES: Final[Sequence[Callable[[Recorded, Sequence[MeasuredRow]], Iterator[Finding]]]] = (
    imports,
    model_load,
    opaque,
    throttled,
    lazy,
    floor,
)
