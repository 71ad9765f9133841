"""``lab contract`` as a user types it, on findings that are written here."""

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.cli import contract as verb
from lab.cli import first_look, main
from lab.contract.check import entries
from lab.contract.model import CheckedImage, Verdict, Verdicts
from lab.contract.subject import CheckRequest, prepared
from lab.engine.docker.engine import DockerEngine
from lab.spec import Platform
from tests.fidelity import OURS, fidelity
from tests.unit.contract.makers import found, rule, verdicts


class Told(DockerEngine):
    def __init__(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the check was asked, and what it will answer."""
    asked = SimpleNamespace(answer=verdicts(found("serve", Verdict.PASS)))

    @contextmanager
    def prepared(
        request: CheckRequest, engine: Any, progress: Any
    ) -> Iterator[tuple[CheckedImage, Any]]:
        asked.request = request
        subject: Any = SimpleNamespace(image=request.image, platform=Platform.AMD64)
        yield subject, SimpleNamespace(engine=engine)

    def run(session: Any, wanted: Any, progress: Any) -> Verdicts:
        asked.rules = [entry.rule.id for entry in wanted]
        answer: Verdicts = asked.answer
        return answer

    monkeypatch.setattr(verb, "open_engine", lambda _: Told())
    monkeypatch.setattr(verb, "prepared", prepared)
    monkeypatch.setattr(verb, "run", run)
    return asked


def test_a_kept_contract_is_0_and_a_warning_is_too(
    asked: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    asked.answer = verdicts(found("serve", Verdict.PASS), found("chunked", Verdict.WARN))
    assert main.run(["contract", "check", "me:1", "--only", "serve", "--only", "chunked"]) == 0
    assert asked.rules == ["serve", "chunked"]
    assert "1 passed · 1 warned" in capsys.readouterr().out


def test_a_broken_rule_is_9(asked: SimpleNamespace) -> None:
    asked.answer = verdicts(found("serve", Verdict.FAIL))
    assert main.run(["contract", "check", "me:1"]) == 9


def test_json_has_standard_output_to_itself(
    asked: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["contract", "check", "me:1", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["image"] == "me:1"


def test_files_are_written_wherever_they_are_wanted(asked: SimpleNamespace, tmp_path: Path) -> None:
    into = tmp_path / "new"
    words = ["--json", str(into / "c.json"), "--junit", str(into / "c.xml")]
    assert main.run(["contract", "check", "me:1", *words]) == 0
    assert json.loads((into / "c.json").read_text())["failed"] is False
    assert "<testsuite " in (into / "c.xml").read_text()


def test_what_is_said_of_the_model_and_the_payload_is_passed_on(
    asked: SimpleNamespace, tmp_path: Path
) -> None:
    words = ["--model-data", "m.tar.gz", "--payload", "x.csv", "--platform", "linux/arm64"]
    assert main.run(["contract", "check", "me:1", *words]) == 0
    assert asked.request == CheckRequest(
        image="me:1", model_data="m.tar.gz", payload=Path("x.csv"), platform=Platform.ARM64
    )


def test_a_check_that_is_cut_short_is_written_everywhere_and_is_130(
    asked: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked.answer = replace(
        verdicts(found("serve", Verdict.FAIL)), cut_short=True, untried=[rule("ping")]
    )
    words = ["--json", str(tmp_path / "c.json"), "--junit", str(tmp_path / "c.xml")]
    assert main.run(["contract", "check", "me:1", *words]) == 130
    assert json.loads((tmp_path / "c.json").read_text())["cut_short"] is True
    assert "cut_short" in (tmp_path / "c.xml").read_text()
    assert "Cut short: a rule was not tried" in capsys.readouterr().out


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """Model data that SageMaker does not extract."""
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo("snapshots/1/model.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "../../blobs/ab12"
        tar.addfile(link)
    return tmp_path / "m.tar.gz"


@fidelity(
    "Model data",
    "The contract check refuses the archives that an endpoint refuses, in the same words, before "
    "it looks at the image.",
    OURS,
    "AWS has no such check: there the endpoint fails.",
)
def test_model_data_that_sagemaker_refuses_are_a_broken_rule_and_written_everywhere(
    asked: SimpleNamespace,
    linked: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verb, "prepared", prepared)
    words = ["--json", str(tmp_path / "c.json"), "--junit", str(tmp_path / "c.xml")]
    assert main.run(["contract", "check", "me:1", "--model-data", str(linked), *words]) == 9

    seen = json.loads((tmp_path / "c.json").read_text())
    (finding,) = seen["findings"]
    assert finding["rule"] == "model-archive"
    assert "'snapshots/1/model.bin' is a symbolic link" in finding["seen"]
    assert "tar --dereference" in finding["change"]
    assert (seen["failed"], seen["cut_short"], seen["fit"]) == (True, False, [])
    assert len(seen["untried"]) == len(entries()) - 1
    assert '<skipped message="nothing was started" />' in (tmp_path / "c.xml").read_text()
    assert "Nothing was started" in capsys.readouterr().out


def test_the_first_look_says_the_same_of_them(
    linked: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_look, "open_engine", lambda _: Told())
    assert main.run(["try", "me:1", "--model-data", str(linked)]) == 9
    said = " ".join(capsys.readouterr().out.split())
    assert "is a symbolic link to '../../blobs/ab12'" in said
    assert "tar --dereference" in said


def test_a_rule_that_there_is_not_is_the_user_s_mistake(
    asked: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["contract", "check", "me:1", "--only", "pong"]) == 2
    assert "lab contract rules" in capsys.readouterr().err


def test_rules_are_listed_without_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["contract", "rules"]) == 0
    assert "sigterm-arrives" in capsys.readouterr().out
