"""Endpoints: whether anything is wrong, and whether model, start or limit is to blame."""

from lab.observe.boards import panels
from lab.observe.boards.emulation import emulated
from lab.observe.boards.layout import Board, BoardRow, variable
from lab.observe.boards.limits import COLD_SHARE, ERROR_RATIO, MODEL_P99_S, OF_LIMIT, OF_MEMORY
from lab.observe.boards.panels import Unit, none_is_good, query, rising
from lab.observe.boards.promql import (
    LIVE,
    increase,
    mean,
    most,
    of,
    quantile,
    quantile_within,
    rate,
    share,
    total,
    within,
)

_NOTE = """\
**Read the top line from left to right; the first figure that is not green says where to look.**
Errors are the model's answers other than 2xx. A p99 that is high *in the model* is the model's
doing; *overhead* is everything around it, and nearly all of a high overhead is a **cold start**.
Concurrency at 100 % of the limit throttles the next request. Memory near the tier's limit ends in a
kill: see *Container*. Where containers are **emulated**, no time says anything of real hardware.
"""

_REQUESTS = of("sagemaker_invocations_total")


def board() -> Board:
    """The board."""
    return Board(
        uid="lab-endpoints",
        about="What the endpoints do: requests, errors, latency, cold starts, limits.",
        note=_NOTE,
        variables=[
            variable("endpoint", "label_values(sagemaker_containers, endpoint)", several=True),
            variable(
                "variant",
                'label_values(sagemaker_containers{endpoint=~"$endpoint"}, variant)',
                label="Production variant",
                several=True,
            ),
        ],
        rows=[
            BoardRow(height=4, widths=(4, 4, 5, 4, 4, 3), panels=_figures()),
            BoardRow(height=8, widths=(12, 12), panels=[_requests(), _failures()]),
            BoardRow(height=8, widths=(12, 12), panels=[_split(), _quantiles()]),
            BoardRow(height=8, widths=(12, 12), panels=[_cold_starts(), _concurrency()]),
            BoardRow(height=8, widths=(12, 12), panels=[_containers(), _memory()]),
        ],
    )


def _figures() -> list[object]:
    requests = total(within(_REQUESTS))
    errors = total(within(of("sagemaker_invocation_model_errors_total")))
    cold = total(within(of("sagemaker_cold_starts_total")))
    return [
        panels.stat("Requests", "In the whole range.", requests, Unit.COUNT, decimals=0),
        panels.stat(
            "Error ratio",
            "Answers other than 2xx, of all.",
            share(errors, requests),
            Unit.RATIO,
            limits=rising(ERROR_RATIO),
            empty="no requests",
        ),
        panels.stat(
            "p99 in the model",
            "From request to answer of the container: no cold start is in it.",
            quantile_within(0.99, "sagemaker_model_latency_seconds"),
            Unit.SECONDS,
            limits=rising(MODEL_P99_S),
            empty="no requests",
        ),
        panels.stat(
            "Cold-start share",
            "Requests that waited for a container to start, of all.",
            share(cold, requests),
            Unit.RATIO,
            limits=rising(COLD_SHARE),
            empty="no requests",
        ),
        panels.stat(
            "Alerts firing",
            "Of Prometheus's rules, on all endpoints. Each has a line in docs/runbooks.md.",
            'count(ALERTS{alertstate="firing"}) or vector(0)',
            Unit.COUNT,
            limits=none_is_good(),
        ),
        emulated(LIVE),
    ]


def _requests() -> object:
    return panels.stacked(
        "Requests",
        "Requests that reached a container or waited for one, by endpoint.",
        query(total(rate(_REQUESTS), "endpoint"), "{{endpoint}}"),
        unit=Unit.REQUESTS,
    )


def _failures() -> object:
    def each(metric: str) -> str:
        return total(rate(of(metric)))

    no_answer = (
        f"{each('sagemaker_invocation_model_errors_total')}"
        f" - {each('sagemaker_invocation_4xx_errors_total')}"
        f" - {each('sagemaker_invocation_5xx_errors_total')}"
    )
    return panels.stacked(
        "Errors and throttles",
        "4xx: what was sent is wrong. 5xx: the model failed. No answer: it timed out or died."
        " Throttled: above MaxConcurrency, and no fault of the model.",
        query(each("sagemaker_invocation_4xx_errors_total"), "4xx from the model"),
        query(each("sagemaker_invocation_5xx_errors_total"), "5xx from the model"),
        query(f"clamp_min({no_answer}, 0)", "no answer"),
        query(each("sagemaker_throttled_invocations_total"), "throttled"),
        unit=Unit.REQUESTS,
    )


def _split() -> object:
    return panels.stacked(
        "Where a request's time goes (mean)",
        "Model: inside the container. Overhead: all else, waiting for a cold start included.",
        query(mean("sagemaker_model_latency_seconds"), "model"),
        query(mean("sagemaker_overhead_latency_seconds"), "overhead"),
        unit=Unit.SECONDS,
    )


def _quantiles() -> object:
    return panels.logarithmic(
        panels.lines(
            "Latency quantiles",
            "The axis is logarithmic: a warm answer takes milliseconds, a cold one seconds.",
            query(quantile(0.5, "sagemaker_model_latency_seconds"), "model p50"),
            query(quantile(0.99, "sagemaker_model_latency_seconds"), "model p99"),
            query(quantile(0.5, "sagemaker_overhead_latency_seconds"), "overhead p50"),
            query(quantile(0.99, "sagemaker_overhead_latency_seconds"), "overhead p99"),
            unit=Unit.SECONDS,
        )
    )


def _cold_starts() -> object:
    return panels.bar_series(
        "Cold starts",
        "Requests that waited for a container, by endpoint. A burst on an idle endpoint has as many"
        " as it has requests at once.",
        query(total(increase(of("sagemaker_cold_starts_total")), "endpoint"), "{{endpoint}}"),
        unit=Unit.COUNT,
    )


def _concurrency() -> object:
    used = of("sagemaker_serverless_concurrent_executions_utilization_ratio")
    recent = f"max_over_time({used}[$__rate_interval])"
    return panels.lines(
        "Concurrency against the limit",
        "Requests in flight, of MaxConcurrency, of each serverless endpoint. At 100 % the next"
        " request is throttled.",
        query(most(recent, "endpoint"), "{{endpoint}}"),
        unit=Unit.RATIO,
        limits=rising(OF_LIMIT),
        reaching=1,
    )


def _containers() -> object:
    return panels.steps(
        "Containers and requests in flight",
        "A serverless endpoint grows by a container for each request that finds none idle, and"
        " goes back to none.",
        query(total(of("sagemaker_containers"), "endpoint"), "containers · {{endpoint}}"),
        query(total(of("sagemaker_concurrent_executions"), "endpoint"), "in flight · {{endpoint}}"),
        unit=Unit.COUNT,
    )


def _memory() -> object:
    fullest = of("sagemaker_memory_utilization_ratio", LIVE, 'statistic="maximum"')
    return panels.lines(
        "Memory against the tier",
        "The fullest container of each endpoint, of its memory limit.",
        query(most(fullest, "endpoint"), "{{endpoint}}"),
        unit=Unit.RATIO,
        limits=rising(OF_MEMORY),
        reaching=1,
    )
