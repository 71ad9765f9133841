"""A run from its plan to its last sample: locked, prepared, measured, cleaned up."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from lab import __version__, busy, paths
from lab.coldstart import advice, schedule
from lab.coldstart.folder import RunFolder
from lab.coldstart.loop import InterruptedRunError, interrupted, measure
from lab.coldstart.plan import Plan
from lab.coldstart.record import FailureKind, ImageRecord, ModelRecord, Outcome, Run, Sample
from lab.coldstart.schedule import Trial
from lab.errors import ContainerFailedError, UsageError
from lab.host import host_facts
from lab.lock import bench_lock
from lab.progress import Progress
from lab.spec import StartKind
from lab.start.firstrequest import LOAD_FIRST


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """All that a plan needs, built and found."""

    run_trial: Callable[[Trial], Sample]
    """A failure is a sample too: only what ends the run is raised."""
    engine: Mapping[str, Any]
    base_image: Mapping[str, Any]
    images: Sequence[ImageRecord]
    models: Sequence[ModelRecord]
    notes: Sequence[str] = ()
    here: bool = False
    """Whether the engine is of this machine."""


_LOOK_S: Final = 0.5
"""How long a machine is looked at before a run."""

_REMEDIES: Final = {
    FailureKind.ENGINE: "See `lab doctor`.",
    FailureKind.PULL: "Check that the registry is up and reachable from the engine.",
    FailureKind.NOT_COLD: "The evidence is in the run's samples.jsonl.",
    FailureKind.MODEL: "Pack the model again.",
    FailureKind.EARLY_EXIT: "Run it by hand, as SageMaker does: docker run IMAGE serve.",
    FailureKind.OOM: "Give it a larger tier, or fewer workers.",
    FailureKind.NEVER_READY: "It must listen on port 8080 and answer GET /ping with 200; a slow "
    "one may need --ready-timeout (at most 8min).",
    FailureKind.INVOCATION: "Check that payload and content type are what the model expects.",
    FailureKind.TOO_EARLY: LOAD_FIRST,
    FailureKind.INCONSISTENT: "Look at the clock of the engine's machine: see `lab doctor`.",
}

Prepare = Callable[[Plan, str, Progress], AbstractContextManager[Prepared]]
"""Prepares a plan for the run with that id; leaving the block removes all that was made for it."""


def run(plan: Plan, *, prepare: Prepare, progress: Progress, lock: Path | None = None) -> RunFolder:
    """Run a plan in a new folder.

    Raises ``BusyError``, ``InterruptedRunError`` and whatever preparing and measuring raise; what
    has been measured by then is in the folder.
    """
    run_id = new_id(plan.name)
    trials = schedule.order(plan)
    folder = RunFolder(paths.runs() / run_id)
    with (
        _stoppable(folder, len(trials)),
        bench_lock(f"The run {run_id}", path=lock),
        prepare(plan, run_id, progress) as ready,
    ):
        folder = RunFolder.create(_record(run_id, plan, trials, ready))
        for note in ready.notes:
            progress.note(note)
        _tell_if_busy(ready, progress)
        measure(trials, ready.run_trial, folder, progress)
    return folder


def resume(
    folder: RunFolder,
    *,
    prepare: Prepare,
    progress: Progress,
    plan: Plan | None = None,
    lock: Path | None = None,
) -> RunFolder:
    """Go on with a run where it stopped.

    Raises ``UsageError`` that says what has changed when the plan (if one is given), the images
    or the models are not those of the run: its samples would not be repeats of each other.
    """
    record = folder.run()
    planned = Plan.model_validate(record.plan)
    if plan is not None:
        _refuse(folder, _differences(record.plan, plan.model_dump(mode="json")))
    trials = schedule.trials(record.order)
    with _stoppable(folder, len(trials)), bench_lock(f"The run {record.id}", path=lock):
        folder.mend()
        if len({sample.trial for sample in folder.samples()}) == len(trials):
            progress.note(f"Run {record.id} is complete: nothing is left to measure.")
            return folder
        with prepare(planned, record.id, progress) as ready:
            _refuse(folder, changed(record, ready))
            folder.point_latest()
            _tell_if_busy(ready, progress)
            measure(trials, ready.run_trial, folder, progress)
    return folder


def _tell_if_busy(ready: Prepared, progress: Progress) -> None:
    use = busy.watch(_LOOK_S) if ready.here else None
    if use is not None and busy.disturbed(use):
        progress.note(
            f"This machine is busy: {busy.told(use)}. What is measured now says little of the "
            "images; stop the other work, and start again."
        )


def changed(record: Run, ready: Prepared) -> list[str]:
    """What is not as it was when the run began, in words."""
    return _differences(_contents(record), _contents(ready), _short)


def _contents(of: Run | Prepared) -> Mapping[str, str]:
    found = {
        f"image {one.variant} ({one.platform.arch})": one.image_id or one.digest or one.ref
        for one in of.images
    }
    found |= {f"model {one.name} ({one.archive})": one.sha256 for one in of.models}
    return {**found, "the engine": str(of.engine.get("kind"))}


def verdict(folder: RunFolder) -> ContainerFailedError | None:
    """The error for a variant that never once answered, or None."""
    by_variant = defaultdict[str, list[Sample]](list)
    for sample in folder.samples():
        by_variant[sample.cell.variant].append(sample)
    for variant, samples in by_variant.items():
        failed = [sample for sample in samples if sample.failure is not None]
        if not failed or any(sample.outcome is Outcome.OK for sample in samples):
            continue
        last = failed[-1].failure
        if last is None:
            continue
        log = f"\n{last.log_tail.rstrip()}" if last.log_tail.strip() else ""
        return ContainerFailedError(
            f"{variant} never answered in {len(failed)} trials. {last.message}{log}",
            remedy=advice.remedy(
                last, _REMEDIES[last.kind], plan=folder.run().plan, cell=failed[-1].cell
            ),
        )
    return None


def new_id(plan: str) -> str:
    """``20260102T030405Z-default``: sorts by time, and is unique even within a second."""
    stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{plan}"
    run_id, twin = stem, 1
    while (paths.runs() / run_id).exists():
        twin += 1
        run_id = f"{stem}-{twin}"
    return run_id


@contextmanager
def _stoppable(folder: RunFolder, planned: int) -> Iterator[None]:
    """Turn Ctrl-C, at any moment, into the error that says what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if folder.exists():
            raise interrupted(folder, planned) from stop
        raise InterruptedRunError(
            "Stopped before the first trial; what has been built is kept.",
            remedy="The next run goes on from there.",
        ) from stop


