"""The rules about stopping: SIGTERM, who gets it, how long it takes, what is lost."""

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from lab.contract.model import Judged, Tried, Verdict
from lab.contract.running import calls, procfs
from lab.contract.running.calls import HttpCall
from lab.contract.running.container import CannotTry
from lab.contract.running.load import clients
from lab.contract.running.session import Session, Tries, once
from lab.engine.docker.container import DockerContainer
from lab.load.clients import Load
from lab.units import format_seconds
from lab.wire import connect

GRACE_S: Final = 30.0
"""After SIGTERM; then SageMaker sends SIGKILL."""

_KILLED: Final = 137
_CLEAN: Final = (0, 143)
_TERM: Final = ("TERM", "15", "")
_SHELLS: Final = ("sh", "bash", "dash", "ash", "zsh", "busybox")
_CLIENTS: Final = 4
_UNDER_WAY_S: Final = 1.0
_POLL_S: Final = 0.05
_TICK_S: Final = 0.001
_YOUNG: Final = 0.2
_CATCHABLE_S: Final = 0.1
"""Answers that take less are over, or not begun, when a signal comes."""
_SETTLE_S: Final = 0.3
_TAKEN_WITHIN_S: Final = 10.0
_MOST_OF_HALF: Final = 32_768
"""Of a body, so that it goes into a socket that nobody reads yet."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """What was seen of a stop."""

    process_one: Sequence[str] | None
    took_s: float
    exit_code: int | None
    grace_s: float = GRACE_S

    @property
    def killed(self) -> bool:
        """Whether it took SIGKILL."""
        return self.exit_code == _KILLED or self.took_s >= self.grace_s

    @property
    def shell(self) -> bool:
        return bool(self.process_one) and (
            PurePosixPath((self.process_one or ("",))[0]).name.lstrip("-") in _SHELLS
        )

    @property
    def words(self) -> str:
        """Process 1's command line, shortened."""
        if self.process_one is None:
            return "(cannot be seen from here)"
        line = " ".join(self.process_one)
        return f"`{line[:80]}`" + ("…" if len(line) > 80 else "")


def judge_arrives(stop: Stop) -> Judged:
    """Whether a shell keeps the signal."""
    if stop.shell and stop.killed:
        return Verdict.FAIL, f"process 1 is {stop.words} and took SIGKILL to end"
    if stop.shell:
        return Verdict.PASS, f"process 1 is {stop.words}, and passes it on"
    if stop.process_one is None and not stop.killed:
        return Verdict.PASS, f"ended {format_seconds(stop.took_s)} after SIGTERM"
    if stop.process_one is None:
        return Verdict.SKIP, "process 1 cannot be seen from here"
    return Verdict.PASS, f"process 1 is {stop.words}"


def judge_sigterm(stop: Stop) -> Judged:
    """Whether it ended in time, and well."""
    if stop.killed and stop.shell:
        return Verdict.SKIP, "the signal does not reach the server: see sigterm-arrives"
    if stop.killed:
        said = f"still ran {stop.grace_s:g} s after SIGTERM; process 1 is {stop.words}"
        return Verdict.FAIL, said
    said = f"ended {format_seconds(stop.took_s)} after SIGTERM with exit code {stop.exit_code}"
    return (Verdict.PASS if stop.exit_code in _CLEAN else Verdict.WARN), said


def other_signal(stop_signal: str | None) -> str:
    """A word about an image's ``STOPSIGNAL`` that is not what SageMaker sends."""
    if stop_signal is None or stop_signal.removeprefix("SIG") in _TERM:
        return ""
    return f" (its STOPSIGNAL {stop_signal} is not sent: SageMaker documents SIGTERM)"


def judge_in_flight(answers: Sequence[HttpCall], signalled_at: float) -> Judged:
    """What became of the requests that were sent before the signal and answered after it.

    Requests sent later may be refused: SageMaker sends none to a container that it stops.
    """
    flying = [
        one
        for one in answers
        if one.sent_at is not None and one.sent_at <= signalled_at < one.ended_at
    ]
    lost = [one for one in flying if one.status is None or one.status >= 500]
    if not flying:
        return Verdict.PASS, "none was in flight: it answers too fast to be caught"
    if lost:
        return Verdict.FAIL, f"{len(lost)} of {len(flying)} in flight were lost: {lost[0].words}"
    slowest = max(one.ended_at for one in flying) - signalled_at
    return Verdict.PASS, (
        f"{len(flying)} in flight, all answered within {format_seconds(slowest)} of SIGTERM"
    )


def judge_half_sent(answer: HttpCall) -> Judged:
    """What became of a request of which half was sent before the signal, and half after it."""
    how = "1 in flight, half of it sent before SIGTERM and half after it"
    if answer.good:
        return Verdict.PASS, f"{how}: answered {answer.status}"
    return Verdict.FAIL, f"{how}, was lost: {answer.words}"


@once
def _stop(session: Session) -> Stop:
    with session.running(as_it_is=True) as ready:
        process_one = procfs.process_one(ready.container)
        grace_s = GRACE_S * session.patience
        begin = time.monotonic()
        ready.container.stop(grace_s=grace_s)
        return Stop(
            process_one=process_one,
            took_s=time.monotonic() - begin,
            exit_code=ready.container.state().exit_code,
            grace_s=grace_s,
        )


