"""What ``lab up`` was asked for, on the command line and in the environment."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from lab import paths
from lab.artifacts import store
from lab.endpoint.addresses import S3, Addresses, checked
from lab.images.variants import DEFAULT, runtime_of
from lab.services import SERVICES
from lab.spec import Runtime

MODEL: Final = store.DEFAULT
"""Of which there are endpoints unless others are asked for: the quickest to build."""
_PASSED_ON: Final = (
    "LAB_IDLE_S",
    "LAB_MAX_INSTANCES",
    "LAB_START_TRIES",
    "LAB_REALTIME_PAYLOAD_MB",
    "LAB_ACCESS_KEY_ID",
    "LAB_SECRET_ACCESS_KEY",
)
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Everything that decides what the stack looks like."""

    variant: str = DEFAULT
    models: Sequence[str] = (MODEL,)
    state: Path = field(default_factory=paths.state)
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def runtime(self) -> Runtime:
        """Which archive the variant serves. Raises ``UsageError`` for one that serves none."""
        return runtime_of(self.variant)

    @property
    def region(self) -> str:
        """Of the emulator's ARNs and of the clients."""
        return self.env.get("LAB_REGION") or self.env.get("AWS_DEFAULT_REGION") or "us-east-1"

    @property
    def account(self) -> str:
        """Of the emulator's ARNs."""
        return self.env.get("LAB_ACCOUNT") or "0" * 12

    @property
    def passed_on(self) -> Mapping[str, str]:
        """What the user set for the emulator; it takes an empty one for its own default."""
        return {name: self.env.get(name) or "" for name in _PASSED_ON}

    @property
    def foreign_s3(self) -> str | None:
        """An S3 that is not the stack's own; None to start the look-alike.

        The address of the look-alike itself is what an earlier ``lab up`` said to export. Raises
        ``UsageError`` for what is no address.
        """
        url = (self.env.get(S3) or "").rstrip("/")
        if not url:
            return None
        checked(url, S3)
        parts = urlsplit(url)
        before = Addresses.find(state=self.state, env={})
        ours = parts.hostname in _LOCAL and parts.port == SERVICES["s3"].port(self.env)
        if ours or (before is not None and before.s3 == url and parts.hostname in _LOCAL):
            return None
        return url

    @property
    def addresses(self) -> Addresses:
        """Where the stack will answer."""
        return Addresses(
            sagemaker=SERVICES["endpoint"].url(self.env),
            s3=self.foreign_s3 or SERVICES["s3"].url(self.env),
            region=self.region,
            account=self.account,
        )

    @property
    def bucket(self) -> str:
        """For archives: the name of SageMaker's own default bucket."""
        return f"sagemaker-{self.region}-{self.account}"
