"""What was predicted here beside what was measured on AWS, figure by figure, with the error.

The prediction is a run of cold starts, or the same measurement made on the emulator. A figure is
only set beside one of the same span; what AWS's total has on top (the network, its own scheduling)
is named, not taken off.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path
from typing import Final

from lab import paths
from lab.aws.measure.folder import RUN_FILE, MeasureFolder
from lab.aws.measure.record import AwsRun, MeasuredSubject, Protocol
from lab.aws.measure.summary import series
from lab.aws.model import PushTarget, ServingKind
from lab.coldstart.folder import RunFolder
from lab.coldstart.record import Sample
from lab.errors import UsageError
from lab.report.rows import MeasuredRow
from lab.report.summary import summarise
from lab.report.words import KINDS
from lab.spec import HOST_TIER, Phase, StartKind
from lab.stats.quantiles import median
from lab.stats.ratios import Ratio, ratio_of_medians

_SEED: Final = 2023
_COLD_KINDS: Final = (StartKind.PULL, StartKind.DISKCOLD, StartKind.FRESH)
"""What a start on AWS may be like; a restarted container is none."""


@unique
class PredictedFigure(StrEnum):
    """A span of time that both sides measure."""

    COLD_TOTAL = "cold request, from asking to the answer"
    SETUP = "launch of a container (ModelSetupTime)"
    COLD_OVERHEAD = "cold request without the model (OverheadLatency)"
    COLD_MODEL = "first answer of a container (ModelLatency)"
    WARM_TOTAL = "warm request, from asking to the answer"
    WARM_MODEL = "warm answer of a container (ModelLatency)"
    WARM_OVERHEAD = "warm request without the model (OverheadLatency)"


@dataclass(frozen=True, kw_only=True)
class PredictionLine:
    """One figure on both sides; seconds."""

    figure: PredictedFigure
    source: str
    """What predicts it: ``pull, 10 trials``."""
    predicted_s: float
    measured_s: float
    predicted_n: int
    measured_n: int
    statistic: str
    """``median``, or ``mean`` where CloudWatch tells no more."""
    ratio: Ratio | None
    """Predicted over measured; None where single values are not known."""

    @property
    def error(self) -> float:
        """How far the prediction is off, of what was measured: -0.2 is a fifth too little."""
        return self.predicted_s / self.measured_s - 1


@dataclass(frozen=True, kw_only=True)
class AgainstAws:
    """A prediction and a measurement."""

    predicted: str
    measured: str
    """Ids of the runs."""
    folder: Path
    """Of the measurement."""
    subject: str
    lines: Sequence[PredictionLine]
    notes: Sequence[str]

    @property
    def text(self) -> str:
        """The one-sentence answer: of the best prediction of a cold start, else of the first."""
        cold = [one for one in self.lines if one.figure is PredictedFigure.COLD_TOTAL]
        told = min(cold, key=lambda one: abs(one.error)) if cold else self.lines[0]
        way = "more" if told.error >= 0 else "less"
        return (
            f"For a {told.figure}: {told.source}, predicted {abs(told.error) * 100:.0f} % {way} "
            "than was measured."
        )


@dataclass(frozen=True, kw_only=True)
class _Values:
    """One side of a figure."""

    source: str
    values: Sequence[float]
    mean: float | None = None
    """Where only a mean over ``n`` requests is known."""
    n: int = 0


def is_aws_run(name: str | Path) -> bool:
    """Whether a run, by its id or its path, is what ``lab push measure`` leaves behind."""
    return any((path / RUN_FILE).is_file() for path in (paths.runs() / name, Path(name)))


def compare_with_aws(first: str | Path, second: str | Path) -> AgainstAws:
    """A run of cold starts or of the emulator, and a measurement of AWS, in either order.

    Of two measurements the first is taken for the prediction, unless only it is of AWS. Raises
    ``UsageError`` when they are not of the same variant, model and size.
    """
    if is_aws_run(first) and (not is_aws_run(second) or _only_first_is_aws(first, second)):
        first, second = second, first
    there = MeasureFolder.find(second)
    run = there.run()
    measured = _measured(there)
    if is_aws_run(first):
        here = MeasureFolder.find(first)
        name, predicted = here.run().id, _of_measurement(here, run)
        notes = list(_differences(here.run(), run))
    else:
        folder = RunFolder.find(first).path
        name, predicted = folder.name, _of_cold_starts(folder, run.subject)
        notes = ["Seconds of starts here have no network and no front end of AWS in them."]
    lines = [
        _line(figure, one, measured[figure])
        for figure in PredictedFigure
        if figure in measured
        for one in predicted.get(figure, ())
    ]
    if not lines:
        raise UsageError(
            f"{name} and {run.id} have no figure in common.",
            remedy="Let the measurement finish: `lab push measure --resume`.",
        )
    if run.subject.target is PushTarget.LOCAL:
        notes.append("What was measured is the lab's emulator, not AWS.")
    if run.subject.kind is ServingKind.SERVERLESS:
        notes.append(
            "The share of a processor that memory buys is Lambda's; AWS publishes none for "
            "serverless endpoints."
        )
    return AgainstAws(
        predicted=name,
        measured=run.id,
        folder=there.path,
        subject=str(run.subject),
        lines=lines,
        notes=notes,
    )


def _only_first_is_aws(first: str | Path, second: str | Path) -> bool:
    targets = [MeasureFolder.find(one).run().subject.target for one in (first, second)]
    return targets == [PushTarget.AWS, PushTarget.LOCAL]


def _measured(folder: MeasureFolder) -> Mapping[PredictedFigure, _Values]:
    """What a measurement knows of each figure."""
    samples, metrics = folder.samples(), folder.metrics()
    cold = series(samples, metrics, Protocol.COLD)
    warm = series(samples, metrics, Protocol.WARM)
    subject = folder.run().subject
    source = "emulator" if subject.target is PushTarget.LOCAL else "AWS"
    found = {
        PredictedFigure.COLD_TOTAL: cold["total_s"],
        PredictedFigure.SETUP: cold["setup_s"],
        PredictedFigure.COLD_OVERHEAD: cold["overhead_s"],
        PredictedFigure.COLD_MODEL: cold["model_latency_s"],
        PredictedFigure.WARM_TOTAL: warm["total_s"],
        PredictedFigure.WARM_MODEL: warm["model_latency_s"],
        PredictedFigure.WARM_OVERHEAD: warm["overhead_s"],
    }
    sides = {
        figure: _Values(source=f"{source}, {len(values)} requests", values=values)
        for figure, values in found.items()
        if values
    }
    together = metrics.warm if metrics else None
    if together is not None:
        for figure, mean in (
            (PredictedFigure.WARM_MODEL, together.model_latency_s),
            (PredictedFigure.WARM_OVERHEAD, together.overhead_s),
        ):
            if mean is not None and figure not in sides:
                sides[figure] = _Values(
                    source=f"{source}, {together.requests} requests",
                    values=(),
                    mean=mean,
                    n=together.requests,
                )
    return sides


def _of_measurement(
    here: MeasureFolder, there: AwsRun
) -> Mapping[PredictedFigure, Sequence[_Values]]:
    mine, theirs = here.run().subject, there.subject
    if here.run().emulated or there.emulated:
        raise UsageError(
            "One of these measurements ran under QEMU, whose seconds stand for nothing.",
            remedy="Measure on a machine of the image's own architecture.",
        )
    if _what(mine) != _what(theirs):
        raise UsageError(
            f"{here.run().id} measured {mine}, {there.id} measured {theirs}.",
            remedy="Compare measurements of the same variant, model, kind and size.",
        )
    return {figure: [values] for figure, values in _measured(here).items()}


def _what(subject: MeasuredSubject) -> tuple[object, ...]:
    return (
        subject.variant,
        subject.model,
        subject.kind,
        subject.platform,
        subject.memory_mb,
        subject.instance_type,
    )


def _of_cold_starts(
    folder: Path, subject: MeasuredSubject
) -> Mapping[PredictedFigure, Sequence[_Values]]:
    """The cells of the subject, the coldest kind first; never what ran under QEMU."""
    tier = HOST_TIER.name if subject.memory_mb is None else str(subject.memory_mb)
    rows = [one for one in summarise(folder).measured if one.row.n]
    cells = [
        one
        for one in rows
        if (one.row.variant, one.row.model, one.row.platform, one.row.tier)
        == (subject.variant, subject.model, subject.platform, tier)
        and not one.row.emulated
    ]
    if not cells:
        there = ", ".join(str(one.row.cell) for one in rows) or "nothing"
        raise UsageError(
            f"{folder.name} has measured {there}; the endpoint is {subject}.",
            remedy="Measure the same here: `lab coldstart run "
            f"--variant {subject.variant} --model {subject.model} --tier {tier}`.",
        )
    found: dict[PredictedFigure, list[_Values]] = {}
    for figure, values in _predictions(cells, serverless=subject.kind is ServingKind.SERVERLESS):
        found.setdefault(figure, []).append(values)
    return found


def _predictions(
    cells: Sequence[MeasuredRow], *, serverless: bool
) -> Iterator[tuple[PredictedFigure, _Values]]:
    for kind in _COLD_KINDS:
        for cell in cells:
            if cell.row.start_kind is not kind or not serverless:
                continue
            counted = [one for one in cell.counted if one.total_s is not None]
            source = f"{KINDS[kind]}, {len(counted)} trials"
            first = [one.phases_s.get(Phase.FIRST_PREDICTION, 0.0) for one in counted]
            yield PredictedFigure.COLD_TOTAL, _Values(source=source, values=cell.totals)
            yield (
                PredictedFigure.SETUP,
                _Values(source=source, values=[_setup_s(one) for one in counted]),
            )
            yield PredictedFigure.COLD_MODEL, _Values(source=source, values=first)
    warm = [
        one.second_prediction_s
        for cell in cells
        for one in cell.counted
        if one.second_prediction_s is not None
    ]
    if warm:
        source = f"warm, {len(warm)} trials"
        yield PredictedFigure.WARM_MODEL, _Values(source=source, values=warm)


def _setup_s(sample: Sample) -> float:
    """From the beginning to the first ``/ping`` 200."""
    return sum(
        seconds for phase, seconds in sample.phases_s.items() if phase is not Phase.FIRST_PREDICTION
    )


def _line(figure: PredictedFigure, predicted: _Values, measured: _Values) -> PredictionLine:
    if not predicted.values or not measured.values:
        # A mean is set beside a mean: medians of skewed times are smaller.
        return PredictionLine(
            figure=figure,
            source=predicted.source,
            predicted_s=_mean(predicted),
            measured_s=_mean(measured),
            predicted_n=len(predicted.values) or predicted.n,
            measured_n=len(measured.values) or measured.n,
            statistic="mean",
            ratio=None,
        )
    return PredictionLine(
        figure=figure,
        source=predicted.source,
        predicted_s=median(predicted.values),
        measured_s=median(measured.values),
        predicted_n=len(predicted.values),
        measured_n=len(measured.values),
        statistic="median",
        ratio=ratio_of_medians({0: predicted.values}, {0: measured.values}, seed=_SEED),
    )


def _mean(side: _Values) -> float:
    return statistics.fmean(side.values) if side.values else (side.mean or 0.0)


def _differences(here: AwsRun, there: AwsRun) -> Iterator[str]:
    if here.payload.sha256 != there.payload.sha256:
        yield f"The payloads differ: {here.payload.name} and {there.payload.name}."
    for name in ("warm_pause_s", "cold_idle_s"):
        if here.options.get(name) != there.options.get(name):
            yield (
                f"{name} was {here.options.get(name)} for {here.id} and "
                f"{there.options.get(name)} for {there.id}."
            )
    yield "Totals hold the way from the machine that asked: to AWS it is a network."
