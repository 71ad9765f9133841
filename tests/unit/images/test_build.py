from pathlib import Path

import pytest

from lab.engine.docker.engine import DockerEngine
from lab.engine.process.engine import ProcessEngine
from lab.errors import BuildError, DiskFullError, EmulationError, UsageError
from lab.images.build import ensure
from lab.images.targets import LABEL_FINGERPRINT, TARGETS, BuildTarget, fingerprint, target
from lab.process import Result
from lab.progress import Silent
from lab.spec import Platform
from tests.unit.engine.fakedocker import FakeDocker
from tests.unit.images.conftest import Builder
from tests.unit.images.fakes import BASE, BASE_LABELS, has_image, lacks_image

BASE_ID = "sha256:" + "1" * 64


def built(docker: FakeDocker, name: str, *, mark: str | None = None) -> None:
    """The engine has the image, made from the present inputs unless ``mark`` says otherwise."""
    mark = mark or fingerprint(target(name), base=BASE_ID)
    has_image(docker, f"inference-lab/{name}:amd64", labels={LABEL_FINGERPRINT: mark})


def build(docker: FakeDocker, *names: str) -> Silent:
    progress = Silent()
    engine = DockerEngine(docker.address)
    try:
        ensure(names, platform=Platform.AMD64, engine=engine, progress=progress)
    finally:
        engine.close()
    return progress


@pytest.fixture(autouse=True)
def _base(docker: FakeDocker) -> None:
    for name in TARGETS:
        lacks_image(docker, f"inference-lab/{name}:amd64")
    has_image(docker, BASE, labels=BASE_LABELS)


def test_an_image_made_from_the_present_inputs_is_not_handed_to_bake(
    docker: FakeDocker, builder: Builder
) -> None:
    built(docker, "onnx")
    build(docker, "onnx")
    assert builder.commands == []


def test_an_image_made_from_other_inputs_is_built_again_and_only_that(
    docker: FakeDocker, builder: Builder
) -> None:
    built(docker, "onnx")
    built(docker, "floor", mark="of-yesterday")
    progress = build(docker, "onnx", "floor")
    assert progress.steps == ["Building floor"]
    (command,) = [words for words in builder.commands if "bake" in words]
    assert command[-1] == "floor"
    assert "onnx" not in command


def test_a_missing_image_is_built_with_the_label_that_says_what_from(
    docker: FakeDocker, builder: Builder
) -> None:
    build(docker, "floor")
    mark = fingerprint(target("floor"), base=BASE_ID)
    assert f"--set=floor.labels.{LABEL_FINGERPRINT}={mark}" in builder.commands[-1]


def test_an_image_that_another_one_copies_from_is_kept_under_its_own_name(
    docker: FakeDocker, builder: Builder
) -> None:
    build(docker, "twostage")
    assert builder.commands[-1][-2:] == ["baseline", "twostage"]


def test_the_build_goes_to_the_engine_that_was_opened_and_not_to_the_users_context(
    docker: FakeDocker, builder: Builder
) -> None:
    build(docker, "floor")
    env = builder.environments[-1]
    assert env["DOCKER_HOST"] == docker.address
    assert env["DOCKER_CONTEXT"] == ""
    assert (env["ARCH"], env["BASE"]) == ("amd64", BASE)


def test_an_image_that_lost_its_name_to_a_new_one_is_removed(
    docker: FakeDocker, builder: Builder
) -> None:
    built(docker, "floor", mark="of-yesterday")
    docker.answer("GET", f"/images/{BASE_ID}/json", {"RepoTags": []})
    build(docker, "floor")
    assert docker.asked_for("DELETE", f"/images/{BASE_ID}")


def test_an_image_that_still_has_a_name_is_kept(docker: FakeDocker, builder: Builder) -> None:
    built(docker, "floor", mark="of-yesterday")
    docker.answer("GET", f"/images/{BASE_ID}/json", {"RepoTags": ["the-users:own"]})
    build(docker, "floor")
    assert not docker.asked_for("DELETE", f"/images/{BASE_ID}")


def test_a_failed_build_ends_with_the_builders_last_lines(
    docker: FakeDocker, builder: Builder
) -> None:
    builder.fails = "docker buildx bake ended with code 1.\n#7 ERROR: no such file: app"
    with pytest.raises(BuildError, match="floor could not be built:\n#7 ERROR: no such file: app"):
        build(docker, "floor")


