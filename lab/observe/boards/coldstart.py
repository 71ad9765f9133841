"""Cold start anatomy: where a start's time goes, and what packaging changes."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import dashboard

from lab.images.variants import BASELINE
from lab.observe.boards import panels
from lab.observe.boards.emulation import native
from lab.observe.boards.layout import Board, BoardRow, variable
from lab.observe.boards.limits import OF_FLOOR
from lab.observe.boards.panels import BLUE, GREY, ORANGE, Unit, rising
from lab.observe.boards.promql import CHOSEN, EMULATED, NATIVE, last, most, named, of, percentiles
from lab.spec import FLOOR

_NOTE = """\
**The longest piece of a bar is what to work on next.** `image_pull` shrinks with the compressed
image, `image_unpack` with the unpacked one, `imports` with what the server imports, `model_load`
with format and runtime. **The floor** is a container that does nothing but answer: what the engine
itself costs, and no packaging gets below it. A start of kind `ondemand` waits for what it
*reads* of the unpacked image, one of kind `pull` for all of the compressed one: serverless
endpoints load on demand, instances pull. Figures are medians of the newest run in the range;
a run counts only for the cell chosen above, so compare like with like: *Compare* sets two side by
side. Starts of a platform that is not the machine's run under QEMU: they stand in the table at the
bottom, labelled emulated, and in no other figure, plot or ratio.
"""

_WHERE = f'platform="$platform",tier="$tier",start_kind="$start_kind",{NATIVE}'
_MODEL = f'model="$model",{_WHERE}'
_MEDIAN = 'quantile="0.5"'
_DEMANDED = f'variant=~"$variant",model="$model",platform="$platform",tier="$tier",{NATIVE}'
"""Only on-demand starts have chunks, whatever kind of start is chosen."""
_FLOOR = f'variant="{FLOOR}",{_WHERE}'
"""The floor serves no model: any model's will do."""


def board() -> Board:
    """The board."""
    return Board(
        uid="lab-coldstart",
        about="What the benches found: cold starts by phase, variant and image size.",
        note=_NOTE,
        since="now-24h",
        variables=[
            *_chosen(),
            variable(
                "variant",
                f'label_values(lab_bench_start_seconds{{variant!="{FLOOR}",{NATIVE}}}, variant)',
                several=True,
            ),
        ],
        rows=[
            BoardRow(height=4, widths=(4, 5, 4, 3, 4, 4), panels=_figures()),
            BoardRow(height=9, widths=(14, 10), panels=[_anatomy(), _totals()]),
            BoardRow(height=9, widths=(10, 14), panels=[_sizes(), _size_against_time()]),
            BoardRow(height=8, widths=(14, 10), panels=[_trend(), _live()]),
            BoardRow(height=7, widths=(8, 16), panels=[_runs(), _emulated()]),
        ],
    )


def _chosen() -> Iterator[dashboard.QueryVariable]:
    """Each choice is among what was measured with the choices before it."""
    before = f'variant!="{FLOOR}",{NATIVE}'
    for name in ("model", "platform", "tier", "start_kind"):
        yield variable(name, f"label_values(lab_bench_start_seconds{{{before}}}, {name})")
        before = f'{before},{name}="${name}"'


def with_floor(metric: str, *more: str, by: str) -> str:
    """The newest value of the chosen variants, and of the floor beside them."""
    chosen = most(last(of(metric, CHOSEN, *more)), *by.split())
    return f"{chosen} or {most(last(of(metric, _FLOOR, *more)), *by.split())}"


def _figures() -> list[object]:
    seconds = "lab_bench_start_seconds"
    baseline = most(last(of(seconds, f'variant="{BASELINE}"', _MODEL, _MEDIAN)))
    others = most(last(of(seconds, f'variant!~"{BASELINE}|{FLOOR}"', _MODEL, _MEDIAN)), "variant")
    best = f"min({others})"
    floor = most(last(of(seconds, _FLOOR, _MEDIAN)))
    ended = most(last("lab_bench_end_timestamp_seconds"))
    return [
        panels.stat("Baseline", "Its median start.", baseline, Unit.SECONDS),
        panels.stat(
            "Best variant",
            "The shortest median start of all variants but the baseline and the floor.",
            f"bottomk(1, {others})",
            Unit.SECONDS,
            name="{{variant}}",
        ),
        panels.stat(
            "Baseline ÷ best",
            "How many times faster.",
            f"{baseline} / {best}",
            Unit.PLAIN,
            decimals=1,
        ),
        panels.stat("Floor", "What the engine itself costs.", floor, Unit.SECONDS),
        panels.stat(
            "Best ÷ floor",
            "Near 1 there is nothing left to gain.",
            f"{best} / {floor}",
            Unit.PLAIN,
            decimals=1,
            limits=rising(OF_FLOOR),
        ),
        panels.stat("Since the last bench", "Of any kind.", f"time() - {ended}", Unit.SECONDS),
    ]


