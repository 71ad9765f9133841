"""``GET /ping``, asked once."""

import asyncio
from typing import Final

from lab.endpoint.live import Address, Ping

_REQUEST: Final = b"GET /ping HTTP/1.1\r\nHost: container\r\nConnection: close\r\n\r\n"
_LIMIT_S: Final = 2.0


async def pinged(address: Address) -> Ping:
    """What came of it."""
    try:
        async with asyncio.timeout(_LIMIT_S):
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(_REQUEST)
                words = (await reader.readline()).split()
            finally:
                writer.close()
    except TimeoutError:
        return Ping.LATE
    except (OSError, ValueError):
        return Ping.SICK
    well = len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1] == b"200"
    return Ping.WELL if well else Ping.SICK
