"""Both ONNX backends do what the card asks of the session, and name what they do not know."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from app import backends, card
from app.backends import onnx_capi
from app.errors import StartError
from app.processor import family
from tests.unit.services.inference import tiny

Load = Callable[..., "backends.Backend"]
_UNPACKED = {"session.disable_prepacking": "1"}
_ORT = {"session.load_model_format": "ORT"}
_MAPPED = {
    "session.use_ort_model_bytes_directly": "1",
    "session.use_ort_model_bytes_for_initializers": "1",
}


@pytest.fixture(params=["onnx", "onnx-capi"])
def load(request: pytest.FixtureRequest, ort_library: Path, tmp_path: Path) -> Load:
    def loaded(session: object, *, ort: bool = False) -> "backends.Backend":
        tiny.write(tmp_path, changes={"session": session})
        if ort:
            _as_ort(tmp_path)
        return backends.module(request.param).load(
            str(tmp_path), card.read(str(tmp_path)), threads=1, library=str(ort_library)
        )

    return loaded


def _as_ort(folder: Path) -> None:
    """Put the same model in the runtime's own format in the file's place."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "model.ort")
    onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
    (folder / "model.ort").rename(folder / "model.onnx")


def answers(backend: "backends.Backend") -> None:
    batch = np.full((2, tiny.SIDE, tiny.SIDE, 3), 77, np.uint8)
    ((_, answer),) = backend.predict([(batch.shape, batch.tobytes())])
    numbers = np.frombuffer(answer, np.float32).reshape(2, 5)
    np.testing.assert_allclose(numbers, tiny.expected(batch), atol=1e-6)


@pytest.mark.parametrize("level", ["none", "basic", "extended", "layout", "all"])
def test_the_answer_is_the_same_at_every_level(load: Load, level: str) -> None:
    answers(load({"any": {"graph_optimization": level, **_UNPACKED}}))


@pytest.mark.parametrize("how", [{}, _MAPPED])
def test_a_model_in_the_runtimes_own_format_is_read_where_the_card_says_so(
    load: Load, how: Mapping[str, str]
) -> None:
    answers(load({"any": {**_ORT, **how}}, ort=True))
    with pytest.raises(StartError, match=r"model\.onnx cannot be loaded"):
        load({}, ort=True)


def test_options_for_this_family_go_over_those_for_any(load: Load) -> None:
    answers(load({"any": {"session.load_model_format": "ONNX"}, family(): _ORT}, ort=True))


def test_options_for_another_family_are_not_this_ones(load: Load) -> None:
    with pytest.raises(StartError, match="cannot be loaded"):
        load({"z80": _ORT}, ort=True)


@pytest.mark.parametrize(
    ("session", "said"),
    [
        ({"any": {"session.optimized_model_filepath": "/x"}}, "optimized_model_filepath' is not"),
        ({"any": {"session.disable_prepacking": 1}}, "disable_prepacking is 1, and must be text"),
        ({"any": {"graph_optimization": "most"}}, "'most'; it can be none, basic"),
        ({"any": {"graph_optimization": ["all"]}}, r"\['all'\]; it can be"),
        ({"any": ["session.disable_prepacking"]}, "options for any are no object"),
        ([], "session is no object"),
        ({family(): {"spin": "1"}}, "'spin' is not known"),
    ],
)
def test_an_option_that_is_none_is_named(load: Load, session: object, said: str) -> None:
    with pytest.raises(StartError, match=said):
        load(session)


def test_the_python_package_is_told_the_level_and_the_entries(tmp_path: Path) -> None:
    asked = {"graph_optimization": "extended", **_UNPACKED}
    tiny.write(tmp_path, changes={"session": {"any": asked}})
    backend: Any = backends.module("onnx").load(
        str(tmp_path), card.read(str(tmp_path)), threads=1, library=""
    )
    told = backend._run.__self__.get_session_options()
    assert told.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    assert told.get_session_config_entry("session.disable_prepacking") == "1"


def test_the_c_library_is_told_the_level_and_the_entries(
    tmp_path: Path, ort_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []
    call = onnx_capi._Api.call

    def noting(api: onnx_capi._Api, name: str, *arguments: object) -> None:
        calls.append((name, *arguments[1:]))
        call(api, name, *arguments)

    monkeypatch.setattr(onnx_capi._Api, "call", noting)
    asked = {"graph_optimization": "extended", **_UNPACKED}
    tiny.write(tmp_path, changes={"session": {"any": asked}})
    onnx_capi.load(str(tmp_path), card.read(str(tmp_path)), threads=1, library=str(ort_library))
    assert ("SetSessionGraphOptimizationLevel", 2) in calls
    assert ("AddSessionConfigEntry", b"session.disable_prepacking", b"1") in calls
