"""Sizes, samples and results of tunings, as short as a test needs them."""

from collections.abc import Sequence
from typing import Any

from lab.coldstart.record import Cell, Failure, FailureKind, Outcome, Sample
from lab.load.statistics import Latencies, QuantileFigure
from lab.loadtest.record import Objective, PayloadRecord
from lab.loadtest.targets.sizes import Size, machine_of
from lab.spec import Phase, Platform, StartKind
from lab.tune.record import Part, Tune, TunedSize, TuneSample, WarmBlock
from lab.tune.result import ColdFigures, MoneyFigures, SizeOutcome, SizeResult
from tests.unit.engine.fake import FakeEngine

MIB = 1024**2
P95_300 = Objective(seconds=0.3)


def sized(name: str) -> TunedSize:
    """On a machine with 2 processors and 8 GiB."""
    size = Size.parse(name)
    return TunedSize.of(size, size.given(machine_of(FakeEngine().facts())))


def latencies(p95: float | None, *, mean: float = 0.1, high: float | None = None) -> Latencies:
    def figure(q: float, seconds: float) -> QuantileFigure:
        return QuantileFigure(
            q=q,
            seconds=seconds,
            low_s=seconds * 0.9,
            high_s=high or seconds * 1.01,
            effective_n=100,
            correlation=0.0,
        )

    found = [figure(0.5, mean)] + ([] if p95 is None else [figure(0.95, p95)])
    return Latencies(n=100, mean_s=mean, max_s=1.0, quantiles=tuple(found))


def result(
    name: str,
    day: float | None = None,
    p95: float | None = None,
    *,
    objective: Objective | None = P95_300,
    **over: Any,
) -> SizeResult:
    """A size that serves, at so many dollars a day."""
    keeps = None
    if objective is not None and objective.seconds is not None and p95 is not None:
        keeps = p95 <= objective.seconds
    given: dict[str, Any] = {
        "size": sized(name),
        "outcome": SizeOutcome.SERVES,
        "warm": latencies(p95),
        "cold": cold_figures(3.4),
        "throughput_per_s": 10.0,
        "money": MoneyFigures(
            usd_per_million=day, usd_per_day=day, usd_per_month=day, cold_share=0.008
        ),
        "keeps_objective": keeps,
    }
    return SizeResult.model_validate({**given, **over})


def cold_figures(total_s: float, **over: Any) -> ColdFigures:
    given: dict[str, Any] = {
        "kind": StartKind.FRESH,
        "n": 6,
        "failed": 0,
        "total_s": total_s,
        "total_ci95": None,
        "first_prediction_s": 0.2,
        "disturbed": 0,
    }
    return ColdFigures(**{**given, **over})


def new(
    size: str,
    turn: int,
    *,
    step: int = 0,
    mean: float = 0.1,
    total_s: float = 2.0,
    peak: int = 300 * MIB,
    used: int | None = None,
    part: Part = Part.NEW,
    requests: int = 10,
) -> TuneSample:
    """A new container that started and served a block."""
    return TuneSample(
        step=step,
        round=turn,
        size=size,
        part=part,
        took_s=1.0,
        cold=None if part is Part.RESIZED else started(size, turn, total_s, part),
        warm=None
        if part is Part.ONDEMAND
        else WarmBlock(
            latencies_s=(mean,) * requests,
            uncounted=5,
            answer_bytes=20,
            peak_memory_bytes=peak,
            used_memory_bytes=used,
        ),
    )


def resized(size: str, turn: int, *, mean: float = 0.1, step: int = 0) -> TuneSample:
    return new(size, turn, step=step, mean=mean, part=Part.RESIZED)


def started(size: str, turn: int, total_s: float, part: Part) -> Sample:
    kind = StartKind.ONDEMAND if part is Part.ONDEMAND else StartKind.FRESH
    return Sample(
        trial=0,
        block=turn,
        cell=_cell(size, kind),
        started_at="",
        outcome=Outcome.OK,
        phases_s={Phase.FIRST_PREDICTION: 0.2},
        total_s=total_s,
    )


def failed(
    size: str, turn: int, *, kind: FailureKind = FailureKind.OOM, step: int = 0
) -> TuneSample:
    """A new container that did not get ready."""
    return TuneSample(
        step=step,
        round=turn,
        size=size,
        part=Part.NEW,
        took_s=1.0,
        cold=Sample(
            trial=0,
            block=turn,
            cell=_cell(size, StartKind.FRESH),
            started_at="",
            outcome=Outcome.FAILED,
            failure=Failure(kind=kind, message="It was killed."),
        ),
    )


def tune(sizes: Sequence[str], **over: Any) -> Tune:
    given: dict[str, Any] = {
        "id": "20260101T000000Z-tune",
        "started_at": "",
        "lab_version": "1",
        "git_commit": None,
        "git_dirty": None,
        "name": "mine:1",
        "image": "mine:1",
        "image_id": "sha256:1",
        "image_bytes": 200_000_000,
        "archive_bytes": 10_000_000,
        "model": None,
        "model_data": None,
        "platform": Platform.AMD64,
        "emulated": False,
        "payload": PayloadRecord(name="body", content_type="text/plain", bytes=100_000, sha256="x"),
        "payload_path": None,
        "sizes": tuple(sized(one) for one in sizes),
        "objective": None,
        "traffic": None,
        "idle_life_s": 600.0,
        "prices": None,
        "quick": False,
        "seed": 1,
        "order": (),
        "host": {},
        "engine": {},
    }
    return Tune.model_validate({**given, **over})


def _cell(size: str, kind: StartKind) -> Cell:
    return Cell(variant="mine", model="own", platform=Platform.AMD64, tier=size, start_kind=kind)
