"""Compare: two variants, platforms or tiers, and two running endpoints, side by side."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard

from lab.images.variants import BASELINE, DEFAULT
from lab.observe.boards import panels
from lab.observe.boards.emulation import native
from lab.observe.boards.layout import Board, BoardRow, variable
from lab.observe.boards.limits import COLD_SHARE
from lab.observe.boards.panels import Unit, query, rising
from lab.observe.boards.promql import (
    NATIVE,
    last,
    mean,
    most,
    named,
    of,
    percentiles,
    quantile,
    rate,
    share,
    total,
    within,
)
from lab.spec import FLOOR, Platform

_NOTE = """\
**Change one thing at a time:** variant, platform *or* tier, the rest alike, or you will not know
what the difference is of. A ratio above 1 says that A takes longer or weighs more than B. Ratios of
medians carry no interval here: before you act on less than a fifth, read the intervals in the
run's report (`lab report`). Starts under QEMU are in none of these figures; image sizes are exact
and count whoever built them. The lowest row sets two running endpoints side by side.
"""

_TRAFFIC: Final = "1h"
"""The endpoints' row looks back less far than benches do: in a day, a demo is a pixel wide."""

_MEDIAN = 'quantile="0.5"'
_VALUES = f'label_values(lab_bench_start_seconds{{variant!="{FLOOR}",{NATIVE}'


def board() -> Board:
    """The board."""
    return Board(
        uid="lab-compare",
        about="Two variants, platforms, tiers or endpoints side by side.",
        note=_NOTE,
        since="now-24h",
        variables=[
            variable("model", f"{_VALUES}}}, model)"),
            variable("start_kind", f'{_VALUES},model="$model"}}, start_kind)'),
            *_side("a", BASELINE),
            *_side("b", DEFAULT),
            variable(
                "endpoint_a",
                "label_values(sagemaker_containers, endpoint)",
                label="Endpoint A",
                first="retinopathy-mobilenet-realtime",
            ),
            variable(
                "endpoint_b",
                "label_values(sagemaker_containers, endpoint)",
                label="Endpoint B",
                first="retinopathy-mobilenet-serverless",
            ),
        ],
        rows=[
            BoardRow(height=4, widths=(5, 5, 5, 4, 5), panels=_figures()),
            BoardRow(height=7, widths=(14, 10), panels=[_phases(), _quantiles()]),
            BoardRow(height=7, widths=(14, 10), panels=[_table(), _trend()]),
            BoardRow(height=7, widths=(24,), panels=[_platforms()]),
            BoardRow(height=8, widths=(8, 8, 8), panels=[_requests(), _latency(), _cold_share()]),
        ],
    )


def _side(side: str, first: str) -> list[dashboard.QueryVariable]:
    # Each choice is among what was measured with the choices before it.
    values = f'{_VALUES},model="$model",start_kind="$start_kind"'
    of_variant = f'{values},variant="$variant_{side}"'
    of_platform = f'{of_variant},platform="$platform_{side}"'
    name = side.upper()
    return [
        variable(f"variant_{side}", f"{values}}}, variant)", label=f"{name}: variant", first=first),
        variable(f"platform_{side}", f"{of_variant}}}, platform)", label="platform"),
        variable(f"tier_{side}", f"{of_platform}}}, tier)", label="tier"),
    ]


def _cell(side: str) -> str:
    return (
        f'variant="$variant_{side}",model="$model",platform="$platform_{side}",'
        f'tier="$tier_{side}",start_kind="$start_kind",{NATIVE}'
    )


def _image(side: str) -> str:
    return f'variant="$variant_{side}",platform="$platform_{side}"'


def _name(side: str) -> str:
    return f"{side.upper()}: $variant_{side} $tier_{side} $platform_{side}"


def _both(metric: str, by: str, *more: str) -> str:
    """The newest value of both sides, told apart by the label ``side``."""
    sides = (
        named(most(last(of(metric, _cell(side), *more)), *by.split()), "side", _name(side))
        for side in "ab"
    )
    return " or ".join(sides)


def _figures() -> list[object]:
    def start(side: str) -> str:
        return most(last(of("lab_bench_start_seconds", _cell(side), _MEDIAN)))

    def weight(side: str) -> str:
        return most(last(of("lab_bench_image_compressed_bytes", _image(side))))

    start_ratio, weight_ratio = f"{start('a')} / {start('b')}", f"{weight('a')} / {weight('b')}"
    bytes_of = "Compressed bytes. Above 1: A is larger."
    more = "What a start costs more."
    return [
        panels.stat("A: $variant_a", "Its median start.", start("a"), Unit.SECONDS),
        panels.stat("B: $variant_b", "Its median start.", start("b"), Unit.SECONDS),
        _ratio("A ÷ B, start", "Above 1: A is slower.", start_ratio),
        panels.stat("A minus B, start", more, f"{start('a')} - {start('b')}", Unit.SECONDS),
        _ratio("A ÷ B, image", bytes_of, weight_ratio),
    ]


