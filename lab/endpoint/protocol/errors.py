"""The API's errors, by the names and status codes that botocore knows them by."""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An answer other than success. ``message`` None is sent as null, as AWS throttles."""

    def __init__(
        self,
        code: str,
        message: str | None,
        *,
        status: int = 400,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = dict(fields or {})
        """Further members of the error's shape: ``OriginalStatusCode``, ..."""


def validation_exception(message: str) -> ApiError:
    """Of the control plane."""
    return ApiError("ValidationException", message)


def validation_error(message: str) -> ApiError:
    """Of the runtime."""
    return ApiError("ValidationError", message)


def throttling() -> ApiError:
    """Of the runtime: HTTP 400 and a null message, as seen on AWS."""
    return ApiError("ThrottlingException", None)


def model_not_ready(message: str) -> ApiError:
    """Of the runtime."""
    return ApiError("ModelNotReadyException", message, status=429)


def model_error(message: str, *, original_status: int, original: str, log_stream: str) -> ApiError:
    """The container answered 4xx or 5xx, not in time, or not at all (status 0)."""
    return ApiError(
        "ModelError",
        message,
        status=424,
        fields={
            "OriginalStatusCode": original_status,
            "OriginalMessage": original,
            "LogStreamArn": log_stream,
        },
    )
