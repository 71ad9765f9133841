"""A plan: what to run, checked and with every default filled in."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lab.artifacts import store
from lab.errors import UsageError
from lab.host import this_machine
from lab.schema import Frozen
from lab.spec import FLOOR, HOST_TIER, Platform, StartKind, Tier
from lab.units import parse_rate


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """``unknown variant 'onxx'; did you mean onnx?``, or else what there is."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
    return f"unknown {kind} {name!r}; {hint}"


MAX_PROBE_INTERVAL_S: Final = 0.020
"""Probes further apart would make ``ready`` too coarse for a start of a few hundred ms."""

MAX_READY_TIMEOUT_S: Final = 480.0
"""SageMaker gives up on a container that has not answered ``/ping`` with 200 after 8 minutes."""

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|min)\s*$")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0}


def variant_name(image: str) -> str:
    """An image reference as a variant's name: ``ghcr.io/me/srv:1.2`` is ``me-srv-1.2``."""
    path = image.partition("@")[0]
    first, slash, rest = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        path = rest
    name = re.sub(r"[^a-z0-9._]+", "-", path.lower().removesuffix(":latest")).strip("-._")
    return name or "image"


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _DURATION.match(value)
    if not found:
        raise ValueError(f"{value!r} is not a duration; write it like 10ms, 0.01 or 8min")
    return float(found[1]) * _SECONDS[found[2]]


def _rate(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_rate(value)
    except UsageError as error:
        raise ValueError(str(error)) from error


def _tier(value: Any) -> Any:
    match value:
        case Tier():
            return value
        case "host":
            return HOST_TIER
        case int() if value > 0 and not isinstance(value, bool):
            return Tier(memory_mb=value)
        case str() if value.isdecimal():
            return Tier(memory_mb=int(value))
        case _:
            raise ValueError(f"{value!r} is not a tier; write memory in MB, or host")


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str | int | Tier) else value


def _known(kind: str) -> Callable[[str, ValidationInfo], str]:
    """Accept a name only if the context has it; without a context any will do."""

    def check(name: str, info: ValidationInfo) -> str:
        known = (info.context or {}).get(f"{kind}s")
        whose = store.base(name)[0] if kind == "model" else name
        if known is not None and name != FLOOR and whose not in known:
            raise ValueError(unknown(kind, name, known))
        return name

    return check


VariantName = Annotated[str, AfterValidator(_known("variant"))]
ModelName = Annotated[str, AfterValidator(_known("model"))]
Seconds = Annotated[float, BeforeValidator(_duration)]
Rate = Annotated[int, BeforeValidator(_rate), Field(gt=0)]
TierField = Annotated[
    Tier,
    BeforeValidator(_tier),
    PlainSerializer(lambda tier: tier.memory_mb or tier.name),
]


class OwnImage(Frozen):
    """An image that the lab did not make, and what to ask of it."""

    image: str = Field(min_length=1)
    payload: Path
    """Sent as the body of ``POST /invocations``."""
    content_type: str = Field(min_length=1)
    model_data: Path | None = None
    """A ``model.tar.gz`` to be unpacked at ``/opt/ml/model``."""

    @property
    def variant(self) -> str:
        """Its name in tables."""
        return variant_name(self.image)

    @property
    def model(self) -> str:
        """The name of what it serves: the archive's, or that it is in the image."""
        return "in-image" if self.model_data is None else self.model_data.name.partition(".")[0]


