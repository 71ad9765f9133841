"""What an endpoint will cost: idle, by the request, at its busiest, and when it is forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lab.cost.charges import (
    HOUR_S,
    HOURS_PER_MONTH,
    data_use,
    instance_use,
    serverless_use,
    storage_use,
)
from lab.cost.prices import Price, PriceTable, Usage


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a request is. Seconds are those the container is busy with it, warm."""

    seconds: float
    request_bytes: int
    response_bytes: int
    source: str
    """Where the figures are from, as a clause: ``the median of run X``."""


ASSUMED: Final = Work(
    seconds=0.5,  # Warm, between the study's two models at 2048 MB.
    request_bytes=100_000,
    response_bytes=500,
    source="assumed: nothing was measured here; `lab coldstart run` measures it",
)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What is there whether or not anyone asks."""

    image_bytes: int
    """Compressed, as ECR counts them."""
    archive_bytes: int
    alarms: int = 0


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Dollars. None wherever the table has no price: unknown, not nothing."""

    idle_usd_per_hour: float | None
    """Compute that is paid while nobody asks."""
    most_usd_per_hour: float | None
    """With every instance that scaling may add, or every serverless copy busy."""
    usd_per_request: float | None
    """Real time: a request's share of an instance that does nothing else."""
    kept_usd_per_month: float | None
    """Image, archive and alarms of standard resolution."""
    work: Work
    prices: Sequence[Price]
    """The rows it was made from."""
    notes: Sequence[str]
    missing: Sequence[str] = ()
    """The items without a price."""

    def usd_per(self, requests: int) -> float | None:
        """A number of warm requests."""
        return None if self.usd_per_request is None else self.usd_per_request * requests

    @property
    def forgotten_usd_per_month(self) -> float | None:
        """What a month costs when nobody uses it and nobody removes it."""
        if self.idle_usd_per_hour is None or self.kept_usd_per_month is None:
            return None
        return self.idle_usd_per_hour * HOURS_PER_MONTH + self.kept_usd_per_month


def serverless_estimate(
    *,
    memory_mb: int,
    max_concurrency: int,
    work: Work,
    standing: Standing,
    region: str,
    table: PriceTable | None = None,
) -> Estimate:
    """A serverless endpoint without provisioned concurrency: nothing while nobody asks."""
    prices = table or PriceTable.packaged()
    request = serverless_use(seconds=work.seconds, memory_mb=memory_mb)
    hour = serverless_use(seconds=HOUR_S * max_concurrency, memory_mb=memory_mb)
    return _estimate(
        compute="serverless",
        idle={},
        most=hour,
        request=request,
        work=work,
        standing=standing,
        notes=(
            "The dearest hour is all copies busy all the time, and counts no data.",
            *_region(region, prices),
        ),
        table=prices,
    )


def real_time_estimate(
    *,
    instance_type: str,
    instances: int,
    max_instances: int,
    work: Work,
    standing: Standing,
    region: str,
    table: PriceTable | None = None,
) -> Estimate:
    """A real-time endpoint: its instances cost the same busy or idle."""
    prices = table or PriceTable.packaged()

    def hours(count: float) -> Usage:
        return instance_use(instance_type=instance_type, hours=count)

    return _estimate(
        compute=instance_type,
        idle=hours(instances),
        most=hours(max(instances, max_instances)),
        request=hours(work.seconds / HOUR_S),
        work=work,
        standing=standing,
        notes=(
            "Requests are priced as if they came one after another without a gap.",
            "An update runs the new instances beside the old ones until it is done.",
            "The instances' own disks are not counted.",
            *_region(region, prices),
        ),
        table=prices,
    )


def _estimate(
    *,
    compute: str,
    idle: Usage,
    most: Usage,
    request: Usage,
    work: Work,
    standing: Standing,
    notes: Sequence[str],
    table: PriceTable,
) -> Estimate:
    data = data_use(work.request_bytes + work.response_bytes)
    storage = storage_use(image_bytes=standing.image_bytes, archive_bytes=standing.archive_bytes)
    costs = [
        table.cost(usage)
        for usage in (idle, most, {**request, **data}, {**storage, "alarm": standing.alarms})
    ]
    items = (compute, "data", "ecr-storage", "s3-storage", "alarm")
    idle_cost, most_cost, request_cost, kept_cost = costs
    return Estimate(
        idle_usd_per_hour=idle_cost.usd,
        most_usd_per_hour=most_cost.usd,
        usd_per_request=request_cost.usd,
        kept_usd_per_month=kept_cost.usd,
        work=work,
        prices=tuple(table.rows[item] for item in items if item in table.rows),
        notes=notes,
        missing=tuple(sorted({item for cost in costs for item in cost.missing})),
    )


def _region(region: str, table: PriceTable) -> Sequence[str]:
    if region == table.region:
        return ()
    return (f"Prices are {table.region}'s; those of {region} may be higher.",)
