"""What things cost: seconds, bytes and hours in, dollars out.

Formulas are AWS's pricing pages': serverless is memory in GB (1024 MB) times seconds; data is paid
in and out. A GB of data or storage is taken as 10^9 bytes, which errs on the dear side.
"""

from typing import Final

from lab.cost.prices import instance_price, price

MB_PER_GB: Final = 1024
BYTES_PER_GB: Final = 1e9
HOUR_S: Final = 3600.0
HOURS_PER_MONTH: Final = 730.0
"""A year's 8760 hours by twelve, as AWS's calculator counts."""


def serverless_usd(*, seconds: float, memory_mb: int) -> float:
    """Compute of serverless inference, for seconds of work at a memory size."""
    return seconds * memory_mb / MB_PER_GB * price("serverless").usd


def data_usd(count_bytes: float) -> float:
    """Bytes into and out of an endpoint."""
    return count_bytes / BYTES_PER_GB * price("data").usd


def instances_usd(*, instance_type: str, instances: int, hours: float) -> float | None:
    """Instances for hours, busy or not; None when the type's price is not known."""
    found = instance_price(instance_type)
    return None if found is None else found.usd * instances * hours
