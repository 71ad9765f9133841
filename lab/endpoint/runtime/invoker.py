"""InvokeEndpoint, from the request that came in to the answer that goes out."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from lab.endpoint.clock import Clock
from lab.endpoint.live import (
    Address,
    Fleet,
    LaunchFailed,
    Lease,
    LiveEndpoint,
    LiveVariant,
    NotReady,
    Server,
    ServerGone,
    Throttled,
)
from lab.endpoint.log_files import LogFiles
from lab.endpoint.metrics.counters import Counters
from lab.endpoint.plans import kind_of, origin
from lab.endpoint.protocol.errors import ApiError, model_not_ready, throttling, validation_error
from lab.endpoint.records import EndpointKind, Status
from lab.endpoint.runtime import limits, routing, sessions, wording
from lab.endpoint.runtime.capture import S3Capture
from lab.endpoint.runtime.streaming import (
    EXCERPT,
    StreamedExchange,
    StreamEnd,
    StreamReply,
    read_some,
)
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore
from lab.endpoint.transport import (
    ContainerAnswer,
    ContainerCall,
    NotSentError,
    StreamAnswer,
    Transport,
    TransportError,
)

_T = TypeVar("_T")

_RETRY_S: Final = 0.05
"""Between attempts to reach a container that a request could not be sent to."""
_REDIRECTS: Final = 300
_SHADOWS_AT_ONCE: Final = 64
"""Copies under way; more are dropped, so that a slow shadow cannot exhaust the emulator."""

_FORWARDED: Final = {
    "content-type": "Content-Type",
    "accept": "Accept",
    "x-amzn-sagemaker-custom-attributes": "X-Amzn-SageMaker-Custom-Attributes",
    "x-amzn-sagemaker-inference-id": "X-Amzn-SageMaker-Inference-Id",
    "x-amzn-sagemaker-session-id": "X-Amzn-SageMaker-Session-Id",
}
_FORWARDED_STREAM: Final = {
    **{name: spelt for name, spelt in _FORWARDED.items() if name != "accept"},
    "x-amzn-sagemaker-accept": "Accept",
}
_RETURNED: Final = {
    "content-type": "Content-Type",
    "x-amzn-sagemaker-custom-attributes": "X-Amzn-SageMaker-Custom-Attributes",
    "x-amzn-sagemaker-new-session-id": "X-Amzn-SageMaker-New-Session-Id",
    "x-amzn-sagemaker-closed-session-id": "X-Amzn-SageMaker-Closed-Session-Id",
}
_RETURNED_STREAM: Final = {
    "content-type": "X-Amzn-SageMaker-Content-Type",
    "x-amzn-sagemaker-custom-attributes": "X-Amzn-SageMaker-Custom-Attributes",
}
_VARIANT: Final = "x-Amzn-Invoked-Production-Variant"
_SESSION: Final = "x-amzn-sagemaker-session-id"
_PREFIX_AWARE: Final = "x-amzn-sagemaker-prefix-aware-id"


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
class InvokeReply:
    """A success."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(kw_only=True, slots=True)
class _Exchange:
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


