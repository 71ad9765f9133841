"""The control plane: JSON 1.1, one path, the operation in a header."""

import asyncio
import json
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from face.answers import control_error, control_headers, internal_error, request_id
from face.requests import Disconnected, TooLarge, body_of, headers_of
from lab.endpoint.clock import Clock
from lab.endpoint.control.operations import WAITS, Control
from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.protocol.sigv4 import Signed, Verifier

_TARGET: Final = "SageMaker."
_BODY_BYTES: Final = 4 * 1024 * 1024
_NOTE: Final = "x-lab-note"
_ALSO: Final = " | "

_log = logging.getLogger("face")


def control_router(control: Control, verifier: Verifier, clock: Clock) -> APIRouter:
    """``POST /`` with ``X-Amz-Target: SageMaker.<operation>``."""
    router = APIRouter()
    said: set[str] = set()

    @router.post("/")
    async def call(request: Request) -> Response:
        number = request_id()
        headers = control_headers(number)
        try:
            answer, notes = await _call(request, control, verifier, clock)
        except ApiError as error:
            return Response(control_error(error), status_code=error.status, headers=headers)
        except Disconnected:
            return Response(status_code=400)
        except Exception:  # noqa: BLE001 - a bug is to look like AWS's own
            _log.exception("Request %s failed", number)
            bug = internal_error()
            return Response(control_error(bug), status_code=bug.status, headers=headers)
        if notes:
            headers[_NOTE] = _ALSO.join(notes).encode("ascii", "replace").decode()
            for note in sorted(set(notes) - said):
                _log.warning("%s", note)
            said.update(notes)
        return Response(json.dumps(answer).encode() if answer else b"{}", headers=headers)

    return router


async def _call(
    request: Request, control: Control, verifier: Verifier, clock: Clock
) -> tuple[Any, Sequence[str]]:
    """The answer, and what is to be said beside it."""
    headers = headers_of(request.scope)
    try:
        body = await body_of(request.receive, limit=_BODY_BYTES)
    except TooLarge:
        raise ApiError(
            "RequestEntityTooLargeException",
            "Request is too large.",
            status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ) from None
    signed = Signed(
        method="POST",
        path="/",
        query=request.scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
    )
    verifier.admit(signed, now=clock.time())
    target = headers.get("x-amz-target", "")
    if not target.startswith(_TARGET):
        raise ApiError("UnknownOperationException", None)
    operation, asked = target.removeprefix(_TARGET), _parsed(body)
    if operation in WAITS:
        answer = await asyncio.to_thread(control.call, operation, asked)
    else:
        answer = control.call(operation, asked)
    return answer, control.notes(operation, asked)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body or b"{}", parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ApiError("SerializationException", "The request's body is not JSON.") from None
    if not isinstance(parsed, dict):
        raise ApiError(
            "SerializationException", "Start of structure or map found where not expected."
        )
    return parsed


def _no_constant(name: str) -> float:
    raise ValueError(name)
