"""InvokeEndpoint, from the request that came in to the answer that goes out."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from lab.endpoint.clock import Clock
from lab.endpoint.live import Address, Fleet, Lease, LiveEndpoint, LiveVariant
from lab.endpoint.log_files import LogFiles
from lab.endpoint.metrics.counters import Counters
from lab.endpoint.plans import kind_of, origin
from lab.endpoint.protocol.errors import ApiError, model_not_ready, validation_error
from lab.endpoint.records import EndpointKind, Status
from lab.endpoint.runtime import headers as names
from lab.endpoint.runtime import limits, routing, sessions, verdicts, wording
from lab.endpoint.runtime.capture import S3Capture
from lab.endpoint.runtime.exchange import Exchange, Request, Sender
from lab.endpoint.runtime.headers import picked
from lab.endpoint.runtime.streaming import StreamedExchange, StreamEnd, StreamReply, read_some
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore
from lab.endpoint.transport import ContainerAnswer, ContainerCall, StreamAnswer, Transport

_SHADOWS_AT_ONCE: Final = 64
"""Copies under way; more are dropped, so that a slow shadow cannot exhaust the emulator."""


@dataclass(kw_only=True, slots=True)
class InvokeReply:
    """A success."""

    headers: Mapping[str, str]
    body: bytes


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
        self._capture = capture
        self._clock = clock
        self._settings = settings
        self._rng = random
        self._logs = logs
        self._sender = Sender(meter=meter, clock=clock, settings=settings)
        self._sessions = sessions.Sessions(clock)
        self._shadows: set[asyncio.Task[None]] = set()
        for operation in (limits.INVOKE, limits.STREAM):
            limits.headers_of(operation)  # read from botocore now, not with the first request

    async def invoke(self, request: Request) -> InvokeReply:
        """InvokeEndpoint. Raises ``ApiError``."""
        exchange = self._begin(request, limits.INVOKE, names.FORWARDED)
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
        headers = {
            **picked(answer.headers, names.RETURNED),
            **self._heard(exchange, answer.headers),
        }
        headers[names.VARIANT] = exchange.variant.name
        headers[names.COLD] = f"{exchange.cold_s:.6f}" if exchange.cold_s else "0"
        return InvokeReply(headers=headers, body=answer.body)

    async def stream(self, request: Request) -> StreamReply:
        """InvokeEndpointWithResponseStream. Raises ``ApiError`` until the model has begun."""
        exchange = self._begin(request, limits.STREAM, names.FORWARDED_STREAM)
        timeout_s = self._settings.stream_timeout_s
        answer, lease = await self._sender.send(
            exchange,
            lambda address, call: self._transport.stream(address, call, timeout_s=timeout_s),
            timeout_s,
        )
        body, whole = b"", True
        if not verdicts.succeeded(answer.status):
            try:
                body, whole = await read_some(answer)
            finally:
                lease.release()
                await answer.close()
            self._sender.count(exchange, lease, model_status=answer.status)
        self._judge(exchange, lease, answer, body, whole=whole)
        self._heard(exchange, answer.headers)
        headers = picked(answer.headers, names.RETURNED_STREAM)
        headers[names.VARIANT] = exchange.variant.name
        streamed = StreamedExchange(
            answer,
            lease,
            self._rng,
            lambda end: self._stream_ended(exchange, lease, answer.status, end),
            container=self._sender.where(exchange, lease).container,
            autopsy=partial(exchange.variant.pool.autopsy, lease.server),
        )
        return StreamReply(headers=headers, frames=streamed.frames(), close=streamed.close)

    async def close(self) -> None:
        """Wait for nobody: copies to shadows that are under way are dropped."""
        for task in tuple(self._shadows):
            task.cancel()
        await asyncio.gather(*self._shadows, return_exceptions=True)

    # --- before a container is asked ---------------------------------------------------------

    def _begin(self, request: Request, operation: str, forwarded: Mapping[str, str]) -> Exchange:
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
        session_id = request.headers.get(names.SESSION)
        session = self._sessions.find(live, session_id, target)
        variant = routing.choose(live, target, self._rng, session)
        call = ContainerCall(
            body=request.body,
            headers=picked(request.headers, forwarded),
            most_bytes=limits.payload_limit(live.kind, self._settings),
        )
        if live.shadows and session_id is None:  # a shadow has its own sessions, and nobody's ear
            self._copy_to_shadows(live, variant, call)
        return Exchange(request=request, live=live, variant=variant, call=call, session=session)

    def _not_live(self, name: str) -> ApiError:
        record = self._store.endpoint(name)
        # Names are compared without case when an endpoint is made, and exactly when it is called.
        if record is not None and record.name == name and record.status is Status.CREATING:
            # As it was when the endpoint was made: by now it may be deleted.
            made_from = origin(record, record.config_name, self._store)
            if made_from and kind_of(made_from.config.body) is EndpointKind.SERVERLESS:
                return model_not_ready(wording.NOT_READY)
        return validation_error(f"Endpoint {name} of account {self._settings.account} not found.")

    # --- the container's answer ------------------------------------------------------------------

    async def _exchange(self, exchange: Exchange) -> ContainerAnswer:
        timeout_s = self._settings.invocation_timeout_s
        answer, lease = await self._sender.send(
            exchange, lambda address, call: self._ask(address, call, timeout_s), timeout_s
        )
        try:
            self._sender.count(exchange, lease, model_status=answer.status)
            if isinstance(answer.broken, TimeoutError):
                lease.server.tainted = True
            self._judge(exchange, lease, answer, answer.body, whole=answer.broken is None)
            limit = exchange.call.most_bytes
            if len(answer.body) > limit:
                raise wording.model_error(
                    self._sender.where(exchange, lease),
                    status=answer.status,
                    message=wording.oversize_answer(limit),
                )
        finally:
            lease.release()
        return answer

    async def _ask(
        self, address: Address, call: ContainerCall, timeout_s: float
    ) -> ContainerAnswer:
        return verdicts.unbroken(await self._transport.invoke(address, call, timeout_s=timeout_s))

    def _judge(
        self,
        exchange: Exchange,
        lease: Lease,
        answer: ContainerAnswer | StreamAnswer,
        body: bytes,
        *,
        whole: bool,
    ) -> None:
        """Raise a fault as ``ApiError``; log a redirect."""
        if verdicts.succeeded(answer.status):
            name, variant = exchange.live.name, exchange.variant.name
            verdicts.note_redirect(self._logs, name, variant, lease.server, answer)
            return
        where = self._sender.where(exchange, lease)
        fault = verdicts.fault(where.container, answer.status, body, whole=whole)
        raise wording.refused(where, fault.status, fault.sentence, fault.came)

    def _heard(self, exchange: Exchange, answer: Mapping[str, str]) -> Mapping[str, str]:
        """Sessions that a container has opened or closed."""
        return self._sessions.heard(
            exchange.live,
            exchange.variant,
            exchange.server,
            asked=exchange.request.headers.get(names.SESSION),
            answer=answer,
        )

    def _stream_ended(self, exchange: Exchange, lease: Lease, status: int, end: StreamEnd) -> None:
        """A reader who went away is not the model's fault."""
        if end is not StreamEnd.WHOLE:
            lease.server.left(until=exchange.sent + self._settings.stream_timeout_s)
        model_status = None if end is StreamEnd.BROKEN else status
        self._sender.count(exchange, lease, model_status=model_status)

    # --- shadows -----------------------------------------------------------------------------

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
            await self._exchange(Exchange(request=request, live=live, variant=variant, call=call))
        except ApiError:
            return
