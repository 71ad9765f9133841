"""What an endpoint will cost: idle, by the request, at its busiest, and when it is forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lab.cost.charges import (
    BYTES_PER_GB,
    HOUR_S,
    HOURS_PER_MONTH,
    data_usd,
    instances_usd,
    serverless_usd,
)
from lab.cost.prices import PRICED_REGION, Price, PriceTable, price


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
    kept_usd_per_month: float
    """Image, archive and alarms."""
    work: Work
    prices: Sequence[Price]
    """The rows it was made from."""
    notes: Sequence[str]

    def usd_per(self, requests: int) -> float | None:
        """A number of warm requests."""
        return None if self.usd_per_request is None else self.usd_per_request * requests

    @property
    def forgotten_usd_per_month(self) -> float | None:
        """What a month costs when nobody uses it and nobody removes it."""
        if self.idle_usd_per_hour is None:
            return None
        return self.idle_usd_per_hour * HOURS_PER_MONTH + self.kept_usd_per_month


def serverless_estimate(
    *, memory_mb: int, max_concurrency: int, work: Work, standing: Standing, region: str
) -> Estimate:
    """A serverless endpoint without provisioned concurrency: nothing while nobody asks."""
    request = serverless_usd(seconds=work.seconds, memory_mb=memory_mb)
    most = max_concurrency * serverless_usd(seconds=HOUR_S, memory_mb=memory_mb)
    return Estimate(
        idle_usd_per_hour=0.0,
        most_usd_per_hour=most,
        usd_per_request=request + _data(work),
        kept_usd_per_month=_kept(standing),
        work=work,
        prices=_rows("serverless"),
        notes=(
            "The dearest hour is all copies busy all the time, and counts no data.",
            *_region(region),
        ),
    )


def real_time_estimate(
    *,
    instance_type: str,
    instances: int,
    max_instances: int,
    work: Work,
    standing: Standing,
    region: str,
) -> Estimate:
    """A real-time endpoint: its instances cost the same busy or idle."""
    hour = instances_usd(instance_type=instance_type, instances=1, hours=1)
    share = None if hour is None else hour * work.seconds / HOUR_S + _data(work)
    return Estimate(
        idle_usd_per_hour=None if hour is None else hour * instances,
        most_usd_per_hour=None if hour is None else hour * max(instances, max_instances),
        usd_per_request=share,
        kept_usd_per_month=_kept(standing),
        work=work,
        prices=_rows(instance_type),
        notes=(
            "Requests are priced as if they came one after another without a gap.",
            "An update runs the new instances beside the old ones until it is done.",
            "The instances' own disks are not counted.",
            *_region(region),
        ),
    )


def _data(work: Work) -> float:
    return data_usd(work.request_bytes + work.response_bytes)


def _kept(standing: Standing) -> float:
    """A month of the image in ECR, of the archive in S3 and of alarms of standard resolution."""
    image = standing.image_bytes / BYTES_PER_GB * price("ecr-storage").usd
    archive = standing.archive_bytes / BYTES_PER_GB * price("s3-storage").usd
    return image + archive + standing.alarms * price("alarm").usd


def _rows(compute: str) -> Sequence[Price]:
    found = PriceTable.packaged().rows.get(compute)
    others = (price(item) for item in ("data", "ecr-storage", "s3-storage", "alarm"))
    return tuple(row for row in (found, *others) if row is not None)


def _region(region: str) -> Sequence[str]:
    if region == PRICED_REGION:
        return ()
    return (f"Prices are {PRICED_REGION}'s; those of {region} may be higher.",)
