"""Load: how long requests took at which rate, and what the generator says of itself."""

from lab.observe.boards import panels
from lab.observe.boards.layout import Board, BoardRow, variable
from lab.observe.boards.panels import BLUE, ORANGE, RED, Unit, none_is_good, rising
from lab.observe.boards.promql import NATIVE, last, least, most, of, percentiles, share, total

_NOTE = """\
**Latency counts from the instant at which a request was due**, whenever it was sent: what a stalled
target does to those that wait is in it. A *closed* loop has no such instant: its latencies leave
out what users would wait, and stand in the table only, labelled. Of a load whose generator missed
its schedule (*invalid*) nothing else is shown. Figures are of the newest load of each target and
schedule in the range, cold starts among them; a target's loads are comparable only under the same
schedule. The intervals, which such figures need, are in the report (`lab load report`). Loads of
targets that ran under QEMU, *emulated*, are in none of the figures.
"""

_OPEN = f'target=~"$target",schedule=~"$schedule",loop="open",{NATIVE}'
_ALL = 'requests="all"'
_LATE = (0.0005, 0.001)
"""Seconds; from the second on a load is invalid."""
_LABELS = ("target", "size", "schedule")


def board() -> Board:
    """The board."""
    values = "label_values(lab_load_valid"
    return Board(
        uid="lab-load",
        about="What loads found: latency, throughput, cold starts and throttles by target.",
        note=_NOTE,
        since="now-24h",
        variables=[
            variable("target", f"{values}{{{NATIVE}}}, target)", several=True),
            variable(
                "schedule", f'{values}{{target=~"$target",{NATIVE}}}, schedule)', several=True
            ),
        ],
        rows=[
            BoardRow(height=4, widths=(5, 5, 5, 5, 4), panels=_figures()),
            BoardRow(height=9, widths=(12, 12), panels=[_latency(), _cold_and_warm()]),
            BoardRow(height=6, widths=(24,), panels=[_table()]),
            BoardRow(height=8, widths=(14, 10), panels=[_trend(), _closed()]),
        ],
    )


def _newest(metric: str, *more: str, by: tuple[str, ...] = ()) -> str:
    return most(last(of(f"lab_load_{metric}", _OPEN, *more)), *by)


def _requests(*more: str, by: tuple[str, ...] = ()) -> str:
    return total(last(of("lab_load_requests", _OPEN, *more)), *by)


def _figures() -> list[object]:
    return [
        panels.stat(
            "Slowest p95",
            "Of the chosen loads.",
            _newest("latency_seconds", _ALL, 'quantile="0.95"'),
            Unit.SECONDS,
        ),
        panels.stat(
            "Answered each second",
            "The most of the chosen loads.",
            _newest("achieved_per_second"),
            Unit.REQUESTS,
        ),
        panels.stat(
            "Throttled or failed",
            "Of all requests of the chosen loads.",
            share(_requests('outcome=~"throttled|failed"'), _requests()),
            Unit.RATIO,
            limits=rising((0.001, 0.01)),
        ),
        panels.stat(
            "Sent late, p99",
            "Of the generator: above 1 ms a load says nothing of its target.",
            _newest("late_seconds"),
            Unit.SECONDS,
            limits=rising(_LATE),
        ),
        panels.stat(
            "Invalid loads",
            "Whose generator could not keep the schedule.",
            f"count({least(last(of('lab_load_valid', _OPEN)), *_LABELS)} == 0) or vector(0)",
            Unit.COUNT,
            decimals=0,
            limits=none_is_good(),
        ),
    ]


def _latency() -> object:
    found = _newest("latency_seconds", _ALL, 'quantile=~"0.5|0.95|0.99"', by=("target", "quantile"))
    return panels.bar_chart(
        "Latency, by target",
        "The slowest of the chosen schedules. A quantile is there only when the load has enough"
        " requests for it.",
        "target",
        "quantile",
        f"sort_desc({percentiles(found)})",
        unit=Unit.SECONDS,
        colours={"p50": BLUE, "p95": ORANGE, "p99": RED},
    )


def _cold_and_warm() -> object:
    found = _newest(
        "latency_seconds", 'requests=~"warm|cold"', 'quantile="0.5"', by=("target", "requests")
    )
    return panels.bar_chart(
        "Cold and warm, median",
        "Cold requests waited for a container to be started; nothing is trimmed.",
        "target",
        "requests",
        f"sort_desc({found})",
        unit=Unit.SECONDS,
        colours={"warm": BLUE, "cold": ORANGE},
    )


def _table() -> object:
    def latency(q: str) -> str:
        return _newest("latency_seconds", _ALL, f'quantile="{q}"', by=_LABELS)

    return panels.table(
        "Newest load of each target and schedule",
        "Open loops. A p99 that is empty would take more requests.",
        {
            "p50": (latency("0.5"), Unit.SECONDS),
            "p95": (latency("0.95"), Unit.SECONDS),
            "p99": (latency("0.99"), Unit.SECONDS),
            "Due": (_newest("offered_per_second", by=_LABELS), Unit.REQUESTS),
            "Answered": (_newest("achieved_per_second", by=_LABELS), Unit.REQUESTS),
            "Cold": (_newest("cold_ratio", by=_LABELS), Unit.RATIO),
            "Throttled": (_requests('outcome="throttled"', by=_LABELS), Unit.COUNT),
            "Failed": (_requests('outcome="failed"', by=_LABELS), Unit.COUNT),
        },
        labels=_LABELS,
        sorted_by="p95",
    )


def _trend() -> object:
    series = of("lab_load_latency_seconds", _OPEN, _ALL, 'quantile="0.95"')
    return panels.steps(
        "Trend of the p95",
        "A step is a new load.",
        panels.query(most(series, *_LABELS), "{{target}} {{size}}, {{schedule}}"),
        unit=Unit.SECONDS,
    )


def _closed() -> object:
    where = f'target=~"$target",loop="closed",{NATIVE}'

    def newest(metric: str, *more: str) -> str:
        return most(last(of(f"lab_load_{metric}", where, *more)), *_LABELS)

    return panels.table(
        "Closed loops: the most that is answered",
        "Clients that wait for answers; the latency is no user's.",
        {
            "Answered": (newest("achieved_per_second"), Unit.REQUESTS),
            "p50, closed": (newest("latency_seconds", _ALL, 'quantile="0.5"'), Unit.SECONDS),
        },
        labels=_LABELS,
        empty="no closed loop",
    )
