"""How an engine's containers are reached from here: over a network of this machine, or as one of
them.
"""

import ipaddress
from pathlib import Path
from typing import Final

from lab.engine.api import Engine
from lab.host import read_text

_MOUNTS: Final = Path("/proc/self/mountinfo")
_ROUTES: Final = Path("/proc/net/route")
_MOUNTED: Final = "/containers/"
_UP: Final = 0x1
_GATEWAY: Final = 0x2


def in_container(engine: Engine, *, mounts: Path = _MOUNTS) -> bool:
    """Whether this program runs in a container of the lab's on that very engine.

    An engine mounts files of its own, from a folder named after the container, into each.
    """
    seen = read_text(mounts) or ""
    return _MOUNTED in seen and any(one.id in seen for one in engine.containers({}))


def in_some_container(*, mounts: Path = _MOUNTS) -> bool:
    """Whether this program runs in a container of whatever engine."""
    return _MOUNTED in (read_text(mounts) or "")


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
    network = ipaddress.IPv4Network(f"{_little_endian(destination)}/{_little_endian(mask)}")
    return network if network.prefixlen else None


def _little_endian(text: str) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(bytes.fromhex(text)[::-1])