def _anatomy() -> object:
    return panels.phases(
        "Phases of a start, by variant",
        "Medians of each phase, in the order in which they come: their sum is near the median"
        " start, not equal to it.",
        "variant",
        f"sort_desc({with_floor('lab_bench_start_phase_seconds', by='variant phase')})",
    )


def _totals() -> object:
    found = with_floor("lab_bench_start_seconds", 'quantile=~"0.5|0.95"', by="variant quantile")
    return panels.bar_chart(
        "Start-up time, by variant",
        "From asking for the container to its first prediction. A p95 is there only when the run"
        " has enough samples for one.",
        "variant",
        "quantile",
        f"sort_desc({percentiles(found)})",
        unit=Unit.SECONDS,
        colours={"p50": BLUE, "p95": ORANGE},
    )


def _sizes() -> object:
    def each(metric: str, name: str) -> str:
        there = of(metric, 'variant=~"$variant",platform="$platform"')
        return named(most(last(there), "variant"), "image", name)

    compressed = each("lab_bench_image_compressed_bytes", "compressed")
    unpacked = each("lab_bench_image_unpacked_bytes", "unpacked")
    read = named(_read(), "image", "read on demand")
    return panels.bar_chart(
        "Image size, by variant",
        "Compressed is what is pulled, unpacked what is written to disk; read on demand is what an"
        " on-demand start fetches of the unpacked.",
        "variant",
        "image",
        f"sort_desc({unpacked} or {compressed} or {read})",
        unit=Unit.BYTES,
        colours={"unpacked": GREY, "compressed": BLUE, "read on demand": ORANGE},
    )


def _read() -> str:
    return most(last(of("lab_bench_image_read_bytes", _DEMANDED)), "variant")


def _size_against_time() -> object:
    def image(metric: str) -> str:
        return most(last(of(metric, 'variant=~"$variant",platform="$platform"')), "variant")

    def counted(metric: str) -> str:
        return most(last(of(metric, CHOSEN)), "variant")

    median = most(last(of("lab_bench_start_seconds", CHOSEN, _MEDIAN)), "variant")
    waits = most(last(of("lab_bench_chunk_wait_seconds", _DEMANDED)), "variant", "phase")
    return panels.table(
        "Image size against start-up time",
        "Where a larger image does not start later, the time goes elsewhere: see the phases.",
        {
            "Start p50": (median, Unit.SECONDS),
            "Compressed": (image("lab_bench_image_compressed_bytes"), Unit.BYTES),
            "Unpacked": (image("lab_bench_image_unpacked_bytes"), Unit.BYTES),
            "Read on demand": (_read(), Unit.BYTES),
            "Waited for it": (f"sum by (variant) ({waits})", Unit.SECONDS),
            "Samples": (counted("lab_bench_samples"), Unit.COUNT),
            "Failures": (counted("lab_bench_failures"), Unit.COUNT),
        },
        labels=["variant"],
        bars={
            "Start p50": "#d55e00",
            "Compressed": "#56b4e9",
            "Unpacked": "#2f8fd0",
            "Read on demand": "#e69f00",
        },
        sorted_by="Start p50",
    )


def _trend() -> object:
    median = of("lab_bench_start_seconds", CHOSEN, _MEDIAN)
    return panels.steps(
        "Trend over runs",
        "The median start of each variant: a step is a new run. Past runs come in with"
        " `lab observe replay RUN`.",
        panels.query(most(median, "variant"), "{{variant}}"),
        unit=Unit.SECONDS,
    )


def _live() -> object:
    name = "sagemaker_container_start_phase_seconds"
    started = f"sum by (endpoint, phase) ({name}_sum)"
    return panels.phases(
        "Starts of the running endpoints (mean)",
        "The same phases as the emulator saw them: all starts since it began, of all endpoints"
        " whose containers QEMU did not slow down.",
        "endpoint",
        f"sort_desc({native(f'{started} / (sum by (endpoint, phase) ({name}_count) > 0)')})",
    )


def _runs() -> object:
    return panels.table(
        "Runs in the range",
        "The newest of each plan that Prometheus has seen; the figures above are of the last.",
        {"Seen": (f"count by (run, plan) ({last('lab_bench_run_info')})", Unit.COUNT)},
        labels=["run", "plan"],
    )


def _emulated() -> object:
    labels = ["variant", "model", "platform", "tier", "start_kind"]

    def each(metric: str, *more: str) -> str:
        return most(last(of(metric, EMULATED, *more)), *labels)

    return panels.table(
        "Emulated starts (QEMU): not how fast",
        "Starts of a platform that is not the machine's: they prove that an image starts. QEMU"
        " slows them by a factor that nobody knows, so they are in no other figure, plot or ratio.",
        {
            "p50, emulated": (each("lab_bench_start_seconds", _MEDIAN), Unit.SECONDS),
            "Samples": (each("lab_bench_samples"), Unit.COUNT),
            "Failures": (each("lab_bench_failures"), Unit.COUNT),
        },
        labels=labels,
        empty="no emulated start",
    )
