"""``lab models list``: of every kind of model, and of one that is not built."""

import json
from pathlib import Path

import pytest

from lab.artifacts import store
from lab.cli import main

CARDS = {
    "eyes": {
        "parameters": 3_377_221,
        "training": {"origin": "drawn"},
        "metrics": {"qwk": 0.9864, "accuracy": 0.945, "confusion": [[1]]},
        "sha256": {"model-onnx.tar.gz": "a2fd336d2a", "model-tensorflow.tar.gz": "658897dfa6"},
        "bytes": {"model-onnx.tar.gz": 12_464_297, "model-tensorflow.tar.gz": 12_623_755},
    },
    "toy": {"sha256": {"model-onnx.tar.gz": "b1"}, "bytes": {"model-onnx.tar.gz": 700}},
}


def test_a_model_is_listed_with_what_its_card_tells_and_one_that_is_not_built_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setattr(store, "models", lambda: ("eyes", "toy", "vgg"))
    for name, card in CARDS.items():
        (tmp_path / "artifacts" / name).mkdir(parents=True)
        (tmp_path / "artifacts" / name / "card.json").write_text(json.dumps(card))
    assert main.run(["models", "list"]) == 0
    rows = {
        line.split()[0]: line.split(None, 1)[1] for line in capsys.readouterr().out.splitlines()[1:]
    }
    assert "qwk 0.986" in rows["eyes"]
    assert rows["eyes"].index("12.6 MB") < rows["eyes"].index("12.5 MB")  # tensorflow, onnx
    assert "3,377,221" in rows["eyes"]
    assert rows["eyes"].rstrip().endswith("a2fd336d")
    assert "700 B" in rows["toy"]
    assert rows["vgg"].strip() == "not built"
