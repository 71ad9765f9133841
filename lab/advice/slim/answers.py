"""The same questions to two containers, and whether they answer alike.

The original is asked everything twice: what differs between its own two answers (a time, an id, a
drawn number) is not asked of the smaller image to be the same, only to be there.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.advice.recorder.asking import UNKNOWN_PATH, UNKNOWN_TYPE, Payload
from lab.contract.running.calls import HttpCall, call, get, post
from lab.units import format_bytes

TOLERANCE: Final = 1e-4
"""By how much numbers may differ, times the larger of 1 and the number: threads sum in another
order each time."""

_TOO_LARGE: Final = 26 * 1024 * 1024
"""More than any endpoint passes on."""
_SERIES: Final = re.compile(r"([A-Za-z_:][\w:]*)(?:\{| )")
_EXCERPT: Final = 160


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A question."""

    name: str
    """How it is called in tables."""
    request: bytes
    """As it goes over the wire."""
    series: bool = False
    """Whether only the names in the answer count, as of ``/metrics``."""


def asks(payloads: Sequence[Payload]) -> Sequence[Ask]:
    """Every payload, then what a client may do wrong, then ``/metrics``."""
    first = payloads[0]
    half = first.body[: len(first.body) // 2]
    wrong = (
        ("wrong type", post(first.body, UNKNOWN_TYPE)),
        ("half a body", post(half, first.content_type)),
        ("no JSON", post(b'{"a": ', "application/json")),
        ("an empty body", post(b"", first.content_type)),
        (f"{format_bytes(_TOO_LARGE)} of zeros", post(bytes(_TOO_LARGE), first.content_type)),
        ("GET /invocations", get("/invocations")),
        ("an unknown path", get(UNKNOWN_PATH)),
    )
    return (
        *(Ask(name=one.name, request=post(one.body, one.content_type)) for one in payloads),
        *(Ask(name=name, request=prepared) for name, prepared in wrong),
        Ask(name=f"{first.name} again", request=post(first.body, first.content_type)),
        Ask(name="GET /ping", request=get("/ping")),
        Ask(name="GET /metrics", request=get("/metrics"), series=True),
    )


def put(address: tuple[str, int], ask: Ask, *, timeout_s: float) -> HttpCall:
    """Ask; whatever happens is an answer."""
    return call(address, ask.request, timeout_s=timeout_s)


def unlike(ask: Ask, before: Sequence[HttpCall], now: HttpCall) -> str | None:
    """What is different about an answer, in words; ``before`` are the original's own two."""
    first, second = before
    if now.status not in {first.status, second.status}:
        return f"{_status(now)} instead of {_status(first)}:{_said(now)}".rstrip(":")
    if now.status is None:
        return None
    if _kind(now) not in {_kind(first), _kind(second)}:
        return f"{_kind(now) or 'no type'} instead of {_kind(first) or 'no type'}"
    if ask.series:
        lost = series(first.body) & series(second.body) - series(now.body)
        return f"without the series {', '.join(sorted(lost)[:5])}" if lost else None
    return _other_body(first, second, now)


def _other_body(first: HttpCall, second: HttpCall, now: HttpCall) -> str | None:
    if first.body == second.body == now.body:
        return None
    values = [_parsed(one) for one in (first, second, now)]
    if None not in values:
        where = _differs(*values, at="")
        return None if where is None else f"another answer{where}"
    if first.body != second.body:  # it never says the same
        return "an empty answer" if first.body and not now.body else None
    return f"another answer:{_said(now)} instead of{_said(first)}"


def series(body: bytes) -> set[str]:
    """The names of the series in a page of metrics."""
    lines = body.decode(errors="replace").splitlines()
    found = (_SERIES.match(line) for line in lines if not line.startswith("#"))
    return {one[1] for one in found if one}


def _parsed(answer: HttpCall) -> Any:
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def _differs(first: Any, second: Any, now: Any, *, at: str) -> str | None:  # noqa: PLR0911
    """Where ``now`` is not as the other two are with each other."""
    if isinstance(first, dict) and isinstance(second, dict):
        if not isinstance(now, dict) or now.keys() ^ first.keys() & second.keys():
            steady = first.keys() & second.keys()
            if (
                not isinstance(now, dict)
                or not steady <= now.keys() <= first.keys() | second.keys()
            ):
                return f" at {at or 'the top'}: other fields"
        return _first_of(
            _differs(first[key], second[key], now[key], at=f"{at}.{key}")
            for key in first
            if key in second
        )
    if isinstance(first, list) and isinstance(second, list):
        if len(first) != len(second):
            return None if isinstance(now, list) else f" at {at or 'the top'}: no list"
        if not isinstance(now, list) or len(now) != len(first):
            return f" at {at or 'the top'}: another length"
        return _first_of(
            _differs(*three, at=f"{at}[{number}]")
            for number, three in enumerate(zip(first, second, now, strict=True))
        )
    if not _alike(first, second):
        return None
    return None if _alike(first, now) else f" at {at or 'the top'}: {now!r} instead of {first!r}"


def _first_of(found: Any) -> str | None:
    return next((one for one in found if one is not None), None)


def _alike(one: Any, other: Any) -> bool:
    numbers = [
        isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other)
    ]
    if all(numbers):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return bool(one == other or abs(one - other) <= TOLERANCE * max(1.0, abs(one)))
    return type(one) is type(other) and bool(one == other)


def _kind(answer: HttpCall) -> str:
    headers: Mapping[str, str] = answer.headers
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _status(answer: HttpCall) -> str:
    return f"no answer ({answer.error})" if answer.status is None else str(answer.status)


def _said(answer: HttpCall) -> str:
    words = " ".join(answer.body[:_EXCERPT].decode(errors="replace").split())
    return f" {words}" if words else ""
