"""Time that a test winds on."""

import asyncio
import heapq
import itertools


class ManualClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, *, epoch: float = 1_800_000_000.0) -> None:
        self._epoch = epoch
        self._now = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def time(self) -> float:
        """Seconds since the epoch, as far as it was wound on."""
        return self._epoch + self._now

    def monotonic(self) -> float:
        """Seconds since it was made, as far as it was wound on."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return once ``advance`` has gone so far; 0 only lets others run."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Wind on, waking sleepers in their order and letting each do all it can."""
        until = self._now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            if not woken.done():
                woken.set_result(None)
            await self._settle()
        self._now = until
        await self._settle()

    async def _settle(self) -> None:
        # Everything that is ready runs, and what that makes ready, for a bounded number of turns.
        for _ in range(50):
            await asyncio.sleep(0)
