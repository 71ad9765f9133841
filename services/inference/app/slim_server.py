"""A small HTTP/1.1 server on the standard library, for an image that starts as fast as it can.

One thread at a time does all the talking (never blocking: a slow client costs a buffer, not a
thread), a fixed few run predictions, so ``/ping`` is answered at once whatever the model is doing.
Which thread that is changes: who has read a request runs it at once, and lets another one lead,
for a sleeping thread takes longer to wake than it takes to read and answer a request.
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


if TYPE_CHECKING:
    _Job = tuple[_Connection, http1.Head, tuple[str, str], bytes, float]


class Server:
    """Owns the listening socket and all connections: all are the leading thread's."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        self._service = service
        self._selector = selectors.DefaultSelector()
        self._connections: set[_Connection] = set()
        self._work: SimpleQueue[_Job | None] = SimpleQueue()
        """For threads that do not lead; None is to take the lead, or to end once it is over."""
        self._fresh: list[_Job] = []
        self._busy = 0
        """Requests that are being predicted, or wait for it."""
        self._done: SimpleQueue[tuple[_Connection, bool, bytes]] = SimpleQueue()
        """Whose request was answered, whether it is kept alive, and what could not be sent yet."""
        self._sending = threading.Lock()
        """A socket must not be closed while another thread sends: its number may be reused."""
        self._swept = 0.0
        self._accepting = self._leading = True
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
        """Serve until told to stop, and until what is in flight then is through."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_here, selectors.EVENT_READ)
        self._swept = time.monotonic()
        threads = self._service.settings.threads
        for _ in range(threads):
            threading.Thread(target=self._serve, name="predict", daemon=True).start()
        self._work.put(None)
        self._serve()

    def _serve(self) -> None:
        """Predict, or lead and then predict: what each thread does."""
        while True:
            job = self._work.get()
            if job is None:
                job = self._lead() if self._leading else None
                if job is None:
                    return
            self._predict(job)

    def _lead(self) -> "_Job | None":
        """Talk to everybody until there is a request to predict; None once it is over."""
        while True:
            ready = self._selector.select(1.0)
            self._settle()
            for key, events in ready:
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._wake_here:
                    self._wake_here.recv(4096)
                else:
                    self._talk(key.data, events)
            # What was answered since, and may have been sent ahead of the answer.
            self._settle()
            now = time.monotonic()
            if now - self._swept >= 1.0:
                self._swept = now
                self._sweep(now)
            if self._stop_at is not None and self._over(now):
                self._leading = False
                for one in (self._selector, self._wake_here, self._wake_there):
                    one.close()
                # All threads are to end; the one that everybody waits for may be another.
                for _ in range(self._service.settings.threads):
                    self._work.put(None)
                return None
            own = self._share_out()
            if own is not None:
                return own

    def _share_out(self) -> "_Job | None":
        """Hand out what was read; what this thread is to do itself while another one leads.

        Of all threads, one more than predict at once, one is idle then.
        """
        fresh, self._fresh = self._fresh, []
        self._busy += len(fresh)
        own = fresh.pop(0) if fresh and self._busy <= self._service.settings.threads else None
        for job in fresh:
            self._work.put(job)
        if own is not None:
            self._work.put(None)
        return own

    def _over(self, now: float) -> bool:
        """Whether all that is in flight is through, once told to stop."""
        if self._accepting:
            self._accepting = False
            self._accept()  # those who are in the backlog already
            self._selector.unregister(self._listener)
            self._listener.close()
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

    def _predict(self, job: "_Job") -> None:
        """Predict, and answer as far as the socket takes it; the rest is the leader's."""
        connection, head, types, body, begun = job
        reply = self._service.invoke(types, body, begun)
        keep_alive, answer = self._answer(connection, head, reply)
        with self._sending:
            try:
                sent = connection.sock.send(answer)
            except OSError:  # full, or gone: the leader will see
                sent = 0
        self._done.put((connection, keep_alive, answer[sent:]))
        # Else it is soon enough for the leader to learn of it with what the client sends next.
        if sent < len(answer) or not keep_alive or connection.inbox or self._stop_at is not None:
            self._wake()

    def _settle(self) -> None:
        """Go on with the connections whose requests were answered."""
        while not self._done.empty():
            connection, keep_alive, rest = self._done.get()
            self._busy -= 1
            connection.waiting = False
            self._leave(connection)
            if connection in self._connections:
                self._answered(connection, rest, keep_alive=keep_alive)
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
        with self._sending:
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
            self._fresh.append(
                (connection, head, connection.types, body.content(), connection.begun)
            )
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
        if connection.head is not None:
            keep_alive, answer = self._answer(connection, connection.head, reply)
            self._answered(connection, answer, keep_alive=keep_alive)

    def _answer(
        self, connection: _Connection, head: http1.Head, reply: Reply
    ) -> tuple[bool, bytes]:
        """Whether the connection is kept alive, and the answer's bytes."""
        keep_alive = head.keep_alive and not connection.closing and self._stop_at is None
        answer = http1.answer_head(
            reply.status,
            reply.content_type,
            len(reply.body),
            keep_alive=keep_alive,
            extra=_extra(head, reply),
        )
        return keep_alive, answer if head.method == "HEAD" else answer + reply.body

    def _answered(self, connection: _Connection, rest: bytes, *, keep_alive: bool) -> None:
        """Be ready for the next request, once ``rest`` is sent."""
        connection.closing = not keep_alive
        connection.outbox = rest
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
