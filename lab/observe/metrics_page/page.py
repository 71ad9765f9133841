"""``docs/metrics.md``: every metric there is, from the code that makes it."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from inspect import signature
from pathlib import Path
from typing import Any, Final

import jinja2
import yaml
from prometheus_client import CollectorRegistry

from lab.endpoint.metrics.counters import Counters
from lab.observe.metrics_page.registry import Metric, described
from lab.observe.names import BENCH, CELL, DISCOVERED, LOAD, Gauge
from lab.paths import ROOT, SERVICES
from lab.process import run

FILE: Final = ROOT / "docs" / "metrics.md"
RULES: Final = SERVICES / "prometheus" / "rules"

_COUNT: Final = r"""
import importlib, json, os, sys
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
root, service, *modules = sys.argv[1:]
sys.path[:0] = [root, service]
from app.metrics import Metrics
from lab.observe.metrics_page.registry import described
def told(features):
    metrics = Metrics()
    metrics.describe(features, None)
    return sorted(described(metrics.open()._registry))
found = {"": told(())}
for name in modules:
    for one in vars(importlib.import_module(name)).values():
        if getattr(one, "__module__", "") == name and hasattr(one, "features"):
            found[name] = [metric for metric in told(one.features) if metric not in found[""]]
print(json.dumps({
    name: [[one.name, one.type, one.labels, one.help] for one in metrics]
    for name, metrics in found.items()
}))
"""
"""The service is asked in a process of its own: the tool never imports what runs in containers."""


class _Nothing:
    """A fleet without endpoints, a sampler without samples, queues without requests."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: ()

    def __call__(self) -> tuple[()]:
        """Nothing, for what is a function itself."""
        return ()


def emulator() -> Sequence[Metric]:
    """The emulator's."""
    registry = CollectorRegistry()
    metrics = Counters(registry=registry)
    # Whatever it asks: of each it gets nothing.
    nothing: dict[str, Any] = {name: _Nothing() for name in signature(metrics.watch).parameters}
    metrics.watch(**nothing)
    return sorted(described(registry))


def inference() -> Mapping[str, Sequence[Metric]]:
    """The inference service's: under ``""`` whatever the task, then what each task notes.

    By the task's file, seen from the project. Raises ``CommandError`` when it cannot be asked.
    """
    service = SERVICES / "inference"
    files = {
        ".".join(path.relative_to(folder).with_suffix("").parts): str(path.relative_to(ROOT))
        for folder, pattern in ((service, "app/tasks/[!_]*.py"), (ROOT, "models/*/task.py"))
        for path in sorted(folder.glob(pattern))
    }
    told = json.loads(run([sys.executable, "-c", _COUNT, ROOT, service, *files]).stdout)
    return {
        files.get(module, ""): [
            Metric(name=name, type=kind, labels=tuple(labels), help=text)
            for name, kind, labels, text in rows
        ]
        for module, rows in told.items()
    }


def bench() -> Sequence[Metric]:
    """The benches'."""
    return _gauges(BENCH, {"lab_bench_run_info": ("engine", "commit")})


def load() -> Sequence[Metric]:
    """The loads'."""
    return _gauges(LOAD, {})


def _gauges(table: Mapping[str, Gauge], extra: Mapping[str, tuple[str, ...]]) -> Sequence[Metric]:
    return [
        Metric(name=name, type="gauge", labels=(*labels, *extra.get(name, ())), help=text)
        for name, (labels, text) in table.items()
    ]


def recorded(folder: Path = RULES) -> Iterator[tuple[str, Sequence[str], str]]:
    """Each recording rule: its name, the labels it has, the file it is in."""
    for path in sorted(folder.glob("*.yml")):
        found: dict[str, Sequence[str]] = {}
        for group in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("groups") or ():
            for rule in group.get("rules") or ():
                if "record" in rule:
                    name = rule["record"]
                    found.setdefault(name, (*_level(name), *sorted(rule.get("labels") or ())))
        for name, labels in found.items():
            yield name, labels, path.name


def render() -> str:
    """The page's text."""
    template = jinja2.Template(
        resources.files(__package__).joinpath("metrics.md.j2").read_text(encoding="utf-8"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    text: str = template.render(
        discovered=DISCOVERED,
        emulator=emulator(),
        inference=inference(),
        bench=bench(),
        load=load(),
        rules=recorded(),
    )
    return text


def _level(name: str) -> Sequence[str]:
    """The labels that a rule's result has, by its name."""
    level = name.partition(":")[0]
    known: Mapping[str, Sequence[str]] = {"cell": CELL, "objective": ()}
    return known[level] if level in known else level.split("_")
