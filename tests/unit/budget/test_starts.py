"""What the containers did, as far as it can be told without any; and what a request costs."""

import pytest

from lab.budget.measure import request_cost
from lab.budget.record import Warm
from lab.budget.starts import doubt
from lab.cost.prices import PriceTable
from lab.loadtest.targets.sizes import Size

TABLE = PriceTable.packaged()


def warm(*latencies_s: float, disturbed: str = "") -> Warm:
    return Warm(
        trial=1,
        latencies_s=latencies_s,
        answer_bytes=500_000,
        peak_memory_bytes=None,
        disturbed=disturbed,
    )


def test_serverless_is_billed_by_whole_milliseconds_and_gigabytes() -> None:
    cost = request_cost(warm(0.0101, 0.0301), Size.parse("2048"), TABLE, 500_000)
    compute = (0.011 + 0.031) / 2 * 2 * TABLE.price("serverless").usd
    assert cost.usd == pytest.approx(compute + 0.001 * TABLE.price("data").usd)


def test_an_instance_is_paid_for_the_time_it_is_busy() -> None:
    cost = request_cost(warm(0.01, 0.03), Size.parse("ml.m5.large"), TABLE, 500_000)
    compute = 0.02 / 3600 * TABLE.price("ml.m5.large").usd
    assert cost.usd == pytest.approx(compute + 0.001 * TABLE.price("data").usd)


def test_a_price_that_the_table_lacks_is_named() -> None:
    cost = request_cost(warm(0.01), Size.parse("ml.r5.24xlarge"), TABLE, 1)
    assert (cost.usd, cost.missing) == (None, ("ml.r5.24xlarge",))


def test_seconds_are_doubted_where_most_were_disturbed() -> None:
    quiet, loud = warm(0.1), warm(0.1, disturbed="others took 61 % of its 2 CPUs (cc1)")
    assert doubt([], [quiet, loud]) == ""
    assert doubt([], [quiet, loud, loud]) == (
        "the machine was busy: others took 61 % of its 2 CPUs (cc1)"
    )
