"""The runtime API's three operations, on bare ASGI: this is the path that is measured."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, unquote

from face.answers import (
    Receive,
    Scope,
    Send,
    encoded,
    internal_error,
    request_id,
    send_rest_error,
    send_whole,
)
from face.requests import Disconnected, TooLarge, body_of, headers_of
from lab.endpoint.clock import Clock
from lab.endpoint.live import Fleet
from lab.endpoint.protocol.errors import ApiError, validation_error
from lab.endpoint.protocol.eventstream import CONTENT_TYPE
from lab.endpoint.protocol.sigv4 import Signed, Verifier
from lab.endpoint.records import EndpointKind
from lab.endpoint.runtime.async_queue import AsyncInference
from lab.endpoint.runtime.async_request import INLINE_BYTES
from lab.endpoint.runtime.exchange import Request
from lab.endpoint.runtime.invoker import Invoker
from lab.endpoint.runtime.limits import check_size
from lab.endpoint.settings import EmulatorSettings

PREFIX: Final = "/endpoints/"
_OPERATIONS: Final = frozenset({"invocations", "invocations-response-stream", "async-invocations"})

_log = logging.getLogger("face")


class RuntimeApi:
    """An ASGI application for paths that begin with ``/endpoints/``."""

    def __init__(
        self,
        *,
        invoker: Invoker,
        asynchronous: AsyncInference,
        fleet: Fleet,
        verifier: Verifier,
        clock: Clock,
        settings: EmulatorSettings,
    ) -> None:
        self._invoker = invoker
        self._asynchronous = asynchronous
        self._fleet = fleet
        self._verifier = verifier
        self._clock = clock
        self._settings = settings
        self._largest = max(settings.realtime_payload_bytes, settings.serverless_payload_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever it is."""
        request = request_id()
        try:
            await self._answer(scope, receive, send, request)
        except ApiError as error:
            await send_rest_error(send, error, request)
        except Disconnected:
            return
        except Exception:  # noqa: BLE001 - a bug is to look like AWS's own
            _log.exception("Request %s failed", request)
            await send_rest_error(send, internal_error(), request)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request: str) -> None:
        # Of what was sent: in the decoded path a slash of the name's is like any other.
        sent = scope.get("raw_path") or quote(scope["path"]).encode()
        raw_name, _, operation = sent.decode("latin-1").removeprefix(PREFIX).partition("/")
        name = unquote(raw_name)
        if operation not in _OPERATIONS:
            raise ApiError(
                "UnknownOperationException",
                f"SageMaker's runtime has no {scope['path']}, only /endpoints/NAME/ with "
                f"{', '.join(sorted(_OPERATIONS))}. A slash in a name is sent as %2F.",
                status=HTTPStatus.NOT_FOUND,
            )
        if scope["method"] != "POST":
            raise ApiError(
                "UnknownOperationException",
                f"SageMaker's runtime takes POST, not {scope['method']}.",
                status=HTTPStatus.METHOD_NOT_ALLOWED,
            )
        headers = headers_of(scope)
        asynchronous = operation == "async-invocations"
        try:
            limit = INLINE_BYTES if asynchronous else self._largest
            body = await body_of(receive, limit=limit)
        except TooLarge as error:
            raise self._too_large(name, error.size, request, asynchronous=asynchronous) from None
        if self._verifier.verifies or "authorization" in headers:
            self._verifier.admit(_signed(scope, headers, body), now=self._clock.time())
        if asynchronous:
            await self._accept(send, name, headers, body, request)
            return
        asked = Request(
            id=request,
            endpoint=name,
            headers=headers,
            body=body,
            received=self._clock.monotonic(),
        )
        if operation == "invocations":
            reply = await self._invoker.invoke(asked)
            await send_whole(send, 200, encoded(reply.headers, request), reply.body)
        else:
            await self._stream(receive, send, asked)

    async def _stream(self, receive: Receive, send: Send, asked: Request) -> None:
        reply = await self._invoker.stream(asked)
        # Nobody is told that a model speaks to nobody: it is let go when its reader leaves.
        left = asyncio.ensure_future(_gone(receive, reply.close))
        try:
            headers = encoded(reply.headers, asked.id)
            headers.append((b"content-type", CONTENT_TYPE.encode()))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for frame in reply.frames:
                await send({"type": "http.response.body", "body": frame, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except Exception:  # noqa: BLE001 - logged, whatever it is
            # The status is out: all that is left is to end, and to say so in our own log.
            _log.exception("The answer to %s broke off", asked.id)
            raise Disconnected from None
        finally:
            left.cancel()
            await reply.close()

    async def _accept(
        self, send: Send, name: str, headers: Mapping[str, str], body: bytes, request: str
    ) -> None:
        accepted = await self._asynchronous.accept(name, headers, body)
        answer = {
            "Content-Type": "application/json",
            "X-Amzn-SageMaker-OutputLocation": accepted.output_location,
        }
        if accepted.failure_location:
            answer["X-Amzn-SageMaker-FailureLocation"] = accepted.failure_location
        body = json.dumps({"InferenceId": accepted.inference_id}).encode()
        await send_whole(send, HTTPStatus.ACCEPTED, encoded(answer, request), body)

    def _too_large(self, name: str, size: int, request: str, *, asynchronous: bool) -> ApiError:
        if asynchronous:
            return validation_error(
                "1 validation error detected: Value at 'body' failed to satisfy constraint: "
                f"Member must have length less than or equal to {INLINE_BYTES}"
            )
        live = self._fleet.live(name)
        kind = EndpointKind.REAL_TIME if live is None else live.kind
        try:
            check_size(size, kind, request_id=request, settings=self._settings)
        except ApiError as error:
            return error
        return internal_error()  # unreachable: nothing larger than the largest limit is allowed


async def _gone(receive: Receive, then: Callable[[], Awaitable[None]]) -> None:
    """Wait until the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    await then()


def _signed(scope: Scope, headers: Mapping[str, str], body: bytes) -> Signed:
    raw = scope.get("raw_path") or scope["path"].encode()
    return Signed(
        method=scope["method"],
        path=raw.decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
    )
