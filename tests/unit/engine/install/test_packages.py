from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.engine.install import apt, packages, privilege
from lab.engine.install.packages import ENGINE_TOOLS, FOREIGN_TOOLS, PackageRecipe, Tool, recipe_for
from lab.errors import EngineUnavailableError
from lab.progress import Silent

if TYPE_CHECKING:
    from tests.unit.engine.conftest import Programs

DEBIAN_12 = {
    "ID": "debian",
    "VERSION_ID": "12",
    "VERSION_CODENAME": "bookworm",
    "PRETTY_NAME": "Debian 12",
}
DEBIAN_13 = {**DEBIAN_12, "VERSION_ID": "13", "VERSION_CODENAME": "trixie"}
DEBIAN_11 = {**DEBIAN_12, "VERSION_ID": "11", "VERSION_CODENAME": "bullseye"}
SID = {"ID": "debian", "VERSION_CODENAME": "sid"}
UBUNTU = {
    "ID": "ubuntu",
    "ID_LIKE": "debian",
    "VERSION_ID": "24.04",
    "VERSION_CODENAME": "noble",
    "PRETTY_NAME": "Ubuntu 24.04",
}
FEDORA = {"ID": "fedora", "VERSION_ID": "41", "PRETTY_NAME": "Fedora Linux 41"}
APT = "env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> "Machine":
    return Machine(monkeypatch)


