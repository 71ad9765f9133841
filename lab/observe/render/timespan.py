"""Ranges, steps and the intervals that Grafana fills into queries.

The rules are Grafana's: the step is the range divided by the panel's width in pixels, rounded to a
readable one; ``$__rate_interval`` is at least four scrapes, so that a rate always sees two samples.
"""

import itertools
import re
from dataclasses import dataclass, replace
from typing import Final

from lab.errors import UsageError
from lab.units import SECONDS, parse_seconds

_RELATIVE: Final = re.compile(r"^now(?:-(.+))?$")
_STEPS_S: Final = (
    0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900,
    1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800, 2592000, 31536000,
)  # fmt: skip
_SCRAPES = 4
_MOST_POINTS = 11_000
"""Prometheus refuses more a series."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """From when until when, in seconds since 1970."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def reaching_back(self, seconds: float) -> "Span":
        """The same end with another length."""
        return replace(self, start=self.end - seconds)


@dataclass(frozen=True, kw_only=True)
class QueryStep:
    """What a query's variables for time stand for, in seconds."""

    step: float
    rate: float

    @classmethod
    def of(cls, span: Span, *, points: int, scrape: float) -> "QueryStep":
        """About so many ``points``, never closer than one ``scrape`` is to the next."""
        shortest = max(scrape, span.seconds / _MOST_POINTS)
        step = max(rounded(span.seconds / max(points, 1)), shortest)
        # One more scrape than a step, so that neighbouring windows share a sample.
        return cls(step=step, rate=max(step + scrape, _SCRAPES * scrape))


def rounded(seconds: float) -> float:
    """A step that people read easily, near to this one."""
    for shorter, longer in itertools.pairwise(_STEPS_S):
        if seconds < (shorter + longer) / 2:
            return shorter
    return _STEPS_S[-1]


def seconds_of(text: str) -> float:
    """``90s``, ``1h30m`` or Grafana's ``>15s``. Raises ``UsageError`` for anything else."""
    return parse_seconds(text.strip().removeprefix(">"))


def moment(text: str, now: float) -> float:
    """``now-6h`` as seconds since 1970; rounding to days (``now/d``) is not done."""
    found = _RELATIVE.match(text.split("/", maxsplit=1)[0])
    if not found:
        raise UsageError(f"{text!r} is not a time relative to now.", remedy="Write it like now-1h.")
    return now - (seconds_of(found[1]) if found[1] else 0.0)


def duration_text(seconds: float) -> str:
    """As PromQL writes it: ``1h``, ``90s``, ``250ms``; whole, and never 0."""
    if seconds < 1 or seconds != int(seconds):
        return f"{max(round(seconds * 1000), 1)}ms"
    whole = int(seconds)
    for unit in ("d", "h", "m"):
        if whole % int(SECONDS[unit]) == 0:
            return f"{whole // int(SECONDS[unit])}{unit}"
    return f"{whole}s"
