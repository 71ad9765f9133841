import os
import signal
import sys
import time
from pathlib import Path

import pytest

from lab.errors import CommandError
from lab.process import run, spawn, stream


def test_output_and_code_come_back() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (done.code, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_a_failure_tells_the_command_the_code_and_the_last_lines() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "seq 100 >&2; exit 3"])
    assert "ended with code 3" in caught.value.what
    assert caught.value.what.endswith("\n100")
    assert "\n70\n" not in caught.value.what


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandError, match="no-such-program is not installed"):
        run(["no-such-program"])
    with pytest.raises(CommandError, match="no-such-program is not installed"):
        stream(["no-such-program"], on_line=print)
    with pytest.raises(CommandError, match="no-such-program is not installed"):
        spawn(["no-such-program"], log=Path(os.devnull))


def test_a_program_that_takes_too_long_is_ended() -> None:
    begun = time.monotonic()
    with pytest.raises(CommandError, match=r"within 0\.1 s"):
        run(["sleep", "10"], timeout_s=0.1)
    assert time.monotonic() - begun < 5


def test_env_is_laid_over_the_present_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "1")
    assert run(["sh", "-c", "echo $KEPT$GIVEN"], env={"GIVEN": "2"}).stdout == "12\n"


def test_input_is_handed_over_and_else_there_is_none() -> None:
    assert run(["cat"], input_text="hello").stdout == "hello"
    assert run(["cat"]).stdout == ""


def test_lines_come_as_they_are_written() -> None:
    times: list[float] = []
    begun = time.monotonic()
    stream(
        ["sh", "-c", "echo a; sleep 0.3; echo b >&2"],
        on_line=lambda _: times.append(time.monotonic() - begun),
    )
    assert len(times) == 2
    assert times[1] - times[0] > 0.2


def test_a_failing_stream_keeps_its_last_lines() -> None:
    with pytest.raises(CommandError, match="the reason"):
        stream(["sh", "-c", "echo the reason; exit 1"], on_line=lambda _: None)


def test_an_interrupted_stream_leaves_no_process(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream(["sh", "-c", f"echo $$ > {pid_file}; echo x; exec sleep 60"], on_line=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_spawned_program_has_a_session_of_its_own_and_writes_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "folder" / "log"
    child = spawn([sys.executable, "-c", "import os; print(os.getsid(0), os.environ)"], log=log)
    assert child.wait() == 0
    assert log.read_text().startswith(f"{child.pid} ")
    again = spawn(["sh", "-c", "echo more; env"], log=log, env={"A": "b"}, clean_env=True)
    assert again.wait() == 0
    said = log.read_text().partition("more\n")[2]
    assert "A=b" in said
    assert "HOME=" not in said


def test_a_spawned_program_can_be_ended_with_its_children(tmp_path: Path) -> None:
    child = spawn(["sh", "-c", "sleep 60 & wait"], log=tmp_path / "log")
    os.killpg(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
