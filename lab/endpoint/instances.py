"""SageMaker's instance types, and what a container that stands for one gets on this machine."""

import csv
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Final

from lab.spec import MB_PER_VCPU, Platform

GIB: Final = 1024**3
_MIB: Final = 1024**2
SERVERLESS_DISK_BYTES: Final = 5 * GIB
LARGE: Final = {Platform.AMD64: "ml.m5.large", Platform.ARM64: "ml.m6g.large"}
"""A small general instance of 2 vCPU and 8 GiB with each processor, for the lab's own endpoints."""

_ARM: Final = "arm64"


@dataclass(frozen=True, kw_only=True)
class Compute:
    """What a container gets. None: no limit but the machine's."""

    memory_bytes: int | None
    cpus: float | None
    disk_bytes: int | None = None
    """What it may write; None is not watched."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What there is to give: of the engine's machine, which need not be this one."""

    cpus: int
    memory_bytes: int
    platform: Platform | None = None
    """What its processors run without emulation; None where that does not matter."""


@dataclass(frozen=True, kw_only=True)
class InstanceType:
    """A row of ``instances.csv``, which says where it is from and when it was read."""

    name: str
    vcpus: int
    memory_bytes: int
    architecture: str
    """``x86_64`` or ``arm64``."""
    accelerator: str | None
    """``gpu``, ``neuron``, ...: the lab has none."""

    @property
    def platform(self) -> Platform:
        """What its images must be for."""
        return Platform.ARM64 if self.architecture == _ARM else Platform.AMD64

    @property
    def processor(self) -> str:
        """``arm64 (Graviton)`` or ``x86-64``, for people."""
        if self.platform is Platform.AMD64:
            return "x86-64"
        return "arm64" if self.accelerator else "arm64 (Graviton)"


@functools.cache
def table() -> dict[str, InstanceType]:
    """Every instance type that a production variant may name, by its ``ml.`` name."""
    text = resources.files("lab.endpoint").joinpath("instances.csv").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {
        row["type"]: InstanceType(
            name=row["type"],
            vcpus=int(row["vcpus"]),
            memory_bytes=int(float(row["memory_gib"]) * GIB),
            architecture=row["architecture"],
            accelerator=row["accelerator"] or None,
        )
        for row in csv.DictReader(lines)
    }


def platform_of(instance_type: str | None) -> Platform:
    """What its processors run; None is serverless, which is x86-64, and so is an unknown type."""
    known = table().get(instance_type or "")
    return Platform.AMD64 if known is None else known.platform


def instance_compute(name: str, machine: Machine) -> Compute:
    """What a container on that instance type gets: all of it, capped by the machine.

    A type that the table lacks gets what the machine has.
    """
    known = table().get(name)
    if known is None:
        return Compute(memory_bytes=None, cpus=None)
    return Compute(
        memory_bytes=min(known.memory_bytes, machine.memory_bytes),
        cpus=float(min(known.vcpus, machine.cpus)),
    )


def serverless_compute(memory_mb: int, machine: Machine) -> Compute:
    """A memory tier with the CPU share that goes with it, and 5 GB of disk."""
    return Compute(
        memory_bytes=min(memory_mb * _MIB, machine.memory_bytes),
        cpus=min(memory_mb / MB_PER_VCPU, float(machine.cpus)),
        disk_bytes=SERVERLESS_DISK_BYTES,
    )


def instance_note(name: str, machine: Machine) -> str | None:
    """What a container on this machine has not that the instance type has; None if nothing."""
    known = table().get(name)
    if known is None:
        return f"{name} is not in the lab's table of instance types: run without limits."
    if known.accelerator:
        return f"{name} has an accelerator ({known.accelerator}), which the lab does not emulate."
    notes = []
    if machine.platform not in {None, known.platform}:
        notes.append(
            f"{name} has {known.processor} processors, which this machine emulates: how long "
            "anything takes says nothing of real ones."
        )
    notes += _smaller(machine, f"an {name}", f"{known.vcpus}", known.vcpus, known.memory_bytes)
    return " ".join(notes) or None


def serverless_note(memory_mb: int, machine: Machine) -> str | None:
    """The same for a memory tier of serverless inference."""
    notes = []
    if machine.platform is Platform.ARM64:
        notes.append(
            "AWS documents x86-64 images only for serverless endpoints; that the lab runs an arm64 "
            "one, on this arm64 machine, does not say that AWS would."
        )
    share = memory_mb / MB_PER_VCPU
    notes += _smaller(machine, f"the {memory_mb} MB tier", f"{share:.2f}", share, memory_mb * _MIB)
    return " ".join(notes) or None


def _smaller(
    machine: Machine, than: str, share: str, vcpus: float, memory_bytes: int
) -> Iterator[str]:
    short = []
    if machine.cpus < vcpus:
        short.append(f"{machine.cpus} of {share} vCPU")
    if machine.memory_bytes < memory_bytes:
        short.append(f"{_gib(machine.memory_bytes)} of {_gib(memory_bytes)} memory")
    if short:
        parts = " and ".join(short)
        yield f"This machine is smaller than {than}: the container gets {parts}."


def _gib(count: int) -> str:
    return f"{count / GIB:.4g} GiB"
