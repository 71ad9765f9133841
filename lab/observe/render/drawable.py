"""What is drawn of Grafana's panels: the closed list of ``drawable.yaml``, the rest by name."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, Final

import yaml

_Rules = Mapping[str, Sequence[object]]
_LISTED: Final[Mapping[str, _Rules]] = yaml.safe_load(
    resources.files(__package__).joinpath("drawable.yaml").read_text(encoding="utf-8")
)
_EVERYWHERE: Final = "everywhere"
KINDS: Final = tuple(kind for kind in _LISTED if kind != _EVERYWHERE)


def undrawn(panel: Mapping[str, Any]) -> Sequence[str]:
    """Each feature of a panel's JSON that is not on the list, by its path and value."""
    kind = panel.get("type")
    if kind not in KINDS:
        return [f"type {kind} (drawn: {', '.join(KINDS)})"]
    found = [
        (f"{path} {value}" if path == rule else rule)
        + (f" (drawn: {', '.join(map(str, drawn))})" if drawn else "")
        for rule, drawn in rules(str(kind)).items()
        for path, value in leaves(panel)
        if f"{path}.".startswith(f"{rule}.") and value not in drawn
    ]
    found += [
        f"a query of the data source {(target.get('datasource') or {}).get('type')} without PromQL"
        for target in panel.get("targets") or []
        if "expr" not in target
    ]
    return list(dict.fromkeys(found))


def rules(kind: str) -> _Rules:
    """Every listed path of a kind with the values that are drawn."""
    return {**_LISTED[_EVERYWHERE], **_LISTED[kind]}


def leaves(panel: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Every path and value of a panel's JSON; an override counts like a default."""
    yield from _leaves(panel, "")
    for override in (panel.get("fieldConfig") or {}).get("overrides") or []:
        for one in override.get("properties") or []:
            yield from _leaves(one.get("value"), f"fieldConfig.defaults.{one.get('id')}")


def _leaves(value: Any, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path)
    elif value not in (None, ""):
        yield path, value
