"""On which ports a container really listens, seen from this machine."""

import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_LISTEN: Final = "0A"


def listening(pid: int | None, *, proc: Path = _PROC) -> Sequence[str]:
    """``127.0.0.1:5000`` for each socket in the network of process ``pid``; none if not seen.

    A process of this machine's own network would show every program's sockets: none, then.
    """
    if not pid or _network(proc / str(pid)) in {None, _network(proc / "self")}:
        return ()
    found = []
    for name, decode in (("tcp", _v4), ("tcp6", _v6)):
        try:
            lines = (proc / str(pid) / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for words in (line.split() for line in lines):
            if words[3] == _LISTEN:
                host, _, port = words[1].partition(":")
                found.append(f"{decode(host)}:{int(port, 16)}")
    # The engine's own name server answers inside every container.
    return [one for one in dict.fromkeys(found) if not one.startswith("127.0.0.11:")]


def _network(process: Path) -> str | None:
    try:
        return str((process / "ns" / "net").readlink())
    except OSError:
        return None


def _v4(text: str) -> str:
    return socket.inet_ntoa(struct.pack("<I", int(text, 16)))


def _v6(text: str) -> str:
    words = struct.unpack(">4I", bytes.fromhex(text))
    return f"[{IPv6Address(struct.pack('<4I', *words))}]"
