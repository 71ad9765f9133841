"""Time, passed in: the emulator waits for minutes, its tests for nothing."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time and waits. Seconds everywhere."""

    def time(self) -> float:
        """Seconds since the epoch, whole milliseconds: for time stamps that a client sees."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary beginning, never set back: for durations and deadlines."""

    async def sleep(self, seconds: float) -> None:
        """Return when that many seconds have passed."""


class SystemClock:
    """The machine's own."""

    def time(self) -> float:
        return time.time_ns() // 1_000_000 / 1000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
