"""What is done for one asynchronous invocation: its input from S3, the model, its result to S3."""

import asyncio
import base64
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

from lab.endpoint.clock import Clock
from lab.endpoint.live import Fleet, LiveEndpoint, LiveVariant, Server
from lab.endpoint.log_files import DATA_LOG, LogFiles
from lab.endpoint.metrics.counters import Counters
from lab.endpoint.records import AsyncRecord
from lab.endpoint.runtime import async_request, headers, verdicts, wording
from lab.endpoint.runtime.async_objects import PAYLOAD_BYTES, AsyncObjects, too_large
from lab.endpoint.s3 import ObjectError, S3Objects
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore
from lab.endpoint.transport import (
    ASYNC_HEAD_BYTES,
    ContainerAnswer,
    ContainerCall,
    NotSentError,
    Transport,
    TransportError,
    UnreadableError,
    meant_for,
)

_LOG = logging.getLogger(__name__)

_SIZED = (
    "the answer was chunked, or ended with the connection: answer with a whole body and its length"
    " (no streaming response, no middleware that compresses as it goes)"
)
_LARGE: Final = 32 * 1024**2
"""Inputs above this are held one at a time; 16 of those below fit into half a GB."""
_RETRY_S = 0.5
_LOGGED = 2_000
"""Characters of a failure that go to the emulator's own log; all of it goes to S3."""


class RequestFailed(Exception):  # noqa: N818 - an outcome
    """A request came to nothing; says why as AWS's failure messages do.

    ``answer`` is what the model said, if it did; ``known`` what the lab knows beside AWS's words.
    """

    def __init__(
        self, reason: str, *, answer: ContainerAnswer | None = None, known: str = ""
    ) -> None:
        super().__init__(reason)
        self.answer = answer
        self.known = known


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
    logs: LogFiles


