"""What is announced is printed as it is, brackets included."""

import io
import re
import subprocess
import sys

import pytest
from rich.console import Console

from lab.cli import console

_LINE = "[/usr/bin/python] #5 [linux/amd64 internal] COPY"


@pytest.mark.parametrize("terminal", [True, False])
def test_brackets_of_a_build_are_no_markup(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(
        console, "err", Console(file=written, force_terminal=terminal, width=300, color_system=None)
    )
    monkeypatch.setattr(console, "_QUIET_STEP_S", -1.0)
    progress = console.ConsoleProgress()
    with progress.step(f"Build {_LINE}") as step:
        step.detail(_LINE)
    progress.note(f"Noted {_LINE}")
    said = written.getvalue()
    assert f"Build {_LINE}" in said
    assert f"Noted {_LINE}" in said


def test_a_line_of_a_log_is_not_broken() -> None:
    long = "word " * 40
    program = f"from lab.cli import console; console.ConsoleProgress().note({long!r})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr == f"• {long}\n"


def test_a_log_is_told_now_and_then_how_far_it_is_and_for_how_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=written, width=300))
    monkeypatch.setattr(console, "_DETAIL_EVERY_S", -1.0)
    with console.ConsoleProgress().step("Teach") as step:
        step.detail("step 3/7")
    assert re.fullmatch(r"  … Teach: step 3/7 \(after [0-9.]+ ms\)\n", written.getvalue())


@pytest.mark.parametrize(
    ("started", "said"),
    [
        (".venv/bin/lab", ".venv/bin/lab"),
        ("/x/lab/__main__.py", "lab"),
        ("/usr/bin/lab", "/usr/bin/lab"),
    ],
)
def test_a_line_to_copy_starts_the_command_as_it_was_started(
    monkeypatch: pytest.MonkeyPatch, started: str, said: str
) -> None:
    monkeypatch.setattr("sys.argv", [started, "up"])
    assert console.program() == said
