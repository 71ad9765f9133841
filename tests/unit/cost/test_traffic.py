import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lab.cost.estimate import Work
from lab.cost.prices import PriceTable
from lab.cost.traffic import (
    ColdShare,
    Traffic,
    break_even_rate,
    cold_share,
    instance_spending,
    instances_needed,
    provisioned_break_even,
    provisioned_spending,
    serverless_spending,
)

WORK = Work(seconds=0.1, request_bytes=0, response_bytes=0, source="a test")
HEAD = "# region: nowhere-1\nitem,unit,usd,as_of,grade,source\n"


def lacking(folder: Path) -> PriceTable:
    path = folder / "prices.csv"
    path.write_text(HEAD + "logs,GB,1,2026-01-01,C,a test\n", encoding="utf-8")
    return PriceTable.load(path)


def test_a_day_and_a_month_of_serverless_are_its_requests_together() -> None:
    found = serverless_spending(
        memory_mb=2048, work=WORK, traffic=Traffic(requests_per_day=100_000)
    )
    assert found.start_billed == found.start_unbilled
    assert found.start_billed.usd_per_request == pytest.approx(4e-6)
    assert found.start_billed.usd_per_day == pytest.approx(0.40)
    assert found.start_billed.usd_per_month == pytest.approx(0.40 * 730 / 24)


def test_a_cold_start_costs_only_where_it_is_billed() -> None:
    traffic = Traffic(requests_per_day=1000, cold_share=0.01, cold_request_s=0.5, cold_start_s=3.0)
    found = serverless_spending(memory_mb=1024, work=WORK, traffic=traffic)
    assert found.start_unbilled.usd_per_day == pytest.approx(2e-5 * (990 * 0.1 + 10 * 0.5))
    assert found.start_billed.usd_per_day == pytest.approx(2e-5 * (990 * 0.1 + 10 * 3.5))


def test_a_fresh_container_works_as_long_as_a_warm_one_unless_told() -> None:
    traffic = Traffic(requests_per_day=1, cold_share=1.0, cold_start_s=2.0)
    assert traffic.seconds(WORK, start_billed=False) == pytest.approx(0.1)
    assert traffic.seconds(WORK, start_billed=True) == pytest.approx(2.1)


def test_data_is_paid_both_ways_wherever_it_is_served() -> None:
    traffic = Traffic(requests_per_day=1000)
    heavy = replace(WORK, request_bytes=750_000, response_bytes=250_000)

    def days(work: Work) -> list[float | None]:
        return [
            serverless_spending(
                memory_mb=1024, work=work, traffic=traffic
            ).start_billed.usd_per_day,
            provisioned_spending(memory_mb=1024, copies=1, work=work, traffic=traffic).usd_per_day,
            instance_spending(
                instance_type="ml.m5.large", instances=1, work=work, traffic=traffic
            ).usd_per_day,
        ]

    for with_data, without in zip(days(heavy), days(WORK), strict=True):
        assert (with_data or 0) - (without or 0) == pytest.approx(0.016)


def test_instances_are_paid_round_the_clock() -> None:
    found = instance_spending(
        instance_type="ml.m5.xlarge", instances=2, work=WORK, traffic=Traffic(requests_per_day=1e6)
    )
    assert found.usd_per_day == pytest.approx(2 * 24 * 0.23)
    assert found.usd_per_request == pytest.approx(2 * 24 * 0.23 / 1e6)
    assert found.usd_per_month == pytest.approx(2 * 730 * 0.23)


def test_without_requests_a_day_has_a_price_and_a_request_none() -> None:
    found = instance_spending(
        instance_type="ml.m5.xlarge", instances=1, work=WORK, traffic=Traffic(requests_per_day=0)
    )
    assert found.usd_per_day == pytest.approx(24 * 0.23)
    assert found.usd_per_request is None
    assert found.missing == ()


def test_provisioned_concurrency_breaks_even_at_three_fifths() -> None:
    found = provisioned_break_even()
    assert found.at == pytest.approx(0.60, abs=0.001)
    assert found.missing == ()


@pytest.mark.parametrize(("busy", "cheaper"), [(0.5, "demand"), (0.7, "held")])
def test_provisioned_concurrency_is_cheaper_only_above_that(busy: float, cheaper: str) -> None:
    traffic = Traffic(requests_per_day=busy * 86_400 / WORK.seconds)
    held = provisioned_spending(memory_mb=3072, copies=1, work=WORK, traffic=traffic)
    demand = serverless_spending(memory_mb=3072, work=WORK, traffic=traffic).start_unbilled
    costs = {"held": held.usd_per_day or 0, "demand": demand.usd_per_day or 0}
    assert min(costs, key=costs.__getitem__) == cheaper


def test_provisioned_concurrency_is_paid_while_it_is_held() -> None:
    found = provisioned_spending(
        memory_mb=2048,
        copies=3,
        work=WORK,
        traffic=Traffic(requests_per_day=0),
        held_hours_per_day=8,
    )
    assert found.usd_per_day == pytest.approx(3 * 8 * 3600 * 0.00001)


@pytest.mark.parametrize(("seconds", "rate"), [(0.1, 16), (0.02, 80)])
def test_an_instance_breaks_even_with_serverless_where_arithmetic_says(
    seconds: float, rate: float
) -> None:
    found = break_even_rate(memory_mb=2048, seconds=seconds, instance_type="ml.m5.xlarge")
    assert found.at == pytest.approx(rate, rel=0.005)


