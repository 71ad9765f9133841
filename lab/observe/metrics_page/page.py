"""``docs/metrics.md``: every metric there is, from the code that makes it."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client import CollectorRegistry

from lab.endpoint.metrics.counters import Counters
from lab.observe.metrics_page.registry import Metric, described
from lab.observe.names import BENCH, CELL, DISCOVERED
from lab.observe.runs.readings import HELP
from lab.paths import ROOT, SERVICES
from lab.process import run

FILE: Final = ROOT / "docs" / "metrics.md"
RULES: Final = SERVICES / "prometheus" / "rules"

_HEAD: Final = """\
# Metrics

Made by `lab observe metrics` from the code: do not edit. A test holds it equal.

Units are base units. A *histogram* `x` is asked for as `x_bucket` (with the label `le`), `x_sum`
and `x_count`. Prometheus adds `job` and `instance` to all of them, and where a container was found
by the emulator's service discovery, {discovered}.
"""

_EMULATOR: Final = """\
CloudWatch's metrics of an endpoint under Prometheus's names; each help text begins with
CloudWatch's own. `variant` is SageMaker's production variant. Job `endpoint`, from the emulator's
`/metrics`; made by
{source}.
"""

_INFERENCE: Final = """\
What a model container counts itself. Job `model`, from `/metrics` on its port; made by
{source}.
With several workers it is the sum of all of them.
"""

_BENCH: Final = """\
Figures of `lab coldstart run`. Job `bench`, with the label `plan`: pushed to the Pushgateway as a
run ends, where they stay until the next run of the plan, or brought in later by
`lab observe replay RUN` with the times of the run. `variant` is the way of packaging. Made by
{source}.
"""

_RULES: Final = """\
Made by Prometheus itself every few seconds, named `level:metric:operations`: the level says which
labels are left (`cell`: those of a bench). What the rules say, and why, is in the files.
"""

_COUNT: Final = r"""
import json, os, sys
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
root, service = sys.argv[1:]
sys.path[:0] = [root, service]
from app.metrics import Metrics
from lab.observe.metrics_page.registry import described
found = described(Metrics().open()._registry)
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
    extra = {"lab_bench_run_info": ("engine", "commit")}
    return [
        Metric(name=name, type="gauge", labels=(*BENCH[name], *extra.get(name, ())), help=text)
        for name, text in HELP.items()
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
    places = {
        "emulator": "lab/endpoint/metrics/counters.py",
        "inference": "services/inference/app/metrics.py",
        "bench": "lab/observe/runs/readings.py",
    }
    link = {name: f"[`{path}`](../{path})" for name, path in places.items()}
    parts = [
        _HEAD.format(discovered=_code(DISCOVERED)),
        f"## Emulator\n\n{_EMULATOR.format(source=link['emulator'])}\n{_table(emulator())}",
        f"## Inference service\n\n{_INFERENCE.format(source=link['inference'])}\n"
        + _table(inference()),
        f"## Benches\n\n{_BENCH.format(source=link['bench'])}\n{_table(bench())}",
    ]
    rules = list(recorded())
    if rules:
        lines = [
            f"| `{name}` | {_code(labels)} | [{file}](../services/prometheus/rules/{file}) |"
            for name, labels, file in rules
        ]
        head = "| metric | labels | rule |\n|---|---|---|\n"
        parts.append(f"## Recording rules\n\n{_RULES}\n{head}" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _table(metrics: Sequence[Metric]) -> str:
    lines = ["| metric | type | unit | labels | what it is |", "|---|---|---|---|---|"]
    lines += [
        f"| `{one.name}` | {one.type} | {one.unit} | {_code(one.labels)} | {_cell(one.help)} |"
        for one in metrics
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _level(name: str) -> Sequence[str]:
    """The labels that a rule's result has, by its name."""
    level = name.partition(":")[0]
    known: Mapping[str, Sequence[str]] = {"cell": CELL, "objective": ()}
    return known[level] if level in known else level.split("_")
