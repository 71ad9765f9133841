"""For which spans of time CloudWatch is asked about the requests of a measurement."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from lab.aws.measure.metrics import Window, next_minute
from lab.aws.measure.record import MeasuredRequest, Protocol

_ROOM_S: Final = 60.0
"""CloudWatch has a clock of its own, and may tell of a launch a minute before its request."""


def warm_window(samples: Sequence[MeasuredRequest]) -> Window | None:
    """Of the counted warm requests, without the minute of the one that may have been cold."""
    warm = [one for one in samples if one.protocol is Protocol.WARM and one.failure is None]
    counted = [one for one in warm if one.number and one.reading is None]
    if not counted:
        return None
    first = [one for one in warm if not one.number]
    after = next_minute(_time(first[-1].ended_at)) if first else _time(counted[0].started_at)
    inside = [one for one in counted if _time(one.started_at) >= after] or counted
    return Window(
        begin=_time(inside[0].started_at),
        end=_time(inside[-1].ended_at),
        requests=len(inside),
    )


def cold_window(sample: MeasuredRequest) -> Window:
    """Of one request, with room for clocks that differ as far as the pauses around it allow."""
    room = timedelta(seconds=min(_ROOM_S, sample.idle_s / 3))
    return Window(
        begin=_time(sample.started_at) - room, end=_time(sample.ended_at) + room, requests=1
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
