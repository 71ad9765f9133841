from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Runs are kept for the test alone."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    return tmp_path
