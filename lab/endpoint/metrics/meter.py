"""What the emulator counts: CloudWatch's metrics, as an interface."""

from typing import Protocol

from lab.endpoint.live import Setup


class Meter(Protocol):
    """CloudWatch's metrics, counted. All durations in seconds."""

    def invocation(
        self,
        endpoint: str,
        variant: str,
        *,
        model_status: int | None,
        model_s: float | None,
        overhead_s: float,
        setup: Setup | None,
    ) -> None:
        """One InvokeEndpoint that reached a variant. ``model_status`` None: no HTTP answer."""

    def throttled(self, endpoint: str, variant: str) -> None:
        """One that was turned away."""

    def started(self, endpoint: str, variant: str, setup: Setup) -> None:
        """A server got ready."""

    def start_failed(self, endpoint: str, variant: str) -> None:
        """A server did not."""

    def replaced(self, endpoint: str, variant: str, *, oom_killed: bool) -> None:
        """A server that had been ready died or was unhealthy, and is replaced."""

    def asynchronous(self, endpoint: str, event: str, seconds: float | None = None) -> None:
        """An event of asynchronous inference, by CloudWatch's name of it."""
