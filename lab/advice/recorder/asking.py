"""What a recorded container is asked: each payload, twice, and what a client may do wrong."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from lab.advice.recording import Answer
from lab.contract.running import calls
from lab.contract.running.calls import HttpCall
from lab.contract.running.container import NotAnswered, Running
from lab.errors import ContainerFailedError
from lab.start.asking import AskingPatience

UNKNOWN_TYPE: Final = "application/x-inference-lab-unknown"
UNKNOWN_PATH: Final = "/inference-lab/no-such-path"

_EXCERPT: Final = 300
_STEADY_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A request to ``/invocations``."""

    name: str
    """What it is called in tables and answers: a file's name."""
    body: bytes
    content_type: str


@dataclass(kw_only=True)
class Conversation:
    """What was asked and answered. Times are this machine's, in nanoseconds since the epoch."""

    answers: list[Answer] = field(default_factory=list)
    spans: list[tuple[str, int, int]] = field(default_factory=list)
    """Of each payload when it was asked and answered, the first request of the first included."""
    first_ns: int = 0
    """When the first prediction was there."""
    doubts: list[str] = field(default_factory=list)


def first_prediction(
    running: Running, image: str, payload: Payload, *, loading_s: float
) -> Conversation:
    """Ask until the first prediction is there.

    Raises ``ContainerFailedError`` where it is not answered well: the record would be of a start
    that fails.
    """
    talk = Conversation()
    begin_ns = time.time_ns()
    patience = AskingPatience(loading_s=loading_s, steady_s=_STEADY_S)
    answers = running.until_good(payload.body, payload.content_type, patience)
    if not answers[-1].good:
        raise _refused(image, payload, NotAnswered(answers, running.container))
    talk.first_ns = time.time_ns()
    talk.spans.append((payload.name, begin_ns, talk.first_ns))
    talk.answers.append(_answer(payload.name, answers[-1]))
    if len(answers) > 1:
        talk.doubts.append(
            f"/ping said 200 before {payload.name} was answered well: it was asked "
            f"{len(answers)} times, and first said {answers[0].words_and_body}."
        )
    return talk


def _refused(image: str, payload: Payload, seen: NotAnswered) -> ContainerFailedError:
    last = seen.answers[-1]
    died = "" if seen.death is None else f" {seen.death.message}"
    shown = "" if seen.shown is None else f" Its log shows why: {seen.shown.words}."
    cure = "" if seen.shown is None else seen.shown.cure
    return ContainerFailedError(
        f"{image} does not answer {payload.name} ({payload.content_type}): {last.words_and_body}."
        f"{died or shown} A record would be of a start that fails.\n{seen.log}".rstrip(),
        remedy=cure or "Send what the model understands: --payload FILE, --content-type TYPE.",
    )


def later(
    running: Running, payloads: Sequence[Payload], talk: Conversation, *, timeout_s: float
) -> None:
    """The next requests: the other payloads, all again, ``/metrics``, wrong ones, two at once."""

    def ask(what: str, prepared: bytes) -> None:
        answer = running.call(prepared, timeout_s=timeout_s)
        talk.answers.append(_answer(what, answer))
        if answer.status is None:
            talk.doubts.append(f"Asked for {what} it gave {answer.words}.")

    for payload in (*payloads[1:], *payloads):
        begin_ns = time.time_ns()
        ask(payload.name, calls.post(payload.body, payload.content_type))
        talk.spans.append((payload.name, begin_ns, time.time_ns()))
    for what, prepared in _others(payloads[0]):
        ask(what, prepared)
    _at_once(payloads[0], ask)


def _others(payload: Payload) -> Iterator[tuple[str, bytes]]:
    yield "/ping", calls.get("/ping")
    yield "/metrics", calls.get("/metrics")
    yield "wrong type", calls.post(payload.body, UNKNOWN_TYPE)
    # Half of it may still be whole, of some text: then with bytes that nothing begins with.
    broken = b"\x00\xff{" + payload.body[: len(payload.body) // 2]
    yield "broken body", calls.post(broken, payload.content_type)
    yield "empty body", calls.post(b"", payload.content_type)
    yield "GET /invocations", calls.get("/invocations")
    yield "unknown path", calls.get(UNKNOWN_PATH)


def _at_once(payload: Payload, ask: Callable[[str, bytes], None]) -> None:
    prepared = calls.post(payload.body, payload.content_type)
    with ThreadPoolExecutor(max_workers=2) as pool:
        for one in [pool.submit(ask, f"{payload.name} at once", prepared) for _ in range(2)]:
            one.result()


def _answer(what: str, call: HttpCall) -> Answer:
    headers = {name.lower(): value for name, value in call.headers.items()}
    said = call.body[:_EXCERPT].decode(errors="replace")
    return Answer(
        what=what,
        status=call.status or 0,
        content_type=headers.get("content-type", ""),
        sha256=hashlib.sha256(call.body).hexdigest(),
        excerpt=said if call.status is not None else call.words,
    )
