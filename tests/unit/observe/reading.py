"""What the tests of the boards read out of dashboards, PromQL and the code's own registries."""

import json
import re
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry

from app.metrics import Metrics as Inference
from app.tasks.image_classification import ImageClassification
from lab.endpoint.metrics.counters import Counters as Emulator
from lab.endpoint.metrics.gauges import Present
from lab.observe import names
from lab.observe.boards.generate import FOLDER
from models.recommender_niser.task import Task as Sessions
from tests.unit.observe.series import BUILT_IN, CONTAINERS, RECORDED

Json = dict[str, Any]

TASKS = (ImageClassification, Sessions)
"""Whose features the boards show."""
UIDS = (
    *("lab-endpoints", "lab-coldstart", "lab-container", "lab-model", "lab-compare"),
    "lab-load",
)
GIVEN = {"__range", "__rate_interval", "__interval", "__all"}
"""Variables that Grafana has of itself."""

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^{}]*)\}")
_LISTS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_WORD = re.compile(r"[a-zA-Z_:][\w:]*")
_KEYWORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring"}


def board(uid: str) -> Json:
    found: Json = json.loads((FOLDER / f"{uid}.json").read_text(encoding="utf-8"))
    return found


def queries(of: Json) -> Iterator[tuple[str, str]]:
    """The title of each panel and each of its queries."""
    for panel in of["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def variable_queries(of: Json) -> Iterator[tuple[str, str]]:
    """Name and query of each variable."""
    for one in of["templating"]["list"]:
        yield one["name"], one["query"]["query"]


def variables_in(text: str) -> set[str]:
    return {one or other for one, other in re.findall(r"\$(?:\{(\w+)|(\w+))", text)}


def metrics_in(expr: str) -> set[str]:
    """The names of the series that an expression asks for."""
    if (asked := re.fullmatch(r"label_values\((.+), \w+\)", expr)) is not None:
        expr = asked[1]
    bare = re.sub(r"\{[^{}]*\}|\[[^\]]*\]", "", _LISTS.sub("", _TEXT.sub('""', expr)))
    return {
        found[0]
        for found in _WORD.finditer(bare)
        if found[0] not in _KEYWORDS and not bare[found.end() :].lstrip().startswith("(")
    }


def matchers_in(expr: str) -> Iterator[tuple[str, set[str]]]:
    """Each series asked for with the labels it is asked by."""
    for name, inside in _SELECTOR.findall(_TEXT.sub('""', expr)):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))


def grouped_in(expr: str) -> set[str]:
    """The labels that an expression groups by."""
    found = _LISTS.findall(_TEXT.sub('""', expr))
    return {label.strip() for _, inside in found for label in inside.split(",") if label.strip()}


def from_code() -> dict[str, set[str]]:
    """Every series that the emulator and the inference service make, with its labels."""
    registry = CollectorRegistry()
    emulator = Emulator(registry=registry)
    found: dict[str, set[str]] = {}
    for family in emulator.families:
        found |= _series(family._name, family._type, set(family._labelnames))
    nothing: Any = _Nothing()
    for present in Present(fleet=nothing, sampler=nothing, backlogs=tuple, records=tuple).collect():
        found |= _series(present.name, present.type, set(present._labelnames))
    for task in TASKS:
        inference = Inference()
        inference.describe(task.features, None)
        for collector in inference.open()._registry._collector_to_names:
            told: Any = collector
            labels = {*told._labelnames, *names.DISCOVERED}
            found |= _series(told._name, told._type, labels)
    return found


def known() -> dict[str, set[str]]:
    """What a query may ask for."""
    listed = {name: one.labels for name, one in names.PUSHED.items()}
    listed |= {**CONTAINERS, **RECORDED, **BUILT_IN}
    of_targets = {"scrape_duration_seconds": set(names.DISCOVERED), "up": set(names.DISCOVERED)}
    known = {name: set(labels) for name, labels in listed.items()}
    for name, labels in of_targets.items():
        known[name] |= labels
    return known | from_code()


def _series(name: str, kind: str, labels: set[str]) -> dict[str, set[str]]:
    if kind == "counter":
        return {f"{name}_total": labels}
    if kind == "histogram":
        sums = {f"{name}_sum": labels, f"{name}_count": labels}
        return {f"{name}_bucket": labels | {"le"}, **sums}
    return {name: labels}


class _Nothing:
    """No endpoint, no usage, no queue."""

    def endpoints(self) -> tuple[()]:
        return ()

    usage = oom_kills = vitals = endpoints
