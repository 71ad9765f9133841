from dataclasses import replace

import numpy as np
import pytest

from lab.cost.prices import PriceTable
from lab.errors import UsageError
from lab.load.arrivals.schedule import Schedule
from lab.tune.money import MOST_REPLAYED, daily, day, priced, scheduled, storage, traffic_notes
from lab.tune.record import TrafficRecord
from lab.tune.result import SizeOutcome, SizeResult
from tests.unit.tune.scripted import cold_figures, latencies, result

DAY_S = 86_400
GB_SECOND = 0.00002
DATA_GB = 0.016
TABLE = PriceTable.packaged()


def cost(
    one: SizeResult, traffic: TrafficRecord | None = None, schedule: Schedule | None = None
) -> SizeResult:
    return priced(
        one,
        traffic=traffic,
        schedule=schedule,
        idle_life_s=600.0,
        request_bytes=0,
        answer_bytes=0,
        table=TABLE,
    )


def every(seconds: float, *, horizon_s: float) -> Schedule:
    instants = np.arange(0, horizon_s, seconds, dtype=np.float64)
    return Schedule(said="even", instants=instants, horizon_s=horizon_s)


def test_requests_far_apart_are_all_cold_and_are_billed_with_their_start() -> None:
    hourly = every(3600, horizon_s=DAY_S)
    one = result("2048", warm=latencies(0.2, mean=0.1), cold=cold_figures(3.4))
    money = cost(one, scheduled(hourly), hourly).money
    assert money is not None
    assert (money.cold_share, money.peak_containers) == (1.0, 1)
    assert money.usd_per_day == pytest.approx(24 * 2 * 3.4 * GB_SECOND)
    assert money.unbilled_usd_per_day == pytest.approx(24 * 2 * 0.2 * GB_SECOND)


def test_requests_close_together_are_warm_but_for_the_first() -> None:
    close = every(10, horizon_s=DAY_S)
    money = cost(result("2048"), scheduled(close), close).money
    assert money is not None
    assert money.cold_share == pytest.approx(10 / DAY_S)


def test_a_short_schedule_is_repeated_for_a_day_and_only_its_first_request_is_cold() -> None:
    minute = every(30, horizon_s=60)
    traffic = scheduled(minute)
    assert traffic.requests_per_day == pytest.approx(2880)
    assert len(list(day(traffic, minute))) == 2880
    money = cost(result("2048"), traffic, minute).money
    assert money is not None
    assert money.cold_share == pytest.approx(1 / 2880)
    assert "again and again" in traffic_notes(traffic)[0]


def test_a_slower_start_makes_more_requests_cold() -> None:
    traffic = daily(50_000)
    shares = []
    for total_s in (1.0, 10.0):
        money = cost(result("2048", cold=cold_figures(total_s)), traffic).money
        assert money is not None
        assert money.cold_share is not None
        shares.append(money.cold_share)
    assert shares[0] < shares[1]


def test_random_traffic_is_the_same_each_time_and_has_its_rate() -> None:
    instants = list(day(daily(20_000), None))
    assert instants == list(day(daily(20_000), None))
    assert instants == sorted(instants)
    assert len(instants) == pytest.approx(20_000, rel=0.03)


def test_of_much_traffic_a_part_of_the_day_is_replayed_and_that_is_said() -> None:
    much = daily(4_000_000)
    assert len(list(day(much, None))) == MOST_REPLAYED
    (note,) = traffic_notes(much)
    assert "first 72 minutes" in note


def test_without_traffic_a_million_warm_requests_are_priced() -> None:
    one = cost(result("2048", warm=latencies(0.2, mean=0.1)))
    assert one.money is not None
    assert one.money.usd_per_day is None
    assert one.money.cold_share is None
    assert one.cost == pytest.approx(1e6 * 2 * 0.1 * GB_SECOND)


def test_bytes_are_priced_too() -> None:
    one = priced(
        result("2048", warm=latencies(0.2, mean=0.1)),
        traffic=None,
        schedule=None,
        idle_life_s=600,
        request_bytes=900,
        answer_bytes=100,
        table=TABLE,
    )
    assert one.cost == pytest.approx(1e6 * 2 * 0.1 * GB_SECOND + DATA_GB)


def test_as_many_instances_as_the_peak_takes_run_all_day() -> None:
    seconds = [*np.zeros(25), *np.arange(1.0, 60.0)]
    burst = Schedule(said="burst", instants=np.asarray(seconds), horizon_s=60.0)
    one = cost(result("ml.m5.large", throughput_per_s=10.0), scheduled(burst), burst)
    assert one.money is not None
    assert one.money.instances == 3
    assert one.money.usd_per_day == pytest.approx(3 * 24 * 0.115)


def test_an_instance_without_traffic_is_priced_at_its_limit() -> None:
    one = cost(result("ml.m5.large", throughput_per_s=10.0))
    assert one.cost == pytest.approx(0.115 / 3600 / 10 * 1e6)


def test_a_type_without_a_price_is_unknown_by_name_not_free() -> None:
    rows = {item: row for item, row in TABLE.rows.items() if item != "ml.m5.large"}
    one = priced(
        result("ml.m5.large"),
        traffic=daily(1000),
        schedule=None,
        idle_life_s=600,
        request_bytes=0,
        answer_bytes=0,
        table=replace(TABLE, rows=rows),
    )
    assert one.cost is None
    assert one.money is not None
    assert one.money.missing == ("ml.m5.large",)


def test_an_instance_of_which_no_rate_is_known_has_no_price_and_says_why() -> None:
    one = cost(result("ml.m5.large", throughput_per_s=None, throughput_how="not measured"))
    assert one.money is not None
    assert one.money.why_not == "how much it takes is not known: not measured"


def test_what_does_not_serve_has_no_price() -> None:
    killed = result("1024", outcome=SizeOutcome.KILLED)
    assert cost(killed).cost == killed.cost


def test_storage_is_of_image_and_archive() -> None:
    kept = storage(image_bytes=1_000_000_000, archive_bytes=2_000_000_000, table=TABLE)
    assert kept.usd_per_month == pytest.approx(0.10 + 2 * 0.023)


@pytest.mark.parametrize("requests", [0.0, -1.0, float("nan"), float("inf")])
def test_no_traffic_is_refused(requests: float) -> None:
    with pytest.raises(UsageError, match="are no traffic"):
        daily(requests)
