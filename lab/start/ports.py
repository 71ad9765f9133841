"""On which ports a container really listens, seen from this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab.sockets import listening_sockets

_PROC: Final = Path("/proc")


def listening(pid: int | None, *, proc: Path = _PROC) -> Sequence[str]:
    """``127.0.0.1:5000`` for each socket in the network of process ``pid``; none if not seen.

    A process of this machine's own network would show every program's sockets: none, then.
    """
    if not pid or _network(proc / str(pid)) in {None, _network(proc / "self")}:
        return ()
    return list(dict.fromkeys(map(str, listening_sockets(proc / str(pid) / "net"))))


def _network(process: Path) -> str | None:
    try:
        return str((process / "ns" / "net").readlink())
    except OSError:
        return None
