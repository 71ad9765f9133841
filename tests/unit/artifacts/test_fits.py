"""Whether a model fits into a memory size, by its card."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab import paths
from lab.artifacts import fits
from lab.artifacts.fits import Need
from lab.errors import UsageError
from lab.spec import HOST_TIER, SERVERLESS_TIERS, Tier

MB = 1_000_000
MODEL = "recommender-niser-1000000"


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / "recommender_niser"
    folder.mkdir(parents=True)
    (folder / "model.py").touch()
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")


def built(card: dict[str, Any], model: str = MODEL) -> None:
    folder = paths.artifacts() / model
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("megabytes", "least"), [(1, "1024"), (1073, "1024"), (1074, "2048"), (6442, "6144")]
)
def test_the_smallest_memory_size_holds_all_of_it(megabytes: int, least: str) -> None:
    found = fits.smallest(megabytes * MB)
    assert found is not None
    assert found.name == least


def test_no_memory_size_holds_more_than_the_largest() -> None:
    assert fits.smallest((SERVERLESS_TIERS[-1].memory_bytes or 0) + 1) is None


def test_what_is_needed_is_the_models_peak_and_the_servers() -> None:
    built({"memory": {"peak_bytes": 1_060 * MB}})
    slim, full = (fits.need(MODEL, variant) for variant in ("onnx-slim", "onnx"))
    assert slim is not None
    assert full is not None
    assert slim.bytes == 1_060 * MB + fits.SERVERS["onnx-slim"]
    assert not slim.fits(Tier(memory_mb=1024))  # the model alone would
    assert slim.fits(Tier(memory_mb=2048))
    assert slim.fits(HOST_TIER)
    assert full.bytes > slim.bytes


@pytest.mark.parametrize("card", [{}, {"memory": {}}, {"memory": None}])
def test_a_card_without_a_peak_refuses_nothing(card: dict[str, Any]) -> None:
    built(card)
    assert fits.need(MODEL, "onnx-slim") is None
    fits.refuse_misfit(MODEL, "onnx-slim", 1024)


def test_a_server_of_which_nothing_is_known_refuses_nothing() -> None:
    built({"memory": {"peak_bytes": 9_000 * MB}})
    fits.refuse_misfit(MODEL, "slim", 1024)


def test_a_refusal_names_model_size_memory_need_and_the_smallest_that_holds_it() -> None:
    built({"memory": {"peak_bytes": 2_200 * MB}})
    with pytest.raises(UsageError) as caught:
        fits.refuse_misfit(MODEL, "onnx-slim", 2048, also="Elsewhere.")
    assert caught.value.what == (
        "recommender-niser-1000000 (1,000,000 items) does not fit into 2048 MB: it needs about "
        "2.2 GB at its peak, 2.2 GB for the model (measured when it was built: memory.peak_bytes "
        "of its card) and 16.0 MB for the server of onnx-slim; 2048 MB are 2.1 GB."
    )
    assert caught.value.remedy == (
        "Take 3072 MB, the smallest serverless memory that holds it. Elsewhere."
    )


def test_what_no_memory_size_holds_is_sent_to_an_instance() -> None:
    need = Need(model=MODEL, variant="onnx-slim", of_model=7_000 * MB, of_server=16 * MB)
    assert "the largest is 6144 MB" in need.remedy()
    assert "in real time" in need.remedy()


def test_a_model_that_is_not_built_is_refused_as_such() -> None:
    with pytest.raises(UsageError, match="is not built"):
        fits.need(MODEL, "onnx-slim")
