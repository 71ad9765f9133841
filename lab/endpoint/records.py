"""What the emulator remembers: rows of its store. Bodies are in the API's own shapes.

Times are seconds since the epoch, as the JSON protocol sends them.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any, Literal, TypeVar

Body = Mapping[str, Any]
"""A request or an answer of the control plane, as botocore's model describes it."""

ResourceKind = Literal["model", "config"]


@unique
class Status(StrEnum):
    """``EndpointStatus``, the values that the emulator uses."""

    CREATING = "Creating"
    UPDATING = "Updating"
    IN_SERVICE = "InService"
    ROLLING_BACK = "RollingBack"
    FAILED = "Failed"
    DELETING = "Deleting"

    @property
    def under_way(self) -> bool:
        """Whether the endpoint changes by itself."""
        return self not in {Status.IN_SERVICE, Status.FAILED}


@unique
class EndpointKind(StrEnum):
    """How an endpoint is called and paid for."""

    REAL_TIME = "real-time"
    SERVERLESS = "serverless"
    ASYNC = "async"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A model or an endpoint configuration: immutable, as the request that made it."""

    name: str
    arn: str
    created_at: float
    body: Body


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What a variant was deployed with: its names were resolved once, whatever they mean by now."""

    image_id: str
    """The image's id in the engine, ``sha256:...``."""
    resolved_image: str
    """``REGISTRY/REPOSITORY@sha256:...``"""
    pull_from: str | None = None
    """Its name in a registry, by digest; None for one that only the engine has."""
    resolved_at: float
    data_etag: str | None = None
    """Of the model's object; of a prefix, a digest of its objects' keys and ETags."""
    data_bytes: int = 0
    """Of the model's object."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """An endpoint configuration with its models and tags, as they were at one instant."""

    config: Resource
    models: Mapping[str, Resource]
    """Those that there were, by name."""
    tags: Mapping[str, str]
    pins: Mapping[str, Pin] = field(default_factory=dict)
    """What its variants' names stand for, by variant, once that was resolved."""


@dataclass(frozen=True, kw_only=True)
class VariantState:
    """What may change of a production variant while its endpoint lives."""

    name: str
    weight: float
    count: int
    """Instances wanted; 0 for serverless."""
    max_concurrency: int | None = None
    """Serverless: as last updated; None is the configuration's."""
    provisioned_concurrency: int | None = None
    """Serverless: as last updated; None is the configuration's."""


@dataclass(frozen=True, kw_only=True)
class EndpointRecord:
    """An endpoint. The control plane writes what is wanted, ``fleet`` what has become of it."""

    name: str
    arn: str
    created_at: float
    modified_at: float
    status: Status
    config_name: str
    """The configuration in service; while CREATING the first one."""
    failure_reason: str | None = None
    pending_config: str | None = None
    """While UPDATING to another configuration: its name."""
    pending: Mapping[str, VariantState] | None = None
    """While UPDATING weights and capacities: what is wanted, by variant name."""
    deployment: Body = field(default_factory=dict)
    """``DeploymentConfig`` of the last create or update."""
    retain: Body = field(default_factory=dict)
    """``RetainAllVariantProperties`` and ``ExcludeRetainedVariantProperties`` of an update."""
    variants: Mapping[str, VariantState] = field(default_factory=dict)
    """In service now, shadows included."""
    generation: int = 0
    """Grows with each fleet that is built: servers of an older one are not this one's."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Its configurations as they were when it was told to use them, by name: they may be deleted,
    or made anew under the same name, while it lives."""

    @property
    def pins(self) -> Sequence[Pin]:
        """Of what it serves, and of what it is being updated to."""
        if self.status is Status.FAILED:
            return ()
        names = {self.config_name, self.pending_config}
        known = [origin for name, origin in self.origins.items() if name in names]
        return [pin for origin in known for pin in origin.pins.values()]


@dataclass(frozen=True, kw_only=True)
class ServerRecord:
    """A model container that was started for an endpoint and not yet removed."""

    id: str
    """``i-0a1b...`` for an instance, a UUID for a serverless container."""
    endpoint: str
    variant: str
    generation: int
    container: str
    """The container's name in the engine."""
    created_at: float


@dataclass(frozen=True, kw_only=True)
class AsyncRecord:
    """An asynchronous invocation that was accepted and has not ended."""

    id: str
    endpoint: str
    inference_id: str
    accepted_at: float
    expires_at: float
    request: Body
    """Headers and places: see ``lab.endpoint.runtime.async_queue``."""


Record = TypeVar("Record", Resource, EndpointRecord, ServerRecord, AsyncRecord)


def to_json(row: Resource | EndpointRecord | ServerRecord | AsyncRecord) -> str:
    """One line of ASCII, whatever the strings in it hold."""
    return json.dumps(dataclasses.asdict(row), separators=(",", ":"))


def from_json(kind: type[Record], text: str) -> Record:
    """What ``to_json`` wrote, by this or another version of the lab.

    A field that this version lacks is dropped, one that the text lacks has its default. Raises
    ``ValueError``, ``TypeError`` or ``KeyError`` when it is no such record.
    """
    known = {field.name for field in dataclasses.fields(kind)}
    values = {key: value for key, value in json.loads(text).items() if key in known}
    if kind is EndpointRecord:
        values["status"] = Status(values["status"])
        for states in ("variants", "pending"):
            if values.get(states) is not None:
                values[states] = _states(values[states])
        origins = values.get("origins", {}).items()
        values["origins"] = {name: _origin(**origin) for name, origin in origins}
    return kind(**values)


def _origin(
    config: Body,
    models: Mapping[str, Body],
    tags: Mapping[str, str],
    pins: Mapping[str, Mapping[str, Any]] | None = None,
) -> Origin:
    return Origin(
        config=Resource(**config),
        models={name: Resource(**model) for name, model in models.items()},
        tags=tags,
        pins={name: Pin(**pin) for name, pin in (pins or {}).items()},
    )


def _states(values: Mapping[str, Mapping[str, Any]]) -> dict[str, VariantState]:
    known = {field.name for field in dataclasses.fields(VariantState)}
    return {
        name: VariantState(**{key: value for key, value in state.items() if key in known})
        for name, state in values.items()
    }
