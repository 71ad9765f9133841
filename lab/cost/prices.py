"""Price tables: dated rows with sources. That of us-east-1 is packaged, others are files."""

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, ValidationError

from lab.errors import LabError, UsageError
from lab.runfiles import read_bytes
from lab.schema import Frozen

PRICED_REGION: Final = "us-east-1"
"""The packaged table's; other regions cost up to about half as much again."""
INSTANCE_PREFIX: Final = "ml."
Usage = Mapping[str, float]
"""How much of what is paid for: units by item, e.g. GB-seconds of ``serverless``."""

_REGION: Final = "# region:"
_REMEDY: Final = "Write it like lab/cost/prices.csv: same columns, same items, same units."


class Price(Frozen):
    """A row of ``prices.csv``, which says what the grades mean."""

    item: str = Field(min_length=1)
    unit: str = Field(min_length=1)
    """What is paid for: ``hour``, ``GB-second``, ``GB``, ``GB-month``, ``month``, ``request``..."""
    usd: float = Field(gt=0, allow_inf_nan=False)
    as_of: date
    grade: Literal["A", "B", "C"]
    source: str = Field(min_length=1)


class NoPriceError(LabError):
    """The table has no such row."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Dollars. None where the table lacks a price: unknown, not nothing."""

    usd: float | None
    missing: tuple[str, ...] = ()
    """The items that have no price, sorted."""


@dataclass(frozen=True, kw_only=True)
class PriceTable:
    """The prices of one region, by their items."""

    region: str
    origin: str
    """The file they are from."""
    rows: Mapping[str, Price]

    @classmethod
    @functools.cache
    def packaged(cls) -> Self:
        """The lab's own, of ``PRICED_REGION``."""
        file = resources.files("lab.cost").joinpath("prices.csv")
        region, rows = _read(file.read_text(encoding="utf-8"), "lab/cost/prices.csv")
        return cls(region=region, origin="lab/cost/prices.csv", rows=rows)

    @classmethod
    def load(cls, path: Path) -> Self:
        """A file like the packaged one, for another region, named by its ``# region: NAME``.

        It may lack rows, whose costs are unknown then. Raises ``UsageError`` with file, line and
        column for anything else.
        """
        text = read_bytes(path, remedy="Name a CSV file of prices.").decode("utf-8-sig", "replace")
        region, rows = _read(text, str(path), known=cls.packaged().rows)
        return cls(region=region, origin=str(path), rows=rows)

    def price(self, item: str) -> Price:
        """One row. Raises ``NoPriceError``."""
        try:
            return self.rows[item]
        except KeyError as error:
            raise NoPriceError(f"The price table {self.origin} has no {item}.") from error

    def instance(self, instance_type: str) -> Price | None:
        """The hour of an instance type, e.g. ``ml.m5.xlarge``; None when the table lacks it."""
        return self.rows.get(instance_type) if instance_type.startswith(INSTANCE_PREFIX) else None

    def cost(self, usage: Usage) -> Cost:
        """What is used times what it costs. What nothing is used of needs no price."""
        used = {item: units for item, units in usage.items() if units}
        missing = tuple(sorted(item for item in used if item not in self.rows))
        if missing:
            return Cost(usd=None, missing=missing)
        return Cost(usd=sum(self.rows[item].usd * units for item, units in used.items()))


def price(item: str, *, table: PriceTable | None = None) -> Price:
    """One row of a table, the packaged one unless given. Raises ``NoPriceError``."""
    return (table or PriceTable.packaged()).price(item)


def _read(
    text: str, origin: str, *, known: Mapping[str, Price] | None = None
) -> tuple[str, Mapping[str, Price]]:
    """The region and the rows of a table's text, of known items and their units where given."""
    region = ""
    head: list[str] = []
    rows: dict[str, Price] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{origin}, line {number}"
        if line.startswith("#"):
            region = line.removeprefix(_REGION).strip() if line.startswith(_REGION) else region
        elif line.strip() and not head:
            head = next(csv.reader([line]))
            if sorted(head) != sorted(Price.model_fields):
                what = f"{where}: the columns are {', '.join(head)}."
                raise UsageError(what, remedy=f"They must be {', '.join(Price.model_fields)}.")
        elif line.strip():
            row = _row(next(csv.reader([line])), head, where)
            if row.item in rows:
                raise UsageError(f"{where}, column item: {row.item} has a price already.")
            if known is not None:
                _check(row, known, where)
            rows[row.item] = row
    if not rows:
        raise UsageError(f"{origin} has no prices.", remedy=_REMEDY)
    if not region:
        what = f"{origin} does not say of which region its prices are."
        raise UsageError(what, remedy=f"Add a line such as '{_REGION} eu-central-1'.")
    return region, rows


def _row(fields: list[str], head: list[str], where: str) -> Price:
    if len(fields) != len(head):
        what = f"{where} has {len(fields)} columns, the first row {len(head)}."
        raise UsageError(what, remedy='Put text with commas in "quotation marks".')
    try:
        return Price.model_validate(dict(zip(head, (one.strip() for one in fields), strict=True)))
    except ValidationError as error:
        first = error.errors()[0]
        column, value = str(first["loc"][0]), str(first["input"])
        what = f"{where}, column {column}: {value!r}: {first['msg'].lower()}."
        raise UsageError(what, remedy=_REMEDY) from error


def _check(row: Price, known: Mapping[str, Price], where: str) -> None:
    """That the lab counts such a thing, in that unit."""
    if row.item not in known and not row.item.startswith(INSTANCE_PREFIX):
        items = ", ".join(one for one in known if not one.startswith(INSTANCE_PREFIX))
        what = f"{where}, column item: {row.item!r} is nothing that the lab counts."
        raise UsageError(what, remedy=f"Use an instance type or one of: {items}.")
    unit = known[row.item].unit if row.item in known else "hour"
    if row.unit != unit:
        what = f"{where}, column unit: {row.item} is priced by the {unit}, not by {row.unit!r}."
        raise UsageError(what, remedy=_REMEDY)
