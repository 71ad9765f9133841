"""Two platforms' answers to the same inputs, compared. Pure.

Both run the same float32 arithmetic in another order (other vector units, other kernels), so they
differ in the last bits of each layer. How much a model's scores may differ, and how seldom the
label that they decide, is the model's to say: its card's ``tolerance``.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.artifacts.store import AnswerTolerance
from lab.errors import LabError
from lab.parity.record import Bounds, InputResult, ParityComparison, Side


class ParityError(LabError):
    """The platforms of an image do not give the same answers."""

    exit_code = 14


@dataclass(frozen=True, kw_only=True)
class ModelAnswer:
    """What a container said of one input: its scores, and the label that they decide."""

    label: str
    scores: Sequence[float]


def parse(body: bytes, tolerance: AnswerTolerance, *, of: str) -> ModelAnswer:
    """An answer from its JSON; ``of`` says what was asked. Raises ``ParityError``."""
    try:
        content: Mapping[str, Any] = json.loads(body)
        (prediction,) = content["predictions"]
        answer = ModelAnswer(
            label=str(prediction[tolerance.label]),
            scores=tuple(float(one) for one in prediction[tolerance.scores]),
        )
    except (ValueError, KeyError, TypeError) as error:
        said = body[:200].decode(errors="replace")
        raise ParityError(f"The answer to {of} is not one prediction: {said}") from error
    if not answer.scores or not all(math.isfinite(one) for one in answer.scores):
        raise ParityError(f"The answer to {of} holds no {tolerance.scores}: {answer.scores}")
    return answer


def compare(
    names: Sequence[str], reference: Sequence[ModelAnswer], compared: Sequence[ModelAnswer]
) -> Sequence[InputResult]:
    """Input by input, in the order sent. Raises ``ParityError`` for unlike answers."""
    return [
        InputResult(
            name=name,
            max_abs_difference=_difference(name, one.scores, other.scores),
            reference_label=one.label,
            compared_label=other.label,
        )
        for name, one, other in zip(names, reference, compared, strict=True)
    ]


def words(results: Sequence[InputResult]) -> str:
    """What there is to say while further answers are awaited; nothing of no results."""
    if not results:
        return ""
    unlike = sum(one.reference_label != one.compared_label for one in results)
    apart = max(one.max_abs_difference for one in results)
    return f": at most {apart:.1e} apart, {unlike} labelled otherwise"


def summarise(
    results: Sequence[InputResult],
    *,
    variant: str,
    archive: tuple[str, str],
    sides: tuple[Side, Side],
    reference: Sequence[ModelAnswer],
    bounds: Bounds,
) -> ParityComparison:
    """The figures of one variant; ``archive`` is the runtime's name and the sha256."""
    worst = max(results, key=lambda one: one.max_abs_difference)
    agreeing = sum(one.reference_label == one.compared_label for one in results)
    found = ParityComparison(
        variant=variant,
        archive=archive[0],
        archive_sha256=archive[1],
        reference=sides[0],
        compared=sides[1],
        inputs=tuple(results),
        max_abs_difference=worst.max_abs_difference,
        worst=worst.name,
        agreement=agreeing / len(results),
        spread=_spread(reference),
        passed=True,
    )
    return found.model_copy(update={"passed": broken(found, bounds) is None})


def broken(found: ParityComparison, bounds: Bounds) -> str | None:
    """Which bound is broken, in words; None if none is."""
    if found.max_abs_difference > bounds.max_abs_difference:
        return (
            f"{found.variant}: the scores differ by up to {found.max_abs_difference:.2g} "
            f"(at {found.worst}), and {bounds.max_abs_difference:g} is allowed"
        )
    if found.agreement < bounds.least_agreement:
        unlike = [one for one in found.inputs if one.reference_label != one.compared_label]
        worst = max(unlike, key=lambda one: one.max_abs_difference)
        return (
            f"{found.variant}: {len(unlike)} of {len(found.inputs)} inputs got another label "
            f"({worst.name}: {worst.reference_label} and {worst.compared_label})"
        )
    if len(found.inputs) > 1 and found.spread <= bounds.max_abs_difference:
        return (
            f"{found.variant}: the model says the same of every input (within "
            f"{found.spread:.2g}), so that equal answers prove nothing"
        )
    return None


def refuse_broken(found: Sequence[ParityComparison], bounds: Bounds) -> None:
    """Raise ``ParityError`` that names what is beyond the bounds, and at which input."""
    said = [why for one in found if (why := broken(one, bounds)) is not None]
    if said:
        raise ParityError(
            "The platforms do not answer alike. " + "; ".join(said) + ".",
            remedy="Do not deploy one in place of the other; parity.json tells of every input.",
        )


def _difference(name: str, one: Sequence[float], other: Sequence[float]) -> float:
    if len(one) != len(other):
        raise ParityError(
            f"Of {name} one platform gave {len(one)} scores and the other {len(other)}.",
            remedy="See that both images are of the same checkout: `lab images build`.",
        )
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def _spread(answers: Sequence[ModelAnswer]) -> float:
    by_score = zip(*(one.scores for one in answers), strict=True)
    return max((max(score) - min(score) for score in by_score), default=0.0)