class Machine:
    """A machine that has what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self.tools: set[Tool] = set()
        monkeypatch.setattr(packages, "has", self.tools.__contains__)
        self.of(DEBIAN_12)
        self.root(has=True)
        self.apt("/usr/bin/apt-get")

    def of(self, release: dict[str, str]) -> None:
        self._patch.setattr(packages, "os_release", lambda: release)

    def root(self, *, has: bool) -> None:
        self._patch.setattr("os.geteuid", lambda: 0 if has else 1000)
        privilege.prefix.cache_clear()

    def apt(self, path: str | None) -> None:
        self._patch.setattr("shutil.which", lambda name, path=path: path)


def config(recipe: PackageRecipe, tools: Sequence[Tool], folder: Path) -> Sequence[str]:
    """Write apt's configuration for the tools' packages into ``folder``."""
    newer = recipe.newer_for([name for tool in tools for name in recipe.packages[tool]])
    sources = apt.sources_of(recipe.codename, recipe.family, newer, etc=folder)
    return apt.write_config(folder, sources, newer)


def test_debian_12_takes_five_packages_from_the_newer_suite(tmp_path: Path) -> None:
    recipe = recipe_for(DEBIAN_12)
    assert recipe is not None
    config(recipe, ENGINE_TOOLS, tmp_path)
    main, newer = (tmp_path / "sources/lab.sources").read_text().split("\n\n")
    assert "Suites: bookworm bookworm-updates\n" in main
    assert "Suites: trixie\n" in newer
    assert newer.splitlines()[1] == main.splitlines()[1]  # of the same archive
    pins = (tmp_path / "preferences/lab-trixie").read_text()
    low, high = pins.split("\n\n")
    assert "Package: *\n" in low
    assert "Pin-Priority: 100" in low
    assert "Pin-Priority: 600" in high
    assert "docker.io docker-cli docker-compose docker-buildx containerd\n" in high
    assert "runc" not in pins


def test_debian_12_takes_qemu_from_its_backports_and_asks_no_other_suite(tmp_path: Path) -> None:
    recipe = recipe_for(DEBIAN_12)
    assert recipe is not None
    config(recipe, FOREIGN_TOOLS, tmp_path)
    sources = (tmp_path / "sources/lab.sources").read_text()
    assert "Suites: bookworm-backports\n" in sources
    assert "trixie" not in sources
    (pins,) = (tmp_path / "preferences").iterdir()
    assert "Package: qemu-user-static qemu-user qemu-user-binfmt\n" in pins.read_text()


@pytest.mark.parametrize("release", [DEBIAN_13, SID, UBUNTU])
def test_newer_systems_have_all_of_it_themselves(tmp_path: Path, release: dict[str, str]) -> None:
    recipe = recipe_for(release)
    assert recipe is not None
    config(recipe, list(Tool), tmp_path)
    assert not list((tmp_path / "preferences").iterdir())


def test_ubuntu_names_compose_differently_and_has_the_client_in_one_package() -> None:
    recipe = recipe_for(UBUNTU)
    assert recipe is not None
    assert recipe.packages[Tool.COMPOSE] == ("docker-compose-v2",)
    assert recipe.packages[Tool.ENGINE] == ("docker.io",)


def test_a_derivative_of_ubuntu_goes_by_the_suite_it_is_made_of() -> None:
    recipe = recipe_for({"ID": "linuxmint", "UBUNTU_CODENAME": "noble", "VERSION_CODENAME": "x"})
    assert recipe is not None
    assert recipe.codename == "noble"


@pytest.mark.parametrize("release", [FEDORA, DEBIAN_11, {}])
def test_other_systems_get_advice_and_no_recipe(release: dict[str, str]) -> None:
    assert recipe_for(release) is None
    assert "docs.docker.com" in packages.advice(ENGINE_TOOLS, release)
    assert "the lab installs on Debian 12" in str(packages.obstacle(release))


def test_apt_s_own_settings_and_lists_stay_as_they_are(tmp_path: Path) -> None:
    recipe = recipe_for(DEBIAN_12)
    assert recipe is not None
    options = config(recipe, ENGINE_TOOLS, tmp_path)
    said = " ".join(options)
    assert "Dir::Etc::sourcelist=/dev/null" in said
    for setting in ("Dir::Etc::sourceparts", "Dir::Etc::preferencesparts", "Dir::State::lists"):
        assert f"{setting}={tmp_path}/" in said


def test_it_says_what_and_from_where_asks_first_and_installs(
    machine: Machine, programs: "Programs"
) -> None:
    progress = Silent()
    programs.answer(APT, "Inst docker.io (26.1.5 Debian:13)\nConf docker.io (26.1.5)\n")
    packages.ensure(ENGINE_TOOLS, progress)
    (note,) = progress.notes
    assert "docker.io docker-cli docker-compose docker-buildx iptables mmdebstrap" in note
    assert "(trixie)" in note
    update, simulate, install = programs.ran
    assert update.endswith(" update")
    assert " -s install " in simulate
    assert " -s " not in install
    for line in (simulate, install):
        assert "--no-install-recommends --no-remove --no-upgrade" in line


def test_only_what_is_missing_is_installed(machine: Machine, programs: "Programs") -> None:
    machine.tools |= set(Tool) - {Tool.BUILDX}
    programs.answer(APT)
    packages.ensure(ENGINE_TOOLS, Silent())
    assert programs.ran[-1].endswith("--no-upgrade docker-buildx")


def test_nothing_is_asked_when_nothing_is_missing(machine: Machine, programs: "Programs") -> None:
    machine.tools |= set(Tool)
    machine.of(FEDORA)
    packages.ensure(ENGINE_TOOLS, Silent())
    assert programs.ran == []


def test_with_sudo_that_asks_no_password_apt_runs_by_it(
    machine: Machine, programs: "Programs"
) -> None:
    machine.root(has=False)
    programs.answer("sudo -n")
    packages.ensure([Tool.BUILDX], Silent())
    assert programs.ran[0] == "sudo -n true"
    assert all(line.startswith(f"sudo -n {APT}") for line in programs.ran[1:])


@pytest.mark.parametrize(
    "simulated",
    [
        "Inst libc6 [2.36-9] (2.41-12 Debian:13)\nInst docker.io (26.1.5 Debian:13)\n",
        "Remv podman-docker [4.3]\nInst docker.io (26.1.5 Debian:13)\n",
    ],
)
def test_nothing_is_changed_when_an_installed_package_would_be(
    machine: Machine, programs: "Programs", simulated: str
) -> None:
    programs.answer(APT, simulated)
    with pytest.raises(EngineUnavailableError, match="nothing was changed"):
        packages.ensure(ENGINE_TOOLS, Silent())
    assert " -s install " in programs.ran[-1]


def test_an_archive_that_fails_is_an_error_with_what_to_do(
    machine: Machine, programs: "Programs"
) -> None:
    programs.answer(APT, "E: Failed to fetch", code=100)
    with pytest.raises(EngineUnavailableError, match="Failed to fetch") as caught:
        packages.ensure(ENGINE_TOOLS, Silent())
    assert "docker.io" in caught.value.remedy


def test_without_root_the_remedy_is_the_exact_command(
    machine: Machine, programs: "Programs"
) -> None:
    machine.of(UBUNTU)
    machine.root(has=False)
    programs.answer("sudo -n true", "a password is required", code=1)
    with pytest.raises(EngineUnavailableError, match="asks for a password") as caught:
        packages.ensure([Tool.COMPOSE], Silent())
    assert caught.value.remedy == (
        "Run as root: apt-get install --no-install-recommends docker-compose-v2"
    )


def test_without_apt_nothing_can_be_installed(machine: Machine) -> None:
    machine.apt(None)
    with pytest.raises(EngineUnavailableError, match="apt-get is not here"):
        packages.ensure(ENGINE_TOOLS, Silent())


def test_plugins_are_found_by_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_PLUGINS", ())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not packages.has(Tool.BUILDX)
    folder = tmp_path / ".docker/cli-plugins"
    folder.mkdir(parents=True)
    (folder / "docker-buildx").touch()
    assert packages.has(Tool.BUILDX)
