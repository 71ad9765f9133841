"""When two answers are alike."""

import json
from typing import Any

import pytest

from lab.advice.recorder.asking import Payload
from lab.advice.slim.answers import Ask, asks, series, unlike
from lab.contract.running.calls import HttpCall

ASK = Ask(name="one.json", request=b"")
METRICS = Ask(name="GET /metrics", request=b"", series=True)


def answer(body: Any = b"", status: int | None = 200, kind: str = "application/json") -> HttpCall:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpCall(status=status, seconds=0.1, headers={"content-type": kind}, body=data)


def test_what_is_asked_begins_with_the_payloads_and_ends_with_the_metrics() -> None:
    found = asks(
        [
            Payload(name="a.json", body=b"[1, 2]", content_type="application/json"),
            Payload(name="b.jpg", body=b"\xff", content_type="image/jpeg"),
        ]
    )
    names = [one.name for one in found]
    assert names[:2] == ["a.json", "b.jpg"]
    assert names[-1] == "GET /metrics"
    assert {"wrong type", "half a body", "an unknown path", "GET /invocations"} < set(names)
    assert found[0].request.endswith(b"\r\n\r\n[1, 2]")
    (half,) = (one for one in found if one.name == "half a body")
    assert half.request.endswith(b"\r\n\r\n[1,")
    assert b"Content-Type: application/json" in half.request


@pytest.mark.parametrize(
    ("before", "again", "now"),
    [
        ({"score": 0.5}, {"score": 0.5}, {"score": 0.50004}),
        ({"id": "a", "score": 1}, {"id": "b", "score": 1}, {"id": "c", "score": 1}),
        ({"at": 1.0}, {"at": 900.0}, {"at": 5.0}),
        ([1, 2], [1, 2], [1, 2]),
        (b"plain", b"plain", b"plain"),
        (b"at 12:01", b"at 12:02", b"at 12:03"),
        ({"a": 1}, {"a": 1, "b": 2}, {"a": 1}),
        (float("nan"), float("nan"), float("nan")),
    ],
)
def test_answers_are_alike_but_for_what_the_original_itself_says_anew_each_time(
    before: Any, again: Any, now: Any
) -> None:
    assert unlike(ASK, (answer(before), answer(again)), answer(now)) is None


@pytest.mark.parametrize(
    ("before", "again", "now", "said"),
    [
        ({"score": 0.5}, {"score": 0.5}, {"score": 0.51}, "at .score: 0.51 instead of 0.5"),
        ({"a": [{"b": "x"}]}, {"a": [{"b": "x"}]}, {"a": [{"b": "y"}]}, "at .a[0].b: 'y'"),
        ({"a": 1}, {"a": 1}, {}, "at the top: other fields"),
        ({"a": 1}, {"a": 1}, {"a": 1, "b": 2}, "other fields"),
        ([1], [1], [1, 2], "at the top: another length"),
        ({"a": True}, {"a": True}, {"a": 1}, "at .a: 1 instead of True"),
        (b"plain", b"plain", b"other", "another answer: other instead of plain"),
        (b"at 12:01", b"at 12:02", b"", "an empty answer"),
    ],
)
def test_answers_that_are_unlike_say_where(before: Any, again: Any, now: Any, said: str) -> None:
    found = unlike(ASK, (answer(before), answer(again)), answer(now))
    assert found is not None
    assert said in found


def test_another_status_or_type_or_none_at_all_is_unlike() -> None:
    before = (answer(status=415), answer(status=415))
    assert unlike(ASK, before, answer(b"oops", status=500)) == "500 instead of 415: oops"
    dead = HttpCall(status=None, seconds=0.1, error="the server closed the connection")
    said = "no answer (the server closed the connection) instead of 415"
    assert unlike(ASK, before, dead) == said
    assert unlike(ASK, (dead, dead), dead) is None
    html = answer(status=415, kind="text/html; charset=utf-8")
    assert unlike(ASK, before, html) == "text/html instead of application/json"


def test_of_metrics_only_the_names_of_series_count() -> None:
    page = b'# HELP a_total what\na_total{model="x"} 3\nb 4.5\nc_bucket{le="1"} 1\n'
    assert series(page) == {"a_total", "b", "c_bucket"}
    other = b'a_total{model="x"} 99\nb 1\nc_bucket{le="2"} 7\nd 1\n'
    assert unlike(METRICS, (answer(page), answer(page)), answer(other)) is None
    less = b"a_total 3\n"
    found = unlike(METRICS, (answer(page), answer(page)), answer(less))
    assert found == "without the series b, c_bucket"
