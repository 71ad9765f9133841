"""A measurement in figures: what ``summary.json`` holds and what is printed."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lab.aws.measure.record import (
    AwsRun,
    MeasuredRequest,
    MetricReading,
    MetricsFile,
    Protocol,
)
from lab.aws.measure.spending import cost_usd
from lab.stats.quantiles import interval, median

COUNTED_S: Final = ("total_s", "prediction_s", "model_latency_s", "overhead_s", "setup_s")


def summarise(
    run: AwsRun, samples: Sequence[MeasuredRequest], metrics: MetricsFile | None
) -> Mapping[str, Any]:
    """``summary.json``. Seconds; a row for each protocol that has a counted request.

    The mean and the population's standard deviation are there because the study has those.
    """
    rows = [_row(protocol, samples, metrics) for protocol in Protocol]
    return {
        "schema": 1,
        "run": run.id,
        "subject": run.subject.model_dump(mode="json"),
        "rows": [row for row in rows if row is not None],
        "usd": cost_usd(
            run.rates,
            samples,
            request_bytes=run.payload.bytes,
            metrics=metrics.asked if metrics else 0,
        ),
    }


def counted(samples: Sequence[MeasuredRequest], protocol: Protocol) -> Sequence[MeasuredRequest]:
    """The requests that count, in order; one that was made again after a failure counts once."""
    found = {
        one.number: one
        for one in samples
        if one.protocol is protocol and one.number and one.failure is None
    }
    return [found[number] for number in sorted(found)]


def reading_of(sample: MeasuredRequest, metrics: MetricsFile | None) -> MetricReading | None:
    """What the endpoint itself told of this request alone."""
    if sample.reading is not None or metrics is None or sample.protocol is not Protocol.COLD:
        return sample.reading
    return metrics.cold.get(sample.number)


def was_cold(sample: MeasuredRequest, metrics: MetricsFile | None) -> bool | None:
    """Whether the request waited for a container; None when nothing tells."""
    reading = reading_of(sample, metrics)
    return None if reading is None else reading.setups > 0


def series(
    samples: Sequence[MeasuredRequest], metrics: MetricsFile | None, protocol: Protocol
) -> Mapping[str, Sequence[float]]:
    """Each figure of the requests of a protocol, one value a request where it was told.

    A request that found a container running is no cold one, nor is one that waited for it warm.
    """
    wrong = protocol is not Protocol.COLD
    inside = [one for one in counted(samples, protocol) if was_cold(one, metrics) is not wrong]
    readings = [reading for one in inside if (reading := reading_of(one, metrics))]
    columns: Mapping[str, Sequence[float | None]] = {
        "total_s": [one.total_s for one in inside],
        "prediction_s": [one.prediction_s for one in inside],
        "model_latency_s": [one.model_latency_s for one in readings],
        "overhead_s": [one.overhead_s for one in readings],
        "setup_s": [one.setup_s for one in readings],
    }
    return {
        name: [value for value in values if value is not None] for name, values in columns.items()
    }


def _row(
    protocol: Protocol, samples: Sequence[MeasuredRequest], metrics: MetricsFile | None
) -> Mapping[str, Any] | None:
    mine = [one for one in samples if one.protocol is protocol]
    if not mine:
        return None
    done = counted(samples, protocol)
    cold = [was_cold(one, metrics) for one in done]
    figures = {
        name: _figures(values)
        for name, values in series(samples, metrics, protocol).items()
        if values
    }
    together = metrics.warm if metrics and protocol is Protocol.WARM else None
    return {
        "protocol": str(protocol),
        "n": len(done),
        "failures": sum(one.failure is not None for one in mine),
        "cold": sum(one is True for one in cold),
        "not_cold": sum(one is False for one in cold),
        "untold": sum(one is None for one in cold),
        **figures,
        "cloudwatch": None if together is None else together.model_dump(mode="json"),
    }


def _figures(values: Sequence[float]) -> Mapping[str, Any]:
    held = interval(values)
    return {
        "n": len(values),
        "p50": median(values),
        "p50_ci95": [held.low, held.high] if held and held.confident else None,
        "mean": statistics.fmean(values),
        "sd": statistics.pstdev(values),
        "min": min(values),
        "max": max(values),
    }
