"""No unit test reaches beyond this machine, or starts a program by accident."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")
_HARMLESS = {
    "git",
    "sh",
    "cat",
    "sleep",
    "make",
    "cc",
    "true",
    "false",
    "no-such-program",
    "pip",
    "pip3",
    "promtool",
    "setpriv",
}
"""What tests start on purpose, besides this interpreter and programs that they made."""
_running: list[str] = []


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if not _running:
        return
    if event == "socket.connect" and isinstance(args[1], tuple):
        if not str(args[1][0]).startswith(_LOOPBACK):
            pytest.fail(f"A unit test may not connect to {args[1]}.")
    elif event == "subprocess.Popen":
        program = Path(str(args[0]))
        made = Path(tempfile.gettempdir()) in program.parents
        if not (made or program.name in _HARMLESS or program.parent == Path(sys.executable).parent):
            pytest.fail(f"A unit test may not start {program}: see {Path(__file__).name}.")


sys.addaudithook(_watch)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _running.append(item.nodeid)
    try:
        return (yield)
    finally:
        _running.pop()
