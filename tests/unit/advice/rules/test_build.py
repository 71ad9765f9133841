"""What builds leave behind: each rule speaks where it applies and is silent where it does not."""

import pytest

from lab.advice.recording import Stage
from lab.advice.rules import build, bytecode
from lab.advice.rules.model import AdviceKind, Confidence
from lab.advice.rules.table import advise
from lab.images.layers.looked import Library
from tests.unit.advice.rules.made import MB, SITE, Made, debian


def test_hidden_files_cost_the_pull_and_are_removed_in_their_own_step() -> None:
    made = Made(commands=("RUN curl -o /big https://x", "RUN rm /big"))
    made.covered("/big", 8 * MB, layer=1, by=2)
    (one,) = made.asked(build.hidden)
    assert one.kind is AdviceKind.HIDDEN
    assert one.layers == (1,)
    assert (one.saves.unpacked_bytes, one.saves.compressed_bytes) == (8 * MB, 2 * MB)
    assert one.saves.pull_s == pytest.approx(0.02 + 2e-8 * (8 * MB + 14_000))
    assert one.saves.ondemand_s == 0
    assert one.patch is not None
    assert one.patch.splitlines() == [
        "# layer 1",
        "- RUN curl -o /big https://x",
        "+ RUN curl -o /big https://x \\",
        "+     && rm /big",
        "# layer 2",
        "- RUN rm /big",
    ]


def test_what_a_step_that_installs_writes_anew_is_told_of_the_users_steps_alone() -> None:
    made = Made(commands=("imported", "RUN apt-get install -y x"))
    made.covered("/var/lib/dpkg/status", 9 * MB, layer=1, by=2, removed=False)
    assert made.asked(build.hidden) == []
    made = Made(commands=("RUN apt-get update", "RUN apt-get install -y x"))
    made.covered("/var/cache/apt/pkgcache.bin", 9 * MB, layer=1, by=2, removed=False)
    (one,) = made.asked(build.hidden)
    assert one.patch is not None
    assert one.patch.endswith("+     && apt-get clean")


def test_a_later_chown_is_answered_by_chown_where_the_files_are_copied() -> None:
    made = Made(commands=("COPY . /app", "RUN chown -R app /app"))
    made.covered("/app/weights.bin", 9 * MB, layer=1, by=2, removed=False)
    (one,) = made.asked(build.hidden)
    assert "--chown" in one.todo
    assert "replaced" in one.seen
    assert one.patch is None


def test_a_little_that_is_hidden_is_not_worth_a_word() -> None:
    made = Made(commands=("RUN a", "RUN b")).covered("/x", 1000, layer=1, by=2)
    assert made.asked(build.hidden) == []


def test_caches_and_lists_are_cleared_in_the_step_that_fills_them() -> None:
    made = Made(commands=("RUN apt-get update && apt-get install -y curl", "RUN pip install flask"))
    made.file("/var/lib/apt/lists/deb_main_Packages", 40 * MB, layer=1)
    made.file("/root/.cache/pip/http/a", 3 * MB, layer=2)
    cache, lists = made.asked(build.leftovers)
    assert lists.patch is not None
    assert "+     && rm -rf /var/lib/apt/lists/*" in lists.patch
    assert cache.patch == "- RUN pip install flask\n+ RUN pip install --no-cache-dir flask"
    assert lists.confidence is Confidence.CERTAIN
    assert lists.paths == ("/var/lib/apt/lists",)


def test_lists_of_a_step_of_their_own_are_fetched_in_the_step_that_needs_them() -> None:
    made = Made(commands=("RUN apt-get update", "RUN apt-get install -y git"))
    made.file("/var/lib/apt/lists/x", 40 * MB, layer=1)
    (one,) = made.asked(build.leftovers)
    assert one.patch is not None
    assert one.patch.splitlines() == [
        "# layer 1",
        "- RUN apt-get update",
        "# layer 2",
        "+ RUN apt-get update \\",
        "- RUN apt-get install -y git",
        "+     && apt-get install -y git \\",
        "+     && rm -rf /var/lib/apt/lists/*",
    ]
    made.commands = ("RUN apt-get update", "RUN apt-get install -y a", "RUN apt-get install -y b")
    assert [one.patch for one in made.asked(build.leftovers)] == [None]


def test_a_step_that_moved_to_another_is_gone_from_the_steps_and_there_once() -> None:
    made = Made(commands=("RUN apt-get update", "RUN apt-get install -y git"))
    made.file("/usr/bin/git", package=debian("git"), layer=2, read=Stage.READY)
    made.file("/var/lib/apt/lists/x", 40 * MB, layer=1)
    made.file("/var/cache/apt/srcpkgcache.bin", 40 * MB, layer=1)
    first, second = advise(made.inputs()).steps
    assert (first.layer, first.patch) == (1, "- RUN apt-get update")
    assert second.patch.count("apt-get update") == 1
    assert "apt-get clean" in second.patch
    assert "rm -rf /var/lib/apt/lists/*" in second.patch


def test_a_cache_that_the_run_reads_is_no_ballast() -> None:
    made = Made().file("/root/.cache/pip/http/a", 3 * MB, read=Stage.READY)
    assert made.asked(build.leftovers) == []


