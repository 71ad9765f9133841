"""HTTP/1.1 as cheaply as Python can speak it.

A client that costs a millisecond would be part of what it measures: on a small machine it takes
the processor from the very container whose latency is wanted. A prepared request and a plain
socket cost some 40 microseconds. Only for measuring, and only against servers under test;
everything else in the lab uses httpx.
"""

import socket
import struct
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

_CHUNK = 65536
_MAX_HEAD = 65536
_INFORMATIONAL: Final = (100, 102, 103)
"""Statuses of what comes before an answer."""
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
_TCP_INFO_BYTES: Final = 104
_ROUND_TRIP, _SENT_AGAIN = 68, 100
"""Where Linux's ``struct tcp_info`` has ``tcpi_rtt`` (microseconds) and ``tcpi_total_retrans``."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    reusable: bool
    """Whether the connection may carry another request."""


class WireError(OSError):
    """The server closed early, or did not speak HTTP/1.x."""


class ClosedEarlyError(WireError):
    """The server closed the connection in the middle of its answer, or before it."""


def request(
    method: str, path: str, *, host: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    """A whole request as the bytes that go over the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def connect(address: tuple[str, int], *, timeout_s: float) -> socket.socket:
    """An open connection without Nagle's delay; ``OSError`` if nobody listens."""
    connection = socket.create_connection(address, timeout=timeout_s)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def handshake_s(connection: socket.socket) -> float | None:
    """How long the other side took to accept, by the kernel's clock; to be asked before sending.

    A clock read in this process also counts the time for which this process did not run. None
    where the kernel does not tell (other systems than Linux), and when it had to knock more than
    once: then only the whole says how long it took.
    """
    if _TCP_INFO is None:
        return None
    info = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_BYTES)
    if len(info) < _TCP_INFO_BYTES:
        return None
    (round_trip,) = struct.unpack_from("=I", info, _ROUND_TRIP)
    (sent_again,) = struct.unpack_from("=I", info, _SENT_AGAIN)
    return None if sent_again or not round_trip else round_trip / 1e6


def exchange(connection: socket.socket, prepared: bytes) -> Response:
    """Send a prepared request and read the whole answer.

    Raises ``WireError`` when the server closes early or answers something that is not HTTP, and
    ``TimeoutError`` when the socket's time is up.
    """
    if prepared:  # else a reset that came meanwhile would be raised before what came ahead of it
        connection.sendall(prepared)
    reader = ResponseReader()
    while True:
        answer = reader.feed(connection.recv(_CHUNK))
        if answer is not None:
            return answer


class ResponseReader:
    """Takes an answer in pieces as they come, whoever receives them."""

    def __init__(self) -> None:
        self._parser = _response()
        next(self._parser)

    def feed(self, data: bytes) -> Response | None:
        """A piece; empty when the server has closed. The answer, once it is whole.

        Raises ``WireError``.
        """
        try:
            self._parser.send(data)
        except StopIteration as whole:
            answer: Response = whole.value
            return answer
        return None


_Parser = Generator[None, bytes, T]
"""Is sent each piece that was received."""


def _response() -> _Parser[Response]:
    head, rest = yield from _read_head(b"")
    status, headers = _parse_head(head)
    while status in _INFORMATIONAL:
        head, rest = yield from _read_head(rest)
        status, headers = _parse_head(head)
    asked = headers.get("connection", "").lower()
    closing = asked != "keep-alive" if head.startswith(b"HTTP/1.0") else asked == "close"
    if "chunked" in headers.get("transfer-encoding", "").lower():
        headers.pop("content-length", None)  # it does not count beside chunks (RFC 9112, 6.3)
        body = yield from _read_chunked(rest)
    elif "content-length" in headers:
        body = yield from _read_exactly(rest, _size(headers["content-length"], 10))
    elif status in {204, 304}:
        body = b""
    else:
        body, closing = (yield from _read_to_end(rest)), True
    return Response(status=status, headers=headers, body=body, reusable=not closing)


def _receive() -> _Parser[bytes]:
    data = yield
    if not data:
        raise ClosedEarlyError("The server closed the connection in the middle of its answer.")
    return data


def _read_head(data: bytes) -> _Parser[tuple[bytes, bytes]]:
    while b"\r\n\r\n" not in data:
        if len(data) > _MAX_HEAD:
            raise WireError("The answer's headers do not end.")
        data += yield from _receive()
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if not words[0].startswith("HTTP/1.") or len(words) == 1 or not words[1].isdigit():
        raise WireError(f"The answer is not HTTP: it begins with {first[:60]!r}.")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(words[1]), headers


def _read_exactly(have: bytes, length: int) -> _Parser[bytes]:
    parts, count = [have], len(have)
    while count < length:
        data = yield from _receive()
        parts.append(data)
        count += len(data)
    return b"".join(parts)[:length]


def _read_chunked(have: bytes) -> _Parser[bytes]:
    body = b""
    while True:
        while b"\r\n" not in have:
            have += yield from _receive()
        line, _, have = have.partition(b"\r\n")
        size = _size(line.partition(b";")[0].decode("latin-1"), 16)
        if size == 0:
            yield from _skip_trailers(have)
            return body
        while len(have) < size + 2:
            have += yield from _receive()
        body, have = body + have[:size], have[size + 2 :]


def _skip_trailers(have: bytes) -> _Parser[None]:
    line = b"?"
    while line:
        while b"\r\n" not in have:
            have += yield from _receive()
        line, _, have = have.partition(b"\r\n")


def _size(text: str, base: int) -> int:
    try:
        size = int(text, base)
    except ValueError:
        size = -1
    if size < 0:
        raise WireError(f"The answer is not HTTP: {text[:60]!r} is no length.")
    return size


def _read_to_end(have: bytes) -> _Parser[bytes]:
    parts = [have]
    while data := (yield):
        parts.append(data)
    return b"".join(parts)
