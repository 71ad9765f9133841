"""A prediction for a terminal, as Markdown and as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.table import Column

from lab.report.document import Document, Table, left, right
from lab.report.predict.model import ConstantLine, FigureLine, Prediction, Target
from lab.report.predict.reasons import BOUND
from lab.report.study.published import SOURCE
from lab.report.words import percent, ratio_pair, seconds, seconds_pair, significant, times
from lab.runfiles import write_whole

TITLE: Final = "What AWS will show: a prediction, not measured"


def write(prediction: Prediction, folder: Path) -> Path:
    """Write ``prediction.json`` and ``prediction.md`` into a folder; return the latter."""
    write_whole(folder / "prediction.json", prediction.to_json())
    return write_whole(folder / "prediction.md", document(prediction).to_markdown())


def document(prediction: Prediction) -> Document:
    """``lab report predict``."""
    return Document(
        title=TITLE,
        about=(
            f"Run {prediction.run}; the starts of {prediction.fitted_by} stand for the study's "
            f"({SOURCE}). Intervals are of 95 %."
        ),
        answer=answer(prediction),
        tables=[
            constants_table(prediction),
            _figures("Fitted: MobileNet, residuals", prediction.fitted),
            _figures("Held out: what the fit has not seen, errors", prediction.held_out),
            *variants_tables(prediction),
        ],
        notes=[*_reasons(prediction), *prediction.notes],
    )


def answer(prediction: Prediction) -> str:
    """How good the model is, in a sentence."""
    judged = [one for one in prediction.held_out if one.goal]
    if not judged:
        return "Nothing was held out, so nothing is known of the model's errors."
    within = [one for one in judged if abs(one.error) <= BOUND]
    worst = max(judged, key=lambda one: abs(one.error))
    return (
        f"Of {len(judged)} held-out figures {len(within)} are predicted within {percent(BOUND)}; "
        f"the worst, {worst.model}'s {worst.what} at {worst.where}, is {signed(worst.error)} off."
    )


def signed(share: float) -> str:
    """``+4.1 %``."""
    return f"{share * 100:+.1f} %"


def constants_table(prediction: Prediction) -> Table:
    """Each constant with what it means and its source."""
    return Table(
        title="Constants",
        columns=[
            *(left("constant"), "value", right("95 %", wrap=True)),
            *(_words("what it is"), _words("source")),
        ],
        rows=[
            [one.constant, _value(one), _interval(one), one.means, one.source]
            for one in prediction.constants
        ],
    )


def variants_tables(prediction: Prediction) -> Sequence[Table]:
    """Each variant of the run, on serverless by memory and on an instance."""
    return [_variants_table(prediction, target) for target in Target]


def of_variants(document: Document) -> Sequence[Table]:
    """Of a prediction's tables those of the run's variants, which are the last."""
    return document.tables[-len(Target) :]


def _variants_table(prediction: Prediction, target: Target) -> Table:
    lines = [one for one in prediction.variants if one.target is target]
    memory: Sequence[str | Column] = [left("memory")] if target is Target.SERVERLESS else []
    warm = "warm" if target is Target.SERVERLESS else "warm, inside"
    return Table(
        title=f"{str(target).capitalize()}: not measured",
        columns=[
            *(left("variant"), left("model")),
            *memory,
            *("cold", right("95 %", wrap=True)),
            *(warm, right("95 %", wrap=True), _words("note")),
        ],
        rows=[
            [
                *(one.variant, one.model, *([f"{one.memory_mb} MB"] if memory else [])),
                *(seconds(one.cold_s), seconds_pair(one.cold_interval)),
                *(seconds(one.warm_s), seconds_pair(one.warm_interval), one.note),
            ]
            for one in lines
        ],
    )


def _figures(title: str, lines: Sequence[FigureLine]) -> Table:
    return Table(
        title=title,
        columns=[
            *(_words("figure"), left("model"), left("where"), "predicted", "published", "error"),
            right("its 95 %", wrap=True),
        ],
        rows=[
            [
                *(one.what, one.model, one.where, _number(one.predicted, one.unit)),
                *(_number(one.published, one.unit), signed(one.error)),
                f"{one.error_interval[0] * 100:+.0f} to {signed(one.error_interval[1])}",
            ]
            for one in lines
        ],
    )


def _reasons(prediction: Prediction) -> Sequence[str]:
    return [
        f"{one.model}, {one.what}, {one.where}, {signed(one.error)}: {one.reason}."
        for one in (*prediction.fitted, *prediction.held_out)
        if one.reason
    ]


def _number(value: float, unit: str) -> str:
    return times(value) if unit == "x" else seconds(value)


def _value(one: ConstantLine) -> str:
    return times(one.value) if one.unit == "x" else _fine(one.value)


def _interval(one: ConstantLine) -> str:
    low, high = one.interval
    return ratio_pair(one.interval) if one.unit == "x" else f"{_fine(low)} to {_fine(high)}"


def _fine(value: float) -> str:
    """A chunk takes less than a millisecond."""
    return f"{significant(value * 1000)} ms" if value < 0.0995 else seconds(value)


def _words(heading: str) -> Column:
    return Column(heading, overflow="fold")
