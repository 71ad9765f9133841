"""What is announced is printed as it is, brackets included."""

import io

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
