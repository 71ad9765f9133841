"""The frame of the command line: what a user's mistake looks like."""

import subprocess
import sys

import pytest

from lab.cli import main
from lab.errors import PlanError


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(verb in said for verb in main._VERBS)


@pytest.mark.parametrize("verb", list(main._VERBS))
def test_every_verb_of_the_list_exists(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([verb, "--help"]) == 0
    assert "Usage: lab" in capsys.readouterr().out


def test_an_unknown_verb_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["fly"]) == 2
    assert "No such command 'fly'" in capsys.readouterr().err


def test_an_error_of_the_lab_is_printed_with_its_remedy_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise PlanError("plan.yaml, line 3: unknown key 'tires'.", remedy="Did you mean 'tiers'?")

    monkeypatch.setattr(main, "app", fail)
    assert main.run([]) == PlanError.exit_code
    said = capsys.readouterr().err
    assert "line 3: unknown key 'tires'" in said
    assert "Did you mean 'tiers'?" in said
    assert "Traceback" not in said


def test_help_is_quick_because_it_imports_no_verb() -> None:
    code = (
        "import sys; from lab.cli.main import run; run(['--help']);"
        "print(sorted(name for name in sys.modules if name.startswith('lab.')))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = said.stdout.splitlines()[-1]
    assert "lab.cli.main" in loaded
    assert "lab.coldstart" not in loaded
    assert "lab.engine" not in loaded
