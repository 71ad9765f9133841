"""What the container answers, whichever HTTP server asks: status, type and body of each route."""

import json
import time

from .errors import RequestError
from .gate import Gate
from .metrics import Metrics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .predictor import Predictor
    from .settings import Settings

_JSON = "application/json"
_MB = 1024 * 1024


class Reply:
    """An answer without its HTTP: status, content type, body."""

    __slots__ = ("body", "content_type", "status")

    def __init__(self, status: int, body: bytes, content_type: str = _JSON) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type


def refusal(status: int, reason: str) -> Reply:
    """The one form that every error takes."""
    return Reply(status, json.dumps({"error": reason}).encode())


class Service:
    """The routes' answers. ``predictor`` is None until the model is loaded and warmed up."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings
        self.metrics = Metrics(log_error)
        self.gate = Gate(requests=settings.max_waiting, size=settings.max_waiting_bytes)
        self.predictor: Predictor | None = None
        self.startup_record: dict[str, object] | None = None

    def ping(self) -> Reply:
        """200 once a prediction has been made, 503 before."""
        if self.predictor is None:
            return refusal(503, "The model is still loading.")
        return Reply(200, b"")

    def startup(self) -> Reply:
        if self.startup_record is None:
            return refusal(503, "The start is not over yet.")
        return Reply(200, json.dumps(self.startup_record).encode())

    def metrics_page(self) -> Reply:
        content_type, body = self.metrics.page()
        return Reply(200, body, content_type)

    def execution_parameters(self) -> Reply:
        """What batch transform should do with this container."""
        settings = self.settings
        value = {
            "MaxConcurrentTransforms": settings.workers * settings.threads,
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": max(1, min(100, settings.max_body_bytes // _MB)),
        }
        return Reply(200, json.dumps(value).encode())

    def admit(self, content_type: str, accept: str, length: int | None) -> tuple[str, str]:
        """Check a request by its head: the types to decode from and to encode to.

        Raises ``RequestError`` 503, 415, 406 or 413, in that order.
        """
        if self.predictor is None:
            raise RequestError(503, "The model is still loading.")
        types = self.predictor.types(content_type, accept or self.settings.default_accept)
        if length is not None and length > self.settings.max_body_bytes:
            raise too_large(self.settings.max_body_bytes)
        return types

    def invoke(self, types: tuple[str, str], body: bytes, begun: float) -> Reply:
        """Decode, predict, encode: blocks a thread. ``begun`` is ``perf_counter`` at its head."""
        predictor = self.predictor
        if predictor is None:
            return self.refuse(RequestError(503, "The model is still loading."), begun)
        try:
            answer = predictor.answer(types, body)
        except RequestError as error:
            return self.refuse(error, begun)
        except Exception as error:  # noqa: BLE001  # one place where a bug becomes an answer
            log_error(f"A prediction failed: {type(error).__name__}: {error}")
            return self.refuse(RequestError(500, "The prediction failed; see the log."), begun)
        self.metrics.observe(
            status=200,
            request_s=time.perf_counter() - begun,
            prediction_s=answer.prediction_s,
            noted=answer.noted,
        )
        return Reply(200, answer.body, types[1])

    def refuse(self, error: RequestError, begun: float) -> Reply:
        """The answer to a request to ``/invocations`` that is not served, counted."""
        self.metrics.observe(status=error.status, request_s=time.perf_counter() - begun)
        return refusal(error.status, error.reason)


def too_large(limit: int) -> RequestError:
    """The error of a body beyond ``limit`` bytes."""
    return RequestError(413, f"The body is larger than {limit} bytes (LAB_MAX_BODY_BYTES).")


def busy() -> RequestError:
    """The error of a request that finds the house full."""
    return RequestError(503, "Too many requests are waiting: try again.")


def log_error(message: str) -> None:
    """One line of JSON in the container's log."""
    import sys

    print(json.dumps({"lab_error": " ".join(message.split())}), file=sys.stderr, flush=True)
