"""Every formula against a bill that someone else has worked out.

AWS's own examples, read in transcriptions of its pages, not on the pages; else golden files of
infracost, which are made from AWS's Price List API. Free tiers are taken off by hand: the lab
counts none. A cent of tolerance is AWS's rounding of each line.
"""

from math import isclose

import pytest

from lab.cost.charges import (
    billed_s,
    data_use,
    instance_use,
    internet_use,
    lambda_use,
    provisioned_use,
    request_use,
    serverless_use,
    storage_use,
    study_usd,
)
from lab.cost.prices import PriceTable, Usage

CENT = 0.01
GB = 10**9


def usd(*used: Usage) -> float:
    costs = [PriceTable.packaged().cost(usage) for usage in used]
    assert [cost.missing for cost in costs] == [()] * len(used)
    return sum(cost.usd or 0 for cost in costs)


def test_serverless_costs_what_awss_example_says() -> None:
    # aws.amazon.com/sagemaker/ai/pricing: 10M requests of 100 ms at 2 GB, 10 GB of data:
    # 1,000,000 s x $0.00004 + 10 GB x $0.016 = $40.16.
    compute = serverless_use(seconds=10_000_000 * 0.1, memory_mb=2048)
    assert isclose(usd(compute, data_use(10 * GB)), 40.16)
    request = request_use(seconds=0.1, memory_mb=2048, count_bytes=1000)
    assert isclose(10_000_000 * usd(request), 40.16)


def test_provisioned_concurrency_costs_what_awss_example_says() -> None:
    # aws.amazon.com/sagemaker/ai/pricing, 2 GB: $144 at $0.000010/s for holding, $23 for
    # 1,000,000 s of requests, $6 for 150,000 s on demand beyond the free ones, $0.208 for 13 GB:
    # $173.20. The page rounds the $0.0000233 of a busy second down, which is 33 cents.
    held = provisioned_use(held_s=14_400_000, busy_s=0, memory_mb=2048)
    busy = provisioned_use(held_s=0, busy_s=1_000_000, memory_mb=2048)
    demand = serverless_use(seconds=150_000, memory_mb=2048)
    assert isclose(usd(held), 144)
    assert isclose(usd(busy), 23.3333, abs_tol=0.001)
    assert isclose(usd(demand), 6)
    assert isclose(usd(held, busy, demand, data_use(13 * GB)), 173.21 + 0.33, abs_tol=CENT)


def test_serverless_costs_what_infracost_counts() -> None:
    # infracost@157609d, sagemaker_endpoint_configuration_test.golden, 2048 MB. It gives the dear
    # price of provisioned concurrency to holding and the cheap one to work; AWS's example above
    # has them the other way round.
    assert isclose(usd(serverless_use(seconds=500_000, memory_mb=2048)), 20.00)
    assert isclose(usd(data_use(20 * GB)), 0.32)
    cheap = provisioned_use(held_s=500_000, busy_s=0, memory_mb=2048)
    dear = provisioned_use(held_s=0, busy_s=5_256_000, memory_mb=2048)
    assert isclose(usd(cheap), 5.00)
    # Its price has four figures: 0.0000233.
    assert isclose(usd(dear), 122.46, rel_tol=0.002)


def test_instances_cost_what_awss_example_says() -> None:
    # aws.amazon.com/sagemaker/ai/pricing: two ml.c5.xlarge for 24 hours and 31 days at $0.204 are
    # $303.52 (303.55 by arithmetic), a monitoring job of 2.5 h on ml.m5.4xlarge $2.31, 3,100 MB in
    # and 310 MB out $0.06: $305.88.
    hosting = instance_use(instance_type="ml.c5.xlarge", hours=2 * 24 * 31)
    monitoring = instance_use(instance_type="ml.m5.4xlarge", hours=2.5)
    assert isclose(usd(hosting), 303.52, abs_tol=4 * CENT)
    assert isclose(usd(monitoring), 2.31, abs_tol=CENT)
    assert isclose(usd(data_use(3_410e6)), 0.06, abs_tol=CENT)
    assert isclose(usd(hosting, monitoring, data_use(3_410e6)), 305.88, abs_tol=4 * CENT)


def test_instances_cost_what_infracost_counts() -> None:
    # infracost@157609d, sagemaker_endpoint_configuration_test.golden.
    assert isclose(usd(instance_use(instance_type="ml.m5.large", hours=730)), 83.95)
    assert isclose(usd(instance_use(instance_type="ml.m5.xlarge", hours=730)), 167.90)


