"""What is done for one asynchronous invocation: its input from S3, the model, its result to S3."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from lab.endpoint.clock import Clock
from lab.endpoint.live import Fleet, LiveEndpoint, LiveVariant, Server
from lab.endpoint.metrics.counters import Counters
from lab.endpoint.records import AsyncRecord
from lab.endpoint.runtime import async_request, wording
from lab.endpoint.runtime.streaming import EXCERPT
from lab.endpoint.s3 import ObjectError, S3Objects
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore
from lab.endpoint.transport import (
    ContainerAnswer,
    ContainerCall,
    NotSentError,
    Transport,
    TransportError,
)

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

PAYLOAD_BYTES: Final = 1024**3
"""Of an input, and of a result, in S3."""

_THREADS = 16
_LARGE: Final = 32 * 1024**2
"""Inputs above this are held one at a time; 16 of those below fit into half a GB."""
_RETRY_S = 0.5
_LOGGED = 2_000
"""Characters of a failure that go to the emulator's own log; all of it goes to S3."""
_UPLOADS = 6
_FIRST_UPLOAD_RETRY_S = 1.0
_PASSING = frozenset({"Unreachable", "SlowDown", "InternalError"})
"""Errors of S3 that may be gone the next time."""


class RequestFailed(Exception):  # noqa: N818 - an outcome
    """A request came to nothing; says why as AWS's failure messages do."""


@dataclass(frozen=True, kw_only=True)
class HeldServer:
    """A server that a request holds."""

    live: LiveEndpoint
    variant: LiveVariant
    server: Server


AcquireServer = Callable[[], AbstractAsyncContextManager[HeldServer]]
"""Waits for a server with room. Raises ``RequestFailed`` when it is not worth waiting for."""


@dataclass(frozen=True, kw_only=True)
class AsyncContext:
    """What asynchronous inference works with."""

    store: SqliteStore
    fleet: Fleet
    transport: Transport
    objects: S3Objects
    meter: Counters
    clock: Clock
    settings: EmulatorSettings


