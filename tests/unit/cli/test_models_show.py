"""``lab models show``: every part of a card that there is, and the card itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab.artifacts import store
from lab.cli import console, main

ROW: dict[str, Any] = {
    "name": "as is", "portable": True, "same": True, "bytes": 13_407_517,
    "load_ms": 113.4, "load_cpu_ms": 70.1, "first_ms": 16.2, "first_cpu_ms": 10.0,
    "warm_ms": 12.8, "warm_cpu_ms": 9.8, "peak_bytes": 65_000_000,
}  # fmt: skip
CARD: dict[str, Any] = {
    "name": "eyes",
    "task": "image-classification",
    "inputs": [{"name": "image", "dtype": "uint8", "shape": [None, 224, 224, 3]}],
    "outputs": [{"name": "scores", "dtype": "float32", "shape": [None, 5]}],
    "parameters": 3_377_221,
    "training": {"origin": "drawn", "weights": "stored", "statement": "Not a medical device."},
    "metrics": {
        "qwk": 0.9864,
        "confusion": [[1]],
        "prefixes": 1200,
        "kin": {"recall@20": {"value": 0.5, "interval": [0.25, 0.75]}},
    },
    "memory": {"peak_bytes": 49_700_000},
    "sha256": {"model.onnx": "0123456789abcdef"},
    "bytes": {"model.onnx": 18_659},
    "starts": {
        "processor": "Xeon",
        "family": "x86-64-vnni",
        "rounds": 3,
        "rows": [
            ROW,
            {**ROW, "name": "mapped", "load_cpu_ms": 46.8},
            {**ROW, "name": "for here", "portable": False},
            {**ROW, "name": "wrong", "same": False},
        ],
        "chosen": "mapped",
        "why": "loads with 47 ms of a processor instead of 70",
    },
}


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    monkeypatch.setattr(console.out, "_width", 160)
    monkeypatch.setattr(store, "models", lambda: ("eyes", "bare"))
    for name, card in {"eyes": CARD, "bare": {"name": "bare"}}.items():
        (tmp_path / "artifacts" / name).mkdir(parents=True)
        (tmp_path / "artifacts" / name / "card.json").write_text(json.dumps(card))
    return tmp_path


@pytest.mark.usefixtures("built")
def test_a_card_is_shown_in_all_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["models", "show", "eyes"]) == 0
    said = capsys.readouterr().out
    for part in (
        "image: uint8 [any, 224, 224, 3]",
        "3,377,221",
        "0.986",
        "1,200",
        "kin, recall@20",
        "0.5 (0.25 to 0.75)",
        "49.7 MB, beyond the service's own",
        "0123456789ab",
        "x86-64-vnni",
        "loads with 47 ms of a processor instead of 70",
    ):
        assert part in said
    assert "confusion" not in said


@pytest.mark.usefixtures("built")
def test_the_chosen_way_is_marked_and_what_cannot_be_says_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main.run(["models", "show", "eyes"])
    lines = capsys.readouterr().out.splitlines()
    chosen = [line for line in lines if "→" in line]
    assert "mapped" in chosen[0]
    assert "46.8 (113.4)" in chosen[0]
    assert "this family only" in next(line for line in lines if "for here" in line)
    assert "other answers" in next(line for line in lines if "wrong" in line)


@pytest.mark.usefixtures("built")
def test_a_card_that_tells_little_is_shown_without_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["models", "show", "bare"]) == 0
    said = capsys.readouterr().out
    assert "bare" in said
    assert "Ways to start" not in said


@pytest.mark.usefixtures("built")
def test_the_card_itself_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["models", "show", "eyes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == CARD


@pytest.mark.usefixtures("built")
def test_a_model_that_is_not_there_is_an_error_of_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["models", "show", "ears"]) != 0
    assert "There is no model 'ears'" in capsys.readouterr().err
