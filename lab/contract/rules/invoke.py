"""The rules about ``/invocations``: time, size, headers, and what must not bring a server down."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from lab.contract.model import Judged, Tried, Verdict
from lab.contract.running import calls
from lab.contract.running.calls import HttpCall, on
from lab.contract.running.session import CannotTry, Session, Tries, died
from lab.wire import connect

_MIB: Final = 1024 * 1024
_CLOSE_CALL_S: Final = 30.0
_KEPT: Final = 5
_CHUNK: Final = 4096
_PATIENCE_S: Final = 15.0


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


def judge_invocation(answer: HttpCall, *, emulated: bool = False) -> Judged:
    """One prediction against the 60 s, unless it was ``emulated``."""
    if not answer.good:
        said = f": {answer.said}" if answer.said else ""
        slow = emulated and answer.late
        return Verdict.SKIP if slow else Verdict.FAIL, f"{answer.words}{said}"
    if answer.seconds > _CLOSE_CALL_S and not emulated:
        return Verdict.WARN, f"{answer.words}, more than half of what is allowed"
    return Verdict.PASS, answer.words


def judge_size(answer: HttpCall, size: PayloadSize, *, emulated: bool = False) -> Judged:
    """A large body: any answer about its content will do, one about its size will not.

    ``emulated``: that nobody waited for the answer any longer says nothing.
    """
    if emulated and answer.late:
        verdict = Verdict.SKIP
    elif answer.status is None or answer.status == 413:
        verdict = Verdict.FAIL if size.needed else Verdict.WARN
    else:
        verdict = Verdict.WARN if answer.status >= 500 else Verdict.PASS
    return verdict, f"{size.mib} MB: {answer.words}"


def judge_paths(answers: Sequence[tuple[str, HttpCall]], death: str) -> Judged:
    """Anything but silence and death will do."""
    if death:
        return Verdict.FAIL, death
    silent = [f"{what}: {one.words}" for what, one in answers if one.status is None]
    if silent:
        return Verdict.FAIL, "; ".join(silent)
    return Verdict.PASS, "; ".join(f"{what}: {one.status}" for what, one in answers)


def judge_refusal(answers: Sequence[tuple[str, HttpCall]], death: str) -> Judged:
    """Requests that deserve a 4xx: no crash, no silence, and a 5xx only with a warning."""
    verdict, seen = judge_paths(answers, death)
    if verdict is not Verdict.PASS:
        return verdict, seen
    blamed = [(what, one) for what, one in answers if (one.status or 0) >= 500]
    if blamed:
        return Verdict.WARN, "; ".join(f"{what}: {one.status}" for what, one in blamed)
    return Verdict.PASS, seen


def judge_same(plain: HttpCall, other: HttpCall, *, what: str) -> Judged:
    """Whether something that should not matter does not."""
    if other.status == plain.status:
        return Verdict.PASS, f"{other.status} with {what} as without"
    return Verdict.FAIL, f"{plain.status} without {what}, with: {other.words_and_body}"


def judge_kept(answers: Sequence[HttpCall]) -> Judged:
    """Requests on one connection; the list ends where the connection did."""
    served = sum(one.status is not None for one in answers)
    if not served:
        return Verdict.FAIL, answers[0].words
    if served == _KEPT:
        return Verdict.PASS, f"{served} requests on one connection"
    if answers[-1].status is None:
        return Verdict.FAIL, (
            f"request {served + 1} on a connection that was to be kept open: {answers[-1].words}"
        )
    return Verdict.WARN, f"the server closes the connection after {served}"


def judge_chunked(plain: HttpCall, chunked: HttpCall, death: str) -> Judged:
    """A chunked body against the same with its length."""
    if death:
        return Verdict.FAIL, death
    if chunked.status == plain.status:
        return Verdict.PASS, f"{chunked.status} with chunks as with a length"
    return Verdict.WARN, f"{plain.status} with a length, with chunks: {chunked.words}"


def _invocation(session: Session) -> Tried:
    payload = session.subject.payload
    if payload is None:
        sample = session.sample()
        answer, aside = sample.first, f" (the lab's own {sample.content_type})"
    else:
        answered = session.sample_if_any()
        kind = session.subject.content_type
        answer = answered.first if answered else session.base().invoke(payload, kind)
        aside = ""
    verdict, seen = judge_invocation(answer, emulated=session.emulated)
    return verdict, session.timed(seen + aside), {"seconds": answer.seconds}


def _size(session: Session, size: PayloadSize) -> Tried:
    smaller = [one.rule for one in SIZES if one.mib < size.mib]
    broken = [one for one in smaller if session.verdict(one) is Verdict.FAIL]
    if broken:
        raise CannotTry(f"less is refused already: see {broken[0]}")
    sample = session.sample_if_any()
    if sample is not None:
        body, kind = padded(sample.body, sample.content_type, size.mib * _MIB), sample.content_type
    else:
        body, kind = b"0" * (size.mib * _MIB), _content_type(session)
    base = session.base()
    verdict, seen = judge_size(base.invoke(body, kind), size, emulated=session.emulated)
    death = died(base.container)
    return Verdict.FAIL if death else verdict, f"{session.timed(seen)} {death}".rstrip()


def _unknown_headers(session: Session) -> Tried:
    sample = session.sample()
    headers = {
        "X-Amzn-SageMaker-Custom-Attributes": "trace_id=1",
        "X-Amzn-SageMaker-Inference-Id": "lab-1",
        "X-Amzn-SageMaker-Session-Id": "NEW_SESSION",
        "X-Amzn-SageMaker-Not-Yet-Invented": "1",
        "X-Forwarded-For": "169.254.178.2",
    }
    base = session.base()
    plain = base.predict(sample)
    other = base.predict(sample, headers=headers)
    return judge_same(plain, other, what=f"{len(headers)} unknown headers")


def _wrong_type(session: Session) -> Tried:
    base = session.base()
    sample = session.sample_if_any()
    body = sample.body if sample else session.subject.payload or b"hello"
    kind = "application/x-not-yet-invented"
    answers = [(kind, base.invoke(body, kind, timeout_s=_PATIENCE_S))]
    return judge_refusal(answers, died(base.container))


def _garbage(session: Session) -> Tried:
    kind = _content_type(session)
    base = session.base()
    bodies = {
        "nothing": b"",
        "random bytes": bytes(range(256)) * 16,
        "half of JSON": b'{"instances": [[1, 2',
    }
    answers = [
        (what, base.invoke(body, kind, timeout_s=_PATIENCE_S)) for what, body in bodies.items()
    ]
    death = died(base.container)
    if not death and not base.ping().good:
        death = f"afterwards: /ping {base.ping().words}"
    return judge_refusal(answers, death)


def _keep_alive(session: Session) -> Tried:
    sample = session.sample()
    prepared = calls.post(sample.body, sample.content_type, close=False)
    limit_s = calls.INVOCATION_LIMIT_S * session.patience
    answers: list[HttpCall] = []
    with connect(session.base().address, timeout_s=calls.CONNECT_TIMEOUT_S) as connection:
        while len(answers) < _KEPT:
            answers.append(on(connection, prepared, timeout_s=limit_s))
            if not answers[-1].reusable:
                break
    return judge_kept(answers)


def _chunked(session: Session) -> Tried:
    sample = session.sample()
    base = session.base()
    plain = base.predict(sample)
    answer = base.call(in_chunks(sample.body, sample.content_type), timeout_s=_PATIENCE_S)
    return judge_chunked(plain, answer, died(base.container))


def _paths(session: Session) -> Tried:
    base = session.base()
    asked = (("HEAD", "/ping"), ("GET", "/"), ("GET", "/invocations"), ("GET", "/not/there?x=%ff"))
    answers = [
        (f"{method} {path}", base.get(path, method=method, timeout_s=_PATIENCE_S))
        for method, path in asked
    ]
    return judge_paths(answers, died(base.container))


def padded(body: bytes, content_type: str, size: int) -> bytes:
    """A body made as large as wanted, with what its reader is likely to ignore."""
    filler = b" " if "json" in content_type else b"\n" if "text" in content_type else b"\0"
    return body + filler * (size - len(body))


def in_chunks(body: bytes, content_type: str) -> bytes:
    """An invocation with a chunked body, prepared."""
    head = (
        "POST /invocations HTTP/1.1\r\nHost: model.aws.local\r\nConnection: close\r\n"
        f"Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    pieces = [body[begin : begin + _CHUNK] for begin in range(0, len(body), _CHUNK)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head.encode() + chunks + b"0\r\n\r\n"


def _content_type(session: Session) -> str:
    if session.subject.payload is not None:
        return session.subject.content_type
    sample = session.sample_if_any()
    return sample.content_type if sample else "application/json"


TRIES: Tries = {
    "invocation": _invocation,
    **{size.rule: partial(_size, size=size) for size in SIZES},
    "unknown-headers": _unknown_headers,
    "content-type": _wrong_type,
    "garbage": _garbage,
    "keep-alive": _keep_alive,
    "chunked": _chunked,
    "unknown-paths": _paths,
}
