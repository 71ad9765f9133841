"""Reading what `docker save` writes, as a stream."""

import tracemalloc

import pytest

from lab.contract.model import Verdict
from lab.contract.rules.image import judge_leftovers, judge_model_data, programs_of
from lab.errors import EngineError
from lab.images.layers.saved import read
from tests.unit.images.layers.archives import ELF_AMD64, in_chunks, saved


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_every_layout_of_an_archive_is_read(older: bool, compressed: bool) -> None:  # noqa: FBT001
    layers = [{"a/b": b"1"}, {"a/.wh.b": b""}]
    image = read(in_chunks(saved(layers, older=older, compressed=compressed)))
    assert [layer.command for layer in image.layers] == ["COPY 0 /", "COPY 1 /"]
    assert image.gone_in(1, "a/b") == 2
    assert image.gone_in(2, "a/b") is None
    assert image.history[-1] == 'CMD ["serve"]'


def test_a_removed_folder_takes_its_files_with_it_and_an_opaque_one_empties_itself() -> None:
    layers = [{"a/b/c": b"1", "d/e": b"1"}, {".wh.a": b"", "d/.wh..wh..opq": b""}]
    image = read(in_chunks(saved(layers)))
    assert image.gone_in(1, "a/b/c") == 2
    assert image.gone_in(1, "d/e") == 2
    assert image.gone_in(1, "f") is None


def test_programs_are_those_of_the_last_state() -> None:
    layers = [{"old": ELF_AMD64, "dir/tool": ELF_AMD64}, {".wh.dir": b"", "serve": ELF_AMD64}]
    assert set(programs_of(read(in_chunks(saved(layers))))) == {"old", "serve"}


def test_memory_does_not_grow_with_the_image() -> None:
    large = saved([{f"f{n}": bytes(2_000_000) for n in range(20)}])
    tracemalloc.start()
    try:
        read(in_chunks(large, 65536))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.parametrize("data", [b"", b"no archive at all" * 100, saved([])[:512]])
def test_what_is_no_image_is_an_error_in_words(data: bytes) -> None:
    with pytest.raises(EngineError, match="What the engine saved of the image"):
        read(in_chunks(data))


def test_leftovers_count_in_whichever_layer_they_are() -> None:
    layers = [
        {"var/lib/apt/lists/x": bytes(9_000_000)},
        {"root/.cache/pip/y": bytes(9_000_000), "var/lib/apt/.wh.lists": b""},
    ]
    commands = ["RUN apt-get update && apt-get install -y curl", "RUN pip install numpy && true"]
    told = judge_leftovers(read(in_chunks(saved(layers, commands=commands), 65536)))
    assert told.verdict is Verdict.WARN
    assert (
        "layer 1, `RUN apt-get update && apt-get install -y curl`: /var/lib/apt/lists 9.0 MB"
        in (told.seen)
    )
    assert "(apt's lists, removed in layer 2 and pulled all the same)" in told.seen
    assert "/root/.cache/pip 9.0 MB (pip's cache)" in told.seen
    assert "rm -rf /var/lib/apt/lists/*` in layer 1's own step" in told.change
    assert "--no-cache-dir" in told.change
    assert [one["layer"] for one in told.data] == [1, 2]
    little = judge_leftovers(read(in_chunks(saved([{"tmp/x": b"1"}]))))
    assert (little.verdict, little.seen) == (Verdict.PASS, "1 B")


def test_what_the_step_does_already_is_not_advised() -> None:
    step = "RUN apt-get update && apt-get install -y nginx && rm -rf /var/lib/apt/lists/*"
    layer = {"var/cache/apt/archives/nginx.deb": bytes(12_000_000)}
    told = judge_leftovers(read(in_chunks(saved([layer], commands=[step]), 65536)))
    assert "/var/cache/apt/archives 12.0 MB" in told.seen
    assert told.change == "Run `apt-get clean` in layer 1's step."


def test_python_s_compiled_files_are_no_ballast() -> None:
    layer = {"opt/app/__pycache__/serve.cpython-313.pyc": bytes(20_000_000)}
    assert judge_leftovers(read(in_chunks(saved([layer]), 65536))).seen == "none"


def test_a_model_in_the_image_is_told_and_one_under_the_mount_too() -> None:
    hidden = read(in_chunks(saved([{"opt/ml/model/m.onnx": b"1"}])))
    assert judge_model_data(hidden)[0] is Verdict.WARN
    assert "hidden by the mount" in judge_model_data(hidden)[1]
    baked = read(in_chunks(saved([{"opt/app/m.onnx": bytes(11_000_000)}]), 65536))
    assert "/opt/app/m.onnx" in judge_model_data(baked)[1]
    library = "opt/venv/lib/python3.13/site-packages/x/test.onnx"
    none = read(in_chunks(saved([{library: bytes(11_000_000)}]), 65536))
    assert judge_model_data(none)[0] is Verdict.PASS
