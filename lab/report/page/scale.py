"""Axes: where a value stands, in per cent of the plot's width or height."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_WANTED = 5
_LOG_STEPS: Final = (1.0, 2.0, 5.0)
_CROWDED = 9


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
        return round(100 * _share(value, self.low, self.high, log=self.log), 3)


def linear(top: float, label: Callable[[float], str], *, wanted: int = _WANTED) -> Scale:
    """From 0 to a little above ``top`` (> 0), with a handful of round ticks."""
    rough = top / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in _STEPS if step * power >= rough * (1 - 1e-9))
    high = top * 1.02
    values = [index * step for index in range(int(high / step) + 1)]
    return _scale(0.0, high, values, label, log=False)


def logarithmic(low: float, high: float, label: Callable[[float], str]) -> Scale:
    """From a little below ``low`` (> 0) to a little above ``high``, ticks at 1, 2 and 5."""
    bottom, top = low / 1.12, high * 1.12
    decades = range(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1)
    values = [step * 10.0**power for power in decades for step in _LOG_STEPS]
    inside = [value for value in values if bottom <= value <= top]
    if len(inside) > _CROWDED:
        inside = [10.0**power for power in decades if bottom <= 10.0**power <= top]
    if not inside:
        inside = [math.sqrt(bottom * top)]
    return _scale(bottom, top, inside, label, log=True)


def _scale(
    low: float, high: float, values: Sequence[float], label: Callable[[float], str], *, log: bool
) -> Scale:
    ticks = [
        Tick(at=round(100 * _share(value, low, high, log=log), 3), label=label(value))
        for value in values
    ]
    return Scale(low=low, high=high, ticks=ticks, log=log)


def _share(value: float, low: float, high: float, *, log: bool) -> float:
    if log:
        return math.log(max(value, low) / low) / math.log(high / low)
    return (value - low) / (high - low)


def seconds_label(value: float) -> str:
    """A tick's label: ``0``, ``50 ms``, ``2 s``."""
    if value == 0:
        return "0"
    return f"{value:.3g} s" if value >= 0.9995 else f"{value * 1000:.3g} ms"  # noqa: PLR2004


def megabytes_label(value: float) -> str:
    """A tick's label: ``500 MB``, ``1.5 GB``."""
    if value == 0:
        return "0"
    return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"  # noqa: PLR2004
