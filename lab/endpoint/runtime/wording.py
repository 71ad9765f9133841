"""The sentences in which SageMaker reports a model's errors, as seen in the wild."""

from dataclasses import dataclass
from typing import Final

from lab.endpoint.live import LiveVariant, Server
from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.protocol.errors import model_error as as_model_error
from lab.endpoint.settings import EmulatorSettings

PRIMARY: Final = "primary"
"""The name of a model's only container."""

NOT_READY: Final = (
    "Either a serverless endpoint variant's resources are still being provisioned, or a "
    "multi-model endpoint is still downloading or loading the target model. Wait and try your "
    "request again."
)

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


def model_error(where: Where, *, status: int, message: str) -> ApiError:
    """``ModelError``: the container's status (0: none came) and what it, or we, have to say."""
    side = "client" if status in _CLIENT_ERRORS else "server"
    return as_model_error(
        f'Received {side} error ({status}) from {where.container} with message "{message}". '
        f"See {where.logs} for more information.",
        original_status=status,
        original=message,
        log_stream=where.log_stream,
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


def oversize_answer(size: int, limit: int) -> str:
    """Ours: AWS's own words for it are not known."""
    return (
        f"The model's answer of {size} bytes exceeds the {limit} bytes that the endpoint returns."
    )