class Invoker:
    """The hot path: on the event loop, and waiting for nothing but containers."""

    def __init__(  # noqa: PLR0913 - all keyword-only
        self,
        *,
        fleet: Fleet,
        store: SqliteStore,
        transport: Transport,
        meter: Counters,
        capture: S3Capture,
        clock: Clock,
        settings: EmulatorSettings,
        random: random.Random,
        logs: LogFiles,
    ) -> None:
        self._fleet = fleet
        self._store = store
        self._transport = transport
        self._meter = meter
        self._capture = capture
        self._clock = clock
        self._settings = settings
        self._rng = random
        self._logs = logs
        self._sessions = sessions.Sessions(clock)
        self._shadows: set[asyncio.Task[None]] = set()
        for operation in (limits.INVOKE, limits.STREAM):
            limits.headers_of(operation)  # read from botocore now, not with the first request

    async def invoke(self, request: Request) -> InvokeReply:
        """InvokeEndpoint. Raises ``ApiError``."""
        exchange = self._begin(request, limits.INVOKE, _FORWARDED)
        answer = await self._exchange(exchange)
        if exchange.live.capture is not None:
            self._capture.record(
                exchange.live,
                exchange.variant.name,
                request=exchange.call,
                answer=answer,
                inference_id=request.headers.get("x-amzn-sagemaker-inference-id"),
                at=self._clock.time(),
            )
        headers = {**_picked(answer.headers, _RETURNED), **self._heard(exchange, answer.headers)}
        headers[_VARIANT] = exchange.variant.name
        return InvokeReply(headers=headers, body=answer.body)

    async def stream(self, request: Request) -> StreamReply:
        """InvokeEndpointWithResponseStream. Raises ``ApiError`` until the model has begun."""
        exchange = self._begin(request, limits.STREAM, _FORWARDED_STREAM)
        timeout_s = self._settings.stream_timeout_s
        answer, lease = await self._send(
            exchange,
            lambda address: self._transport.stream(address, exchange.call, timeout_s=timeout_s),
            timeout_s,
        )
        if not _succeeded(answer.status):
            try:
                body, whole = await read_some(answer)
            finally:
                lease.release()
                await answer.close()
            self._count(exchange, lease, model_status=answer.status)
            raise self._model_refused(exchange, lease, answer.status, body, whole=whole)
        self._note_redirect(exchange, lease.server, answer)
        self._heard(exchange, answer.headers)
        headers = _picked(answer.headers, _RETURNED_STREAM)
        headers[_VARIANT] = exchange.variant.name
        streamed = StreamedExchange(
            answer,
            lease,
            self._rng,
            lambda end: self._stream_ended(exchange, lease, answer.status, end),
            container=self._where(exchange, lease).container,
            autopsy=partial(exchange.variant.pool.autopsy, lease.server),
        )
        return StreamReply(headers=headers, frames=streamed.frames(), close=streamed.close)

    async def close(self) -> None:
        """Wait for nobody: copies to shadows that are under way are dropped."""
        for task in tuple(self._shadows):
            task.cancel()
        await asyncio.gather(*self._shadows, return_exceptions=True)

    # --- before a container is asked ---------------------------------------------------------

    def _begin(self, request: Request, operation: str, forwarded: Mapping[str, str]) -> _Exchange:
        limits.check_names(operation, request.endpoint, request.headers)
        live = self._fleet.live(request.endpoint)
        if live is None:
            raise self._not_live(request.endpoint)
        if live.kind is EndpointKind.ASYNC:
            raise wording.other_kind(live, self._settings, use="InvokeEndpointAsync")
        for name in request.headers.keys() & wording.UNSUPPORTED.keys():
            raise wording.unsupported(name, live.name)
        limits.check_size(
            len(request.body), live.kind, request_id=request.id, settings=self._settings
        )
        target = request.headers.get("x-amzn-sagemaker-target-variant")
        session_id = request.headers.get(_SESSION)
        session = self._sessions.find(live, session_id, target)
        variant = routing.choose(live, target, self._rng, session)
        call = ContainerCall(
            body=request.body,
            headers=_picked(request.headers, forwarded),
            most_bytes=limits.payload_limit(live.kind, self._settings),
        )
        if live.shadows and session_id is None:  # a shadow has its own sessions, and nobody's ear
            self._copy_to_shadows(live, variant, call)
        return _Exchange(request=request, live=live, variant=variant, call=call, session=session)

    def _not_live(self, name: str) -> ApiError:
        record = self._store.endpoint(name)
        # Names are compared without case when an endpoint is made, and exactly when it is called.
        if record is not None and record.name == name and record.status is Status.CREATING:
            # As it was when the endpoint was made: by now it may be deleted.
            made_from = origin(record, record.config_name, self._store)
            if made_from and kind_of(made_from.config.body) is EndpointKind.SERVERLESS:
                return model_not_ready(wording.NOT_READY)
        return validation_error(f"Endpoint {name} of account {self._settings.account} not found.")

    # --- the container's exchange ----------------------------------------------------------------

    async def _exchange(self, exchange: _Exchange) -> ContainerAnswer:
        timeout_s = self._settings.invocation_timeout_s
        answer, lease = await self._send(
            exchange, lambda address: self._ask(address, exchange, timeout_s), timeout_s
        )
        try:
            self._count(exchange, lease, model_status=answer.status)
            if isinstance(answer.broken, TimeoutError):
                lease.server.tainted = True
            if not _succeeded(answer.status):
                whole = answer.broken is None
                raise self._model_refused(exchange, lease, answer.status, answer.body, whole=whole)
            self._note_redirect(exchange, lease.server, answer)
            limit = exchange.call.most_bytes
            if len(answer.body) > limit:
                raise wording.model_error(
                    self._where(exchange, lease),
                    status=answer.status,
                    message=wording.oversize_answer(limit),
                )
        finally:
            lease.release()
        return answer

    async def _ask(
        self, address: Address, exchange: _Exchange, timeout_s: float
    ) -> ContainerAnswer:
        answer = await self._transport.invoke(address, exchange.call, timeout_s=timeout_s)
        if answer.broken is not None and _succeeded(answer.status):
            raise answer.broken  # half a prediction is none
        return answer

    async def _send(
        self, exchange: _Exchange, send: Callable[[Address], Awaitable[_T]], timeout_s: float
    ) -> tuple[_T, Lease]:
        """Send to a server, and to another only if nothing at all could be sent to this one."""
        deadline = self._clock.monotonic() + self._settings.invocation_timeout_s
        while True:
            lease = await self._acquire(exchange, deadline)
            exchange.sent, exchange.server = self._clock.monotonic(), lease.server.id
            lease.server.asked(timeout_s)
            try:
                answer = await send(lease.server.address)
            except NotSentError as error:
                lease.release()
                lease.server.healthy = False
                if self._clock.monotonic() >= deadline:
                    self._count(exchange, lease, model_status=None)
                    raise await self._broke_off(exchange, lease, error) from error
                await self._clock.sleep(_RETRY_S)
            except TimeoutError as error:
                lease.server.tainted = True
                lease.release()
                self._count(exchange, lease, model_status=None)
                raise wording.model_error(
                    self._where(exchange, lease),
                    status=0,
                    message=wording.timed_out(self._where(exchange, lease).container),
                ) from error
            except TransportError as error:
                lease.release()
                self._count(exchange, lease, model_status=None)
                raise await self._broke_off(exchange, lease, error) from error
            except BaseException:
                lease.server.tainted = True
                lease.server.left(until=exchange.sent + timeout_s)
                lease.release()
                raise
            else:
                lease.server.heard(self._clock.monotonic())
                return answer, lease

    async def _acquire(self, exchange: _Exchange, deadline: float) -> Lease:
        pool = exchange.variant.pool
        try:
            if exchange.session is not None:
                return await self._held(exchange, exchange.session, deadline)
            lease = self._by_prefix(exchange) or pool.try_acquire()
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

    async def _held(self, exchange: _Exchange, session: sessions.Session, deadline: float) -> Lease:
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

    def _by_prefix(self, exchange: _Exchange) -> Lease | None:
        pool, tenant = exchange.variant.pool, exchange.request.headers.get(_PREFIX_AWARE, "")
        chosen = routing.by_prefix(pool, exchange.call.body, tenant)
        return None if chosen is None else pool.hold(chosen)

    def _heard(self, exchange: _Exchange, answer: Mapping[str, str]) -> Mapping[str, str]:
        """Sessions that a container has opened or closed."""
        return self._sessions.heard(
            exchange.live,
            exchange.variant,
            exchange.server,
            asked=exchange.request.headers.get(_SESSION),
            answer=answer,
        )

    async def _wait(self, exchange: _Exchange, deadline: float) -> Lease:
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

    # --- what is said of it ------------------------------------------------------------------

    def _count(self, exchange: _Exchange, lease: Lease, *, model_status: int | None) -> None:
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

    def _stream_ended(
        self, exchange: _Exchange, lease: Lease, status: int, end: StreamEnd
    ) -> None:
        """A reader who went away is not the model's fault."""
        if end is not StreamEnd.WHOLE:
            lease.server.left(until=exchange.sent + self._settings.stream_timeout_s)
        self._count(exchange, lease, model_status=None if end is StreamEnd.BROKEN else status)

    def _where(self, exchange: _Exchange, lease: Lease | None) -> wording.Where:
        server = None if lease is None else lease.server
        return wording.Where.of(self._settings, exchange.live.name, exchange.variant, server)

    def _model_refused(
        self, exchange: _Exchange, lease: Lease, status: int, body: bytes, *, whole: bool
    ) -> ApiError:
        where = self._where(exchange, lease)
        message = body[:EXCERPT].decode("utf-8", "replace")
        if not whole:
            return wording.cut_off(where, status=status, came=message)
        return wording.model_error(where, status=status, message=message)

    async def _broke_off(
        self, exchange: _Exchange, lease: Lease, error: TransportError
    ) -> ApiError:
        died = await exchange.variant.pool.autopsy(lease.server)
        return self._no_answer(exchange, lease, died or str(error))

    def _no_answer(self, exchange: _Exchange, lease: Lease | None, known: str) -> ApiError:
        message = wording.no_answer(exchange.live.name)
        return wording.model_error(
            self._where(exchange, lease), status=0, message=message, known=known
        )

    def _note_redirect(
        self, exchange: _Exchange, server: Server, answer: ContainerAnswer | StreamAnswer
    ) -> None:
        """Log it once for each server: the caller gets a success."""
        if answer.status < _REDIRECTS or answer.status in server.redirects:
            return
        server.redirects.add(answer.status)
        line = wording.redirected(answer.status, answer.headers.get("location", ""))
        self._logs.note(exchange.live.name, exchange.variant.name, f"[platform] {line}")

    # --- streams and shadows -----------------------------------------------------------------

    def _copy_to_shadows(
        self, live: LiveEndpoint, served: LiveVariant, call: ContainerCall
    ) -> None:
        for shadow in routing.shadows(live, served, self._rng):
            if len(self._shadows) >= _SHADOWS_AT_ONCE:
                return
            task = asyncio.create_task(self._shadow(live, shadow, call))
            self._shadows.add(task)
            task.add_done_callback(self._shadows.discard)

    async def _shadow(self, live: LiveEndpoint, variant: LiveVariant, call: ContainerCall) -> None:
        """Send the copy and drop the answer; only the metrics remember it."""
        request = Request(
            id="", endpoint=live.name, headers={}, body=b"", received=self._clock.monotonic()
        )
        try:
            await self._exchange(_Exchange(request=request, live=live, variant=variant, call=call))
        except ApiError:
            return


def _picked(headers: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {spelt: headers[name] for name, spelt in names.items() if name in headers}


def _give_back(waiting: "asyncio.Future[Lease]") -> None:
    """A server that came after its request had gone."""
    if not waiting.cancelled() and waiting.exception() is None:
        waiting.result().release()


def _succeeded(status: int) -> bool:
    """AWS has a ``ModelError`` for 4xx and 5xx only; a redirect's page is what the caller gets."""
    return 200 <= status < 400
