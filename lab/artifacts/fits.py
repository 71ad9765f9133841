"""Whether a model fits into a memory size, known before anything is deployed.

What a container needs is what its model adds at its peak (``memory.peak_bytes`` of the card,
measured when the model was built) and what the server takes besides (``SERVERS``). Both are peaks
of a container or process without a limit, so that pages of files which the kernel could drop are
among them: a model that just misses a size may yet start there, slowly, and one that misses it by
more is killed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lab.artifacts import store
from lab.errors import UsageError
from lab.spec import SERVERLESS_TIERS, Tier
from lab.units import format_bytes

SERVERS: Final[Mapping[str, int]] = {"onnx": 62_000_000, "onnx-slim": 16_000_000}
"""Bytes at the peak of a fresh start of each variant with a model of no size to speak of, the toy
of ``tests/docker/toy_model``: the cgroup's ``memory.peak`` by ``lab coldstart`` on 2026-12-01,
amd64, 5 starts each, 61.6 to 61.9 MB and 15.4 to 15.5 MB. None is known of TensorFlow's."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes that a variant takes with a model."""

    model: str
    variant: str
    of_model: int
    of_server: int

    @property
    def bytes(self) -> int:
        return self.of_model + self.of_server

    def fits(self, tier: Tier) -> bool:
        """Whether a memory size holds it; what has no limit holds all."""
        return tier.memory_bytes is None or self.bytes <= tier.memory_bytes

    def misfit(self, tier: Tier) -> str:
        """That it does not fit, with what it needs and where that is known from."""
        items = store.base(self.model)[1]
        size = "" if items is None else f" ({items:,} items)"
        return (
            f"{self.model}{size} does not fit into {tier.name} MB: it needs about "
            f"{format_bytes(self.bytes)} at its peak, {format_bytes(self.of_model)} for the model "
            f"(measured when it was built: memory.peak_bytes of its card) and "
            f"{format_bytes(self.of_server)} for the server of {self.variant}; {tier.name} MB are "
            f"{format_bytes(tier.memory_bytes or 0)}."
        )

    def remedy(self) -> str:
        """Which memory size to take."""
        least = smallest(self.bytes)
        if least is not None:
            return f"Take {least.name} MB, the smallest serverless memory that holds it."
        most = SERVERLESS_TIERS[-1].name
        return (
            f"No serverless memory holds it (the largest is {most} MB): deploy it in real time, "
            "on an instance that has as much."
        )


def need(model: str, variant: str) -> Need | None:
    """What a built model needs in a variant; None where that was not measured.

    Raises ``UsageError`` when it is not built, or its card is damaged.
    """
    said = store.card(model).get("memory")
    peak = said.get("peak_bytes") if isinstance(said, Mapping) else None
    server = SERVERS.get(variant)
    if not isinstance(peak, int) or server is None:
        return None
    return Need(model=model, variant=variant, of_model=peak, of_server=server)


def smallest(needed: int) -> Tier | None:
    """The smallest memory size of serverless inference that holds so many bytes."""
    return next((one for one in SERVERLESS_TIERS if needed <= (one.memory_bytes or 0)), None)


def refuse_misfit(model: str, variant: str, memory_mb: int, *, also: str = "") -> None:
    """Raise ``UsageError`` if it is known that a memory size does not hold a built model.

    ``also`` is a sentence for the remedy: how to ask for another size, where that is not plain.
    """
    found, tier = need(model, variant), Tier(memory_mb=memory_mb)
    if found is not None and not found.fits(tier):
        raise UsageError(found.misfit(tier), remedy=f"{found.remedy()} {also}".rstrip())
