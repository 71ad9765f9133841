"""What traffic costs on each way of serving it, and where one gets cheaper than the other.

Numbers in, numbers out. A month is a year's twelfth (730 hours), as in AWS's calculator.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from lab.cost.charges import (
    HOUR_S,
    HOURS_PER_MONTH,
    data_use,
    instance_use,
    provisioned_use,
    serverless_use,
)
from lab.cost.estimate import Work
from lab.cost.prices import Cost, PriceTable, Usage

HOURS_PER_DAY: Final = 24
DAYS_PER_MONTH: Final = HOURS_PER_MONTH / HOURS_PER_DAY


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Requests, and how many of them wait for a container to start."""

    requests_per_day: float
    cold_share: float = 0.0
    """Of the requests, 0 to 1."""
    cold_request_s: float | None = None
    """How long a fresh container works on its first request; None: as long as on a later one."""
    cold_start_s: float = 0.0
    """How long a container takes until it can be given that request."""

    def seconds(self, work: Work, *, start_billed: bool) -> float:
        """The mean seconds of a request that are paid for."""
        first = work.seconds if self.cold_request_s is None else self.cold_request_s
        cold = first + (self.cold_start_s if start_billed else 0.0)
        return work.seconds + self.cold_share * (cold - work.seconds)


@dataclass(frozen=True, kw_only=True)
class Spending:
    """Dollars. None where a price is missing, and of a request where there are none."""

    usd_per_request: float | None
    """The mean of cold and warm ones, with what is paid while nobody asks."""
    usd_per_day: float | None
    usd_per_month: float | None
    missing: tuple[str, ...] = ()
    """The items that the table has no price for."""


@dataclass(frozen=True, kw_only=True)
class ServerlessSpending:
    """Both columns: AWS does not document whether a container's start is billed."""

    start_unbilled: Spending
    start_billed: Spending


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """Where two ways of serving cost the same; None where a price is missing or they never do."""

    at: float | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ColdShare:
    """What a pool did with a schedule."""

    requests: int
    cold: int
    throttled: int
    peak_containers: int
    """The most that were there at once, busy or idle."""

    @property
    def share(self) -> float:
        """Cold ones among the requests that were answered."""
        answered = self.requests - self.throttled
        return self.cold / answered if answered else 0.0


def serverless_spending(
    *, memory_mb: int, work: Work, traffic: Traffic, table: PriceTable | None = None
) -> ServerlessSpending:
    """Serverless on demand: seconds of work and data; nothing while nobody asks."""

    def column(*, start_billed: bool) -> Spending:
        seconds = traffic.seconds(work, start_billed=start_billed)
        compute = serverless_use(seconds=seconds * traffic.requests_per_day, memory_mb=memory_mb)
        return _spending({**compute, **_data(work, traffic)}, traffic, table)

    return ServerlessSpending(
        start_unbilled=column(start_billed=False), start_billed=column(start_billed=True)
    )


def provisioned_spending(
    *,
    memory_mb: int,
    copies: int,
    work: Work,
    traffic: Traffic,
    held_hours_per_day: float = HOURS_PER_DAY,
    table: PriceTable | None = None,
) -> Spending:
    """Serverless with provisioned concurrency that takes all of the traffic, so that none is cold.

    Copies are paid while they are held, and more while they work. Requests beyond them would be
    paid on demand, which is not counted.
    """
    compute = provisioned_use(
        held_s=copies * held_hours_per_day * HOUR_S,
        busy_s=work.seconds * traffic.requests_per_day,
        memory_mb=memory_mb,
    )
    return _spending({**compute, **_data(work, traffic)}, traffic, table)


def instance_spending(
    *,
    instance_type: str,
    instances: int,
    work: Work,
    traffic: Traffic,
    table: PriceTable | None = None,
) -> Spending:
    """Instances round the clock, busy or not, and data."""
    compute = instance_use(instance_type=instance_type, hours=instances * HOURS_PER_DAY)
    return _spending({**compute, **_data(work, traffic)}, traffic, table)


