"""What each size costs under the traffic: the replay of a day, and ``lab.cost``'s prices."""

import math
from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Final

import numpy as np

from lab.cost.charges import BYTES_PER_GB
from lab.cost.estimate import Work
from lab.cost.prices import PriceTable
from lab.cost.traffic import (
    ColdShare,
    Spending,
    Traffic,
    cold_share,
    instance_spending,
    instances_needed,
    serverless_spending,
)
from lab.errors import UsageError
from lab.load.arrivals.schedule import Schedule
from lab.tune.record import TrafficRecord
from lab.tune.result import MoneyFigures, SizeOutcome, SizeResult, StorageFigures

DAY_S: Final = 86_400.0
MOST_REPLAYED: Final = 200_000
"""Requests of a day of which the cold ones are counted; of more, a part of the day is replayed."""
_MILLION: Final = 1e6
_AT_ONCE: Final = 10_000


def daily(requests: float) -> TrafficRecord:
    """So many a day, whenever they like. Raises ``UsageError`` for none."""
    if not 0 < requests <= 1e9:
        raise UsageError(
            f"{requests:g} requests a day are no traffic.", remedy="Give a number above 0."
        )
    return TrafficRecord(
        said=f"{requests:,.0f} requests a day",
        requests_per_day=requests,
        peak_per_s=requests / DAY_S,
    )


def scheduled(schedule: Schedule) -> TrafficRecord:
    """As a schedule has it, again and again."""
    return TrafficRecord(
        said=schedule.said,
        requests_per_day=schedule.rate_per_s * DAY_S,
        peak_per_s=float(schedule.peak_per_s),
        horizon_s=schedule.horizon_s,
        seed=schedule.seed or 0,
    )


def day(traffic: TrafficRecord, schedule: Schedule | None) -> Iterator[float]:
    """The instants of a day, or of its first ``MOST_REPLAYED`` requests."""
    every = _poisson(traffic) if schedule is None else _repeated(schedule)
    return islice((at for at in _until(every, DAY_S)), MOST_REPLAYED)


def traffic_notes(traffic: TrafficRecord | None) -> Sequence[str]:
    """What the replay leaves open, in sentences."""
    if traffic is None:
        return [
            "No traffic was given (--requests-per-day or --schedule): prices are of warm requests."
        ]
    notes = []
    if traffic.requests_per_day > MOST_REPLAYED:
        part = MOST_REPLAYED / traffic.requests_per_day * DAY_S / 60
        notes.append(
            f"Cold starts were counted on the first {part:.3g} minutes of the day: of "
            f"{traffic.requests_per_day:,.0f} requests a day no more than {MOST_REPLAYED:,} are "
            "replayed."
        )
    if traffic.horizon_s is not None and traffic.horizon_s < DAY_S:
        notes.append(f"A day is the schedule, {traffic.horizon_s:g} s, again and again.")
    return notes


def priced(
    one: SizeResult,
    *,
    traffic: TrafficRecord | None,
    schedule: Schedule | None,
    idle_life_s: float,
    request_bytes: int,
    answer_bytes: int,
    table: PriceTable,
) -> SizeResult:
    """The size with its prices; unchanged where it does not serve."""
    if one.outcome is not SizeOutcome.SERVES or one.warm is None:
        return one
    work = Work(
        seconds=one.warm.mean_s,
        request_bytes=request_bytes,
        response_bytes=answer_bytes,
        source="measured",
    )
    if one.size.serverless:
        money = _serverless(one, work, traffic, schedule, idle_life_s, table)
    else:
        money = _instances(one, work, traffic, table)
    return one.model_copy(update={"money": money})


def storage(*, image_bytes: int, archive_bytes: int, table: PriceTable) -> StorageFigures:
    """A month of the image in ECR and of the archive in S3."""
    kept = table.cost(
        {
            "ecr-storage": image_bytes / BYTES_PER_GB,
            "s3-storage": archive_bytes / BYTES_PER_GB,
        }
    )
    return StorageFigures(
        usd_per_month=kept.usd, image_bytes=image_bytes, archive_bytes=archive_bytes
    )


def _serverless(
    one: SizeResult,
    work: Work,
    traffic: TrafficRecord | None,
    schedule: Schedule | None,
    idle_life_s: float,
    table: PriceTable,
) -> MoneyFigures:
    """A start is billed, which AWS does not say: of two prices the dearer."""
    share: ColdShare | None = None
    cold_start_s = first_s = 0.0
    if one.cold is not None:
        first_s = one.cold.first_prediction_s
        cold_start_s = max(one.cold.total_s - first_s, 0.0)
    if traffic is not None:
        share = cold_share(
            day(traffic, schedule),
            service_s=work.seconds,
            cold_s=max(cold_start_s + first_s - work.seconds, 0.0),
            idle_s=idle_life_s,
        )
    found = serverless_spending(
        memory_mb=one.size.memory_mb,
        work=work,
        traffic=Traffic(
            requests_per_day=_MILLION if traffic is None else traffic.requests_per_day,
            cold_share=0.0 if share is None else share.share,
            cold_request_s=first_s if share is not None else None,
            cold_start_s=cold_start_s,
        ),
        table=table,
    )
    return MoneyFigures(
        **_columns(found.start_billed, per_day=traffic is not None),
        unbilled_usd_per_day=None if traffic is None else found.start_unbilled.usd_per_day,
        cold_share=None if share is None else share.share,
        peak_containers=None if share is None else share.peak_containers,
        missing=found.start_billed.missing,
    )


def _instances(
    one: SizeResult, work: Work, traffic: TrafficRecord | None, table: PriceTable
) -> MoneyFigures:
    """As many as the peak takes, round the clock; without traffic one that is at its limit."""
    per_s = one.throughput_per_s
    if not per_s:
        return MoneyFigures(
            usd_per_million=None,
            usd_per_day=None,
            usd_per_month=None,
            why_not=f"how much it takes is not known: {one.throughput_how}",
        )
    instances = 1
    if traffic is not None:
        instances = instances_needed(peak_per_s=traffic.peak_per_s, capacity_per_s=per_s)
    found = instance_spending(
        instance_type=one.name,
        instances=instances,
        work=work,
        traffic=Traffic(
            requests_per_day=per_s * DAY_S if traffic is None else traffic.requests_per_day
        ),
        table=table,
    )
    return MoneyFigures(
        **_columns(found, per_day=traffic is not None),
        instances=instances,
        missing=found.missing,
    )


def _columns(spending: Spending, *, per_day: bool) -> dict[str, float | None]:
    each = spending.usd_per_request
    return {
        "usd_per_million": None if each is None else each * _MILLION,
        "usd_per_day": spending.usd_per_day if per_day else None,
        "usd_per_month": spending.usd_per_month if per_day else None,
    }


def _poisson(traffic: TrafficRecord) -> Iterator[float]:
    """Gaps without memory, without an end."""
    rng = np.random.default_rng(traffic.seed)
    at = 0.0
    while True:
        for gap in rng.exponential(DAY_S / traffic.requests_per_day, _AT_ONCE):
            at += float(gap)
            yield at


def _repeated(schedule: Schedule) -> Iterator[float]:
    instants: list[float] = schedule.instants.tolist()
    if not instants:
        return
    for turn in count():
        yield from (turn * schedule.horizon_s + at for at in instants)


def _until(instants: Iterator[float], end: float) -> Iterator[float]:
    for at in instants:
        if at >= end or math.isnan(at):
            return
        yield at
