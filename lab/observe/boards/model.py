"""Model: what it answers, how sure it is, and whether it sees what it was trained on."""

from lab.observe.boards import panels
from lab.observe.boards.layout import Board, BoardRow, variable
from lab.observe.boards.limits import PSI
from lab.observe.boards.panels import Unit, query, rising
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
**Confidence that falls while drift rises means that the inputs changed.** The population stability
index (PSI) compares what came with the reference stored in the model: below 0.1 nothing changed,
above 0.25 look at the inputs before you believe the answers. It is computed from 30 inputs on; with
fewer it says nothing. Choose a feature above to see where it moved: answer and confidence are every
task's, so far as it has them; brightness, contrast and size are those of images (camera, sender's
software), length, unknown items and popularity those of sessions (other clients, a catalogue that
is out of date).
"""

_WHERE = 'endpoint=~"$endpoint",model=~"$model"'
_RULE = 'endpoint=~"$endpoint"'

_MODEL = ("endpoint", "model")

_NO_IMAGES = "no images came: task image-classification has this"
_NO_SESSIONS = "no sessions came: the task of recommender-niser has this"
_NO_CONFIDENCE = "nothing came whose task tells a confidence"


def board() -> Board:
    """The board."""
    return Board(
        uid="lab-model",
        about="What the model answers and sees: answers, confidence, inputs, drift.",
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
                first="confidence",
            ),
        ],
        rows=[
            BoardRow(height=5, widths=(8, 8, 8), panels=_figures()),
            BoardRow(height=8, widths=(8, 8, 8), panels=[_answers(), _both(), _seconds()]),
            BoardRow(height=8, widths=(12, 12), panels=[_drift(), _drift_of_the_hour()]),
            BoardRow(height=8, widths=(12, 12), panels=[_confidence(), _confidence_quantiles()]),
            BoardRow(height=8, widths=(12, 12), panels=[_light(), _sizes()]),
            BoardRow(height=8, widths=(12, 12), panels=[_lengths(), _unknown_and_popular()]),
        ],
    )


def _figures() -> list[object]:
    inputs = total(within(of("lab_inference_predictions_total", _WHERE)))
    sure = share(
        total(within(of("lab_inference_confidence_sum", _WHERE))),
        total(within(of("lab_inference_confidence_count", _WHERE))),
    )
    worst = most(last(of("endpoint_feature:drift_psi:5m", _RULE)))
    return [
        panels.stat("Inputs answered", "In the whole range.", inputs, Unit.COUNT, decimals=0),
        # Without limits: of five classes half is little, of thousands of items it is much.
        panels.stat(
            "Mean confidence",
            "The top answer's probability, in the whole range. What is usual differs by task: what"
            " is unusual is drift of confidence.",
            sure,
            Unit.RATIO,
            decimals=1,
            empty=_NO_CONFIDENCE,
        ),
        panels.stat(
            "Highest drift",
            "The largest PSI of any feature, over the newest five minutes with 30 inputs.",
            worst,
            Unit.PLAIN,
            decimals=2,
            limits=rising(PSI),
            empty="fewer than 30 inputs",
        ),
    ]


def _answers() -> object:
    came = rate(of("lab_inference_predictions_total", _WHERE))
    return panels.stacked(
        "Predictions by answer",
        "Of a classifier the number of the class; of a recommender 1 is the model's answer, 0 that"
        " of a session without a known item: the most popular ones.",
        query(total(came, "answer"), "answer {{answer}}"),
        unit=Unit.REQUESTS,
    )


def _both() -> object:
    came = within(of("lab_inference_drift_bin_total", _WHERE, 'feature="$feature"'))
    seen = parts(came, "bin")
    reference = of("lab_inference_drift_reference_ratio", _WHERE, 'feature="$feature"')
    # All containers of a model tell the same; of several models each counts by what came to it.
    of_models = (
        f"{most(last(reference), *_MODEL, 'bin')} * on ({', '.join(_MODEL)}) group_left ()"
        f" {total(came, *_MODEL)}"
    )
    expected = f"sum by (bin) ({of_models}) / on () group_left () ({total(came)} > 0)"
    both = f"{named(seen, 'of', 'seen')} or {named(expected, 'of', 'reference')}"
    return panels.bar_chart(
        "$feature: what came against the reference",
        "Shares of the inputs in each bin, in the whole range. The bins where the two differ are"
        " the drift. Of several models each has bins of its own.",
        "bin",
        "of",
        both,
        unit=Unit.RATIO,
        in_order=True,
    )


def _drift() -> object:
    return panels.lines(
        "Drift over five minutes",
        "PSI of each feature: the worst endpoint. Gaps: fewer than 30 inputs.",
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
        "How many inputs got a top probability of which height. A cloud that sinks is a model that"
        " is losing its footing.",
        total(came, "le"),
        empty=_NO_CONFIDENCE,
    )


def _confidence_quantiles() -> object:
    return panels.lines(
        "Confidence quantiles",
        "The p10 is the least sure tenth: it moves first.",
        query(quantile(0.5, "lab_inference_confidence", _WHERE), "p50"),
        query(quantile(0.1, "lab_inference_confidence", _WHERE), "p10"),
        unit=Unit.RATIO,
        empty=_NO_CONFIDENCE,
    )


def _light() -> object:
    return panels.lines(
        "Brightness and contrast",
        "Of images: means of the grey pictures, 0 is black, 1 white.",
        query(mean("lab_inference_input_brightness", _WHERE), "brightness"),
        query(mean("lab_inference_input_contrast", _WHERE), "contrast"),
        unit=Unit.RATIO,
        empty=_NO_IMAGES,
    )


def _sizes() -> object:
    return panels.lines(
        "Size of what is sent",
        "Of images: bytes as they come, quantiles.",
        query(quantile(0.5, "lab_inference_input_bytes", _WHERE), "p50"),
        query(quantile(0.95, "lab_inference_input_bytes", _WHERE), "p95"),
        unit=Unit.BYTES,
        empty=_NO_IMAGES,
    )


def _lengths() -> object:
    return panels.lines(
        "Length of sessions",
        "Of sessions: clicks as sent, quantiles.",
        query(quantile(0.5, "lab_inference_input_length", _WHERE), "p50"),
        query(quantile(0.95, "lab_inference_input_length", _WHERE), "p95"),
        unit=Unit.COUNT,
        empty=_NO_SESSIONS,
    )


def _unknown_and_popular() -> object:
    return panels.lines(
        "Unknown items and popularity",
        "Of sessions: the share of clicks that the catalogue does not know, and of answered items"
        " that are among the most popular ones. Means.",
        query(mean("lab_inference_input_unknown_ratio", _WHERE), "unknown items"),
        query(mean("lab_inference_answer_popularity", _WHERE), "popular answers"),
        unit=Unit.RATIO,
        empty=_NO_SESSIONS,
    )


def _seconds() -> object:
    return panels.lines(
        "Time of a prediction",
        "The model's run alone, without HTTP and without decoding the input.",
        query(quantile(0.5, "lab_inference_prediction_seconds", _WHERE), "p50"),
        query(quantile(0.95, "lab_inference_prediction_seconds", _WHERE), "p95"),
        unit=Unit.SECONDS,
    )
