"""Model: what it answers, how sure it is, and whether it sees what it was trained on."""

from lab.observe.boards.layout import Board, BoardRow, variable
from lab.observe.boards.limits import OF_CONFIDENCE, PSI
from lab.observe.boards.panels import (
    BYTES,
    COUNT,
    PLAIN,
    RATIO,
    REQUESTS,
    SECONDS,
    bars,
    bounded,
    dial,
    falling,
    figure,
    gauges,
    lines,
    note,
    now,
    query,
    rising,
    stacked,
    warmth,
)
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
        variables=[
            variable(
                "endpoint",
                "label_values(lab_inference_predictions_total, endpoint)",
                label="Endpoint",
                several=True,
            ),
            variable(
                "model",
                'label_values(lab_inference_predictions_total{endpoint=~"$endpoint"}, model)',
                label="Model",
                several=True,
            ),
            variable(
                "feature",
                "label_values(lab_inference_drift_reference_ratio, feature)",
                label="Feature",
                first="grade",
            ),
        ],
        rows=[
            BoardRow(height=4, panels=[(note(_NOTE), 24)]),
            BoardRow(height=5, panels=_figures()),
            BoardRow(height=8, panels=[(_grades(), 12), (_seen_and_reference(), 12)]),
            BoardRow(height=8, panels=[(_drift(), 12), (_drift_of_the_hour(), 12)]),
            BoardRow(height=8, panels=[(_confidence(), 12), (_confidence_quantiles(), 12)]),
            BoardRow(height=8, panels=[(_light(), 8), (_sizes(), 8), (_seconds(), 8)]),
        ],
    )


def _figures() -> list[tuple[object, int]]:
    images = total(within(of("lab_inference_predictions_total", _WHERE)))
    sure = share(
        total(within(of("lab_inference_confidence_sum", _WHERE))),
        total(within(of("lab_inference_confidence_count", _WHERE))),
    )
    worst = most(last(of("endpoint_feature:drift_psi:5m", _RULE)))
    return [
        (
            figure("Images graded", "In the whole range.", now(images)).unit(COUNT).decimals(0),
            8,
        ),
        (
            dial("Mean confidence", "The top grade's probability, in the whole range.", now(sure))
            .unit(RATIO)
            .thresholds(falling(OF_CONFIDENCE)),
            8,
        ),
        (
            figure(
                "Highest drift",
                "The largest PSI of any feature, over the newest five minutes with 30 images.",
                now(worst),
            )
            .unit(PLAIN)
            .decimals(2)
            .thresholds(rising(PSI))
            .no_value("fewer than 30 images"),
            8,
        ),
    ]


def _grades() -> object:
    return stacked(
        "Predictions by grade",
        "0 is no retinopathy, 4 the worst.",
        query(
            total(rate(of("lab_inference_predictions_total", _WHERE)), "grade"), "grade {{grade}}"
        ),
    ).unit(REQUESTS)


def _seen_and_reference() -> object:
    came = within(of("lab_inference_drift_bin_total", _WHERE, 'feature="$feature"'))
    seen = parts(came, "bin")
    reference = of("lab_inference_drift_reference_ratio", _WHERE, 'feature="$feature"')
    # The mean over containers: each tells the same reference.
    expected = f"avg by (bin) ({last(reference)})"
    both = f"{named(seen, 'of', 'seen')} or {named(expected, 'of', 'reference')}"
    return bars(
        "$feature: what came against the reference",
        "Shares of the images in each bin, in the whole range. The bins where the two differ are"
        " the drift.",
        "bin",
        "of",
        both,
        in_order=True,
    ).unit(RATIO)


def _drift() -> object:
    return bounded(
        lines(
            "Drift over five minutes",
            "PSI of each feature: the worst endpoint. Gaps: fewer than 30 images.",
            query(most(of("endpoint_feature:drift_psi:5m", _RULE), "feature"), "{{feature}}"),
        ),
        PSI,
    ).unit(PLAIN)


def _drift_of_the_hour() -> object:
    hour = most(last(of("endpoint_feature:drift_psi:1h", _RULE)), "feature")
    return (
        gauges(
            "Drift over an hour",
            "PSI of each feature, the newest: slower than five minutes, and surer.",
            now(f"sort_desc({hour})", "{{feature}}"),
        )
        .unit(PLAIN)
        .decimals(3)
        .max(0.5)
        .thresholds(rising(PSI))
    )


def _confidence() -> object:
    came = increase(of("lab_inference_confidence_bucket", _WHERE))
    return warmth(
        "Confidence",
        "How many images got a top probability of which height. A cloud that sinks is a model that"
        " is losing its footing.",
        total(came, "le"),
    )


def _confidence_quantiles() -> object:
    return (
        bounded(
            lines(
                "Confidence quantiles",
                "The p10 is the least sure tenth: it moves first.",
                query(quantile(0.5, "lab_inference_confidence", _WHERE), "p50"),
                query(quantile(0.1, "lab_inference_confidence", _WHERE), "p10"),
            ),
            OF_CONFIDENCE,
        )
        .unit(RATIO)
        .thresholds(falling(OF_CONFIDENCE))
        .axis_soft_max(1)
    )


def _light() -> object:
    return lines(
        "Brightness and contrast",
        "Means of the grey pictures: 0 is black, 1 white.",
        query(mean("lab_inference_input_brightness", _WHERE), "brightness"),
        query(mean("lab_inference_input_contrast", _WHERE), "contrast"),
    ).unit(RATIO)


def _sizes() -> object:
    return lines(
        "Size of what is sent",
        "Bytes of a picture as it comes: quantiles.",
        query(quantile(0.5, "lab_inference_input_bytes", _WHERE), "p50"),
        query(quantile(0.95, "lab_inference_input_bytes", _WHERE), "p95"),
    ).unit(BYTES)


def _seconds() -> object:
    return lines(
        "Time of a prediction",
        "The model's run alone, without HTTP and without decoding.",
        query(quantile(0.5, "lab_inference_prediction_seconds", _WHERE), "p50"),
        query(quantile(0.95, "lab_inference_prediction_seconds", _WHERE), "p95"),
    ).unit(SECONDS)
