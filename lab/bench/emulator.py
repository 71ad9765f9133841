"""What the emulator adds: four questions, answered in one run with their arms interleaved.

Overhead: a warm InvokeEndpoint through boto3 against the container called directly. Load: small
requests a second. Cold start: through the endpoint against the same start made by hand. Burst: many
clients at once against a small ``MaxConcurrency``.
"""

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from lab import wire
from lab.bench.emulator_stage import CallTargets, Stage
from lab.errors import ContainerFailedError
from lab.load.clients import ClosedLoop, Load, kept_alive
from lab.progress import Step

_TIMEOUT_S: Final = 70.0


@unique
class Arm(StrEnum):
    """One way of calling one container."""

    DIRECT = "direct"
    EMULATOR = "emulator"
    """By a plain HTTP client, to tell the emulator's part from boto3's."""
    BOTO3 = "boto3"


@dataclass(frozen=True, kw_only=True)
class EmulatorBenchOptions:
    """How much to measure."""

    rounds: int = 12
    requests: int = 100
    """Of each arm, per round of the overhead."""
    load_s: float = 3.0
    """Per round."""
    clients: int = 8
    cold_starts: int = 10
    burst: int = 50
    burst_requests: int = 20
    """Of each client, once the containers are warm."""
    seed: int = 2023


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """One round of one payload: p50 of each arm in seconds."""

    payload: str
    p50_s: Mapping[Arm, float]


@dataclass(frozen=True, kw_only=True)
class LoadRound:
    """One round under load."""

    requests: int
    errors: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Cold:
    """One pair of cold starts, from the call to the first prediction, in seconds."""

    endpoint_s: float
    direct_s: float