def test_an_instances_volume_costs_what_aws_and_not_infracost_says() -> None:
    # AWS's asynchronous example has $0.14 a GB-month; infracost has $2.24 for 20 GB.
    volume = usd(storage_use(volume_gb=20))
    assert isclose(volume, 20 * 0.14)
    assert volume > 2.24


def test_lambda_costs_what_awss_example_says() -> None:
    # aws.amazon.com/lambda/pricing, mobile backend: 3M requests of 120 ms at 1536 MB: 540,000 GB-s
    # of which 400,000 are free: $2.33; 2M paid requests: $0.40; $2.73.
    compute = lambda_use(seconds=3_000_000 * 0.12, memory_mb=1536, requests=2_000_000)
    free = lambda_use(seconds=400_000, memory_mb=1024, requests=0)
    assert isclose(usd(compute) - usd(free), 2.73, abs_tol=CENT)


def test_lambda_held_ready_costs_what_awss_example_says() -> None:
    # aws.amazon.com/lambda/pricing, Cyber Monday: 7 copies of 4096 MB for 24 hours $10.08, 2M
    # requests of 280 ms $21.78 and $0.40: $32.26.
    provisioned = provisioned_use(
        held_s=7 * 24 * 3600, busy_s=2_000_000 * 0.28, memory_mb=4096, service="lambda"
    )
    requests = lambda_use(seconds=0, memory_mb=4096, requests=2_000_000)
    assert isclose(usd(provisioned, requests), 32.26, abs_tol=CENT)


def test_lambda_on_arm_costs_what_infracost_counts() -> None:
    # infracost, lambda_function_test.golden: 3,840,000,000 GB-s and 7,500M requests.
    used = lambda_use(seconds=3_840_000_000, memory_mb=1024, requests=7_500_000_000, arm=True)
    assert isclose(usd(used), 51_200.26 + 1_500, abs_tol=CENT)


def test_s3_costs_what_awss_examples_say() -> None:
    # aws.amazon.com/s3/faqs: 51,200 GB of 1,073,741,824 bytes x $0.023 = $1,177.60 in the first
    # tier; 310,000 PUT $1.55 and 620,000 GET $0.25 (a course of January 2022 that quotes AWS).
    assert isclose(usd(storage_use(archive_bytes=51_200 * 1_073_741_824)), 1_177.60)
    assert isclose(usd({"s3-put": 310_000, "s3-get": 620_000}), 1.55 + 0.25, abs_tol=CENT)


def test_data_out_costs_what_awss_example_says() -> None:
    # A course of January 2022 that quotes AWS: 10,239 GB (10 x 1024 - 1) x $0.09 = $921.51 in the
    # first tier.
    assert isclose(usd(internet_use(10_239 * 1_073_741_824)), 921.51)


def test_an_image_costs_what_infracost_counts() -> None:
    # infracost, ecr_repository_test.golden: 1 GB $0.10. AWS's page has no example that was found.
    assert isclose(usd(storage_use(image_bytes=GB)), 0.10)


@pytest.mark.parametrize(
    ("seconds", "billed"),
    [(0.0, 0.0), (0.0001, 0.001), (0.1, 0.1), (0.3, 0.3), (0.30002, 0.301), (1.8838, 1.884)],
)
def test_a_request_is_billed_in_begun_milliseconds(seconds: float, billed: float) -> None:
    assert isclose(billed_s(seconds), billed)


STUDY = [
    # Mean total latency, to how many decimals it was rounded, memory, printed cost.
    (1.8838, 2, 1024, 0.0000376),
    (0.8623, 2, 2048, 0.0000344),
    (0.6791, 2, 3072, 0.0000408),
    (0.4758, 3, 1024, 0.0000095),
    (0.3614, 3, 2048, 0.0000144),
    (0.3441, 3, 3072, 0.0000206),
]


@pytest.mark.parametrize(("seconds", "decimals", "memory_mb", "published"), STUDY)
def test_the_studys_cost_of_an_inference_comes_out(
    seconds: float, decimals: int, memory_mb: int, published: float
) -> None:
    exact = study_usd(memory_mb=memory_mb, seconds=seconds)
    assert abs(exact - published) < 1e-7
    rounded = study_usd(memory_mb=memory_mb, seconds=round(seconds, decimals))
    assert round(rounded, 7) == published
