"""Axes: where a value stands, in per cent of the plot's width or height."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lab.coldstart.summary import Spread

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_WANTED = 5
_MULTIPLES: Final = (
    *(0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 1.05, 1.1),
    *(1.2, 1.3, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0),
)
_LEAST_APART = 0.16
_MOST = 9
"""Ticks of a logarithmic axis."""


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis."""

    at: float
    """Per cent of the axis."""
    label: str


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A linear or logarithmic axis from ``low`` to ``high``."""

    low: float
    high: float
    ticks: Sequence[Tick]
    log: bool = False

    def at(self, value: float) -> float:
        """Per cent along the axis, rounded so that pages stay small."""
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(100 * share, 3)


@dataclass(frozen=True, kw_only=True)
class Whisker:
    """A median and its 95 % interval on an axis, in per cent; None is not known."""

    median: float | None
    low: float | None
    high: float | None


def whisker(total: Spread, scale: Scale, *, unit_s: float = 1.0) -> Whisker:
    """Of a row's total, on an axis of a unit."""
    ends = (total.p50, *(total.p50_ci95 or (None, None)))
    median, low, high = (None if end is None else scale.at(end / unit_s) for end in ends)
    return Whisker(median=median, low=low, high=high)


def linear(top: float, label: Callable[[float], str], *, wanted: int = _WANTED) -> Scale:
    """From 0 to a little above ``top`` (> 0), with a handful of round ticks."""
    rough = top / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in _STEPS if step * power >= rough * (1 - 1e-9))
    high = top * 1.02
    values = [index * step for index in range(int(high / step) + 1)]
    return _scale(0.0, high, values, label, log=False)


def logarithmic(bottom: float, top: float, label: Callable[[float], str]) -> Scale:
    """From a little below ``bottom`` (> 0) to a little above ``top``; ticks at 1, 2 and 5."""
    low, high = bottom / 1.1, max(top, bottom * 1.5) * 1.1
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    within = [
        [
            step * 10.0**power
            for power in decades
            for step in steps
            if low <= step * 10.0**power <= high
        ]
        for steps in ((1,), (1, 3), (1, 2, 5))
    ]
    # The most that still leaves room; over less than a decade, whatever there is.
    values = next((one for one in reversed(within) if 2 <= len(one) <= _MOST), within[-1])
    return _scale(low, high, values, label, log=True)


def relative(low: float, high: float, *, middle: str = "median") -> Scale:
    """A logarithmic axis of multiples, on which 1 is always to be found, labelled ``middle``.

    Ticks: ``+10 %``, ``-20 %``, ``3x``.
    """
    bottom, top = min(low, 0.95) / 1.02, max(high, 1.05) * 1.02
    span = math.log(top / bottom)
    chosen = [1.0]
    for value in sorted(_MULTIPLES, key=lambda value: abs(math.log(value))):
        apart = min(abs(math.log(value / other)) for other in chosen)
        if bottom <= value <= top and apart >= _LEAST_APART * span:
            chosen.append(value)

    def label(value: float) -> str:
        if value == 1:
            return middle
        return f"{value:g}x" if value >= 2 else f"{(value - 1) * 100:+.0f} %"

    return _scale(bottom, top, sorted(chosen), label, log=True)


def _scale(
    low: float, high: float, values: Sequence[float], label: Callable[[float], str], *, log: bool
) -> Scale:
    bare = Scale(low=low, high=high, ticks=(), log=log)
    return replace(bare, ticks=[Tick(at=bare.at(one), label=label(one)) for one in values])


def seconds_label(value: float) -> str:
    """A tick's label: ``0``, ``50 ms``, ``2 s``."""
    if value == 0:
        return "0"
    return f"{value:.3g} s" if value >= 0.9995 else f"{value * 1000:.3g} ms"


def megabytes_label(value: float) -> str:
    """A tick's label: ``500 MB``, ``1.5 GB``."""
    if value == 0:
        return "0"
    return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"
