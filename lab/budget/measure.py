"""Measures what a budget's ceilings ask for, and no more."""

import hashlib
import math
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import mean
from typing import Final

from lab import busy
from lab.advice.advise import packed
from lab.advice.measure import executor_of, run_trials
from lab.budget.budgetfile import BudgetFile, Ceiling
from lab.budget.judge import figure_of_medians, figure_of_p95
from lab.budget.record import Figure, Warm
from lab.coldstart import schedule
from lab.coldstart.executor import OtherTrials
from lab.coldstart.plan import MAX_READY_TIMEOUT_S, Plan, variant_name
from lab.coldstart.record import Cell, FailureKind, Outcome, Sample
from lab.coldstart.schedule import Trial
from lab.coldstart.trial import Subject
from lab.contract.model import CheckedImage
from lab.contract.subject import CheckRequest, prepared
from lab.cost.charges import HOUR_S, billed_s, data_use, instance_use, serverless_use
from lab.cost.prices import PriceTable
from lab.engine.api import Container, ImageFacts
from lab.engine.docker.engine import DockerEngine
from lab.errors import ContainerFailedError, EngineError, PlanError, UsageError
from lab.images.publish import local_registry
from lab.images.sizes import image_record
from lab.load.clients import LoadTarget, run_block
from lab.loadtest.targets.sizes import GivenSize, Size, machine_of
from lab.lock import bench_lock
from lab.progress import Progress
from lab.spec import StartKind

_MILLION: Final = 1e6
_ASKED: Final = frozenset({Ceiling.WARM_P95, Ceiling.PEAK_MEMORY, Ceiling.USD_PER_MILLION})
"""Requests are sent for these."""
_STARTED: Final = _ASKED | {Ceiling.COLD_START}
_MACHINES_FAULT: Final = frozenset(
    {FailureKind.ENGINE, FailureKind.NOT_COLD, FailureKind.INCONSISTENT}
)
"""Failures of a start that say nothing of the image."""


@dataclass(kw_only=True)
class Measured:
    """What there is of an image."""

    image: str
    facts: ImageFacts
    payload_sha256: str | None
    content_type: str
    figures: dict[Ceiling, Figure] = field(default_factory=dict)
    why_not: dict[Ceiling, str] = field(default_factory=dict)
    """Why a figure is missing, as a clause."""
    samples: Sequence[Sample] = ()
    warm: Sequence[Warm] = ()
    doubt: str = ""
    """Why seconds say little, as a clause."""
    notes: list[str] = field(default_factory=list)


def measure(file: BudgetFile, engine: DockerEngine, progress: Progress) -> Measured:
    """Have the image, and measure it.

    Raises ``ContainerFailedError`` when a container does not get ready or does not answer: such an
    image keeps no budget; and what ``prepared`` and ``executing`` raise.
    """
    budget = file.budget
    size = Size.parse(budget.size)
    table = PriceTable.packaged() if budget.prices is None else PriceTable.load(budget.prices)
    request = CheckRequest(
        image=budget.image,
        model_data=budget.model or budget.model_data,
        payload=budget.payload,
        content_type=budget.content_type,
    )
    with ExitStack() as stack:
        subject, _ = stack.enter_context(prepared(request, engine, progress))
        body = subject.payload
        found = Measured(
            image=subject.image,
            facts=engine.image(subject.image),
            payload_sha256=None if body is None else hashlib.sha256(body).hexdigest(),
            content_type=subject.content_type,
        )
        _weigh(found, budget.asked, engine, progress)
        if _STARTED & budget.asked.keys():
            if body is None:
                raise PlanError(
                    f"{file.path}:1: payload is missing.",
                    remedy="Name a file that the model can answer: payload: request.json.",
                )
            one = Subject(
                image=subject.image,
                archive=packed(subject, stack),
                payload=body,
                content_type=subject.content_type,
            )
            runner = _Starts(file, subject, one, size, engine, progress)
            runner.run(found)
            _figures(found, budget.asked, size, table, len(body))
    return found


def _weigh(
    found: Measured, asked: Mapping[Ceiling, float], engine: DockerEngine, progress: Progress
) -> None:
    if Ceiling.IMAGE_UNPACKED in asked:
        found.figures[Ceiling.IMAGE_UNPACKED] = Figure(value=found.facts.unpacked_bytes)
    if Ceiling.IMAGE_COMPRESSED not in asked:
        return
    ref, platform = found.image, found.facts.platform
    try:
        with local_registry(engine, progress) as registry:
            registry.push_all(engine, [ref], progress, arch=platform.arch)
            size = image_record(engine, registry, ref, platform, ref=ref).compressed_bytes
    except EngineError as error:
        found.why_not[Ceiling.IMAGE_COMPRESSED] = error.what.rstrip(".")
        return
    if size is None:
        found.why_not[Ceiling.IMAGE_COMPRESSED] = "the local registry holds another image"
    else:
        found.figures[Ceiling.IMAGE_COMPRESSED] = Figure(value=size)


