"""Runs a trial on a real engine, and says how it went."""

import gc
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lab.coldstart import checks, pagecache
from lab.coldstart.checks import ProcessIdentity
from lab.coldstart.observe import Limits, Observed, observe
from lab.coldstart.record import Cell, Failure, FailureKind, Outcome, Sample
from lab.coldstart.schedule import Trial
from lab.coldstart.sites import ColdSites, LocalSite, OnDemandSites, Placement, Site
from lab.coldstart.trial import Subject, TrialFailed, TrialRecorder, TrialSkipped
from lab.engine.api import Container, ContainerSpec, Engine, EngineFacts, Usage
from lab.engine.coldhost.pulled import NotColdError
from lab.engine.docker.owned import of_this_process
from lab.errors import ArchiveError, DiskFullError, EngineError, LabError, RegistryError
from lab.spec import HOST_TIER, LABEL, LABEL_OWNER, LABEL_ROLE, EngineKind, Mark, StartKind, Tier
from lab.start import timeline
from lab.start.emulated import emulated, environment, patience

STOP_GRACE_S: Final = 5.0
ROLE_TRIAL: Final = "trial"

_FAILURES: Final[tuple[tuple[type[LabError], FailureKind], ...]] = (
    (NotColdError, FailureKind.NOT_COLD),
    (RegistryError, FailureKind.PULL),
    (ArchiveError, FailureKind.MODEL),
    (EngineError, FailureKind.ENGINE),
)
"""What an error says of the trial in which it was raised: the first kind that fits."""


@dataclass(frozen=True, kw_only=True)
class OtherTrials:
    """In what trials that no plan tells of differ from those of one."""

    limits_of: Callable[[str], tuple[int | None, float | None]] | None = None
    """Bytes of memory and CPUs by a cell's tier; None takes it for megabytes, or ``host``."""
    after: Callable[[Trial, Container], None] | None = None
    """What else is done with the container of a new start that went well, before it goes."""


@dataclass(frozen=True, kw_only=True)
class ColdStartBench:
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
    on_demand: OnDemandSites | None = None
    unable: Mapping[StartKind, str] = field(default_factory=dict)
    """Start kinds that cannot be measured here, each with the reason."""


@dataclass(kw_only=True)
class _Kept:
    """A container that is kept from trial to trial, and the process it last ran."""

    container: Container
    site: LocalSite
    last: ProcessIdentity


