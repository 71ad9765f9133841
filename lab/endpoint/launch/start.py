"""One start of one container: fetched, created, started, probed; undone as a whole."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Final

from lab.endpoint.launch.failure import explain, with_log
from lab.endpoint.launch.images import one_line
from lab.endpoint.launch.local import ContainerPlace
from lab.endpoint.launch.model import Cancelled, Deadline
from lab.endpoint.launch.restarts import Restarts
from lab.endpoint.launch.running import RunningContainer
from lab.endpoint.live import Address, LaunchFailed, NothingToStart, Setup, VariantPlan
from lab.endpoint.records import EndpointKind
from lab.endpoint.settings import EmulatorSettings
from lab.engine.api import Container
from lab.errors import EngineError, ImageNotFoundError, LabError, refused_by_disk
from lab.spec import EngineKind, Mark
from lab.start import cause, emulated, timeline
from lab.start.cause import Cause
from lab.start.inside import look_inside, started_ns
from lab.start.ports import listening
from lab.start.priority import raised_priority
from lab.start.probe import Probes, probe
from lab.start.watch import StartWatch

LOGS_AFTER_S: Final = 1.0
"""A container that is not ready by then has its output filed while it starts; one that is has it
filed right after, for following costs the engine a moment that the container can use."""

_REPORT_TIMEOUT_S: Final = 0.25
_NS: Final = 1e9


class _NotReady(Exception):  # noqa: N818 - an outcome
    """A start that came to nothing."""

    def __init__(self, cause: Cause, probes: Probes | None = None) -> None:
        super().__init__(cause.message)
        self.cause = cause
        self.probes = probes


class Launch:
    """Runs in a thread of its own, which also probes."""

    def __init__(  # noqa: PLR0913 - all keyword-only
        self,
        plan: VariantPlan,
        *,
        place: ContainerPlace,
        name: str,
        labels: Mapping[str, str],
        check_architecture: Callable[[], bool],
        track: Callable[[Container], RunningContainer],
        claim: Callable[[Address], None],
        helper: Executor,
        settings: EmulatorSettings,
        tell: Callable[[str], None],
        waited_for: bool,
        offset_ns: Callable[[], int],
        without_report: set[str],
    ) -> None:
        """``check_architecture`` says whether its processor is emulated, or raises
        ``LaunchFailed`` where it is the wrong one; ``claim`` is told its address at each start,
        and ``tell`` why it has to be started again; ``waited_for``: a request waits for it;
        ``without_report`` holds the images that answer no ``GET /startup``: they are asked once.
        """
        self.container: Container | None = None
        self.running: RunningContainer | None = None
        self.emulated = False
        self.place = place
        self.endpoint = plan.endpoint
        self._plan = plan
        self._name = name
        self._labels = labels
        self._check_architecture = check_architecture
        self._startup_s = plan.startup_timeout_s
        self._track = track
        self._claim = claim
        self._helper = helper
        self._settings = settings
        self._tell = tell
        self._offset_ns = offset_ns
        self._without_report = without_report
        self._cancelled = Event()
        self._wanted_no_more = Event()
        """Cancelled or given up."""
        self._restarts = Restarts(
            endpoint=plan.endpoint,
            most=settings.start_tries,
            first_pause_s=settings.start_pause_s,
            waited_for=waited_for,
        )
        self._marks: dict[Mark, int] = {}
        self._creating: Future[Container] | None = None
        self._begun_ns = 0
        """When it was started last."""
        self._first_started_ns: int | None = None
        """Of one that was started again."""

    def run(self) -> tuple[Address, Setup]:
        """Start it; what was made is undone if that fails. Raises ``LaunchFailed``."""
        try:
            return self._run()
        except BaseException as error:
            if self.running is not None and not isinstance(error, Cancelled):
                self.running.log.start()
            failed = isinstance(error, LaunchFailed)
            self.undo(note=f"The container did not get ready: {error}" if failed else None)
            if isinstance(error, OSError):
                found = refused_by_disk(error, "The container could not be started")
                raise LaunchFailed(str(found)) from error
            if isinstance(error, LabError):
                outcome = NothingToStart if isinstance(error, ImageNotFoundError) else LaunchFailed
                raise outcome(one_line(error)) from error
            raise

    def cancel(self) -> None:
        """Give it up as soon as possible; ``run`` then raises ``Cancelled``, or has ended."""
        self._cancelled.set()
        self._wanted_no_more.set()

    def give_up(self) -> None:
        """Wait for it no longer: ``run`` raises ``LaunchFailed`` as when its time was over."""
        self._restarts.given_up = True
        self._wanted_no_more.set()

    def undo(self, *, note: str | None = None) -> None:
        """Remove everything that was made. No error if there is nothing.

        ``note`` is the last line of its log.
        """
        if self._creating is not None:
            with suppress(LabError):
                self.container = self._creating.result()
        if self.container is not None:
            with suppress(EngineError):
                self.container.kill()
            if self.running is not None:
                self.running.log.close(drain=True, note=note)
            with suppress(EngineError):
                self.container.remove()
        self.place.close()

    def _run(self) -> tuple[Address, Setup]:
        plan = self._plan
        self._stop_if_cancelled()
        self.emulated = self._check_architecture()
        if self.emulated:
            self._startup_s *= emulated.PATIENCE
        self.place.prepare()
        self._stop_if_cancelled()
        begin = time.monotonic()
        self._mark(Mark.BEGIN)
        deadline = begin + self._startup_s
        image = self.place.image(self._marks)
        fetched_by = begin + plan.download_timeout_s
        if plan.kind is EndpointKind.SERVERLESS:
            # One limit for both: a container has three minutes from the call for it.
            fetched_by = min(fetched_by, deadline)
        try:
            container = self._bring(image, fetched_by)
        except ImageNotFoundError:
            # It was there a while ago.
            self.place.forget_image()
            container = self._bring(self.place.image(self._marks), fetched_by)
        self._stop_if_cancelled()
        if plan.kind is not EndpointKind.SERVERLESS:
            deadline = time.monotonic() + self._startup_s
        self.running = self._track(container)
        address, probes = self._until_ready(self.running, deadline)
        self._look_inside(container, probes)
        phases = timeline.phases(self._marks)
        total_s = (self._marks[Mark.READY] - self._marks[Mark.BEGIN]) / _NS
        self.running.log.start()
        return address, Setup(total_s=total_s, phases_s=phases)

    def _bring(self, image: str, fetched_by: float) -> Container:
        """The container, made, with its model in place."""
        spec = self.place.spec(image, self._labels, self._name)
        if self.emulated and spec.platform is not None:
            spec = replace(spec, env={**emulated.PROCESSOR[spec.platform], **spec.env})
        until = Deadline(
            at=fetched_by,
            cancelled=self._cancelled,
            what=f"The model data at {self._plan.model_data} was not downloaded and unpacked "
            f"in time: {self._fetch_limit()}.",
        )
        create: Callable[[], Container] = partial(self.place.engine.create, spec)
        if self._plan.model_data is not None:
            self._mark(Mark.FETCH_BEGIN)
            if self.place.overlaps:
                self._creating = self._helper.submit(create)
                create = self._creating.result
            self.place.fetch(until)
            self._mark(Mark.FETCH_END)
        # What the fetch has not hidden of it.
        self._mark(Mark.CREATE_BEGIN)
        self.container = container = create()
        self._mark(Mark.CREATE_END)
        return container

    def _fetch_limit(self) -> str:
        if self._plan.kind is EndpointKind.SERVERLESS:
            return f"a serverless container has {self._startup_s:g} s until it is ready"
        return f"ModelDataDownloadTimeoutInSeconds is {self._plan.download_timeout_s:g}"

    def _until_ready(self, running: RunningContainer, deadline: float) -> tuple[Address, Probes]:
        """Started, and started again when it ends, on the same file system, as on AWS."""
        restarts, limit_s = self._restarts, self._startup_s
        self._mark(Mark.START_BEGIN)
        while True:
            begun = time.monotonic()
            try:
                return self._start(running, deadline)
            except _NotReady as seen:
                found, probes = seen.cause, seen.probes
            if running.killed_for is not None:
                shown = cause.logged(running.container)[0]
                raise LaunchFailed(with_log(running.killed_for, shown))
            now = time.monotonic()
            left_s = deadline - now
            if found.exit_code is None:  # it runs, or could not be started at all
                raise explain(
                    found,
                    self._plan,
                    probes=probes,
                    listens=self._listening(running.container),
                    verdict=restarts.unready(left_s=left_s),
                )
            ending = restarts.ended(found, after_s=now - begun, left_s=left_s, limit_s=limit_s)
            if ending.pause_s is None:
                raise explain(found, self._plan, probes=probes, verdict=ending.verdict)
            self._pause(running, ending.pause_s, note=ending.note, status=ending.status)

    def _start(self, running: RunningContainer, deadline: float) -> tuple[Address, Probes]:
        """One start, until it is ready. Raises ``_NotReady``."""
        container = running.container
        begun = time.monotonic()
        self._begun_ns = time.time_ns()
        try:
            container.start()
            address = self.place.address(container)
            self._claim(address)
        except EngineError as error:
            refused = cause.not_started(container, error, since_ns=running.since_ns)
            raise _NotReady(refused) from error
        with StartWatch(container) as watch, raised_priority():

            def gone() -> bool:
                if time.monotonic() - begun > LOGS_AFTER_S:
                    running.log.start()
                return watch.gone() or self._wanted_no_more.is_set()

            interval_s = self._settings.probe_interval_s
            probes = probe(address, interval_s=interval_s, give_up_at=deadline, gone=gone)
            watch.stop()
        self._stop_if_cancelled()
        if probes.ready_ns is None or probes.accepting_ns is None:
            since_ns = running.since_ns
            waited_s = self._startup_s
            if self._restarts.given_up:
                waited_s = round(time.monotonic() - begun, 1)
            found = cause.not_ready(container, probes, waited_s, since_ns=since_ns)
            raise _NotReady(found, probes)
        self._marks[Mark.ACCEPTING] = probes.accepting_ns
        self._marks[Mark.READY] = probes.ready_ns
        return address, probes

    def _pause(self, running: RunningContainer, pause_s: float, *, note: str, status: str) -> None:
        """Say why it has to be started again, and wait for that."""
        running.log.settle()
        running.log.note(note)
        self._tell(status)
        offset_ns = self._offset_ns()
        if self._first_started_ns is None:
            state = running.container.state()
            self._first_started_ns = started_ns(state, (), None, offset_ns=offset_ns)
        self._wanted_no_more.wait(pause_s)
        self._stop_if_cancelled()
        # Half the pause, for the clocks: what it said before it ended is older still.
        running.since_ns = time.time_ns() + offset_ns - round(pause_s / 2 * _NS)

    def _listening(self, container: Container) -> Sequence[str]:
        with suppress(EngineError):
            return listening(container.state().pid)
        return ()

    def _look_inside(self, container: Container, probes: Probes) -> None:
        """The server's own marks, or else the engine's word of when it started."""
        if self.place.engine.kind is EngineKind.PROCESS:
            self._marks.pop(Mark.CREATE_BEGIN, None)
            self._marks[Mark.STARTED] = self._marks[Mark.START_BEGIN]
        elif self._first_started_ns is not None:
            # The starts that failed are the container's own time, not the engine's.
            self._marks[Mark.STARTED] = self._first_started_ns
        offset_ns = self._offset_ns()
        begin_ns = self._begun_ns + offset_ns
        with suppress(EngineError):
            started = started_ns(container.state(), (), None, offset_ns=offset_ns)
            inside = None
            if self._plan.image_id not in self._without_report:
                inside = look_inside(container, probes, begin_ns, timeout_s=_REPORT_TIMEOUT_S)
            if inside is None:
                self._without_report.add(self._plan.image_id)
            else:
                inside = inside.shifted(-offset_ns)
                self._marks |= inside.marks
                first = inside.marks[Mark.INTERPRETER]
                started = first if started is None else min(started, first)
            self._marks.setdefault(Mark.STARTED, started or self._marks[Mark.START_BEGIN])

    def _stop_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    def _mark(self, mark: Mark) -> None:
        self._marks[mark] = time.time_ns()
