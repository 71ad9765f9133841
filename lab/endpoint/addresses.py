"""Where the stack answers: found by its clients, kept by `lab up`."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from lab import paths
from lab.errors import UsageError
from lab.runfiles import write_whole

FILE: Final = "stack.json"
"""In the state folder: the addresses that `lab up` gave the stack."""

SAGEMAKER: Final = "AWS_ENDPOINT_URL_SAGEMAKER"
S3: Final = "AWS_ENDPOINT_URL_S3"


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the stack answers."""

    sagemaker: str
    """The emulator: control plane and runtime alike."""
    s3: str
    region: str = "us-east-1"
    account: str = "000000000000"

    def save(self, state: Path) -> None:
        """For commands that come later, whole or not at all."""
        write_whole(state / FILE, json.dumps(asdict(self)) + "\n")

    @classmethod
    def find(
        cls, *, state: Path | None = None, env: Mapping[str, str] = os.environ
    ) -> "Addresses | None":
        """What AWS's own variables say of the emulator, else what `lab up` left; None if neither.

        Of AWS's variables only one for SageMaker counts.
        """
        try:
            text = ((state or paths.state()) / FILE).read_text(encoding="utf-8")
            known = cls(**json.loads(text))
        except (OSError, ValueError, TypeError):
            known = None
        url = env.get(SAGEMAKER) or env.get("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME")
        if not url:
            return known
        base = known or cls(sagemaker=url, s3="")
        return cls(
            sagemaker=url.rstrip("/"),
            s3=env.get(S3) or base.s3,
            region=base.region,
            account=base.account,
        )


def checked(url: str, variable: str) -> None:
    """Raise ``UsageError`` that names the variable unless it is the address of a server."""
    try:
        httpx.URL(url)
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except (httpx.InvalidURL, ValueError):
        good = False
    if not good:
        raise UsageError(
            f"{url!r} is not a valid server URL ({variable}).",
            remedy=f"Set {variable} like http://127.0.0.1:9000, or unset it.",
        )