def test_a_full_disk_is_named_as_such(docker: FakeDocker, builder: Builder) -> None:
    builder.fails = "ended with code 1.\nwrite /x: no space left on device"
    with pytest.raises(DiskFullError, match="floor"):
        build(docker, "floor")


def test_an_index_out_of_reach_points_to_the_doctor(docker: FakeDocker, builder: Builder) -> None:
    builder.fails = "ended with code 1.\nE: Temporary failure resolving 'mirror.example'"
    with pytest.raises(BuildError) as failed:
        build(docker, "floor")
    assert "lab doctor" in failed.value.remedy


def test_what_does_not_run_on_the_engine_is_refused_before_the_builder_begins(
    docker: FakeDocker, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacks_image(docker, "inference-lab/onnx:arm64")
    base = "inference-lab/base:trixie-arm64"
    has_image(docker, base, labels=BASE_LABELS)  # it was made when QEMU was still there
    nothing_is_emulated(monkeypatch)
    engine = DockerEngine(docker.address)
    try:
        with pytest.raises(EmulationError, match="linux/arm64 images cannot run here") as refused:
            ensure(["onnx"], platform=Platform.ARM64, engine=engine, progress=Silent())
    finally:
        engine.close()
    assert refused.value.remedy
    assert not [words for words in builder.commands if "bake" in words]


def test_what_is_compiled_across_needs_neither_emulation_nor_a_base_of_the_other_platform(
    docker: FakeDocker, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacks_image(docker, "inference-lab/floor:arm64")
    lacks_image(docker, "inference-lab/base:trixie-arm64")
    nothing_is_emulated(monkeypatch)
    engine = DockerEngine(docker.address)
    try:
        ensure(["floor"], platform=Platform.ARM64, engine=engine, progress=Silent())
    finally:
        engine.close()
    (command,) = [words for words in builder.commands if "bake" in words]
    mark = fingerprint(target("floor"), base=BASE_ID)
    assert f"--set=floor.labels.{LABEL_FINGERPRINT}={mark}" in command
    env = builder.environments[-1]
    assert (env["ARCH"], env["HOST"]) == ("arm64", "amd64")


def nothing_is_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_ENGINE", "external")
    monkeypatch.setattr(
        "lab.engine.emulation.qemu.run",
        lambda *_, **__: Result(code=0, stdout="Platforms: linux/amd64, linux/386", stderr=""),
    )


def test_an_environment_that_stands_for_an_image_is_of_this_machines_platform_only() -> None:
    engine = ProcessEngine()
    (foreign,) = set(Platform) - {engine.facts().platform}
    progress = Silent()
    with pytest.raises(EmulationError, match="without containers") as refused:
        ensure(["floor"], platform=foreign, engine=engine, progress=progress)
    assert refused.value.remedy
    assert progress.steps == []


def test_an_unknown_image_is_refused_with_the_names_there_are(
    docker: FakeDocker, builder: Builder
) -> None:
    with pytest.raises(UsageError, match=r"'onyx'.*onnx-slim"):
        build(docker, "onyx")
    assert builder.commands == []


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_of_every_image_exists(name: str) -> None:
    assert fingerprint(target(name), base="b")


def test_a_fingerprint_changes_with_any_byte_mode_name_or_base(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    file = tmp_path / "app" / "one.py"
    file.write_text("1")
    one = BuildTarget(name="x", inputs=("app",))
    seen = {fingerprint(one, base="b", root=tmp_path)}
    seen.add(fingerprint(one, base="c", root=tmp_path))
    file.write_text("2")
    seen.add(fingerprint(one, base="b", root=tmp_path))
    file.chmod(0o755)
    seen.add(fingerprint(one, base="b", root=tmp_path))
    file.rename(file.with_name("two.py"))
    seen.add(fingerprint(one, base="b", root=tmp_path))
    assert len(seen) == 5


def test_a_fingerprint_ignores_what_python_and_the_linters_leave_behind(tmp_path: Path) -> None:
    (tmp_path / "app" / "__pycache__").mkdir(parents=True)
    (tmp_path / "app" / "one.py").write_text("1")
    one = BuildTarget(name="x", inputs=("app",))
    before = fingerprint(one, base="b", root=tmp_path)
    (tmp_path / "app" / "__pycache__" / "one.pyc").write_text("1")
    assert fingerprint(one, base="b", root=tmp_path) == before
