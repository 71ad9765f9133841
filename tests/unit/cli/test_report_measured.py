"""``lab report`` of what ``lab push measure`` left behind."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli.main import app
from tests.unit.report import synthetic
from tests.unit.report.compare.test_against_aws import measurement


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")


def test_compare_sets_a_run_beside_a_measurement_and_keeps_the_page(tmp_path: Path) -> None:
    script = synthetic.Script()
    synthetic.write(tmp_path / "runs" / script.id, script)
    name = measurement()
    done = CliRunner().invoke(app, ["report", "compare", script.id, name])
    assert done.exit_code == 0, done.output
    assert "error" in done.output
    assert (tmp_path / "runs" / name / "against-aws.md").is_file()
    assert (tmp_path / "runs" / name / "against-aws.json").is_file()


def test_compare_puts_its_page_where_it_is_told(tmp_path: Path) -> None:
    script = synthetic.Script()
    folder = synthetic.write(tmp_path / "elsewhere", script)
    words = ["report", "compare", str(folder), measurement(), "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert (tmp_path / "out" / "against-aws.md").is_file()


def test_a_measurement_s_own_report_is_shown_by_its_name(tmp_path: Path) -> None:
    name = measurement()
    done = CliRunner().invoke(app, ["report", name])
    assert done.exit_code == 0, done.output
    assert "ModelSetupTime" in done.output
    assert (tmp_path / "runs" / name / "report.md").is_file()
