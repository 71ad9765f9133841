"""The figures that the lab set out to reach, and what a run says of them."""

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Final

from lab.coldstart.summary import Against, Comparison, Goal, Quantity, Reached, Row
from lab.images.variants import BASELINE, DEFAULT
from lab.spec import FLOOR, Platform, StartKind

MODEL: Final = "retinopathy-mobilenet"
_IN_STUDY: Final = "1.29x by image alone, 2.13x in all"


@dataclass(frozen=True)
class Target:
    """A figure to reach, bounded from below or from above."""

    id: str
    what: str
    _: KW_ONLY
    at_least: float | None = None
    at_most: float | None = None
    aim: str | None = None
    unit: str = "x"
    published: str | None = None

    @property
    def goal(self) -> str:
        """``at least 6x``, ``at most 70 MB``."""
        word, bound = ("least", self.at_least) if self.at_most is None else ("most", self.at_most)
        number = bound or 0.0
        return f"at {word} " + (f"{number / 1e6:g} MB" if self.unit == "B" else f"{number:g}x")

    def reached(self, value: float | None) -> Reached:
        """Whether a run's value keeps to the bound."""
        if value is None:
            return Reached.UNMEASURED
        below = self.at_least is not None and value < self.at_least
        above = self.at_most is not None and value > self.at_most
        return Reached.NO if below or above else Reached.YES


TARGETS: Final = (
    Target(
        "fresh",
        "baseline / onnx-slim, fresh start to first prediction",
        at_least=6.0,
        published=_IN_STUDY,
    ),
    Target(
        "ondemand",
        "baseline / onnx-slim, on-demand to first prediction",
        at_least=2.13,
        published=_IN_STUDY,
    ),
    Target(
        "pull", "baseline / onnx-slim, pull to first prediction", at_least=8.0, published=_IN_STUDY
    ),
    Target("floor", "onnx-slim / floor, fresh", at_most=2.5, aim="2x"),
    Target("bytes", "compressed bytes, baseline / onnx-slim", at_least=12.0, published="3.5x"),
    Target("size", "onnx-slim, compressed", at_most=70e6, aim="60 MB", unit="B"),
    Target("arm64", "compressed bytes of onnx-slim, arm64 / amd64", at_most=1.1),
)


def targets(rows: Sequence[Row], comparisons: Sequence[Comparison]) -> Sequence[Goal]:
    """Each figure, with the run's value where it measured one."""
    amd64 = [row for row in rows if row.platform is Platform.AMD64]
    sizes = {row.variant: row.image_compressed_bytes for row in amd64 or rows}
    big, small = sizes.get(BASELINE), sizes.get(DEFAULT)
    wanted = (Against.PLATFORM, DEFAULT, Quantity.COMPRESSED)
    found: dict[str, Comparison | float | None] = {
        "fresh": _total(comparisons, BASELINE, DEFAULT, StartKind.FRESH),
        "ondemand": _total(comparisons, BASELINE, DEFAULT, StartKind.ONDEMAND),
        "pull": _total(comparisons, BASELINE, DEFAULT, StartKind.PULL),
        "floor": _total(comparisons, DEFAULT, FLOOR, StartKind.FRESH),
        "bytes": big / small if big and small else None,
        "size": small,
        "arm64": next(
            (one for one in comparisons if (one.against, one.variant, one.quantity) == wanted), None
        ),
    }
    return [_goal(target, found[target.id]) for target in TARGETS]


def worth_showing(found: Iterable[Goal]) -> bool:
    """Whether any was measured: else the table would only distract."""
    return any(one.reached is not Reached.UNMEASURED for one in found)


def _goal(target: Target, found: Comparison | float | None) -> Goal:
    compared = found if isinstance(found, Comparison) else None
    value = found.ratio if isinstance(found, Comparison) else found
    return Goal(
        id=target.id,
        what=target.what,
        goal=target.goal,
        aim=target.aim,
        value=value,
        ci95=compared.ci95 if compared else None,
        unit=target.unit,
        reached=target.reached(value),
        published=target.published,
    )


def _total(
    comparisons: Iterable[Comparison], over: str, under: str, kind: StartKind
) -> Comparison | None:
    """MobileNet's if the run has it, and the smallest tier's if it has several."""
    against = Against.FLOOR if under == FLOOR else Against.BASELINE
    wanted = (against, Quantity.TOTAL, over, under, kind)
    found = [
        one
        for one in comparisons
        if (one.against, one.quantity, one.numerator, one.denominator, one.start_kind) == wanted
    ]
    return min(found, key=lambda one: one.model != MODEL, default=None)
