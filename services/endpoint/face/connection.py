"""One connection to a container: a request, its answer, and what became of one that failed."""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from face.answer import AnswerParser
from face.delivery import Delivery
from lab.endpoint.transport import (
    ContainerAnswer,
    NotSentError,
    TransportError,
    UnreadableError,
)

_RESET_WITHIN_S: Final = 0.1
_BUFFERED: Final = 1 << 20


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. Not for use from another thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._delivery = Delivery(sock)
        self._answer = AnswerParser(self)
        self._transport: asyncio.Transport | None = None
        self._lost = False
        self._closed = False
        self.idle_since = 0.0
        self._reset()

    def _reset(self) -> None:
        self._head: asyncio.Future[None] | None = None
        self._done: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._answering = False
        self._most_bytes = 0
        self._parts: deque[bytes] = deque()
        self._buffered = 0
        self._error: TransportError | TimeoutError | None = None
        self._wake: asyncio.Future[None] | None = None
        self._streaming = False

    # --- what the transport uses ---------------------------------------------------------------

    @property
    def fit(self) -> bool:
        """Whether an idle connection may carry another request, as far as can be seen now."""
        if self._lost or self._answering or self._transport is None:
            return False
        return not self._transport.is_closing() and self._delivery.quiet

    @property
    def reusable(self) -> bool:
        """Whether the exchange that has ended left a connection that is fit for another."""
        if self._transport is None or self._lost or not self._answer.keeps:
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
            if not self._answer.headed:
                raise await self._judged(error) from None
            broken = error
        finally:
            self._stop_timer()
        return ContainerAnswer(
            status=self._answer.status,
            headers=self._answer.headers,
            body=self._parts[0] if len(self._parts) == 1 else b"".join(self._parts),
            head_bytes=self._answer.head_bytes,
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
        return self._answer.status, self._answer.headers

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
            if self._answer.ended:
                return
            self._wake = self._loop.create_future()
            await self._wake

    def recycle(self) -> None:
        """Ready for the next exchange."""
        self._stop_timer()
        self._reset()
        self._answer.reset()

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
        if self._answer.ended or (self._head is None and self._done is None):
            self._answer.keeps = False  # nobody's, before or after the connection is idle again
            return
        try:
            self._answer.feed(data)
        except UnreadableError as error:
            self._fail(error)
            if not self._answer.headed:
                self.close()  # whoever sends no head may send without end

    def eof_received(self) -> bool:
        """End an answer without a length. True: the socket stays open, to be asked things."""
        self._answer.keeps = False
        if self._answer.until_close:
            self.answer_ended()
        else:
            self._fail(TransportError(self._where("closed the connection")))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is under way, once all that had come is read.

        Who refuses a large body answers, and closes without reading it: the reset meets our
        sending before we have read the answer.
        """
        self._lost = True
        for data in self._delivery.left():
            if self._closed or self._answer.ended or self._error:
                break
            self.data_received(data)
        self._delivery.end()
        self._fail(TransportError(self._where(f"broke the connection ({exc})")), reset=True)

    # --- the answer's progress -------------------------------------------------------------------

    def answer_began(self) -> None:
        """Tell who waits for the head."""
        if self._head is not None and not self._head.done():
            self._head.set_result(None)

    def answer_part(self, part: bytes) -> None:
        """Keep a part, and hold the container back when the reader is slow."""
        if self._error is not None:
            return
        self._parts.append(part)
        self._buffered += len(part)
        if not self._streaming:
            if self._buffered > self._most_bytes:
                self.answer_ended()
                self.close()
            return
        if self._buffered > _BUFFERED and self._transport is not None:
            self._transport.pause_reading()
        self._notify()

    def answer_ended(self) -> None:
        """Tell who waits for all of it."""
        self._answer.ended = True
        if self._done is not None and not self._done.done():
            self._done.set_result(None)
        self._notify()

    # --- within --------------------------------------------------------------------------------

    def _send(self, head: bytes, body: bytes, timeout_s: float) -> None:
        if self._transport is None or self._lost:
            raise NotSentError("the connection had been closed")
        self._delivery.begin()
        self._timer = self._loop.call_later(timeout_s, self._expire)
        if len(body) <= _BUFFERED:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    def _expire(self) -> None:
        self._fail(TimeoutError("no whole answer in time"))
        self.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fail(self, error: TransportError | TimeoutError, *, reset: bool = False) -> None:
        if self._answer.ended or self._error is not None:
            return
        if reset and not self._answering and self._delivery.taken is False:
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
            taken = self._delivery.taken
            if taken is not None:
                return error if taken else NotSentError(str(error))
            await asyncio.sleep(0.002)
        return error

    def _where(self, what: str) -> str:
        if self._answer.headed:
            when = f"in the middle of its answer of status {self._answer.status}"
        else:
            when = "in the middle of its answer" if self._answering else "without an answer"
        return f"the container {what} {when}"
