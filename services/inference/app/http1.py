"""HTTP/1.1's words, without any sockets: a request's head, its body's framing, an answer's head.

Follows RFC 9112 to the letter where being lenient lets requests be smuggled (lengths, chunks,
header names), and no further.
"""

import time

MAX_HEAD = 32 * 1024
"""A request line and headers beyond this get 431."""

_MAX_HEADERS = 100
_MAX_CHUNK_LINE = 256
_MAX_TRAILERS = 8 * 1024
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS = frozenset("0123456789")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_MAX_DIGITS = 18
_WORDS = 3
"""Of a request line: method, target, version."""

_REASONS = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 408: "Request Timeout", 413: "Content Too Large",
    415: "Unsupported Media Type", 417: "Expectation Failed",
    431: "Request Header Fields Too Large", 500: "Internal Server Error",
    501: "Not Implemented", 503: "Service Unavailable", 505: "HTTP Version Not Supported",
}  # fmt: skip
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip


class ProtocolError(Exception):
    """What came is not HTTP/1.1 as this server speaks it: answer ``status`` and hang up."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Head:
    """A request's first line and headers."""

    __slots__ = ("chunked", "expects", "headers", "keep_alive", "length", "method", "path")

    def __init__(self, method: str, path: str, headers: dict[str, str]) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        """By lower-case name; those that came several times are joined by commas."""
        self.keep_alive = True
        self.expects = False
        """Whether the client waits for ``100 Continue``."""
        self.chunked = False
        self.length: int | None = None
        """Of the body; None when it is chunked or when there is none."""


def parse_head(data: bytes) -> Head:
    """Parse a head, without the empty line at its end; raises ``ProtocolError``."""
    lines = data.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != _WORDS or not words[0] or not _TOKEN.issuperset(words[0]) or not words[1]:
        raise ProtocolError(400, "The request line is not HTTP.")
    method, target, version = words
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        if version.startswith("HTTP/"):
            raise ProtocolError(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        raise ProtocolError(400, "The request line is not HTTP.")
    headers = _headers(lines[1:])
    head = Head(method, _path(target), headers)
    connection = [word.strip() for word in headers.get("connection", "").lower().split(",")]
    head.keep_alive = "close" not in connection and (
        version == "HTTP/1.1" or "keep-alive" in connection
    )
    _frame(head, version)
    expect = headers.get("expect", "").lower()
    if expect and expect != "100-continue":
        raise ProtocolError(417, "Only Expect: 100-continue is understood.")
    head.expects = bool(expect) and version == "HTTP/1.1"
    return head


def _headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > _MAX_HEADERS:
        raise ProtocolError(431, f"More than {_MAX_HEADERS} headers.")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or not _TOKEN.issuperset(name):
            raise ProtocolError(400, "A header's name is not a name.")
        value = value.strip(" \t")
        if "\0" in value or "\n" in value or "\r" in value:
            raise ProtocolError(400, "A header's value holds a control character.")
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _path(target: str) -> str:
    if not target.startswith("/"):
        after = target.partition("://")[2]
        target = "/" + after.partition("/")[2] if after else target
    return target.partition("?")[0]


def _frame(head: Head, version: str) -> None:
    """How long the body is. Two answers to that question are how requests are smuggled."""
    coding = head.headers.get("transfer-encoding")
    length = head.headers.get("content-length")
    if coding is not None:
        if length is not None or version != "HTTP/1.1":
            raise ProtocolError(400, "Transfer-Encoding does not go with that.")
        if coding.lower() != "chunked":
            raise ProtocolError(501, "Only the transfer coding chunked is understood.")
        head.chunked = True
    elif length is not None:
        # Some proxies repeat the header with the same value; anything else is an attack.
        values = {value.strip() for value in length.split(",")}
        value = values.pop()
        if values or not value or not _DIGITS.issuperset(value) or len(value) > _MAX_DIGITS:
            raise ProtocolError(400, "Content-Length is not one length.")
        head.length = int(value)


class Body:
    """Takes a body out of what has been received. Beyond ``limit`` bytes are counted, not kept."""

    def __init__(self, head: Head, limit: int) -> None:
        self._limit = limit
        self._chunked = head.chunked
        self._left = 0 if head.chunked else head.length or 0
        self._parts: list[bytes] = []
        self._in_trailers = False
        self._trailers = 0
        self._after_chunk = False
        self.size = 0
        self.done = not head.chunked and self._left == 0

    @property
    def too_large(self) -> bool:
        """Whether more than the limit has come."""
        return self.size > self._limit

    def content(self) -> bytes:
        """The body, once it is ``done``."""
        parts = self._parts
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def feed(self, received: bytearray) -> None:
        """Take from the front of ``received`` what belongs here; raises ``ProtocolError``."""
        while not self.done:
            if self._left:
                if not received:
                    return
                self._take(received)
                if self._left:
                    return
                self._after_chunk = self._chunked
                self.done = not self._chunked
            elif not self._line(received):
                return

    def _take(self, received: bytearray) -> None:
        count = min(self._left, len(received))
        self.size += count
        self._left -= count
        if self.size <= self._limit:
            self._parts.append(bytes(received[:count]))
        else:
            self._parts.clear()
        del received[:count]

    def _line(self, received: bytearray) -> bool:
        """Take one line of the chunks' framing; False if it has not come whole."""
        longest = _MAX_TRAILERS if self._in_trailers else _MAX_CHUNK_LINE
        end = received.find(b"\r\n", 0, longest)
        if end < 0:
            if len(received) >= longest:
                raise ProtocolError(400, "A line of the chunked body is too long.")
            return False
        line = bytes(received[:end])
        del received[: end + 2]
        if self._after_chunk:
            if line:
                raise ProtocolError(400, "A chunk is longer than its length.")
            self._after_chunk = False
        elif self._in_trailers:
            self._trailers += len(line)
            self.done = not line
            if self._trailers > _MAX_TRAILERS:
                raise ProtocolError(431, "The trailers are too long.")
        else:
            digits = line.partition(b";")[0].rstrip(b" \t")
            if not digits or len(digits) > _MAX_DIGITS - 3 or not _HEX.issuperset(digits):
                raise ProtocolError(400, "A chunk's length is not a number.")
            self._left = int(digits, 16)
            self._in_trailers = self._left == 0
        return True


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def answer_head(
    status: int, content_type: str, length: int, *, keep_alive: bool, extra: str = ""
) -> bytes:
    """The status line and headers of an answer. ``extra`` are whole header lines."""
    connection = "keep-alive" if keep_alive else "close"
    return (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n"
        f"date: {_date(int(time.time()))}\r\n"
        f"content-type: {content_type}\r\n"
        f"content-length: {length}\r\n"
        f"connection: {connection}\r\n{extra}\r\n"
    ).encode("latin-1")


_last_date = (0, "")


def _date(second: int) -> str:
    """The date as HTTP writes it, whatever the locale; made once a second."""
    global _last_date  # noqa: PLW0603  # a cache of one
    if _last_date[0] != second:
        t = time.gmtime(second)
        text = (
            f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year} "
            f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
        )
        _last_date = (second, text)
    return _last_date[1]
