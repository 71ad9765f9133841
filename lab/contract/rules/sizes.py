"""The rules about size: which bodies the server takes, and how large its answers are.

A body is judged beside a small one: where that is refused, too, size is not the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from lab.contract.fitness import MULTI_MODEL, REAL_TIME, SERVERLESS, body_words
from lab.contract.model import RuleFinding, Told, Tried, Verdict
from lab.contract.rules.start import dead
from lab.contract.running.calls import HttpCall
from lab.contract.running.container import CannotTry, LargestAnswer, NotAnswered, cause_of_death
from lab.contract.running.session import Session, Tries
from lab.start.cause import errors_of
from lab.units import format_bytes

_MIB: Final = 1024 * 1024
_KIB: Final = 1024
_LEAST: Final = 1024
_TOO_LARGE: Final = 413

_SERVERLESS: Final = 4 * _MIB
_REAL_TIME: Final = 6 * _MIB
_REAL_TIME_NEWER: Final = 25 * _MIB
"""AWS's limits of an answer, which are those of a request; of 6 and 25 MB its own pages say both.
"""

_LIMITS: Final = {
    "express": "Raise the limit of Express: express.json({limit: '6mb'}), express.raw likewise.",
    "payloadtoolarge": "Raise the limit of the body parser: express.json({limit: '6mb'}) in Node.",
    "nginx": "Raise client_max_body_size in nginx's configuration (6m or more; 0 is no limit).",
    "werkzeug": "Raise MAX_CONTENT_LENGTH in the Flask application's configuration.",
    "jetty": "Raise the server's limit of a request: maxFormContentSize, or the framework's own.",
    "aiohttp": "Raise client_max_size of aiohttp's web.Application.",
}
"""By what a server calls itself in its answer."""

_SLOW: Final = (
    "No limit of size is in the way: the server works on a body of this size for longer than "
    "SageMaker waits. Let its work depend less on the body's size, or use an asynchronous "
    "endpoint."
)
_CLOSED: Final = (
    "Raise the server's own limit, and let it answer 413 to what is larger: a connection that is "
    "closed without an answer tells the caller nothing. If a process ended, the log says of what."
)
_ERROR: Final = (
    "A small body is answered well: see in the container's log what fails at a large one (a limit "
    "of the framework's, memory, a parser), and mend it."
)


@dataclass(frozen=True, kw_only=True)
class PayloadSize:
    """A limit of SageMaker's for a request body."""

    mib: int
    needed: bool = True
    """Whether refusing it breaks the contract: of 6 and 25 MB AWS's own pages say both."""

    @property
    def rule(self) -> str:
        """The name of the rule that the server takes it."""
        return f"payload-{self.mib}mb"


SIZES: Final = (PayloadSize(mib=4), PayloadSize(mib=6), PayloadSize(mib=25, needed=False))


def refused(answer: HttpCall, *, harmless: bool) -> bool:
    """Whether a body was refused for its size, where a small one is answered.

    ``harmless``: what it was filled up with changes nothing of what it says, so that any other
    answer than the small one's is about its size.
    """
    if answer.status is None:
        return not answer.late
    return answer.status == _TOO_LARGE or (harmless and 400 <= answer.status < 500)


def alike(small: HttpCall, large: HttpCall) -> bool:
    """Whether it makes no difference how large the body is, and neither is answered as it should:
    a 4xx about what is in it will do.
    """
    bad = large.status is None or large.status >= 500 or large.status == _TOO_LARGE
    return bad and small.status == large.status


def judge_size(
    answer: HttpCall,
    size: PayloadSize,
    *,
    harmless: bool = False,
    takes: int = 0,
    emulated: bool = False,
) -> Told:
    """A large body: any answer about its content will do, one about its size will not.

    ``takes``: the largest body in bytes that is taken, where this one is refused. ``emulated``:
    that nobody waited for the answer any longer says nothing.
    """
    seen = f"{size.mib} MB: {answer.words}"
    broken = Verdict.FAIL if size.needed else Verdict.WARN
    if answer.late:
        return Told(verdict=Verdict.SKIP if emulated else broken, seen=seen, change=_SLOW)
    if refused(answer, harmless=harmless):
        seen += f"; it takes {body_words(takes)}"
        silent = answer.status is None
        return Told(
            verdict=broken if silent else Verdict.WARN,
            seen=seen,
            data={"takes_bytes": takes},
            change=_CLOSED if silent else limit_of_server(answer),
            up_to_bytes=takes if size.needed else None,
        )
    if answer.status is not None and answer.status >= 500:
        return Told(verdict=Verdict.WARN, seen=seen, change=_ERROR)
    return Told(verdict=Verdict.PASS, seen=seen)


def limit_of_server(answer: HttpCall) -> str:
    """How to raise the limit of the server that refused a body, as far as its answer names it."""
    named = {
        **{name: answer.headers.get(name, "") for name in ("server", "x-powered-by")},
        "said": answer.said,
    }
    said = " ".join(named.values()).lower()
    return next((cure for sign, cure in _LIMITS.items() if sign in said), "")


