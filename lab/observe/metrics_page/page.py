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
import json, os, sys
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
root, service = sys.argv[1:]
sys.path[:0] = [root, service]
from app.metrics import Metrics
from app.tasks.image_classification import ImageClassification
from lab.observe.metrics_page.registry import described
metrics = Metrics()
metrics.describe(ImageClassification.features, None)
found = described(metrics.open()._registry)
print(json.dumps([[one.name, one.type, one.labels, one.help] for one in found]))
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


def inference() -> Sequence[Metric]:
    """The inference service's. Raises ``CommandError`` when it cannot be asked."""
    words: list[str | Path] = [sys.executable, "-c", _COUNT, ROOT, SERVICES / "inference"]
    return sorted(
        Metric(name=name, type=kind, labels=tuple(labels), help=text)
        for name, kind, labels, text in json.loads(run(words).stdout)
    )


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
