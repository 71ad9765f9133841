"""An endpoint on AWS, by the SDK from threads, within a bound on what it costs."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lab.aws.access.errors import CallError, as_call_error
from lab.aws.access.session import AwsSession
from lab.aws.invoke import ANSWER
from lab.aws.measure.record import Rates
from lab.aws.measure.spending import SLOWEST_S, rates_of
from lab.aws.model import AwsError, PushTarget, ServingKind
from lab.awserrors import ErrorKind
from lab.errors import UsageError
from lab.load.job import THROTTLED, model_status
from lab.load.requests import Requests
from lab.loadtest.record import TargetKind, TargetRecord
from lab.loadtest.targets.api import CallAnswer, CallRoute, LoadPayload
from lab.loadtest.targets.endpoint import record_of, refuse_what_does_not_answer

_CALLS: Final = 64
_OF_ONE_REQUEST: Final = frozenset(
    {
        ErrorKind.MODEL,
        ErrorKind.SERVICE,
        ErrorKind.THROTTLED,
        ErrorKind.CONNECTION,
        ErrorKind.INVALID,
    }
)
"""All other troubles would be those of the next one too."""


class SpentError(AwsError):
    """The next request could go beyond the bound on the cost: nothing more is sent."""


class Spending:
    """What a load has cost so far; never less than AWS charges, since the client's clock sees the
    network and the cold start too. Safe to use from several threads.
    """

    def __init__(self, rates: Rates, max_usd: float, *, before: Requests | None = None) -> None:
        """``before`` are the requests of earlier sittings."""
        self._rates = rates
        self._max_usd = max_usd
        self._lock = threading.Lock()
        self._slowest_s = 0.0
        self._under_way = 0
        self._begun: float | None = None
        self._last = 0.0
        self._busy_s = self._present_s = self._bytes = 0.0
        if before is not None and len(before):
            self._busy_s = float((before.done_s - before.sent_s).sum())
            self._present_s = float(before.done_s.max())
            self._bytes = float(before.sent_bytes.sum() + before.received_bytes.sum())

    @property
    def usd(self) -> float:
        """Up to the last answer: of the answers, and of the endpoint being there."""
        return self._usd(self._last)

    def _usd(self, now: float) -> float:
        here_s = 0.0 if self._begun is None else max(0.0, now - self._begun)
        present_s = self._present_s + here_s
        return self._rates.usd(
            answering_s=self._busy_s, present_s=present_s, data_bytes=self._bytes
        )

    @contextmanager
    def request(self, sent_bytes: int) -> Iterator[list[int]]:
        """While one is under way; the block puts the bytes that it received into the list.

        Raises ``SpentError`` when it, and all that are under way, could go beyond the bound if
        each took as long as the slowest so far.
        """
        began, received = time.monotonic(), [0]
        with self._lock:
            self._begun = began if self._begun is None else self._begun
            slowest_s = self._slowest_s or SLOWEST_S
            most = self._rates.usd(
                answering_s=(self._under_way + 1) * slowest_s,
                present_s=slowest_s,
                data_bytes=sent_bytes,
            )
            if self._usd(began) + most > self._max_usd:
                raise SpentError(
                    f"Stopped at {self._usd(began):.4f} USD: the next request could go beyond the "
                    f"bound of {self._max_usd:g} USD.",
                    remedy="Raise --max-usd to go on.",
                )
            self._under_way += 1
        try:
            yield received
        finally:
            ended = time.monotonic()
            took = ended - began
            with self._lock:
                self._last = max(self._last, ended)
                self._under_way -= 1
                self._busy_s += took
                self._slowest_s = max(self._slowest_s, took)
                self._bytes += sent_bytes + sum(received)


@dataclass(frozen=True, kw_only=True)
class AwsTarget:
    """Its pool is not seen from outside."""

    record: TargetRecord
    route: CallRoute
    spending: Spending
    _aws: AwsSession

    def pool(self) -> None:
        """CloudWatch tells it minutes later."""

    def containers(self) -> Sequence[str]:
        """None of this machine's."""
        return ()

    def cause(self) -> str | None:
        """Why it failed, as SageMaker says."""
        try:
            seen = _described(self._aws, self.record.name)
        except CallError as error:
            return error.what
        if seen is None:
            return f"There is no endpoint {self.record.name} any more."
        return seen.get("FailureReason")


