"""A request and its answer as a recording keeps them: without credentials, accounts and payloads.

What a program sends to a model and gets from it is kept as its size and sha256, unless asked for.
What it asks of the control plane is kept, for nothing could be asked again without it, but for the
values of ``Environment``, where people put secrets.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

SCHEMA: Final = 1
FILE: Final = "pairs.jsonl"
ACCOUNT: Final = "000000000000"
"""In the place of every account's number: the emulator's own."""

_ACCOUNT: Final = re.compile(r"(?<!\d)\d{12}(?!\d)")
_WORDS_OF_MODEL: Final = re.compile(r'(with message ")(.*)("\. See )', re.DOTALL)
_NOT_KEPT: Final = frozenset(
    {
        "authorization",
        "cookie",
        "set-cookie",
        "x-amz-date",
        "x-amz-id-2",
        "x-amz-security-token",
        "proxy-authorization",
    }
)
_OF_USERS: Final = frozenset({"x-amzn-sagemaker-custom-attributes"})
"""Headers with words of the user's own."""

Headers = Sequence[tuple[str, str]]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Body(_Record):
    """What a request or an answer carried."""

    size: int
    """Bytes."""
    sha256: str
    members: Any = None
    """Of JSON of the control plane, and of every error: with what gives something away left out."""
    content: str | None = None
    """The payload itself in base64, where it was asked for."""


class Asked(_Record):
    """A request."""

    method: str
    path: str
    operation: str
    headers: Headers
    body: Body


class Answered(_Record):
    """An answer, as far as it came."""

    status: int
    headers: Headers
    body: Body
    events: Sequence[str] = ()
    """Of an event stream: the type of each message in turn, repeated ones once."""
    whole: bool = True
    """Whether it came to its end."""


class Pair(_Record):
    """One exchange. ``number`` is the order in which the requests came."""

    schema_version: int = SCHEMA
    number: int
    at: str
    """When the request came, UTC."""
    took_s: float
    asked: Asked
    answered: Answered | None
    """None when the other side could not be reached: ``error`` says why."""
    error: str | None = None


def masked(text: str) -> str:
    """A text without account numbers."""
    return _ACCOUNT.sub(ACCOUNT, text)


def kept_headers(headers: Iterable[tuple[str, str]], *, payloads: bool) -> Headers:
    """Those that give nothing away, in their order."""
    found = []
    for name, value in headers:
        lower = name.lower()
        if lower in _NOT_KEPT:
            continue
        hide = lower in _OF_USERS and not payloads
        found.append((name, hidden(value) if hide else masked(value)))
    return found


def kept_body(data: bytes, *, members: bool, payloads: bool) -> Body:
    """``members``: it is JSON of AWS's own, and not the payload of a model."""
    return Body(
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        members=_members(data, payloads=payloads) if members else None,
        content=base64.b64encode(data).decode() if payloads and not members else None,
    )


def hidden(text: str) -> str:
    """What stands for something that is not kept."""
    return f"<hidden: {len(text)} characters>"


def _members(data: bytes, *, payloads: bool) -> Any:
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        return None
    return _cleaned(found, payloads=payloads)


def _cleaned(value: Any, *, payloads: bool, key: str = "") -> Any:
    if isinstance(value, Mapping):
        if key == "Environment":
            return {name: hidden(str(each)) for name, each in value.items()}
        return {
            masked(name): _cleaned(each, payloads=payloads, key=name)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_cleaned(each, payloads=payloads) for each in value]
    return _text(value, payloads=payloads, key=key) if isinstance(value, str) else value


def _text(value: str, *, payloads: bool, key: str) -> str:
    if not payloads:
        if key == "OriginalMessage":
            return hidden(value)
        value = without_model(value)
    return masked(value)


def without_model(message: str) -> str:
    """An error's words with those of the model itself left out."""
    return _WORDS_OF_MODEL.sub(lambda found: found[1] + hidden(found[2]) + found[3], message)
