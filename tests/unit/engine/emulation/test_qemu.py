import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.engine.docker.engine import DockerEngine
from lab.engine.emulation import qemu
from lab.engine.emulation.qemu import ensure_runs, look, look_here
from lab.engine.install import packages, privilege
from lab.engine.process.engine import ProcessEngine
from lab.errors import EmulationError
from lab.progress import Silent
from lab.spec import Platform
from tests.unit.engine.conftest import Programs
from tests.unit.engine.fakedocker import INFO, FakeDocker
from tests.unit.engine.install.test_packages import DEBIAN_12, DEBIAN_13, FEDORA, UBUNTU
from tests.unit.engine.kernel import Kernel

ARM64, AMD64 = Platform.ARM64, Platform.AMD64
OLD, NEW = "7.2.22", "10.0.2"


@pytest.fixture
def kernel(tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """An x86-64 Debian 12 on which this user is root, without QEMU."""
    monkeypatch.delenv("LAB_ENGINE", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name, path=None: f"/usr/bin/{name}")
    monkeypatch.setattr(packages, "has", lambda tool: False)
    monkeypatch.setattr(packages, "os_release", lambda: DEBIAN_12)
    monkeypatch.setattr(
        "os.uname", lambda: os.uname_result(("Linux", "host", "6.1.0", "#1", "x86_64"))
    )
    privilege.prefix.cache_clear()
    return Kernel(tmp_path, programs)


@pytest.fixture
def engine(docker: FakeDocker) -> Iterator[DockerEngine]:
    """An x86-64 engine on this machine's kernel."""
    made = DockerEngine(docker.address)
    yield made
    made.close()


def set_up(engine: DockerEngine, kernel: Kernel) -> qemu.Emulation:
    return ensure_runs(ARM64, engine, Silent(), binfmt=kernel.binfmt)


def refused(engine: DockerEngine, kernel: Kernel) -> EmulationError:
    with pytest.raises(EmulationError) as caught:
        set_up(engine, kernel)
    return caught.value


def test_the_engines_own_platform_needs_nothing(
    engine: DockerEngine, kernel: Kernel, programs: Programs
) -> None:
    seen = ensure_runs(AMD64, engine, Silent(), binfmt=kernel.binfmt)
    assert (seen.runs, seen.detail) == (True, "the engine's own architecture")
    assert programs.ran == []


def test_a_qemu_that_is_registered_for_containers_and_new_enough_runs(
    engine: DockerEngine, kernel: Kernel, programs: Programs
) -> None:
    kernel.installed(NEW)
    kernel.registered()
    seen = set_up(engine, kernel)
    assert (seen.runs, seen.version, seen.detail) == (True, NEW, "QEMU 10.0.2")
    assert programs.ran == [f"{kernel.qemu} --version"]  # and nothing was changed


def test_the_version_is_asked_of_the_program_behind_the_registered_name(
    kernel: Kernel, programs: Programs, tmp_path: Path
) -> None:
    kernel.installed(NEW)
    program, kernel.qemu = kernel.qemu, tmp_path / "aarch64-binfmt-P"
    kernel.qemu.symlink_to(program)
    kernel.registered()
    assert look_here(ARM64, binfmt=kernel.binfmt).version == NEW
    assert programs.ran == [f"{program} --version"]


def test_looking_changes_nothing(engine: DockerEngine, kernel: Kernel, programs: Programs) -> None:
    seen = look(ARM64, engine, binfmt=kernel.binfmt)
    assert not seen.runs
    assert seen.mendable
    assert "binfmt_misc is not mounted" in seen.detail
    assert seen.remedy == "`lab images build --platform linux/arm64` sets it up."
    assert programs.ran == []


def test_what_is_missing_is_installed_mounted_and_registered(
    engine: DockerEngine, kernel: Kernel, programs: Programs
) -> None:
    kernel.apt_brings = lambda: kernel.installed(NEW)
    seen = set_up(engine, kernel)
    assert seen.version == NEW
    install = next(line for line in programs.ran if " install " in line and " -s " not in line)
    assert install.endswith("--no-remove --no-upgrade qemu-user-static")
    assert f"mount -t binfmt_misc binfmt_misc {kernel.binfmt.folder}" in programs.ran


def test_a_qemu_that_is_installed_is_registered_so_that_containers_find_it(
    engine: DockerEngine, kernel: Kernel, programs: Programs
) -> None:
    kernel.installed(NEW, flags="OP")
    kernel.mount()
    assert set_up(engine, kernel).runs
    assert "flags: OPF" in (kernel.binfmt.folder / "qemu-aarch64").read_text()
    assert not [line for line in programs.ran if "apt-get" in line or line.startswith("mount")]


@pytest.mark.parametrize(
    "entry", [{"flags": "OP"}, {"state": "disabled"}, {"at": -60}], ids=["OP", "disabled", "stale"]
)
def test_an_entry_that_does_not_serve_is_made_anew(
    engine: DockerEngine, kernel: Kernel, entry: dict[str, str | int]
) -> None:
    kernel.installed(NEW)
    kernel.registered(**entry)  # type: ignore[arg-type]
    assert not look(ARM64, engine, binfmt=kernel.binfmt).runs
    assert set_up(engine, kernel).runs


def test_a_table_that_is_switched_off_serves_nothing_and_is_switched_on(
    engine: DockerEngine, kernel: Kernel
) -> None:
    kernel.installed(NEW)
    kernel.registered()
    status = kernel.binfmt.folder / "status"
    status.write_text("disabled")
    seen = look(ARM64, engine, binfmt=kernel.binfmt)
    assert not seen.runs
    assert "binfmt_misc is switched off" in seen.detail
    assert set_up(engine, kernel).runs
    assert status.read_text() == "enabled"


def test_an_old_qemu_is_replaced_and_its_entry_removed_first(
    engine: DockerEngine, kernel: Kernel, programs: Programs
) -> None:
    kernel.installed(OLD)
    kernel.registered()
    kernel.apt_brings = lambda: kernel.installed(NEW)
    assert set_up(engine, kernel).version == NEW
    asked = [line for line in programs.ran if " install " in line]
    assert all("--no-upgrade" not in line and "--no-remove" in line for line in asked)
    written = [line.split(" sh ")[-1] for line in programs.ran if line.startswith("sh -c")]
    assert written[0] == f"-1 {kernel.binfmt.folder / 'qemu-aarch64'}"
    assert written[1].startswith(":qemu-aarch64:M:")


def test_replacing_qemu_upgrades_nothing_else(
    engine: DockerEngine, kernel: Kernel, programs: Programs
) -> None:
    kernel.installed(OLD)
    apt = "env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get"
    ours = "Inst qemu-user-static [1:7.2] (1:10.0.2)\nInst qemu-user (1:10.0.2)\n"
    programs.answer(apt, f"{ours}Inst libc6 [2.36] (2.41)\n")
    error = refused(engine, kernel)
    assert "would upgrade libc6: nothing was changed" in error.what
    programs.answer(apt, ours)
    kernel.apt_brings = lambda: kernel.installed(NEW)
    assert set_up(engine, kernel).runs


def test_an_old_qemu_is_refused_where_nothing_may_be_installed_with_the_commands_to_run(
    engine: DockerEngine, kernel: Kernel, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_ENGINE", "external")
    kernel.installed(OLD)
    kernel.registered()
    error = refused(engine, kernel)
    assert "QEMU 7.2.22 starts arm64 programs, but crashes ONNX Runtime: 8 or newer" in error.what
    assert "LAB_ENGINE=external forbids to set it up" in error.what
    folder = kernel.binfmt.folder
    assert error.remedy == (
        "Run as root: apt-get install --no-install-recommends -t bookworm-backports "
        f"qemu-user-static; echo -1 > {folder}/qemu-aarch64; "
        f"cat {kernel.binfmt.configs[0]}/qemu-aarch64.conf > {folder}/register"
    )
    assert {line.split()[-1] for line in programs.ran} == {"--version"}


def test_without_root_the_commands_begin_with_what_is_missing_here(
    engine: DockerEngine, kernel: Kernel, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(packages, "os_release", lambda: UBUNTU)
    programs.answer("sudo -n true", "a password is required", code=1)
    error = refused(engine, kernel)
    assert "this user is not root" in error.what
    folder = kernel.binfmt.folder
    assert error.remedy == (
        "Run as root: apt-get install --no-install-recommends qemu-user-static; "
        f"mount -t binfmt_misc binfmt_misc {folder}; "
        f"cat /usr/lib/binfmt.d/qemu-aarch64.conf > {folder}/register"
    )
    kernel.installed(NEW)
    assert refused(engine, kernel).remedy.startswith("Run as root: mount ")


def test_the_commands_to_run_leave_nothing_to_be_refused_again(
    engine: DockerEngine, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_ENGINE", "external")
    kernel.installed(NEW, flags="OP")
    kernel.registered()
    folder = kernel.binfmt.folder
    (folder / "qemu-aarch64").unlink()
    (folder / "status").write_text("disabled")
    commands = refused(engine, kernel).remedy.removeprefix("Run as root: ").split("; ")
    assert commands[0].startswith("printf %s ':qemu-aarch64:M:")
    assert commands[0].endswith(f":OPF' > {folder}/register")
    assert commands[1:] == [f"echo 1 > {folder}/status"]


def test_a_distribution_whose_newest_qemu_is_too_old_is_told_another_way(
    engine: DockerEngine, kernel: Kernel
) -> None:
    kernel.apt_brings = lambda: kernel.installed("6.2.0")
    error = refused(engine, kernel)
    assert "the distribution's QEMU is 6.2.0, which crashes ONNX Runtime" in error.what
    assert error.remedy.endswith("tonistiigi/binfmt --install arm64")
    assert not (kernel.binfmt.folder / "qemu-aarch64").exists()


def test_a_distribution_that_the_lab_does_not_know_is_told_so(
    engine: DockerEngine, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "os_release", lambda: FEDORA)
    assert "not on Fedora Linux 41" in refused(engine, kernel).what


def test_a_kernel_that_refuses_is_quoted(engine: DockerEngine, kernel: Kernel) -> None:
    kernel.installed(NEW)
    kernel.refuses = True
    error = refused(engine, kernel)
    assert "registering it failed" in error.what
    assert "File exists" in error.what


def test_two_that_register_at_once_both_go_on(engine: DockerEngine, kernel: Kernel) -> None:
    kernel.installed(NEW)
    kernel.mount()
    wanted = kernel.binfmt.registration(ARM64)
    assert wanted is not None
    answer = kernel.run

    def other_first(words: list[str], **more: object) -> object:
        if "-c" in words and not (kernel.binfmt.folder / "qemu-aarch64").exists():
            kernel.registered()
        return answer(words, **more)

    kernel.programs.run = other_first  # type: ignore[method-assign,assignment]
    assert set_up(engine, kernel).runs


def test_an_interpreter_that_is_not_a_file_here_runs_and_its_version_is_a_doubt(
    engine: DockerEngine, kernel: Kernel
) -> None:
    kernel.registered()
    seen = set_up(engine, kernel)
    assert (seen.runs, seen.version) == (True, None)
    assert "QEMU 8 or newer" in seen.remedy


def test_the_entry_registered_last_counts_whatever_its_name(
    kernel: Kernel, engine: DockerEngine
) -> None:
    kernel.installed(NEW)
    kernel.registered("qemu-aarch64", flags="OP", at=5)
    kernel.registered("qemu-aarch64-of-another-package", at=9)
    assert look(ARM64, engine, binfmt=kernel.binfmt).runs
    assert not look_here(AMD64, binfmt=kernel.binfmt).runs


def test_an_arm64_machine_runs_amd64_images_in_the_same_way(
    docker: FakeDocker, kernel: Kernel
) -> None:
    docker.answer("GET", "/info", {**INFO, "Architecture": "aarch64"})
    engine = DockerEngine(docker.address)
    try:
        assert look(ARM64, engine).detail == "the engine's own architecture"
        kernel.installed(NEW, machine="x86_64")
        seen = ensure_runs(AMD64, engine, Silent(), binfmt=kernel.binfmt)
        assert seen.runs
        assert (kernel.binfmt.folder / "qemu-x86_64").exists()
    finally:
        engine.close()


def test_on_another_kernel_the_engines_builder_is_asked_and_nothing_is_set_up(
    docker: FakeDocker, kernel: Kernel, programs: Programs
) -> None:
    docker.answer("GET", "/info", {**INFO, "KernelVersion": "6.10.14-linuxkit"})
    engine = DockerEngine(docker.address)
    inspect = "docker buildx inspect default"
    try:
        programs.answer(inspect, "Name: default\nPlatforms: linux/amd64, linux/arm64*, linux/arm\n")
        assert set_up(engine, kernel).runs
        programs.answer(inspect, "Name: default\nPlatforms: linux/amd64, linux/amd64/v2\n")
        error = refused(engine, kernel)
        assert "the engine does not run linux/arm64" in error.what
        assert "tonistiigi/binfmt --install arm64" in error.remedy
        programs.answer(inspect, "unknown command: docker buildx", code=1)
        assert "cannot be asked" in refused(engine, kernel).what
    finally:
        engine.close()
    assert set(programs.ran) == {inspect}


def test_processes_are_of_this_machine_alone(kernel: Kernel) -> None:
    foreign = {AMD64: ARM64, ARM64: AMD64}[ProcessEngine().facts().platform]
    with pytest.raises(EmulationError, match="without containers"):
        ensure_runs(foreign, ProcessEngine(), Silent(), binfmt=kernel.binfmt)


@pytest.mark.parametrize("release", [DEBIAN_12, DEBIAN_13, UBUNTU])
def test_only_debian_12_takes_qemu_from_backports(release: dict[str, str]) -> None:
    said = packages.command(packages.Tool.EMULATOR, release=release)
    assert ("bookworm-backports" in said) is (release is DEBIAN_12)
