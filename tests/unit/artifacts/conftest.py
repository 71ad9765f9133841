from pathlib import Path

import pytest

from lab import paths
from lab.artifacts import build, fingerprint
from tests.unit.artifacts.scripted import ScriptedEngine


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ScriptedEngine:
    monkeypatch.setattr(build, "ensure_images", lambda *_args, **_more: None)
    return ScriptedEngine()


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what models are made from, to be changed by a test."""
    own = tmp_path / "models" / "retinopathy_mobilenet"
    (tmp_path / "models" / "common").mkdir(parents=True)
    own.mkdir()
    (own / "model.py").write_text("a = 1")
    (own / "README.md").write_text("words")
    (tmp_path / "models" / "common" / "train.py").write_text("b = 1")
    (tmp_path / "models" / "build.py").write_text("c = 1")
    monkeypatch.setattr(fingerprint, "MODELS", tmp_path / "models")
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")
    return tmp_path / "models"
