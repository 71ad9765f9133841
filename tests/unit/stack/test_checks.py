import socket

from lab.engine.doctor.findings import CheckState
from lab.services import SERVICES
from lab.stack.checks import stack_ports


def free_ports() -> dict[str, str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in SERVICES]
    found = {
        one.variable: str(sock.getsockname()[1])
        for one, sock in zip(SERVICES.values(), sockets, strict=True)
    }
    for sock in sockets:
        sock.close()
    return found


def test_free_ports_are_ok() -> None:
    found = stack_ports(free_ports())
    assert found.state is CheckState.OK
    assert found.detail.endswith("are free")


def test_a_port_that_somebody_else_holds_is_named_with_the_variables() -> None:
    env = free_ports()
    with socket.create_server(("127.0.0.1", int(env["LAB_GRAFANA_PORT"]))):
        found = stack_ports(env)
    assert found.state is CheckState.DEGRADED
    assert f"{env['LAB_GRAFANA_PORT']} of grafana by " in found.detail
    assert "LAB_GRAFANA_PORT" in found.remedy