def test_what_the_base_image_left_cannot_be_mended_by_a_step() -> None:
    made = Made(commands=("imported", "RUN x")).file("/var/lib/apt/lists/a", 9 * MB, layer=1)
    (one,) = made.asked(build.leftovers)
    assert one.patch is None
    assert one.todo.startswith("Take a base image without it")


CAPI = f"{SITE}/onnxruntime/capi"


def test_onnx_runtimes_library_beside_the_extension_that_holds_it_is_a_second_copy() -> None:
    made = Made().file(f"{CAPI}/libonnxruntime.so.1.31.0", 20 * MB)
    made.file(f"{CAPI}/onnxruntime_pybind11_state.cpython-313-x86_64-linux-gnu.so", 22 * MB)
    made.opened(f"{CAPI}/onnxruntime_pybind11_state.cpython-313-x86_64-linux-gnu.so")
    (one,) = made.asked(build.two_copies)
    assert one.saves.unpacked_bytes == 20 * MB
    assert one.patch is not None
    assert f"rm -f {CAPI}/libonnxruntime.so.1.31.0" in one.patch


def test_onnx_runtimes_library_is_no_copy_where_a_program_reads_it() -> None:
    made = Made().file(f"{CAPI}/libonnxruntime.so.1.31.0", 20 * MB, read=Stage.READY)
    made.file(f"{CAPI}/onnxruntime_pybind11_state.so", 22 * MB, read=Stage.READY)
    assert made.asked(build.two_copies) == []


def test_two_files_of_one_content_are_told_when_one_of_them_is_used() -> None:
    made = Made().file("/a/libx.so", 5 * MB, read=Stage.READY).file("/b/libx.so", 5 * MB)
    made.libraries = {path: Library(sha256="s") for path in ("/a/libx.so", "/b/libx.so")}
    (one,) = made.asked(build.two_copies)
    assert one.paths == ("/b/libx.so",)


def test_two_files_that_are_both_used_or_differ_are_not_told() -> None:
    made = Made().file("/a/libx.so", 5 * MB, read=Stage.READY).file("/b/libx.so", 5 * MB)
    made.libraries = {"/a/libx.so": Library(sha256="s"), "/b/libx.so": Library(sha256="t")}
    assert made.asked(build.two_copies) == []
    made.libraries = {path: Library(sha256="s") for path in made.libraries}
    made.opened("/b/libx.so")
    assert made.asked(build.two_copies) == []


def test_baked_weights_are_told_with_their_layer_and_promise_no_seconds() -> None:
    made = Made(commands=("RUN pip install x", "COPY . /app"))
    made.file("/app/model.onnx", 80 * MB, layer=2, read=Stage.READY)
    made.file("/app/serve.py", 900, layer=2, read=Stage.READY)
    (one,) = made.asked(build.baked_weights)
    assert "layer 2" in one.title
    assert "1 program that" in one.seen
    assert one.saves.seconds == 0


def test_weights_that_nothing_read_are_left_out() -> None:
    made = Made(commands=("COPY . /app",)).file("/app/old.onnx", 80 * MB)
    (one,) = made.asked(build.baked_weights)
    assert one.saves.unpacked_bytes == 80 * MB


def test_an_image_without_weights_is_told_of_none() -> None:
    made = Made().file(f"{SITE}/sklearn/data.pkl", 80 * MB).file("/app/tiny.onnx", 1000)
    assert made.asked(build.baked_weights) == []


def sources(count: int, *, compiled: bool, env: tuple[str, ...] = ()) -> Made:
    made = Made(commands=("RUN uv pip install x",), env=env)
    for number in range(count):
        made.file(f"{SITE}/x/m{number}.py", 10_000, read=Stage.READY)
        if compiled:
            made.file(f"{SITE}/x/__pycache__/m{number}.cpython-313.pyc", 9_000)
    return made


def test_missing_byte_code_is_compiled_in_the_build_and_its_seconds_are_of_imports() -> None:
    (one,) = sources(50, compiled=False, env=("PYTHONDONTWRITEBYTECODE=1",)).asked(
        bytecode.byte_code
    )
    assert one.saves.import_s == pytest.approx(50 * 10_000 * 2.2e-7)
    assert one.patch == "- RUN uv pip install x\n+ RUN uv pip install --compile-bytecode x"
    assert "PYTHONDONTWRITEBYTECODE" in one.seen


def test_stale_byte_code_is_opened_beside_its_source() -> None:
    made = sources(50, compiled=True)
    for number in range(50):
        made.opened(f"{SITE}/x/__pycache__/m{number}.cpython-313.pyc")
    (one,) = made.asked(bytecode.byte_code)
    assert "out of date" in one.seen


def test_a_few_sources_that_are_only_shown_are_not_stale() -> None:
    made = sources(5, compiled=True)
    for number in range(5):
        made.opened(f"{SITE}/x/__pycache__/m{number}.cpython-313.pyc")
    assert made.asked(bytecode.byte_code) == []


def test_fresh_byte_code_needs_nothing() -> None:
    made = Made()
    for number in range(50):
        made.file(f"{SITE}/x/m{number}.py", 10_000).looked_at(f"{SITE}/x/m{number}.py")
        cached = f"{SITE}/x/__pycache__/m{number}.cpython-313.pyc"
        made.file(cached, 9_000, read=Stage.READY)
    assert made.asked(bytecode.byte_code) == []