def _arrives(session: Session) -> Tried:
    stop = _stop(session)
    return *judge_arrives(stop), {"process_one": stop.process_one}


def _sigterm(session: Session) -> Tried:
    stop = _stop(session)
    verdict, seen = judge_sigterm(stop)
    seen += other_signal(session.config().get("StopSignal"))
    return verdict, session.timed(seen), {"seconds": stop.took_s, "exit_code": stop.exit_code}


def _in_flight(session: Session) -> Tried:
    broken = [one for one in ("sigterm-arrives", "sigterm") if session.verdict(one) is Verdict.FAIL]
    if broken:
        raise CannotTry(f"it does not stop at SIGTERM: see {broken[0]}")
    if session.verdict("accept") is Verdict.FAIL:
        raise CannotTry("what waits to be accepted is lost with the queue: see accept")
    # A quick answer is caught by chance only: such a request is kept in flight by its own body.
    usual_s = session.sample().answer.seconds
    slow = session.patience > 1 or (session.endurance().usual_s or usual_s) >= _CATCHABLE_S
    # Twice the same decides: on a busy machine the signal may come before a request is taken from
    # the socket's queue, where no server can save it, or just after the answers.
    tries: list[Judged] = []
    while not tries or tries[-1][0] not in [verdict for verdict, _ in tries[:-1]]:
        tries.append(
            judge_in_flight(*_stopped_under_way(session))
            if slow
            else judge_half_sent(_stopped_half_way(session))
        )
    verdict, seen = tries[-1]
    if not slow:
        return verdict, seen
    if session.emulated and verdict is Verdict.FAIL:
        # A server waits for what is in flight as long as SageMaker does, not as QEMU needs.
        raise CannotTry(session.timed(seen))
    return verdict, session.timed(seen)


def _stopped_half_way(session: Session) -> HttpCall:
    """A request whose body was under way when SIGTERM came, and what came of it.

    Raises ``CannotTry`` where no program took it, or where it was answered before it was complete.
    """
    sample = session.sample()
    prepared = calls.post(sample.body, sample.content_type)
    begin = len(prepared) - len(sample.body)
    cut = begin + min(len(sample.body) // 2, _MOST_OF_HALF)
    with session.running() as ready:
        ready.predict(sample)  # whatever the first one waits for is another rule's
        terminate = procfs.terminator(ready.container)
        with connect(ready.address, timeout_s=calls.CONNECT_TIMEOUT_S) as connection:
            connection.sendall(prepared[:cut])
            _until_taken(ready.container, connection)
            time.sleep(_SETTLE_S)
            if select.select([connection], [], [], 0)[0]:
                raise CannotTry("a request is answered, or cut off, before all of it was sent")
            terminate()
            time.sleep(_SETTLE_S)
            rest = prepared[cut:]
            answer = calls.on(connection, rest, timeout_s=calls.INVOCATION_LIMIT_S)
        _wait_for_end(ready.container)
    return answer


def _until_taken(container: DockerContainer, connection: socket.socket) -> None:
    port = connection.getsockname()[1]
    give_up_at = time.monotonic() + _TAKEN_WITHIN_S
    while procfs.taken(container, port) is False:
        if time.monotonic() >= give_up_at:
            raise CannotTry(f"no request was accepted within {_TAKEN_WITHIN_S:g} s")
        time.sleep(_POLL_S)


def _stopped_under_way(session: Session) -> tuple[Sequence[HttpCall], float]:
    """Every call to a container that gets SIGTERM among them, and when it came."""
    sample = session.sample()
    with session.running() as ready:
        ready.predict(sample)
        prepared = calls.post(sample.body, sample.content_type)
        limit_s = calls.INVOCATION_LIMIT_S * session.patience
        terminate = procfs.terminator(ready.container)
        with clients(ready, prepared, count=_CLIENTS) as load:
            time.sleep(_UNDER_WAY_S)
            _just_after_an_answer(load, usual_s=sample.answer.seconds, limit_s=limit_s)
            signalled_at = time.monotonic()
            terminate()
            _wait_for_end(ready.container)
    return load.results, signalled_at


def _just_after_an_answer(load: Load[HttpCall], *, usual_s: float, limit_s: float) -> None:
    """Wait for a moment when requests are young: clients that are answered in step would otherwise
    all be answered just before the signal comes.
    """
    seen = len(load.sent)
    give_up_at = time.monotonic() + limit_s
    while len(load.sent) == seen and time.monotonic() < give_up_at:
        time.sleep(_TICK_S)
    time.sleep(usual_s * _YOUNG)


def _wait_for_end(container: DockerContainer) -> None:
    give_up_at = time.monotonic() + GRACE_S
    while container.state().running and time.monotonic() < give_up_at:
        time.sleep(_POLL_S)
    if container.state().running:
        container.kill()


TRIES: Tries = {"sigterm-arrives": _arrives, "sigterm": _sigterm, "in-flight": _in_flight}
