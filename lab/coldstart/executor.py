"""Runs a trial on a real engine, and says how it went."""

import gc
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lab.coldstart import checks, pagecache
from lab.coldstart.checks import ProcessIdentity
from lab.coldstart.marks import TrialRecorder
from lab.coldstart.observe import Limits, Observed, start_and_predict
from lab.coldstart.record import Cell, Failure, FailureKind, Outcome, Sample
from lab.coldstart.schedule import Trial
from lab.coldstart.site import ColdSites, LocalSite, Placement, Site
from lab.coldstart.trial import Subject, TrialFailed, TrialSkipped
from lab.engine.api import Container, ContainerSpec, Engine, EngineFacts, Usage
from lab.engine.coldhost.pulled import NotColdError
from lab.errors import ArchiveError, DiskFullError, EngineError, RegistryError
from lab.spec import HOST_TIER, LABEL, LABEL_OWNER, LABEL_ROLE, EngineKind, Mark, StartKind, Tier
from lab.start import timeline
from lab.start.emulated import emulated, environment, patience
from lab.start.inside import logged_marks, look_inside, started_ns

STOP_GRACE_S: Final = 5.0
ROLE_TRIAL: Final = "trial"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all trials of a run share."""

    engine: Engine
    facts: EngineFacts
    limits: Limits
    owner: str
    """The run's id, on everything that is made for it."""
    work: Path
    """A folder for unpacked models, that the engine's machine sees under the same path."""
    publish: int | None = None
    cold: ColdSites | None = None
    unable: Mapping[StartKind, str] | None = None
    """Start kinds that cannot be measured here, each with the reason."""


@dataclass(kw_only=True)
class _Kept:
    """A container that is kept from trial to trial, and the process it last ran."""

    container: Container
    site: LocalSite
    last: ProcessIdentity


