"""HTTP to the model containers, as an interface, and what goes over it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from lab.endpoint.live import Address, Server

ASYNC_HEAD_BYTES: Final = 4096
"""Of an answer's headers; seen on AWS, and for asynchronous invocations only."""
BODILESS: Final = (204, 304)
"""Statuses of answers that have no body, whatever their headers say."""


@dataclass(frozen=True, kw_only=True)
class ContainerCall:
    """An invocation as the container gets it."""

    body: bytes
    headers: Mapping[str, str]
    """Those that SageMaker lets through, and no others."""
    most_bytes: int = 1024**3
    """Of an answer's body; of a larger one not much more is read."""
    wanted: Callable[[], bool] = field(default=lambda: True, compare=False)
    """Whether it is still to be sent when a connection has come about."""


def meant_for(server: Server, call: ContainerCall) -> ContainerCall:
    """The same, for that server and for no other that comes to have its address."""
    return replace(call, wanted=lambda: not server.gone)


@dataclass(frozen=True, kw_only=True)
class ContainerAnswer:
    """What a container answered. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """No longer than what was allowed, and a part more if there was too much."""
    head_bytes: int = 0
    """What its headers took on the wire."""
    broken: "TransportError | TimeoutError | None" = None
    """Why the body is not whole; None when it is."""

    @property
    def sized(self) -> bool:
        """Whether it said beforehand how long it would be."""
        return "content-length" in self.headers


@dataclass(frozen=True, kw_only=True)
class StreamAnswer:
    """The same, with a body that is still coming. ``close`` ends the connection."""

    status: int
    headers: Mapping[str, str]
    parts: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]


class TransportError(Exception):
    """The container closed early, was not there, or did not speak HTTP."""


class UnreadableError(TransportError):
    """What it answered is not HTTP, or more of it than is read."""


class NotSentError(TransportError):
    """Not a byte of the request can have been taken: another server may get it."""


class Transport(Protocol):
    """HTTP to the containers. Raises ``TransportError`` or ``TimeoutError`` while there is no
    status; once there is, an answer that breaks off says so itself.
    """

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
