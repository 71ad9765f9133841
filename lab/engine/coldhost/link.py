"""The link between registry and cold hosts, shaped to a bandwidth.

What leaves the registry passes a token bucket (``tc ... tbf``) that counts whole frames, headers
included, as a real link's rate does: about 95.6 % of it is payload. Setting it needs a container
that shares the registry's network, for a blink; the registry itself needs no such right.
"""

import json
from collections.abc import Sequence
from typing import Final, Self

from lab.engine.api import ContainerSpec
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.interrupt import uninterrupted
from lab.engine.registry.local import Registry
from lab.errors import EngineError, RegistryError
from lab.spec import LABEL_OWNER, LABEL_ROLE
from lab.units import format_rate

_DEVICE: Final = "eth0"
_BURST_S: Final = 0.002
_LEAST_BURST: Final = 128 * 1024
"""Bytes. Offloaded segments of up to 64 KiB must fit in the bucket, or they are cut up."""
_LATENCY: Final = "50ms"
_TIMEOUT_S: Final = 30


class Link:
    """A link that is shaped within the block of a ``with``."""

    def __init__(
        self, engine: DockerEngine, registry: Registry, bits_per_s: int, *, image: str, owner: str
    ) -> None:
        """``image`` is ``inference-lab/coldhost:<arch>``, ``owner`` the run's id."""
        self._engine = engine
        self._registry = registry
        self._image = image
        self._owner = owner
        self._started_at = registry.container.state().started_at_ns
        self.bits_per_s = bits_per_s

    def __enter__(self) -> Self:
        """Shape what the registry sends; replaces what a killed run may have left."""
        try:
            self._tc(shaping(self.bits_per_s))
        except BaseException:
            self._clear()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def check(self) -> None:
        """Raise ``RegistryError`` if the registry went away: its link lost its shape with it."""
        state = self._registry.container.state()
        if not state.running or state.started_at_ns != self._started_at:
            raise RegistryError(
                "The local registry was stopped or restarted, and its link is no longer shaped.",
                remedy="Run it again with --resume.",
            )

    def measured_shape(self) -> int | None:
        """The bits per second that the kernel says it holds the link to; None if it does not."""
        found = json.loads(self._tc(("-json", "qdisc", "show", "dev", _DEVICE)) or "[]")
        rates = [entry["options"]["rate"] for entry in found if entry["kind"] == "tbf"]
        return int(rates[0]) * 8 if rates else None

    def _clear(self) -> None:
        """Let the link run free. No error if the registry, and so the shape, is gone."""
        with uninterrupted():
            if self._registry.container.state().running and self.measured_shape() is not None:
                self._tc(("qdisc", "del", "dev", _DEVICE, "root"))

    def _tc(self, words: Sequence[str]) -> str:
        """Run ``tc`` in the registry's network; what it prints."""
        spec = ContainerSpec(
            image=self._image,
            command=("tc", *words),
            labels={LABEL_ROLE: "link", LABEL_OWNER: self._owner},
            network=f"container:{self._registry.container.id}",
            cap_add=("NET_ADMIN",),
        )
        with uninterrupted():
            helper = self._engine.create(spec)
            try:
                return self._output(helper, words)
            finally:
                helper.remove()

    def _output(self, helper: DockerContainer, words: Sequence[str]) -> str:
        helper.start()
        with translated():
            ended = self._engine.client.wait(helper.id, timeout=_TIMEOUT_S)
        output = helper.logs()
        if ended["StatusCode"] != 0:
            raise EngineError(
                f"The link cannot be shaped to {format_rate(self.bits_per_s)}: "
                f"`tc {' '.join(words)}` said {output.strip()!r}.",
                remedy="The kernel of the engine's machine needs sch_tbf; see `lab doctor`.",
            )
        return output


def shaping(bits_per_s: int) -> Sequence[str]:
    """The words that make ``tc`` hold what leaves to a rate."""
    burst = max(_LEAST_BURST, round(bits_per_s / 8 * _BURST_S))
    return (
        *("qdisc", "replace", "dev", _DEVICE, "root", "tbf"),
        *("rate", f"{bits_per_s}bit", "burst", str(burst), "latency", _LATENCY),
    )
