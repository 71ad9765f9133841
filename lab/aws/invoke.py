"""An endpoint that is asked, wherever it is: on AWS, or on the lab's emulator."""

import time
from collections.abc import Callable
from typing import Final, Protocol

from botocore.exceptions import ClientError

from lab.aws.access.session import AwsSession
from lab.aws.model import AwsError
from lab.endpoint.client import EmulatorClient
from lab.errors import EndpointError

ANSWER: Final = "application/json"
"""What is asked for."""

PATIENCE_S: Final = 180.0
"""How long a serverless endpoint may take to launch its container (SageMaker's own limit)."""

_LATER: Final = ("ModelNotReadyException", "ThrottlingException", "ServiceUnavailable")
_POLL_S: Final = 2.0


class NotNowError(AwsError):
    """The endpoint exists and may answer in a moment: it is starting, or has enough to do."""


class Endpoint(Protocol):
    """One endpoint."""

    @property
    def name(self) -> str:
        """Its name."""

    def invoke(self, body: bytes, content_type: str) -> bytes:
        """One InvokeEndpoint, never repeated. Raises ``NotNowError`` or another ``LabError``."""

    def cool(self) -> bool:
        """Make the next request a cold start, if that can be asked for; whether it could."""


class AwsEndpoint:
    """An endpoint of SageMaker."""

    def __init__(self, aws: AwsSession, name: str) -> None:
        self.name = name
        self._aws = aws
        # Repeated in silence, a request would be measured twice.
        self._client = aws.client("sagemaker-runtime", attempts=1)

    def invoke(self, body: bytes, content_type: str) -> bytes:
        """Ask it. Reading the answer is part of it."""
        with self._aws.translating(f"Asking {self.name}", service="sagemaker"):
            try:
                answer = self._client.invoke_endpoint(
                    EndpointName=self.name, Body=body, ContentType=content_type, Accept=ANSWER
                )
                said: bytes = answer["Body"].read()
            except ClientError as error:
                _refuse_for_now(self.name, error)
                raise
        return said

    def cool(self) -> bool:
        """Only time cools an endpoint of AWS."""
        return False


class LocalEndpoint:
    """An endpoint of the lab's emulator."""

    def __init__(self, client: EmulatorClient, name: str) -> None:
        self.name = name
        self._client = client

    def invoke(self, body: bytes, content_type: str) -> bytes:
        try:
            return self._client.invoke(self.name, body, content_type, Accept=ANSWER).body
        except EndpointError as error:
            if isinstance(error.__cause__, ClientError):
                _refuse_for_now(self.name, error.__cause__)
            raise

    def cool(self) -> bool:
        """Have the emulator drop its idle containers."""
        self._client.scale_to_zero(self.name)
        return True


def patiently(
    endpoint: Endpoint,
    body: bytes,
    content_type: str,
    *,
    give_up_s: float = PATIENCE_S,
    sleep: Callable[[float], None] = time.sleep,
) -> bytes:
    """Ask until it is ready to answer. Raises ``NotNowError`` when it never is."""
    end = time.monotonic() + give_up_s
    while True:
        try:
            return endpoint.invoke(body, content_type)
        except NotNowError:
            if time.monotonic() >= end:
                raise
        sleep(_POLL_S)


def _refuse_for_now(name: str, error: ClientError) -> None:
    code = str(error.response.get("Error", {}).get("Code"))
    if code in _LATER:
        raise NotNowError(
            f"{name} does not answer yet ({code}).",
            remedy="Wait a moment, or raise --max-concurrency.",
        ) from None
