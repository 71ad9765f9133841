"""One step after the other: a new container, a resized one, a search; and when to give up."""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from lab.coldstart.executor import ContainerExecutor, OtherTrials
from lab.coldstart.loop import GIVE_UP_AFTER, STOP_AFTER
from lab.coldstart.record import Cell, FailureKind, Outcome, Sample
from lab.coldstart.schedule import Trial
from lab.coldstart.trial import Subject
from lab.engine.api import Container, Engine, EngineFacts
from lab.errors import (
    ContainerFailedError,
    DiskFullError,
    EndpointError,
    EngineError,
    LabError,
)
from lab.loadtest.runner import InvalidLoadError
from lab.loadtest.targets.image import image_target
from lab.loadtest.targets.sizes import Size
from lab.progress import Progress, Silent
from lab.spec import StartKind
from lab.start.emulated import patience
from lab.tune.capacity import capacity
from lab.tune.order import PILOT
from lab.tune.record import Capacity, Part, Tune, TuneFolder, TuneSample, WarmBlock
from lab.tune.warm import FULL, QUICK, Blocks, KeptContainers

_REFUSED: Final = re.compile(r"answered 4\d\d\b")
_GUESS_S: Final = {Part.NEW: 6.0, Part.RESIZED: 2.5, Part.ONDEMAND: 12.0, Part.CAPACITY: 60.0}
"""Before the first step of a kind has ended."""
_FAILURES: Final = (ContainerFailedError, EndpointError, EngineError, InvalidLoadError)
"""What a step may fail of without an end to the others."""


@dataclass(kw_only=True)
class _Warm:
    """What a new container's block came to."""

    block: WarmBlock | None = None
    failure: str | None = None
    killed: bool = False