class ContainerExecutor:
    """Starts containers, one trial at a time."""

    def __init__(self, bench: Bench, subject_of: Callable[[Cell], Subject]) -> None:
        self._bench = bench
        self._subject_of = subject_of
        self._kept: dict[Cell, _Kept] = {}
        self._processes = bench.facts.kind is EngineKind.PROCESS
        self._offset_ns = round(bench.facts.clock_offset_s * 1e9)
        self._slack_s = bench.facts.clock_error_s + bench.limits.probe_interval_s

    def run(self, trial: Trial) -> Sample:
        """Run one trial. Raises only what ends the run: a full disk, Ctrl-C, a bug."""
        taking = TrialRecorder()
        began = datetime.now(UTC).isoformat(timespec="milliseconds")
        observed: Observed | None = None
        try:
            with _no_garbage_collection():
                observed = self._run(trial, taking)
            self._doubts(taking, observed)
            end = _End(outcome=Outcome.OK)
        except TrialSkipped as reason:
            end = _End(outcome=Outcome.SKIPPED, skipped=str(reason))
        except TrialFailed as ended:
            end = _End(outcome=Outcome.FAILED, failure=ended.failure)
        except DiskFullError:
            raise
        except NotColdError as error:
            end = _failed(FailureKind.NOT_COLD, str(error))
        except RegistryError as error:
            end = _failed(FailureKind.PULL, str(error))
        except ArchiveError as error:
            end = _failed(FailureKind.MODEL, str(error))
        except EngineError as error:
            end = _failed(FailureKind.ENGINE, str(error))
        return self._sample(trial, began, taking, observed, end)

    def close(self) -> None:
        """Remove the containers that were kept, and every unpacked model."""
        for kept in self._kept.values():
            with suppress(EngineError):
                kept.container.remove()
        self._kept.clear()
        shutil.rmtree(self._bench.work, ignore_errors=True)

    def _run(self, trial: Trial, taking: TrialRecorder) -> Observed:
        kind = trial.cell.start_kind
        reason = (self._bench.unable or {}).get(kind)
        if reason is not None:
            raise TrialSkipped(reason)
        subject = self._subject_of(trial.cell)
        match kind:
            case StartKind.RESTART:
                return self._restart(trial, subject, taking)
            case StartKind.FRESH:
                return self._fresh(trial, subject, taking)
            case StartKind.DISKCOLD:
                return self._disk_cold(trial, subject, taking)
            case StartKind.PULL:
                return self._pull(trial, subject, taking)

    def _fresh(self, trial: Trial, subject: Subject, taking: TrialRecorder) -> Observed:
        site = self._site(f"{trial.index}")
        known = [one.id for one in self._bench.engine.containers({})]
        try:
            taking.begin()
            return self._new_container(site, trial, subject, taking, known)
        finally:
            site.forget()

    def _disk_cold(self, trial: Trial, subject: Subject, taking: TrialRecorder) -> Observed:
        dropped = pagecache.drop()
        taking.evidence |= {
            "page_cache_before_bytes": dropped.before_bytes,
            "page_cache_after_bytes": dropped.after_bytes,
        }
        _must_be_none(checks.disk_cold(dropped))
        return self._fresh(trial, subject, taking)

    def _pull(self, trial: Trial, subject: Subject, taking: TrialRecorder) -> Observed:
        if self._bench.cold is None:
            raise TrialSkipped("there is no cold host here")
        with self._bench.cold.open(trial.cell.platform) as site:
            taking.begin()
            return self._new_container(site, trial, subject, taking, ())

    def _new_container(
        self,
        site: Site,
        trial: Trial,
        subject: Subject,
        taking: TrialRecorder,
        known: Sequence[str],
    ) -> Observed:
        brought = site.bring(subject, taking)
        spec = self._spec(trial.cell, brought, site.publish)
        if self._processes:
            taking.mark(Mark.START_BEGIN)
            container = site.engine.create(spec)
        else:
            with taking.span(Mark.CREATE_BEGIN, Mark.CREATE_END):
                container = site.engine.create(spec)
        try:
            observed = self._observe(container, subject, taking, trial.cell)
            now = _identity(container, observed)
            taking.evidence |= now.evidence()
            _must_be_none(
                checks.fresh(
                    now, begin_ns=taking.marks[Mark.BEGIN], known=known, slack_s=self._slack_s
                )
            )
            return observed
        finally:
            container.remove()

    def _restart(self, trial: Trial, subject: Subject, taking: TrialRecorder) -> Observed:
        cell = trial.cell
        kept = self._kept.get(cell) or self._keep(trial, subject)
        taking.evidence["before"] = kept.last.evidence()
        try:
            taking.begin()
            observed = self._observe(kept.container, subject, taking, cell)
            now = _identity(kept.container, observed)
            taking.evidence |= now.evidence()
            _must_be_none(checks.restarted(kept.last, now))
            kept.last = now
            kept.container.stop(grace_s=STOP_GRACE_S)
        except BaseException:
            # Whatever state it is in, the next restart begins with a container that ran well.
            self._drop(cell)
            raise
        return observed

    def _keep(self, trial: Trial, subject: Subject) -> _Kept:
        """A container for restarts: created, started, ready and stopped, unmeasured."""
        cell = trial.cell
        site = self._site(f"kept-{trial.index}")
        unmeasured = TrialRecorder()
        brought = site.bring(subject, unmeasured)
        container = self._bench.engine.create(self._spec(cell, brought, site.publish))
        try:
            observed = self._observe(container, subject, unmeasured, cell)
            kept = _Kept(container=container, site=site, last=_identity(container, observed))
            container.stop(grace_s=STOP_GRACE_S)
        except BaseException:
            container.remove()
            site.forget()
            raise
        self._kept[cell] = kept
        return kept

    def _drop(self, cell: Cell) -> None:
        kept = self._kept.pop(cell, None)
        if kept is not None:
            with suppress(EngineError):
                kept.container.remove()
            kept.site.forget()

    def _observe(
        self, container: Container, subject: Subject, taking: TrialRecorder, cell: Cell
    ) -> Observed:
        """Start, predict twice, then ask whoever knows something about it."""
        limits = self._bench.limits.times(
            patience(cell.platform, native=self._bench.facts.platform)
        )
        try:
            probes, second_s = start_and_predict(container, subject, limits, taking)
        except TrialFailed:
            self._half_done(container, taking)
            raise
        begin_ns = taking.marks[Mark.START_BEGIN]
        inside = look_inside(container, probes, begin_ns + self._offset_ns)
        usage = container.usage()
        observed = Observed(
            inside=None if inside is None else inside.shifted(-self._offset_ns),
            state=container.state(),
            usage=usage,
            events=container.events(begin_ns + self._offset_ns),
            second_prediction_s=second_s,
            probes=probes,
        )
        if self._processes:
            taking.marks[Mark.STARTED] = taking.marks[Mark.START_BEGIN]
        else:
            taking.marks[Mark.STARTED] = _started_ns(observed, self._offset_ns)
        if observed.inside is not None:
            taking.marks |= observed.inside.marks
        return observed

    def _half_done(self, container: Container, taking: TrialRecorder) -> None:
        """The marks of a container that did not get there, from its log."""
        begin_ns = taking.marks[Mark.START_BEGIN]
        with suppress(EngineError):
            state = container.state()
            inside = logged_marks(container.logs(tail=200), begin_ns + self._offset_ns)
            times = [] if state.started_at_ns is None else [state.started_at_ns]
            if inside is not None:
                taking.marks |= inside.shifted(-self._offset_ns).marks
                times.append(inside.marks[Mark.INTERPRETER])
            if times and min(times) - self._offset_ns >= begin_ns:
                taking.marks[Mark.STARTED] = min(times) - self._offset_ns

    def _doubts(self, taking: TrialRecorder, observed: Observed) -> None:
        doubt = timeline.inconsistencies(
            taking.marks,
            inside=observed.inside,
            wall_s=taking.wall_s or 0.0,
            error_bar_s=self._error_bar_s(taking, observed),
            slack_s=self._slack_s,
        )
        if doubt is not None:
            raise TrialFailed.of(
                FailureKind.INCONSISTENT, f"The marks contradict each other: {doubt}."
            )

    def _error_bar_s(self, taking: TrialRecorder, observed: Observed) -> float:
        """The probe interval, or what it came to where a busy machine woke the lab up late."""
        probes = observed.probes
        late_s = probes.late_s
        if probes.count == 1 and probes.first_ns is not None:
            late_s += (probes.first_ns - taking.marks[Mark.STARTED]) / 1e9
        return max(self._bench.limits.probe_interval_s, round(late_s, 6))

    def _site(self, folder: str) -> LocalSite:
        return LocalSite(
            self._bench.engine, folder=self._bench.work / folder, publish=self._bench.publish
        )

    def _spec(self, cell: Cell, brought: Placement, publish: int | None) -> ContainerSpec:
        tier = HOST_TIER if cell.tier == HOST_TIER.name else Tier(memory_mb=int(cell.tier))
        cpus = None if tier.cpus is None else min(tier.cpus, float(self._bench.facts.cpus))
        return ContainerSpec(
            image=brought.image,
            env=environment(cell.platform, native=self._bench.facts.platform),
            labels={LABEL: "true", LABEL_ROLE: ROLE_TRIAL, LABEL_OWNER: self._bench.owner},
            model_dir=brought.model_dir,
            publish=publish,
            memory_bytes=tier.memory_bytes,
            cpus=cpus,
            # As on a SageMaker instance: an image that the lab did not make may need to write.
            read_only_root=False,
            platform=cell.platform,
        )

    def _sample(
        self,
        trial: Trial,
        began: str,
        taking: TrialRecorder,
        observed: Observed | None,
        end: "_End",
    ) -> Sample:
        usage = Usage() if observed is None else observed.usage
        error_bar_s = self._bench.limits.probe_interval_s
        if observed is not None:
            probes = observed.probes
            error_bar_s = self._error_bar_s(taking, observed)
            taking.evidence |= {
                "probes": probes.count,
                "first_probe_ns": probes.first_ns,
                "longest_probe_gap_s": round(probes.longest_gap_s, 6),
            }
        return Sample(
            trial=trial.index,
            block=trial.block,
            cell=trial.cell,
            started_at=began,
            outcome=end.outcome,
            failure=end.failure,
            skipped=end.skipped,
            marks=dict(sorted(taking.marks.items(), key=lambda item: item[1])),
            phases_s=timeline.phases(taking.marks),
            total_s=timeline.total(taking.marks) if Mark.PREDICTED in taking.marks else None,
            wall_s=taking.wall_s,
            second_prediction_s=None if observed is None else observed.second_prediction_s,
            probe_interval_s=error_bar_s,
            emulated=emulated(trial.cell.platform, native=self._bench.facts.platform),
            peak_memory_bytes=usage.peak_memory_bytes,
            cpu_seconds=usage.cpu_seconds,
            throttled_seconds=usage.throttled_seconds,
            read_bytes=usage.read_bytes,
            pulled_layers=taking.pulled_layers,
            evidence=taking.evidence,
        )


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A full collection takes tens of milliseconds: a gap between two phases."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@dataclass(frozen=True, kw_only=True)
class _End:
    """How a trial ended."""

    outcome: Outcome
    failure: Failure | None = None
    skipped: str | None = None


def _failed(kind: FailureKind, message: str) -> _End:
    return _End(outcome=Outcome.FAILED, failure=Failure(kind=kind, message=message))


def _identity(container: Container, observed: Observed) -> ProcessIdentity:
    return ProcessIdentity(
        container_id=container.id,
        pid=observed.state.pid,
        started_ns=observed.state.started_at_ns,
        process_ns=None if observed.inside is None else observed.inside.process_ns,
    )


def _started_ns(observed: Observed, offset_ns: int) -> int:
    found = started_ns(observed.state, observed.events, observed.inside, offset_ns=offset_ns)
    if found is None:
        raise TrialFailed.of(FailureKind.ENGINE, "The engine does not say when it started.")
    return found


def _must_be_none(doubt: str | None) -> None:
    if doubt is not None:
        raise TrialFailed.of(FailureKind.NOT_COLD, f"Not a cold start: {doubt}.")
