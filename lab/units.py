"""Seconds, bytes and bits per second inside; words for people only at the edge."""

import math
import re
from typing import Final

from lab.errors import UsageError

_RATE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmg]?)bit(?:/s|ps)?\s*$", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3}
SECONDS: Final = {
    "ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "day": 86400.0,
    "w": 604800.0, "M": 2592000.0, "y": 31536000.0,
}  # fmt: skip
"""In a unit of time, by its sign as Grafana writes them; ``min`` and ``day`` beside."""
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|min|day|[smhdwMy])")
_TINY_S = 0.0995
_SECOND_S = 9.995


def format_bytes(count: float) -> str:
    """Decimal bytes as registries and AWS print them: ``67.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            digits = 0 if unit == "B" else (1 if abs(count) < 99.95 else 0)
            return f"{count:.{digits}f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def format_seconds(seconds: float) -> str:
    """Three figures: ``12 ms``, ``345 ms``, ``2.98 s``, ``23.9 s``."""
    if abs(seconds) < _TINY_S:
        return f"{seconds * 1000:.1f} ms"
    if abs(seconds) < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if abs(seconds) < _SECOND_S else f"{seconds:.1f} s"


def format_rate(bits_per_second: float) -> str:
    """A link's speed: ``1 Gbit/s``."""
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if bits_per_second < 1000:
            return f"{bits_per_second:g} {unit}"
        bits_per_second /= 1000
    return f"{bits_per_second:g} Gbit/s"


def parse_rate(text: str) -> int:
    """``1Gbit`` or ``200 Mbit/s`` as bits per second. Raises ``UsageError`` for anything else."""
    found = _RATE.match(text)
    if not found or float(found[1]) <= 0:
        raise UsageError(f"{text!r} is not a bandwidth.", remedy="Write it like 1Gbit or 200Mbit.")
    return int(float(found[1]) * 1000 ** _POWER[found[2].lower()])


def parse_seconds(text: str) -> float:
    """``90s``, ``5m``, ``5min`` or ``1h30m`` as seconds. Raises ``UsageError``."""
    bare = text.strip()
    parts = _PART.findall(bare)
    if not parts or "".join(number + unit for number, unit in parts) != bare:
        raise UsageError(f"{text!r} is not a duration.", remedy="Write it like 90s, 5m or 1h30m.")
    total = math.fsum(float(number) * SECONDS[unit] for number, unit in parts)
    if total <= 0:
        raise UsageError(f"{text!r} has no length.", remedy="Write it like 90s, 5m or 1h30m.")
    return total


def parse_per_second(text: str) -> float:
    """``20``, ``20/s``, ``90/min`` or ``5000/day`` as how many a second. Raises ``UsageError``."""
    number, slash, unit = text.strip().partition("/")
    try:
        per_s = float(number) / SECONDS[unit.strip() if slash else "s"]
    except (ValueError, KeyError):
        per_s = math.nan
    if not 0 < per_s < math.inf:
        raise UsageError(
            f"{text!r} is not a rate above 0.", remedy="Write it like 20, 20/s, 90/min or 5000/day."
        )
    return per_s
