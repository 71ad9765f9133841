"""A model's chunks as event-stream frames, cut anew, and an end that says how it ended."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Final, NamedTuple

from lab.endpoint.live import Lease
from lab.endpoint.protocol.eventstream import (
    Rechunker,
    StreamCode,
    internal_stream_failure,
    model_stream_error,
    payload_part,
)
from lab.endpoint.runtime.verdicts import EXCERPT
from lab.endpoint.transport import StreamAnswer, TransportError

Autopsy = Callable[[], Awaitable[str | None]]
"""Why the container that broke off no longer runs; None when it does."""


@dataclass(kw_only=True, slots=True)
class StreamReply:
    """A success whose body is still coming, as event-stream frames."""

    headers: Mapping[str, str]
    frames: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]
    """To be called in any case, whether or not the frames were read."""


class StreamEnd(Enum):
    """How a stream came to its end."""

    WHOLE = auto()
    BROKEN = auto()
    LEFT = auto()
    """Its reader went away."""


class StreamedExchange:
    """A stream under way: its server is held until ``close``, read to the end or not."""

    def __init__(
        self,
        answer: StreamAnswer,
        lease: Lease,
        rng: random.Random,
        ended: Callable[[StreamEnd], None],
        *,
        container: str,
        autopsy: Autopsy,
    ) -> None:
        self._answer = answer
        self._lease = lease
        self._ended = ended
        self._framing = partial(frames, rng=rng, container=container, autopsy=autopsy)
        self._end = StreamEnd.LEFT
        self._closed = False

    async def frames(self) -> AsyncIterator[bytes]:
        """What goes over the wire."""
        async with aclosing(self._framing(self._answer.parts)) as framed:
            async for one in framed:
                self._end = one.end or self._end
                if one.frame:
                    yield one.frame

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._lease.release()
        self._ended(self._end)
        await self._answer.close()


async def read_some(answer: StreamAnswer) -> tuple[bytes, bool]:
    """The beginning of an error's body, and whether the model did not break off in it."""
    parts: list[bytes] = []
    size = 0
    try:
        async for part in answer.parts:
            parts.append(part)
            size += len(part)
            if size >= EXCERPT:
                break
    except (TransportError, TimeoutError):
        return b"".join(parts), False
    return b"".join(parts), True


HOLD_S: Final = 0.02
"""How long the rest of a chunk waits to be sent with the next one."""


class Framed(NamedTuple):
    """A frame, and on the last one how the stream ended."""

    frame: bytes
    end: StreamEnd | None = None


async def frames(
    parts: AsyncIterator[bytes], *, rng: random.Random, container: str, autopsy: Autopsy
) -> AsyncGenerator[Framed, None]:
    """The frames of a stream. Never raises: how it broke off is the last frame."""
    cutter = Rechunker(rng)
    try:
        async with aclosing(_cut(parts, cutter)) as cut:
            async for part in cut:
                yield Framed(payload_part(part))
    except Exception as error:  # noqa: BLE001 - told to the client as AWS would
        for part in cutter.flush():
            yield Framed(payload_part(part))
        died = await autopsy() if isinstance(error, TransportError) else None
        yield Framed(_last_words(error, container, died), StreamEnd.BROKEN)
    else:
        yield Framed(b"", StreamEnd.WHOLE)


async def _cut(parts: AsyncIterator[bytes], cutter: Rechunker) -> AsyncGenerator[bytes, None]:
    """The stream in other parts; what is held back goes out when nothing follows for a while."""
    coming: asyncio.Future[bytes | None] | None = None
    try:
        while True:
            coming = asyncio.ensure_future(anext(parts, None))
            if cutter.holds:
                await asyncio.wait({coming}, timeout=HOLD_S)
                if not coming.done():
                    for part in cutter.flush():
                        yield part
            data = await coming
            if data is None:
                break
            for part in cutter.feed(data):
                yield part
    finally:
        if coming is not None and not coming.done():
            coming.cancel()
    for part in cutter.flush():
        yield part


def _last_words(error: Exception, container: str, died: str | None) -> bytes:
    """AWS's sentence where it is known; the others say whose they are."""
    match error:
        case TimeoutError():
            return model_stream_error(
                f"Your model {container} did not complete sending the inference response in the "
                "allotted time.",
                StreamCode.TIME_EXCEEDED,
            )
        case TransportError():
            said = f"The lab: the model's stream broke off: {died or error}".rstrip(".") + "."
            return model_stream_error(said, StreamCode.BROKEN)
        case _:
            return internal_stream_failure(f"The lab could not pass the stream on: {error!r}")
