"""What size a container is loaded at: a memory size of serverless inference, an instance type."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Self

from lab.endpoint.instances import (
    GIB,
    Compute,
    Machine,
    instance_compute,
    instance_note,
    serverless_compute,
    serverless_note,
    table,
)
from lab.engine.api import EngineFacts
from lab.errors import UsageError
from lab.spec import HOST_TIER, SERVERLESS_TIERS, Platform, Tier

_MIB: Final = 1024**2
_MEMORY: Final = re.compile(r"^(\d+)\s*(mb|mib|gb|gib)?$", re.IGNORECASE)
_WRITE: Final = (
    f"Write one of {', '.join(tier.name for tier in SERVERLESS_TIERS)} (MB of serverless "
    "inference), an instance type like ml.m5.large, or host."
)


@dataclass(frozen=True, kw_only=True)
class GivenSize:
    """What a container gets of a size on one machine."""

    compute: Compute
    notes: tuple[str, ...] = ()
    """What the machine lacks of it, in words."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """As AWS has it, whatever this machine has. ``memory_bytes`` and ``cpus`` None: no limit."""

    name: str
    """``2048``, ``ml.m5.large`` or ``host``."""
    memory_bytes: int | None
    cpus: float | None
    serverless: bool = False
    platform: Platform | None = None
    """What an image must be for to run there; None is any."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """``2048``, ``2GB``, ``ml.m5.xlarge`` or ``host``. Raises ``UsageError``."""
        name = text.strip().lower()
        if name == HOST_TIER.name:
            return cls(name=name, memory_bytes=None, cpus=None)
        if (memory := _MEMORY.match(name)) is not None:
            many = int(memory[1]) * (1024 if (memory[2] or "").startswith("g") else 1)
            return cls._of_tier(Tier(memory_mb=many), text)
        return cls._of_type(name, text)

    @classmethod
    def _of_tier(cls, tier: Tier, text: str) -> Self:
        if tier not in SERVERLESS_TIERS:
            raise UsageError(f"Serverless inference has no memory size {text}.", remedy=_WRITE)
        return cls(
            name=tier.name,
            memory_bytes=tier.memory_bytes,
            cpus=tier.cpus,
            serverless=True,
            platform=Platform.AMD64,
        )

    @classmethod
    def _of_type(cls, name: str, text: str) -> Self:
        known = table().get(name)
        if known is None:
            near = get_close_matches(name, table(), n=1)
            raise UsageError(
                f"{text!r} is no size.", remedy=f"Did you mean {near[0]}?" if near else _WRITE
            )
        return cls(
            name=name,
            memory_bytes=known.memory_bytes,
            cpus=float(known.vcpus),
            platform=known.platform,
        )

    @property
    def memory_mb(self) -> int | None:
        """In MiB, which AWS calls MB."""
        return None if self.memory_bytes is None else self.memory_bytes // _MIB

    def given(self, machine: Machine) -> GivenSize:
        """What that machine gives: no more than it has, and in words what it lacks.

        Raises ``UsageError`` for a memory size that it has not, since what is killed there would
        not be what AWS kills; and for an instance type with an accelerator.
        """
        known = table().get(self.name)
        if known is not None and known.accelerator:
            raise UsageError(
                f"{self.name} has an accelerator ({known.accelerator}), which the lab does not "
                "emulate.",
                remedy="Choose a type without one.",
            )
        if self.serverless and machine.memory_bytes < (self.memory_bytes or 0):
            fit = [one.name for one in SERVERLESS_TIERS if _fits(one, machine)]
            raise UsageError(
                f"This machine has not the memory for {self.name} MB: it has "
                f"{machine.memory_bytes / GIB:.3g} GiB.",
                remedy=f"Choose from {', '.join(fit)}." if fit else "Use a larger machine.",
            )
        return self.capped(machine)

    def capped(self, machine: Machine) -> GivenSize:
        """The same of any size: what the emulator gives a container."""
        if self.memory_bytes is None:
            return GivenSize(compute=Compute(memory_bytes=None, cpus=None))
        if self.serverless:
            compute = serverless_compute(int(self.name), machine)
            note = serverless_note(int(self.name), machine)
        else:
            compute = instance_compute(self.name, machine)
            note = instance_note(self.name, machine)
        return GivenSize(compute=compute, notes=() if note is None else (note,))


HOST: Final = Size.parse(HOST_TIER.name)


def machine_of(facts: EngineFacts) -> Machine:
    """What an engine's machine has to give."""
    return Machine(cpus=facts.cpus, memory_bytes=facts.memory_bytes, platform=facts.platform)


def _fits(tier: Tier, machine: Machine) -> bool:
    return (tier.memory_bytes or 0) <= machine.memory_bytes