@dataclass(frozen=True, kw_only=True)
class Burst:
    """Many clients at once. ``counted`` is what the containers say that they answered."""

    what: str
    sent: int
    answered: int
    throttled: int
    lost: int
    """Neither answered nor throttled."""
    counted: int | None
    expected: int | None = None
    """How many must have been answered; None when time decides."""

    @property
    def exact(self) -> bool:
        """Nothing lost, nothing answered twice, and exactly the excess throttled."""
        whole = self.lost == 0 and self.answered + self.throttled == self.sent
        once = self.counted is None or self.counted == self.answered
        return whole and once and self.expected in {None, self.answered}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All rounds."""

    overheads: Sequence[Overhead]
    loads: Sequence[LoadRound]
    colds: Sequence[Cold]
    bursts: Sequence[Burst]


def measure(stage: Stage, options: EmulatorBenchOptions, step: Step) -> Measured:
    """Run everything; the first round of each kind is warm-up and thrown away."""
    order = random.Random(options.seed)
    overheads: list[Overhead] = []
    loads: list[LoadRound] = []
    colds: list[Cold] = []
    work: list[tuple[str, int]] = []
    for number in range(options.rounds + 1):
        kinds = ["overhead", "load"]
        if number <= options.cold_starts:
            kinds.append("cold")
        order.shuffle(kinds)
        work += [(kind, number) for kind in kinds]
    work += [("cold", number) for number in range(options.rounds + 1, options.cold_starts + 1)]
    for done, (kind, number) in enumerate(work):
        step.detail(f"{kind}, step {done + 1} of {len(work)}")
        step.advance(done, len(work))
        if kind == "overhead":
            measured = _overhead(stage, options, order)
            overheads += measured if number else []
        elif kind == "load":
            load = _load(stage.small, options)
            loads += [load] if number else []
        else:
            cold = _cold(stage, order)
            colds += [cold] if number else []
    step.detail("burst")
    bursts = _bursts(stage, options)
    return Measured(overheads=overheads, loads=loads, colds=colds, bursts=bursts)


# --- overhead ------------------------------------------------------------------------------------


def _overhead(stage: Stage, options: EmulatorBenchOptions, order: random.Random) -> list[Overhead]:
    """The arms take turns request by request: a machine that slows down slows all of them."""
    found = []
    for called in (stage.small, stage.real):
        took: dict[Arm, list[float]] = {arm: [] for arm in Arm}
        arms = list(Arm)
        with _clients(called) as clients:
            for _ in range(options.requests):
                order.shuffle(arms)
                for arm in arms:
                    took[arm].append(_timed(clients[arm]))
        p50 = {arm: statistics.median(values) for arm, values in took.items()}
        found.append(Overhead(payload=called.what, p50_s=p50))
    return found


@contextmanager
def _clients(called: CallTargets) -> Iterator[Mapping[Arm, Callable[[], object]]]:
    with ExitStack() as stack:

        def client(address: tuple[str, int], prepared: bytes) -> Callable[[], object]:
            send = stack.enter_context(kept_alive(address, prepared, timeout_s=_TIMEOUT_S))
            return lambda: _refuse_failed(send())

        yield {
            Arm.DIRECT: client(*called.direct),
            Arm.EMULATOR: client(*called.emulator()),
            Arm.BOTO3: called.boto3,
        }


def _refuse_failed(answer: wire.Response) -> None:
    if answer.status != 200:
        raise ContainerFailedError(f"A request was answered {answer.status}: {answer.body[:300]!r}")


def _timed(once: Callable[[], object]) -> float:
    begin = time.perf_counter()
    once()
    return time.perf_counter() - begin


# --- load ----------------------------------------------------------------------------------------


def _load(called: CallTargets, options: EmulatorBenchOptions) -> LoadRound:
    with Load(_kept_alive(called), ClosedLoop(clients=options.clients)) as load:
        time.sleep(options.load_s)
    answered = sum(answer.status == 200 for answer in load.results)
    return LoadRound(requests=answered, errors=len(load.sent) - answered, seconds=load.seconds)


def _kept_alive(
    called: CallTargets,
) -> Callable[[], AbstractContextManager[Callable[[], wire.Response]]]:
    address, prepared = called.emulator()
    return lambda: kept_alive(address, prepared, timeout_s=_TIMEOUT_S)


# --- cold starts ---------------------------------------------------------------------------------


def _cold(stage: Stage, order: random.Random) -> Cold:
    """Both ways, in a random order; neither leaves anything running that the other would feel."""
    arms = ["endpoint", "direct"]
    order.shuffle(arms)
    took = {}
    for arm in arms:
        stage.scale_to_zero()
        took[arm] = _timed(stage.cold.boto3) if arm == "endpoint" else stage.direct_start()
    stage.scale_to_zero()
    return Cold(endpoint_s=took["endpoint"], direct_s=took["direct"])


# --- bursts --------------------------------------------------------------------------------------


def _bursts(stage: Stage, options: EmulatorBenchOptions) -> list[Burst]:
    """First cold: each container holds its request while it starts, so the excess is exact."""
    stage.scale_to_zero()
    cold = _burst(stage, options.burst, 1, "cold", expected=min(options.burst, stage.concurrency))
    warm = _burst(stage, options.burst, options.burst_requests, "warm", expected=None)
    return [cold, warm]


def _burst(stage: Stage, clients: int, each: int, what: str, *, expected: int | None) -> Burst:
    before = stage.answered_by_containers() if what == "warm" else 0
    arrivals = ClosedLoop(clients=clients, requests=clients * each)
    with Load(_kept_alive(stage.cold), arrivals) as load:
        load.wait()
    outcomes = Counter(_outcome(answer) for answer in load.results)
    after = stage.answered_by_containers()
    return Burst(
        what=what,
        sent=clients * each,
        answered=outcomes["answered"],
        throttled=outcomes["throttled"],
        lost=clients * each - outcomes["answered"] - outcomes["throttled"],
        counted=None if after is None or before is None else after - before,
        expected=expected,
    )


def _outcome(answer: wire.Response) -> str:
    if answer.status == 200:
        return "answered"
    kind = answer.headers.get("x-amzn-errortype", "")
    return "throttled" if kind == "ThrottlingException" and answer.status == 400 else "lost"
