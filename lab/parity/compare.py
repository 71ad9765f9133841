"""Two platforms' answers to the same pictures, compared. Pure.

Both run the same float32 arithmetic in another order (other vector units, other kernels), so they
differ in the last bits of each layer: some 1e-6 of a probability. 1e-3 leaves room for kernels that
sum in lower precision and catches what is really wrong: another resize, another byte order, a
fallback to reduced precision. A picture right between two grades may tip over to either, hence not
every grade need agree, but 99 in 100.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.errors import LabError
from lab.parity.record import Bounds, ParityComparison, PictureResult, Side

BOUNDS: Final = Bounds(max_abs_difference=1e-3, least_agreement=0.99)


class ParityError(LabError):
    """The platforms of an image do not give the same answers."""

    exit_code = 14


@dataclass(frozen=True, kw_only=True)
class ImageAnswer:
    """What a container said of one picture: a probability for each label, and the grade."""

    grade: int
    probabilities: Sequence[float]


def parse(body: bytes, *, of: str) -> ImageAnswer:
    """An answer from its JSON; ``of`` says what was asked. Raises ``ParityError``."""
    try:
        content: Mapping[str, Any] = json.loads(body)
        (prediction,) = content["predictions"]
        answer = ImageAnswer(
            grade=int(prediction["grade"]),
            probabilities=tuple(float(one) for one in prediction["probabilities"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        said = body[:200].decode(errors="replace")
        raise ParityError(f"The answer to {of} is not one prediction: {said}") from error
    if not answer.probabilities or not all(math.isfinite(one) for one in answer.probabilities):
        raise ParityError(f"The answer to {of} holds no probabilities: {answer.probabilities}")
    return answer


def compare(
    names: Sequence[str], reference: Sequence[ImageAnswer], compared: Sequence[ImageAnswer]
) -> Sequence[PictureResult]:
    """Picture by picture, in the order sent. Raises ``ParityError`` for unlike answers."""
    return [
        PictureResult(
            name=name,
            max_abs_difference=_difference(name, one.probabilities, other.probabilities),
            reference_grade=one.grade,
            compared_grade=other.grade,
        )
        for name, one, other in zip(names, reference, compared, strict=True)
    ]


def words(results: Sequence[PictureResult]) -> str:
    """What there is to say while further answers are awaited; nothing of no results."""
    if not results:
        return ""
    unlike = sum(one.reference_grade != one.compared_grade for one in results)
    apart = max(one.max_abs_difference for one in results)
    return f": at most {apart:.1e} apart, {unlike} graded otherwise"


def summarise(
    results: Sequence[PictureResult],
    *,
    variant: str,
    archive: tuple[str, str],
    sides: tuple[Side, Side],
    reference: Sequence[ImageAnswer],
    bounds: Bounds = BOUNDS,
) -> ParityComparison:
    """The figures of one variant; ``archive`` is the runtime's name and the sha256."""
    worst = max(results, key=lambda one: one.max_abs_difference)
    agreeing = sum(one.reference_grade == one.compared_grade for one in results)
    found = ParityComparison(
        variant=variant,
        archive=archive[0],
        archive_sha256=archive[1],
        reference=sides[0],
        compared=sides[1],
        pictures=tuple(results),
        max_abs_difference=worst.max_abs_difference,
        worst=worst.name,
        agreement=agreeing / len(results),
        spread=_spread(reference),
        passed=True,
    )
    return found.model_copy(update={"passed": broken(found, bounds) is None})


def broken(found: ParityComparison, bounds: Bounds = BOUNDS) -> str | None:
    """Which bound is broken, in words; None if none is."""
    if found.max_abs_difference > bounds.max_abs_difference:
        return (
            f"{found.variant}: the probabilities differ by up to {found.max_abs_difference:.2g} "
            f"(at {found.worst}), and {bounds.max_abs_difference:g} is allowed"
        )
    if found.agreement < bounds.least_agreement:
        unlike = [one for one in found.pictures if one.reference_grade != one.compared_grade]
        worst = max(unlike, key=lambda one: one.max_abs_difference)
        return (
            f"{found.variant}: {len(unlike)} of {len(found.pictures)} pictures got another grade "
            f"({worst.name}: {worst.reference_grade} and {worst.compared_grade})"
        )
    if len(found.pictures) > 1 and found.spread <= bounds.max_abs_difference:
        return (
            f"{found.variant}: the model says the same of every picture (within "
            f"{found.spread:.2g}), so that equal answers prove nothing"
        )
    return None


def refuse_broken(found: Sequence[ParityComparison], bounds: Bounds = BOUNDS) -> None:
    """Raise ``ParityError`` that names what is beyond the bounds, and at which picture."""
    said = [why for one in found if (why := broken(one, bounds)) is not None]
    if said:
        raise ParityError(
            "The platforms do not answer alike. " + "; ".join(said) + ".",
            remedy="Do not deploy one in place of the other; parity.json tells of every picture.",
        )


def _difference(name: str, one: Sequence[float], other: Sequence[float]) -> float:
    if len(one) != len(other):
        raise ParityError(
            f"Of {name} one platform gave {len(one)} probabilities and the other {len(other)}.",
            remedy="See that both images are of the same checkout: `lab images build`.",
        )
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def _spread(answers: Sequence[ImageAnswer]) -> float:
    by_label = zip(*(one.probabilities for one in answers), strict=True)
    return max((max(label) - min(label) for label in by_label), default=0.0)
