"""Models that come in sizes, and models that a user has imported."""

from pathlib import Path

import pytest

from lab import paths
from lab.artifacts import store
from lab.errors import UsageError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that builds ``shop`` and ``shop-2``."""
    for name in ("shop", "shop_2"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "model.py").touch()
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("shop", ("shop", None)),
        ("shop-1000", ("shop", 1000)),
        ("shop-2", ("shop-2", None)),
        ("shop-2-30", ("shop-2", 30)),
        ("other-1000", ("other-1000", None)),
        ("shop-big", ("shop-big", None)),
    ],
)
def test_a_number_behind_a_model_s_name_is_its_size(
    model: str, base: tuple[str, int | None]
) -> None:
    assert store.base(model) == base


def test_a_size_lies_in_a_folder_of_its_own(home: Path) -> None:
    assert store.folder("shop-1000") == home / "artifacts/shop-1000"
    with pytest.raises(UsageError, match="no model 'other-1000'"):
        store.folder("other-1000")


def test_an_imported_model_is_a_model_unless_the_project_builds_one_of_its_name(
    home: Path,
) -> None:
    for name in ("mine", "shop"):
        (home / "artifacts" / name).mkdir(parents=True)
        (home / "artifacts" / name / store.IMPORTED).touch()
    assert store.imported() == ("mine",)
    assert store.models() == ("mine", "shop", "shop-2")
    assert store.buildable() == ("shop", "shop-2")
