"""Ports for servers under test."""

import socket


def free_port() -> int:
    """One on 127.0.0.1 that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
