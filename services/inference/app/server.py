"""The FastAPI application: thin routes around a ``Service``."""

import asyncio
import time
from concurrent.futures import Executor

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from .errors import RequestError
from .service import Reply, Service, busy, refusal, too_large

_DISCARD = 4
"""A body of up to this many times the limit is read to its end before it is refused, so that the
client, which is still sending, gets to see why. Larger ones lose their connection."""


def create_app(service: Service, pool: Executor) -> FastAPI:
    """The application; predictions run in ``pool``, so that ``/ping`` never waits for one."""
    app = FastAPI(title="inference", openapi_url=None, docs_url=None, redoc_url=None)

    async def ping(_: Request) -> Response:
        return _response(service.ping())

    async def startup(_: Request) -> Response:
        return _response(service.startup())

    async def metrics(_: Request) -> Response:
        return _response(service.metrics_page())

    async def execution_parameters(_: Request) -> Response:
        return _response(service.execution_parameters())

    async def invocations(request: Request) -> Response:
        begun = time.perf_counter()
        try:
            return _response(await _invoke(service, pool, request, begun))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it

    async def error(_: Request, raised: Exception) -> Response:
        status, headers = 500, None
        if isinstance(raised, HTTPException):
            status, headers = raised.status_code, raised.headers
        names = {404: "There is no such route.", 405: "This route does not take that method."}
        reply = refusal(status, names.get(status, str(getattr(raised, "detail", "A bug."))))
        return Response(reply.body, status, headers, reply.content_type)

    # Starlette's own routes: FastAPI's would validate and solve dependencies at each request.
    app.add_route("/ping", ping, ["GET"])
    app.add_route("/invocations", invocations, ["POST"])
    app.add_route("/startup", startup, ["GET"])
    app.add_route("/metrics", metrics, ["GET"])
    app.add_route("/execution-parameters", execution_parameters, ["GET"])
    app.add_exception_handler(HTTPException, error)
    return app


async def _invoke(service: Service, pool: Executor, request: Request, begun: float) -> Reply:
    headers = request.headers
    length = _length(headers.get("content-length"))
    limit = service.settings.max_body_bytes
    try:
        types = service.admit(
            headers.get("content-type", ""), ", ".join(headers.getlist("accept")), length
        )
        held = limit if length is None else length
        if not service.gate.enter(held):
            raise busy()
    except RequestError as error:
        if "expect" not in headers:  # it would wait for leave to send its body
            await _discard(request, length, limit)
        return service.refuse(error, begun)
    try:
        body = await _body(request, limit)
        return await asyncio.get_running_loop().run_in_executor(
            pool, service.invoke, types, body, begun
        )
    except RequestError as error:
        return service.refuse(error, begun)
    finally:
        service.gate.leave(held)


def _length(header: str | None) -> int | None:
    return int(header) if header is not None and header.isascii() and header.isdigit() else None


async def _body(request: Request, limit: int) -> bytes:
    """The body, all of it; raises ``RequestError`` 413 once it is beyond ``limit``."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= limit:
            parts.append(part)
        else:
            parts.clear()
            if size > _DISCARD * limit:
                break
    if size > limit:
        raise too_large(limit)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _discard(request: Request, length: int | None, limit: int) -> None:
    """Read a body that nobody wants, unless it is huge."""
    size = 0
    if length is not None and length > _DISCARD * limit:
        return
    async for part in request.stream():
        size += len(part)
        if size > _DISCARD * limit:
            return


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, {"content-type": reply.content_type})
