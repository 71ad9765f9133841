"""What a container's answer comes to, in real time, as a stream and asynchronously alike."""

from dataclasses import dataclass
from typing import Final

from lab.endpoint.live import Server
from lab.endpoint.log_files import LogFiles
from lab.endpoint.runtime import wording
from lab.endpoint.transport import ContainerAnswer, StreamAnswer

EXCERPT: Final = 64 * 1024
"""Bytes of a model's error that are repeated in ours."""
_REDIRECTS: Final = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """An answer that is no result."""

    status: int
    came: str
    """What it said."""
    sentence: str
    """AWS's, without a full stop."""


def succeeded(status: int) -> bool:
    """AWS has a ``ModelError`` for 4xx and 5xx only; a redirect's page is what the caller gets."""
    return 200 <= status < 400


def unbroken(answer: ContainerAnswer) -> ContainerAnswer:
    """The same answer. Raises why a success broke off: half a prediction is none."""
    if answer.broken is not None and succeeded(answer.status):
        raise answer.broken
    return answer


def fault(container: str, status: int, body: bytes, *, whole: bool) -> Fault:
    """What is said of a status that is no success."""
    came = body[:EXCERPT].decode("utf-8", "replace")
    if whole:
        sentence = wording.received(container, status, came)
    else:
        sentence = wording.received_part(container, status)
    return Fault(status=status, came=came, sentence=sentence)


def note_redirect(
    logs: LogFiles,
    endpoint: str,
    variant: str,
    server: Server,
    answer: ContainerAnswer | StreamAnswer,
) -> None:
    """Log it once for each server: the caller gets a success."""
    if answer.status < _REDIRECTS or answer.status in server.redirects:
        return
    server.redirects.add(answer.status)
    line = wording.redirected(answer.status, answer.headers.get("location", ""))
    logs.note(endpoint, variant, line)
