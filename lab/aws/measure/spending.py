"""What a measurement costs while it goes on, from its own samples: never less than AWS charges."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from lab.aws.measure.record import MeasuredRequest, Rates
from lab.aws.model import PushTarget, ServingKind
from lab.cost.charges import data_usd, instances_usd, serverless_usd
from lab.cost.prices import price
from lab.errors import UsageError

SLOWEST_S: Final = 60.0
"""What a request is counted as before one was seen: SageMaker lets none take longer."""


def cost_usd(
    rates: Rates, samples: Sequence[MeasuredRequest], *, request_bytes: int, metrics: int = 0
) -> float:
    """What requests have cost together, with the pauses before them."""
    return rates.usd(
        answering_s=sum(busy_s(one) for one in samples),
        present_s=sum(busy_s(one) + one.idle_s for one in samples),
        data_bytes=len(samples) * request_bytes + sum(one.response_bytes for one in samples),
        metrics=metrics,
    )


def busy_s(sample: MeasuredRequest) -> float:
    """How long the endpoint may have worked on a request: on one that failed too."""
    if sample.total_s is not None:
        return sample.total_s
    begin, end = (datetime.fromisoformat(one) for one in (sample.started_at, sample.ended_at))
    return max(0.0, (end - begin).total_seconds())


def rates_of(
    target: PushTarget,
    kind: ServingKind,
    *,
    memory_mb: int | None = None,
    instance_type: str | None = None,
    instances: int = 1,
    hour_usd: float | None = None,
) -> Rates:
    """The prices of an endpoint. ``hour_usd``, for all its instances, is for types without a price.

    Raises ``UsageError`` when it is needed and not given.
    """
    if target is PushTarget.LOCAL:
        return Rates(second_usd=0.0, hour_usd=0.0, byte_usd=0.0, metric_usd=0.0)
    second, hour = 0.0, 0.0
    if kind is ServingKind.SERVERLESS:
        second = serverless_usd(seconds=1.0, memory_mb=memory_mb or 0)
    else:
        known = instances_usd(instance_type=instance_type or "", instances=instances, hours=1.0)
        found = hour_usd if hour_usd is not None else known
        if found is None:
            raise UsageError(
                f"The price of {instance_type} is not known, so the cost cannot be bounded.",
                remedy="Say what an hour of all its instances costs, with --hour-usd.",
            )
        hour = found
    return Rates(
        second_usd=second,
        hour_usd=hour,
        byte_usd=data_usd(1.0),
        metric_usd=price("metric-data").usd,
    )
