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

FOREIGN: Final = (
    DockerException,
    StreamParseError,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    ValueError,  # an answer that is not JSON: the connection broke, or no engine listens there
)
"""Every exception that the SDK lets out of a call."""

_SAYS: Final[tuple[tuple[str, type[EngineError], str], ...]] = (
    (
        r"no space left on device|disk quota exceeded",
        DiskFullError,
        "Free some space (`docker system df` shows what takes it) and run it again.",
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
        "Check the name and the tag; `docker images` lists what the engine has.",
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

KINDS: Final[tuple[tuple[type[Exception], type[EngineError], str, str], ...]] = (
    (
        ImageNotFound,
        ImageNotFoundError,
        "{text}",
        "Check the name and the tag; `docker images` lists what the engine has.",
    ),
    (NotFound, EngineError, "The engine no longer has it: {text}", "Run the command again."),
    (APIError, EngineError, "The engine refused: {text}", ""),
    (
        requests.exceptions.Timeout,
        EngineError,
        "The engine took too long to answer: {text}",
        "See whether the machine is overloaded; `lab engine status` tells which engine it is.",
    ),
    (
        requests.exceptions.InvalidJSONError,
        EngineError,
        "The engine's answer cannot be read: {text}",
        "See `lab engine status`, then run it again.",
    ),
    (
        requests.exceptions.RequestException,
        EngineError,
        "The engine does not answer: {text}",
        "Start it (`lab engine up`), or see `lab doctor`.",
    ),
    (
        urllib3.exceptions.HTTPError,
        EngineError,
        "The connection to the engine broke: {text}",
        "See `lab engine status`, then run it again.",
    ),
    (
        StreamParseError,
        EngineError,
        "The engine's answer cannot be read: {text}",
        "See `lab engine status`, then run it again.",
    ),
    (
        DockerException,
        EngineError,
        "The engine cannot be used: {text}",
        "See `lab doctor`.",
    ),
    (
        OSError,
        EngineError,
        "The engine cannot be reached: {text}",
        "Start it (`lab engine up`), or see `lab doctor`.",
    ),
    (
        ValueError,
        EngineError,
        "The engine's answer cannot be read: {text}",
        "See `lab engine status`, then run it again.",
    ),
)
"""What the kind of exception alone says. The first that fits counts."""


def translate(error: Exception) -> LabError:
    """The lab's error for a foreign one. Raises ``TypeError`` for one that is not in the table."""
    text = _text(error)
    if isinstance(error, APIError):
        said = from_words(text)
        if said is not None:
            return said
    for kind, ours, what, remedy in KINDS:
        if isinstance(error, kind):
            return ours(what.format(text=text), remedy=remedy)
    raise TypeError(type(error).__name__)


def from_words(text: str) -> EngineError | None:
    """The error that the engine's words mean, or None when they mean nothing in particular."""
    for pattern, ours, remedy in _SAYS:
        if re.search(pattern, text, re.IGNORECASE):
            return ours(_sentence(text), remedy=remedy)
    return None


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
