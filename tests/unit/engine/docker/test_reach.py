from pathlib import Path

import pytest

from lab.engine.docker.reach import connected

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
tun0\t000012AC\t0100A8C0\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0
down0\t000013AC\t00000000\t0000\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("172.17.0.3", True),
        ("172.18.0.3", False),  # behind a gateway
        ("172.19.0.3", False),  # the interface is down
        ("10.0.0.1", False),  # only the default route leads there
        ("", False),
    ],
)
def test_only_a_network_of_this_machine_is_connected(
    tmp_path: Path, address: str, *, expected: bool
) -> None:
    routes = tmp_path / "route"
    routes.write_text(ROUTES)
    assert connected(address, routes=routes) is expected


def test_without_a_routing_table_nothing_is_connected(tmp_path: Path) -> None:
    assert not connected("172.17.0.3", routes=tmp_path / "none")
