"""Numbers with their units as Grafana prints them, and how Plotly prints them at an axis."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_Scaled = tuple[float, str]
"""A number small enough to read, and what follows it."""

_TIMES: Final = (
    (1e-6, 1e-9, " ns"),
    (1e-3, 1e-6, " µs"),
    (1.0, 1e-3, " ms"),
    (60.0, 1.0, " s"),
    (3600.0, 60.0, " mins"),
    (86400.0, 3600.0, " hours"),
    (604800.0, 86400.0, " days"),
    (31536000.0, 604800.0, " weeks"),
    (math.inf, 31536000.0, " years"),
)
"""Below this many seconds, in this many, called so."""
_LONG_S: Final = 1000.0
"""From here on ``~s`` would write of kiloseconds."""


def _powers(names: Sequence[str]) -> Callable[[float], _Scaled]:
    def scale(value: float) -> _Scaled:
        place = 0
        while abs(value) >= 1000 and place < len(names) - 1:
            value /= 1000
            place += 1
        return value, names[place]

    return scale


def _time(seconds: float) -> _Scaled:
    if seconds == 0:
        return 0.0, " s"
    size, name = next((size, name) for below, size, name in _TIMES if abs(seconds) < below)
    return seconds / size, name


@dataclass(frozen=True, kw_only=True)
class _Unit:
    scale: Callable[[float], _Scaled]
    ticks: str = ""
    """How Plotly formats a mark at an axis (d3-format); empty for its own choice."""
    suffix: str = ""
    """What it puts behind it."""


UNITS: Final[Mapping[str, _Unit]] = {
    "none": _Unit(scale=lambda value: (value, "")),
    "short": _Unit(scale=_powers(("", " K", " Mil", " Bil", " Tri", " Quadr", " Quint"))),
    "percentunit": _Unit(scale=lambda value: (value * 100, "%"), ticks="~%"),
    "s": _Unit(scale=_time, ticks="~s", suffix="s"),
    "decbytes": _Unit(
        scale=_powers([f" {prefix}B" for prefix in ("", *"kMGTPE")]), ticks="~s", suffix="B"
    ),
    "reqps": _Unit(scale=_powers([f"{prefix} req/s" for prefix in ("", *"KMBT")]), suffix=" req/s"),
}
"""Units by Grafana's names; no unit is ``none``."""


def text(value: float | None, unit: str = "none", decimals: int | None = None) -> str:
    """A value for people. Without ``decimals`` about three figures, as in Grafana."""
    if value is None:
        return ""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    scaled, suffix = UNITS[unit].scale(value)
    places = _places(scaled) if decimals is None else decimals
    shown = f"{scaled:.{places}f}"
    return f"{shown.removeprefix('-') if float(shown) == 0 else shown}{suffix}"


def _places(value: float) -> int:
    """No decimals for a whole number, else as many as make three figures."""
    return 0 if value == int(value) else max(0, 2 - math.floor(math.log10(abs(value))))


def tick_format(unit: str, most: float) -> Mapping[str, str]:
    """Of an axis of Plotly's up to about ``most``."""
    if unit == "s" and most >= _LONG_S:
        return {"ticksuffix": " s"}
    return {"tickformat": UNITS[unit].ticks, "ticksuffix": UNITS[unit].suffix}
