"""Both ONNX backends: the same numbers, from several threads, and errors that say what is wrong."""

import concurrent.futures
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app import backends, card, tasks
from app.errors import StartError
from app.inprocess import measure
from app.predictor import Predictor
from app.settings import Settings
from tests.docker.contract_client import PNG
from tests.unit.services.inference import tiny

Load = Callable[[Path], "backends.Backend"]


@pytest.fixture(params=["onnx", "onnx-capi"])
def load(request: pytest.FixtureRequest, ort_library: Path) -> Load:
    def loaded(folder: Path) -> "backends.Backend":
        return backends.module(request.param).load(
            str(folder), card.read(str(folder)), threads=1, library=str(ort_library)
        )

    return loaded


def predicted(backend: "backends.Backend", batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    ((_, answer),) = backend.predict([(batch.shape, batch.tobytes())])
    numbers: NDArray[np.float32] = np.frombuffer(answer, np.float32).reshape(len(batch), 5)
    return numbers


def predictor(backend: "backends.Backend", folder: Path) -> Predictor:
    described = card.read(str(folder))
    task = tasks.fit(tasks.task_class(described, str(folder)), described, Settings({}))
    return Predictor(backend, task)


def images(count: int) -> NDArray[np.uint8]:
    generator = np.random.default_rng(count)
    shades = generator.integers(0, 256, (count, 1, 1, 3), np.uint8)
    return np.broadcast_to(shades, (count, tiny.SIDE, tiny.SIDE, 3)).copy()


@pytest.mark.parametrize("count", [1, 3])
def test_the_answer_is_what_the_model_means(load: Load, model_dir: Path, count: int) -> None:
    batch = images(count)
    np.testing.assert_allclose(predicted(load(model_dir), batch), tiny.expected(batch), atol=1e-6)


def test_threads_do_not_get_each_others_answers(load: Load, model_dir: Path) -> None:
    backend = load(model_dir)
    batches = [images(1) if seed == 0 else images(seed)[-1:] for seed in range(1, 9)]

    def predict(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        (only,) = predicted(backend, batch)
        return np.asarray(only, np.float32)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for batch, answer in zip(batches, pool.map(predict, batches), strict=True):
                np.testing.assert_allclose(answer, tiny.expected(batch)[0], atol=1e-6)


def test_a_model_that_is_none_is_refused_with_its_path(load: Load, tmp_path: Path) -> None:
    tiny.write(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(StartError, match=r"model\.onnx cannot be loaded"):
        load(tmp_path)


def test_a_missing_model_is_named(load: Load, tmp_path: Path) -> None:
    tiny.write(tmp_path)
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(StartError, match=r"model\.onnx is missing"):
        load(tmp_path)


def test_a_library_that_is_none_is_named(model_dir: Path, tmp_path: Path) -> None:
    for library in (tmp_path / "none.so", model_dir / "model.onnx"):
        with pytest.raises(StartError, match="LAB_ORT_LIBRARY"):
            backends.module("onnx-capi").load(
                str(model_dir), card.read(str(model_dir)), threads=1, library=str(library)
            )


def test_too_few_pixels_do_not_read_beyond_them(load: Load, model_dir: Path) -> None:
    with pytest.raises(ValueError, match=r".+"):
        load(model_dir).predict([((1, tiny.SIDE, tiny.SIDE, 3), bytes(10))])


def test_a_large_batch_is_cut_up_and_put_together(load: Load, model_dir: Path) -> None:
    batch = images(19)
    taken = tasks.Batch(19, [(batch.shape, batch.tobytes())], [])
    ((_, answer),) = predictor(load(model_dir), model_dir).predict(taken)
    numbers = np.frombuffer(answer, np.float32).reshape(19, 5)
    np.testing.assert_allclose(numbers, tiny.expected(batch), atol=1e-6)


def test_the_ceiling_is_as_many_requests_as_asked_for(load: Load, model_dir: Path) -> None:
    result = measure(predictor(load(model_dir), model_dir), "image/png", PNG, requests=7, threads=3)
    latencies = result["latencies_s"]
    assert isinstance(latencies, list)
    assert len(latencies) == 7
    assert result["threads"] == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 1}, "schema is 1"),
        ({"labels": "abc"}, "labels"),
        ({"inputs": None}, "arrays"),
        ({"inputs": []}, "an input and an output"),
        ({"inputs": [{"name": "x", "dtype": "string", "shape": [None]}]}, "x is of string"),
        ({"inputs": [{"name": "x", "dtype": "uint8", "shape": 3}]}, "x's shape must be"),
        (
            {"inputs": [{"name": "x", "dtype": "uint8", "shape": [None, 3], "first": [1, 4]}]},
            "x's first shape",
        ),
        ({"outputs": [{}]}, "name"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    tiny.write(tmp_path, changes=changes)
    with pytest.raises(StartError, match=said):
        card.read(str(tmp_path))
