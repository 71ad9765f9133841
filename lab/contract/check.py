"""All rules, in order: each tried, each isolated from the failures of the others and its own."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from lab import busy
from lab.contract.model import Judged, Rule, RuleFinding, Told, Tried, Verdict, Verdicts, rules
from lab.contract.rules import (
    conditions,
    entrypoint,
    image,
    invoke,
    kinds,
    lasting,
    manifest,
    memory,
    ping,
    secrets,
    sizes,
    start,
    stop,
)
from lab.contract.running.container import CannotTry
from lab.contract.running.readiness import NeverReady
from lab.contract.running.session import Session, Tries
from lab.errors import ArchiveError, LabError, UsageError
from lab.lock import heavy_work
from lab.progress import Progress
from lab.spec import Platform

_TRIES: Final[Tries] = {
    **image.TRIES,
    **manifest.TRIES,
    **entrypoint.TRIES,
    **secrets.TRIES,
    **start.TRIES,
    **ping.TRIES,
    **invoke.TRIES,
    **lasting.TRIES,
    **sizes.TRIES,
    **conditions.TRIES,
    **stop.TRIES,
    **memory.TRIES,
    **kinds.TRIES,
}

_SLOW: Final = frozenset({"Memory"})
"""Left out of a quick check."""

_BAD: Final = frozenset({Verdict.FAIL, Verdict.WARN})


@dataclass(frozen=True, kw_only=True)
class RuleEntry:
    """A rule, how it is tried, and under which heading it is shown."""

    rule: Rule
    attempt: Callable[[Session], Tried]
    section: str


def entries() -> Sequence[RuleEntry]:
    """Every rule, in the order in which they are tried and shown."""
    return [
        RuleEntry(rule=rule, attempt=_TRIES[rule.id], section=section)
        for section, under in rules().items()
        for rule in under
    ]


def chosen(only: Sequence[str], *, quick: bool, among: Sequence[RuleEntry]) -> Sequence[RuleEntry]:
    """The rules that were asked for. Raises ``UsageError`` for a name that is none."""
    names = {entry.rule.id for entry in among}
    for name in only:
        if name not in names:
            raise UsageError(
                f"There is no rule {name!r}.", remedy="`lab contract rules` lists them."
            )
    if only:
        return [entry for entry in among if entry.rule.id in only]
    return [entry for entry in among if not (quick and entry.section in _SLOW)]


def refused(
    image: str, platform: Platform | None, error: ArchiveError, wanted: Sequence[RuleEntry]
) -> Verdicts:
    """What comes of model data that SageMaker does not take: nothing was started for it."""
    (entry,) = (one for one in entries() if one.rule.id == start.MODEL_ARCHIVE)
    finding = RuleFinding(
        rule=entry.rule,
        verdict=Verdict.FAIL,
        seen=error.what,
        cure=error.remedy,
        section=entry.section,
    )
    untried = tuple(one.rule for one in wanted if one.rule.id != entry.rule.id)
    return Verdicts(image=image, platform=platform, findings=(finding,), untried=untried)


def run(session: Session, wanted: Sequence[RuleEntry], progress: Progress) -> Verdicts:
    """Try the rules on the session's image; the caller closes the session.

    Ctrl-C and SIGTERM cut it short: what is known by then is returned, and says so.
    """
    begin = time.monotonic()
    tried = 0
    cut_short = False
    try:
        with (
            watched(session, f"The contract check of {session.subject.image}", progress),
            progress.step(f"Checking {session.subject.image}") as step,
        ):
            begin = time.monotonic()
            for entry in wanted:
                step.advance(tried, len(wanted))
                step.detail(entry.rule.title)
                found = attempt(entry, session)
                session.findings += [] if found is None else [found]
                tried += 1
    except KeyboardInterrupt:
        cut_short = True
    return Verdicts(
        image=session.subject.image,
        platform=session.subject.platform,
        findings=tuple(session.findings),
        seconds=time.monotonic() - begin,
        emulated=session.emulated,
        untried=tuple(entry.rule for entry in wanted[tried:]),
        cut_short=cut_short,
    )


@contextmanager
def watched(session: Session, what: str, progress: Progress) -> Iterator[None]:
    """Try rules in this block: no bench of the lab's measures meanwhile, and whether others kept
    the machine busy is looked at and said.
    """
    with heavy_work(what, progress):
        session.begin()
        taken = session.watching()
        yield
        use = taken()
        if use is not None:
            progress.note(f"The machine was busy: {busy.told(use)}. What took long is not judged.")


def attempt(entry: RuleEntry, session: Session) -> RuleFinding | None:
    """Try one rule; None if it does not apply.

    What goes wrong with the check itself is a skip, in its own words; so is what is broken by the
    clock alone while others kept the machine busy.
    """
    begin = time.monotonic()
    session.about_time = False
    taken = session.watching()
    told = _try(entry, session)
    if told is not None and told.verdict in _BAD and session.about_time:
        use = taken()
        if use is not None:
            told = _without_time(told, entry, session, busy.told(use))
    if told is None:
        return None
    return RuleFinding(
        rule=entry.rule,
        verdict=told.verdict,
        seen=told.seen,
        data=told.data,
        cure=told.change,
        log=told.log,
        not_for=told.not_for,
        up_to_bytes=told.up_to_bytes,
        section=entry.section,
        seconds=time.monotonic() - begin,
    )


def _without_time(told: Told, entry: RuleEntry, session: Session, by: str) -> Told:
    """What a broken rule comes to when no time is judged: itself, or a skip."""
    with session.lenient():
        again = _try(entry, session)
    if again is not None and again.verdict in _BAD:
        return told
    seen = f"{told.seen} ({busy.NOT_JUDGED}; {by})"
    return Told(verdict=Verdict.SKIP, seen=seen, data=told.data)


def _try(entry: RuleEntry, session: Session) -> Told | None:
    try:
        tried = entry.attempt(session)
    except CannotTry as error:
        tried = _skip(str(error))
    except NeverReady as error:
        tried = _skip(f"a container did not get ready: {error}")
    except LabError as error:
        tried = _skip(f"it cannot be tried here: {error.what}")
    except Exception as error:  # noqa: BLE001 - one rule's bug must not cost the others' findings
        tried = _skip(f"the check itself failed: {type(error).__name__}: {error}")
    return None if tried is None else _told(tried)


def _told(tried: Told | Judged | tuple[Verdict, str, Any]) -> Told:
    if isinstance(tried, Told):
        return tried
    verdict, seen, *data = tried
    return Told(verdict=verdict, seen=seen, data=data[0] if data else None)


def _skip(why: str) -> Judged:
    return Verdict.SKIP, " ".join(why.split())
