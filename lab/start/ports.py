"""On which ports a container really listens, seen from this machine."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_LISTEN: Final = "0A"
_ENGINE_DNS: Final = IPv4Address("127.0.0.11")
"""The engine's own name server, which answers inside every container."""


def listening(pid: int | None, *, proc: Path = _PROC) -> Sequence[str]:
    """``127.0.0.1:5000`` for each socket in the network of process ``pid``; none if not seen.

    A process of this machine's own network would show every program's sockets: none, then.
    """
    if not pid or _network(proc / str(pid)) in {None, _network(proc / "self")}:
        return ()
    sockets = dict.fromkeys(listening_sockets(proc / str(pid)))
    return [f"[{at}]:{port}" if at.version == 6 else f"{at}:{port}" for at, port in sockets]


def listening_sockets(process: Path) -> Sequence[tuple[IPv4Address | IPv6Address, int]]:
    """Address and port of each in a process's network, by its folder in ``/proc``."""
    found = []
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (process / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for words in (line.split() for line in lines):
            if words[3] == _LISTEN:
                host, _, port = words[1].partition(":")
                found.append((_address(host), int(port, 16)))
    return [(address, port) for address, port in found if address != _ENGINE_DNS]


def _network(process: Path) -> str | None:
    try:
        return str((process / "ns" / "net").readlink())
    except OSError:
        return None


def _address(text: str) -> IPv4Address | IPv6Address:
    """Its words of four bytes are in the order of the machine, low byte first."""
    data = bytes.fromhex(text)
    return ip_address(b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4)))
