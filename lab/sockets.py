"""Ports: whether one is free, and who listens on which, from the kernel's own tables."""

import ipaddress
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LISTEN: Final = "0A"
_DOCKER_DNS: Final = ipaddress.ip_address("127.0.0.11")
"""The engine's own name server answers there inside every container."""


def free_port(wanted: int = 0) -> int:
    """That port of 127.0.0.1, or any for 0, if a server could listen there; else ``OSError``."""
    with socket.socket() as probe:
        # As servers do, so that a port whose last connections linger counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", wanted))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, kw_only=True)
class ListeningSocket:
    """A socket that listens, and its inode, by which the program that holds it is found."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int
    inode: str

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


def listening_sockets(net: Path) -> Sequence[ListeningSocket]:
    """Those of the network that ``net``, a process's ``/proc/PID/net``, shows; none if unseen."""
    found = []
    for table in (net / "tcp", net / "tcp6"):
        with suppress(OSError):
            for line in table.read_text(encoding="utf-8").splitlines()[1:]:
                words = line.split()
                host, _, port = words[1].partition(":")
                address = _address(host)
                if words[3] == _LISTEN and address != _DOCKER_DNS:
                    found.append(
                        ListeningSocket(address=address, port=int(port, 16), inode=words[9])
                    )
    return found


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # Words of 32 bits, each as the machine has it in memory: in little-endian order.
    words = struct.unpack(f">{len(text) // 8}I", bytes.fromhex(text))
    return ipaddress.ip_address(struct.pack(f"<{len(words)}I", *words))
