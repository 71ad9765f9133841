"""Container: what one container uses, and how its last start went."""

from lab.observe.boards.emulation import emulated
from lab.observe.boards.layout import Board, BoardRow, variable
from lab.observe.boards.limits import OF_MEMORY, SCRAPE_S
from lab.observe.boards.panels import (
    BYTES,
    COUNT,
    PLAIN,
    RATIO,
    SECONDS,
    bars,
    bounded,
    dashed,
    dial,
    figure,
    lines,
    none_is_good,
    note,
    now,
    phases,
    query,
    rising,
    steps,
    sticks,
)
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
        variables=[
            variable(
                "endpoint",
                "label_values(sagemaker_containers, endpoint)",
                label="Endpoint",
                several=True,
            ),
            variable(
                "server",
                f"label_values(sagemaker_container_memory_bytes{{{_VARIANT}}}, server)",
                label="Container",
                several=True,
            ),
        ],
        rows=[
            BoardRow(height=4, panels=[(note(_NOTE), 24)]),
            BoardRow(height=5, panels=_figures()),
            BoardRow(height=8, panels=[(_cpu(), 12), (_memory(), 12)]),
            BoardRow(height=8, panels=[(_threads(), 8), (_restarts(), 8), (_scrape(), 8)]),
            BoardRow(height=9, panels=[(_last_start(), 14), (_inside(), 10)]),
        ],
    )


def _figures() -> list[tuple[object, int]]:
    fullest = of("sagemaker_memory_utilization_ratio", _VARIANT, 'statistic="maximum"')
    killed = " + ".join(
        f"({total(within(of(metric, _VARIANT)))} or vector(0))"
        for metric in (
            "sagemaker_container_oom_kills_total",
            "sagemaker_process_oom_kills_total",
        )
    )
    return [
        (
            dial(
                "Fullest, of its memory limit",
                "The largest share that any container used in the range.",
                now(most(peak(fullest))),
            )
            .unit(RATIO)
            .thresholds(rising(OF_MEMORY)),
            5,
        ),
        (
            figure(
                "Containers",
                "That answer /ping now.",
                now(total(of("sagemaker_containers", _VARIANT))),
            ).unit(COUNT),
            3,
        ),
        (
            figure(
                "Replaced",
                "Had been ready, then died or failed /ping, in the range.",
                now(total(within(of("sagemaker_container_replacements_total", _VARIANT)))),
            )
            .unit(COUNT)
            .decimals(0)
            .thresholds(none_is_good()),
            4,
        ),
        (
            figure(
                "Killed for memory",
                "By the kernel, in the range: whole containers and processes inside them.",
                now(killed),
            )
            .unit(COUNT)
            .decimals(0)
            .thresholds(none_is_good()),
            5,
        ),
        (
            figure(
                "Failed starts",
                "Containers that never got ready, in the range.",
                now(total(within(of("sagemaker_container_start_failures_total", _VARIANT)))),
            )
            .unit(COUNT)
            .decimals(0)
            .thresholds(none_is_good()),
            4,
        ),
        (emulated(_VARIANT), 3),
    ]


def _cpu() -> object:
    used = rate(of("sagemaker_container_cpu_seconds_total", _SERVER))
    return lines(
        "CPU",
        "Cores in use.",
        query(total(used, "endpoint", "server"), _NAME),
    ).unit(PLAIN)


def _memory() -> object:
    used = total(of("sagemaker_container_memory_bytes", _SERVER), "endpoint", "server")
    limit = most(of("sagemaker_container_memory_limit_bytes", _SERVER), "endpoint")
    return dashed(
        lines(
            "Memory and its limit",
            "Dashed: the limit of the tier, where there is one.",
            query(used, _NAME),
            query(limit, "limit · {{endpoint}}"),
        ),
        "^limit",
    ).unit(BYTES)


def _threads() -> object:
    return steps(
        "Threads",
        "Of all processes. A number that only rises is a leak.",
        query(total(of("sagemaker_container_threads", _SERVER), "endpoint", "server"), _NAME),
    ).unit(COUNT)


def _restarts() -> object:
    def each(metric: str) -> str:
        return total(increase(of(metric, _VARIANT)))

    return sticks(
        "Starts and restarts",
        "Started: got ready. Replaced: had been ready. Failed: never was. Replaced and failed again"
        " and again is a crash loop.",
        query(each("sagemaker_container_starts_total"), "started"),
        query(each("sagemaker_container_replacements_total"), "replaced"),
        query(each("sagemaker_container_start_failures_total"), "failed"),
    ).unit(COUNT)


def _scrape() -> object:
    took = f'scrape_duration_seconds{{job="model",{_SERVER}}}'
    return bounded(
        lines(
            "What being watched costs",
            "How long each container takes to tell its metrics, every 5 s.",
            query(most(took, "endpoint", "server"), _NAME),
        ),
        SCRAPE_S,
    ).unit(SECONDS)


def _last_start() -> object:
    told = of("sagemaker_container_start_phase_last_seconds", _SERVER)
    newest = most(told, "endpoint", "server", "phase")
    return phases(
        "Phases of the last start, by container",
        "As the emulator saw them, in the order in which they come.",
        "container",
        f"sort_desc({joined(newest, 'container', 'endpoint', 'server')})",
    )


def _inside() -> object:
    told = of("lab_inference_startup_seconds", _SERVER)
    return bars(
        "Its start as the server tells it",
        "What each part took inside the process, up to the mark of that name.",
        "phase",
        "endpoint",
        f"sort_desc({most(told, 'endpoint', 'phase')})",
    ).unit(SECONDS)
