"""Sends requests at given instants, whatever has become of those before them.

``python -m lab.load.sender JOB``: a process of its own with one thread, so that neither a progress
bar nor a slow answer makes a request late. It runs before others where that is permitted, and
sleeps by ``select``, whose time-out counts microseconds (``epoll``'s counts milliseconds).

Source of the method: latency counts from the instant at which a request was to be sent (Tene, *How
NOT to Measure Latency*, 2013, calls the fault of all else *coordinated omission*).
"""

import errno
import gc
import heapq
import os
import resource
import select
import signal
import socket
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from lab import wire
from lab.load.job import (
    CHOICES,
    MODEL_ERROR,
    THROTTLED,
    THROTTLED_STATUS,
    Refusal,
    SenderJob,
    SenderState,
    choices,
    model_status_of,
    row,
)

_IN: Final = select.EPOLLIN
_OUT: Final = select.EPOLLOUT
_BUFFER: Final = 262144
_TELL_S: Final = 0.25
_WRITE_BYTES: Final = 65536
_EARLY_S: Final = 0.3
"""From the start of the process to the first instant."""
_BEHIND_S: Final = 1.0
"""So late, and the sender gives up: it cannot make the rate."""
_LAST_S: Final = 1.0
"""For answers that are under way when it is stopped."""
_EXCERPT: Final = 2000
_PENDING: Final = frozenset({0, errno.EINPROGRESS})


class _Exchange:
    """A request under way."""

    __slots__ = ("first", "fresh", "intended", "number", "out", "payload", "reader", "sent", "sock")

    def __init__(self, number: int, intended: float, payload: int) -> None:
        self.number = number
        self.intended = intended
        self.payload = payload
        self.sent = 0.0
        self.first = 0.0
        self.fresh = True
        self.out: memoryview | None = None
        self.reader = wire.ResponseReader()
        self.sock: socket.socket