def _ratio(title: str, about: str, expr: str) -> object:
    return panels.stat(title, about, expr, Unit.PLAIN, decimals=2)


def _phases() -> object:
    return panels.phases(
        "Phases of a start, A and B",
        "Medians of each phase, in the order in which they come.",
        "side",
        f"sort_desc({_both('lab_bench_start_phase_seconds', 'phase')})",
    )


def _quantiles() -> object:
    return panels.bar_chart(
        "Start-up time, A and B",
        "Quantiles: those that the run has enough samples for.",
        "quantile",
        "side",
        percentiles(_both("lab_bench_start_seconds", "quantile")),
        unit=Unit.SECONDS,
        in_order=True,
    )


def _table() -> object:
    def weight(metric: str) -> str:
        return " or ".join(
            named(most(last(of(metric, _image(side)))), "side", _name(side)) for side in "ab"
        )

    return panels.table(
        "A and B in figures",
        "Of the newest run in the range.",
        {
            "Start p50": (_both("lab_bench_start_seconds", "", _MEDIAN), Unit.SECONDS),
            "Compressed": (weight("lab_bench_image_compressed_bytes"), Unit.BYTES),
            "Unpacked": (weight("lab_bench_image_unpacked_bytes"), Unit.BYTES),
            "Read on demand": (_both("lab_bench_image_read_bytes", ""), Unit.BYTES),
            "Samples": (_both("lab_bench_samples", ""), Unit.COUNT),
            "Failures": (_both("lab_bench_failures", ""), Unit.COUNT),
        },
        labels=["side"],
    )


def _platforms() -> object:
    def size(metric: str, platform: Platform) -> str:
        return most(last(of(metric, f'platform="{platform}"')), "variant")

    columns: dict[str, tuple[str, Unit]] = {}
    for name, metric in (
        ("Compressed", "lab_bench_image_compressed_bytes"),
        ("Unpacked", "lab_bench_image_unpacked_bytes"),
    ):
        sizes = {platform: size(metric, platform) for platform in Platform}
        columns |= {
            f"{name}, {platform.arch}": (expr, Unit.BYTES) for platform, expr in sizes.items()
        }
        quotient = f"{sizes[Platform.ARM64]} / {sizes[Platform.AMD64]}"
        columns[f"{name}, arm64 ÷ amd64"] = (quotient, Unit.PLAIN)
    return panels.table(
        "Image sizes by platform",
        "Of the newest run in the range with an image for the platform, emulated or not: bytes are"
        " exact.",
        columns,
        labels=["variant"],
    )


def _trend() -> object:
    return panels.steps(
        "Trend over runs, A and B",
        "Median starts: a step is a new run.",
        *(
            query(most(of("lab_bench_start_seconds", _cell(side), _MEDIAN)), _name(side))
            for side in "ab"
        ),
        unit=Unit.SECONDS,
    )


def _live(side: str) -> str:
    return f'endpoint="$endpoint_{side}"'


def _requests() -> object:
    asked = (
        query(total(rate(of("sagemaker_invocations_total", _live(side)))), f"$endpoint_{side}")
        for side in "ab"
    )
    panel = panels.lines("Requests", "Of both endpoints.", *asked, unit=Unit.REQUESTS)
    return panel.time_from(_TRAFFIC)


def _latency() -> object:
    name = "sagemaker_model_latency_seconds"
    asked = (
        query(native(expr), f"{figure} · $endpoint_{side}")
        for side in "ab"
        for figure, expr in (
            ("mean", mean(name, _live(side), "endpoint")),
            ("p99", quantile(0.99, name, _live(side), "endpoint")),
        )
    )
    return panels.lines(
        "Latency in the model",
        "The mean and the p99 of both endpoints, without cold starts; none of an endpoint under"
        " QEMU.",
        *asked,
        unit=Unit.SECONDS,
    ).time_from(_TRAFFIC)


def _cold_share() -> object:
    def cold(side: str) -> str:
        return share(
            total(within(of("sagemaker_cold_starts_total", _live(side)))),
            total(within(of("sagemaker_invocations_total", _live(side)))),
        )

    return panels.bar_gauge(
        "Cold-start share",
        "Requests that waited for a container, in the whole range.",
        *(panels.now(cold(side), f"$endpoint_{side}") for side in "ab"),
        unit=Unit.RATIO,
        limits=rising(COLD_SHARE),
        end=1,
    )
