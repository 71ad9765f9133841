"""Model: what it answers, how sure it is, and whether it sees what it was trained on."""

from lab.observe.boards import panels
from lab.observe.boards.layout import Board, BoardRow, variable
from lab.observe.boards.limits import OF_CONFIDENCE, PSI
from lab.observe.boards.panels import Unit, falling, query, rising
from lab.observe.boards.promql import (
    increase,
    last,
    mean,
    most,
    named,
    of,
    parts,
    quantile,
    rate,
    share,
    total,
    within,
)

_NOTE = """\
**Confidence that falls while drift rises means that the pictures changed, not the patients.** The
population stability index (PSI) compares what came with the reference stored in the model: below
0.1 nothing changed, above 0.25 look at the pictures before you believe the grades. It is computed
from 30 images on; with fewer it says nothing. Brightness moves with camera and lighting, size with
the sender's software, grade with the patients. Choose a feature above to see where it moved.
"""

_WHERE = 'endpoint=~"$endpoint",model=~"$model"'
_RULE = 'endpoint=~"$endpoint"'


def board() -> Board:
    """The board."""
    return Board(
        uid="lab-model",
        about="What the model answers and sees: grades, confidence, inputs, drift.",
        note=_NOTE,
        variables=[
            variable(
                "endpoint", "label_values(lab_inference_predictions_total, endpoint)", several=True
            ),
            variable(
                "model",
                'label_values(lab_inference_predictions_total{endpoint=~"$endpoint"}, model)',
                several=True,
            ),
            variable(
                "feature",
                "label_values(lab_inference_drift_reference_ratio, feature)",
                first="grade",
            ),
        ],
        rows=[
            BoardRow(height=5, widths=(8, 8, 8), panels=_figures()),
            BoardRow(height=8, widths=(12, 12), panels=[_grades(), _seen_and_reference()]),
            BoardRow(height=8, widths=(12, 12), panels=[_drift(), _drift_of_the_hour()]),
            BoardRow(height=8, widths=(12, 12), panels=[_confidence(), _confidence_quantiles()]),
            BoardRow(height=8, widths=(8, 8, 8), panels=[_light(), _sizes(), _seconds()]),
        ],
    )


def _figures() -> list[object]:
    images = total(within(of("lab_inference_predictions_total", _WHERE)))
    sure = share(
        total(within(of("lab_inference_confidence_sum", _WHERE))),
        total(within(of("lab_inference_confidence_count", _WHERE))),
    )
    worst = most(last(of("endpoint_feature:drift_psi:5m", _RULE)))
    return [
        panels.stat("Images graded", "In the whole range.", images, Unit.COUNT, decimals=0),
        panels.gauge(
            "Mean confidence",
            "The top grade's probability, in the whole range.",
            sure,
            limits=falling(OF_CONFIDENCE),
        ),
        panels.stat(
            "Highest drift",
            "The largest PSI of any feature, over the newest five minutes with 30 images.",
            worst,
            Unit.PLAIN,
            decimals=2,
            limits=rising(PSI),
            empty="fewer than 30 images",
        ),
    ]


def _grades() -> object:
    return panels.stacked(
        "Predictions by grade",
        "0 is no retinopathy, 4 the worst.",
        query(
            total(rate(of("lab_inference_predictions_total", _WHERE)), "grade"), "grade {{grade}}"
        ),
        unit=Unit.REQUESTS,
    )


def _seen_and_reference() -> object:
    came = within(of("lab_inference_drift_bin_total", _WHERE, 'feature="$feature"'))
    seen = parts(came, "bin")
    reference = of("lab_inference_drift_reference_ratio", _WHERE, 'feature="$feature"')
    # The mean over containers: each tells the same reference.
    expected = f"avg by (bin) ({last(reference)})"
    both = f"{named(seen, 'of', 'seen')} or {named(expected, 'of', 'reference')}"
    return panels.bar_chart(
        "$feature: what came against the reference",
        "Shares of the images in each bin, in the whole range. The bins where the two differ are"
        " the drift.",
        "bin",
        "of",
        both,
        unit=Unit.RATIO,
        in_order=True,
    )


def _drift() -> object:
    return panels.lines(
        "Drift over five minutes",
        "PSI of each feature: the worst endpoint. Gaps: fewer than 30 images.",
        query(most(of("endpoint_feature:drift_psi:5m", _RULE), "feature"), "{{feature}}"),
        unit=Unit.PLAIN,
        limits=rising(PSI),
    )


def _drift_of_the_hour() -> object:
    hour = most(last(of("endpoint_feature:drift_psi:1h", _RULE)), "feature")
    return panels.bar_gauge(
        "Drift over an hour",
        "PSI of each feature, the newest: slower than five minutes, and surer.",
        panels.now(f"sort_desc({hour})", "{{feature}}"),
        unit=Unit.PLAIN,
        limits=rising(PSI),
        end=0.5,
    ).decimals(3)


def _confidence() -> object:
    came = increase(of("lab_inference_confidence_bucket", _WHERE))
    return panels.heatmap(
        "Confidence",
        "How many images got a top probability of which height. A cloud that sinks is a model that"
        " is losing its footing.",
        total(came, "le"),
    )


def _confidence_quantiles() -> object:
    return panels.lines(
        "Confidence quantiles",
        "The p10 is the least sure tenth: it moves first.",
        query(quantile(0.5, "lab_inference_confidence", _WHERE), "p50"),
        query(quantile(0.1, "lab_inference_confidence", _WHERE), "p10"),
        unit=Unit.RATIO,
        limits=falling(OF_CONFIDENCE),
        reaching=1,
    )


def _light() -> object:
    return panels.lines(
        "Brightness and contrast",
        "Means of the grey pictures: 0 is black, 1 white.",
        query(mean("lab_inference_input_brightness", _WHERE), "brightness"),
        query(mean("lab_inference_input_contrast", _WHERE), "contrast"),
        unit=Unit.RATIO,
    )


def _sizes() -> object:
    return panels.lines(
        "Size of what is sent",
        "Bytes of a picture as it comes: quantiles.",
        query(quantile(0.5, "lab_inference_input_bytes", _WHERE), "p50"),
        query(quantile(0.95, "lab_inference_input_bytes", _WHERE), "p95"),
        unit=Unit.BYTES,
    )


def _seconds() -> object:
    return panels.lines(
        "Time of a prediction",
        "The model's run alone, without HTTP and without decoding.",
        query(quantile(0.5, "lab_inference_prediction_seconds", _WHERE), "p50"),
        query(quantile(0.95, "lab_inference_prediction_seconds", _WHERE), "p95"),
        unit=Unit.SECONDS,
    )