class Plan(Frozen):
    """What to measure. ``floor`` is added to every plan and need not be named."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=60)
    summary: str = ""
    variants: Annotated[tuple[VariantName, ...], BeforeValidator(_one_or_many)] = ()
    models: Annotated[tuple[ModelName, ...], BeforeValidator(_one_or_many)] = ()
    platforms: Annotated[tuple[Platform, ...], BeforeValidator(_one_or_many)] = Field(
        default_factory=lambda: (this_machine(),), min_length=1
    )
    tiers: Annotated[tuple[TierField, ...], BeforeValidator(_one_or_many)] = Field(
        default=(HOST_TIER,), min_length=1
    )
    start_kinds: Annotated[tuple[StartKind, ...], BeforeValidator(_one_or_many)] = Field(
        default=(StartKind.FRESH,), min_length=1
    )
    repeats: Mapping[StartKind, Annotated[int, Field(ge=1, le=10_000, strict=True)]]
    """Measured trials of each cell, warm-up not counted; one number stands for every kind."""
    warm_up: tuple[StartKind, ...]
    """The start kinds of block 0; ``true`` is all, ``false`` none."""
    seed: Annotated[int, Field(strict=True)] = 1
    probe_interval: Seconds = Field(default=0.010, gt=0, le=MAX_PROBE_INTERVAL_S)
    """Seconds between two probes: the error bar of ``ready``."""
    ready_timeout: Seconds = Field(default=120.0, gt=0, le=MAX_READY_TIMEOUT_S)
    """Seconds after it has started until the lab gives up on a container."""
    bandwidth: Rate = 1_000_000_000
    """Bits per second of the link that ``pull`` and ``ondemand`` trials go over."""
    chunk_latency: Seconds = Field(default=0.0005, ge=0, le=1.0)
    """Seconds that each chunk of an ``ondemand`` image takes beside its bytes.

    The lab's choice, for a cache in the same zone: AWS publishes how often its caches hit, and no
    latency. What the study's figures allow (``lab report predict``) is 0.2 ms for a chunk with its
    bytes, or less."""
    own: OwnImage | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Spread the short forms of ``repeats`` and ``warm_up`` over the start kinds."""
        if not isinstance(data, Mapping):
            return data
        filled = dict(data)
        kinds = _one_or_many(filled.get("start_kinds", (StartKind.FRESH,)))
        kinds = kinds if isinstance(kinds, Sequence) else ()
        repeats = filled.get("repeats", 10)
        if isinstance(repeats, int) and not isinstance(repeats, bool):
            filled["repeats"] = dict.fromkeys(kinds, repeats)
        match filled.get("warm_up", True):
            case True:
                filled["warm_up"] = tuple(kinds)
            case False:
                filled["warm_up"] = ()
            case str() as one:
                filled["warm_up"] = (one,)
            case _:
                pass
        return filled

    @field_validator("variants", "models", "platforms", "tiers", "start_kinds")
    @classmethod
    def _no_twins(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        twins = [item for index, item in enumerate(value) if item in value[:index]]
        if twins:
            raise ValueError(f"{getattr(twins[0], 'name', twins[0])} is named twice")
        return value

    @field_validator("variants")
    @classmethod
    def _without_floor(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in value if name != FLOOR)

    @field_validator("repeats")
    @classmethod
    def _every_kind(
        cls, value: Mapping[StartKind, int], info: ValidationInfo
    ) -> dict[StartKind, int]:
        kinds = info.data.get("start_kinds", ())
        for kind in kinds:
            if kind not in value:
                raise ValueError(f"no number for {kind}, which is in start_kinds")
        _check_kinds(value, kinds)
        return {kind: value[kind] for kind in kinds}

    @field_validator("warm_up")
    @classmethod
    def _planned_kinds(
        cls, value: tuple[StartKind, ...], info: ValidationInfo
    ) -> tuple[StartKind, ...]:
        _check_kinds(value, info.data.get("start_kinds", value))
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.variants and self.own is None:
            raise ValueError("variants is missing: name at least one")
        if self.variants and not self.models:
            raise ValueError("models is missing: name at least one")
        if self.own is not None and self.own.variant in (*self.variants, FLOOR):
            raise ValueError(f"image {self.own.image} has the name of a variant in this plan")
        return self

    @property
    def all_variants(self) -> tuple[str, ...]:
        """The variants that the lab builds and this plan needs, the floor last."""
        return (*self.variants, FLOOR)


def _check_kinds(named: Iterable[StartKind], planned: Collection[StartKind]) -> None:
    for kind in named:
        if kind not in planned:
            raise ValueError(f"{kind} is not in start_kinds")
