"""What a run that measured one model in several sizes amounts to: a part of ``summary.json``."""

from collections.abc import Sequence
from enum import StrEnum, unique
from typing import Self

from lab.schema import Frozen
from lab.spec import Platform, StartKind
from lab.stats.quantiles import interval, median

Pair = tuple[float, float]


@unique
class Binding(StrEnum):
    """What takes most of a start, over the sizes that were measured."""

    CROSSES = "crosses"
    """Up to some size what does not depend on it, from there on the table."""
    REST = "rest"
    """At every size what does not depend on it."""
    TABLE = "table"
    """At every size the table."""


class Crossing(Frozen):
    """From which size on a start waits for the table more than for all the rest."""

    binding: Binding
    items: float | None
    """None where it is not within what was measured."""
    low: float | None = None
    """None: as few as the smallest size measured, or fewer."""
    high: float | None = None
    """None: more than the largest."""
    coverage: float | None = None
    """Of ``low`` to ``high``; None where there are too few samples for any."""
    per_item_s: float
    """What grows, at the largest size less at the smallest, for each item between them."""


class Median(Frozen):
    """Seconds."""

    s: float
    interval: Pair | None
    """None where there are too few starts for one of at least one half."""
    coverage: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of at least one value."""
        held = interval(values)
        return cls(
            s=median(values),
            interval=(held.low, held.high) if held else None,
            coverage=held.coverage if held else None,
        )


class SizeFigures(Frozen):
    """One size. What it shares with other rows is in the summary's row at ``place``."""

    place: int
    items: int
    archive_bytes: int | None
    grows: Median | None
    """Of what grows with the table: model fetch, model load, first prediction."""
    rest: Median | None
    """Of all other phases."""
    lead: Median | None
    """Of the first less the second, start by start."""
    memory_mb: int | None
    """The smallest memory size of serverless inference that holds it; None if none does, or no
    peak is known."""
    started: Sequence[int] = ()
    """Memory sizes, in MB, in which every start went well."""
    killed: Sequence[int] = ()
    """Those in which one was killed for want of memory."""


class Catalogue(Frozen):
    """All sizes of a model, packaged and started alike."""

    base: str
    """The model's name without a size."""
    variant: str
    platform: Platform
    tier: str
    start_kind: StartKind
    sizes: Sequence[SizeFigures]
    """The smallest first."""
    crossing: Crossing | None
    """None where the times say nothing, or phases cannot be told apart."""
