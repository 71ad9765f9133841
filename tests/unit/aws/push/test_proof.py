"""Whether an endpoint's answer is the container's."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab.aws.access.errors import CallError
from lab.aws.access.session import open_session
from lab.aws.answers import AnswerPayload, payload_of, read_answer
from lab.aws.invoke import AwsEndpoint, NotNowError, patiently
from lab.aws.push.proof import DifferentAnswerError, verify
from lab.awserrors import ErrorKind
from lab.errors import UsageError
from lab.progress import Silent
from tests.cloud.world import World
from tests.unit.aws.scripted import Asked, Time, answer

PAYLOAD = AnswerPayload(name="drawn.png", body=b"picture", content_type="image/png")
HERE = answer(0.1, 0.7, 0.2)


def checked(there: bytes, here: bytes = HERE) -> Any:
    return verify(Asked(Time(), lambda: there), payload=PAYLOAD, expected=here, progress=Silent())


def test_the_same_answer_is_the_same_whatever_its_clock_says() -> None:
    found = checked(answer(0.1, 0.7, 0.2, seconds=9.0))
    assert list(found.best) == ["grade 1, label x"]
    assert found.difference == 0.0


def test_what_another_processor_rounds_otherwise_is_the_same() -> None:
    found = checked(answer(0.1005, 0.6995, 0.2))
    assert found.difference == pytest.approx(0.0005)


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (answer(0.7, 0.1, 0.2), "the best is grade 0, label x, and grade 1, label x here"),
        (answer(0.1, 0.69, 0.21), "the best is the same, but 0.01 off"),
        (answer(0.1, 0.9), "1 x 2 numbers, and 1 x 3 numbers here"),
        (b"<html>", "<html>"),
    ],
)
def test_another_answer_is_told_with_what_differs(there: bytes, why: str) -> None:
    with pytest.raises(DifferentAnswerError, match=why):
        checked(there)


def test_close_scores_with_another_best_one_are_another_answer() -> None:
    with pytest.raises(
        DifferentAnswerError, match="the best is grade 0, label x, and grade 1, label x here"
    ):
        checked(answer(0.5002, 0.4998), answer(0.4999, 0.5001))


def test_a_foreign_model_s_answer_is_compared_byte_by_byte() -> None:
    assert checked(b"cat", b"cat").best is None
    with pytest.raises(DifferentAnswerError):
        checked(b"cat", b"dog")


def test_bare_rows_of_numbers_are_an_answer() -> None:
    found = read_answer(b"[[0.1, 0.9], [0.8, 0.2]]")
    assert found is not None
    assert list(found.best) == ["score 1", "score 0"]
    single = read_answer(b"[0.1, 0.9]")
    assert single is not None
    assert list(single.best) == ["score 1"]
    assert read_answer(b"[]") is None
    assert read_answer(b"{}") is None
    assert read_answer(b'{"predictions": [{"probabilities": "x"}]}') is None
    assert read_answer(b'{"predictions": [1]}') is None


def test_a_prediction_s_scores_are_found_whatever_its_task_calls_them() -> None:
    found = read_answer(b'{"predictions": [{"items": [7, 3], "scores": [0.75, 0.25]}]}')
    assert found is not None
    assert found.scores == [[0.75, 0.25]]


def test_ranked_scores_are_the_same_answer_only_for_the_same_item() -> None:
    def ranked(item: int) -> bytes:
        return json.dumps(
            {"predictions": [{"item": item, "items": [item, 3], "scores": [0.75, 0.25]}]}
        ).encode()

    assert list(checked(ranked(7), ranked(7)).best) == ["item 7"]
    with pytest.raises(DifferentAnswerError, match="the best is item 8, and item 7 here"):
        checked(ranked(8), ranked(7))


def test_an_endpoint_that_still_starts_is_asked_again() -> None:
    def starting() -> bytes:
        raise NotNowError("starting")

    endpoint = Asked(Time(), starting, starting, lambda: HERE)
    said = patiently(endpoint, b"picture", "image/png", sleep=lambda _: None)
    assert said == HERE
    assert len(endpoint.at) == 3


def test_one_that_never_starts_is_given_up() -> None:
    def starting() -> bytes:
        raise NotNowError("starting")

    with pytest.raises(NotNowError):
        patiently(
            Asked(Time(), starting), b"picture", "image/png", give_up_s=0, sleep=lambda _: None
        )


@pytest.mark.parametrize(
    ("code", "status"), [("ModelNotReadyException", 429), ("ThrottlingException", 400)]
)
def test_what_aws_says_of_one_that_starts_is_understood_and_not_repeated_in_silence(
    world: World, code: str, status: int
) -> None:
    world.faults.refuse("sagemaker:InvokeEndpoint", code, "wait", status=status)
    with open_session() as aws, pytest.raises(NotNowError, match=code):
        AwsEndpoint(aws, "inference-lab-test").invoke(b"picture", "image/png")
    assert len(world.faults.calls) == 1


def test_a_model_s_error_is_told_as_one(world: World) -> None:
    world.faults.refuse("sagemaker:InvokeEndpoint", "ModelError", "it broke", status=424)
    with open_session() as aws, pytest.raises(CallError, match="it broke") as caught:
        AwsEndpoint(aws, "inference-lab-test").invoke(b"picture", "image/png")
    assert caught.value.kind is ErrorKind.MODEL


def test_the_payload_is_the_user_s_file(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"jpeg")
    found = payload_of("retinopathy-mobilenet", file)
    assert (found.name, found.body, found.content_type) == ("photo.jpg", b"jpeg", "image/jpeg")
    assert payload_of("x", file, content_type="image/png").content_type == "image/png"


def test_a_payload_that_cannot_be_sent_is_the_user_s_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--content-type"):
        payload_of("retinopathy-mobilenet", tmp_path / "photo")
    with pytest.raises(UsageError, match="cannot be read"):
        payload_of("retinopathy-mobilenet", tmp_path / "photo.jpg")


def test_an_answer_reads_as_the_lab_s_server_gives_it() -> None:
    said = json.loads(HERE)
    assert read_answer(json.dumps(said).encode()) == read_answer(HERE)


def tensors(**said: object) -> bytes:
    return json.dumps({**said, "prediction_seconds": 0.1, "model": "theirs"}).encode()


@pytest.mark.parametrize(
    "said",
    [
        {"predictions": [-2599.40, 3.0]},
        {"predictions": [[[1, 2.5]], [[3, 4.5]]]},
        {"predictions": [{"a": 1, "b": [[0.5]]}]},
        {"outputs": {"a": [1, 2], "b": 0.5}},
    ],
)
def test_named_tensors_are_compared_number_by_number(said: dict[str, object]) -> None:
    assert checked(tensors(**said), tensors(**said)).difference == 0.0
    other = json.loads(json.dumps(said).replace("5", "6"))
    with pytest.raises(DifferentAnswerError):
        checked(tensors(**said), tensors(**other))


def test_large_numbers_may_differ_by_their_last_bits() -> None:
    here, there = tensors(predictions=[-2599.40015]), tensors(predictions=[-2599.40300])
    found = checked(there, here)
    assert found.best is None
    assert 0 < found.difference < 1e-5


def test_what_is_no_number_is_the_same_only_as_itself() -> None:
    for said in ("NaN", "Infinity"):
        assert checked(tensors(predictions=[said]), tensors(predictions=[said])).difference == 0.0
        with pytest.raises(DifferentAnswerError):
            checked(tensors(predictions=[said]), tensors(predictions=[1.5]))
