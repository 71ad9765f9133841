"""Ports for servers under test."""

import random
import socket
from contextlib import suppress
from typing import Final

_BELOW: Final = (12_000, 32_000)
"""Below the kernel's own choices: between being found free and being used, one of those is easily
given to somebody else's client, or to a container that publishes any port."""
_random: Final = random.SystemRandom()  # other processes draw, too


def free_port() -> int:
    """One on 127.0.0.1 that nothing listens on now."""
    while True:
        with (
            suppress(OSError),
            socket.create_server(("127.0.0.1", _random.randrange(*_BELOW))) as server,
        ):
            return int(server.getsockname()[1])
