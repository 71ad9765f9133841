"""Loads a target by a schedule or a closed loop, watches it, and keeps every request."""

import hashlib
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from lab import __version__, busy
from lab.engine.api import EngineFacts
from lab.errors import EndpointError, LabError
from lab.host import host_facts
from lab.load import health
from lab.load.arrivals.schedule import Schedule
from lab.load.job import ClosedPart, Refusal, SenderJob, SenderState
from lab.loadtest.calls import Calls
from lab.loadtest.folder import LoadFolder
from lab.loadtest.record import (
    ClosedRecord,
    Load,
    Objective,
    PayloadRecord,
    PoolReading,
    Sitting,
    TargetKind,
)
from lab.loadtest.targets.api import CallRoute, LoadPayload, Target, WireRoute
from lab.process import stream
from lab.progress import Progress, Step

TIMEOUT_S: Final = 60.0
_LOOK_S: Final = 0.5


class RefusedError(EndpointError):
    """The target refused a payload that it never answered well: the answer is in the text."""


class InvalidLoadError(LabError):
    """The generator did not keep to its schedule, so the run says nothing of the target."""

    exit_code = 16


class InterruptedLoadError(LabError):
    """Ctrl-C or SIGTERM: the requests so far are kept."""

    exit_code = 130


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """What to send. Either a schedule or a closed loop."""

    schedule: Schedule | None = None
    closed: ClosedRecord | None = None
    payloads: Sequence[LoadPayload]
    objective: Objective | None = None
    seed: int = 0
    """Of which payload each request carries."""
    timeout_s: float = TIMEOUT_S
    protocol: str | None = None
    name: str = "load"
    """Of the run folder, behind the time; in a folder of loads that is all of its name."""


def run(
    target: Target,
    plan: LoadPlan,
    *,
    progress: Progress,
    engine: EngineFacts | None = None,
    folder: LoadFolder | None = None,
    root: Path | None = None,
) -> LoadFolder:
    """Load the target; the folder that keeps all.

    With ``folder`` go on with what it lacks; ``root`` is a folder of loads, where this one is named
    by ``plan.name`` alone. Raises ``RefusedError`` when a payload is refused, and
    ``InterruptedLoadError`` for Ctrl-C; what was recorded is kept whatever ends it.
    """
    if folder is None:
        folder = begin(target, plan, engine=engine, root=root)
    else:
        folder.mend()
    done = folder.requests() if folder.requests_path.exists() else None
    first = 0 if done is None or not len(done) else int(done.number.max()) + 1
    number = len(folder.sittings())
    state: SenderState | None = None
    states: list[SenderState] = []
    before = busy.read()
    with progress.step(f"Load {target.record}") as step:

        def on_state(state: SenderState) -> None:
            states.append(state)
            _tell(step, state, plan)

        try:
            with tempfile.TemporaryDirectory(prefix="inference-lab-load-") as made:
                send = _by_wire if isinstance(target.route, WireRoute) else _by_calls
                send(target, plan, folder, Path(made), first, number, on_state)
        except KeyboardInterrupt as stop:
            raise _interrupted(folder, plan) from stop
        finally:
            _sit_down(folder, number, target, states, before)
    state = states[-1] if states else None
    if state is not None and state.refusal is not None:
        raise _refused(target, plan, state.refusal)
    return folder


def begin(
    target: Target, plan: LoadPlan, *, engine: EngineFacts | None = None, root: Path | None = None
) -> LoadFolder:
    """The folder of a load of which nothing was sent yet: ``run`` goes on with it."""
    name = plan.name if root else f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{plan.name}"
    return LoadFolder.create(planned(target, plan, engine, name), plan.schedule, root=root)