class ContainerExecutor:
    """Starts containers, one trial at a time."""

    others = OtherTrials()
    """To be set before the first trial."""

    def __init__(self, bench: ColdStartBench, subject_of: Callable[[Cell], Subject]) -> None:
        self._bench = bench
        self._subject_of = subject_of
        self._kept: dict[Cell, _Kept] = {}
        self._process = of_this_process()
        self._processes = bench.facts.kind is EngineKind.PROCESS
        self._offset_ns = round(bench.facts.clock_offset_s * 1e9)
        self._slack_s = bench.facts.clock_error_s + bench.limits.probe_interval_s

    def run(self, trial: Trial) -> Sample:
        """Run one trial. Raises only what ends the run: a full disk, Ctrl-C, a bug."""
        recorder = TrialRecorder(here=self._bench.facts.here)
        began = datetime.now(UTC).isoformat(timespec="milliseconds")
        observed: Observed | None = None
        failure: Failure | None = None
        skipped: str | None = None
        try:
            with _no_garbage_collection():
                observed = self._start(trial, recorder)
            self._refuse_inconsistent(recorder, observed)
        except TrialSkipped as reason:
            skipped = str(reason)
        except TrialFailed as ended:
            failure = ended.failure
        except DiskFullError:
            raise
        except tuple(error for error, _ in _FAILURES) as error:
            kind = next(kind for of, kind in _FAILURES if isinstance(error, of))
            failure = Failure(kind=kind, message=str(error))
        usage = Usage() if observed is None else observed.usage
        error_bar_s = self._bench.limits.probe_interval_s
        if observed is not None:
            probes = observed.probes
            error_bar_s = self._error_bar_s(recorder, observed)
            recorder.evidence |= {
                "probes": probes.count,
                "first_probe_ns": probes.first_ns,
                "longest_probe_gap_s": round(probes.longest_gap_s, 6),
            }
        return Sample(
            trial=trial.index,
            block=trial.block,
            cell=trial.cell,
            started_at=began,
            outcome=Outcome.FAILED if failure else Outcome.SKIPPED if skipped else Outcome.OK,
            failure=failure,
            skipped=skipped,
            marks=dict(sorted(recorder.marks.items(), key=lambda item: item[1])),
            phases_s=timeline.phases(recorder.marks),
            total_s=timeline.total(recorder.marks) if Mark.PREDICTED in recorder.marks else None,
            wall_s=recorder.wall_s,
            second_prediction_s=None if observed is None else observed.second_prediction_s,
            probe_interval_s=error_bar_s,
            emulated=emulated(trial.cell.platform, native=self._bench.facts.platform),
            peak_memory_bytes=usage.peak_memory_bytes,
            cpu_seconds=usage.cpu_seconds,
            throttled_seconds=usage.throttled_seconds,
            read_bytes=usage.read_bytes,
            pulled_layers=recorder.pulled_layers,
            chunks=recorder.chunks,
            boot=recorder.boot,
            machine=recorder.machine,
            evidence=recorder.evidence,
        )

    def close(self) -> None:
        """Remove the containers that were kept, and every unpacked model."""
        for kept in self._kept.values():
            with suppress(EngineError):
                kept.container.remove()
        self._kept.clear()
        shutil.rmtree(self._bench.work, ignore_errors=True)

    def _start(self, trial: Trial, recorder: TrialRecorder) -> Observed:
        """The start that the trial's cell asks for, and nothing warmer."""
        kind = trial.cell.start_kind
        if kind in self._bench.unable:
            raise TrialSkipped(self._bench.unable[kind])
        subject = self._subject_of(trial.cell)
        if kind is StartKind.RESTART:
            return self._restart(trial, subject, recorder)
        if kind is StartKind.PULL:
            if self._bench.cold is None:
                raise TrialSkipped("there is no cold host here")
            with self._bench.cold(trial.cell.platform) as site:
                return self._new_container(site, trial, subject, recorder, ())
        if kind is StartKind.ONDEMAND:
            if self._bench.on_demand is None:
                raise TrialSkipped("there is no cold host here")
            with self._bench.on_demand(subject) as demanded:
                observed = self._new_container(demanded, trial, subject, recorder, ())
                _refuse_warm(demanded.fetched(recorder, self._offset_ns))
                return observed
        if kind is StartKind.DISKCOLD:
            dropped = pagecache.drop()
            recorder.evidence |= {
                "page_cache_before_bytes": dropped.before_bytes,
                "page_cache_after_bytes": dropped.after_bytes,
            }
            _refuse_warm(checks.disk_cold(dropped))
        local = self._site(f"{trial.index}")
        known = [one.id for one in self._bench.engine.containers({})]
        try:
            return self._new_container(local, trial, subject, recorder, known)
        finally:
            local.forget()

    def _new_container(
        self,
        site: Site,
        trial: Trial,
        subject: Subject,
        recorder: TrialRecorder,
        known: Sequence[str],
    ) -> Observed:
        """From nothing but what the site has; ``known`` are containers that it is none of."""
        recorder.begin()
        placement = site.bring(subject, recorder)
        spec = self._spec(trial.cell, placement, site.publish)
        if self._processes:
            recorder.mark(Mark.START_BEGIN)
            container = site.engine.create(spec)
        else:
            with recorder.span(Mark.CREATE_BEGIN, Mark.CREATE_END):
                container = site.engine.create(spec)
        try:
            observed = self._observe(container, subject, recorder, trial.cell)
            recorder.evidence |= asdict(observed.identity)
            begin_ns = recorder.marks[Mark.BEGIN]
            _refuse_warm(
                checks.fresh(
                    observed.identity, begin_ns=begin_ns, known=known, slack_s=self._slack_s
                )
            )
            if self.others.after is not None:
                self.others.after(trial, container)
            return observed
        finally:
            container.remove()

    def _restart(self, trial: Trial, subject: Subject, recorder: TrialRecorder) -> Observed:
        cell = trial.cell
        kept = self._kept.get(cell) or self._keep(trial, subject)
        recorder.evidence["before"] = asdict(kept.last)
        try:
            recorder.begin()
            observed = self._observe(kept.container, subject, recorder, cell)
            recorder.evidence |= asdict(observed.identity)
            _refuse_warm(checks.restarted(kept.last, observed.identity))
            kept.last = observed.identity
            kept.container.stop(grace_s=STOP_GRACE_S)
        except BaseException:
            # Whatever state it is in, the next restart begins with a container that ran well.
            del self._kept[cell]
            with suppress(EngineError):
                kept.container.remove()
            kept.site.forget()
            raise
        return observed

    def _keep(self, trial: Trial, subject: Subject) -> _Kept:
        """A container for restarts: created, started, ready and stopped, unmeasured."""
        cell = trial.cell
        site = self._site(f"kept-{trial.index}")
        unmeasured = TrialRecorder()
        placement = site.bring(subject, unmeasured)
        container = self._bench.engine.create(self._spec(cell, placement, site.publish))
        try:
            observed = self._observe(container, subject, unmeasured, cell)
            container.stop(grace_s=STOP_GRACE_S)
        except BaseException:
            container.remove()
            site.forget()
            raise
        self._kept[cell] = _Kept(container=container, site=site, last=observed.identity)
        return self._kept[cell]

    def _observe(
        self, container: Container, subject: Subject, recorder: TrialRecorder, cell: Cell
    ) -> Observed:
        longer = patience(cell.platform, native=self._bench.facts.platform)
        try:
            return observe(
                container,
                subject,
                recorder,
                self._bench.limits.times(longer),
                process=self._processes,
                offset_ns=self._offset_ns,
            )
        finally:
            recorder.look(self._ours(container) if self._bench.facts.here else ())

    def _ours(self, container: Container) -> Sequence[str]:
        """The containers of a trial: a cold host's own are within it, the registry serves it."""
        found = [container.id]
        with suppress(EngineError):
            for labels in ({LABEL_OWNER: self._bench.owner}, {LABEL_ROLE: "registry"}):
                found += [one.id for one in self._bench.engine.containers(labels)]
        return found

    def _refuse_inconsistent(self, recorder: TrialRecorder, observed: Observed) -> None:
        why = timeline.inconsistencies(
            recorder.marks,
            inside=observed.inside,
            wall_s=recorder.wall_s or 0.0,
            error_bar_s=self._error_bar_s(recorder, observed),
            slack_s=self._slack_s,
        )
        if why is not None:
            raise TrialFailed.of(
                FailureKind.INCONSISTENT, f"The marks contradict each other: {why}."
            )

    def _error_bar_s(self, recorder: TrialRecorder, observed: Observed) -> float:
        """The probe interval, or what it came to where a busy machine woke the lab up late."""
        probes = observed.probes
        late_s = probes.late_s
        if probes.count == 1 and probes.first_ns is not None:
            late_s += (probes.first_ns - recorder.marks[Mark.STARTED]) / 1e9
        return max(self._bench.limits.probe_interval_s, round(late_s, 6))

    def _site(self, folder: str) -> LocalSite:
        return LocalSite(
            self._bench.engine, folder=self._bench.work / folder, publish=self._bench.publish
        )

    def _of_tier(self, name: str) -> tuple[int | None, float | None]:
        tier = HOST_TIER if name == HOST_TIER.name else Tier(memory_mb=int(name))
        cpus = None if tier.cpus is None else min(tier.cpus, float(self._bench.facts.cpus))
        return tier.memory_bytes, cpus

    def _spec(self, cell: Cell, placement: Placement, publish: int | None) -> ContainerSpec:
        memory_bytes, cpus = (self.others.limits_of or self._of_tier)(cell.tier)
        return ContainerSpec(
            image=placement.image,
            env=environment(cell.platform, native=self._bench.facts.platform),
            labels={
                LABEL: "true",
                LABEL_ROLE: ROLE_TRIAL,
                LABEL_OWNER: self._bench.owner,
                **self._process,
            },
            model_dir=placement.model_dir,
            publish=publish,
            memory_bytes=memory_bytes,
            cpus=cpus,
            # As on a SageMaker instance: an image that the lab did not make may need to write.
            read_only_root=False,
            platform=cell.platform,
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


def _refuse_warm(why: str | None) -> None:
    if why is not None:
        raise TrialFailed.of(FailureKind.NOT_COLD, f"Not a cold start: {why}.")
