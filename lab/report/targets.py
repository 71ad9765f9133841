"""The figures that the lab set out to reach, and what a run says of them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from lab.images.variants import BASELINE, DEFAULT
from lab.report.model import Against, Comparison, Goal, Quantity, Reached, Row
from lab.spec import FLOOR, Platform, StartKind

MODEL: Final = "retinopathy-mobilenet"
FRESH: Final = 6.0
PULL: Final = 8.0
OVER_FLOOR: Final = 2.5
BYTES: Final = 12.0
SIZE: Final = 70_000_000
ARM64: Final = 1.1


def targets(rows: Sequence[Row], comparisons: Sequence[Comparison]) -> Sequence[Goal]:
    """Each figure, with the run's value where it measured one."""
    fresh = _total(comparisons, Against.BASELINE, BASELINE, StartKind.FRESH)
    pull = _total(comparisons, Against.BASELINE, BASELINE, StartKind.PULL)
    floor = _total(comparisons, Against.FLOOR, DEFAULT, StartKind.FRESH)
    sizes = {
        row.variant: row.image_compressed_bytes
        for row in rows
        if row.platform is Platform.AMD64 or not _has_amd64(rows)
    }
    big, small = sizes.get(BASELINE), sizes.get(DEFAULT)
    arm64 = next(
        (
            one.ratio
            for one in comparisons
            if one.against is Against.PLATFORM
            and (one.variant, one.quantity) == (DEFAULT, Quantity.COMPRESSED)
        ),
        None,
    )
    return [
        Goal(
            id="fresh",
            what="baseline / onnx-slim, fresh start to first prediction",
            goal="at least 6x",
            aim=None,
            value=fresh.ratio if fresh else None,
            ci95=fresh.ci95 if fresh else None,
            unit="x",
            reached=_reached(fresh.ratio if fresh else None, lambda x: x >= FRESH),
            published="1.29x by image alone, 2.13x in all",
        ),
        Goal(
            id="pull",
            what="baseline / onnx-slim, pull to first prediction",
            goal="at least 8x",
            aim=None,
            value=pull.ratio if pull else None,
            ci95=pull.ci95 if pull else None,
            unit="x",
            reached=_reached(pull.ratio if pull else None, lambda x: x >= PULL),
            published="1.29x by image alone, 2.13x in all",
        ),
        Goal(
            id="floor",
            what="onnx-slim / floor, fresh",
            goal="at most 2.5x",
            aim="2x",
            value=floor.ratio if floor else None,
            ci95=floor.ci95 if floor else None,
            unit="x",
            reached=_reached(floor.ratio if floor else None, lambda x: x <= OVER_FLOOR),
            published=None,
        ),
        Goal(
            id="bytes",
            what="compressed bytes, baseline / onnx-slim",
            goal="at least 12x",
            aim=None,
            value=big / small if big and small else None,
            ci95=None,
            unit="x",
            reached=_reached(big / small if big and small else None, lambda x: x >= BYTES),
            published="3.5x",
        ),
        Goal(
            id="size",
            what="onnx-slim, compressed",
            goal="at most 70 MB",
            aim="60 MB",
            value=small,
            ci95=None,
            unit="B",
            reached=_reached(small, lambda x: x <= SIZE),
            published=None,
        ),
        Goal(
            id="arm64",
            what="compressed bytes of onnx-slim, arm64 / amd64",
            goal="at most 1.1x",
            aim=None,
            value=arm64,
            ci95=None,
            unit="x",
            reached=_reached(arm64, lambda x: x <= ARM64),
            published=None,
        ),
    ]


def worth_showing(found: Iterable[Goal]) -> bool:
    """Whether any was measured: else the table would only distract."""
    return any(one.reached is not Reached.UNMEASURED for one in found)


def _has_amd64(rows: Iterable[Row]) -> bool:
    return any(row.platform is Platform.AMD64 for row in rows)


def _total(
    comparisons: Iterable[Comparison], against: Against, over: str, kind: StartKind
) -> Comparison | None:
    """MobileNet's if the run has it, and the smallest tier's if it has several."""
    under = FLOOR if against is Against.FLOOR else DEFAULT
    found = [
        one
        for one in comparisons
        if (one.against, one.quantity) == (against, Quantity.TOTAL)
        and (one.numerator, one.start_kind) == (over, kind)
        and one.denominator == under
    ]
    found.sort(key=lambda one: one.model != MODEL)
    return found[0] if found else None


def _reached(value: float | None, holds: Callable[[float], bool]) -> Reached:
    if value is None:
        return Reached.UNMEASURED
    return Reached.YES if holds(value) else Reached.NO
