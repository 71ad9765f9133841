"""Whether an address is on a network that this machine itself is on."""

import ipaddress
from pathlib import Path
from typing import Final

_ROUTES: Final = Path("/proc/net/route")
_UP: Final = 0x1
_GATEWAY: Final = 0x2


def connected(address: str, *, routes: Path = _ROUTES) -> bool:
    """Whether the kernel reaches that IPv4 address directly, through no gateway.

    True for the engine's bridge on its own machine (and from a container on the same bridge),
    false where containers live in a virtual machine. Reads the kernel's routing table.
    """
    try:
        wanted = ipaddress.IPv4Address(address)
        lines = routes.read_text().splitlines()[1:]
    except (OSError, ValueError):
        return False
    return any(wanted in network for network in map(_direct, lines) if network is not None)


def _direct(line: str) -> ipaddress.IPv4Network | None:
    words = line.split()
    destination, flags, mask = words[1], int(words[3], 16), words[7]
    if not flags & _UP or flags & _GATEWAY:
        return None
    network = ipaddress.IPv4Network((_little_endian(destination), str(_dotted(mask))))
    return network if network.prefixlen else None


def _little_endian(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text), "little")


def _dotted(text: str) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(_little_endian(text))
