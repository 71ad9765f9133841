"""Cold start anatomy: where a start's time goes, and what packaging changes."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import dashboard

from lab.images.variants import BASELINE
from lab.observe.boards.emulation import native
from lab.observe.boards.layout import Board, BoardRow, variable
from lab.observe.boards.limits import OF_FLOOR
from lab.observe.boards.panels import (
    BLUE,
    BYTES,
    COUNT,
    GREY,
    ORANGE,
    PLAIN,
    SECONDS,
    bar_cell,
    bars,
    figure,
    named_figure,
    note,
    now,
    phases,
    query,
    rising,
    sheet,
    sorted_by,
    steps,
)
from lab.observe.boards.promql import (
    CHOSEN,
    EMULATED,
    NATIVE,
    last,
    most,
    named,
    of,
    percentiles,
)
from lab.spec import FLOOR

_NOTE = """\
**The longest piece of a bar is what to work on next.** `image_pull` shrinks with the compressed
image, `image_unpack` with the unpacked one, `imports` with what the server imports, `model_load`
with format and runtime. **The floor** is a container that does nothing but answer: what the engine
itself costs, and no packaging gets below it. Figures are medians of the newest run in the range;
a run counts only for the cell chosen above, so compare like with like: *Compare* sets two side by
side. Starts of a platform that is not the machine's run under QEMU: they stand in the table at the
bottom, labelled emulated, and in no other figure, plot or ratio.
"""

_WHERE = f'platform="$platform",tier="$tier",start_kind="$start_kind",{NATIVE}'
_MODEL = f'model="$model",{_WHERE}'
_MEDIAN = 'quantile="0.5"'
_FLOOR = f'variant="{FLOOR}",{_WHERE}'
"""The floor serves no model: any model's will do."""


def board() -> Board:
    """The board."""
    return Board(
        uid="lab-coldstart",
        about="What the benches found: cold starts by phase, variant and image size.",
        since="now-24h",
        variables=[
            *_chosen(),
            variable(
                "variant",
                f'label_values(lab_bench_start_seconds{{variant!="{FLOOR}",{NATIVE}}}, variant)',
                label="Variant",
                several=True,
            ),
        ],
        rows=[
            BoardRow(height=4, panels=[(note(_NOTE), 24)]),
            BoardRow(height=4, panels=_figures()),
            BoardRow(height=9, panels=[(_anatomy(), 14), (_totals(), 10)]),
            BoardRow(height=9, panels=[(_sizes(), 10), (_size_against_time(), 14)]),
            BoardRow(height=8, panels=[(_trend(), 14), (_live(), 10)]),
            BoardRow(height=7, panels=[(_runs(), 8), (_emulated(), 16)]),
        ],
    )


def _chosen() -> Iterator[dashboard.QueryVariable]:
    """Each choice is among what was measured with the choices before it."""
    before = f'variant!="{FLOOR}",{NATIVE}'
    for name, label in (
        ("model", "Model"),
        ("platform", "Platform"),
        ("tier", "Tier"),
        ("start_kind", "Start kind"),
    ):
        query_of = f"label_values(lab_bench_start_seconds{{{before}}}, {name})"
        yield variable(name, query_of, label=label)
        before = f'{before},{name}="${name}"'


def with_floor(metric: str, *more: str, by: str) -> str:
    """The newest value of the chosen variants, and of the floor beside them."""
    chosen = most(last(of(metric, CHOSEN, *more)), *by.split())
    return f"{chosen} or {most(last(of(metric, _FLOOR, *more)), *by.split())}"


def _figures() -> list[tuple[object, int]]:
    seconds = "lab_bench_start_seconds"
    baseline = most(last(of(seconds, f'variant="{BASELINE}"', _MODEL, _MEDIAN)))
    others = most(last(of(seconds, f'variant!~"{BASELINE}|{FLOOR}"', _MODEL, _MEDIAN)), "variant")
    best = f"min({others})"
    floor = most(last(of(seconds, _FLOOR, _MEDIAN)))
    ended = most(last("lab_bench_end_timestamp_seconds"))
    return [
        (figure("Baseline", "Its median start.", now(baseline)).unit(SECONDS), 4),
        (
            named_figure(
                "Best variant",
                "The shortest median start of all variants but the baseline and the floor.",
                now(f"bottomk(1, {others})", "{{variant}}"),
            ).unit(SECONDS),
            5,
        ),
        (
            figure("Baseline ÷ best", "How many times faster.", now(f"{baseline} / {best}"))
            .unit(PLAIN)
            .decimals(1),
            4,
        ),
        (figure("Floor", "What the engine itself costs.", now(floor)).unit(SECONDS), 3),
        (
            figure(
                "Best ÷ floor", "Near 1 there is nothing left to gain.", now(f"{best} / {floor}")
            )
            .unit(PLAIN)
            .decimals(1)
            .thresholds(rising(OF_FLOOR)),
            4,
        ),
        (
            figure("Since the last bench", "Of any kind.", now(f"time() - {ended}")).unit(SECONDS),
            4,
        ),
    ]


