"""Which application answers which path."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.responses import Response
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.requests import Request

from face.answers import Receive, Scope, Send, control_error, control_headers, request_id
from face.control import control_router
from face.neighbours import Neighbours
from face.private import private_router
from face.runtime import PREFIX, RuntimeApi
from lab.endpoint.emulator import Emulator
from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.protocol.sigv4 import Verifier


class Face:
    """The whole face: the runtime API on bare ASGI, the rest on FastAPI."""

    def __init__(
        self,
        emulator: Emulator,
        registry: CollectorRegistry,
        *,
        started: asyncio.Event | None = None,
        stopping: asyncio.Event | None = None,
        s3_endpoint: str | None = None,
    ) -> None:
        """Calls of AWS's API wait until ``started`` is set; None is a face that answers at once.

        ``s3_endpoint`` is where programs on this machine find S3, for those that look for it here.
        """
        if started is None:
            started = asyncio.Event()
            started.set()
        self._started = started
        settings = emulator.settings
        self._runtime = RuntimeApi(
            invoker=emulator.invoker,
            asynchronous=emulator.asynchronous,
            fleet=emulator.fleet,
            verifier=Verifier(settings.access_keys, region=settings.region),
            clock=emulator.clock,
            settings=settings,
        )
        self._neighbours = Neighbours(settings, emulator.clock, s3=s3_endpoint)
        self._rest = _rest(emulator, registry, started.is_set, stopping or asyncio.Event())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._started.is_set() and not _is_private(scope):
            # Endpoints of an earlier life are there, but not yet known to take requests.
            await self._started.wait()
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self._runtime(scope, receive, send)
        elif not _is_private(scope) and self._neighbours.meant(scope):
            await self._neighbours(scope, receive, send)
        else:
            await self._rest(scope, receive, send)


def _refusal(request: Request, error: HTTPException) -> str:
    if request.url.path.startswith("/_lab/") and error.detail != HTTPStatus.NOT_FOUND.phrase:
        return str(error.detail)
    return (
        f"{error.detail}: {request.method} {request.url.path}. SageMaker is asked by POST / with "
        "X-Amz-Target, its runtime by POST /endpoints/NAME/invocations."
    )


def _is_private(scope: Scope) -> bool:
    path: str = scope.get("path", "")
    return scope["type"] != "http" or path.startswith(("/_lab/", "/metrics"))


def _rest(
    emulator: Emulator,
    registry: CollectorRegistry,
    started: Callable[[], bool],
    stopping: asyncio.Event,
) -> FastAPI:
    app = FastAPI(
        title="inference-lab endpoint emulator", docs_url=None, redoc_url=None, openapi_url=None
    )
    settings = emulator.settings
    # Services that speak JSON 1.1 refuse signatures with 400, those that speak REST with 403.
    verifier = Verifier(
        settings.access_keys, region=settings.region, refused_status=HTTPStatus.BAD_REQUEST
    )
    app.include_router(control_router(emulator.control, verifier, emulator.clock))
    app.include_router(private_router(emulator, registry, started=started, stopping=stopping))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        unknown = ApiError("UnknownOperationException", _refusal(request, error))
        headers = control_headers(request_id())
        return Response(control_error(unknown), status_code=error.status_code, headers=headers)

    return app
