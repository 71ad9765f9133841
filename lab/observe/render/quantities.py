"""Numbers with their units as Grafana prints them, and axes whose marks are round in that unit."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_Scaled = tuple[float, str]
"""A number small enough to read, and what follows it."""

_SI: Final = ("", "k", "M", "G", "T", "P", "E")
_SHORT: Final = ("", " K", " Mil", " Bil", " Tri", " Quadr", " Quint")
_MIN, _HOUR, _DAY, _WEEK, _YEAR = 60.0, 3600.0, 86400.0, 604800.0, 31536000.0
_TIMES: Final = (
    (1e-6, 1e-9, " ns"),
    (1e-3, 1e-6, " µs"),
    (1.0, 1e-3, " ms"),
    (_MIN, 1.0, " s"),
    (_HOUR, _MIN, " mins"),
    (_DAY, _HOUR, " hours"),
    (_WEEK, _DAY, " days"),
    (_YEAR, _WEEK, " weeks"),
    (math.inf, _YEAR, " years"),
)
"""Below this many seconds, in this many, called so."""
_ONE_TIME: Final = 1.0
_MARKS: Final = 5
_SIXTY: Final = (1, 2, 5, 10, 15, 30, 60)
_TENS: Final = (1, 2, 2.5, 5, 10)
_CLOSE = 1e-9
_BINARY: Final = frozenset({"bytes", "kbytes", "mbytes", "binBps", "bits"})


def _powers(base: float, names: Sequence[str]) -> Callable[[float], _Scaled]:
    def scale(value: float) -> _Scaled:
        place = 0
        while abs(value) >= base and place < len(names) - 1:
            value /= base
            place += 1
        return value, names[place]

    return scale


def _si(unit: str) -> Callable[[float], _Scaled]:
    return _powers(1000.0, [f" {prefix}{unit}" for prefix in _SI])


def _iec(unit: str) -> Callable[[float], _Scaled]:
    return _powers(1024.0, [f" {p}{'i' if p else ''}{unit}" for p in ("", *"KMGTPE")])


def _rate(unit: str) -> Callable[[float], _Scaled]:
    return _powers(1000.0, [f"{prefix} {unit}" for prefix in ("", "K", "M", "B", "T")])


def _time(factor: float) -> Callable[[float], _Scaled]:
    def scale(value: float) -> _Scaled:
        seconds = value * factor
        if seconds == 0:
            return 0.0, next(name for _, size, name in _TIMES if size >= factor * 0.999)
        size, name = next((size, name) for below, size, name in _TIMES if abs(seconds) < below)
        return seconds / size, name

    return scale


def _plain(suffix: str, factor: float = 1.0) -> Callable[[float], _Scaled]:
    return lambda value: (value * factor, suffix)


_UNITS: Final[Mapping[str, Callable[[float], _Scaled]]] = {
    "": _plain(""),
    "none": _plain(""),
    "short": _powers(1000.0, _SHORT),
    "sishort": _powers(1000.0, [f" {p}".rstrip() for p in _SI]),
    "percent": _plain("%"),
    "percentunit": _plain("%", 100.0),
    "s": _time(1.0),
    "ms": _time(1e-3),
    "µs": _time(1e-6),
    "ns": _time(1e-9),
    "m": _time(_MIN),
    "h": _time(_HOUR),
    "d": _time(_DAY),
    "bytes": _iec("B"),
    "decbytes": _si("B"),
    "kbytes": lambda value: _iec("B")(value * 1024),
    "mbytes": lambda value: _iec("B")(value * 1024**2),
    "decmbytes": lambda value: _si("B")(value * 1e6),
    "bits": _iec("b"),
    "decbits": _si("b"),
    "Bps": _si("B/s"),
    "binBps": _iec("B/s"),
    "bps": _si("b/s"),
    "hertz": _si("Hz"),
    "reqps": _rate("req/s"),
    "rps": _rate("rd/s"),
    "wps": _rate("wr/s"),
    "ops": _rate("ops/s"),
    "iops": _rate("io/s"),
    "cps": _rate("c/s"),
    "opm": _rate("ops/m"),
    "rpm": _rate("rpm"),
    "pixels": _plain(" px"),
    "celsius": _plain(" °C"),
    "currencyUSD": _plain(""),
}


def known(unit: str) -> bool:
    """Whether this unit is printed as Grafana does; any other is put behind the number."""
    return unit in _UNITS or unit in _WORDS or ":" in unit


def text(value: float | None, unit: str = "", decimals: int | None = None) -> str:
    """A value for people. Without ``decimals`` about three figures, as in Grafana."""
    if value is None or math.isnan(value):
        return "NaN" if value is not None else ""
    if unit in _WORDS:
        return _WORDS[unit](value)
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    prefix, (scaled, suffix) = _split(value, unit)
    return f"{prefix}{fixed(scaled, decimals)}{suffix}"


def _split(value: float, unit: str) -> tuple[str, _Scaled]:
    if unit == "currencyUSD":
        return "$", (value, "")
    for start, before in (("prefix:", True), ("suffix:", False)):
        if unit.startswith(start):
            word = unit[len(start) :]
            return (word, (value, "")) if before else ("", (value, word))
    if unit.startswith("si:"):
        return "", _si(unit[3:])(value)
    return "", _UNITS.get(unit, _plain(f" {unit}"))(value)


def fixed(value: float, decimals: int | None = None) -> str:
    """So many decimals; if None, none for a whole number, else as many as make three figures."""
    places = _places(value) if decimals is None else decimals
    shown = f"{value:.{places}f}"
    return shown.removeprefix("-") if float(shown) == 0 else shown


def _places(value: float) -> int:
    if value == int(value):
        return 0
    return max(0, 2 - math.floor(math.log10(abs(value))))


def _ago(seconds: float) -> str:
    return text(abs(seconds), "s", 0) + (" ago" if seconds <= 0 else " from now")


def _date(milliseconds: float, form: str) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime(form)


def _spelled(seconds: float) -> str:
    """``1 hour, 5 minutes``: the two largest parts."""
    parts = []
    for size, name in ((_DAY, "day"), (_HOUR, "hour"), (_MIN, "minute"), (_ONE_TIME, "second")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count:.0f} {name}{'s' * (count != 1)}")
    return ", ".join(parts[:2]) or "0 seconds"


_WORDS: Final[Mapping[str, Callable[[float], str]]] = {
    "bool": lambda value: "True" if value else "False",
    "bool_yes_no": lambda value: "Yes" if value else "No",
    "bool_on_off": lambda value: "On" if value else "Off",
    "locale": lambda value: f"{value:,.{_places(value)}f}",
    "string": lambda value: f"{value:g}",
    "dateTimeAsIso": lambda value: _date(value, "%Y-%m-%d %H:%M:%S"),
    "dateTimeAsLocal": lambda value: _date(value, "%Y-%m-%d %H:%M:%S"),
    "dateTimeAsUS": lambda value: _date(value, "%m/%d/%Y %I:%M:%S %p"),
    "dateTimeAsSystem": lambda value: _date(value, "%Y-%m-%d %H:%M:%S"),
    "dateTimeFromNow": lambda value: _ago(value / 1000 - datetime.now(UTC).timestamp()),
    "dtdurations": _spelled,
    "dthms": lambda value: (
        f"{int(value // _HOUR):02d}:{int(value % _HOUR // _MIN):02d}:{int(value % _MIN):02d}"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Axis:
    """From where to where, and the marks between."""

    low: float
    high: float
    marks: Sequence[tuple[float, str]]


def axis(
    low: float,
    high: float,
    unit: str = "",
    *,
    decimals: int | None = None,
    held: tuple[bool, bool] = (False, False),
) -> Axis:
    """A linear axis around the values; an end that is ``held`` is not moved to a round value."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    step = _step((high - low) / _MARKS, unit)
    bottom = low if held[0] else math.floor(low / step + _CLOSE) * step
    top = high if held[1] else math.ceil(high / step - _CLOSE) * step
    first = math.ceil(bottom / step - _CLOSE)
    places = [first + n for n in range(int((top - first * step) / step + _CLOSE) + 1)]
    marks = [(n * step, mark(n * step, unit, decimals)) for n in places]
    return Axis(low=bottom, high=top, marks=marks)


