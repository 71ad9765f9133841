"""In what answers differ: what a program could sort by, and nothing else."""

import json
from typing import Any

from lab.aws.recorder.compare import differences
from lab.aws.recorder.pairs import Answered, kept_body


def answer(status: int = 200, body: Any = None, **headers: str) -> Answered:
    return Answered(
        status=status,
        headers=[(name.replace("_", "-"), value) for name, value in headers.items()],
        body=kept_body(json.dumps(body or {}).encode(), members=True, payloads=False),
    )


def told(recorded: Answered, replayed: Answered) -> list[tuple[str, str, str]]:
    return [(one.what, one.recorded, one.replayed) for one in differences(recorded, replayed)]


def test_what_is_different_in_every_run_is_no_difference() -> None:
    first = answer(
        400,
        {"__type": "ValidationException", "message": "Endpoint of account 111111111111, 5 bytes"},
        date="Mon",
        x_amzn_RequestId="a",
    )
    second = answer(
        400,
        {"__type": "ValidationException", "message": "Endpoint of account 222222222222, 7 bytes"},
        date="Tue",
        x_amzn_requestid="b",
    )
    assert told(first, second) == []


def test_what_only_the_lab_says_beside_an_answer_is_no_difference() -> None:
    assert told(answer(), answer(x_lab_note="The image eye:3 has a local name.")) == []


def test_status_code_and_words_are_each_told() -> None:
    first = answer(400, {"__type": "com.amazon#ValidationException", "message": "Could not find"})
    second = answer(404, {"__type": "NotFound", "message": "There is none"})
    assert told(first, second) == [
        ("status", "400", "404"),
        ("code", "ValidationException", "NotFound"),
        ("message", "Could not find", "There is none"),
    ]


def test_a_header_that_only_one_has_is_told_and_one_with_another_value() -> None:
    first = answer(content_type="text/csv", x_Amzn_Invoked_Production_Variant="v")
    second = answer(content_type="application/json", x_amzn_sagemaker_new_session_id="s")
    assert told(first, second) == [
        ("headers", "content-type: text/csv", "content-type: application/json"),
        ("headers", "x-amzn-invoked-production-variant: v", "no x-amzn-invoked-production-variant"),
        ("headers", "no x-amzn-sagemaker-new-session-id", "x-amzn-sagemaker-new-session-id: s"),
    ]


def test_members_that_are_missing_or_of_another_type_are_told_by_their_path() -> None:
    first = answer(body={"Variants": [{"Image": "a", "Weight": 1.0}], "At": 1.5})
    second = answer(body={"Variants": [{"Image": "b"}], "At": "today"})
    assert told(first, second) == [
        ("members", "Variants[].Weight", "no more"),
        ("members", "At is a number", "At is a string"),
    ]


def test_a_listing_in_another_order_is_told() -> None:
    first = answer(body={"Models": [{"ModelName": "b"}, {"ModelName": "a"}]})
    second = answer(body={"Models": [{"ModelName": "a"}, {"ModelName": "b"}]})
    assert told(first, second) == [("order", "b a", "a b")]


def test_an_answer_that_broke_off_is_not_one_that_ended() -> None:
    first = answer().model_copy(update={"whole": False})
    assert told(first, answer()) == [("order", "broken off", "whole")]
