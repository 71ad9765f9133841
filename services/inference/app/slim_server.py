"""A small HTTP/1.1 server on the standard library, for an image that starts as fast as it can.

One thread does all the talking (never blocking: a slow client costs a buffer, not a thread), a
fixed few run predictions, so ``/ping`` is answered at once whatever the model is doing.
"""

import selectors
import socket
import threading
import time
from queue import SimpleQueue

from . import http1
from .errors import RequestError, StartError
from .service import Reply, Service, busy, log_error, refusal, too_large

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD_S = 10.0
"""For a whole head, from its first byte or from the connection's begin."""
_STALL_S = 20.0
"""Without a byte of a body or of an answer getting through."""
_IDLE_S = 75.0
"""Between two requests of a connection."""
_LINGER_S = 2.0
"""For the client to read why it is hung up on, while it is still sending."""
_DRAIN_S = 25.0
"""For requests in flight after SIGTERM; SageMaker kills after 30 s."""

_MAX_CONNECTIONS = 512
_DISCARD = 4
"""A body of up to this many times the limit is read to its end before it is refused, so that the
client, which is still sending, gets to see why."""
_VISIBLE = range(0x21, 0x7F)
_READ = 256 * 1024
_METHOD_NOT_ALLOWED, _UNAVAILABLE = 405, 503
_BACKLOG = 1024


class _Connection:
    """A client, and how far its present request has got."""

    __slots__ = (
        "begun",
        "body",
        "closing",
        "deadline",
        "head",
        "held",
        "inbox",
        "lingering",
        "outbox",
        "refused",
        "seen",
        "sock",
        "types",
        "waiting",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, now: float) -> None:
        self.sock = sock
        self.inbox = bytearray()
        self.outbox = b""
        self.deadline = now + _HEAD_S
        self.seen = now
        """When it last said something."""
        self.closing = False
        """Hang up once the outbox is empty."""
        self.lingering = False
        self.forget()

    def forget(self) -> None:
        """Be ready for the next request."""
        self.head: http1.Head | None = None
        self.body: http1.Body | None = None
        self.types: tuple[str, str] | None = None
        self.refused: RequestError | None = None
        self.held: int | None = None
        self.begun = 0.0
        self.waiting = False
        """A prediction thread has the request."""


