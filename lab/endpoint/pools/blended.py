"""Two pools as one, while an update shifts the traffic from the old fleet to the new."""

import random
from collections.abc import Sequence

from lab.endpoint.live import Lease, Pool, Server, VariantPlan


class BlendedPool:
    """Gives ``share`` of the requests to the new pool, and the rest to the old."""

    def __init__(self, *, old: Pool, new: Pool, share: float, rng: random.Random) -> None:
        self._old = old
        self._new = new
        self._share = share
        self._rng = rng
        self._next: Pool | None = None

    @property
    def plan(self) -> VariantPlan:
        return self._new.plan

    @property
    def servers(self) -> Sequence[Server]:
        return (*self._old.servers, *self._new.servers)

    @property
    def in_flight(self) -> int:
        return self._old.in_flight + self._new.in_flight

    def try_acquire(self) -> Lease | None:
        pool = self._draw()
        lease = pool.try_acquire()
        # The caller will wait, and for the pool that was drawn.
        self._next = pool if lease is None else None
        return lease

    async def acquire(self) -> Lease:
        pool, self._next = self._next or self._draw(), None
        return await pool.acquire()

    def _draw(self) -> Pool:
        return self._new if self._rng.random() < self._share else self._old
