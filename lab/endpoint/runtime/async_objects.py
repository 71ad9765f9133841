"""Inputs and results of asynchronous invocations in S3, from the event loop."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from lab.endpoint.clock import Clock
from lab.endpoint.s3 import ObjectError, S3Objects

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

PAYLOAD_BYTES: Final = 1024**3
"""Of an input, and of a result, in S3."""

_THREADS = 16
_WRITES = 6
_FIRST_RETRY_S = 1.0
_PASSING = frozenset({"Unreachable", "SlowDown", "InternalError"})
"""Errors of S3 that may be gone the next time."""


class AsyncObjects:
    """``S3Objects`` in threads of its own. Raises ``ObjectError``."""

    def __init__(self, objects: S3Objects, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="async-s3")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def size(self, uri: str) -> int:
        """Bytes."""
        return await self._in_thread(lambda: self._objects.size(uri))

    async def read(self, uri: str) -> tuple[bytes, str]:
        """All of it, and its content type."""
        return await self._in_thread(lambda: self._objects.read(uri))

    async def write(self, uri: str, data: bytes, kind: str) -> None:
        """Write, waiting out an S3 that is away for a moment: a result took long to come by."""
        if len(data) > PAYLOAD_BYTES:
            raise too_large("The result", len(data))
        wait_s = _FIRST_RETRY_S
        for attempt in range(1, _WRITES + 1):
            try:
                await self._in_thread(lambda: self._objects.write(uri, data, content_type=kind))
            except ObjectError as error:
                if attempt == _WRITES or error.code not in _PASSING:
                    raise
                _LOG.warning("%s Trying again in %.0f s.", error, wait_s)
            else:
                return
            await self._clock.sleep(wait_s)
            wait_s *= 2

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def too_large(what: str, size: int) -> ObjectError:
    """An object above what asynchronous inference takes."""
    return ObjectError(
        "EntityTooLarge", f"{what} has {size} bytes; up to {PAYLOAD_BYTES} (1 GB) are possible."
    )
