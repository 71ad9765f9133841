"""Which data sets a model learns from is said by the model's own folder."""

from pathlib import Path

import pytest

from lab.artifacts import datasets
from lab.errors import UsageError


def test_a_folder_is_for_the_models_that_know_its_file(tmp_path: Path) -> None:
    (tmp_path / "events.csv").touch()

    assert datasets.learns_from("recommender-niser", tmp_path)
    assert not datasets.learns_from("retinopathy-mobilenet", tmp_path)


def test_a_model_that_cannot_learn_from_a_folder_says_from_what_it_can(tmp_path: Path) -> None:
    (tmp_path / "train.csv").touch()

    datasets.check(["retinopathy-mobilenet"], tmp_path)
    with pytest.raises(UsageError, match=r"yoochoose-clicks\.dat \(Yoochoose\)"):
        datasets.check(["recommender-niser"], tmp_path)


def test_a_size_of_a_model_learns_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "events.csv").touch()

    with pytest.raises(UsageError, match="it takes no data set"):
        datasets.check(["recommender-niser-1000"], tmp_path)
