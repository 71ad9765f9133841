"""The study's warm protocol: one request that is not counted, then 25 in series, 5 s apart.

Source: the bachelor's thesis that ``lab.report.study`` names. It let the number of the server's
workers grow with the memory: one at 1 GB, two or more above. What more memory did to its latency
and what a second worker did cannot be told apart in its figures; here either can be had alone.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum, unique
from itertools import product
from typing import Final

from lab.cost.charges import study_usd
from lab.engine.api import Engine, EngineFacts
from lab.errors import UsageError
from lab.load.requests import Requests
from lab.loadtest.record import ClosedRecord, TargetRecord
from lab.loadtest.runner import LoadPlan
from lab.loadtest.steps import StepFolder, SteppedRun
from lab.loadtest.targets.api import LoadPayload, Target
from lab.loadtest.targets.image import image_target
from lab.loadtest.targets.sizes import Size
from lab.loadtest.targets.subject import ImageRequest, image_subject
from lab.progress import Progress
from lab.schema import Frozen
from lab.units import format_seconds

STUDY_FILE: Final = "study.json"
PROTOCOL: Final = "study, warm"
REQUESTS: Final = 25
UNCOUNTED: Final = 1
PAUSE_S: Final = 5.0
VARIANT: Final = "slim"
"""TensorFlow without what the service does not import: the study's smallest image."""
WORKERS: Final = "SAGEMAKER_MODEL_SERVER_WORKERS"
_ONE_WORKER_MB: Final = 1024


@unique
class Workers(StrEnum):
    """How many processes serve."""

    STUDY = "study"
    """One up to 1 GB, two above."""
    ONE = "1"
    BOTH = "both"

    def at(self, size: Size) -> Sequence[int]:
        """At that size, each number once."""
        few = size.memory_mb is not None and size.memory_mb <= _ONE_WORKER_MB
        study = 1 if few else 2
        return {Workers.STUDY: [study], Workers.ONE: [1], Workers.BOTH: sorted({1, study})}[self]


@dataclass(frozen=True, kw_only=True)
class StudyCase:
    """A container of the study's table."""

    model: str
    size: Size
    workers: int


def cases(models: Sequence[str], sizes: Sequence[Size], workers: Workers) -> Sequence[StudyCase]:
    """In the order of the study's tables."""
    return [
        StudyCase(model=model, size=size, workers=many)
        for model, size in product(models, sizes)
        for many in workers.at(size)
    ]


class StudyRow(Frozen):
    """One case. Seconds are the client's, of the counted requests that were answered."""

    model: str
    size: str
    workers: int
    target: TargetRecord
    folder: str
    """Below the run's."""
    n: int
    failed: int
    mean_s: float | None
    sd_s: float | None
    """Of the population, as the study's."""
    cpu_s: float | None = None
    """CPU seconds of a request, the uncounted among them: what else the machine does changes its
    seconds, and this hardly."""
    usd: float | None
    """Of an inference on a serverless endpoint, by the study's formula; None on an instance."""


class StudyResult(SteppedRun):
    """``study.json``."""

    variant: str
    scale: float
    """Of the pauses between requests: 1 is the study's."""
    rows: tuple[StudyRow, ...] = ()

    @property
    def protocol(self) -> str:
        """In words; not the study's own where pauses were shortened, and then it says so."""
        pause = format_seconds(PAUSE_S * self.scale)
        said = f"{UNCOUNTED} uncounted request, then {REQUESTS} in series, {pause} apart"
        if self.scale != 1:
            said += f" (the study's {PAUSE_S:g} s times {self.scale:g})"
        return said


@dataclass(frozen=True, kw_only=True)
class OpenedCase:
    """A case that is ready to be loaded."""

    target: Target
    payload: LoadPayload
    engine: EngineFacts | None = None
    cpu_seconds: Callable[[], float | None] = lambda: None
    """What it used since it started."""


OpenCase = Callable[[StudyCase], AbstractContextManager[OpenedCase]]


def study(
    opened: OpenCase,
    wanted: Sequence[StudyCase],
    *,
    variant: str = VARIANT,
    scale: float = 1.0,
    progress: Progress,
) -> StudyResult:
    """Run the protocol on every case, each in a container of its own; all is kept case by case.

    Raises ``UsageError`` for a scale that is none, ``RefusedError`` when a payload is refused.
    """
    if not 0 <= scale <= 1:
        raise UsageError(f"Pauses cannot be {scale:g} of the study's.", remedy="Give 0 to 1.")
    folder: StepFolder[StudyResult] = StepFolder("load-study", STUDY_FILE)
    rows: list[StudyRow] = []

    def keep() -> StudyResult:
        record = {**folder.head(), "variant": variant, "scale": scale, "rows": tuple(rows)}
        return folder.keep(StudyResult.model_validate(record))

    keep()
    for case in wanted:
        with opened(case) as it:
            plan = LoadPlan(
                closed=protocol(scale),
                payloads=[it.payload],
                protocol=PROTOCOL,
                name=f"{case.model}-{case.size.name}-{case.workers}-workers",
            )
            before = it.cpu_seconds()
            made = folder.run(it.target, plan, progress=progress, engine=it.engine)
            after = it.cpu_seconds()
        used_s = None if before is None or after is None else after - before
        record = it.target.record
        rows.append(_row(case, record, made.requests(), folder.below(made), used_s))
        keep()
        progress.note(_said(rows[-1]))
    return keep()


def protocol(scale: float) -> ClosedRecord:
    """One client that waits after each answer."""
    return ClosedRecord(
        clients=1, pause_s=PAUSE_S * scale, requests=UNCOUNTED + REQUESTS, uncounted=UNCOUNTED
    )


def container_of(engine: Engine, progress: Progress, *, variant: str = VARIANT) -> OpenCase:
    """Cases as containers of a variant, with the study's switch for the workers."""

    @contextmanager
    def opened(case: StudyCase) -> Iterator[OpenedCase]:
        ready = image_subject(ImageRequest(name=variant, model=case.model), engine, progress)
        with image_target(
            engine,
            ready.subject,
            name=variant,
            size=case.size,
            model=case.model,
            platform=ready.platform,
            env={WORKERS: str(case.workers)},
            progress=progress,
        ) as target:
            yield OpenedCase(
                target=target,
                payload=ready.payload,
                engine=engine.facts(),
                cpu_seconds=lambda: target.container.usage().cpu_seconds,
            )

    return opened


def _row(
    case: StudyCase, target: TargetRecord, requests: Requests, folder: str, used_s: float | None
) -> StudyRow:
    counted = requests.where(requests.number >= UNCOUNTED)
    took = counted.where(counted.answered).latency_s.tolist()
    mean_s = statistics.fmean(took) if took else None
    memory_mb = case.size.memory_mb
    priced = case.size.serverless and memory_mb is not None and mean_s is not None
    return StudyRow(
        model=case.model,
        size=case.size.name,
        workers=case.workers,
        target=target,
        folder=folder,
        n=len(took),
        failed=len(counted) - len(took),
        mean_s=mean_s,
        sd_s=statistics.pstdev(took) if took else None,
        cpu_s=used_s / len(requests) if used_s is not None and len(requests) else None,
        usd=study_usd(memory_mb=memory_mb or 0, seconds=mean_s or 0.0) if priced else None,
    )


def _said(row: StudyRow) -> str:
    took = "nothing was answered" if row.mean_s is None else format_seconds(row.mean_s)
    failed = f", {row.failed} failed" if row.failed else ""
    plural = "" if row.workers == 1 else "s"
    return f"{row.model} at {row.size}, {row.workers} worker{plural}: {took}{failed}"
