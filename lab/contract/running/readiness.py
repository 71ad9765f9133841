"""Waiting for a container to get ready, and seeing why one does not: a reason, not a time-out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from lab.contract.running import calls, procfs
from lab.engine.docker.container import DockerContainer
from lab.errors import EngineError
from lab.start.cause import Cause, CauseKind, not_ready, not_started, with_error
from lab.start.probe import ATTEMPT_TIMEOUT_S, Probes, probe
from lab.start.watch import StartWatch
from lab.units import format_seconds

_PROBE_S: Final = 0.02
_SLICE_S: Final = 5.0
_SETTLED_S: Final = 10.0
"""After this a wrong port, or a 4xx to /ping, is no longer taken for a start under way."""

_PATIENT_PING_S: Final = 30.0
_PATIENT_PINGS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Unready(Cause):
    """What was seen of a container that did not get ready."""

    accepting: bool = False
    listening: Sequence[procfs.Listening] | None = None
    """None where it cannot be seen."""
    slow_ping: bool = False
    """``/ping`` answers 200, but later than SageMaker waits."""


class NeverReady(Exception):  # noqa: N818 - an outcome
    """A container did not get ready."""

    def __init__(self, seen: Unready) -> None:
        super().__init__(seen.message)
        self.seen = seen


def refused(container: DockerContainer, error: EngineError) -> NeverReady:
    """The engine did not start it."""
    return NeverReady(Unready(**vars(not_started(container, error))))


def wait_until_ready(
    container: DockerContainer,
    address: tuple[str, int],
    *,
    port: int,
    begin: float,
    within_s: float,
) -> Probes:
    """Probe until it is ready; ``port`` is the container's own.

    Raises ``NeverReady`` when it never will be, or its time is up.
    """
    give_up_at = begin + within_s
    hopeless: _Hopeless | None = None
    with StartWatch(container) as watch:
        while True:
            seen = probe(
                address,
                interval_s=_PROBE_S,
                give_up_at=min(give_up_at, time.monotonic() + _SLICE_S),
                gone=watch.gone,
            )
            if seen.ready_ns is not None:
                return seen
            waited = time.monotonic() - begin
            listening = procfs.listening(container)
            if waited >= _SETTLED_S:
                hopeless = _hopeless(seen, listening, address, port)
            if watch.gone() or hopeless or time.monotonic() >= give_up_at:
                break
    cause = not_ready(container, seen, round(waited))
    words = hopeless.words if hopeless else _closing(seen, listening, port, round(waited))
    if words and cause.kind is CauseKind.NEVER_READY:
        cause = replace(cause, message=with_error(words, cause.explanation))
    raise NeverReady(
        Unready(
            **vars(cause),
            accepting=seen.accepting_ns is not None,
            listening=listening,
            slow_ping=hopeless is not None and hopeless.slow_ping,
        )
    )


@dataclass(frozen=True)
class _Hopeless:
    """Why waiting on is pointless."""

    words: str
    slow_ping: bool = False


def _hopeless(
    seen: Probes,
    listening: Sequence[procfs.Listening] | None,
    address: tuple[str, int],
    port: int,
) -> _Hopeless | None:
    """Why waiting on is pointless; None when the server may still be loading."""
    if seen.last_status is not None:
        refused = 400 <= seen.last_status < 500
        return _Hopeless(f"/ping is answered with {seen.last_status}") if refused else None
    if seen.accepting_ns is not None:
        return _slow_ping(address)
    if listening is None:
        return None
    words = ", ".join(str(one) for one in listening)
    if any(one.port == port for one in listening):
        only = all(one.loopback for one in listening if one.port == port)
        return _Hopeless(f"it listens on {words} only") if only else None
    answers = any(
        calls.call((address[0], one.port), calls.get("/ping"), timeout_s=2.0).good
        for one in listening
        if not one.loopback
    )
    elsewhere = f"it listens on {words} and answers /ping there, not on {port}"
    return _Hopeless(elsewhere) if answers else None


def _closing(
    seen: Probes, listening: Sequence[procfs.Listening] | None, port: int, waited_s: float
) -> str:
    """Of a server that is there and closes what it is asked; empty of any other."""
    there = any(one.port == port and not one.loopback for one in listening or ())
    if not there or seen.accepting_ns is not None or seen.last_status is not None:
        return ""
    return (
        f"Not ready within {waited_s:g} s: it listens on {port}, and closes every connection "
        f"without an answer ({seen.last_error.rstrip('.')})"
    )


def _slow_ping(address: tuple[str, int]) -> _Hopeless | None:
    """A server that is loading may hold one ping for long; one that is slow does it every time."""
    took = []
    for _ in range(_PATIENT_PINGS):
        answer = calls.call(address, calls.get("/ping"), timeout_s=_PATIENT_PING_S)
        if not answer.good or answer.seconds <= ATTEMPT_TIMEOUT_S:
            return None
        took.append(answer.seconds)
    words = f"/ping takes {format_seconds(min(took))} and more, time after time"
    return _Hopeless(words, slow_ping=True)
