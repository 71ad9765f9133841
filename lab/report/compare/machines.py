"""Which machine a run was measured on, and whether two runs were measured on the same one."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from lab.coldstart.record import Run
from lab.report.words import count_bytes

_NAMED: Final = ("hostname", "machine", "cpu_model", "cpus")
_ENGINE: Final = ("kind", "platform", "cpus")
_MEMORY_LIKE: Final = 0.02
"""The kernel keeps some of the memory to itself, and not every kernel the same."""


class Measured(Protocol):
    """A run, or a load."""

    @property
    def host(self) -> Mapping[str, Any]:
        """Facts of the host."""

    @property
    def engine(self) -> Mapping[str, Any] | None:
        """Facts of the engine; None where none was used."""


def same_machine(one: Measured, other: Measured) -> bool:
    """Whether the host and the engine's machine show themselves alike.

    What a run does not tell is no difference. Two machines of one type have names of their own.
    """
    if any(one.host.get(key) != other.host.get(key) for key in _NAMED):
        return False
    engine, another = one.engine or {}, other.engine or {}
    if any(engine.get(key) != another.get(key) for key in _ENGINE):
        return False
    return _alike(one.host, other.host) and _alike(engine, another)


def machine_of(run: Run) -> str:
    """``AMD EPYC, 2 CPUs, 25.3 GB, linux/amd64`` of the machine that ran the containers."""
    model = run.host.get("cpu_model") or run.host.get("machine") or "unknown processor"
    cpus = run.engine.get("cpus") or run.host.get("cpus")
    memory = run.engine.get("memory_bytes") or run.host.get("memory_bytes")
    parts = [str(model)]
    if cpus:
        parts.append(f"{cpus:g} CPUs" if cpus != 1 else "1 CPU")
    if memory:
        parts.append(count_bytes(memory))
    if run.engine.get("platform"):
        parts.append(str(run.engine["platform"]))
    return ", ".join(parts)


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    first, second = one.get("memory_bytes"), other.get("memory_bytes")
    if not first or not second:
        return bool(first) is bool(second)
    return bool(abs(first - second) <= _MEMORY_LIKE * max(first, second))