def instances_needed(*, peak_per_s: float, capacity_per_s: float) -> int:
    """Instances for a peak rate, where one keeps the objective up to a capacity; at least one.

    Raises ``ValueError`` for a capacity of nothing.
    """
    if capacity_per_s <= 0:
        raise ValueError("an instance that keeps the objective at no rate is never enough")
    return max(1, math.ceil(peak_per_s / capacity_per_s))


def provisioned_break_even(*, table: PriceTable | None = None) -> BreakEven:
    """The share of the time that a held copy must be busy to cost no more than on demand.

    ``held / (on demand - busy)``: 0.6 at the packaged prices, whatever the memory.
    """
    prices = table or PriceTable.packaged()
    held, busy, demand = (
        prices.cost({item: 1.0})
        for item in ("serverless-provisioned-held", "serverless-provisioned-busy", "serverless")
    )
    if held.usd is None or busy.usd is None or demand.usd is None:
        return BreakEven(at=None, missing=(*held.missing, *busy.missing, *demand.missing))
    if demand.usd <= busy.usd:
        return BreakEven(at=None)
    return BreakEven(at=held.usd / (demand.usd - busy.usd))


def break_even_rate(
    *,
    memory_mb: int,
    seconds: float,
    instance_type: str,
    instances: int = 1,
    table: PriceTable | None = None,
) -> BreakEven:
    """The requests/s above which instances cost less than serverless: an hour's price by 3600 by
    a request's.

    Data costs the same on both and cancels. It says nothing about whether the instances can serve
    that rate: see ``instances_needed``. ``seconds`` are the mean billed ones of a request.
    """
    prices = table or PriceTable.packaged()
    hour = prices.cost(instance_use(instance_type=instance_type, hours=instances))
    request = prices.cost(serverless_use(seconds=seconds, memory_mb=memory_mb))
    if hour.usd is None or request.usd is None:
        return BreakEven(at=None, missing=(*hour.missing, *request.missing))
    return BreakEven(at=hour.usd / HOUR_S / request.usd if request.usd else None)


def cold_share(
    instants: Iterable[float],
    *,
    service_s: float,
    cold_s: float,
    idle_s: float,
    max_concurrency: int | None = None,
) -> ColdShare:
    """Replay sorted instants through a pool of containers that take one request at a time.

    A request takes the free container that was used last, else a new one, which is busy for
    ``cold_s`` longer; with ``max_concurrency`` of them busy it is throttled. A container that was
    free for more than ``idle_s`` is gone. Raises ``ValueError`` where instants are not sorted.
    """
    busy: list[float] = []  # A heap of when each gets free.
    free: deque[float] = deque()  # Since when, oldest first.
    requests = cold = throttled = peak = 0
    last = -math.inf
    for instant in instants:
        if instant < last:
            raise ValueError(f"the instants are not sorted: {instant} comes after {last}")
        last = instant
        requests += 1
        while busy and busy[0] <= instant:
            free.append(heapq.heappop(busy))
        while free and instant - free[0] > idle_s:
            free.popleft()
        if free:
            free.pop()
            heapq.heappush(busy, instant + service_s)
        elif max_concurrency is not None and len(busy) >= max_concurrency:
            throttled += 1
        else:
            cold += 1
            heapq.heappush(busy, instant + cold_s + service_s)
        peak = max(peak, len(busy))  # One is only added while none is free.
    return ColdShare(requests=requests, cold=cold, throttled=throttled, peak_containers=peak)


def _data(work: Work, traffic: Traffic) -> Usage:
    return data_use((work.request_bytes + work.response_bytes) * traffic.requests_per_day)


def _spending(day: Usage, traffic: Traffic, table: PriceTable | None) -> Spending:
    found: Cost = (table or PriceTable.packaged()).cost(day)
    usd, requests = found.usd, traffic.requests_per_day
    return Spending(
        usd_per_request=usd / requests if usd is not None and requests else None,
        usd_per_day=usd,
        usd_per_month=None if usd is None else usd * DAYS_PER_MONTH,
        missing=found.missing,
    )
