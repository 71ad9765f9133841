"""What is paid for, and what it costs: seconds, bytes and hours in, dollars out.

Formulas are those of AWS's pricing pages, whose worked examples the tests repeat: serverless is
memory in GB (1024 MB) times seconds; data is paid in and out. S3's GB has 2^30 bytes, as its
examples say; elsewhere AWS does not say, and 10^9 are taken, which errs on the dear side.

``..._use`` says how much of what is used, for ``PriceTable.cost``; ``..._usd`` is its price.
"""

import math
from typing import Final, Literal

from lab.cost.prices import PriceTable, Usage, price

MB_PER_GB: Final = 1024
BYTES_PER_GB: Final = 1e9
BYTES_PER_S3_GB: Final = 2**30
HOUR_S: Final = 3600.0
HOURS_PER_MONTH: Final = 730.0
"""A year's 8760 hours by twelve, as AWS's calculator counts."""
STUDY_GB_SECOND_USD: Final = 0.00002


def billed_s(seconds: float) -> float:
    """A request's seconds as billed: in whole milliseconds, rounded up.

    SageMaker's pricing page says "billed by the millisecond" and not how it rounds; Lambda's says
    "rounded up". Means of many requests are left as they are, which leaves out half a
    millisecond of each.
    """
    return math.ceil(round(seconds * 1000, 6)) / 1000


def request_use(*, seconds: float, memory_mb: int, count_bytes: int) -> Usage:
    """One serverless request: the container's seconds, rounded up, and the bytes both ways."""
    compute = serverless_use(seconds=billed_s(seconds), memory_mb=memory_mb)
    return {**compute, **data_use(count_bytes)}


def serverless_use(*, seconds: float, memory_mb: int) -> Usage:
    """Serverless inference on demand: billed seconds of work at a memory size."""
    return {"serverless": seconds * memory_mb / MB_PER_GB}


def provisioned_use(
    *,
    held_s: float,
    busy_s: float,
    memory_mb: int,
    service: Literal["serverless", "lambda"] = "serverless",
) -> Usage:
    """Provisioned concurrency: copies times seconds held, and the seconds of work on top."""
    gb = memory_mb / MB_PER_GB
    return {
        f"{service}-provisioned-held": held_s * gb,
        f"{service}-provisioned-busy": busy_s * gb,
    }


def lambda_use(*, seconds: float, memory_mb: int, requests: float, arm: bool = False) -> Usage:
    """Lambda on demand: billed seconds of work at a memory size, and requests."""
    compute = "lambda-arm" if arm else "lambda-x86"
    return {compute: seconds * memory_mb / MB_PER_GB, "lambda-request": requests}


def instance_use(*, instance_type: str, hours: float) -> Usage:
    """Instances times hours, busy or not."""
    return {instance_type: hours}


def data_use(count_bytes: float) -> Usage:
    """Bytes into and out of an endpoint."""
    return {"data": count_bytes / BYTES_PER_GB}


def internet_use(count_bytes: float) -> Usage:
    """Bytes that leave AWS, e.g. answers to clients outside, of the first 10 TB a month."""
    return {"internet-out": count_bytes / BYTES_PER_S3_GB}


def storage_use(*, image_bytes: float = 0, archive_bytes: float = 0, volume_gb: float = 0) -> Usage:
    """A month of an image in ECR, of an archive in S3, of an instance's volume."""
    return {
        "ecr-storage": image_bytes / BYTES_PER_GB,
        "s3-storage": archive_bytes / BYTES_PER_S3_GB,
        "endpoint-volume": volume_gb,
    }


def serverless_usd(*, seconds: float, memory_mb: int, table: PriceTable | None = None) -> float:
    """Compute of serverless inference. Raises ``NoPriceError``."""
    return seconds * memory_mb / MB_PER_GB * price("serverless", table=table).usd


def data_usd(count_bytes: float, *, table: PriceTable | None = None) -> float:
    """Bytes into and out of an endpoint. Raises ``NoPriceError``."""
    return count_bytes / BYTES_PER_GB * price("data", table=table).usd


def instances_usd(
    *, instance_type: str, instances: int, hours: float, table: PriceTable | None = None
) -> float | None:
    """Instances for hours, busy or not; None when the type's price is not known."""
    found = (table or PriceTable.packaged()).instance(instance_type)
    return None if found is None else found.usd * instances * hours


def study_usd(*, memory_mb: int, seconds: float) -> float:
    """The study's cost of an inference: GB times seconds times 0.00002, whatever AWS asks now.

    Its seconds are the mean of the client's total latency. All six printed costs are within one
    unit of their last place (1e-7); they come out exactly where VGG19's seconds are first rounded
    to two decimals and MobileNet's to three. Without that VGG19 at 3 GB, of 0.6791 s, costs
    0.0000407 and not 0.0000408, and VGG19 at 1 and 2 GB and MobileNet at 2 GB are one unit more
    than printed. Prediction time gives 15 to 78 % less.
    """
    return seconds * memory_mb / MB_PER_GB * STUDY_GB_SECOND_USD
