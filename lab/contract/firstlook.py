"""The first look at an image: whether it starts and answers, how long and how large, in a minute.

The same rules on the same session as the whole check; those that need a container of their own
are tried as far as the minute allows.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from lab.contract.check import attempt, entries, watched
from lab.contract.model import RuleFinding, Verdict, Verdicts
from lab.contract.running.container import CannotTry
from lab.contract.running.readiness import NeverReady
from lab.contract.running.session import Session
from lab.images.sizes import LayerSize, image_record
from lab.progress import Progress

WITHIN_S: Final = 60.0

_ALWAYS: Final = (
    "image-size",
    "entry-point",
    "serve",
    "port",
    "start-time",
    "ping",
    "invocation",
    "keeps-running",
)
_AS_TIME_ALLOWS: Final = (
    "ping-loaded",
    "payload-4mb",
    "payload-6mb",
    "concurrent",
    "sigterm-arrives",
    "sigterm",
    "non-root",
    "read-only-root",
)
"""The likeliest to break first; the last are what serverless asks for."""

_LATER: Final = 5
_STARTS, _ANSWERS = 1.5, 8
"""What one of them may take: so many starts and answers like the first."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the first prediction and the later ones took, in seconds."""

    first_s: float
    later_s: float


@dataclass(frozen=True, kw_only=True)
class FirstLook:
    """What a minute shows of an image."""

    verdicts: Verdicts
    layers: Sequence[LayerSize]
    unpacked_bytes: int
    ready_s: float | None
    """From the order to start to the first 200 of ``/ping``; None when there was none."""
    answers: Answers | None
    """None when there was no good one."""
    peak_memory_bytes: int | None
    untried: Sequence[str]
    """Rules for which the minute was too short."""

    @property
    def to_mend(self) -> Sequence[RuleFinding]:
        """What is not well, what is broken first; in each, in the order of the rules."""
        found = self.verdicts.findings
        return [
            one
            for verdict in (Verdict.FAIL, Verdict.WARN)
            for one in found
            if one.verdict is verdict
        ]


def look(session: Session, progress: Progress, *, within_s: float = WITHIN_S) -> FirstLook:
    """Try what matters most, for about so long; the caller closes the session."""
    subject = session.subject
    record = image_record(
        session.where.engine, None, subject.image, subject.platform, ref=subject.image
    )
    untried = []
    by_name = {entry.rule.id: entry for entry in entries()}
    with (
        watched(session, f"A first look at {subject.image}", progress),
        progress.step(f"Trying {subject.image}") as step,
    ):
        begin = time.monotonic()
        for number, name in enumerate((*_ALWAYS, *_AS_TIME_ALLOWS)):
            step.advance(number, len(_ALWAYS) + len(_AS_TIME_ALLOWS))
            step.detail(by_name[name].rule.title)
            passed = time.monotonic() - begin
            if name in _AS_TIME_ALLOWS and passed + _estimate_s(session) > within_s:
                untried.append(name)
                continue
            found = attempt(by_name[name], session)
            session.findings += [] if found is None else [found]
        answers = _answers(session)
    running = session.base_if_ready()
    usage = None if running is None else running.container.usage()
    return FirstLook(
        verdicts=Verdicts(
            image=subject.image,
            platform=subject.platform,
            findings=tuple(session.findings),
            seconds=time.monotonic() - begin,
            emulated=session.emulated,
        ),
        layers=record.layers,
        unpacked_bytes=record.unpacked_bytes,
        ready_s=None if running is None else running.ready_s,
        answers=answers,
        peak_memory_bytes=None if usage is None else usage.peak_memory_bytes,
        untried=untried,
    )


def _estimate_s(session: Session) -> float:
    """What a rule with a container of its own may take; 0 where it would be skipped at once."""
    running = session.base_if_ready()
    if running is None:
        return 0.0
    sample = session.sample_if_any()
    answer_s = 0.0 if sample is None else sample.first.seconds
    return _STARTS * running.ready_s + _ANSWERS * answer_s


def _answers(session: Session) -> Answers | None:
    try:
        sample = session.sample()
        later = [session.base().predict(sample) for _ in range(_LATER)]
    except (CannotTry, NeverReady):
        return None
    good = [one.seconds for one in later if one.good]
    return Answers(first_s=sample.first.seconds, later_s=median(good)) if good else None
