"""Sends from threads what no plain HTTP reaches: calls of an SDK, requests over TLS.

The same rows as the sender's. A call that is due while every thread is busy is sent late, which
the run's verdict sees.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.load.clients import ClosedLoop, Load, OpenLoop, SentRequest
from lab.load.job import (
    CHOICES,
    THROTTLED,
    THROTTLED_STATUS,
    ClosedPart,
    Refusal,
    SenderState,
    choices,
    row,
)
from lab.loadtest.targets.api import CallAnswer, CallRoute, LoadPayload

_TELL_S: Final = 0.25
_EXCERPT: Final = 2000

Sent = SentRequest[tuple[int, CallAnswer]]
OnState = Callable[[SenderState], None]


class Calls:
    """One sitting."""

    def __init__(
        self,
        route: CallRoute,
        payloads: Sequence[LoadPayload],
        out: Path,
        *,
        seed: int,
        sitting: int,
    ) -> None:
        self.began_at = time.time()
        """Seconds since the epoch: the beginning of the schedule."""
        self._route = route
        self._payloads = payloads
        self._out = out
        self._sitting = sitting
        self._choices = choices([one.weight for one in payloads], seed)
        self._good = [False for _ in payloads]
        self._open = True
        self._sent = self._throttled = self._failed = self._cold = 0
        self._refusal: Refusal | None = None

    def run_open(self, instants: NDArray[np.float64], first: int, on_state: OnState) -> None:
        """At given instants; ``first`` is the number of the first of them."""
        offset = float(instants[0]) if first and len(instants) else 0.0
        self.began_at -= offset
        due = (float(one) - offset for one in instants)
        loop = OpenLoop(instants=due, clients=min(self._route.clients, max(len(instants), 1)))
        self._run(Load(self._client(first), loop), offset, on_state)

    def run_closed(self, closed: ClosedPart, first: int, on_state: OnState) -> None:
        """``closed.clients`` threads, each again when it was answered."""
        self._open = False
        wanted = None if closed.requests is None else closed.requests - first
        loop = ClosedLoop(clients=closed.clients, requests=wanted)
        load = Load(self._client(first), loop, pause_s=lambda _: closed.pause_s)
        self._run(load, 0.0, on_state, seconds=closed.seconds)

    def _client(
        self, first: int
    ) -> Callable[[], nullcontext[Callable[[], tuple[int, CallAnswer]]]]:
        numbers = count(first)  # Of CPython: next is one step, whatever threads there are.

        def call() -> tuple[int, CallAnswer]:
            number = next(numbers)
            return number, self._route.call(self._payloads[self._choices[number % CHOICES]])

        return lambda: nullcontext(call)

    def _run(
        self,
        load: Load[tuple[int, CallAnswer]],
        offset: float,
        on_state: OnState,
        *,
        seconds: float | None = None,
    ) -> None:
        used, begin, written = time.process_time(), time.monotonic(), 0
        ended = "done"
        with ExitStack() as stack:
            out = stack.enter_context(self._out.open("ab"))

            def keep() -> None:
                nonlocal written
                rows = load.sent[written:]
                written += len(rows)
                out.write("".join(self._row(one, offset) for one in rows).encode())
                out.flush()
                os.fsync(out.fileno())

                used_s = time.process_time() - used
                on_state(self._state(time.monotonic() - begin, used_s, None))

            stack.callback(keep)  # also what is answered after Ctrl-C
            stack.enter_context(load)
            while True:
                over = not load.alive
                keep()
                if self._refusal is not None:
                    ended = "refused"
                if over:
                    break
                late = seconds is not None and time.monotonic() - begin >= seconds
                if ended == "refused" or late or load.errors:
                    load.stop()
                time.sleep(_TELL_S)
        if load.errors:
            raise load.errors[0]
        elapsed = time.monotonic() - begin
        on_state(self._state(elapsed, time.process_time() - used, ended))

    def _row(self, one: Sent, offset: float) -> str:
        if one.result is None:
            return ""
        number, answer = one.result
        payload = self._choices[number % CHOICES]
        self._count(answer, payload)
        intended = one.sent_s if one.due_s is None else one.due_s
        return row(
            number,
            self._sitting,
            intended_s=intended + offset,
            sent_s=one.sent_s + offset,
            done_s=one.ended_s + offset,
            status=answer.status,
            cold=answer.cold,
            payload=payload,
            sent_bytes=len(self._payloads[payload].body),
            received_bytes=answer.received_bytes,
            error=answer.error,
        )

    def _count(self, answer: CallAnswer, payload: int) -> None:
        self._sent += 1
        self._cold += bool(answer.cold)
        if 200 <= answer.status < 300:
            self._good[payload] = True
        elif answer.status == THROTTLED_STATUS or answer.error == THROTTLED:
            self._throttled += 1
        else:
            self._failed += 1
            if 400 <= answer.status < 500 and not self._good[payload]:
                body = answer.body[:_EXCERPT].decode("utf-8", "replace")
                self._refusal = self._refusal or Refusal(
                    payload=payload, status=answer.status, body=body
                )

    def _state(self, elapsed_s: float, cpu_s: float, ended: str | None) -> SenderState:
        return SenderState(
            began_at=self.began_at,
            elapsed_s=elapsed_s,
            sent=self._sent,
            done=self._sent,
            throttled=self._throttled,
            failed=self._failed,
            cold=self._cold,
            cpu_s=cpu_s,
            priority="threads",
            ended=ended,
            refusal=self._refusal,
        )
