"""A model's chunks as event-stream frames, cut anew, and an end that says how it ended."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, NamedTuple

from lab.endpoint.protocol.eventstream import (
    Rechunker,
    StreamCode,
    internal_stream_failure,
    model_stream_error,
    payload_part,
)
from lab.endpoint.transport import TransportError

HOLD_S: Final = 0.02
"""How long the rest of a chunk waits to be sent with the next one."""


class Framed(NamedTuple):
    """A frame; ``whole`` on the last one of a stream that ended well."""

    frame: bytes
    whole: bool


async def frames(
    parts: AsyncIterator[bytes], *, chance: random.Random
) -> AsyncGenerator[Framed, None]:
    """The frames of a stream. Never raises: how it broke off is the last frame."""
    cutter = Rechunker(chance)
    try:
        async with aclosing(_cut(parts, cutter)) as cut:
            async for part in cut:
                yield Framed(payload_part(part), whole=False)
    except Exception as error:  # noqa: BLE001 - told to the client as AWS would
        for part in cutter.flush():
            yield Framed(payload_part(part), whole=False)
        yield Framed(_last_words(error), whole=False)
    else:
        yield Framed(b"", whole=True)


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


def _last_words(error: Exception) -> bytes:
    match error:
        case TimeoutError():
            return model_stream_error(
                "The model did not end its stream in the time that an invocation may take.",
                StreamCode.TIME_EXCEEDED,
            )
        case TransportError():
            return model_stream_error(f"The model's stream broke off: {error}", StreamCode.BROKEN)
        case _:
            return internal_stream_failure(f"The stream could not be passed on: {error!r}")
