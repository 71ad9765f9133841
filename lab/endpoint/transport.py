"""HTTP to the model containers, as an interface, and what goes over it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from lab.endpoint.live import Address


@dataclass(frozen=True, kw_only=True)
class ContainerCall:
    """An invocation as the container gets it."""

    body: bytes
    headers: Mapping[str, str]
    """Those that SageMaker lets through, and no others."""


@dataclass(frozen=True, kw_only=True)
class ContainerAnswer:
    """What a container answered. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class StreamAnswer:
    """The same, with a body that is still coming. ``close`` ends the connection."""

    status: int
    headers: Mapping[str, str]
    parts: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]


class TransportError(Exception):
    """The container closed early, was not there, or did not speak HTTP."""


class NotSentError(TransportError):
    """Not a byte of the request can have been taken: another server may get it."""


class Transport(Protocol):
    """HTTP to the containers. Raises ``TransportError`` or ``TimeoutError``."""

    async def invoke(
        self, address: Address, call: ContainerCall, *, timeout_s: float
    ) -> ContainerAnswer:
        """``POST /invocations``, the whole answer."""

    async def stream(
        self, address: Address, call: ContainerCall, *, timeout_s: float
    ) -> StreamAnswer:
        """``POST /invocations``, the answer as it comes; ``timeout_s`` bounds all of it."""

    async def close(self) -> None:
        """Close what is open."""
