"""What is pushed: from flags, asked for on a terminal, refused where nobody can be asked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from lab.artifacts import store
from lab.aws.model import ServingKind
from lab.cli import main, push
from lab.cli.console import err
from lab.cli.push_order import PushOptions, agreed, complete
from lab.errors import UsageError
from lab.progress import Silent
from lab.spec import Platform

NOTHING = PushOptions()
SERVERLESS = replace(
    NOTHING,
    variant="onnx-slim",
    model="retinopathy-mobilenet",
    kind=ServingKind.SERVERLESS,
    memory=2048,
)
REAL_TIME = replace(
    SERVERLESS,
    kind=ServingKind.REAL_TIME,
    memory=None,
    instance_type="ml.m5.xlarge",
    instances=2,
)


def test_without_a_terminal_all_missing_flags_are_named_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        complete(NOTHING, may_ask=False)

    assert "--variant, --model, --kind, --memory" in caught.value.what
    with pytest.raises(UsageError, match="--instance-type"):
        complete(replace(REAL_TIME, instance_type=None), may_ask=False)


def test_the_command_without_flags_and_terminal_is_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["push", "aws"]) == 2
    assert "--variant, --model, --kind, --memory" in capsys.readouterr().err


def test_a_model_that_does_not_fit_is_refused_before_anything_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    folder = tmp_path / "artifacts" / store.DEFAULT
    folder.mkdir(parents=True)
    (folder / "card.json").write_text('{"memory": {"peak_bytes": 1200000000}}')
    flags = ["--variant", "onnx-slim", "--model", store.DEFAULT, "--kind", "serverless"]
    assert main.run(["push", "aws", *flags, "--memory", "1024"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "retinopathy-mobilenet does not fit into 1024 MB" in said
    assert "Take 2048 MB" in said


def test_without_the_contract_check_a_need_that_no_card_tells_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    folder = tmp_path / "artifacts" / store.DEFAULT
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{}")
    progress = Silent()
    push._tell_if_unknown(complete(SERVERLESS, may_ask=False), progress)
    (said,) = progress.notes
    assert "2048 MB may be too little" in said
    (folder / "card.json").write_text('{"memory": {"peak_bytes": 1}}')
    push._tell_if_unknown(complete(SERVERLESS, may_ask=False), progress)
    assert progress.notes == [said]


def test_on_a_terminal_what_is_missing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(prompt: object = "", **more: Any) -> str:
        asked.append(str(prompt))
        return ""

    monkeypatch.setattr(err, "input", answer)

    order = complete(NOTHING, may_ask=True)

    assert len(asked) == 4
    assert (order.variant, order.kind, order.memory_mb) == (
        "onnx-slim",
        ServingKind.SERVERLESS,
        2048,
    )
    asked.clear()
    complete(replace(REAL_TIME, variant=None), may_ask=True)
    (question,) = asked
    assert question.startswith("Which variant")


def test_the_end_of_input_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(*_: object, **__: object) -> str:
        raise EOFError

    monkeypatch.setattr(err, "input", end)
    with pytest.raises(typer.Abort):
        complete(NOTHING, may_ask=True)


def test_an_endpoint_is_named_after_what_it_serves() -> None:
    assert complete(SERVERLESS, may_ask=False).endpoint == "retinopathy-mobilenet-onnx-slim"
    assert complete(replace(SERVERLESS, endpoint="mine"), may_ask=False).endpoint == "mine"


def test_the_platform_is_what_the_instance_runs() -> None:
    graviton = replace(REAL_TIME, instance_type="ml.m6g.large")

    assert complete(REAL_TIME, may_ask=False).platform is Platform.AMD64
    assert complete(graviton, may_ask=False).platform is Platform.ARM64
    assert complete(SERVERLESS, may_ask=False).platform is Platform.AMD64


def test_without_a_word_about_scaling_there_is_none() -> None:
    order = complete(REAL_TIME, may_ask=False)

    assert (order.instances, order.max_instances) == (2, 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (replace(SERVERLESS, memory=1500), "1500 MB"),
        (replace(SERVERLESS, instance_type="ml.m5.large"), "--instance-type"),
        (replace(REAL_TIME, memory=2048), "--memory"),
        (replace(SERVERLESS, variant="floor"), "serves no model"),
        (replace(SERVERLESS, variant="nothing"), "no variant"),
        (replace(SERVERLESS, model="nothing"), "no model"),
        (replace(SERVERLESS, endpoint="Not_A_Name"), "name"),
    ],
)
def test_what_can_never_be_deployed_is_refused(given: PushOptions, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        complete(given, may_ask=False)


def test_nothing_is_agreed_on_where_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert agreed("Do this?", yes=True, may_ask=False)
    with pytest.raises(UsageError, match="nobody") as caught:
        agreed("Do this?", yes=False, may_ask=False)
    assert "--yes" in caught.value.remedy
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: False)
    assert not agreed("Do this?", yes=False, may_ask=True)