class Server:
    """Owns the listening socket and all connections; everything runs in ``run``'s thread."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        self._service = service
        self._selector = selectors.DefaultSelector()
        self._connections: set[_Connection] = set()
        self._work: SimpleQueue[tuple[_Connection, tuple[str, str], bytes, float] | None] = (
            SimpleQueue()
        )
        self._done: SimpleQueue[tuple[_Connection, Reply]] = SimpleQueue()
        self._wake_here, self._wake_there = socket.socketpair()
        self._wake_here.settimeout(0)
        self._wake_there.settimeout(0)
        self._stop_at: float | None = None
        self._routes: dict[str, Callable[[], Reply]] = {
            "/ping": service.ping,
            "/startup": service.startup,
            "/metrics": service.metrics_page,
            "/execution-parameters": service.execution_parameters,
        }
        self._listener = self._listen(host, port)
        self.port: int = self._listener.getsockname()[1]

    @staticmethod
    def _listen(host: str, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise StartError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
        listener.listen(_BACKLOG)
        listener.settimeout(0)
        return listener

    def stop(self) -> None:
        """Finish what is in flight, then let ``run`` return. From any thread or signal handler."""
        if self._stop_at is None:
            self._stop_at = time.monotonic() + _DRAIN_S
        self._wake()

    def run(self) -> None:
        for _ in range(self._service.settings.threads):
            threading.Thread(target=self._predict, name="predict", daemon=True).start()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_here, selectors.EVENT_READ)
        swept = time.monotonic()
        accepting = True
        while True:
            for key, events in self._selector.select(1.0):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._wake_here:
                    self._answer_done()
                else:
                    self._talk(key.data, events)
            now = time.monotonic()
            if now - swept >= 1.0:
                swept = now
                self._sweep(now)
            if self._stop_at is not None:
                if accepting:
                    accepting = False
                    self._accept()  # those who are in the backlog already
                    self._selector.unregister(self._listener)
                    self._listener.close()
                if self._over(now):
                    return

    def _over(self, now: float) -> bool:
        """Whether all that is in flight is through, once told to stop."""
        for connection in list(self._connections):
            idle = connection.head is None and not connection.inbox and not connection.outbox
            if idle or connection.lingering:
                self._close(connection)
        return not self._connections or now >= (self._stop_at or 0)

    def _wake(self) -> None:
        try:
            self._wake_there.send(b"\0")
        except OSError:  # full: it is awake anyway
            return

    # -- predictions, in their own threads ---------------------------------------------------

    def _predict(self) -> None:
        while (job := self._work.get()) is not None:
            connection, types, body, begun = job
            self._done.put((connection, self._service.invoke(types, body, begun)))
            self._wake()

    def _answer_done(self) -> None:
        self._wake_here.recv(4096)
        while not self._done.empty():
            connection, reply = self._done.get()
            connection.waiting = False
            self._leave(connection)
            if connection in self._connections:
                self._reply(connection, reply)
                self._advance(connection)

    def _leave(self, connection: _Connection) -> None:
        if connection.held is not None and not connection.waiting:
            self._service.gate.leave(connection.held)
            connection.held = None

    # -- sockets ------------------------------------------------------------------------------

    def _accept(self) -> None:
        while len(self._connections) < _MAX_CONNECTIONS:
            try:
                sock, _ = self._listener.accept()
            except OSError:  # none left, or no file descriptors left: try again later
                return
            sock.settimeout(0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(sock, time.monotonic())
            self._connections.add(connection)
            self._selector.register(sock, selectors.EVENT_READ, connection)
            # What comes with the connection need not wait for another round.
            self._talk(connection, selectors.EVENT_READ)
        self._shed()

    def _shed(self) -> None:
        """Make room by hanging up on the one that is idle longest; else let the backlog wait."""
        idle = [
            connection
            for connection in self._connections
            if connection.head is None and not connection.inbox and not connection.outbox
        ]
        if idle:
            self._close(min(idle, key=lambda connection: connection.seen))

    def _talk(self, connection: _Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(connection)
            if events & selectors.EVENT_READ and connection in self._connections:
                self._receive(connection)
        except OSError:
            self._close(connection)

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(_READ)
        except BlockingIOError:
            return
        if not data:
            # Half-closed clients are not waited for: a client that wants an answer stays.
            self._close(connection)
            return
        if connection.lingering:
            return
        connection.seen = time.monotonic()
        if connection.head is not None:
            connection.deadline = connection.seen + _STALL_S
        elif not connection.inbox:
            connection.deadline = connection.seen + _HEAD_S
        connection.inbox += data
        self._advance(connection)

    def _flush(self, connection: _Connection) -> None:
        if connection.outbox:
            try:
                sent = connection.sock.send(connection.outbox)
            except BlockingIOError:
                sent = 0
            if sent:
                connection.outbox = connection.outbox[sent:]
                connection.deadline = time.monotonic() + _STALL_S
        if not connection.outbox and connection.closing and not connection.lingering:
            self._linger(connection)
        elif not connection.outbox and connection.head is None:
            connection.deadline = time.monotonic() + _IDLE_S
        self._watch(connection)

    def _watch(self, connection: _Connection) -> None:
        """Listen to what matters now; a client that sends ahead is not read from meanwhile."""
        if connection not in self._connections:
            return
        if connection.outbox:
            events = selectors.EVENT_WRITE
        elif not connection.waiting or len(connection.inbox) < http1.MAX_HEAD:
            events = selectors.EVENT_READ
        else:
            events = 0
        self._want(connection, events)

    def _want(self, connection: _Connection, events: int) -> None:
        key = self._selector.get_map().get(connection.sock.fileno())
        if key is None:
            if events:
                self._selector.register(connection.sock, events, connection)
        elif not events:
            self._selector.unregister(connection.sock)
        elif key.events != events:
            self._selector.modify(connection.sock, events, connection)

    def _linger(self, connection: _Connection) -> None:
        """Say that no more comes, and let the client read what came.

        Closing at once, with bytes unread, would reset the connection and lose the answer.
        """
        connection.lingering = True
        connection.deadline = time.monotonic() + _LINGER_S
        connection.inbox.clear()
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)

    def _close(self, connection: _Connection) -> None:
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._leave(connection)
        self._want(connection, 0)
        connection.sock.close()

    def _sweep(self, now: float) -> None:
        for connection in list(self._connections):
            if now < connection.deadline or connection.waiting:
                continue
            unfinished = connection.head is not None or connection.inbox
            if unfinished and not connection.outbox and not connection.lingering:
                error = http1.ProtocolError(408, "The request took too long to come.")
                self._hang_up(connection, error)
            else:
                self._close(connection)
        self._accept_again()

    def _accept_again(self) -> None:
        if self._stop_at is None:
            self._accept()

    # -- requests -----------------------------------------------------------------------------

    def _advance(self, connection: _Connection) -> None:
        """Go as far as what was received allows, through one request or several."""
        try:
            while not (connection.waiting or connection.closing or connection.outbox):
                if connection.head is None and not self._begin(connection):
                    break
                if not self._finish(connection):
                    break
        except http1.ProtocolError as error:
            self._hang_up(connection, error)
            return
        except OSError:
            self._close(connection)
            return
        self._watch(connection)

    def _begin(self, connection: _Connection) -> bool:
        """Parse a head, if there is one, and decide on the request by it."""
        inbox = connection.inbox
        while inbox[:2] == b"\r\n":  # RFC 9112, 2.2: some clients send one too many
            del inbox[:2]
        end = inbox.find(b"\r\n\r\n", 0, http1.MAX_HEAD + 4)
        if end < 0:
            if len(inbox) > http1.MAX_HEAD:
                raise http1.ProtocolError(431, "The request's head is too large.")
            # Garbage without a line's end should not have to wait for a time-out.
            if inbox[:1] and inbox[0] not in _VISIBLE:
                raise http1.ProtocolError(400, "This is not HTTP.")
            return False
        connection.begun = time.perf_counter()
        head = http1.parse_head(bytes(inbox[:end]))
        del inbox[: end + 4]
        connection.head = head
        connection.deadline = time.monotonic() + _STALL_S
        limit = self._service.settings.max_body_bytes
        if head.path == "/invocations" and head.method == "POST":
            self._admit(connection, head, limit)
        elif head.length or head.chunked:
            limit = 0  # nobody wants it
        connection.body = http1.Body(head, limit)
        refused = connection.refused is not None
        hopeless = (head.length or 0) > _DISCARD * max(limit, 1024 * 1024)
        if refused and (head.expects or hopeless):
            connection.closing = True
            connection.body.done = True
        elif head.expects and not connection.body.done:
            connection.sock.send(http1.CONTINUE)
        return True

    def _admit(self, connection: _Connection, head: http1.Head, limit: int) -> None:
        headers = head.headers
        held = limit if head.chunked else head.length or 0
        try:
            connection.types = self._service.admit(
                headers.get("content-type", ""), headers.get("accept", ""), head.length
            )
            if not self._service.gate.enter(held):
                raise busy()
            connection.held = held
        except RequestError as error:
            connection.refused = error

    def _finish(self, connection: _Connection) -> bool:
        """Take in the body and, once it is whole, answer or hand over; False if more must come."""
        head, body = connection.head, connection.body
        if head is None or body is None:
            return False
        body.feed(connection.inbox)
        settings = self._service.settings
        if body.size > _DISCARD * max(settings.max_body_bytes, 1024 * 1024):
            connection.closing = True
        elif not body.done:
            return False
        if head.path != "/invocations" or head.method != "POST":
            self._reply(connection, self._other(head))
            return True
        error = connection.refused
        if error is None and body.too_large:
            error = too_large(settings.max_body_bytes)
        if error is not None:
            self._leave(connection)
            self._reply(connection, self._service.refuse(error, connection.begun))
        elif connection.types is not None:
            connection.waiting = True
            self._work.put((connection, connection.types, body.content(), connection.begun))
        return True

    def _other(self, head: http1.Head) -> Reply:
        route = self._routes.get(head.path)
        if route is None and head.path != "/invocations":
            return refusal(404, "There is no such route.")
        if route is None or head.method not in ("GET", "HEAD"):
            return refusal(405, "This route does not take that method.")
        try:
            return route()
        except Exception as error:  # noqa: BLE001  # one place where a bug becomes an answer
            log_error(f"{head.path} failed: {type(error).__name__}: {error}")
            return refusal(500, "A bug; see the log.")

    def _reply(self, connection: _Connection, reply: Reply) -> None:
        head = connection.head
        if head is None:
            return
        keep_alive = head.keep_alive and not connection.closing and self._stop_at is None
        answer = http1.answer_head(
            reply.status,
            reply.content_type,
            len(reply.body),
            keep_alive=keep_alive,
            extra=_extra(head, reply),
        )
        connection.closing = not keep_alive
        connection.outbox = answer if head.method == "HEAD" else answer + reply.body
        connection.forget()
        self._flush(connection)

    def _hang_up(self, connection: _Connection, error: http1.ProtocolError) -> None:
        """Answer what could not be understood; nor can be what follows on this connection."""
        self._leave(connection)
        reply = refusal(error.status, error.reason)
        connection.outbox = http1.answer_head(
            error.status, reply.content_type, len(reply.body), keep_alive=False
        )
        connection.outbox += reply.body
        connection.closing = True
        connection.forget()
        try:
            self._flush(connection)
        except OSError:
            self._close(connection)


def _extra(head: http1.Head, reply: Reply) -> str:
    """Header lines that some answers must have."""
    if reply.status == _METHOD_NOT_ALLOWED:
        return f"allow: {'POST' if head.path == '/invocations' else 'GET, HEAD'}\r\n"
    return "retry-after: 1\r\n" if reply.status == _UNAVAILABLE else ""
