"""The published estimate for arm64, for a terminal and as Markdown; the page has a template."""

from rich.table import Column

from lab.report.document import Document, Table, left
from lab.report.study import graviton
from lab.report.study.published import NAMES, REAL_TIME, REQUESTS, SOURCE, YEAR
from lab.report.words import significant, times


def source() -> str:
    """Where the figures are from."""
    return f"{SOURCE}: SageMaker real-time endpoints, means of {REQUESTS} requests, {YEAR}'s prices"


def document() -> Document:
    """``lab report published``."""
    disclaimer = "Nothing in this section was measured here, and no figure of a run is made of it."
    instances = Table(
        title="The instances, published, not measured: mean (population s.d.)",
        columns=[
            *("instance", "ISA", "USD/h", left("model"), _narrow("prediction, ms")),
            *(_narrow("total, ms"), "USD/1000"),
        ],
        rows=[
            [
                *(one.instance, one.platform.arch, f"{one.usd_per_hour:g}", NAMES[one.model]),
                f"{one.prediction_s * 1000:.1f} ({one.prediction_sd_s * 1000:.1f})",
                f"{one.total_s * 1000:.1f} ({one.total_sd_s * 1000:.1f})",
                significant(one.usd_per_1000),
            ]
            for one in REAL_TIME
        ],
    )
    ratios = Table(
        title="Graviton over x86-64, published, not measured: below 1x is less",
        columns=[
            *(left("arm64 / x86-64"), left("model"), "prediction", "total", "hour"),
            _narrow("a prediction"),
        ],
        rows=[
            [
                *(one.pair, NAMES[one.model], times(one.prediction), times(one.total)),
                *(times(one.price), times(one.cost)),
            ]
            for one in graviton.ratios()
        ],
    )
    return Document(
        title=graviton.TITLE,
        about=f"{source()}. {disclaimer}",
        tables=[instances, ratios],
        notes=[f"{graviton.FORMULA}, {graviton.ASSUMES}.", *graviton.verdict()],
    )


def _narrow(heading: str) -> Column:
    return Column(heading, justify="right", overflow="fold")
