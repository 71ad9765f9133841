"""The boards as code: what is committed is what it makes."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli.observe import app
from lab.errors import LabError
from lab.observe.boards import generate
from tests.unit.observe.reading import UIDS

MISSING = "Grafana's foundation SDK is not installed: `make setup-test`."


@pytest.fixture
def sdk() -> None:
    pytest.importorskip("grafana_foundation_sdk", reason=MISSING)


@pytest.mark.usefixtures("sdk")
def test_what_is_committed_is_what_the_code_makes() -> None:
    assert not generate.stale(generate.rendered()), "Write them: `lab observe boards`."


@pytest.mark.usefixtures("sdk")
def test_the_same_code_makes_the_same_text() -> None:
    assert generate.rendered() == generate.rendered()


@pytest.mark.usefixtures("sdk")
def test_writing_adds_changes_and_removes_only_what_differs(tmp_path: Path) -> None:
    first = generate.write(tmp_path)
    assert {path.stem for path in first} == set(UIDS)
    assert not generate.write(tmp_path)
    (tmp_path / "lab-model.json").write_text("{}", encoding="utf-8")
    (tmp_path / "lab-compare.json").unlink()
    (tmp_path / "left-over.json").write_text("{}", encoding="utf-8")
    changed = {path.name for path in generate.write(tmp_path)}
    assert changed == {"lab-model.json", "lab-compare.json", "left-over.json"}
    assert not generate.stale(generate.rendered(), tmp_path)


@pytest.mark.usefixtures("sdk")
def test_the_check_fails_and_names_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = dict(generate.rendered())
    texts["lab-model.json"] = "{}\n"
    monkeypatch.setattr(generate, "rendered", lambda: texts)
    before = (generate.FOLDER / "lab-model.json").read_bytes()
    done = CliRunner().invoke(app, ["boards", "--check"])
    assert done.exit_code == 1
    assert "lab-model.json" in done.output
    assert (generate.FOLDER / "lab-model.json").read_bytes() == before


@pytest.mark.usefixtures("sdk")
def test_the_check_passes_when_nothing_differs() -> None:
    done = CliRunner().invoke(app, ["boards", "--check"])
    assert done.exit_code == 0, done.output


def test_without_the_sdk_an_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grafana_foundation_sdk.cog.encoder", None)
    with pytest.raises(LabError, match="make setup-test"):
        generate.rendered()
