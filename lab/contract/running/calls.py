"""One HTTP call to a container under check: whatever happens is a result, and none is raised."""

import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lab.units import format_seconds
from lab.wire import ClosedEarlyError, Response, connect, exchange, handshake_s, request

INVOCATION_LIMIT_S: Final = 60.0
"""SageMaker's limit for ``/invocations``."""

CONNECT_TIMEOUT_S: Final = 5.0
"""Well above what SageMaker allows, so that the figure is seen and not only that it was missed."""

_PIECE: Final = 65536
_TIMED_OUT: Final = "timed out"


@dataclass(frozen=True, kw_only=True)
class HttpCall:
    """What came of a call."""

    status: int | None
    """None when there was no answer: ``error`` says why."""
    seconds: float
    """From the first step of connecting to the last byte of the answer."""
    connect_s: float | None = None
    """How long the other side took to accept the connection, by the kernel's clock where it tells:
    a client that did not get to run says nothing about a server. None when there was no
    connection, or it was there already.
    """
    sent_at: float | None = None
    """When the last byte of the request had left (monotonic clock)."""
    ended_at: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""
    reusable: bool = False

    @property
    def good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def redirects(self) -> bool:
        """Whether it sends the caller elsewhere, where SageMaker does not go."""
        return self.status is not None and 300 <= self.status < 400

    @property
    def head_bytes(self) -> int:
        """What its headers took on the wire, but for those that it repeats."""
        return sum(len(f"{name}: {value}\r\n") for name, value in self.headers.items())

    @property
    def late(self) -> bool:
        """Whether nobody waited for its answer any longer."""
        return self.status is None and self.error.endswith(_TIMED_OUT)

    @property
    def words(self) -> str:
        """``200 in 12 ms`` or ``no answer after 60.0 s (timed out)``."""
        took = format_seconds(self.seconds)
        if self.status is None:
            return f"no answer after {took} ({self.error})"
        return f"{self.status} in {took}"

    @property
    def words_and_body(self) -> str:
        """The same, with the beginning of the body."""
        return f"{self.words} {self.said}".rstrip()

    @property
    def said(self) -> str:
        """The beginning of the body on one line."""
        return " ".join(self.body[:200].decode(errors="replace").split())


def post(
    body: bytes, content_type: str, *, headers: Mapping[str, str] | None = None, close: bool = True
) -> bytes:
    """An invocation as SageMaker sends it, prepared."""
    fields = {"Content-Type": content_type, "Accept": "*/*"}
    if close:
        fields["Connection"] = "close"
    return request(
        "POST",
        "/invocations",
        host="model.aws.local",
        body=body,
        headers={**fields, **(headers or {})},
    )


def get(path: str, *, method: str = "GET") -> bytes:
    """A request without a body, prepared, on a connection of its own."""
    return request(method, path, host="model.aws.local", headers={"Connection": "close"})


def call(
    address: tuple[str, int], prepared: bytes, *, timeout_s: float = INVOCATION_LIMIT_S
) -> HttpCall:
    """Make one call on a connection of its own."""
    begin = time.monotonic()
    try:
        connection = connect(address, timeout_s=min(CONNECT_TIMEOUT_S, timeout_s))
    except OSError as error:
        ended = time.monotonic()
        return HttpCall(
            status=None,
            seconds=ended - begin,
            ended_at=ended,
            error=f"connecting: {_reason(error)}",
        )
    waited = time.monotonic() - begin
    with connection:
        took = handshake_s(connection)
        connected = waited if took is None else took
        return on(connection, prepared, timeout_s=timeout_s, begin=begin, connect_s=connected)


def on(
    connection: socket.socket,
    prepared: bytes,
    *,
    timeout_s: float,
    begin: float | None = None,
    connect_s: float | None = None,
) -> HttpCall:
    """Make one call on an open connection."""
    begin = time.monotonic() if begin is None else begin
    sent_at: float | None = None
    answer: Response | None = None
    reason = ""
    try:
        _send(connection, prepared, give_up_at=begin + timeout_s)
        sent_at = time.monotonic()
        connection.settimeout(max(0.001, begin + timeout_s - sent_at))
        answer = _answer(connection, prepared)
    except (OSError, ValueError) as error:
        reason = _reason(error)
    ended = time.monotonic()
    return HttpCall(
        status=answer.status if answer else None,
        seconds=ended - begin,
        connect_s=connect_s,
        sent_at=sent_at,
        ended_at=ended,
        headers=answer.headers if answer else {},
        body=answer.body if answer else b"",
        error=reason,
        reusable=answer is not None and answer.reusable,
    )


def _answer(connection: socket.socket, prepared: bytes) -> Response:
    if not prepared.startswith(b"HEAD "):
        return exchange(connection, b"")
    # Has no body whatever its headers say: the status line is all that is wanted.
    first = connection.recv(_PIECE).split(b" ", 2)
    if len(first) == 1 or not first[0].startswith(b"HTTP/1."):
        raise ConnectionError("the connection was closed without an answer")
    return Response(status=int(first[1][:3]), headers={}, body=b"", reusable=False)


def _send(connection: socket.socket, data: bytes, *, give_up_at: float) -> None:
    """Send until all is sent, or the server answers: one that refuses a large body does not read
    it, and its answer is lost to whoever insists on sending the rest.
    """
    left = memoryview(data)
    while left:
        patience = give_up_at - time.monotonic()
        if patience <= 0:
            raise TimeoutError("the request was not taken in time")
        readable, writable, _ = select.select([connection], [connection], [], patience)
        if readable:
            return
        if writable:
            try:
                left = left[connection.send(left[:_PIECE]) :]
            except (BrokenPipeError, ConnectionResetError):
                return  # the answer may have come before the reset


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return _TIMED_OUT
    if isinstance(error, ClosedEarlyError):
        return "the server closed the connection"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).rstrip(".").lower() or type(error).__name__
