"""How the emulator is set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class EmulatorSettings:
    """How the emulator is set; each value has an environment variable in ``services/endpoint``."""

    state: Path
    """Folder of the store, logs and unpacked models; the engine sees it under the same path."""
    region: str = "us-east-1"
    account: str = "000000000000"
    network: str | None = None
    """The engine's network for model containers; None reaches them as the engine can."""
    isolated_network: str | None = None
    realtime_payload_bytes: int = 25 * 1024 * 1024
    serverless_payload_bytes: int = 4 * 1024 * 1024
    invocation_timeout_s: float = 60.0
    stream_timeout_s: float = 480.0
    idle_s: float = 600.0
    """After which an idle serverless container is removed: AWS publishes no figure."""
    startup_timeout_s: float = 480.0
    serverless_startup_timeout_s: float = 180.0
    start_tries: int | None = None
    """How often a container that ends before it is ready is started; None is as AWS does: until
    the limit for its start is over."""
    start_pause_s: float = 0.5
    """Before the second start; before each further one twice as long."""
    ping_interval_s: float = 5.0
    """How often containers are asked how they are, and the engine what they use."""
    probe_interval_s: float = 0.01
    max_instances: int = 20
    """Of all endpoints together: what stands for an account's quotas. AWS begins with 20, too."""
    access_keys: Mapping[str, str] = field(default_factory=dict)
    """Access key id to secret: when there are any, signatures are verified."""
    registry: str | None = None
    """The local registry as the engine reaches it, for ECR addresses that the engine lacks."""
