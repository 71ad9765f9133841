"""Docker's errors, and those of the HTTP library under it, as the lab's own: one table."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import requests
import urllib3
from docker.errors import APIError, DockerException, ImageNotFound, NotFound, StreamParseError

from lab.errors import (
    DiskFullError,
    EngineError,
    ImageNotFoundError,
    LabError,
    PortTakenError,
    RegistryError,
)

FREE_SPACE: Final = "Free some space (`docker system df` shows what takes it) and run it again."
_CHECK_NAME: Final = "Check the name and the tag; `docker images` lists what the engine has."
_AGAIN: Final = "See `lab engine status`, then run it again."
_START: Final = "Start it (`lab engine up`), or see `lab doctor`."
_UNREADABLE: Final = "The engine's answer cannot be read: {text}"

_SAYS: Final[tuple[tuple[str, type[EngineError], str], ...]] = (
    (
        r"no space left on device|disk quota exceeded",
        DiskFullError,
        FREE_SPACE,
    ),
    (
        r"port is already allocated|address already in use|failed to bind host port",
        PortTakenError,
        "Stop the program that listens on that port, or choose another port.",
    ),
    (
        (
            r"no such image|manifest unknown|manifest for \S+ not found|repository does not exist"
            r"|pull access denied|no matching manifest|name unknown|does not provide the specified"
            r"|invalid reference format|wanted platform|was found but"
        ),
        ImageNotFoundError,
        _CHECK_NAME,
    ),
    (
        (
            r"registry|i/o timeout|tls handshake|x509|no such host|server misbehaving"
            r"|toomanyrequests|unexpected eof|http response to https client|httpreadseeker"
        ),
        RegistryError,
        "Check that the registry is up and reachable from the engine.",
    ),
)
"""What an engine says in words, whatever status it says it with. The first that fits counts."""

KINDS: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (NotFound, "The engine no longer has it: {text}", "Run the command again."),
    (APIError, "The engine refused: {text}", ""),
    (
        requests.exceptions.Timeout,
        "The engine took too long to answer: {text}",
        "See whether the machine is overloaded; `lab engine status` tells which engine it is.",
    ),
    (requests.exceptions.InvalidJSONError, _UNREADABLE, _AGAIN),
    (requests.exceptions.RequestException, "The engine does not answer: {text}", _START),
    (urllib3.exceptions.HTTPError, "The connection to the engine broke: {text}", _AGAIN),
    (StreamParseError, _UNREADABLE, _AGAIN),
    (DockerException, "The engine cannot be used: {text}", "See `lab doctor`."),
    (OSError, "The engine cannot be reached: {text}", _START),
    # An answer that is not JSON: the connection broke, or no engine listens there.
    (ValueError, _UNREADABLE, _AGAIN),
)
"""What the kind of exception alone says. The first that fits counts."""

FOREIGN: Final = tuple(kind for kind, _, _ in KINDS)
"""Every exception that the SDK lets out of a call."""


def translate(error: Exception) -> LabError:
    """The lab's error for a foreign one. Raises ``TypeError`` for one that is not in the table."""
    text = _text(error)
    if isinstance(error, APIError):
        known = from_words(text)
        if known is not None:
            return known
    if isinstance(error, ImageNotFound):
        return ImageNotFoundError(text, remedy=_CHECK_NAME)
    for kind, what, remedy in KINDS:
        if isinstance(error, kind):
            return EngineError(what.format(text=text), remedy=remedy)
    raise TypeError(type(error).__name__)


def from_words(text: str) -> EngineError | None:
    """The error that the engine's words mean, or None when they mean nothing in particular."""
    for pattern, ours, remedy in _SAYS:
        if re.search(pattern, text, re.IGNORECASE):
            return ours(_sentence(text), remedy=remedy)
    return None


def being_removed(error: APIError) -> bool:
    """Whether a container cannot be removed because that is under way."""
    return error.status_code == 409 and "already in progress" in str(error.explanation)


def transfer_failed(what: str, *, remedy: str) -> EngineError:
    """What a pull or a push failed of: what is not understood is the registry's fault."""
    return from_words(what) or RegistryError(what, remedy=remedy)


@contextmanager
def translated() -> Iterator[None]:
    """Let no foreign error out of the block."""
    try:
        yield
    except FOREIGN as error:
        raise translate(error) from error


def _text(error: Exception) -> str:
    if isinstance(error, APIError) and error.explanation:
        return _sentence(str(error.explanation).strip())
    return _sentence(str(error).strip() or type(error).__name__)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
