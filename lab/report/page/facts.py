"""What was measured on, as lines for a reader: ``run.json`` without its long parts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.report.summary import Results
from lab.units import format_bytes, format_rate, format_seconds


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A line of what was measured on."""

    name: str
    value: str
    code: bool = False


def facts(results: Results) -> Sequence[tuple[str, Sequence[Fact]]]:
    """What was measured on, in sections."""
    run = results.recorded.run
    rows = [row for row in results.summary.rows if not row.emulated]
    chunks = next((row.chunks for row in rows if row.chunks), None)
    probe = [row.probe_interval_s for row in rows if row.probe_interval_s]
    commit = f"{run.git_commit or 'unknown'}{' with uncommitted changes' * bool(run.git_dirty)}"
    lab = {
        "run": run.id,
        "started": run.started_at,
        "lab": run.lab_version,
        "commit": commit,
        "plan": run.plan_name,
        "seed": run.seed,
        "bandwidth_bits_per_s": run.bandwidth_bits_per_s,
        "chunk_bytes": chunks.chunk_bytes if chunks else None,
        "chunk_latency_s": run.chunk_latency_s,
        "probe_interval_s": max(probe, default=None),
    }
    sections: list[tuple[str, Mapping[str, Any]]] = [
        ("Run", lab),
        ("Host", run.host),
        ("Engine", run.engine),
        ("Base image", run.base_image),
    ]
    sections += [(f"Model {m.name} ({m.archive})", m.model_dump()) for m in run.models]
    return [(title, lines(values)) for title, values in sections]


def lines(values: Mapping[str, Any]) -> Sequence[Fact]:
    """What a mapping tells, as lines; what it does not know is left out."""
    return list(_flat(values))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[Fact]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name} ")
        elif isinstance(value, list | tuple):
            if value:
                yield Fact(name=_name(name), value="; ".join(str(item) for item in value))
        elif value is not None and value != "":
            yield Fact(name=_name(name), value=_value(name, value), code=_is_code(value))


def _name(key: str) -> str:
    for ending in ("_bytes", "_bits_per_s", "_s"):
        key = key.removesuffix(ending)
    return key.replace("_", " ")


def _value(key: str, value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and key.endswith("_bits_per_s"):
        return format_rate(value)
    if number and (key.endswith("_bytes") or key == "bytes"):
        return format_bytes(value)
    if number and key.endswith("_s"):
        return format_seconds(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _is_code(value: Any) -> bool:
    return isinstance(value, str) and (value.startswith("sha256:") or len(value) >= 40)
