from datetime import date
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


def test_every_price_has_a_date_a_grade_and_a_source() -> None:
    assert len(PriceTable.packaged().rows) > 15
    for row in PriceTable.packaged().rows.values():
        assert row.usd > 0
        assert row.source
        assert row.grade in {"A", "B", "C"}
        assert date(2023, 1, 1) <= row.as_of


def test_every_instance_type_that_has_a_price_can_host() -> None:
    from lab.endpoint.instances import table as instances

    for row in PriceTable.packaged().rows.values():
        if row.unit == "hour":
            assert row.item in instances()


def test_serverless_costs_what_the_golden_files_say() -> None:
    # infracost: 500,000 s at 2048 MB are $20.00.
    assert isclose(charges.serverless_usd(seconds=500_000, memory_mb=2048), 20.0)


@pytest.mark.parametrize(
    ("seconds", "memory_mb", "published"),
    [
        # The study's mean cost of a warm inference, of which it billed the whole duration.
        (1.8838, 1024, 0.0000376),
        (0.8623, 2048, 0.0000344),
        (0.6791, 3072, 0.0000408),
        (0.4758, 1024, 0.0000095),
        (0.3614, 2048, 0.0000144),
        (0.3441, 3072, 0.0000206),
    ],
)
def test_the_published_cost_of_an_inference_comes_out(
    seconds: float, memory_mb: int, published: float
) -> None:
    assert isclose(
        charges.serverless_usd(seconds=seconds, memory_mb=memory_mb), published, rel_tol=0.01
    )


def test_data_is_paid_by_the_gigabyte() -> None:
    assert isclose(charges.data_usd(20e9), 0.32)


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
    assert isclose(found.kept_usd_per_month, 0.10 + 0.023 + 0.20)
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
