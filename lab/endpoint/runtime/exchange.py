"""One request at one variant: the container that gets it, and what is counted and said of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from lab.endpoint.clock import Clock
from lab.endpoint.live import (
    Address,
    LaunchFailed,
    Lease,
    LiveEndpoint,
    LiveVariant,
    NotReady,
    ServerGone,
    Throttled,
)
from lab.endpoint.metrics.counters import Counters
from lab.endpoint.protocol.errors import ApiError, model_not_ready, throttling
from lab.endpoint.records import EndpointKind
from lab.endpoint.runtime import routing, sessions, wording
from lab.endpoint.runtime.headers import PREFIX_AWARE
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.transport import ContainerCall, NotSentError, TransportError, meant_for

_T = TypeVar("_T")

_RETRY_S: Final = 0.05
"""Between attempts to reach a container that a request could not be sent to."""


@dataclass(kw_only=True, slots=True)
class Request:
    """A request of the runtime API."""

    id: str
    """``x-amzn-RequestId``."""
    endpoint: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    received: float
    """When its last byte had come, by the clock's ``monotonic``."""


@dataclass(kw_only=True, slots=True)
class Exchange:
    """One request at one variant, and what it took so far."""

    request: Request
    live: LiveEndpoint
    variant: LiveVariant
    call: ContainerCall
    session: sessions.Session | None = None
    """Which fixes the server."""
    server: str = ""
    """That it was sent to last."""
    sent: float = 0.0
    cold_s: float = 0.0
    """How long it waited for a container that was started for it."""


class Sender:
    """Finds a server with room and sends to it. Raises ``ApiError``."""

    def __init__(self, *, meter: Counters, clock: Clock, settings: EmulatorSettings) -> None:
        self._meter = meter
        self._clock = clock
        self._settings = settings

    async def send(
        self,
        exchange: Exchange,
        send: Callable[[Address, ContainerCall], Awaitable[_T]],
        timeout_s: float,
    ) -> tuple[_T, Lease]:
        """Send to a server, and to another only if nothing at all could be sent to this one."""
        deadline = self._clock.monotonic() + self._settings.invocation_timeout_s
        while True:
            lease = await self._acquire(exchange, deadline)
            exchange.sent, exchange.server = self._clock.monotonic(), lease.server.id
            if lease.setup is not None:
                exchange.cold_s = exchange.sent - exchange.request.received
            lease.server.asked(timeout_s)
            try:
                answer = await send(lease.server.address, meant_for(lease.server, exchange.call))
            except NotSentError as error:
                lease.release()
                lease.server.healthy = False
                if self._clock.monotonic() >= deadline:
                    self.count(exchange, lease, model_status=None)
                    raise await self._broke_off(exchange, lease, error) from error
                await self._clock.sleep(_RETRY_S)
            except TimeoutError as error:
                lease.server.tainted = True
                lease.release()
                self.count(exchange, lease, model_status=None)
                where = self.where(exchange, lease)
                raise wording.model_error(
                    where, status=0, message=wording.timed_out(where.container)
                ) from error
            except TransportError as error:
                lease.release()
                self.count(exchange, lease, model_status=None)
                raise await self._broke_off(exchange, lease, error) from error
            except BaseException:
                lease.server.tainted = True
                lease.server.left(until=exchange.sent + timeout_s)
                lease.release()
                raise
            else:
                lease.server.heard(self._clock.monotonic())
                return answer, lease

    def count(self, exchange: Exchange, lease: Lease, *, model_status: int | None) -> None:
        """``model_status`` is None when no whole answer came."""
        now = self._clock.monotonic()
        model_s = now - exchange.sent
        self._meter.invocation(
            exchange.live.name,
            exchange.variant.name,
            model_status=model_status,
            model_s=model_s,
            overhead_s=max(0.0, now - exchange.request.received - model_s),
            setup=lease.setup,
        )

    def where(self, exchange: Exchange, lease: Lease | None) -> wording.Where:
        """What an error of it is about."""
        server = None if lease is None else lease.server
        return wording.Where.of(self._settings, exchange.live.name, exchange.variant, server)

    # --- the server --------------------------------------------------------------------------

    async def _acquire(self, exchange: Exchange, deadline: float) -> Lease:
        pool = exchange.variant.pool
        try:
            if exchange.session is not None:
                return await self._held(exchange, exchange.session, deadline)
            lease = _by_prefix(exchange) or pool.try_acquire()
            if lease is None:
                lease = await self._wait(exchange, deadline)
        except Throttled:
            self._meter.throttled(exchange.live.name, exchange.variant.name)
            raise throttling() from None
        except NotReady as why:
            if exchange.live.kind is EndpointKind.SERVERLESS:
                raise model_not_ready(wording.NOT_READY) from None
            raise self._no_answer(exchange, None, str(why)) from None
        except LaunchFailed as failed:
            self._meter.invocation(
                exchange.live.name,
                exchange.variant.name,
                model_status=None,
                model_s=None,
                overhead_s=self._clock.monotonic() - exchange.request.received,
                setup=None,
            )
            raise self._no_answer(exchange, None, failed.reason) from failed
        return lease

    async def _held(self, exchange: Exchange, session: sessions.Session, deadline: float) -> Lease:
        """The session's own server, and no other."""
        try:
            while (lease := exchange.variant.pool.hold(session.server)) is None:
                if self._clock.monotonic() >= deadline:
                    raise NotReady
                await self._clock.sleep(_RETRY_S)
        except ServerGone:
            raise sessions.refused(
                exchange.live.name, session.id, f"ended with its instance {session.server}"
            ) from None
        return lease

    async def _wait(self, exchange: Exchange, deadline: float) -> Lease:
        pool = exchange.variant.pool
        if exchange.live.kind is EndpointKind.SERVERLESS:
            # A cold start is not part of the model's 60 s; the launch has a limit of its own.
            return await pool.acquire()
        waiting = asyncio.ensure_future(pool.acquire())
        timer = asyncio.ensure_future(self._clock.sleep(deadline - self._clock.monotonic()))
        try:
            await asyncio.wait({waiting, timer}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            waiting.add_done_callback(_give_back)
            waiting.cancel()
            raise
        finally:
            timer.cancel()
        if not waiting.done():
            waiting.cancel()
            await asyncio.wait({waiting})
        if waiting.cancelled():
            waited = f"{self._settings.invocation_timeout_s:g} s"
            raise NotReady(f"no container came into service within {waited}")
        return waiting.result()

    # --- no answer ---------------------------------------------------------------------------

    async def _broke_off(self, exchange: Exchange, lease: Lease, error: TransportError) -> ApiError:
        died = await exchange.variant.pool.autopsy(lease.server)
        return self._no_answer(exchange, lease, died or str(error))

    def _no_answer(self, exchange: Exchange, lease: Lease | None, known: str) -> ApiError:
        message = wording.no_answer(exchange.live.name)
        return wording.model_error(
            self.where(exchange, lease), status=0, message=message, known=known
        )


def _by_prefix(exchange: Exchange) -> Lease | None:
    pool, tenant = exchange.variant.pool, exchange.request.headers.get(PREFIX_AWARE, "")
    chosen = routing.by_prefix(pool, exchange.call.body, tenant)
    return None if chosen is None else pool.hold(chosen)


def _give_back(waiting: "asyncio.Future[Lease]") -> None:
    """A server that came after its request had gone."""
    if not waiting.cancelled() and waiting.exception() is None:
        waiting.result().release()
