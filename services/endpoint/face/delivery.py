"""What Linux knows of a connection: whether the peer can have taken a request.

A generic client cannot say it, and it is the one thing that matters when a kept-alive connection
breaks. A request of which the peer's kernel has acknowledged no byte, on a connection that it has
reset, was never delivered and never will be: it may be sent again. Any other was perhaps run.
"""

import select
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

_READ_AT_ONCE: Final = 65536
_TCP_INFO_BYTES: Final = 128
_ACKED_AT: Final = 120  # tcpi_bytes_acked in linux/tcp.h
_TCP_CLOSE: Final = 7  # tcpi_state, the first byte


class Delivery:
    """Of one request at a time; ``begin`` before each is sent."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN)
        self._acked_before = 0
        self._at_end: bool | None = None
        self._over = False

    def begin(self) -> None:
        self._acked_before = self._tcp_info()[1]

    @property
    def quiet(self) -> bool:
        """Neither data nor an end has come that the loop has not been told of yet."""
        return not self._poll.poll(0)

    def end(self) -> None:
        """The socket is about to be closed, and to forget everything."""
        self._at_end = self._taken()
        self._over = True

    @property
    def taken(self) -> bool | None:
        """Whether the peer's kernel took a byte of the request; None while it may still do so."""
        return self._at_end if self._over else self._taken()

    def left(self) -> Iterator[bytes]:
        """What is in the kernel's buffer still."""
        with suppress(OSError):
            while data := self._socket.recv(_READ_AT_ONCE, socket.MSG_DONTWAIT):
                yield data

    def _taken(self) -> bool | None:
        state, acked = self._tcp_info()
        if acked != self._acked_before or state < 0:
            return True
        return False if state == _TCP_CLOSE else None

    def _tcp_info(self) -> tuple[int, int]:
        """The connection's state, and how many bytes of ours were acknowledged in all."""
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            return info[0], struct.unpack_from("=Q", info, _ACKED_AT)[0]
        except (OSError, struct.error):
            return -1, 0
