"""What files of a run hold: read strictly, never changed."""

import csv
from importlib import resources
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """A record of a file. A field that is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Versioned(Frozen):
    """A file, or a line of one, that other tools read: it changes only with its schema."""

    model_config = ConfigDict(populate_by_name=True)

    schema_version: int = Field(default=1, alias="schema")

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True, indent=1) + "\n"


Row = TypeVar("Row", bound=BaseModel)


def packaged_rows(package: str, name: str, row: type[Row]) -> tuple[Row, ...]:
    """The rows of a CSV file of a package; its first lines, with ``#``, say where they are from."""
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(row.model_validate(fields) for fields in csv.DictReader(lines))