@contextmanager
def aws_target(
    aws: AwsSession,
    name: str,
    *,
    max_usd: float,
    hour_usd: float | None = None,
    before: Requests | None = None,
) -> Iterator[AwsTarget]:
    """One that is in service. ``hour_usd`` is for instance types without a price.

    Raises ``UsageError`` naming those there are, and where the cost cannot be bounded.
    """
    described = _described(aws, name)
    if described is None:
        rows = aws.every("sagemaker", "list_endpoints", "Endpoints", doing="Listing endpoints")
        known = ", ".join(str(row["EndpointName"]) for row in rows)
        raise UsageError(
            f"There is no endpoint {name} in {aws.region}.",
            remedy=f"Choose from {known}." if known else "Push one: `lab push aws`.",
        )
    refuse_what_does_not_answer(described)
    config = aws.find(
        "sagemaker",
        "describe_endpoint_config",
        EndpointConfigName=described["EndpointConfigName"],
    )
    record = record_of(described, config, kind=TargetKind.AWS)
    running = (described.get("ProductionVariants") or [{}])[0]
    rates = rates_of(
        PushTarget.AWS,
        ServingKind.SERVERLESS if record.serverless else ServingKind.REAL_TIME,
        memory_mb=record.memory_mb,
        instance_type=None if record.serverless else record.size,
        instances=int(running.get("CurrentInstanceCount") or 1),
        hour_usd=hour_usd,
    )
    spending = Spending(rates, max_usd, before=before)
    route = CallRoute(call=_Invoke(aws, name, spending), clients=_CALLS)
    yield AwsTarget(record=record, route=route, spending=spending, _aws=aws)


class _Invoke:
    """InvokeEndpoint, never repeated: in silence it would be measured twice."""

    def __init__(self, aws: AwsSession, name: str, spending: Spending) -> None:
        self._aws = aws
        self._name = name
        self._spending = spending
        self._client = aws.client("sagemaker-runtime", attempts=1)

    def __call__(self, payload: LoadPayload) -> CallAnswer:
        """Raises ``SpentError``, and ``CallError`` for what would be the next one's trouble too."""
        with self._spending.request(len(payload.body)) as received:
            try:
                answer = self._client.invoke_endpoint(
                    EndpointName=self._name,
                    Body=payload.body,
                    ContentType=payload.content_type,
                    Accept=ANSWER,
                )
                received[0] = len(answer["Body"].read())
            except (ClientError, BotoCoreError, ResponseParserError) as error:
                return self._refused(error)
            status = int(answer["ResponseMetadata"]["HTTPStatusCode"])
            return CallAnswer(status=status, received_bytes=received[0])

    def _refused(self, error: Exception) -> CallAnswer:
        told = as_call_error(
            error, f"Asking {self._name}", service="sagemaker", region=self._aws.region
        )
        if told.kind not in _OF_ONE_REQUEST:
            raise told from None
        if not isinstance(error, ClientError):
            return CallAnswer(status=0, error=told.code)
        said: Mapping[str, Any] = error.response
        status = int(said["ResponseMetadata"]["HTTPStatusCode"])
        return CallAnswer(
            status=model_status(status, said.get("OriginalStatusCode")),
            error=THROTTLED if told.kind is ErrorKind.THROTTLED else told.code,
            body=str(said.get("OriginalMessage") or told.what).encode(),
        )


def _described(aws: AwsSession, name: str) -> Mapping[str, Any] | None:
    return aws.find("sagemaker", "describe_endpoint", doing=f"Looking at {name}", EndpointName=name)
