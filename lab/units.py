"""Seconds, bytes and bits per second inside; words for people only at the edge."""

import re

from lab.errors import UsageError

_RATE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmg]?)bit(?:/s|ps)?\s*$", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3}
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