def _anatomy() -> object:
    return phases(
        "Phases of a start, by variant",
        "Medians of each phase, in the order in which they come: their sum is near the median"
        " start, not equal to it.",
        "variant",
        f"sort_desc({with_floor('lab_bench_start_phase_seconds', by='variant phase')})",
    )


def _totals() -> object:
    found = with_floor("lab_bench_start_seconds", 'quantile=~"0.5|0.95"', by="variant quantile")
    return bars(
        "Start-up time, by variant",
        "From asking for the container to its first prediction. A p95 is there only when the run"
        " has enough samples for one.",
        "variant",
        "quantile",
        f"sort_desc({percentiles(found)})",
        colours={"p50": BLUE, "p95": ORANGE},
    ).unit(SECONDS)


def _sizes() -> object:
    def each(metric: str, name: str) -> str:
        there = of(metric, 'variant=~"$variant",platform="$platform"')
        return named(most(last(there), "variant"), "image", name)

    compressed = each("lab_bench_image_compressed_bytes", "compressed")
    unpacked = each("lab_bench_image_unpacked_bytes", "unpacked")
    return bars(
        "Image size, by variant",
        "Compressed is what is pulled, unpacked what is written to disk.",
        "variant",
        "image",
        f"sort_desc({unpacked} or {compressed})",
        colours={"unpacked": GREY, "compressed": BLUE},
    ).unit(BYTES)


def _size_against_time() -> object:
    def image(metric: str) -> str:
        return most(last(of(metric, 'variant=~"$variant",platform="$platform"')), "variant")

    def counted(metric: str) -> str:
        return most(last(of(metric, CHOSEN)), "variant")

    median = most(last(of("lab_bench_start_seconds", CHOSEN, _MEDIAN)), "variant")
    panel = sheet(
        "Image size against start-up time",
        "Where a larger image does not start later, the time goes elsewhere: see the phases.",
        {
            "Start p50": (median, SECONDS),
            "Compressed": (image("lab_bench_image_compressed_bytes"), BYTES),
            "Unpacked": (image("lab_bench_image_unpacked_bytes"), BYTES),
            "Samples": (counted("lab_bench_samples"), COUNT),
            "Failures": (counted("lab_bench_failures"), COUNT),
        },
        labels=["variant"],
    )
    panel = bar_cell(panel, "Start p50", SECONDS, "#d55e00")
    panel = bar_cell(panel, "Compressed", BYTES, "#56b4e9")
    return sorted_by(bar_cell(panel, "Unpacked", BYTES, "#2f8fd0"), "Start p50")


def _trend() -> object:
    median = of("lab_bench_start_seconds", CHOSEN, _MEDIAN)
    return steps(
        "Trend over runs",
        "The median start of each variant: a step is a new run. Past runs come in with"
        " `lab observe replay RUN`.",
        query(most(median, "variant"), "{{variant}}"),
    ).unit(SECONDS)


def _live() -> object:
    name = "sagemaker_container_start_phase_seconds"
    started = f"sum by (endpoint, phase) ({name}_sum)"
    return phases(
        "Starts of the running endpoints (mean)",
        "The same phases as the emulator saw them: all starts since it began, of all endpoints"
        " whose containers QEMU did not slow down.",
        "endpoint",
        f"sort_desc({native(f'{started} / (sum by (endpoint, phase) ({name}_count) > 0)')})",
    )


def _runs() -> object:
    return sheet(
        "Runs in the range",
        "The newest of each plan that Prometheus has seen; the figures above are of the last.",
        {"Seen": (f"count by (run, plan) ({last('lab_bench_run_info')})", COUNT)},
        labels=["run", "plan"],
    )


def _emulated() -> object:
    labels = ["variant", "model", "platform", "tier", "start_kind"]

    def each(metric: str, *more: str) -> str:
        return most(last(of(metric, EMULATED, *more)), *labels)

    return sheet(
        "Emulated starts (QEMU): not how fast",
        "Starts of a platform that is not the machine's: they prove that an image starts. QEMU"
        " slows them by a factor that nobody knows, so they are in no other figure, plot or ratio.",
        {
            "p50, emulated": (each("lab_bench_start_seconds", _MEDIAN), SECONDS),
            "Samples": (each("lab_bench_samples"), COUNT),
            "Failures": (each("lab_bench_failures"), COUNT),
        },
        labels=labels,
    ).no_value("no emulated start")