class Sender:
    """One job, run once."""

    def __init__(
        self, job: SenderJob, *, priority: str = "normal", tell: Callable[[str], None]
    ) -> None:
        """``tell`` gets a line some times a second: a ``SenderState``."""
        self._job = job
        self._priority = priority
        self._tell_line = tell
        self._out = os.open(job.out, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._rows: list[str] = []
        self._poll = select.epoll()
        self._busy: dict[int, _Exchange] = {}
        self._idle: dict[int, socket.socket] = {}
        self._order: deque[_Exchange] = deque()
        self._payloads = [Path(name) for name in job.prepared]
        self._bodies = [path.read_bytes() for path in self._payloads]
        self._read_at = [path.stat().st_mtime_ns for path in self._payloads]
        self._good = [False for _ in self._payloads]
        self._choices = choices(job.weights, job.seed)
        self._instants = array("d")
        self._due: list[float] = []
        if job.instants is not None:
            path = Path(job.instants)
            with path.open("rb") as file:
                self._instants.fromfile(file, path.stat().st_size // self._instants.itemsize)
        self._next = job.first
        self._sent = self._done = self._throttled = self._failed = self._cold = self._overrun = 0
        self._stopped = ""
        self._refusal: Refusal | None = None
        self._begin = self._offset = 0.0
        self._began_at = 0.0

    def stop(self, *_: object) -> None:
        """Send no more."""
        self._stopped = self._stopped or "stopped"

    def run(self) -> SenderState:
        """Until all are answered, or it has to end: why is in the state."""
        left = self._instants[self._next :]
        offset = left[0] if self._next and left else 0.0
        self._offset = offset
        self._begin = time.perf_counter() + _EARLY_S - offset
        self._began_at = time.time() + _EARLY_S - offset
        if self._job.closed is not None:
            wanted = self._job.closed.requests
            clients = self._job.closed.clients
            if wanted is not None:
                clients = min(clients, wanted - self._job.first)
            self._due = [offset] * max(clients, 0)
        tell_at, used = 0.0, time.process_time()
        stop_at = float("inf")
        while True:
            now = time.perf_counter() - self._begin
            self._send_due(now)
            if self._stopped and stop_at == float("inf"):
                stop_at = now + _LAST_S
            if not self._busy and (self._stopped or self._nothing_due()):
                break
            if now >= stop_at:
                break
            self._give_up_late(now)
            if now >= tell_at:
                tell_at = now + _TELL_S
                self._tell(self._state(now, time.process_time() - used))
                self._renew()
                self._mourn()
            self._wait(min(tell_at, stop_at))
        self._write()
        self._close()
        now = time.perf_counter() - self._begin
        ended = self._stopped or "done"
        return self._state(now, time.process_time() - used, ended)

    def _close(self) -> None:
        for exchange in list(self._busy.values()):
            self._drop(exchange)
        for sock in self._idle.values():
            sock.close()
        self._poll.close()
        os.close(self._out)

    # --- when ------------------------------------------------------------------------------------

    def _nothing_due(self) -> bool:
        return not self._due if self._job.closed else self._next >= len(self._instants)

    def _next_due(self) -> float:
        if self._stopped or self._nothing_due():
            return float("inf")
        return self._due[0] if self._job.closed else self._instants[self._next]

    def _send_due(self, now: float) -> None:
        while (due := self._next_due()) <= now:
            if self._job.closed:
                heapq.heappop(self._due)
                if self._job.closed.seconds is not None and now >= self._job.closed.seconds:
                    continue
                due = now
            elif now - due > _BEHIND_S:
                self._stopped = "behind"
                return
            self._send(_Exchange(self._next, due, self._choices[self._next % CHOICES]))
            self._next += 1
            now = time.perf_counter() - self._begin

    def _again(self, done: float) -> None:
        """In a closed loop a client that was answered is due again."""
        closed = self._job.closed
        if closed is None or self._stopped:
            return
        if closed.requests is None or self._next + len(self._due) < closed.requests:
            heapq.heappush(self._due, done + closed.pause_s)

    def _wait(self, until: float) -> None:
        now = time.perf_counter() - self._begin
        due = self._next_due()
        left = min(due, until) - now
        if left > 0:
            if self._rows and left > _EARLY_S:
                self._write()
            select.select([self._poll.fileno()], [], [], left)
        for descriptor, event in self._poll.poll(0):
            self._event(descriptor, event)
            # Answers that came together must not make the next request late.
            if self._next_due() <= (now := time.perf_counter() - self._begin):
                self._send_due(now)

    def _give_up_late(self, now: float) -> None:
        while self._order:
            oldest = self._order[0]
            if self._busy.get(oldest.sock.fileno()) is not oldest:
                self._order.popleft()
                continue
            if now - oldest.sent < self._job.timeout_s:
                return
            self._fail(oldest, f"no answer within {self._job.timeout_s:g} s")

    # --- sending and receiving -------------------------------------------------------------------

    def _send(self, exchange: _Exchange) -> None:
        self._sent += 1
        exchange.sent = time.perf_counter() - self._begin
        if len(self._busy) >= self._job.under_way:
            self._overrun += 1
            self._row(exchange, error=f"not sent: {len(self._busy)} requests were under way")
            self._again(exchange.sent)
            return
        if not self._idle:
            self._connect(exchange)
            return
        _, exchange.sock = self._idle.popitem()
        exchange.fresh = False
        self._under_way(exchange)
        self._push(exchange)
        if self._unsent(exchange):
            self._poll.modify(exchange.sock, _IN | _OUT)

    def _under_way(self, exchange: _Exchange) -> None:
        exchange.out = memoryview(self._bodies[exchange.payload])
        self._busy[exchange.sock.fileno()] = exchange
        self._order.append(exchange)

    def _unsent(self, exchange: _Exchange) -> bool:
        """Whether some of it has still to be taken by the kernel."""
        return exchange.out is not None and self._busy.get(exchange.sock.fileno()) is exchange

    def _connect(self, exchange: _Exchange) -> None:
        """Send it on a connection of its own, as soon as that is there."""
        family = socket.AF_INET6 if ":" in self._job.host else socket.AF_INET
        exchange.sock = sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._under_way(exchange)
        refused = sock.connect_ex((self._job.host, self._job.port))
        if refused in _PENDING:
            self._poll.register(sock, _IN | _OUT)
        else:
            self._fail(exchange, os.strerror(refused))

    def _push(self, exchange: _Exchange) -> None:
        """Send what the kernel takes."""
        out = exchange.out
        assert out is not None  # noqa: S101 - for the type checker
        try:
            taken = exchange.sock.send(out)
        except BlockingIOError:
            return
        except OSError as error:
            # A server may refuse a body and close before it was all sent: its answer says why.
            exchange.out = None
            self._readable(exchange, lost=error)
            return
        exchange.out = out[taken:] if taken < len(out) else None

    def _event(self, descriptor: int, event: int) -> None:
        exchange = self._busy.get(descriptor)
        if exchange is None:
            if (idle := self._idle.pop(descriptor, None)) is not None:
                idle.close()  # The server keeps it no longer.
            return
        if exchange.out is not None and event & _OUT:
            self._push(exchange)
            if self._busy.get(descriptor) is exchange and not self._unsent(exchange):
                self._poll.modify(descriptor, _IN)
        if event & ~_OUT and self._busy.get(descriptor) is exchange:
            self._readable(exchange)

    def _readable(self, exchange: _Exchange, lost: OSError | None = None) -> None:
        try:
            data = exchange.sock.recv(_BUFFER)
        except BlockingIOError:
            if lost is not None:
                self._lost(exchange, lost)
            return
        except OSError as error:
            self._lost(exchange, error)
            return
        if not data and lost is not None:
            self._lost(exchange, lost)
            return
        now = time.perf_counter() - self._begin
        exchange.first = exchange.first or (now if data else 0.0)
        try:
            answer = exchange.reader.feed(data)
        except wire.WireError as error:
            self._lost(exchange, error)
            return
        if answer is not None:
            self._answered(exchange, answer, now)

    def _lost(self, exchange: _Exchange, error: OSError) -> None:
        """Closed or refused. A kept connection that was closed meanwhile is no failure."""
        if exchange.fresh or exchange.first or self._stopped:
            self._fail(exchange, error.strerror or str(error) or type(error).__name__)
            return
        self._drop(exchange)
        for sock in self._idle.values():
            sock.close()
        self._idle.clear()
        exchange.fresh, exchange.reader = True, wire.ResponseReader()
        self._connect(exchange)

    def _answered(self, exchange: _Exchange, answer: wire.Response, now: float) -> None:
        status, headers = answer.status, answer.headers
        code = headers.get("x-amzn-errortype", "").partition(":")[0]
        if code == MODEL_ERROR:
            status = model_status_of(status, answer.body)
        waited = headers.get(self._job.cold_header) if self._job.cold_header else None
        cold = None if waited is None else waited.strip("0.") != ""
        self._row(
            exchange,
            first=exchange.first,
            done=now,
            status=status,
            cold=cold,
            received=len(answer.body),
            error=code if status != 200 else "",
        )
        if answer.reusable and exchange.out is None:
            descriptor = exchange.sock.fileno()
            del self._busy[descriptor]
            self._idle[descriptor] = exchange.sock
        else:
            self._drop(exchange)
        if 200 <= status < 300:
            self._good[exchange.payload] = True
        elif status == THROTTLED_STATUS or code == THROTTLED:
            self._throttled += 1
        else:
            self._failed += 1
            if 400 <= status < 500 and not self._good[exchange.payload]:
                self._stopped = self._stopped or "refused"
                body = answer.body[:_EXCERPT].decode("utf-8", "replace")
                self._refusal = self._refusal or Refusal(
                    payload=exchange.payload, status=status, body=body
                )
        self._cold += bool(cold)
        self._again(now)

    def _fail(self, exchange: _Exchange, why: str) -> None:
        self._drop(exchange)
        self._failed += 1
        now = time.perf_counter() - self._begin
        self._row(exchange, first=exchange.first, done=now, error=why)
        # A server that is gone refuses at once: no need to ask a thousand times a second.
        self._again(now + (0.05 if self._job.closed else 0.0))

    def _drop(self, exchange: _Exchange) -> None:
        self._busy.pop(exchange.sock.fileno(), None)
        exchange.sock.close()

    # --- what is told ----------------------------------------------------------------------------

    def _row(
        self,
        exchange: _Exchange,
        *,
        first: float = 0.0,
        done: float | None = None,
        status: int = 0,
        cold: bool | None = None,
        received: int = 0,
        error: str = "",
    ) -> None:
        done = exchange.sent if done is None else done
        intended = exchange.sent if self._job.closed else exchange.intended
        self._done += 1
        self._rows.append(
            row(
                exchange.number,
                self._job.sitting,
                intended_s=intended,
                sent_s=exchange.sent,
                done_s=done,
                first_byte_s=first,
                status=status,
                cold=cold,
                payload=exchange.payload,
                sent_bytes=len(self._bodies[exchange.payload]),
                received_bytes=received,
                error=error,
            )
        )
        if len(self._rows) * 80 > _WRITE_BYTES:
            self._write()

    def _write(self) -> None:
        if self._rows:
            data = "".join(self._rows).encode()
            self._rows.clear()
            os.write(self._out, data)

    def _tell(self, state: SenderState) -> None:
        self._write()
        self._tell_line(state.line())

    def _state(self, now: float, cpu_s: float, ended: str | None = None) -> SenderState:
        return SenderState(
            began_at=self._began_at,
            elapsed_s=max(0.0, now - self._offset),
            sent=self._sent,
            done=self._done,
            throttled=self._throttled,
            failed=self._failed,
            cold=self._cold,
            overrun=self._overrun,
            cpu_s=cpu_s,
            priority=self._priority,
            ended=ended,
            refusal=self._refusal,
        )

    def _mourn(self) -> None:
        """A target that died answers nobody: its requests would time out one by one."""
        try:
            why = Path(self._job.gone or os.devnull).read_text(encoding="utf-8")
        except OSError:
            return
        if not why or self._stopped:
            return
        self._stopped = "gone"
        for exchange in list(self._busy.values()):
            self._fail(exchange, why)
        for number in range(self._next, len(self._instants)):
            exchange = _Exchange(number, self._instants[number], self._choices[number % CHOICES])
            exchange.sent = exchange.intended
            self._failed += 1
            self._row(exchange, error=f"not sent: {why}")
        self._next = len(self._instants)

    def _renew(self) -> None:
        """Requests that were prepared anew."""
        for place, path in enumerate(self._payloads):
            with suppress(OSError):
                if (stamp := path.stat().st_mtime_ns) != self._read_at[place]:
                    self._bodies[place], self._read_at[place] = path.read_bytes(), stamp


def _go_first() -> str:
    """Wake up in time on a machine whose processors are busy with the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        return "real time"
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
        return "raised"
    return "normal"


def main(arguments: Sequence[str]) -> int:
    """Run the job of that file; its last state is the last line of the output."""

    def tell(line: str) -> None:
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(1, f"{line}\n".encode())

    gc.disable()  # A full collection takes milliseconds, and there are no circles to collect.
    sender = Sender(SenderJob.read(Path(arguments[0])), priority=_go_first(), tell=tell)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Whoever started it decides.
    signal.signal(signal.SIGTERM, sender.stop)
    tell(sender.run().line())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
