"""The sentences in which SageMaker reports a model's errors, as seen in the wild."""

from dataclasses import dataclass
from typing import Final

from lab.endpoint.live import LiveEndpoint, LiveVariant, Server
from lab.endpoint.protocol.errors import ApiError, validation_error
from lab.endpoint.protocol.errors import model_error as as_model_error
from lab.endpoint.records import EndpointKind
from lab.endpoint.settings import EmulatorSettings

PRIMARY: Final = "primary"
"""The name of a model's only container."""

NOT_READY: Final = (
    "Either a serverless endpoint variant's resources are still being provisioned, or a "
    "multi-model endpoint is still downloading or loading the target model. Wait and try your "
    "request again."
)

UNSUPPORTED: Final = {
    "x-amzn-sagemaker-target-model": (
        "Endpoint {endpoint} is not a multi-model endpoint and does not support target model "
        "header."
    ),
    "x-amzn-sagemaker-inference-component": (
        "Inference Component Name header is not allowed for endpoints to which you dont plan to "
        "deploy inference components. Please remove the Inference Component Name header and try "
        "again."
    ),
    "x-amzn-sagemaker-target-container-hostname": (
        "The lab: TargetContainerHostname is only for endpoints that call their containers "
        "directly, and endpoint {endpoint} is not one."
    ),
    "x-amzn-sagemaker-enable-explanations": (
        "The lab: EnableExplanations is only for endpoints with an ExplainerConfig, and endpoint "
        "{endpoint} has none."
    ),
}
"""Headers of endpoints that are not emulated; AWS's sentences where they are known."""
_CODES: Final = {"x-amzn-sagemaker-target-model": "TARGET_MODEL_HEADER_NOT_SUPPORTED"}

_CLIENT_ERRORS: Final = range(400, 500)


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """What an error is about."""

    region: str
    account: str
    endpoint: str
    variant: str
    server: str | None
    """None when it did not come to a server."""
    container: str

    @classmethod
    def of(
        cls, settings: EmulatorSettings, endpoint: str, variant: LiveVariant, server: Server | None
    ) -> "Where":
        return cls(
            region=settings.region,
            account=settings.account,
            endpoint=endpoint,
            variant=variant.name,
            server=None if server is None else server.id,
            container=variant.pool.plan.hostname or PRIMARY,
        )

    @property
    def log_stream(self) -> str:
        return (
            f"arn:aws:logs:{self.region}:{self.account}:log-group:{self._group}"
            f":log-stream:{self.variant}/{self.server or ''}"
        )

    @property
    def logs(self) -> str:
        """Where AWS sends the reader; ``lab endpoint logs`` shows them here."""
        return (
            f"https://{self.region}.console.aws.amazon.com/cloudwatch/home?region={self.region}"
            f"#logEventViewer:group={self._group} in account {self.account}"
        )

    @property
    def _group(self) -> str:
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"


def unsupported(header: str, endpoint: str) -> ApiError:
    """``ValidationError``: a header of another kind of endpoint."""
    error = validation_error(UNSUPPORTED[header].format(endpoint=endpoint))
    if header in _CODES:
        error.fields["ErrorCode"] = _CODES[header]
    return error


def other_kind(live: LiveEndpoint, settings: EmulatorSettings, *, use: str) -> ApiError:
    """``ValidationError``: called as if it were asynchronous, or were not."""
    kind = "asynchronous" if live.kind is EndpointKind.ASYNC else "not asynchronous"
    return validation_error(
        f"Endpoint {live.name} of account {settings.account} does not support this inference type."
        + knows(f"it is {kind}, use {use}")
    )


def model_error(where: Where, *, status: int, message: str, known: str = "") -> ApiError:
    """``ModelError``: the container's status (0: none came) and what it, or we, have to say.

    What the lab has ``known`` beside that comes after all that is AWS's.
    """
    sentence = received(where.container, status, message)
    return refused(where, status, sentence, message, known=known)


def refused(where: Where, status: int, sentence: str, came: str, *, known: str = "") -> ApiError:
    """``ModelError``: the sentence, and as much as ``came`` of what the container said."""
    return as_model_error(
        f"{sentence}. See {where.logs} for more information.{knows(known)}",
        original_status=status,
        original=came,
        log_stream=where.log_stream,
    )


def received(container: str, status: int, message: str) -> str:
    """A container's fault, as AWS's logs have it."""
    return f'{_received(container, status)} with message "{message}"'


def received_part(container: str, status: int) -> str:
    """The same when its body broke off."""
    return f"{_received(container, status)} and could not load the entire response body"


def _received(container: str, status: int) -> str:
    side = "client" if status in _CLIENT_ERRORS else "server"
    return f"Received {side} error ({status}) from {container}"


def knows(known: str) -> str:
    """What AWS would not say, to be told from what it does; begins with a space."""
    if not known:
        return ""
    first = known[0].lower() if known.startswith(("The ", "It ", "/")) else known[0]
    return f" The lab knows more: {first}{known[1:].rstrip('.')}."


def redirected(status: int, location: str) -> str:
    """For the log: what the caller is not told."""
    to = f" (Location: {location})" if location else ""
    return (
        f"/invocations answers {status}{to}: SageMaker follows no redirect, the caller gets this "
        "page as the prediction."
    )


def timed_out(container: str) -> str:
    """No answer within 60 s."""
    return (
        "Your invocation timed out while waiting for a response from container "
        f"{container}. Review the latency metrics for each container in Amazon CloudWatch, "
        "resolve the issue, and try again."
    )


def no_answer(endpoint: str) -> str:
    """The container closed the connection, died, or did not speak HTTP."""
    return (
        f"Amazon SageMaker could not get a response from the {endpoint} endpoint. This can occur "
        "when CPU or memory utilization is high. To check your utilization, see Amazon "
        "CloudWatch. To resolve this issue, use an instance type with more CPU capacity or memory."
    )


def oversize_answer(limit: int) -> str:
    """Ours: AWS's own words for it are not known."""
    return f"The lab: the model's answer is larger than the {limit} bytes that are passed on."


# --- asynchronous invocations: as the data log and the failure objects have them ----------------


def connection_reset(endpoint: str) -> str:
    """The container closed the connection, or died."""
    return f"Connection reset by peer for the {endpoint} endpoint. Please retry."


def no_length(container: str) -> str:
    """Its answer was chunked, or ended with the connection."""
    return (
        f"The response from container {container} did not specify the required Content-Length "
        "header"
    )


def long_head(container: str, limit: int) -> str:
    """Its headers are too long."""
    return (
        f"Response received from the {container} container has headers with length greater than "
        f"{limit} bytes. Reduce the length of your container's response headers and update your "
        "endpoint."
    )


def unreadable(container: str, why: str) -> str:
    """Ours: AWS's own words for it are not known."""
    return f"The lab could not read the answer of container {container}: {why}."