def log_axis(low: float, high: float, unit: str = "", *, base: float = 10.0) -> Axis:
    """An axis of powers; with few decades 2 and 5 between them are marked too."""
    low = max(low, high * 1e-9, 1e-12)
    first, last = math.floor(math.log(low, base)), math.ceil(math.log(max(high, low), base))
    last = max(last, first + 1)
    few = base == 10.0 and last - first <= 3
    between = (1, 2, 5) if few else (1,)
    values = [n * base**power for power in range(first, last + 1) for n in between]
    shown = [value for value in values if value <= base**last * 1.001]
    return Axis(low=base**first, high=base**last, marks=[(v, mark(v, unit)) for v in shown])


def mark(value: float, unit: str, decimals: int | None = None) -> str:
    """A mark on an axis: as exact as it is, without zeros at its end."""
    if unit in _WORDS:
        return text(value, unit)
    prefix, (scaled, suffix) = _split(value, unit)
    if decimals is not None:
        return f"{prefix}{fixed(scaled, decimals)}{suffix}"
    shown = f"{scaled:.4f}".rstrip("0").rstrip(".") if abs(scaled) >= 1e-3 else f"{scaled:.2g}"
    return f"{prefix}{'0' if shown in ('-0', '0', '') else shown}{suffix}"


def _step(raw: float, unit: str) -> float:
    """The nearest larger step that is round in the unit: 30 s, 512 MiB, 0.25."""
    sixty = {"s": 1.0, "ms": 1000.0, "m": 1 / _MIN}.get(unit)
    if sixty is not None and raw > sixty * 2:
        for size in (sixty, sixty * _MIN, sixty * _HOUR):
            for one in _SIXTY if size < sixty * _HOUR else (1, 2, 3, 6, 12, 24, 48, 168):
                if one * size >= raw:
                    return one * size
    if unit in _BINARY:
        return float(2.0 ** math.ceil(math.log2(raw) - _CLOSE))
    power = 10.0 ** math.floor(math.log10(raw))
    return next(one * power for one in (*_TENS, 20) if one * power * (1 + _CLOSE) >= raw)
