"""``budget.yaml``: what an image may weigh, take and cost; refused with file, line and key."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from lab.coldstart import yamlfile
from lab.coldstart.plan import Seconds
from lab.errors import PlanError, UsageError
from lab.loadtest.targets.sizes import HOST, Size
from lab.schema import Frozen
from lab.stats.ratios import ENOUGH

_BYTES: Final = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmg]?)(i?)b\s*$", re.IGNORECASE)
_POWER: Final = {"": 0, "k": 1, "m": 2, "g": 3}


@unique
class Ceiling(StrEnum):
    """What can be held to a ceiling, by its key in the file."""

    IMAGE_COMPRESSED = "image_compressed"
    """Bytes of the layers as a registry has them: what is pulled."""
    IMAGE_UNPACKED = "image_unpacked"
    """Bytes of the layers on the engine's disk."""
    COLD_START = "cold_start"
    """Seconds of a fresh start, to the answer of the first prediction: the median."""
    WARM_P95 = "warm_p95"
    """Seconds of a request on a connection that is open, one after another."""
    PEAK_MEMORY = "peak_memory"
    """Bytes that the container's cgroup held at most, under those requests: the median."""
    USD_PER_MILLION = "usd_per_million"
    """Dollars for a million warm requests, data in and out included: the median."""


EXACT: Final = frozenset({Ceiling.IMAGE_COMPRESSED, Ceiling.IMAGE_UNPACKED})
"""What is read and not measured: it has no interval."""


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _BYTES.match(value)
    if found is None:
        raise ValueError(f"{value!r} is no size in bytes; write it like 60MB, 512MiB or 1.2GB")
    return float(found[1]) * (1024 if found[3] else 1000) ** _POWER[found[2].lower()]


def _size(value: str) -> str:
    try:
        return Size.parse(value).name
    except UsageError as error:
        raise ValueError(str(error)) from error


Bytes = Annotated[float, BeforeValidator(_bytes), Field(gt=0, allow_inf_nan=False)]
Limit = Annotated[Seconds, Field(gt=0, allow_inf_nan=False)]
SizeName = Annotated[str, BeforeValidator(str), AfterValidator(_size)]
"""YAML takes 2048 for a number."""


class Measure(Frozen):
    """How much is measured."""

    cold: int = Field(default=10, ge=ENOUGH, le=1000, strict=True)
    """Containers that are started anew; fewer give no interval of 95 %."""
    warm: int = Field(default=400, ge=100, le=1_000_000, strict=True)
    """Requests, shared by those containers; fewer say nothing sure of a p95."""


class Ceilings(Frozen):
    """At least one; MB are 10^6 bytes, as the lab and registries print them, MiB 2^20."""

    image_compressed: Bytes | None = None
    image_unpacked: Bytes | None = None
    cold_start: Limit | None = None
    warm_p95: Limit | None = None
    peak_memory: Bytes | None = None
    usd_per_million: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class Budget(Frozen):
    """A file, with every default filled in."""

    image: str = Field(min_length=1)
    """Its reference; or a variant of the lab's, which is built."""
    payload: Path | None = None
    content_type: str | None = Field(default=None, min_length=1)
    model: str | None = None
    """One of the lab's models."""
    model_data: str | None = None
    """A ``model.tar.gz``, the folder that one unpacks to, or what lies at ``s3://``."""
    size: SizeName = HOST.name
    measure: Measure = Measure()
    ceilings: Ceilings
    prices: Path | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.asked:
            raise ValueError(f"ceilings is empty: name at least one of {', '.join(Ceiling)}")
        if self.model is not None and self.model_data is not None:
            raise ValueError("model and model_data are both given: name one")
        if Ceiling.USD_PER_MILLION in self.asked and self.size == HOST.name:
            raise ValueError(
                "size is missing: usd_per_million depends on it; write a memory size like 2048, "
                "or an instance type"
            )
        return self

    @property
    def asked(self) -> Mapping[Ceiling, float]:
        """The limits that were given: bytes, seconds, dollars."""
        found = {one: getattr(self.ceilings, one.value) for one in Ceiling}
        return {one: float(limit) for one, limit in found.items() if limit is not None}


@dataclass(frozen=True, kw_only=True)
class BudgetFile:
    """A budget, and where its ceilings stand."""

    path: Path
    """As it was given."""
    budget: Budget
    lines: Mapping[Ceiling, int]


_FIELDS: Final[Mapping[yamlfile.Location, Collection[str]]] = {
    (): tuple(Budget.model_fields),
    ("measure",): tuple(Measure.model_fields),
    ("ceilings",): tuple(Ceilings.model_fields),
}


def load(path: Path, *, image: str | None = None) -> BudgetFile:
    """Read and check a budget; ``image`` takes the place of the file's.

    Files that it names lie beside it. Raises ``PlanError`` that names file, line and key.
    """
    file = yamlfile.read(path, what="a budget", fields=_FIELDS)
    for key in ("payload", "prices", "model_data"):
        given = file.data.get(key)
        if isinstance(given, str) and not given.startswith("s3://"):
            file.anchor(key)
            if not Path(file.data[key]).exists():
                raise PlanError(f"{path}:{file.line(key)}: {key}: there is no {given}.")
    if image is not None:
        file.data["image"] = image
    try:
        budget = Budget.model_validate(file.data)
    except ValidationError as error:
        raise file.error(error.errors()[0]) from error
    lines = {one: file.line("ceilings", one.value) for one in budget.asked}
    return BudgetFile(path=path, budget=budget, lines=lines)
