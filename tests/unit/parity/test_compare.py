"""Figures, bounds and words of a comparison, from answers made up for it."""

import json
import math
from collections.abc import Sequence

import pytest

from lab.artifacts.store import AnswerTolerance
from lab.parity.compare import (
    ModelAnswer,
    ParityError,
    broken,
    compare,
    parse,
    refuse_broken,
    summarise,
)
from lab.parity.record import Bounds, ParityComparison, Side
from lab.spec import Platform

SIDES = (
    Side(platform=Platform.AMD64, image="lab/x:amd64", image_id="sha256:a", emulated=False),
    Side(platform=Platform.ARM64, image="lab/x:arm64", image_id="sha256:b", emulated=True),
)
TOLERANCE = AnswerTolerance(
    label="grade", scores="probabilities", max_abs_difference=1e-3, least_agreement=0.99
)
BOUNDS = Bounds(max_abs_difference=1e-3, least_agreement=0.99)
LOW, HIGH = (0.9, 0.1), (0.1, 0.9)


def answers(*probabilities: Sequence[float]) -> list[ModelAnswer]:
    return [ModelAnswer(label=str(one.index(max(one))), scores=one) for one in probabilities]


def comparison(reference: list[ModelAnswer], compared: list[ModelAnswer]) -> ParityComparison:
    names = [f"{number}.png" for number in range(len(reference))]
    return summarise(
        compare(names, reference, compared),
        variant="onnx",
        archive=("onnx", "abc"),
        sides=SIDES,
        reference=reference,
        bounds=BOUNDS,
    )


def test_the_largest_difference_of_any_score_of_any_input_counts_and_is_named() -> None:
    found = comparison(answers(LOW, HIGH, LOW), answers(LOW, (0.1004, 0.8996), (0.8999, 0.1)))
    assert found.max_abs_difference == pytest.approx(4e-4)
    assert found.worst == "1.png"
    assert [one.max_abs_difference for one in found.inputs] == pytest.approx([0, 4e-4, 1e-4])
    assert found.agreement == 1
    assert found.passed


def test_a_difference_beyond_a_thousandth_fails_even_if_every_grade_agrees() -> None:
    found = comparison(answers(LOW, HIGH), answers(LOW, (0.1011, 0.8989)))
    assert (found.passed, found.agreement) == (False, 1)
    with pytest.raises(ParityError, match=r"onnx: .*differ by up to 0.0011 \(at 1.png\)") as caught:
        refuse_broken([found], BOUNDS)
    assert caught.value.exit_code == 14
    assert caught.value.remedy


def test_one_input_in_a_hundred_may_tip_over_to_another_label() -> None:
    edge, tipped = (0.50001, 0.49999), (0.49999, 0.50001)
    reference = answers(*[LOW, HIGH] * 49, LOW, edge)
    compared = answers(*[LOW, HIGH] * 49, LOW, tipped)
    assert len(reference) == 100
    found = comparison(reference, compared)
    assert found.agreement == 0.99
    assert found.passed


def test_two_in_a_hundred_may_not_and_the_worst_of_them_is_named() -> None:
    edge, tipped = (0.50001, 0.49999), (0.49999, 0.50001)
    sharp, fallen = (0.5004, 0.4996), (0.4999, 0.5001)
    found = comparison(
        answers(*[LOW, HIGH] * 49, edge, sharp), answers(*[LOW, HIGH] * 49, tipped, fallen)
    )
    assert not found.passed
    assert broken(found, BOUNDS) == "onnx: 2 of 100 inputs got another label (99.png: 0 and 1)"


def test_a_model_that_says_the_same_of_everything_proves_nothing() -> None:
    same = answers(*[(0.2,) * 5] * 4)
    found = comparison(same, same)
    assert (found.max_abs_difference, found.agreement) == (0, 1)
    assert not found.passed
    with pytest.raises(ParityError, match="says the same of every input"):
        refuse_broken([found], BOUNDS)


def test_every_comparison_beyond_the_bounds_is_named() -> None:
    good = comparison(answers(LOW, HIGH), answers(LOW, HIGH))
    bad = comparison(answers(LOW, HIGH), answers(HIGH, LOW))
    refuse_broken([good], BOUNDS)
    with pytest.raises(ParityError) as caught:
        refuse_broken([bad, good, bad.model_copy(update={"variant": "slim"})], BOUNDS)
    assert caught.value.what.count("differ by up to 0.8") == 2
    assert "slim:" in caught.value.what


def test_answers_of_unlike_length_cannot_be_compared() -> None:
    with pytest.raises(ParityError, match="gave 2 scores and the other 3"):
        compare(["a"], answers(LOW), answers((0.1, 0.2, 0.7)))


def body(**prediction: object) -> bytes:
    return json.dumps({"predictions": [prediction]}).encode()


def test_an_answer_is_read_from_the_services_json() -> None:
    answer = parse(body(grade=1, label="mild", probabilities=[0.25, 0.75]), TOLERANCE, of="a.png")
    assert answer == ModelAnswer(label="1", scores=(0.25, 0.75))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"no JSON", "is not one prediction: no JSON"),
        (b"[]", "is not one prediction"),
        (json.dumps({"predictions": []}).encode(), "is not one prediction"),
        (json.dumps({"predictions": [{"grade": 1}]}).encode(), "is not one prediction"),
        (body(grade=0, probabilities=[]), "holds no probabilities"),
        (body(grade=0, probabilities=[math.nan, 1.0]), "holds no probabilities"),
        (body(grade=0, probabilities=[math.inf, 0.0]), "holds no probabilities"),
    ],
)
def test_what_is_no_answer_is_told_with_the_input(said: bytes, why: str) -> None:
    """Not a number is never larger than a bound: it must not get as far as the comparison."""
    with pytest.raises(ParityError, match=f"The answer to a.png by lab/x {why}"):
        parse(said, TOLERANCE, of="a.png by lab/x")