def planned(
    target: Target, plan: LoadPlan, engine: EngineFacts | None = None, name: str = ""
) -> Load:
    """``load.json`` of a load that is to be of that name."""
    host = host_facts()
    schedule = plan.schedule
    return Load(
        id=name,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        lab_version=__version__,
        git_commit=host.get("git_commit"),
        git_dirty=host.get("git_dirty"),
        target=target.record,
        schedule=None if schedule is None else schedule.said,
        schedule_sha256=None if schedule is None else schedule.sha256,
        rate_per_s=None if schedule is None else schedule.rate_per_s,
        idc=None if schedule is None else schedule.idc,
        horizon_s=None if schedule is None else schedule.horizon_s,
        closed=plan.closed,
        payloads=tuple(
            PayloadRecord(
                name=one.name,
                content_type=one.content_type,
                bytes=len(one.body),
                sha256=hashlib.sha256(one.body).hexdigest(),
                weight=one.weight,
            )
            for one in plan.payloads
        ),
        seed=plan.seed,
        timeout_s=plan.timeout_s,
        objective=plan.objective,
        protocol=plan.protocol,
        host=host,
        engine=None if engine is None else asdict(engine),
    )


def verdict(folder: LoadFolder) -> health.GeneratorHealth | None:
    """How well the generator kept the schedule; None of a closed loop, which has none."""
    load = folder.load()
    if load.closed is not None:
        return None
    objective_s = None if load.objective is None else load.objective.seconds
    return health.health(folder.requests(), folder.states(), objective_s=objective_s)


def refuse_invalid(folder: LoadFolder) -> None:
    """Raises ``InvalidLoadError`` when the generator did not keep to the schedule."""
    found = verdict(folder)
    if found is None or found.valid:
        return
    could = f" It kept {found.reached_per_s:g} requests a second." if found.reached_per_s else ""
    raise InvalidLoadError(
        f"{folder.path.name} says nothing of its target: {found.why_not}.{could}",
        remedy="Ask for a lower rate, or leave the generator a processor of its own.",
    )


def _sit_down(
    folder: LoadFolder,
    number: int,
    target: Target,
    states: Sequence[SenderState],
    before: busy.Reading | None,
) -> None:
    """Keep how this sitting ended, however that was."""
    if not states:
        return
    state = states[-1]
    if state.ended is None:
        state = replace(state, ended="stopped")
    ours = target.containers()
    used = None if ours is None else busy.between(before, busy.read(), ours=ours)
    folder.append_sitting(
        Sitting(
            number=number,
            state=asdict(state),
            machine=None if used is None else used.model_dump(mode="json"),
            cause=target.cause() if state.failed else None,
        )
    )


def _tell(step: Step, state: SenderState, plan: LoadPlan) -> None:
    horizon_s = plan.schedule.horizon_s if plan.schedule else plan.closed and plan.closed.seconds
    if horizon_s:
        step.advance(min(state.elapsed_s, horizon_s), horizon_s)
    said = [f"{state.done} of {state.sent} answered"]
    for many, word in (
        (state.cold, "cold"),
        (state.throttled, "throttled"),
        (state.failed, "failed"),
    ):
        if many:
            said.append(f"{many} {word}")
    step.detail(", ".join(said))


def _interrupted(folder: LoadFolder, plan: LoadPlan) -> InterruptedLoadError:
    many = len(folder.requests()) if folder.requests_path.exists() else 0
    of = f" of {len(plan.schedule)}" if plan.schedule else ""
    return InterruptedLoadError(
        f"Stopped: {many}{of} requests are kept in {folder.path}.",
        remedy=f"Go on with `lab load --resume {folder.path.name}` and the same payloads.",
    )


def _refused(target: Target, plan: LoadPlan, refusal: Refusal) -> RefusedError:
    name = plan.payloads[refusal.payload].name
    return RefusedError(
        f"{target.record} answered {refusal.status} to {name}: {refusal.body}",
        remedy="Send what the model understands, with --payload and --content-type.",
        model_status=refusal.status,
    )


# --- sending -------------------------------------------------------------------------------------

OnState = Callable[[SenderState], None]


