"""InvokeEndpointAsync: a queue that survives a kill, emptied as fast as there are containers.

A request is in the store from before it is accepted until its result is in S3. A crash in between
means that it is processed again: at least once, as on AWS.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from lab.endpoint.live import (
    LaunchFailed,
    Lease,
    LiveEndpoint,
    LiveVariant,
    NotReady,
    Throttled,
)
from lab.endpoint.log_files import DATA_LOG
from lab.endpoint.logged import logged
from lab.endpoint.metrics.gauges import Backlog
from lab.endpoint.plans import origin
from lab.endpoint.protocol.errors import validation_error
from lab.endpoint.records import AsyncRecord, EndpointKind
from lab.endpoint.runtime import async_request, routing, wording
from lab.endpoint.runtime.async_worker import AsyncContext, HeldServer, RequestFailed, Worker

_LOG = logging.getLogger(__name__)

_LOOK_S = 0.5
"""How often a queue looks for expired requests and for servers that came up."""
_CLOSE_S = 10.0
"""For results that are on their way to S3."""


@dataclass(frozen=True, kw_only=True)
class AcceptedReply:
    """What the 202 says."""

    inference_id: str
    output_location: str
    failure_location: str | None
    """None without ``S3FailurePath``."""


@dataclass(kw_only=True, eq=False)
class _Queue:
    endpoint: str
    waiting: dict[str, AsyncRecord] = field(default_factory=dict)
    """In the order in which they came."""
    begun: dict[str, AsyncRecord] = field(default_factory=dict)
    """Those whose turn has come and that have not ended."""
    asking: set[str] = field(default_factory=set)
    """Of these, the ones that need a server still."""
    in_use: dict[str, int] = field(default_factory=dict)
    """Requests that we have at each server, by its id."""
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    """Something may go on: a request came, a server was let go."""
    look_at: float = 0.0
    """Monotonic: when to see next who has expired."""
    feeder: asyncio.Task[None] | None = None


class AsyncInference:
    """Accepts, remembers and processes asynchronous invocations."""

    def __init__(self, context: AsyncContext) -> None:
        self._store = context.store
        self._fleet = context.fleet
        self._meter = context.meter
        self._clock = context.clock
        self._settings = context.settings
        self._logs = context.logs
        self._rng = random.Random()
        self._worker = Worker(context)
        self._queues: dict[str, _Queue] = {}
        self._tasks: dict[asyncio.Task[None], tuple[_Queue, AsyncRecord]] = {}
        self._recovered: set[str] = set()
        self._closed = False

    def backlogs(self) -> Iterable[tuple[str, Backlog]]:
        """By endpoint: for the metrics."""
        now = self._clock.time()
        for queue in tuple(self._queues.values()):
            rows = [*queue.begun.values(), *queue.waiting.values()]
            oldest = min((row.accepted_at for row in rows), default=now)
            yield queue.endpoint, Backlog(size=len(rows), oldest_s=max(0.0, now - oldest))

    async def start(self) -> None:
        """Go on with what an earlier life had accepted."""
        for row in sorted(self._store.asyncs(), key=lambda row: row.accepted_at):
            self._recovered.add(row.id)
            self._enqueue(row)

    async def close(self) -> None:
        """End. What has no result yet stays in the store for the next life."""
        self._closed = True
        feeders = [queue.feeder for queue in self._queues.values() if queue.feeder is not None]
        await _cancel(feeders)
        await _cancel(
            [task for task, (queue, row) in self._tasks.items() if row.id in queue.asking]
        )
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=_CLOSE_S)
        await _cancel(self._tasks)
        self._worker.close()

    async def accept(
        self, endpoint_name: str, headers: Mapping[str, str], body: bytes
    ) -> AcceptedReply:
        """Take a request in. Raises ``ApiError``; once it returns, the request is not lost."""
        headers = {name.lower(): value for name, value in headers.items()}
        async_request.check(endpoint_name, headers, body)
        live = self._fleet.live(endpoint_name)
        if live is None:
            raise validation_error(
                f"Endpoint {endpoint_name} of account {self._settings.account} not found."
            )
        if live.kind is not EndpointKind.ASYNC:
            raise wording.other_kind(live, self._settings, use="InvokeEndpoint")
        row = async_request.record(
            live, headers, body, now=self._clock.time(), settings=self._settings
        )
        self._store.add_async(row)
        self._enqueue(row)
        return AcceptedReply(
            inference_id=row.inference_id,
            output_location=str(row.request["output"]),
            failure_location=row.request["failure"],
        )

    def announce(self, endpoint: str) -> None:
        """Log the test notification that AWS sends for an endpoint that was made or changed."""
        row = self._store.endpoint(endpoint)
        made_from = origin(row, row.pending_config or row.config_name, self._store) if row else None
        config = made_from.config.body if made_from else {}
        for topic in async_request.topics(config.get("AsyncInferenceConfig")):
            variant = config["ProductionVariants"][0]["VariantName"]
            line = async_request.unpublished(topic, async_request.TEST_NOTICE)
            self._logs.line(endpoint, variant, DATA_LOG, line)

    # --- the queue ---------------------------------------------------------------------------

    def _enqueue(self, row: AsyncRecord) -> None:
        if self._closed:
            return  # it is in the store
        queue = self._queues.setdefault(row.endpoint, _Queue(endpoint=row.endpoint))
        queue.waiting[row.id] = row
        queue.stirred.set()
        if queue.feeder is None or queue.feeder.done():
            queue.feeder = asyncio.create_task(self._feed(queue), name=f"async-{row.endpoint}")

    async def _feed(self, queue: _Queue) -> None:
        """Begin requests as servers have room for them, until none waits."""
        while queue.waiting:
            queue.stirred.clear()
            with logged(_LOG, "The queue of endpoint %s failed; retrying.", queue.endpoint):
                now = self._clock.monotonic()
                if now >= queue.look_at:  # it may be long, and is stirred by every request
                    queue.look_at = now + _LOOK_S
                    self._drop_orphans(queue)
                    self._expire(queue)
                for row in list(islice(queue.waiting.values(), self._room(queue))):
                    queue.asking.add(row.id)
                    self._begin(queue, row, partial(self._process, queue, row))
            if queue.waiting:
                await self._look_again(queue)

    def _begin(self, queue: _Queue, row: AsyncRecord, work: Callable[[], Awaitable[None]]) -> None:
        del queue.waiting[row.id]
        queue.begun[row.id] = row
        task = asyncio.create_task(self._see_to(queue, row, work))
        self._tasks[task] = (queue, row)
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _see_to(
        self, queue: _Queue, row: AsyncRecord, work: Callable[[], Awaitable[None]]
    ) -> None:
        try:
            # It is in the store still, and the next life of the emulator tries again.
            with logged(_LOG, "Asynchronous request %s was not processed.", row.inference_id):
                await work()
        finally:
            queue.begun.pop(row.id, None)
            queue.asking.discard(row.id)
            queue.stirred.set()

    async def _process(self, queue: _Queue, row: AsyncRecord) -> None:
        if row.id in self._recovered:
            self._recovered.discard(row.id)
            if await self._worker.is_done(row):
                self._worker.succeeded(row)
                return
        await self._worker.process(
            row,
            server=partial(self._server, queue, row),
            past_model=partial(self._past_model, queue, row),
        )

    def _past_model(self, queue: _Queue, row: AsyncRecord) -> None:
        queue.asking.discard(row.id)
        queue.stirred.set()

    async def _look_again(self, queue: _Queue) -> None:
        waits = [
            asyncio.ensure_future(queue.stirred.wait()),
            asyncio.ensure_future(self._clock.sleep(_LOOK_S)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    def _drop_orphans(self, queue: _Queue) -> None:
        """With an endpoint goes its queue; one of the same name made later has its own."""
        endpoint = self._store.endpoint(queue.endpoint)
        made = endpoint.created_at if endpoint is not None else float("inf")
        for row in [row for row in queue.waiting.values() if row.accepted_at < made]:
            del queue.waiting[row.id]
            self._store.delete_async(row.id)
            _LOG.warning(
                "Endpoint %s was deleted: its asynchronous request %s is dropped.",
                row.endpoint,
                row.inference_id,
            )

    def _expire(self, queue: _Queue) -> None:
        now = self._clock.time()
        for row in [row for row in queue.waiting.values() if row.expires_at <= now]:
            self._begin(queue, row, partial(self._expired, row))

    async def _expired(self, row: AsyncRecord) -> None:
        self._meter.asynchronous(row.endpoint, "ExpiredRequests")
        ttl_s = round(row.expires_at - row.accepted_at)
        said = f"The lab: the request expired after {ttl_s} seconds in the queue."
        known = self._last_failure(row.endpoint)
        await self._worker.fail(row, RequestFailed(said, known=known))

    def _last_failure(self, endpoint: str) -> str:
        """Why no instance comes, if that is known."""
        live = self._fleet.live(endpoint)
        found = (one.pool.last_failure for one in live.variants) if live else ()
        return next(filter(None, found), "")

    def _room(self, queue: _Queue) -> int:
        live = self._fleet.live(queue.endpoint)
        if live is None or live.kind is not EndpointKind.ASYNC:
            return 0
        servers = sum(len(one.pool.servers) for one in live.variants)
        return max(0, servers * async_request.at_once(live) - len(queue.asking))

    # --- servers -----------------------------------------------------------------------------

    @asynccontextmanager
    async def _server(self, queue: _Queue, row: AsyncRecord) -> AsyncIterator[HeldServer]:
        """A server with room, waited for until the request expires."""
        while (found := self._take(queue)) is None:
            if self._store.endpoint(queue.endpoint) is None:
                raise RequestFailed(f"The lab: endpoint {queue.endpoint} was deleted.")
            if self._clock.time() >= row.expires_at:
                self._meter.asynchronous(row.endpoint, "ExpiredRequests")
                raise RequestFailed(
                    "The lab: the request expired before an instance could take it.",
                    known=self._last_failure(row.endpoint),
                )
            await self._clock.sleep(_LOOK_S)
        live, variant, lease = found
        held = lease.server.id
        queue.in_use[held] = queue.in_use.get(held, 0) + 1
        try:
            yield HeldServer(live=live, variant=variant, server=lease.server)
        finally:
            lease.release()
            queue.in_use[held] -= 1
            if not queue.in_use[held]:
                del queue.in_use[held]

    def _take(self, queue: _Queue) -> tuple[LiveEndpoint, LiveVariant, Lease] | None:
        live = self._fleet.live(queue.endpoint)
        if live is None:
            return None
        variant = routing.choose(live, None, self._rng)
        try:
            lease = variant.pool.try_acquire()
        except (Throttled, NotReady, LaunchFailed):
            return None
        if lease is None:
            return None
        if queue.in_use.get(lease.server.id, 0) >= async_request.at_once(live):
            lease.release()
            return None
        return live, variant, lease


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = tuple(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
