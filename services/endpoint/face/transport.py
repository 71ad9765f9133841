"""HTTP to the model containers, over connections that are kept alive for a moment."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Final

from face.connection import Connection
from lab.endpoint.live import Address
from lab.endpoint.transport import ContainerAnswer, ContainerCall, NotSentError, StreamAnswer

KEEP_ALIVE_S: Final = 1.5
"""Shorter than any server's own (Gunicorn's 2 s is the shortest known), so that it is rarely the
server that closes; when it does all the same, ``Connection`` tells what may be sent again."""
SETTLES_S: Final = 0.01
"""How long a connection has to stay open after an answer before its server is known to keep them.
One that closes without a ``Connection: close`` would acknowledge the next request, and drop it."""
_LOOK_S: Final = 0.001
CONNECT_S: Final = 5.0
_IDLE_PER_SERVER: Final = 32
_AGENT: Final = "AHC/2.0"  # as seen on the platform


class ContainerTransport:
    """``lab.endpoint.transport.Transport`` over plain asyncio."""

    def __init__(self, *, settles_s: float = SETTLES_S) -> None:
        self._settles_s = settles_s
        self._idle: dict[Address, list[Connection]] = {}
        self._keepers: set[Address] = set()
        self._sweep: asyncio.TimerHandle | None = None

    async def invoke(
        self, address: Address, call: ContainerCall, *, timeout_s: float
    ) -> ContainerAnswer:
        """``POST /invocations``, the whole answer."""
        head = _head(address, call)
        while True:
            connection, fresh = await self._connected(address, call)
            try:
                answer = await connection.whole(
                    head, call.body, timeout_s=timeout_s, most_bytes=call.most_bytes
                )
            except NotSentError:
                self._drop(address, connection)
                if fresh:
                    raise
                continue
            except BaseException:
                self._drop(address, connection)
                raise
            self._give_back(address, connection)
            return answer

    async def stream(
        self, address: Address, call: ContainerCall, *, timeout_s: float
    ) -> StreamAnswer:
        """``POST /invocations``, the answer as it comes."""
        head = _head(address, call)
        while True:
            connection, fresh = await self._connected(address, call)
            try:
                status, headers = await connection.begin(head, call.body, timeout_s=timeout_s)
            except NotSentError:
                self._drop(address, connection)
                if fresh:
                    raise
                continue
            except BaseException:
                self._drop(address, connection)
                raise
            return StreamAnswer(
                status=status,
                headers=headers,
                parts=_parts(connection),
                close=connection.end,
            )

    async def close(self) -> None:
        """Close what is idle; what is under way ends by itself."""
        if self._sweep is not None:
            self._sweep.cancel()
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()

    async def _connected(self, address: Address, call: ContainerCall) -> tuple[Connection, bool]:
        idle = self._idle.get(address)
        while idle and call.wanted():
            connection = idle[-1]
            if address not in self._keepers and await self._settling(connection):
                continue  # it may be another's by now
            idle.pop()
            if connection.fit:
                self._keepers.add(address)
                return connection, False
            self._drop(address, connection)
        connection = await _connect(address)
        if not call.wanted():
            connection.close()
            raise NotSentError("the container has ended")
        return connection, True

    def _drop(self, address: Address, connection: Connection) -> None:
        """Close it; what its server does with connections is to be seen anew."""
        connection.close()
        self._keepers.discard(address)

    async def _settling(self, connection: Connection) -> bool:
        """Wait a little, if it was not idle for long enough to tell; whether that was so.

        Once for a container that keeps its connections: another one is not opened meanwhile, a
        server with one thread would not take it.
        """
        settled_at = connection.idle_since + self._settles_s
        if not connection.fit or asyncio.get_running_loop().time() >= settled_at:
            return False
        await asyncio.sleep(_LOOK_S)
        return True

    def _give_back(self, address: Address, connection: Connection) -> None:
        idle = self._idle.setdefault(address, [])
        if not connection.reusable or len(idle) >= _IDLE_PER_SERVER:
            connection.close()
            return
        connection.recycle()
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(KEEP_ALIVE_S, self._drop_old)

    def _drop_old(self) -> None:
        """Close what was idle for too long; the oldest come first in each list."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - KEEP_ALIVE_S
        for address, idle in list(self._idle.items()):
            while idle and idle[0].idle_since <= oldest:
                idle.pop(0).close()
            if not idle:
                del self._idle[address]
        again = min((idle[0].idle_since for idle in self._idle.values()), default=None)
        self._sweep = None
        if again is not None:
            self._sweep = loop.call_at(again + KEEP_ALIVE_S, self._drop_old)


async def _connect(address: Address) -> Connection:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)  # noqa: FBT003 - the standard library's
    try:
        async with asyncio.timeout(CONNECT_S):
            await loop.sock_connect(sock, address)
            _, connection = await loop.create_connection(lambda: Connection(sock), sock=sock)
    except TimeoutError:
        sock.close()
        raise NotSentError(f"the container took no connection within {CONNECT_S:g} s") from None
    except OSError as error:
        sock.close()
        raise NotSentError(f"the container took no connection: {error}") from error
    except BaseException:
        sock.close()
        raise
    return connection


async def _parts(connection: Connection) -> AsyncIterator[bytes]:
    async for part in connection.rest():
        yield part
    connection.close()


def _head(address: Address, call: ContainerCall) -> bytes:
    lines = [
        "POST /invocations HTTP/1.1",
        f"Host: {address[0]}:{address[1]}",
        f"User-Agent: {_AGENT}",
        f"Content-Length: {len(call.body)}",
        *(f"{name}: {value}" for name, value in call.headers.items()),
    ]
    if "Accept" not in call.headers:
        lines.append("Accept: */*")  # as the platform's HTTP client does of its own accord
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
