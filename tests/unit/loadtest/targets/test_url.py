import socket

import pytest

from lab.errors import UsageError
from lab.loadtest.targets.api import CallRoute, LoadPayload, WireRoute
from lab.loadtest.targets.url import reached, url_target
from tests.unit.load.scripted import served

PAYLOAD = LoadPayload(name="x", body=b"{}", content_type="application/json")


def prepared(url: str) -> bytes:
    with url_target(url, timeout_s=5) as target:
        assert isinstance(target.route, WireRoute)
        return target.route.prepare(PAYLOAD)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", "/invocations"),
        ("/", "/invocations"),
        ("/v1/predict", "/v1/predict"),
        ("/x?version=2", "/x?version=2"),
        ("?version=2", "/invocations?version=2"),
    ],
)
def test_without_a_path_the_contract_s_is_asked(path: str, asked: str) -> None:
    with served() as server:
        said = prepared(f"http://127.0.0.1:{server.address[1]}{path}")
    assert said.startswith(f"POST {asked} HTTP/1.1\r\nHost: 127.0.0.1:".encode())


def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listening:
        port = listening.getsockname()[1]
        with url_target(f"http://[::1]:{port}/x", timeout_s=5) as target:
            assert isinstance(target.route, WireRoute)
            assert target.route.address == ("::1", port)
            assert f"Host: [::1]:{port}\r\n".encode() in target.route.prepare(PAYLOAD)
            assert target.record.name == f"http://[::1]:{port}/x"


def test_of_a_name_s_addresses_that_one_is_taken_where_somebody_listens() -> None:
    with served() as server:
        assert reached("localhost", server.address[1])[0] == "127.0.0.1"


def test_a_port_where_nobody_listens_is_refused_before_anything_is_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UsageError, match=rf"Nobody listens at 127\.0\.0\.1, port {port}"):
        prepared(f"http://127.0.0.1:{port}")


def test_a_user_s_name_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as raised:
        prepared("http://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(raised.value)
    assert "http://127.0.0.1:1/x" in raised.value.remedy


@pytest.mark.parametrize("url", ["http://x:port", "http://x:99999", "http://[::1"])
def test_a_port_or_a_host_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no URL"):
        prepared(url)


def test_over_tls_it_is_called_from_threads_and_a_failed_call_is_told() -> None:
    with (
        served() as server,  # which speaks no TLS
        url_target(f"https://127.0.0.1:{server.address[1]}", timeout_s=0.3) as target,
    ):
        assert isinstance(target.route, CallRoute)
        answer = target.route.call(PAYLOAD)
    assert answer.status == 0
    assert answer.error