class _Starts:
    """Containers, one after another: each a cold start, and a share of the requests."""

    def __init__(
        self,
        file: BudgetFile,
        checked: CheckedImage,
        subject: Subject,
        size: Size,
        engine: DockerEngine,
        progress: Progress,
    ) -> None:
        self._budget = file.budget
        self._checked = checked
        self._subject = subject
        self._size = size
        self._engine = engine
        self._progress = progress
        self._facts = engine.facts()
        self._given = self._of_machine()
        self._warm: list[Warm] = []

    def _of_machine(self) -> GivenSize:
        fits = self._size.platform
        if fits is not None and fits is not self._checked.platform:
            raise UsageError(
                f"{self._size.name} runs images for {fits}, and {self._checked.image} is for "
                f"{self._checked.platform}.",
                remedy="Choose another size, or build the image for it.",
            )
        return self._size.given(machine_of(self._facts))

    def run(self, found: Measured) -> None:
        """Run the trials. The first container is not counted: it fills the page cache."""
        for note in self._given.notes:
            self._progress.note(note)
        found.notes += self._given.notes
        cell = Cell(
            variant=variant_name(self._budget.image),
            model="own",
            platform=self._checked.platform,
            tier=self._size.name,
            start_kind=StartKind.FRESH,
        )
        plan = Plan(
            name="check",
            variants=(cell.variant,),
            models=(cell.model,),
            platforms=(cell.platform,),
            repeats={StartKind.FRESH: self._budget.measure.cold},
            warm_up=(StartKind.FRESH,),
            ready_timeout=MAX_READY_TIMEOUT_S,
        )
        trials = schedule.trials([(n, cell) for n in range(self._budget.measure.cold + 1)])
        compute = self._given.compute
        with (
            bench_lock(f"The check of {self._budget.image}"),
            executor_of(
                plan,
                {cell.variant: self._subject},
                self._engine,
                self._facts,
                f"check-{secrets.token_hex(4)}",
                self._progress,
            ) as executor,
        ):
            executor.others = OtherTrials(
                limits_of=lambda _: (compute.memory_bytes, compute.cpus), after=self._ask
            )
            kept = run_trials(trials, executor.run, self._progress)
        found.samples = [one for samples in kept.values() for one in samples]
        found.warm = self._warm
        self._refuse_failed(found)
        found.doubt = self._doubt(found.samples)

    def _ask(self, trial: Trial, container: Container) -> None:
        """The container's share of the requests."""
        if trial.block == 0 or not _ASKED & self._budget.asked.keys():
            return
        target = LoadTarget(
            address=container.address(),
            payload=self._subject.payload,
            content_type=self._subject.content_type,
            accept="*/*",
        )
        share = math.ceil(self._budget.measure.warm / self._budget.measure.cold)
        before = busy.read() if self._facts.here else None
        block = run_block(target, requests=share, clients=1)
        used = busy.between(before, busy.read(), ours=[container.id])
        loud = busy.disturbed(used, quota_cpus=self._given.compute.cpus)
        self._warm.append(
            Warm(
                trial=trial.index,
                latencies_s=block.latencies_s,
                answer_bytes=block.answer_bytes,
                peak_memory_bytes=container.usage().peak_memory_bytes,
                disturbed=busy.told(used) if used is not None and loud else "",
            )
        )

    def _refuse_failed(self, found: Measured) -> None:
        """An image of which a start failed keeps no budget, however quick the others were."""
        failed = [one.failure for one in found.samples if one.failure is not None]
        for one in failed:
            if one.kind not in _MACHINES_FAULT or len(failed) == len(found.samples):
                raise ContainerFailedError(
                    f"{self._budget.image}: {one.message}\n{one.log_tail}".rstrip(),
                    remedy=one.cure or "Try it: `lab try IMAGE --payload FILE`.",
                )
        found.notes += [f"A start is not counted: {one.message}" for one in failed]

    def _doubt(self, samples: Sequence[Sample]) -> str:
        if any(one.emulated for one in samples):
            return "the image ran under emulation, whose seconds predict nothing"
        loud = [one.disturbed for one in self._warm if one.disturbed]
        loud += [busy.told(one.machine) for one in samples if one.disturbed and one.machine]
        if 2 * len(loud) <= len(self._warm) + len(samples):
            return ""
        return f"the machine was busy: {loud[-1]}"


def _figures(
    found: Measured, asked: Mapping[Ceiling, float], size: Size, table: PriceTable, sent: int
) -> None:
    values: dict[Ceiling, Sequence[float]] = {
        Ceiling.COLD_START: [
            one.total_s
            for one in found.samples
            if one.outcome is Outcome.OK and one.total_s is not None
        ],
        Ceiling.PEAK_MEMORY: [
            float(one.peak_memory_bytes) for one in found.warm if one.peak_memory_bytes is not None
        ],
    }
    if Ceiling.USD_PER_MILLION in asked:
        costs = [_usd(one, size, table, sent) for one in found.warm]
        values[Ceiling.USD_PER_MILLION] = [usd for usd, _ in costs if usd is not None]
        missing = sorted({item for _, items in costs for item in items})
        if missing:
            why = f"{table.origin} has no price of {', '.join(missing)}"
            found.why_not[Ceiling.USD_PER_MILLION] = why
    if Ceiling.PEAK_MEMORY in asked and not values[Ceiling.PEAK_MEMORY]:
        found.why_not[Ceiling.PEAK_MEMORY] = "the containers' cgroups cannot be read from here"
    for ceiling in values.keys() & asked.keys():
        if values[ceiling]:
            found.figures[ceiling] = figure_of_medians(values[ceiling])
    if Ceiling.WARM_P95 in asked:
        found.figures[Ceiling.WARM_P95] = figure_of_p95([one.latencies_s for one in found.warm])


def _usd(
    one: Warm, size: Size, table: PriceTable, sent: int
) -> tuple[float | None, tuple[str, ...]]:
    """A million of such requests; on an instance as if they came without a gap."""
    if size.memory_mb is not None and size.serverless:
        seconds = mean(map(billed_s, one.latencies_s))
        compute = serverless_use(seconds=seconds, memory_mb=size.memory_mb)
    else:
        compute = instance_use(instance_type=size.name, hours=mean(one.latencies_s) / HOUR_S)
    cost = table.cost({**compute, **data_use(sent + one.answer_bytes)})
    return None if cost.usd is None else cost.usd * _MILLION, cost.missing
