"""The price table: dated rows, each with its source."""

import functools
from collections.abc import Mapping
from datetime import date
from typing import Final

from lab.errors import LabError
from lab.schema import Frozen, packaged_rows

PRICED_REGION: Final = "us-east-1"
"""The table's; other regions cost up to about half as much again."""


class Price(Frozen):
    """A row of ``prices.csv``, which says what the grades mean."""

    item: str
    unit: str
    """What is paid for: ``hour``, ``GB-second``, ``GB``, ``GB-month``, ``month``, ``metric``."""
    usd: float
    as_of: date
    grade: str
    source: str


class NoPriceError(LabError):
    """The table has no such row, which is a bug for anything but an instance type."""


@functools.cache
def table() -> Mapping[str, Price]:
    """Every row, by its item."""
    return {row.item: row for row in packaged_rows("lab.cost", "prices.csv", Price)}


def price(item: str) -> Price:
    """One row. Raises ``NoPriceError``."""
    try:
        return table()[item]
    except KeyError as error:
        raise NoPriceError(f"The price table has no {item}.") from error


def instance_price(instance_type: str) -> Price | None:
    """The hour of an instance type, e.g. ``ml.m5.xlarge``; None when the table lacks it."""
    found = table().get(instance_type)
    return found if found and found.unit == "hour" else None