def _by_wire(
    target: Target,
    plan: LoadPlan,
    folder: LoadFolder,
    work: Path,
    first: int,
    sitting: int,
    on_state: OnState,
) -> None:
    """By the sender, a process of its own."""
    route = target.route
    assert isinstance(route, WireRoute)  # noqa: S101 - for the type checker
    prepared = [work / f"request-{place}" for place in range(len(plan.payloads))]

    def prepare() -> None:
        for path, payload in zip(prepared, plan.payloads, strict=True):
            beside = path.with_suffix(".new")
            beside.write_bytes(route.prepare(payload))
            beside.replace(path)

    prepare()
    SenderJob(
        host=route.address[0],
        port=route.address[1],
        prepared=[str(path) for path in prepared],
        weights=[one.weight for one in plan.payloads],
        out=str(folder.requests_path),
        instants=None if plan.schedule is None else str(_instants(plan.schedule, work)),
        closed=None if plan.closed is None else _part(plan.closed),
        first=first,
        sitting=sitting,
        seed=plan.seed,
        timeout_s=plan.timeout_s,
        cold_header=route.cold_header,
        gone=str(work / "gone"),
    ).write(work / "job.json")
    with _Watch(
        target, folder, prepare=prepare, renew_s=route.renew_s, gone=work / "gone"
    ) as watch:

        def on_line(text: str) -> None:
            state = SenderState.parse(text)
            if state is not None:
                watch.began_at = state.began_at
                on_state(state)

        stream([sys.executable, "-m", "lab.load.sender", work / "job.json"], on_line=on_line)


def _instants(schedule: Schedule, work: Path) -> Path:
    path = work / "instants"
    path.write_bytes(array("d", schedule.instants.tolist()).tobytes())
    return path


def _part(closed: ClosedRecord) -> ClosedPart:
    return ClosedPart(
        clients=closed.clients,
        pause_s=closed.pause_s,
        requests=closed.requests,
        seconds=closed.seconds,
    )


def _by_calls(
    target: Target,
    plan: LoadPlan,
    folder: LoadFolder,
    work: Path,
    first: int,
    sitting: int,
    on_state: OnState,
) -> None:
    """From threads: what no plain HTTP reaches."""
    del work
    route = target.route
    assert isinstance(route, CallRoute)  # noqa: S101 - for the type checker
    calls = Calls(route, plan.payloads, folder.requests_path, seed=plan.seed, sitting=sitting)
    with _Watch(target, folder) as watch:
        watch.began_at = calls.began_at
        if plan.schedule is not None:
            calls.run_open(plan.schedule.instants[first:], first, on_state)
        elif plan.closed is not None:
            calls.run_closed(_part(plan.closed), first, on_state)


class _Watch:
    """What the target's pool does meanwhile, in a thread; and requests prepared anew."""

    def __init__(
        self,
        target: Target,
        folder: LoadFolder,
        *,
        prepare: Callable[[], None] = lambda: None,
        renew_s: float | None = None,
        gone: Path | None = None,
    ) -> None:
        self.began_at: float | None = None
        """Seconds since the epoch; nothing is kept before it is known."""
        self._target = target
        self._folder = folder
        self._prepare = prepare
        self._renew_s = renew_s
        self._gone = gone
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True, name="watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        renewed, last = time.monotonic(), None
        while not self._over.wait(_LOOK_S):
            if self._renew_s is not None and time.monotonic() - renewed > self._renew_s:
                renewed = time.monotonic()
                self._prepare()
            if self.began_at is None:
                continue
            try:
                seen = self._target.pool()
            except LabError:
                continue  # The target's own trouble is told by its answers.
            if seen is not None and seen != last:
                last = seen
                serving, starting, memory = seen
                if not serving and self._target.record.kind is TargetKind.IMAGE:
                    self._bury()
                at_s = round(time.time() - self.began_at, 3)
                self._folder.append_pool(
                    PoolReading(
                        at_s=at_s, containers=serving, starting=starting, memory_bytes=memory
                    )
                )

    def _bury(self) -> None:
        """A container that has ended never comes back: tell the sender of what it died."""
        why = self._target.cause()
        if self._gone is None or why is None:
            return
        beside = self._gone.with_suffix(".new")
        beside.write_text(why, encoding="utf-8")
        beside.replace(self._gone)
