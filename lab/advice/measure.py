"""Several images' cold starts, timed against each other: interleaved, seeded, cleaned up."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from lab.coldstart import schedule
from lab.coldstart.executor import ContainerExecutor
from lab.coldstart.loop import GIVE_UP_AFTER, Pace, words
from lab.coldstart.plan import MAX_READY_TIMEOUT_S, Plan
from lab.coldstart.prepare import (
    cold_kinds,
    executing,
    impossible,
    remove_all_of,
    remove_leftovers,
)
from lab.coldstart.record import Cell, Outcome, Sample
from lab.coldstart.trial import Subject
from lab.engine.api import EngineFacts
from lab.engine.docker.engine import DockerEngine
from lab.engine.emulation.qemu import ensure_runs
from lab.errors import UsageError
from lab.images import build as images
from lab.images.base import ensure_base
from lab.lock import bench_lock
from lab.progress import Progress
from lab.spec import FLOOR, Platform, StartKind

SEED: Final = 1
_WARMED: Final = (StartKind.FRESH, StartKind.RESTART)
"""Of the others every trial is the first on a machine of its own, or with an empty cache."""
_HELPERS: Final = ("registry", "coldhost")

Measured = Mapping[tuple[str, StartKind], Sequence[Sample]]


def measured(
    subjects: Mapping[str, Subject],
    *,
    engine: DockerEngine,
    kinds: Sequence[StartKind],
    repeats: int,
    bandwidth: int,
    chunk_latency: float,
    progress: Progress,
    owner: str,
) -> Measured:
    """Start each image ``repeats`` times in each way; the samples by the subject's name and kind.

    Every block holds each of them once, in an order of its own, so that what the machine does
    besides hits all alike; warm-up is left out. A failed trial is a sample too, and so is one that
    cannot be run here: it says why. ``bandwidth`` is in bits per second, ``chunk_latency`` in
    seconds. All subjects must be for one platform.

    Raises ``BusyError`` while another bench measures, ``EngineError``, ``RegistryError``,
    ``DiskFullError``, ``UsageError``. Whatever ends it, Ctrl-C included, nothing that carries
    ``owner`` as its label is left.
    """
    facts = engine.facts()
    plan = Plan(
        name="comparison",
        variants=tuple(subjects),
        models=("own",),
        platforms=(_platform(engine, subjects),),
        start_kinds=tuple(kinds),
        repeats=dict.fromkeys(kinds, repeats),
        warm_up=tuple(kind for kind in kinds if kind in _WARMED),
        seed=SEED,
        ready_timeout=MAX_READY_TIMEOUT_S,
        bandwidth=bandwidth,
        chunk_latency=chunk_latency,
    )
    with (
        bench_lock(f"The comparison of {' and '.join(subjects)}"),
        executor_of(plan, subjects, engine, facts, owner, progress) as executor,
    ):
        return run_trials(order(plan), executor.run, progress)


def order(plan: Plan) -> Sequence[schedule.Trial]:
    """The plan's trials as a bench would run them, but for the floor: ratios need none."""
    return schedule.trials(
        [(one.block, one.cell) for one in schedule.order(plan) if one.cell.variant != FLOOR]
    )


def _platform(engine: DockerEngine, subjects: Mapping[str, Subject]) -> Platform:
    found = {name: engine.image(one.image).platform for name, one in subjects.items()}
    if len(set(found.values())) > 1:
        said = ", ".join(f"{name} is for {platform}" for name, platform in found.items())
        raise UsageError(
            f"Images for different processors cannot be compared in seconds: {said}.",
            remedy="Name images for one platform.",
        )
    return next(iter(found.values()))


@contextmanager
def executor_of(
    plan: Plan,
    subjects: Mapping[str, Subject],
    engine: DockerEngine,
    facts: EngineFacts,
    owner: str,
    progress: Progress,
) -> Iterator[ContainerExecutor]:
    """What runs the trials; at the end nothing is left that was made for them."""
    with ExitStack() as stack:
        remove_leftovers(engine, progress)
        stack.callback(remove_all_of, engine, owner, progress)
        (platform,) = plan.platforms
        if platform is not facts.platform:
            ensure_runs(platform, engine, progress)
        unable = impossible(plan, facts)
        if cold_kinds(plan, unable):
            ensure_base(facts.platform, engine, progress)
            images.ensure(_HELPERS, platform=facts.platform, engine=engine, progress=progress)
        executor, _ = stack.enter_context(
            executing(
                plan,
                [(one, platform) for one in subjects.values()],
                lambda cell: subjects[cell.variant],
                engine,
                unable=unable,
                owner=owner,
                # Where a container's own address is reached it is used all the same.
                publish=0,
                progress=progress,
            )
        )
        yield executor


def run_trials(
    trials: Sequence[schedule.Trial],
    run_trial: Callable[[schedule.Trial], Sample],
    progress: Progress,
) -> Measured:
    """Run them in their order; a cell that fails and never succeeded is given up."""
    kept: dict[tuple[str, StartKind], list[Sample]] = defaultdict(list)
    failed: Counter[Cell] = Counter()
    succeeded: set[Cell] = set()
    pace = Pace()
    with progress.step(f"Measure {len(trials)} cold starts") as step:
        for number, trial in enumerate(trials):
            cell = trial.cell
            step.advance(number, len(trials))
            left = words(pace.left_s(one.cell for one in trials[number:]))
            step.detail(f"{cell.variant}, {cell.start_kind}: {number + 1} of {len(trials)}, {left}")
            if failed[cell] >= GIVE_UP_AFTER and cell not in succeeded:
                continue
            sample = run_trial(trial)
            if sample.outcome is Outcome.FAILED:
                failed[cell] += 1
            elif sample.outcome is Outcome.OK:
                succeeded.add(cell)
                if sample.total_s is not None:
                    pace.learn(cell, sample.total_s)
            if sample.failure is not None:
                progress.note(f"{cell.variant}, {cell.start_kind}: {sample.failure.message}")
            if not sample.warm_up:
                kept[cell.variant, cell.start_kind].append(sample)
        step.advance(len(trials), len(trials))
    return kept
