from math import isclose

import pytest

from lab.cost import charges
from lab.cost.estimate import (
    ASSUMED,
    Standing,
    Work,
    real_time_estimate,
    serverless_estimate,
)
from lab.cost.prices import NoPriceError, PriceTable, price

NOTHING = Standing(image_bytes=0, archive_bytes=0)
HOME = "us-east-1"


def work(seconds: float, count_bytes: int = 0) -> Work:
    return Work(seconds=seconds, request_bytes=count_bytes, response_bytes=0, source="a test")


def test_an_unknown_instance_type_has_no_price_rather_than_none_to_pay() -> None:
    assert PriceTable.packaged().instance("ml.p5.48xlarge") is None
    assert PriceTable.packaged().instance("data") is None
    assert charges.instances_usd(instance_type="ml.p5.48xlarge", instances=1, hours=1) is None
    with pytest.raises(NoPriceError):
        price("ml.p5.48xlarge")


def test_a_serverless_endpoint_costs_nothing_while_nobody_asks() -> None:
    found = serverless_estimate(
        memory_mb=2048, max_concurrency=5, work=work(0.3614), standing=NOTHING, region=HOME
    )
    assert found.idle_usd_per_hour == 0
    assert found.forgotten_usd_per_month == 0
    assert isclose(found.most_usd_per_hour or 0, 5 * 2 * 0.00002 * 3600)
    assert isclose(found.usd_per(1_000_000) or 0, 14.456)


def test_a_real_time_endpoint_costs_the_same_idle_and_its_requests_a_share_of_it() -> None:
    found = real_time_estimate(
        instance_type="ml.m5.xlarge",
        instances=2,
        max_instances=4,
        work=work(0.1),
        standing=NOTHING,
        region=HOME,
    )
    assert isclose(found.idle_usd_per_hour or 0, 0.46)
    assert isclose(found.most_usd_per_hour or 0, 0.92)
    assert isclose(found.usd_per(1000) or 0, 0.23 * 100 / 3600)
    assert isclose(found.forgotten_usd_per_month or 0, 0.46 * 730)


def test_an_unknown_price_makes_everything_that_needs_it_unknown() -> None:
    found = real_time_estimate(
        instance_type="ml.p5.48xlarge",
        instances=1,
        max_instances=1,
        work=ASSUMED,
        standing=NOTHING,
        region=HOME,
    )
    assert found.idle_usd_per_hour is None
    assert found.most_usd_per_hour is None
    assert found.usd_per(1000) is None
    assert found.forgotten_usd_per_month is None


def test_image_archive_and_alarms_are_paid_whether_used_or_not() -> None:
    standing = Standing(image_bytes=10**9, archive_bytes=10**9, alarms=2)
    found = serverless_estimate(
        memory_mb=1024, max_concurrency=1, work=ASSUMED, standing=standing, region=HOME
    )
    assert isclose(found.kept_usd_per_month or 0, 0.10 + 0.023 * 1e9 / 2**30 + 0.20)
    assert found.forgotten_usd_per_month == found.kept_usd_per_month


def test_data_is_part_of_a_request() -> None:
    found = serverless_estimate(
        memory_mb=1024,
        max_concurrency=1,
        work=work(0, count_bytes=10**6),
        standing=NOTHING,
        region=HOME,
    )
    assert isclose(found.usd_per(1000) or 0, 0.016)


def test_another_region_is_told_that_the_prices_are_not_its_own() -> None:
    def notes(region: str) -> str:
        return " ".join(
            serverless_estimate(
                memory_mb=1024, max_concurrency=1, work=ASSUMED, standing=NOTHING, region=region
            ).notes
        )

    assert "eu-central-1" in notes("eu-central-1")
    assert "us-east-1's" not in notes(HOME)