class Worker:
    """Sees requests through to their ends. What it could not foresee stays in the store."""

    def __init__(self, context: AsyncContext) -> None:
        self._fleet = context.fleet
        self._store = context.store
        self._transport = context.transport
        self._objects = context.objects
        self._meter = context.meter
        self._clock = context.clock
        self._settings = context.settings
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="async-s3")
        self._one_large = asyncio.Lock()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def process(
        self, row: AsyncRecord, *, server: AcquireServer, past_model: Callable[[], None]
    ) -> None:
        """From its turn in the queue to its result, or its failure.

        ``past_model`` is called when the model has had its say, and no server is needed any more.
        """
        self._meter.asynchronous(
            row.endpoint, "TimeInBacklog", self._clock.time() - row.accepted_at
        )
        try:
            async with AsyncExitStack() as held:
                answer = await self._ask(row, await self._call(row, held), server)
            past_model()
            await self._upload(row, answer)
        except RequestFailed as failed:
            past_model()
            await self.fail(row, str(failed))
        else:
            self.succeeded(row, kind=answer.headers.get("content-type", ""))

    async def is_done(self, row: AsyncRecord) -> bool:
        """Whether an earlier life brought the result to S3 and died before it could say so."""
        output = str(row.request["output"])
        if row.id not in output:
            return False  # under a name of the caller's, it might be an older result
        with suppress(ObjectError):
            await self._in_thread(lambda: self._objects.size(output))
            return True
        return False

    def succeeded(self, row: AsyncRecord, *, kind: str = "") -> None:
        self._store.delete_async(row.id)
        now = self._clock.time()
        self._meter.asynchronous(row.endpoint, "InvocationsProcessed")
        self._meter.asynchronous(row.endpoint, "TotalProcessingTime", now - row.accepted_at)
        self._notify(row, now, kind=kind)

    async def fail(self, row: AsyncRecord, reason: str) -> None:
        """Write the reason where the endpoint wants failures, and forget the request."""
        # As AWS words it in the endpoint's log stream "data-log".
        # On one line: the model's own words are in it.
        line = " ".join(reason[:_LOGGED].split())
        _LOG.warning("[sagemaker logs] [%s] %s", row.inference_id, line)
        location = row.request["failure"]
        if location is not None:
            try:
                await self._put(str(location), reason.encode(), "text/plain")
            except ObjectError as error:
                _LOG.warning("The failure of %s could not be written. %s", row.inference_id, error)
        self._store.delete_async(row.id)
        self._meter.asynchronous(row.endpoint, "InvocationFailures")
        self._notify(row, self._clock.time(), reason=reason)

    # --- the input ---------------------------------------------------------------------------

    async def _call(self, row: AsyncRecord, held: AsyncExitStack) -> ContainerCall:
        request = row.request
        kind = request["content_type"]
        if request["input"] is None:
            body = base64.b64decode(request["body"])
        else:
            body, stored_as = await self._download(row, str(request["input"]), held)
            kind = kind or stored_as
        headers = {
            "Content-Type": kind or "application/octet-stream",
            "Accept": request["accept"],
            "X-Amzn-SageMaker-Custom-Attributes": request["custom_attributes"],
            "X-Amzn-SageMaker-Inference-Id": row.inference_id,
        }
        return ContainerCall(
            body=body, headers={name: text for name, text in headers.items() if text}
        )

    async def _download(
        self, row: AsyncRecord, uri: str, held: AsyncExitStack
    ) -> tuple[bytes, str]:
        began = self._clock.monotonic()
        try:
            size = await self._in_thread(lambda: self._objects.size(uri))
            if size > PAYLOAD_BYTES:
                raise _too_large(f"The input {uri}", size)
            if size > _LARGE:
                # Whole inputs are in memory until the model has answered: large ones by turns.
                waited_from = self._clock.monotonic()
                await held.enter_async_context(self._one_large)
                began += self._clock.monotonic() - waited_from
            found = await self._in_thread(lambda: self._objects.read(uri))
        except ObjectError as error:
            self._meter.asynchronous(row.endpoint, "RequestDownloadFailures")
            raise RequestFailed(f"ClientError: Unable to download the input. {error}") from error
        self._time(row, "RequestDownloadLatency", began)
        return found

    # --- the model ---------------------------------------------------------------------------

    async def _ask(
        self, row: AsyncRecord, call: ContainerCall, server: AcquireServer
    ) -> ContainerAnswer:
        """Send it to one container; to another only if nothing was taken by the first."""
        while True:
            async with server() as held:
                try:
                    answer = await self._ask_once(row, call, held)
                except NotSentError:
                    held.server.healthy = False
                else:
                    return answer
            await self._clock.sleep(_RETRY_S)

    async def _ask_once(
        self, row: AsyncRecord, call: ContainerCall, held: HeldServer
    ) -> ContainerAnswer:
        timeout_s = float(row.request["timeout_s"])
        where = wording.Where.of(self._settings, row.endpoint, held.variant, held.server)
        status = 0
        began = self._clock.monotonic()
        held.server.asked(timeout_s)
        try:
            answer = await self._transport.invoke(held.server.address, call, timeout_s=timeout_s)
            held.server.heard(self._clock.monotonic())
        except NotSentError:
            raise
        except TimeoutError:
            message = wording.timed_out(where.container)
        except TransportError:
            message = wording.no_answer(row.endpoint)
        else:
            self._time(row, "ModelLatency", began)
            status = answer.status
            if 200 <= status < 300:
                return answer
            message = answer.body[:EXCERPT].decode("utf-8", "replace")
        error = wording.model_error(where, status=status, message=message)
        raise RequestFailed(f"ClientError: {error.message}")

    # --- the outcome -------------------------------------------------------------------------

    async def _upload(self, row: AsyncRecord, answer: ContainerAnswer) -> None:
        began = self._clock.monotonic()
        kind = answer.headers.get("content-type", "")
        try:
            await self._put(str(row.request["output"]), answer.body, kind)
        except ObjectError as error:
            self._meter.asynchronous(row.endpoint, "ResponseUploadFailures")
            raise RequestFailed(f"ClientError: Unable to upload the result. {error}") from error
        self._time(row, "ResponseUploadLatency", began)

    async def _put(self, uri: str, data: bytes, kind: str) -> None:
        """Write, waiting out an S3 that is away for a moment: a result took long to come by."""
        if len(data) > PAYLOAD_BYTES:
            raise _too_large("The result", len(data))
        wait_s = _FIRST_UPLOAD_RETRY_S
        for attempt in range(1, _UPLOADS + 1):
            try:
                await self._in_thread(lambda: self._objects.write(uri, data, content_type=kind))
            except ObjectError as error:
                if attempt == _UPLOADS or error.code not in _PASSING:
                    raise
                _LOG.warning("%s Trying again in %.0f s.", error, wait_s)
            else:
                return
            await self._clock.sleep(wait_s)
            wait_s *= 2

    def _notify(
        self, row: AsyncRecord, now: float, *, kind: str = "", reason: str | None = None
    ) -> None:
        """There is no SNS here: say in the log what would have been published."""
        topic = async_request.topic(self._fleet.live(row.endpoint), failed=reason is not None)
        if topic:
            message: Any = async_request.notice(
                row, region=self._settings.region, now=now, kind=kind, reason=reason
            )
            _LOG.info("SNS is not emulated. To %s would go: %s", topic, json.dumps(message))

    def _time(self, row: AsyncRecord, event: str, began: float) -> None:
        self._meter.asynchronous(row.endpoint, event, self._clock.monotonic() - began)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _too_large(what: str, size: int) -> ObjectError:
    return ObjectError(
        "EntityTooLarge", f"{what} has {size} bytes; up to {PAYLOAD_BYTES} (1 GB) are possible."
    )
