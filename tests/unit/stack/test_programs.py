"""Programs that outlive their starter: a server of Python's own stands for each."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.engine.process import proctree
from lab.errors import EndpointError
from lab.stack.programs import Program, Programs


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    made = Programs(tmp_path / "programs")
    yield made
    made.stop("web", grace_s=1)


def web(*, mark: str = "", script: str = "") -> Program:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    argv = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    return Program(
        name="web",
        argv=[sys.executable, "-c", script] if script else argv,
        ready=f"http://127.0.0.1:{port}/",
        mark=mark,
    )


def pid(programs: Programs) -> int:
    record = programs._alive("web")
    assert record is not None
    return record.pid


def ended(number: int) -> bool:
    """Also when nobody has asked about it yet, as on a machine whose process 1 does not."""
    seen = proctree.read(number)
    return seen is None or not seen.alive


def test_a_program_is_started_once_and_is_nobodys_child(programs: Programs) -> None:
    program = web()
    assert programs.ensure(program)
    first = pid(programs)
    assert not programs.ensure(program)
    assert pid(programs) == first
    seen = proctree.read(first)
    assert seen is not None
    assert seen.session == first


def test_one_that_was_made_from_something_else_is_started_anew(programs: Programs) -> None:
    program = web()
    programs.ensure(program)
    first = pid(programs)
    changed = Program(name="web", argv=program.argv, ready=program.ready, mark="edited")
    assert programs.ensure(changed)
    assert pid(programs) != first
    assert ended(first)


def test_one_that_was_killed_is_started_again(programs: Programs) -> None:
    program = web()
    programs.ensure(program)
    os.kill(pid(programs), signal.SIGKILL)
    while programs.runs("web"):
        time.sleep(0.01)
    assert programs.ensure(program)


def test_one_that_ends_at_once_is_told_with_its_last_words(programs: Programs) -> None:
    with pytest.raises(EndpointError, match=r"web ended at once:(.|\n)*no such luck"):
        programs.ensure(web(script="raise SystemExit('no such luck')"))


def test_stopping_waits_for_the_end_and_says_whether_there_was_one(programs: Programs) -> None:
    programs.ensure(web())
    number = pid(programs)
    assert programs.stop("web")
    assert ended(number)
    assert not programs.stop("web")


def test_a_number_that_belongs_to_another_program_by_now_is_not_touched(
    programs: Programs, tmp_path: Path
) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "web.json").write_text(f'{{"pid": {os.getpid()}, "born": 1, "made_from": "x"}}')
    assert not programs.runs("web")
    assert not programs.stop("web")
