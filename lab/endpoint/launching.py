"""What makes and removes servers, as far as the rest of the emulator knows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lab.endpoint.live import Death, Ping, Server, VariantPlan
from lab.endpoint.records import Pin, ServerRecord


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """A container's present use of resources."""

    memory_bytes: int
    memory_limit_bytes: int
    cpu_seconds: float
    """Since it started."""
    threads: int | None = None
    oom_kills: int = 0
    disk_bytes: int | None = None


@dataclass(frozen=True)
class Drift:
    """A name that no longer stands for what an endpoint was deployed with."""

    now: str
    """What it stands for: two of these are the same change if this is the same."""
    text: str
    """For people, in one line."""


class Launcher(Protocol):
    """Makes and removes servers. Blocking work happens in threads of its own."""

    async def launch(self, plan: VariantPlan, *, generation: int, server_id: str) -> Server:
        """Fetch the model, create, start, and wait for ``/ping`` 200. Raises ``LaunchFailed``.

        When cancelled, what was made is removed before this returns.
        """

    async def pin(self, plan: VariantPlan) -> Pin:
        """What its image and its model data are now, or were when it was deployed.

        Raises ``LaunchFailed`` for what can never run (no such image, too large, ...).
        """

    async def retain(self, pins: Sequence[Pin]) -> None:
        """Keep the images and model data of these, and let go of those kept for others."""

    async def drift(self, plan: VariantPlan) -> Sequence[Drift]:
        """What its names stand for now, where that is not what it was deployed with."""

    async def adopt(self, record: ServerRecord, plan: VariantPlan) -> Server | None:
        """A server of an earlier life if it still runs and answers ``/ping``; else None."""

    async def stop(self, server: Server, *, grace_s: float = 30.0) -> None:
        """SIGTERM, SIGKILL after ``grace_s``, then gone. No error if it is gone already."""

    async def sweep(self, keep: Sequence[str]) -> None:
        """Remove this emulator's containers but those whose server ids are in ``keep``."""

    async def ping(self, server: Server) -> Ping:
        """Whether ``/ping`` answers 200 within 2 s."""

    async def died(self, server: Server) -> Death | None:
        """Why it no longer runs: exit code, OOM, last lines; None while it runs."""

    async def vitals(self, server: Server) -> Vitals | None:
        """Its use of resources; None when the engine cannot say."""

    def troubles(self, endpoint: str) -> Mapping[str, str]:
        """Of launches under way: by variant, why its container has to be started again."""

    def give_up(self, endpoint: str) -> None:
        """Let its launches fail that wait for a container, as when their time was over."""

    async def close(self) -> None:
        """Let go of the engine; containers stay."""