def largest_taken(taken: Callable[[int], bool], *, low: int, high: int) -> int:
    """The largest body in bytes that is taken, to the whole MB; below one, to a power of two in KB.

    ``low`` is taken and ``high`` refused.
    """
    below, above = low // _MIB, high // _MIB
    while above - below > 1:
        middle = (below + above) // 2
        if taken(middle * _MIB):
            below = middle
        else:
            above = middle
    if below:
        return below * _MIB
    size = _MIB // 2
    while size > max(low, _LEAST) and not taken(size):
        size //= 2
    return max(size, low)


def judge_answer(said: int, largest: LargestAnswer) -> Told:
    """The size of the answer to the sample, and of the largest one in the whole check."""
    seen = _size_words(said)
    data = {"bytes": said, "largest_bytes": largest.said_bytes}
    if said > _SERVERLESS:
        lost, limit = [SERVERLESS], "4 MB, the limit of serverless"
        if said > _REAL_TIME_NEWER:
            lost, limit = [SERVERLESS, REAL_TIME, MULTI_MODEL], "25 MB, the limit of real time"
        elif said > _REAL_TIME:
            limit = "4 MB, the limit of serverless, and of the 6 MB that some of AWS's pages allow"
        return Told(
            verdict=Verdict.FAIL, seen=f"{seen}, more than {limit}", data=data, not_for=lost
        )
    if largest.said_bytes > _SERVERLESS:
        seen += (
            f"; but {_size_words(largest.said_bytes)} to a body of "
            f"{_size_words(largest.asked_bytes)}: an answer grows with the request"
        )
        return Told(verdict=Verdict.WARN, seen=seen, data=data)
    return Told(verdict=Verdict.PASS, seen=seen, data=data)


def _size_words(size: int) -> str:
    """In the MB that SageMaker counts, where they matter."""
    return f"{size / _MIB:.1f} MB" if size >= _MIB else format_bytes(size)


def padded(body: bytes, content_type: str, size: int) -> bytes:
    """A body made as large as wanted, with what its reader is likely to ignore."""
    filler = b" " if "json" in content_type else b"\n" if "text" in content_type else b"\0"
    return body + filler * (size - len(body))


def _size(session: Session, size: PayloadSize) -> Tried:
    session.outlive_requests()
    smaller = [one for one in SIZES if one.mib < size.mib]
    broken = [one.rule for one in smaller if _limited(session.finding(one.rule))]
    if broken:
        raise CannotTry(f"less is refused already: see {broken[0]}")
    sample, base = session.sample_if_any(), session.base()
    kind = session.content_type()
    body = sample.body if sample is not None else b"0"
    count = size.mib * _MIB
    if len(body) > count:
        return Verdict.PASS, f"the payload itself has {format_bytes(len(body))}"
    small = sample.answer if sample is not None else _small(session, body, kind)

    def ask(count: int) -> HttpCall:
        return base.invoke(padded(body, kind, count), kind)

    answer = ask(count)
    if answer.late and not session.emulated:
        answer = ask(count)  # once may be the machine's own stall
    death = cause_of_death(base.container, "at a body of this size")
    if death is not None:
        seen = f"{size.mib} MB: {answer.words}; {death.message}"
        told = dead(death, seen=seen)
        return replace(told, change=told.change or _CLOSED)
    if alike(small, answer):
        raise CannotTry(f"a small body is answered no better ({small.words}): see invocation")
    harmless = small.good and "json" in kind
    takes = 0
    if refused(answer, harmless=harmless):
        passed = [one.mib * _MIB for one in smaller if session.verdict(one.rule) is Verdict.PASS]
        takes = largest_taken(
            lambda count: not refused(ask(count), harmless=harmless),
            low=max([len(body), *passed]),
            high=count,
        )
    told = judge_size(answer, size, harmless=harmless, takes=takes, emulated=session.emulated)
    told = replace(told, seen=session.timed(told.seen))
    if told.change not in {_ERROR, _CLOSED}:
        return told
    shown, log = errors_of(base.container)
    return replace(told, change=told.change if shown is None else shown.cure, log=log)


def _limited(finding: RuleFinding | None) -> bool:
    return finding is not None and (
        finding.verdict is Verdict.FAIL or finding.up_to_bytes is not None
    )


def _small(session: Session, body: bytes, kind: str) -> HttpCall:
    """What a small body is answered, where none is answered well."""
    try:
        session.answered()
    except NotAnswered as error:
        answer = error.answers[-1]
        if answer.status is None:
            raise CannotTry(
                f"a small body is not answered ({answer.words}): see invocation"
            ) from error
        return answer
    except CannotTry:
        pass
    return session.base().invoke(body, kind)


def _answer(session: Session) -> Tried:
    return judge_answer(len(session.sample().answer.body), session.largest)


TRIES: Tries = {
    **{size.rule: partial(_size, size=size) for size in SIZES},
    "answer-size": _answer,
}
