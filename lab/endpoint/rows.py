"""Records to JSON and back: a row of the store is one JSON text, so that a field may be added."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from lab.endpoint.records import AsyncRecord, EndpointRecord, Resource, ServerRecord, Status
from lab.endpoint.records import VariantState as State

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
    return kind(**values)


def _states(values: Mapping[str, Mapping[str, Any]]) -> dict[str, State]:
    known = {field.name for field in dataclasses.fields(State)}
    return {
        name: State(**{key: value for key, value in state.items() if key in known})
        for name, state in values.items()
    }
