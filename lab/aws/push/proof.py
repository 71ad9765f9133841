"""After a push: whether the endpoint answers as the same container does on this machine."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan
from pathlib import Path, PurePosixPath
from typing import Final

from lab.artifacts.archive import unpacked
from lab.aws.answers import AnswerPayload, ExpectedAnswer, read_answer
from lab.aws.invoke import ANSWER, Endpoint, patiently
from lab.aws.model import AwsError
from lab.engine.api import ContainerSpec, Engine
from lab.progress import Progress
from lab.spec import LABEL_OWNER, LABEL_ROLE, EngineKind, Platform
from lab.start.serving import serving

TOLERANCE: Final = 1e-3
"""The largest difference of a score that processors of different makers may explain."""

_SHOWN: Final = 200
_ROLE: Final = "push"
_READY_S: Final = 600.0
"""Long enough for an image of another processor, which is emulated."""

_ANSWER_S: Final = 120.0


@dataclass(frozen=True, kw_only=True)
class Verified:
    """Two answers that are the same."""

    payload: str
    best: Sequence[str] | None
    """What the scores decide, an input each; None for answers that are not the lab's, which are
    compared byte by byte."""
    difference: float
    """The largest of a score; 0 for equal bytes."""


class DifferentAnswerError(AwsError):
    """The endpoint answers, but not what the container answers here."""


def verify(
    endpoint: Endpoint, *, payload: AnswerPayload, expected: bytes, progress: Progress
) -> Verified:
    """Ask the endpoint and compare: the same best, scores within ``TOLERANCE``.

    ``expected`` is what the container answers on this machine. Raises ``DifferentAnswerError``,
    ``NotNowError`` or what the call raises.
    """
    with progress.step(f"Ask {endpoint.name} about {payload.name}"):
        said = patiently(endpoint, payload.body, payload.content_type)
    there, here = read_answer(said), read_answer(expected)
    if there is None or here is None:
        if said != expected:
            raise _different(endpoint, f"{said[:_SHOWN]!r}, and {expected[:_SHOWN]!r} here")
        return Verified(payload=payload.name, best=None, difference=0.0)
    difference = _difference(there, here)
    if difference is None:
        raise _different(
            endpoint,
            f"{_shape(there)}, and {_shape(here)} here: another model or another version",
        )
    if list(there.best) != list(here.best):
        raise _different(
            endpoint,
            f"the best is {'; '.join(there.best)}, and {'; '.join(here.best)} here "
            f"(largest difference {difference:.2g})",
        )
    if difference > TOLERANCE:
        raise _different(
            endpoint,
            f"the best is the same, but {difference:.2g} off (at most {TOLERANCE:g} is fair)",
        )
    return Verified(payload=payload.name, best=there.best or None, difference=difference)


def _difference(there: ExpectedAnswer, here: ExpectedAnswer) -> float | None:
    """The largest difference of two numbers in the same place; None for another shape.

    Of numbers beyond 1, which no share is, the relative one.
    """
    pairs = list(zip(there.scores, here.scores, strict=False))
    if len(there.scores) != len(here.scores):
        return None
    if any(len(one) != len(other) for one, other in pairs):
        return None
    return max(
        _apart(first, second)
        for one, other in pairs
        for first, second in zip(one, other, strict=True)
    )


def _apart(first: float, second: float) -> float:
    if first == second or (isnan(first) and isnan(second)):
        return 0.0
    found = abs(first - second) / max(1.0, abs(second))
    return inf if isnan(found) else found


def _different(endpoint: Endpoint, how: str) -> DifferentAnswerError:
    return DifferentAnswerError(
        f"{endpoint.name} does not answer as the container does: {how}.",
        remedy="See which image and archive it serves; `lab push aws` brings it up to date.",
    )


def _shape(answer: ExpectedAnswer) -> str:
    return f"{len(answer.scores)} x {len(answer.scores[0])} numbers"


def local_answer(
    engine: Engine,
    *,
    image: str,
    archive: Path,
    payload: AnswerPayload,
    platform: Platform | None = None,
    progress: Progress,
) -> bytes:
    """Start the image with the archive's model, ask it once, and remove it.

    Raises ``ContainerFailedError`` with the container's last lines, ``ArchiveError`` or an
    ``EngineError``.
    """
    processes = engine.kind is EngineKind.PROCESS
    with progress.step(f"Ask {image} on this machine"), unpacked(archive) as model:
        spec = ContainerSpec(
            image=image,
            model_dir=PurePosixPath(model),
            labels={LABEL_ROLE: _ROLE, LABEL_OWNER: f"{_ROLE}-{os.getpid()}"},
            publish=None if processes else 0,
            platform=None if processes else platform,
        )
        with serving(engine, spec, within_s=_READY_S) as served:
            return served.invoke(
                payload.body,
                payload.content_type,
                accept=ANSWER,
                name=payload.name,
                timeout_s=_ANSWER_S,
            )
