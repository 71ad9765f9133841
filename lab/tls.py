"""Whom the lab trusts over TLS, read once: it takes 50 ms of CPU, also for who asks by ``http://``."""

import ssl
from functools import cache

import httpx


@cache
def context() -> ssl.SSLContext:
    """What every client of ``httpx`` is given as ``verify``; honours ``SSL_CERT_FILE``."""
    return httpx.create_ssl_context()
