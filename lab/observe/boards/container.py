"""Container: what one container uses, and how its last start went."""

from lab.observe.boards import panels
from lab.observe.boards.emulation import emulated
from lab.observe.boards.layout import Board, BoardRow, variable
from lab.observe.boards.limits import OF_MEMORY, SCRAPE_S
from lab.observe.boards.panels import Unit, none_is_good, query, rising
from lab.observe.boards.promql import increase, joined, most, of, peak, rate, total, within

_NOTE = """\
**A container that grows towards its limit will be killed; one that was killed shows as a
replacement.** CPU is in cores: a serverless tier has memory ÷ 1769 MB of them, and a start that
sits at that line is throttled, not slow. The phases of the last start say what a cold request waits
for; the model's own view of it (imports, loading, warm-up) is beside it. Of **emulated** containers
neither says anything of real hardware.
"""

_VARIANT = 'endpoint=~"$endpoint"'
_SERVER = f'{_VARIANT},server=~"$server"'
_NAME = "{{endpoint}} {{server}}"


def board() -> Board:
    """The board."""
    return Board(
        uid="lab-container",
        about="What the containers use: CPU, memory, threads, restarts, their last start.",
        note=_NOTE,
        variables=[
            variable("endpoint", "label_values(sagemaker_containers, endpoint)", several=True),
            variable(
                "server",
                f"label_values(sagemaker_container_memory_bytes{{{_VARIANT}}}, server)",
                label="Container",
                several=True,
            ),
        ],
        rows=[
            BoardRow(height=5, widths=(5, 3, 4, 5, 4, 3), panels=_figures()),
            BoardRow(height=8, widths=(12, 12), panels=[_cpu(), _memory()]),
            BoardRow(height=8, widths=(8, 8, 8), panels=[_threads(), _restarts(), _scrape()]),
            BoardRow(height=9, widths=(14, 10), panels=[_last_start(), _inside()]),
        ],
    )


def _figures() -> list[object]:
    fullest = of("sagemaker_memory_utilization_ratio", _VARIANT, 'statistic="maximum"')
    killed = " + ".join(
        f"({total(within(of(metric, _VARIANT)))} or vector(0))"
        for metric in ("sagemaker_container_oom_kills_total", "sagemaker_process_oom_kills_total")
    )
    return [
        panels.gauge(
            "Fullest, of its memory limit",
            "The largest share that any container used in the range.",
            most(peak(fullest)),
            limits=rising(OF_MEMORY),
        ),
        panels.stat(
            "Containers",
            "That answer /ping now.",
            total(of("sagemaker_containers", _VARIANT)),
            Unit.COUNT,
        ),
        _none_is_good(
            "Replaced",
            "Had been ready, then died or failed /ping, in the range.",
            total(within(of("sagemaker_container_replacements_total", _VARIANT))),
        ),
        _none_is_good(
            "Killed for memory",
            "By the kernel, in the range: whole containers and processes inside them.",
            killed,
        ),
        _none_is_good(
            "Failed starts",
            "Containers that never got ready, in the range.",
            total(within(of("sagemaker_container_start_failures_total", _VARIANT))),
        ),
        emulated(_VARIANT),
    ]


def _none_is_good(title: str, about: str, expr: str) -> object:
    return panels.stat(title, about, expr, Unit.COUNT, decimals=0, limits=none_is_good())


def _cpu() -> object:
    used = rate(of("sagemaker_container_cpu_seconds_total", _SERVER))
    return panels.lines(
        "CPU", "Cores in use.", query(total(used, "endpoint", "server"), _NAME), unit=Unit.PLAIN
    )


def _memory() -> object:
    used = total(of("sagemaker_container_memory_bytes", _SERVER), "endpoint", "server")
    limit = most(of("sagemaker_container_memory_limit_bytes", _SERVER), "endpoint")
    return panels.dashed(
        panels.lines(
            "Memory and its limit",
            "Dashed: the limit of the tier, where there is one.",
            query(used, _NAME),
            query(limit, "limit · {{endpoint}}"),
            unit=Unit.BYTES,
        ),
        "^limit",
    )


def _threads() -> object:
    return panels.steps(
        "Threads",
        "Of all processes. A number that only rises is a leak.",
        query(total(of("sagemaker_container_threads", _SERVER), "endpoint", "server"), _NAME),
        unit=Unit.COUNT,
    )


def _restarts() -> object:
    def each(metric: str) -> str:
        return total(increase(of(metric, _VARIANT)))

    return panels.bar_series(
        "Starts and restarts",
        "Started: got ready. Replaced: had been ready. Failed: never was. Replaced and failed again"
        " and again is a crash loop.",
        query(each("sagemaker_container_starts_total"), "started"),
        query(each("sagemaker_container_replacements_total"), "replaced"),
        query(each("sagemaker_container_start_failures_total"), "failed"),
        unit=Unit.COUNT,
    )


def _scrape() -> object:
    took = f'scrape_duration_seconds{{job="model",{_SERVER}}}'
    return panels.lines(
        "What being watched costs",
        "How long each container takes to tell its metrics, every 5 s.",
        query(most(took, "endpoint", "server"), _NAME),
        unit=Unit.SECONDS,
        limits=rising(SCRAPE_S),
    )


def _last_start() -> object:
    told = of("sagemaker_container_start_phase_last_seconds", _SERVER)
    newest = most(told, "endpoint", "server", "phase")
    return panels.phases(
        "Phases of the last start, by container",
        "As the emulator saw them, in the order in which they come.",
        "container",
        f"sort_desc({joined(newest, 'container', 'endpoint', 'server')})",
    )


def _inside() -> object:
    told = of("lab_inference_startup_seconds", _SERVER)
    return panels.bar_chart(
        "Its start as the server tells it",
        "What each part took inside the process, up to the mark of that name.",
        "phase",
        "endpoint",
        f"sort_desc({most(told, 'endpoint', 'phase')})",
        unit=Unit.SECONDS,
    )
