"""The environment, read once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.endpoint.settings import EmulatorSettings
from lab.errors import UsageError

_MB: Final = 1024 * 1024
_PORTS: Final = 65535


@dataclass(frozen=True, kw_only=True)
class FaceSettings:
    """How the face is set; ``emulator`` goes on to ``lab.endpoint``."""

    emulator: EmulatorSettings
    bind: str
    port: int
    s3_endpoint: str | None
    s3_outside: str | None
    """Where programs on this machine find the same S3; None: where the lab's own is."""
    grace_s: float
    """How long requests in flight may take once the face is told to stop."""


def read(env: Mapping[str, str] = os.environ) -> FaceSettings:
    """The settings. Raises ``UsageError`` that names the variable."""
    emulator = EmulatorSettings(
        state=_state(env),
        region=env.get("LAB_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1",
        account=env.get("LAB_ACCOUNT") or "000000000000",
        network=env.get("LAB_NETWORK") or None,
        isolated_network=env.get("LAB_ISOLATED_NETWORK") or None,
        realtime_payload_bytes=round(_number(env, "LAB_REALTIME_PAYLOAD_MB", 25) * _MB),
        idle_s=_number(env, "LAB_IDLE_S", 600),
        ping_interval_s=_number(env, "LAB_PING_S", 5),
        max_instances=_count(env, "LAB_MAX_INSTANCES") or 20,
        access_keys=_keys(env),
        registry=env.get("LAB_REGISTRY") or None,
        start_tries=_count(env, "LAB_START_TRIES"),
    )
    return FaceSettings(
        emulator=emulator,
        bind=env.get("LAB_BIND") or "127.0.0.1",
        port=_port(env),
        s3_endpoint=env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or None,
        s3_outside=env.get("LAB_S3_URL") or None,
        grace_s=_number(env, "LAB_GRACE_S", 30),
    )


def _state(env: Mapping[str, str]) -> Path:
    text = env.get("LAB_STATE")
    if not text:
        raise UsageError(
            "LAB_STATE is not set: the emulator has no folder for what it remembers.",
            remedy="Set it to a folder that the container engine sees under the same path.",
        )
    return Path(text).expanduser().absolute()


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise UsageError(f"{name}={text} is not a number above 0.", remedy=f"Correct {name}.")
    return value


def _count(env: Mapping[str, str], name: str) -> int | None:
    text = env.get(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise UsageError(
            f"{name}={text} is not a whole number above 0.", remedy=f"Correct or unset {name}."
        )
    return int(text)


def _port(env: Mapping[str, str]) -> int:
    text = env.get("LAB_PORT") or "8800"
    if not text.isascii() or not text.isdigit() or int(text) > _PORTS:
        raise UsageError(
            f"LAB_PORT={text} is not a port.", remedy="Set it to 0 (any) .. 65535, or unset it."
        )
    return int(text)


def _keys(env: Mapping[str, str]) -> dict[str, str]:
    key_id = env.get("LAB_ACCESS_KEY_ID")
    secret = env.get("LAB_SECRET_ACCESS_KEY")
    file = env.get("LAB_SECRET_ACCESS_KEY_FILE")
    if file and not secret:
        try:
            secret = Path(file).read_text().strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise UsageError(
                f"LAB_SECRET_ACCESS_KEY_FILE={file} cannot be read: {why}.",
                remedy="Correct the path, or unset it to accept any signature.",
            ) from error
    if not key_id and not secret:
        return {}
    if not key_id or not secret:
        raise UsageError(
            "Only one half of the key that signatures are verified with is set.",
            remedy="Set LAB_ACCESS_KEY_ID and LAB_SECRET_ACCESS_KEY, or neither.",
        )
    return {key_id: secret}
