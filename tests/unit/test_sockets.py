import socket
from pathlib import Path

import pytest

from lab.sockets import listening_sockets


@pytest.mark.parametrize(
    ("family", "host", "shown"),
    [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::1", "[::1]")],
)
def test_a_listener_of_this_machine_is_seen_by_address_port_and_inode(
    family: socket.AddressFamily, host: str, shown: str
) -> None:
    try:
        server = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with server:
        port = server.getsockname()[1]
        found = {str(one): one for one in listening_sockets(Path("/proc/self/net"))}
        inode = Path(f"/proc/self/fd/{server.fileno()}").readlink()
        assert str(inode) == f"socket:[{found[f'{shown}:{port}'].inode}]"


def test_a_network_that_is_not_seen_has_none(tmp_path: Path) -> None:
    assert listening_sockets(tmp_path) == []
