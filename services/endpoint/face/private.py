"""The emulator's own API, beside AWS's: for ``lab``, for Prometheus and for health checks."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from lab.endpoint.emulator import Emulator
from lab.endpoint.metrics.discovery import targets as scrape_targets

_MOST_LINES: Final = 100_000
_NAME: Final = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
"""Of an endpoint. Logs are looked for below a folder of this name: no other may become a path."""


def private_router(
    emulator: Emulator,
    registry: CollectorRegistry,
    *,
    started: Callable[[], bool],
    stopping: asyncio.Event,
) -> APIRouter:
    """Paths that no operation of AWS uses."""
    router = APIRouter()

    @router.get("/_lab/health")
    async def health() -> Response:
        if not started():
            return JSONResponse({"status": "starting"}, status_code=HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse({"status": "ok"})

    @router.get("/_lab/targets")
    async def targets() -> Response:
        return JSONResponse(scrape_targets(emulator.fleet, emulator.store))

    @router.get("/_lab/changes")
    async def changes() -> Response:
        return JSONResponse(await emulator.versions.changes())

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    _endpoint_routes(router, emulator, stopping)
    return router


def _endpoint_routes(router: APIRouter, emulator: Emulator, stopping: asyncio.Event) -> None:
    """What is asked of one endpoint."""

    @router.get("/_lab/endpoints/{name}/logs")
    async def logs(
        name: str,
        lines: Annotated[int, Query(ge=0, le=_MOST_LINES)] = 100,
        follow: Annotated[bool, Query()] = False,  # noqa: FBT002 - a query parameter
    ) -> Response:
        _known(emulator, name, logs_too=True)
        if not follow:
            tail = await asyncio.to_thread(emulator.logs.tail, name, lines)
            return PlainTextResponse("".join(f"{line}\n" for line in tail))
        return StreamingResponse(
            _follow(emulator, name, lines, stopping), media_type="text/plain; charset=utf-8"
        )

    @router.get("/_lab/endpoints/{name}/servers")
    async def servers(name: str) -> Response:
        _known(emulator, name)
        return JSONResponse(emulator.servers(name))

    @router.get("/_lab/endpoints/{name}/pool")
    async def pool(name: str) -> Response:
        _known(emulator, name)
        return JSONResponse(emulator.pool(name))

    @router.post("/_lab/endpoints/{name}/scale-to-zero")
    async def scale_to_zero(name: str) -> Response:
        _known(emulator, name)
        return JSONResponse({"stopped": await emulator.scale_to_zero(name)})

    @router.post("/_lab/endpoints/{name}/give-up")
    async def give_up(name: str) -> Response:
        _known(emulator, name)
        emulator.give_up(name)
        return JSONResponse({})


def _known(emulator: Emulator, name: str, *, logs_too: bool = False) -> None:
    if emulator.store.endpoint(name) is not None:
        return
    if logs_too and _NAME.fullmatch(name) and emulator.logs.streams(name):
        return  # logs outlive their endpoint, as in CloudWatch
    names = ", ".join(row.name for row in emulator.store.endpoints())
    raise HTTPException(
        HTTPStatus.NOT_FOUND,
        f"There is no endpoint {name}. {f'There are: {names}.' if names else 'There is none.'}",
    )


async def _follow(
    emulator: Emulator, name: str, lines: int, stopping: asyncio.Event
) -> AsyncIterator[str]:
    """The last lines, then what comes; ends when the emulator does."""
    coming = aiter(emulator.logs.follow(name, lines=lines))
    end = asyncio.ensure_future(stopping.wait())
    next_line: asyncio.Future[str | None] | None = None
    try:
        while not stopping.is_set():
            next_line = asyncio.ensure_future(anext(coming, None))
            waited: set[asyncio.Future[Any]] = {next_line, end}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not next_line.done():
                return
            line = await next_line
            if line is None:
                return
            yield f"{line}\n"
    finally:
        end.cancel()
        if next_line is not None:
            next_line.cancel()  # a reader that went away must not be read for until a line comes