class Steps:
    """Runs one step after the other, and knows what those before it came to."""

    def __init__(
        self,
        tune: Tune,
        folder: TuneFolder,
        subject: Subject,
        engine: Engine,
        executor: ContainerExecutor,
        progress: Progress,
    ) -> None:
        self._tune, self._folder, self._subject = tune, folder, subject
        self._engine, self._executor, self._progress = engine, executor, progress
        self._facts: EngineFacts = engine.facts()
        self._blocks = Blocks(
            subject=subject,
            plan=QUICK if tune.quick else FULL,
            patience=patience(tune.platform, native=self._facts.platform),
        )
        self._start = partial(
            image_target,
            engine,
            subject,
            name=tune.name,
            model=tune.model,
            platform=tune.platform,
            progress=Silent(),
        )
        self._kept = KeptContainers(tune.sizes, lambda size: self._start(size=size))
        limits = {one.name: (one.given_memory_bytes, one.given_cpus) for one in tune.sizes}
        executor.others = OtherTrials(limits_of=limits.__getitem__, after=self._after)
        self._new = _Warm()
        self._took: dict[tuple[str, Part], list[float]] = defaultdict(list)
        self._failed: Counter[str] = Counter()
        self._lived: set[str] = set()
        self._engine_failed = 0
        before = folder.samples()
        self._blocks.known({one.size: one.warm for one in before if one.warm is not None})
        for sample in before:
            self._remember(sample)

    def close(self) -> None:
        """Remove what is kept running."""
        self._kept.close()

    def expected_s(self, size: str, part: Part) -> float:
        """What such a step takes: as the size's own did so far, or as others' did."""
        if self._given_up(size):
            return 0.0
        took = self._took.get((size, part)) or [
            one for (_, other), those in self._took.items() if other is part for one in those
        ]
        return sum(took) / len(took) if took else _GUESS_S[part]

    def run(self, step: int, turn: int, size: str, part: Part) -> None:
        """One step, whose sample is in the folder then; none of a size that was given up.

        Raises what ends the run.
        """
        if self._given_up(size):
            return
        began = time.monotonic()
        sample = self._measured(step, turn, size, part)
        sample = sample.model_copy(update={"took_s": round(time.monotonic() - began, 3)})
        self._folder.append(sample)
        self._remember(sample)
        self._judge(sample)

    # --- what a step does ------------------------------------------------------------------------

    def _measured(self, step: int, turn: int, size: str, part: Part) -> TuneSample:
        blank = TuneSample(step=step, round=turn, size=size, part=part, took_s=0.0)
        try:
            if part is Part.RESIZED:
                return blank.model_copy(update={"warm": self._resized(size)})
            if part is Part.CAPACITY:
                return blank.model_copy(update={"capacity": self._capacity(size)})
            return blank.model_copy(update=self._started(step, turn, size, part))
        except DiskFullError:
            raise
        except _FAILURES as error:
            why = self._kept.ended(self._tune.size(size)) if part is Part.RESIZED else None
            return blank.model_copy(update={"failure": why or error.what.splitlines()[0]})

    def _started(self, step: int, turn: int, size: str, part: Part) -> dict[str, object]:
        """A new container, and of a fresh one the block that follows."""
        kind = StartKind.FRESH if part is Part.NEW else StartKind.ONDEMAND
        cell = Cell(
            variant=self._tune.name,
            model=self._tune.model or "own",
            platform=self._tune.platform,
            tier=size,
            start_kind=kind,
        )
        self._new = _Warm()
        cold = self._executor.run(Trial(index=step, block=turn, cell=cell))
        new = self._new
        return {"cold": cold, "warm": new.block, "failure": new.failure, "killed": new.killed}

    def _after(self, trial: Trial, container: Container) -> None:
        """The block on a container that has just started; what fails is the step's, not the
        start's.
        """
        if trial.cell.start_kind is not StartKind.FRESH:
            return
        try:
            self._new.block = self._blocks.send(container, trial.cell.tier)
        except (ContainerFailedError, EngineError) as error:
            self._new.failure = error.what.splitlines()[0]
            with _unless_gone():
                load, state = container.load(), container.state()
                self._new.killed = state.oom_killed or bool(load and load.oom_kills)

    def _resized(self, size: str) -> WarmBlock:
        container = self._kept.at(self._tune.size(size))
        return self._blocks.send(container, size)

    def _capacity(self, size: str) -> Capacity:
        objective = self._tune.objective
        blocks = [
            np.asarray(one.warm.latencies_s)
            for one in self._folder.samples()
            if one.size == size and one.warm is not None and one.round != PILOT
        ]
        if objective is not None and objective.seconds is not None and blocks:
            alone_s = float(np.quantile(np.concatenate(blocks), objective.q))
            if alone_s > objective.seconds:
                how = "a lone client waits longer than the objective"
                return Capacity(per_s=0.0, objective_s=objective.seconds, how=how, found=True)
        with self._start(size=Size.parse(size)) as target:
            return capacity(
                target,
                self._tune.size(size),
                self._subject,
                objective=objective,
                seed=self._tune.seed,
                engine=self._facts,
                root=self._folder.path / f"capacity-{size}",
            )

    # --- what steps came to ----------------------------------------------------------------------

    def _given_up(self, size: str) -> bool:
        """Whether no container lives at a size: each start would wait out its time again."""
        return size not in self._lived and self._failed[size] >= GIVE_UP_AFTER

    def _remember(self, sample: TuneSample) -> None:
        self._took[sample.size, sample.part].append(sample.took_s)
        cold = sample.cold
        if sample.part is not Part.NEW or cold is None:
            return
        if cold.outcome is Outcome.OK and sample.warm is not None:
            self._lived.add(sample.size)
        elif not (cold.failure and cold.failure.kind is FailureKind.ENGINE):
            never = cold.failure is not None and cold.failure.kind is FailureKind.NEVER_READY
            self._failed[sample.size] += GIVE_UP_AFTER if never else 1
            self._kept.leave_out(sample.size)

    def _judge(self, sample: TuneSample) -> None:
        """End the run where going on is of no use. Raises ``LabError``."""
        cold = sample.cold
        failure = None if cold is None else cold.failure
        said = failure.message if failure is not None else sample.failure
        if said is not None:
            self._progress.note(f"{sample.size}, {sample.part}: {said}")
        if cold is None or sample.part is not Part.NEW:
            return
        if failure is not None and failure.kind is FailureKind.ENGINE:
            self._engine_failed += 1
            if self._engine_failed >= STOP_AFTER:
                raise EngineError(
                    f"{STOP_AFTER} starts in a row failed alike: {failure.message}",
                    remedy=f"See to it, then `lab tune --resume {self._tune.id}`.",
                )
            return
        self._engine_failed = 0
        if not self._lived and said is not None and _REFUSED.search(said):
            raise ContainerFailedError(
                f"{self._tune.name} refuses the payload {self._tune.payload.name}: {said}",
                remedy="Send what the model understands, with --payload and --content-type.",
            )
        if sample.round == PILOT and (said is not None or cold.outcome is not Outcome.OK):
            raise _never(self._tune, sample.size, cold, said or "")


@contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except EngineError:
        return


def _never(tune: Tune, size: str, cold: Sample, said: str) -> LabError:
    """The image does not even serve at the largest size."""
    log = cold.failure.log_tail.rstrip() if cold.failure is not None else ""
    cure = cold.failure.cure if cold.failure is not None else ""
    return ContainerFailedError(
        f"{tune.name} serves at no size: not even at {size}, the largest. {said}\n{log}".rstrip(),
        remedy=f"{cure} Try it: `lab try {tune.name}`.".strip(),
    )