def test_at_the_break_even_rate_both_cost_the_same() -> None:
    rate = break_even_rate(
        memory_mb=4096, seconds=0.1, instance_type="ml.c5.xlarge", instances=2
    ).at
    traffic = Traffic(requests_per_day=(rate or 0) * 86_400)
    ours = serverless_spending(memory_mb=4096, work=WORK, traffic=traffic).start_billed
    theirs = instance_spending(
        instance_type="ml.c5.xlarge", instances=2, work=WORK, traffic=traffic
    )
    assert ours.usd_per_day == pytest.approx(theirs.usd_per_day)


def test_requests_that_cost_nothing_never_break_even() -> None:
    found = break_even_rate(memory_mb=1024, seconds=0.0, instance_type="ml.m5.xlarge")
    assert found.at is None
    assert found.missing == ()


def test_a_type_without_a_price_is_named_and_costs_no_nothing() -> None:
    found = instance_spending(
        instance_type="ml.p5.48xlarge", instances=1, work=WORK, traffic=Traffic(requests_per_day=1)
    )
    assert found.usd_per_request is None
    assert found.usd_per_day is None
    assert found.usd_per_month is None
    assert found.missing == ("ml.p5.48xlarge",)
    even = break_even_rate(memory_mb=1024, seconds=0.1, instance_type="ml.p5.48xlarge")
    assert even.at is None
    assert even.missing == ("ml.p5.48xlarge",)


def test_a_table_that_lacks_prices_gives_their_names(tmp_path: Path) -> None:
    table = lacking(tmp_path)
    traffic = Traffic(requests_per_day=1)
    serverless = serverless_spending(memory_mb=1024, work=WORK, traffic=traffic, table=table)
    assert serverless.start_billed.usd_per_day is None
    assert serverless.start_billed.missing == ("serverless",)
    assert provisioned_break_even(table=table).missing == (
        "serverless-provisioned-held",
        "serverless-provisioned-busy",
        "serverless",
    )


@pytest.mark.parametrize(
    ("peak", "capacity", "count"), [(0, 5, 1), (5, 5, 1), (5.1, 5, 2), (20, 5, 4), (0.1, 5, 1)]
)
def test_instances_cover_the_peak(peak: float, capacity: float, count: int) -> None:
    assert instances_needed(peak_per_s=peak, capacity_per_s=capacity) == count


def test_no_number_of_instances_makes_up_for_no_capacity() -> None:
    with pytest.raises(ValueError, match="never enough"):
        instances_needed(peak_per_s=1, capacity_per_s=0)


@pytest.mark.parametrize("tau", [0.5, 1.0, 3.0])
def test_poisson_arrivals_on_one_container_are_cold_as_theory_says(tau: float) -> None:
    gaps = np.random.default_rng(7).exponential(1.0, 100_000)
    found = cold_share(np.cumsum(gaps), service_s=0.0, cold_s=0.0, idle_s=tau)
    assert found.peak_containers == 1
    expected = math.exp(-tau)
    error = math.sqrt(expected * (1 - expected) / 100_000)
    assert found.share == pytest.approx(expected, abs=4 * error)


def test_a_burst_beyond_what_is_warm_starts_containers() -> None:
    found = cold_share([0, 0, 0, 10, 10, 10, 10], service_s=1, cold_s=2, idle_s=60)
    assert found == ColdShare(requests=7, cold=4, throttled=0, peak_containers=4)


def test_a_starting_container_takes_no_other_request() -> None:
    assert cold_share([0, 1.5], service_s=1, cold_s=0, idle_s=60).cold == 1
    assert cold_share([0, 1.5], service_s=1, cold_s=1, idle_s=60).cold == 2


def test_beyond_the_most_copies_requests_are_throttled_and_not_queued() -> None:
    found = cold_share([0, 0, 0, 5], service_s=1, cold_s=1, idle_s=60, max_concurrency=2)
    assert found == ColdShare(requests=4, cold=2, throttled=1, peak_containers=2)
    assert found.share == pytest.approx(2 / 3)


def test_the_container_used_last_is_used_again_so_that_others_go_away() -> None:
    # Two at once, then one a second: the second is idle for more than 5 s and gone at 10.
    instants = [0.0, 0.0, *map(float, range(1, 10)), 10.0, 10.0]
    assert cold_share(instants, service_s=0.5, cold_s=0, idle_s=5).cold == 3
    assert cold_share(instants, service_s=0.5, cold_s=0, idle_s=20).cold == 2


def test_no_requests_are_no_cold_ones() -> None:
    found = cold_share([], service_s=1, cold_s=1, idle_s=1)
    assert found.share == 0
    assert found.peak_containers == 0


def test_unsorted_instants_are_refused() -> None:
    with pytest.raises(ValueError, match="not sorted"):
        cold_share([1, 0.5], service_s=1, cold_s=1, idle_s=1)


@pytest.mark.parametrize("seed", range(30))
def test_the_pool_does_what_a_plain_list_of_containers_does(seed: int) -> None:
    rng = random.Random(seed)
    instants = sorted(rng.uniform(0, 60) for _ in range(200))
    service, cold, idle = rng.uniform(0.01, 2), rng.uniform(0, 3), rng.uniform(0.1, 5)
    limit = rng.choice([None, 1, 3, 8])
    found = cold_share(instants, service_s=service, cold_s=cold, idle_s=idle, max_concurrency=limit)
    free_at: list[float] = []
    colds = throttled = peak = 0
    for now in instants:
        free_at = [one for one in free_at if one > now or now - one <= idle]
        free = [one for one in free_at if one <= now]
        if free:
            free_at.remove(max(free))
            free_at.append(now + service)
        elif limit is not None and len(free_at) >= limit:
            throttled += 1
        else:
            colds += 1
            free_at.append(now + cold + service)
        peak = max(peak, len(free_at))
    assert found == ColdShare(requests=200, cold=colds, throttled=throttled, peak_containers=peak)
