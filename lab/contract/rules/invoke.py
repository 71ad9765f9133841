"""The rules about ``/invocations``: time, size, headers, and what must not bring a server down."""

import re
from collections.abc import Sequence
from typing import Final

from lab.contract.model import Judged, Told, Tried, Verdict
from lab.contract.running import calls
from lab.contract.running.calls import HttpCall, on
from lab.contract.running.container import NotAnswered, died
from lab.contract.running.session import Session, Tries
from lab.endpoint.runtime.wording import redirected
from lab.units import format_seconds
from lab.wire import connect

_CLOSE_CALL_S: Final = 30.0
_KEPT: Final = 5
_CHUNK: Final = 4096
_PATIENCE_S: Final = 15.0
_EXCERPT: Final = 2000
_TYPES: Final = 4
_TYPE: Final = re.compile(r"\b(?:application|audio|image|multipart|text|video)/[\w.+-]+")
_CREDENTIALS: Final = "Let /invocations be asked without credentials: SageMaker sends none."
_FRONT: Final = (
    "Let the front server (NGINX and the like) reach the program behind it: compare the address "
    "that it asks with the one where that listens, and see in the log whether it runs."
)
_CUT_OFF: Final = (
    "Find in the container's log what ended the process that was to answer, and mend it; a request "
    "that fails deserves an answer with 4xx or 5xx."
)
_CURES: Final = {
    3: (
        "Answer POST /invocations itself: a route without the slash at its end, no prefix, no "
        "redirect to https."
    ),
    401: _CREDENTIALS,
    403: _CREDENTIALS,
    404: "Answer POST /invocations: the server does not know that path.",
    405: "Accept the method POST at /invocations.",
    413: (
        "Raise the server's own limit (client_max_body_size in nginx, max_request_body_size and "
        "the like elsewhere): it refuses a payload of {size} bytes for its size."
    ),
    5: (
        "Mend the error that the container's log shows; if it is the payload that the model cannot "
        "take, answer 400 with the reason, and give another with --payload."
    ),
    502: _FRONT,
    504: _FRONT,
}


def judge_invocation(answer: HttpCall, *, emulated: bool = False) -> Judged:
    """One prediction against the 60 s, unless it was ``emulated``."""
    if answer.redirects:
        location = answer.headers.get("location", "")
        return Verdict.FAIL, redirected(answer.status or 0, location).rstrip(".")
    if not answer.good:
        said = f": {answer.said}" if answer.said else ""
        slow = emulated and answer.late
        return Verdict.SKIP if slow else Verdict.FAIL, f"{answer.words}{said}"
    if answer.seconds > _CLOSE_CALL_S and not emulated:
        return Verdict.WARN, f"{answer.words}, more than half of what is allowed"
    return Verdict.PASS, answer.words


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


def cure_of(answer: HttpCall, *, content_type: str, size: int) -> str:
    """What to change about an invocation that is answered like this; empty: it takes too long."""
    if answer.late:
        return ""
    if answer.status is None:
        return _CUT_OFF
    known = _CURES.get(answer.status) or _CURES.get(answer.status // 100)
    if known is not None:
        return known.format(size=size)
    types = types_said(answer, besides=content_type)
    taken = f"; the server says that it takes {', '.join(types)}" if types else ""
    return (
        f"Give a payload that the model takes, and its type ({content_type} was sent), with "
        f"--payload FILE --content-type TYPE{taken}."
    )


def types_said(answer: HttpCall, *, besides: str) -> Sequence[str]:
    """The content types that an answer names as supported."""
    said = " ".join(answer.headers.get(name, "") for name in ("accept", "accept-post"))
    said += " " + answer.body[:_EXCERPT].decode(errors="replace")
    found = dict.fromkeys(one.rstrip(".") for one in _TYPE.findall(said))
    return [one for one in found if one != besides.partition(";")[0].strip()][:_TYPES]


def _invocation(session: Session) -> Tried:
    aside = ""
    try:
        sample = session.answered()
        answer, kind, size = sample.answer, sample.content_type, len(sample.body)
        if session.subject.payload is None:
            aside = f" (the lab's own {kind})"
    except NotAnswered as error:
        return _not_answered(session, error)
    verdict, seen = judge_invocation(answer, emulated=session.emulated)
    return verdict, session.timed(seen + aside), {"seconds": answer.seconds, "bytes": size}


def _not_answered(session: Session, error: NotAnswered) -> Tried:
    answer = error.answers[-1]
    kind, size = session.subject.content_type, len(session.subject.payload or b"")
    verdict, seen = judge_invocation(answer, emulated=session.emulated)
    asked_s = answer.ended_at - error.answers[0].ended_at
    if len(error.answers) > 1:
        seen += f" (asked {len(error.answers)} times in {format_seconds(asked_s)})"
    if error.death is not None:
        seen = f"{error.death.message} {seen}"
    elif error.shown is not None:
        seen += f"; its log shows: {error.shown.words}"
    cure = error.shown.cure if error.shown is not None else ""
    return Told(
        verdict=verdict,
        seen=session.timed(seen),
        data={"seconds": answer.seconds, "status": answer.status},
        change=cure or cure_of(answer, content_type=kind, size=size),
        log=error.log,
    )


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
    session.outlive_requests()
    base = session.base()
    sample = session.sample_if_any()
    body = sample.body if sample else session.subject.payload or b"hello"
    kind = "application/x-not-yet-invented"
    answers = [(kind, base.invoke(body, kind, timeout_s=_PATIENCE_S))]
    return judge_refusal(answers, died(base.container))


def _garbage(session: Session) -> Tried:
    session.outlive_requests()
    kind = session.content_type()
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


def in_chunks(body: bytes, content_type: str) -> bytes:
    """An invocation with a chunked body, prepared."""
    head = (
        "POST /invocations HTTP/1.1\r\nHost: model.aws.local\r\nConnection: close\r\n"
        f"Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    pieces = [body[begin : begin + _CHUNK] for begin in range(0, len(body), _CHUNK)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head.encode() + chunks + b"0\r\n\r\n"


TRIES: Tries = {
    "invocation": _invocation,
    "unknown-headers": _unknown_headers,
    "content-type": _wrong_type,
    "garbage": _garbage,
    "keep-alive": _keep_alive,
    "chunked": _chunked,
    "unknown-paths": _paths,
}