class Worker:
    """Sees requests through to their ends. What it could not foresee stays in the store."""

    def __init__(self, context: AsyncContext) -> None:
        self._fleet = context.fleet
        self._store = context.store
        self._transport = context.transport
        self._objects = AsyncObjects(context.objects, context.clock)
        self._meter = context.meter
        self._clock = context.clock
        self._settings = context.settings
        self._logs = context.logs
        self._one_large = asyncio.Lock()

    def close(self) -> None:
        self._objects.close()

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
            await self.fail(row, failed)
        else:
            self.succeeded(row, answer=answer)

    async def is_done(self, row: AsyncRecord) -> bool:
        """Whether an earlier life brought the result to S3 and died before it could say so."""
        output = str(row.request["output"])
        if row.id not in output:
            return False  # under a name of the caller's, it might be an older result
        with suppress(ObjectError):
            await self._objects.size(output)
            return True
        return False

    def succeeded(self, row: AsyncRecord, *, answer: ContainerAnswer | None = None) -> None:
        self._store.delete_async(row.id)
        now = self._clock.time()
        self._meter.asynchronous(row.endpoint, "InvocationsProcessed")
        self._meter.asynchronous(row.endpoint, "TotalProcessingTime", now - row.accepted_at)
        self._notify(row, now, answer=answer)

    async def fail(self, row: AsyncRecord, failed: RequestFailed) -> None:
        """Write the reason where the endpoint wants failures, and forget the request."""
        reason = str(failed)
        # As AWS words it in the endpoint's log stream "data-log".
        # On one line: the model's own words are in it.
        line = " ".join(reason[:_LOGGED].split())
        self._log(row, f"[sagemaker logs] [{row.inference_id}] {line}")
        if failed.known:
            known = wording.knows(failed.known)
            self._log(row, f"[platform] [{row.inference_id}]{known}")
        location = row.request["failure"]
        if location is not None:
            try:
                await self._objects.write(str(location), reason.encode(), "text/plain")
            except ObjectError as error:
                _LOG.warning("The failure of %s could not be written. %s", row.inference_id, error)
        self._store.delete_async(row.id)
        self._meter.asynchronous(row.endpoint, "InvocationFailures")
        self._notify(row, self._clock.time(), answer=failed.answer, reason=reason)

    # --- the input ---------------------------------------------------------------------------

    async def _call(self, row: AsyncRecord, held: AsyncExitStack) -> ContainerCall:
        request = row.request
        kind = request["content_type"]
        if request["input"] is None:
            body = base64.b64decode(request["body"])
        else:
            body, stored_as = await self._download(row, str(request["input"]), held)
            kind = kind or stored_as
        sent = {
            "Content-Type": kind or "application/octet-stream",
            "Accept": request["accept"],
            headers.ATTRIBUTES: request["custom_attributes"],
            headers.INFERENCE_ID: row.inference_id,
        }
        return ContainerCall(
            body=body,
            headers={name: text for name, text in sent.items() if text},
            most_bytes=PAYLOAD_BYTES,
        )

    async def _download(
        self, row: AsyncRecord, uri: str, held: AsyncExitStack
    ) -> tuple[bytes, str]:
        began = self._clock.monotonic()
        try:
            size = await self._objects.size(uri)
            if size > PAYLOAD_BYTES:
                raise too_large(f"The input {uri}", size)
            if size > _LARGE:
                # Whole inputs are in memory until the model has answered: large ones by turns.
                waited_from = self._clock.monotonic()
                await held.enter_async_context(self._one_large)
                began += self._clock.monotonic() - waited_from
            found = await self._objects.read(uri)
        except ObjectError as error:
            self._meter.asynchronous(row.endpoint, "RequestDownloadFailures")
            raise RequestFailed(f"The lab could not download the input. {error}") from error
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
        container = held.variant.pool.plan.hostname or wording.PRIMARY
        began = self._clock.monotonic()
        held.server.asked(timeout_s)
        try:
            call = meant_for(held.server, call)
            answer = await self._transport.invoke(held.server.address, call, timeout_s=timeout_s)
            held.server.heard(self._clock.monotonic())
            verdicts.unbroken(answer)
        except NotSentError:
            raise
        except TimeoutError as error:
            raise RequestFailed(wording.timed_out(container)) from error
        except UnreadableError as error:
            raise RequestFailed(wording.unreadable(container, str(error))) from error
        except TransportError as error:
            known = await held.variant.pool.autopsy(held.server) or str(error)
            raise RequestFailed(wording.connection_reset(row.endpoint), known=known) from error
        self._time(row, "ModelLatency", began)
        self._check(answer, container)
        name, variant = row.endpoint, held.variant.name
        verdicts.note_redirect(self._logs, name, variant, held.server, answer)
        return answer

    def _check(self, answer: ContainerAnswer, container: str) -> None:
        """Whether it is a result. Raises ``RequestFailed``."""
        if not verdicts.succeeded(answer.status):
            whole = answer.broken is None
            fault = verdicts.fault(container, answer.status, answer.body, whole=whole)
            raise RequestFailed(fault.sentence if whole else f"{fault.sentence}.", answer=answer)
        if answer.head_bytes > ASYNC_HEAD_BYTES:
            raise RequestFailed(wording.long_head(container, ASYNC_HEAD_BYTES))
        if not answer.sized:
            raise RequestFailed(wording.no_length(container), known=_SIZED)

    # --- the outcome -------------------------------------------------------------------------

    async def _upload(self, row: AsyncRecord, answer: ContainerAnswer) -> None:
        began = self._clock.monotonic()
        kind = answer.headers.get("content-type", "")
        try:
            await self._objects.write(str(row.request["output"]), answer.body, kind)
        except ObjectError as error:
            self._meter.asynchronous(row.endpoint, "ResponseUploadFailures")
            raise RequestFailed(f"The lab could not upload the result. {error}") from error
        self._time(row, "ResponseUploadLatency", began)

    def _notify(
        self,
        row: AsyncRecord,
        now: float,
        *,
        answer: ContainerAnswer | None,
        reason: str | None = None,
    ) -> None:
        """There is no SNS here: say in the log what would have been published."""
        live = self._fleet.live(row.endpoint)
        topic = async_request.topic(live, failed=reason is not None)
        if topic:
            message: Any = async_request.notice(
                row,
                region=self._settings.region,
                now=now,
                answer=answer,
                included=async_request.includes_answer(live, failed=reason is not None),
                reason=reason,
            )
            self._log(row, async_request.unpublished(topic, message))

    def _log(self, row: AsyncRecord, line: str) -> None:
        """In the endpoint's log while it is there, and in the emulator's own."""
        _LOG.info("%s: %s", row.endpoint, line)
        live = self._fleet.live(row.endpoint)
        if live is not None:
            self._logs.line(row.endpoint, live.variants[0].name, DATA_LOG, line)

    def _time(self, row: AsyncRecord, event: str, began: float) -> None:
        self._meter.asynchronous(row.endpoint, event, self._clock.monotonic() - began)
