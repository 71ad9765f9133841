import socket
import subprocess

import pytest


def test_a_unit_test_that_connects_beyond_this_machine_fails() -> None:
    with (
        socket.socket() as sock,
        pytest.raises(pytest.fail.Exception, match="may not connect to"),
    ):
        sock.connect(("192.0.2.1", 80))


def test_a_unit_test_that_starts_a_program_by_accident_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="may not start docker"):
        subprocess.run(["docker", "version"], check=True)  # noqa: S607
