import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import PortTakenError, UsageError
from lab.services import SERVICES
from lab.stack import ports
from tests.ports import free_port


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_is_listened_on_is_taken_and_another_is_not(listener: int) -> None:
    assert ports.taken(listener)
    assert not ports.taken(free_port())


def test_who_holds_a_port_is_named_with_the_variable_that_changes_it(listener: int) -> None:
    env = {"LAB_ENDPOINT_PORT": str(listener), "LAB_S3_PORT": str(free_port())}
    with pytest.raises(PortTakenError) as refused:
        ports.refuse_taken([SERVICES["endpoint"], SERVICES["s3"]], env=env)
    assert f"Port {listener} of endpoint is taken by " in refused.value.what
    assert "(process " in refused.value.what
    assert "s3" not in refused.value.what
    assert "LAB_ENDPOINT_PORT=PORT lab up" in refused.value.remedy


def test_free_ports_are_no_fault() -> None:
    ports.refuse_taken([SERVICES["s3"]], env={"LAB_S3_PORT": str(free_port())})


def test_a_holder_of_whom_this_user_may_know_nothing_is_left_unnamed(tmp_path: Path) -> None:
    assert ports.holder(8800, proc=tmp_path) is None


@pytest.mark.parametrize("said", ["http", "0", "65536", "-1"])
def test_what_is_no_port_is_refused_by_its_variable(said: str) -> None:
    with pytest.raises(UsageError, match=f"LAB_S3_PORT={said}"):
        SERVICES["s3"].port({"LAB_S3_PORT": said})


def test_a_port_that_is_not_set_is_the_default() -> None:
    assert SERVICES["endpoint"].url({}) == "http://127.0.0.1:8800"
    assert SERVICES["endpoint"].url({"LAB_ENDPOINT_PORT": ""}) == "http://127.0.0.1:8800"
