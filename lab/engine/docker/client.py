"""Open the SDK's low-level client."""

import os
import re
import socket
from datetime import datetime
from typing import Any, Final

from docker.api.client import APIClient
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

from lab.engine.docker.errors import translated

_NS: Final = 1_000_000_000
_ZERO_TIME: Final = "0001-01-01"
_UNIX: Final = "unix://"


def parse_time(text: str) -> int | None:
    """An RFC 3339 time with up to nine decimals as nanoseconds since the epoch; None for never."""
    found = re.fullmatch(r"(.+?:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text)
    if found is None or text.startswith(_ZERO_TIME):
        return None
    whole = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
    return round(whole.timestamp()) * _NS + int((found[2] or "0").ljust(9, "0")[:9])


def open_client(address: str, *, timeout_s: float) -> Any:
    """A client of the engine at ``address``. Raises ``EngineError`` when nothing listens there.

    Any: the published types of this client leave out half of its calls.
    """
    with translated():
        if address.startswith(_UNIX):
            # The SDK forgets to close a socket that it could not connect.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(timeout_s)
                probe.connect(address.removeprefix(_UNIX))
        client = APIClient(
            base_url=address,
            version="auto",
            timeout=max(1, round(timeout_s)),
            tls=_tls(address),
        )
        if address.startswith(_UNIX):
            # Else every request looks through the whole environment for a proxy that no socket has.
            client.trust_env = False
        return client


def _tls(address: str) -> TLSConfig | bool:
    """The certificates that ``DOCKER_CERT_PATH`` and ``DOCKER_TLS_VERIFY`` name, which belong to
    the engine that ``DOCKER_HOST`` names.
    """
    if address != os.environ.get("DOCKER_HOST"):
        return False
    tls: TLSConfig | bool = kwargs_from_env().get("tls") or False
    return tls
