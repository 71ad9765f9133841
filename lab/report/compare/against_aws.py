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
from typing import Final, Literal

from pydantic import Field, field_serializer

from lab import paths
from lab.aws.measure.folder import RUN_FILE, MeasureFolder
from lab.aws.measure.record import AwsRun, MeasuredSubject, Protocol
from lab.aws.measure.summary import series
from lab.aws.model import PushTarget, ServingKind
from lab.coldstart.folder import RunFolder
from lab.coldstart.record import Sample
from lab.coldstart.summary import Pair
from lab.errors import UsageError
from lab.report.rows import MeasuredRow
from lab.report.summary import summarise
from lab.report.words import KINDS
from lab.schema import Frozen, Versioned
from lab.spec import HOST_TIER, Phase, StartKind
from lab.stats.quantiles import median
from lab.stats.ratios import ratio_of_medians

_SEED: Final = 2023
_COLD_KINDS: Final = (
    *(StartKind.ONDEMAND, StartKind.PULL),
    *(StartKind.DISKCOLD, StartKind.FRESH),
)
"""What a start on AWS may be like, the likeliest of a serverless one first: its image comes on
demand. A restarted container is none."""


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


class PredictionLine(Frozen):
    """One figure on both sides; seconds."""

    figure: PredictedFigure
    source: str
    """What predicts it: ``pull, 10 trials``."""
    statistic: Literal["median", "mean"]
    """A mean where CloudWatch tells no more."""
    predicted_s: float
    measured_s: float
    predicted_n: int
    measured_n: int
    error: float
    """How far the prediction is off, of what was measured: -0.2 is a fifth too little."""
    error_interval: Pair | None = None
    """None also where single values are not known."""
    coverage: float | None = None

    @field_serializer("figure")
    def _name(self, figure: PredictedFigure) -> str:
        return figure.name.lower()


class AgainstAws(Versioned):
    """``against-aws.json``: a prediction and a measurement, by the ids of their runs."""

    predicted: str
    measured: str
    subject: str
    lines: Sequence[PredictionLine]
    notes: Sequence[str]
    folder: Path = Field(exclude=True)
    """Of the measurement."""

    @property
    def text(self) -> str:
        """The one-sentence answer, of the first line: of the likeliest kind of cold start, if any.

        Not of the kind that came nearest: nobody could have chosen it before AWS was measured.
        """
        told = self.lines[0]
        way = "more" if told.error >= 0 else "less"
        return (
            f"For a {told.figure}: {told.source}, predicted {abs(told.error) * 100:.0f} % {way} "
            "than was measured."
        )


_COLUMNS: Final = {
    PredictedFigure.COLD_TOTAL: (Protocol.COLD, "total_s"),
    PredictedFigure.SETUP: (Protocol.COLD, "setup_s"),
    PredictedFigure.COLD_OVERHEAD: (Protocol.COLD, "overhead_s"),
    PredictedFigure.COLD_MODEL: (Protocol.COLD, "model_latency_s"),
    PredictedFigure.WARM_TOTAL: (Protocol.WARM, "total_s"),
    PredictedFigure.WARM_MODEL: (Protocol.WARM, "model_latency_s"),
    PredictedFigure.WARM_OVERHEAD: (Protocol.WARM, "overhead_s"),
}
"""Where a measurement has them."""


@dataclass(frozen=True, kw_only=True)
class _Values:
    """One side of a figure: its values, or only their mean and how many there were."""

    source: str
    values: Sequence[float] = ()
    mean: float = 0.0
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
        cold = {one.source.partition(",")[0] for one in predicted.get(PredictedFigure.SETUP, ())}
        if cold and KINDS[StartKind.ONDEMAND] not in cold:
            notes.append(
                "A serverless endpoint loads its image on demand, and no such start was measured: "
                "`lab coldstart run --start ondemand`."
            )
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
    run, samples, metrics = folder.run(), folder.samples(), folder.metrics()
    source = "emulator" if run.subject.target is PushTarget.LOCAL else "AWS"
    found = {protocol: series(samples, metrics, protocol) for protocol in Protocol}
    together = metrics.warm if metrics else None
    sides = {}
    for figure, (protocol, name) in _COLUMNS.items():
        values = found[protocol][name]
        mean = getattr(together, name, None) if protocol is Protocol.WARM else None
        if values:
            sides[figure] = _Values(source=f"{source}, {len(values)} requests", values=values)
        elif together is not None and mean is not None:
            n = together.requests
            sides[figure] = _Values(source=f"{source}, {n} requests", mean=mean, n=n)
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
    what = ("variant", "model", "kind", "platform", "memory_mb", "instance_type")
    if any(getattr(mine, name) != getattr(theirs, name) for name in what):
        raise UsageError(
            f"{here.run().id} measured {mine}, {there.id} measured {theirs}.",
            remedy="Compare measurements of the same variant, model, kind and size.",
        )
    return {figure: [values] for figure, values in _measured(here).items()}


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
    held = None
    if predicted.values and measured.values:
        statistic: Literal["median", "mean"] = "median"
        ours, theirs = median(predicted.values), median(measured.values)
        ratio = ratio_of_medians({0: predicted.values}, {0: measured.values}, seed=_SEED)
        held = ratio.interval
    else:
        # A mean is set beside a mean: medians of skewed times are smaller.
        statistic = "mean"
        ours, theirs = (
            statistics.fmean(side.values) if side.values else side.mean
            for side in (predicted, measured)
        )
    return PredictionLine(
        figure=figure,
        source=predicted.source,
        statistic=statistic,
        predicted_s=ours,
        measured_s=theirs,
        predicted_n=len(predicted.values) or predicted.n,
        measured_n=len(measured.values) or measured.n,
        error=ours / theirs - 1,
        error_interval=(held.low - 1, held.high - 1) if held else None,
        coverage=held.coverage if held else None,
    )


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