def _record(run_id: str, plan: Plan, trials: Sequence[Trial], ready: Prepared) -> Run:
    host = host_facts()
    return Run(
        id=run_id,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        lab_version=__version__,
        git_commit=host.get("git_commit"),
        git_dirty=host.get("git_dirty"),
        plan_name=plan.name,
        plan=plan.model_dump(mode="json"),
        seed=plan.seed,
        order=[(trial.block, trial.cell) for trial in trials],
        host=host,
        engine=ready.engine,
        base_image=ready.base_image,
        bandwidth_bits_per_s=plan.bandwidth
        if {StartKind.PULL, StartKind.ONDEMAND} & set(plan.start_kinds)
        else None,
        images=ready.images,
        models=ready.models,
        notes=ready.notes,
    )


def _short(value: str | None) -> str:
    return "missing" if value is None else value.removeprefix("sha256:")[:12]


def _differences(
    before: Mapping[str, Any], now: Mapping[str, Any], show: Callable[[Any], str] = repr
) -> list[str]:
    return [
        f"{what} was {show(before.get(what))} and is {show(now.get(what))}"
        for what in dict.fromkeys((*before, *now))
        if before.get(what) != now.get(what)
    ]


def _refuse(folder: RunFolder, differences: Sequence[str]) -> None:
    if differences:
        raise UsageError(
            f"Run {folder.path.name} cannot go on, since its samples would not be comparable: "
            f"{'; '.join(differences)}.",
            remedy="Start a new run.",
        )
