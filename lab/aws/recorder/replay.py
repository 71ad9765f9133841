"""A recording's requests, asked again of the emulator, and its answers set beside the recorded."""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx
from botocore.credentials import Credentials

from lab import tls
from lab.aws.recorder.compare import Difference, differences, message
from lab.aws.recorder.pairs import Answered, Asked, Pair, kept_body, kept_headers
from lab.aws.recorder.proxy import RUNTIME_PATH, events, signed
from lab.errors import EndpointError, without_numbers

_PASSING: Final = frozenset({"Creating", "Updating", "RollingBack", "Deleting", "SystemUpdating"})
_THERE: Final = "Cannot create already existing"
_POLL_S: Final = 0.25
_READ_S: Final = 500.0

_ANYBODY: Final = Credentials("test", "test")


@dataclass(frozen=True, kw_only=True)
class Replacements:
    """What is different where a recording is replayed, or was left out of it."""

    texts: Mapping[str, str] = field(default_factory=dict)
    """Of any parameter: what stands for what was recorded (an image, a bucket)."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Values of ``Environment``, which no recording has."""
    payload: bytes | None = None
    """To send to models where the recording has no payload; zeros of the same size without."""
    credentials: Credentials = _ANYBODY
    """To sign with: an emulator that was given keys looks at them."""
    region: str = "us-east-1"


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One pair and what the emulator answered."""

    pair: Pair
    answered: Answered
    differences: Sequence[Difference]


def asked_once(pairs: Sequence[Pair]) -> Sequence[Pair]:
    """In their order, without those that got no answer; of a wait only the last question.

    A program that waits asks the same again and again, and how often depends on the machine.
    """
    found: list[Pair] = []
    for pair in sorted(pairs, key=lambda one: one.number):
        if pair.answered is None:
            continue
        if found and _waits(pair) and _same(pair.asked, found[-1].asked):
            found[-1] = pair
        else:
            found.append(pair)
    return found


def replay(
    pairs: Sequence[Pair],
    *,
    url: str,
    replacements: Replacements,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Replayed]:
    """Ask one after the other. Raises ``EndpointError`` when nobody answers at ``url``,
    and when something is there already that the recorded program made.
    """
    texts = dict(replacements.texts)
    with httpx.Client(base_url=url, timeout=_READ_S, verify=tls.context(), trust_env=False) as http:
        for pair in asked_once(pairs):
            recorded = pair.answered
            if recorded is None:
                continue
            known = replace(replacements, texts=texts)
            answered = _ask(http, pair.asked, known)
            while _waits(pair) and _status(answered) in _PASSING - {_status(recorded)}:
                sleep(_POLL_S)
                answered = _ask(http, pair.asked, known)
            _check_own(pair, recorded, answered)
            texts |= _given_out(recorded, answered)
            yield Replayed(
                pair=pair,
                answered=answered,
                differences=differences(recorded, answered),
            )


def _check_own(pair: Pair, recorded: Answered, answered: Answered) -> None:
    """That what the program made is not there already: later calls would be about what is not the
    recording's, and delete it.
    """
    there = answered.status == 400 and message(answered).startswith(_THERE)
    if there and recorded.status < 400:
        raise EndpointError(
            f"{pair.asked.operation} of the recording cannot be asked again: {message(answered)}",
            remedy="Delete it, or give it another name: --map RECORDED=INSTEAD.",
        )


def _given_out(recorded: Answered, replayed: Answered) -> Mapping[str, str]:
    """What the service made up and wants to be told again: tokens of pages, ids of sessions."""
    before, after = (_tickets(answer) for answer in (recorded, replayed))
    return {before[kind]: after[kind] for kind in before.keys() & after.keys()}


def _tickets(answer: Answered) -> Mapping[str, str]:
    members = answer.body.members
    found = {}
    if isinstance(members, Mapping) and "NextToken" in members:
        found["token"] = str(members["NextToken"])
    for name, value in answer.headers:
        if name.lower() == "x-amzn-sagemaker-new-session-id":
            found["session"] = value.partition(";")[0]
    return found


def _waits(pair: Pair) -> bool:
    return pair.asked.operation == "DescribeEndpoint"


def _same(asked: Asked, before: Asked) -> bool:
    return (asked.operation, asked.body) == (before.operation, before.body)


def _status(answered: Answered) -> str:
    members = answered.body.members
    return str(members.get("EndpointStatus", "")) if isinstance(members, Mapping) else ""


def _ask(http: httpx.Client, asked: Asked, replacements: Replacements) -> Answered:
    runtime = asked.path.startswith(RUNTIME_PATH)
    content = _payload(asked, replacements) if runtime else _parameters(asked, replacements)
    url = f"{str(http.base_url).rstrip('/')}{_replaced(asked.path, replacements)}"
    headers = signed(
        asked.method,
        url,
        {n: _replaced(v, replacements) for n, v in asked.headers if not _of_connection(n)},
        content,
        credentials=replacements.credentials,
        region=replacements.region,
    )
    try:
        answer = http.request(asked.method, url, headers=headers, content=content)
    except httpx.HTTPError as error:
        said = without_numbers(str(error))
        raise EndpointError(
            f"{asked.operation} could not be asked of {http.base_url}: {said}.",
            remedy="Start the lab with `lab up`, or name the address with --at.",
        ) from error
    told = [(name.decode(), value.decode("latin-1")) for name, value in answer.headers.raw]
    return Answered(
        status=answer.status_code,
        headers=kept_headers(told, payloads=False),
        body=kept_body(
            answer.content, members=not runtime or answer.status_code >= 400, payloads=False
        ),
        events=events(answer.headers.get("content-type", ""), answer.content),
    )


def _of_connection(name: str) -> bool:
    return name.lower() in {"host", "content-length", "connection", "transfer-encoding", "expect"}


def _payload(asked: Asked, replacements: Replacements) -> bytes:
    if asked.body.content is not None:
        return base64.b64decode(asked.body.content)
    if asked.body.size and replacements.payload is not None:
        return replacements.payload
    return bytes(asked.body.size)


def _parameters(asked: Asked, replacements: Replacements) -> bytes:
    members = _filled(asked.body.members, replacements)
    return b"" if members is None else json.dumps(members).encode()


def _filled(value: Any, replacements: Replacements, *, key: str = "") -> Any:
    if isinstance(value, Mapping):
        if key == "Environment":
            known = replacements.environment
            return {name: known.get(name, text) for name, text in value.items()}
        return {name: _filled(each, replacements, key=name) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, replacements) for each in value]
    return _replaced(value, replacements) if isinstance(value, str) else value


def _replaced(text: str, replacements: Replacements) -> str:
    for recorded, instead in replacements.texts.items():
        text = text.replace(recorded, instead)
    return text


def summary(replayed: Replayed) -> str:
    """What was answered, in a few words."""
    answered = replayed.answered
    words = _status(answered) or message(answered)
    return f"{answered.status} {words}".strip()
