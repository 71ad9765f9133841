"""One connection to a container: a request, its answer, and what became of a request that failed.

A generic client cannot say the one thing that matters when a kept-alive connection breaks: whether
the container can have taken the request. Linux can. A request of which the peer's kernel has
acknowledged no byte, on a connection that it has reset, was never delivered and never will be: it
may be sent again. Any other was perhaps run, and is not.
"""

import asyncio
import select
import socket
import struct
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

import httptools

from lab.endpoint.transport import (
    BODILESS,
    ContainerAnswer,
    NotSentError,
    TransportError,
    UnreadableError,
)

_RESET_WITHIN_S: Final = 0.1
_BUFFERED: Final = 1 << 20
HEAD_BYTES: Final = 64 * 1024
"""Of an answer's headers, those before it (``100 Continue``) included. AWS publishes no limit for
real time; whoever sends more is not listened to any longer."""
_HEAD_WORDS: Final = f"{HEAD_BYTES // 1024} KB"
_READ_AT_ONCE: Final = 65536
_INFORMATIONAL: Final = range(100, 200)
_TCP_INFO_BYTES: Final = 128
_AROUND: Final = len(": \r\n")
_ACKED_AT: Final = 120  # tcpi_bytes_acked in linux/tcp.h
_TCP_CLOSE: Final = 7  # tcpi_state, the first byte


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. Not for use from another thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN)
        self._parser = httptools.HttpResponseParser(self)
        # What the platform's client forgives (Netty: HttpObjectDecoder): lines that end in a bare
        # LF, and a length beside chunks.
        self._parser.set_dangerous_leniencies(
            lenient_chunked_length=True, lenient_optional_cr_before_lf=True
        )
        self._transport: asyncio.Transport | None = None
        self._lost = False
        self._closed = False
        self._delivered_at_end: bool | None = None
        self.idle_since = 0.0
        self._reset()

    def _reset(self) -> None:
        self._head: asyncio.Future[None] | None = None
        self._done: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._acked_before = 0
        self._answering = False
        self._most_bytes = 0
        self._head_read = 0
        self._head_bytes = 0
        self._headed = False
        self._status = 0
        self._headers: dict[str, str] = {}
        self._parts: deque[bytes] = deque()
        self._buffered = 0
        self._ended = False
        self._reusable = False
        self._error: TransportError | TimeoutError | None = None
        self._wake: asyncio.Future[None] | None = None
        self._streaming = False

    # --- what the transport uses ---------------------------------------------------------------

    @property
    def fit(self) -> bool:
        """Whether an idle connection may carry another request, as far as can be seen now."""
        if self._lost or self._answering or self._transport is None:
            return False
        if self._transport.is_closing():
            return False
        # The end may have come without the loop having been told yet; data would be nobody's.
        return not self._poll.poll(0)

    @property
    def reusable(self) -> bool:
        """Whether the exchange that has ended left a connection that is fit for another."""
        if self._transport is None or self._lost or not self._reusable:
            return False
        return self._transport.get_write_buffer_size() == 0

    async def whole(
        self, head: bytes, body: bytes, *, timeout_s: float, most_bytes: int
    ) -> ContainerAnswer:
        """Send, and wait for the whole answer: for no more than a part above ``most_bytes``."""
        self._send(head, body, timeout_s)
        self._most_bytes = most_bytes
        self._done = self._loop.create_future()
        broken: TransportError | TimeoutError | None = None
        try:
            await self._done
        except (TransportError, TimeoutError) as error:
            if not self._headed:
                raise await self._judged(error) from None
            broken = error
        finally:
            self._stop_timer()
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        return ContainerAnswer(
            status=self._status,
            headers=self._headers,
            body=body,
            head_bytes=self._head_bytes,
            broken=broken,
        )

    async def begin(
        self, head: bytes, body: bytes, *, timeout_s: float
    ) -> tuple[int, dict[str, str]]:
        """Send, and wait for status and headers. The time runs on until the stream's end."""
        self._send(head, body, timeout_s)
        self._streaming = True
        self._head = self._loop.create_future()
        try:
            await self._head
        except TransportError as error:
            raise await self._judged(error) from None
        return self._status, self._headers

    async def rest(self) -> AsyncGenerator[bytes, None]:
        """The body of an answer that has begun, as it comes."""
        while True:
            while self._parts:
                part = self._parts.popleft()
                self._buffered -= len(part)
                if self._transport is not None and self._buffered < _BUFFERED:
                    self._transport.resume_reading()
                yield part
            if self._error is not None:
                raise self._error
            if self._ended:
                return
            self._wake = self._loop.create_future()
            await self._wake

    def recycle(self) -> None:
        """Ready for the next exchange."""
        self._stop_timer()
        self._reset()

    def close(self) -> None:
        """At once, whatever is under way."""
        self._stop_timer()
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    async def end(self) -> None:
        """``close``, where something to await is asked for."""
        self.close()

    # --- asyncio's callbacks ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")  # noqa: S101
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._answering = True
        if self._ended or (self._head is None and self._done is None):
            self._reusable = False  # nobody's, before or after the connection is idle again
            return
        if not self._headed:
            self._head_read += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(UnreadableError("it answered with another protocol than HTTP"))
        except httptools.HttpParserError as error:
            self._reusable = False
            self._fail(UnreadableError(f"it did not answer in HTTP: {error}"))
        if not self._headed and self._head_read > HEAD_BYTES:
            self._refuse_head()

    def eof_received(self) -> bool:
        """End an answer without a length. True: the socket stays open, to be asked things."""
        self._reusable = False
        if self._status and self._until_close():
            self._end()
        else:
            self._fail(TransportError(self._where("closed the connection")))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is under way, once all that had come is read."""
        self._lost = True
        self._drain()
        # Only now: after this the socket is closed and knows nothing any more.
        self._delivered_at_end = self._delivered()
        self._fail(TransportError(self._where(f"broke the connection ({exc})")), reset=True)

    # --- the parser's callbacks ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Refuse a second answer to one request: nobody knows whose it is."""
        if self._ended:
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; a repeated one is a list. What comes after the body is dropped."""
        if self._headed:
            return
        self._head_bytes += len(name) + len(value) + _AROUND
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        had = self._headers.get(key)
        self._headers[key] = text if had is None else f"{had}, {text}"

    def on_headers_complete(self) -> None:
        """Tell who waits for the head."""
        if self._ended:
            return
        if self._head_bytes > HEAD_BYTES:
            self._refuse_head()
            return
        if self._chunked():
            self._headers.pop("content-length", None)  # as Netty does, RFC 9112 6.3: chunks count
        self._status = self._parser.get_status_code()
        self._headed = self._status not in _INFORMATIONAL
        if self._headed and self._head is not None and not self._head.done():
            self._head.set_result(None)

    def on_body(self, body: bytes) -> None:
        """Keep a part, and hold the container back when the reader is slow."""
        if self._ended or self._error is not None:
            return
        self._parts.append(body)
        self._buffered += len(body)
        if not self._streaming:
            if self._buffered > self._most_bytes:
                self._end()
                self.close()
            return
        if self._buffered > _BUFFERED and self._transport is not None:
            self._transport.pause_reading()
        self._notify()

    def on_message_complete(self) -> None:
        """End the answer, unless it was only ``100 Continue`` or ``103 Early Hints``."""
        if self._ended:
            return
        if not self._headed:
            self._status = 0
            self._headers = {}
            self._head_bytes = 0
            return
        self._reusable = self._parser.should_keep_alive()
        self._end()

    # --- within --------------------------------------------------------------------------------

    def _send(self, head: bytes, body: bytes, timeout_s: float) -> None:
        if self._transport is None or self._lost:
            raise NotSentError("the connection had been closed")
        self._acked_before = self._tcp_info()[1]
        self._timer = self._loop.call_later(timeout_s, self._expire)
        if len(body) <= _BUFFERED:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    def _drain(self) -> None:
        """Read what is in the kernel's buffer still.

        Who refuses a large body answers, and closes without reading it: the reset meets our
        sending before we have read the answer.
        """
        with suppress(OSError):
            while not (self._closed or self._ended or self._error):
                data = self._socket.recv(_READ_AT_ONCE, socket.MSG_DONTWAIT)
                if not data:
                    return
                self.data_received(data)

    def _refuse_head(self) -> None:
        self._fail(UnreadableError(f"the headers of its answer are longer than {_HEAD_WORDS}"))
        self.close()

    def _expire(self) -> None:
        self._fail(TimeoutError("no whole answer in time"))
        self.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _until_close(self) -> bool:
        if "content-length" in self._headers and self._status not in BODILESS:
            return False
        return not self._chunked()

    def _chunked(self) -> bool:
        return "chunked" in self._headers.get("transfer-encoding", "").lower()

    def _end(self) -> None:
        self._ended = True
        if self._done is not None and not self._done.done():
            self._done.set_result(None)
        self._notify()

    def _fail(self, error: TransportError | TimeoutError, *, reset: bool = False) -> None:
        if self._ended or self._error is not None:
            return
        if reset and not self._answering and self._delivered_at_end is False:
            error = NotSentError(str(error))
        self._error = error
        for waiting in (self._head, self._done):
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)
        self._notify()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _judged(self, error: TransportError | TimeoutError) -> Exception:
        """The same failure, or ``NotSentError`` once it is certain that nothing was taken."""
        if self._answering or isinstance(error, NotSentError | TimeoutError):
            return error
        deadline = self._loop.time() + _RESET_WITHIN_S
        while self._loop.time() < deadline:
            delivered = self._delivered_at_end if self._lost else self._delivered()
            if delivered is not None:
                return error if delivered else NotSentError(str(error))
            await asyncio.sleep(0.002)
        return error

    def _delivered(self) -> bool | None:
        """Whether the peer's kernel took a byte of the request; None while it may still do so."""
        state, acked = self._tcp_info()
        if acked != self._acked_before or state < 0:
            return True
        return False if state == _TCP_CLOSE else None

    def _tcp_info(self) -> tuple[int, int]:
        """The connection's state, and how many bytes of ours were acknowledged in all."""
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            return info[0], struct.unpack_from("=Q", info, _ACKED_AT)[0]
        except (OSError, struct.error):
            return -1, 0

    def _where(self, what: str) -> str:
        if self._headed:
            when = f"in the middle of its answer of status {self._status}"
        else:
            when = "in the middle of its answer" if self._answering else "without an answer"
        return f"the container {what} {when}"
