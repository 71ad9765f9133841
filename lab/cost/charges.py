"""What things cost: seconds, bytes and hours in, dollars out.

Formulas are AWS's pricing pages': serverless is memory in GB (1024 MB) times seconds; data is paid
in and out. A GB of data or storage is taken as 10^9 bytes, which errs on the dear side.

``..._use`` says how much of what is used, for ``PriceTable.cost``; ``..._usd`` its price alone.
"""

import math
from typing import Final

from lab.cost.prices import PriceTable, Usage, price

MB_PER_GB: Final = 1024
BYTES_PER_GB: Final = 1e9
HOUR_S: Final = 3600.0
HOURS_PER_MONTH: Final = 730.0
"""A year's 8760 hours by twelve, as AWS's calculator counts."""
STUDY_GB_SECOND_USD: Final = 0.00002


def billed_s(seconds: float) -> float:
    """One request's seconds as they are billed: whole milliseconds, begun ones counted.

    Serverless inference is "billed by the millisecond"; that AWS rounds up is only documented of
    Lambda. Means of many requests need no rounding: it adds half a millisecond to them at most
    likely, one at worst.
    """
    return math.ceil(round(seconds * 1000, 6)) / 1000


def serverless_use(*, seconds: float, memory_mb: int) -> Usage:
    """Serverless inference on demand: seconds of work at a memory size."""
    return {"serverless": seconds * memory_mb / MB_PER_GB}


def provisioned_use(*, held_s: float, busy_s: float, memory_mb: int) -> Usage:
    """Provisioned concurrency: copies times seconds held, and seconds of work on top."""
    gb = memory_mb / MB_PER_GB
    return {
        "serverless-provisioned-held": held_s * gb,
        "serverless-provisioned-busy": busy_s * gb,
    }


def instance_use(*, instance_type: str, hours: float) -> Usage:
    """Instances times hours, busy or not."""
    return {instance_type: hours}


def data_use(count_bytes: float) -> Usage:
    """Bytes into and out of an endpoint."""
    return {"data": count_bytes / BYTES_PER_GB}


def serverless_usd(*, seconds: float, memory_mb: int, table: PriceTable | None = None) -> float:
    """Compute of serverless inference, for seconds of work at a memory size."""
    return seconds * memory_mb / MB_PER_GB * price("serverless", table=table).usd


def data_usd(count_bytes: float, *, table: PriceTable | None = None) -> float:
    """Bytes into and out of an endpoint."""
    return count_bytes / BYTES_PER_GB * price("data", table=table).usd


def instances_usd(
    *, instance_type: str, instances: int, hours: float, table: PriceTable | None = None
) -> float | None:
    """Instances for hours, busy or not; None when the type's price is not known."""
    found = (table or PriceTable.packaged()).instance(instance_type)
    return None if found is None else found.usd * instances * hours


def study_usd(*, memory_mb: int, seconds: float) -> float:
    """The study's cost of an inference: GB times seconds times 0.00002, whatever AWS asks today."""
    return seconds * memory_mb / MB_PER_GB * STUDY_GB_SECOND_USD
