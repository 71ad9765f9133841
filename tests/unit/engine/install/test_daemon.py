import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.engine.install import daemon as module
from lab.engine.install.daemon import Daemon, cgroup_fault
from lab.engine.install.places import Places
from lab.errors import EngineError
from tests.unit.engine.fakedocker import FakeDocker

if TYPE_CHECKING:
    from tests.unit.engine.conftest import Programs

NOBODY = 2**22 + 1  # beyond the kernel's highest process number


@pytest.fixture
def places(short: Path) -> Places:
    return Places(run=short, data=short)


@pytest.fixture(autouse=True)
def _able(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cgroup_fault", lambda: None)
    monkeypatch.setattr(module, "program", lambda: "/usr/sbin/dockerd")
    monkeypatch.setattr("os.geteuid", lambda: 0)


def _process(proc: Path, number: int, *words: str) -> None:
    (proc / str(number)).mkdir(parents=True)
    (proc / str(number) / "cmdline").write_bytes("\0".join(words).encode() + b"\0")


def test_an_engine_that_answers_is_not_started_again(
    docker: FakeDocker, places: Places, programs: "Programs"
) -> None:
    Daemon(places).start()
    assert programs.ran == []


def test_it_is_started_apart_with_folders_of_its_own(places: Places, programs: "Programs") -> None:
    programs.answer("sh -c", f"{NOBODY}\n")
    with pytest.raises(EngineError):
        Daemon(places, within=("unshare", "--net")).start()
    (line,) = programs.ran
    assert 'setsid "$@"' in line
    for option in (
        f"--host unix://{places.run}/docker.sock",
        f"--data-root {places.data}/docker",
        f"--exec-root {places.run}/exec",
        f"--pidfile {places.run}/dockerd.pid",
        " unshare --net /usr/sbin/dockerd --host",
    ):
        assert option in line


def test_with_sudo_the_engine_runs_as_root_and_its_socket_is_the_user_s(
    places: Places, programs: "Programs", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.getegid", lambda: 1234)
    programs.answer("sudo -n true")
    programs.answer("sh -c", f"{NOBODY}\n")
    with pytest.raises(EngineError, match="ended at once"):
        Daemon(places).start()
    started = programs.ran[-1]
    assert " sudo -n env PATH=" in started
    assert " --group 1234" in started


def test_an_engine_that_ends_at_once_leaves_its_last_words(
    places: Places, programs: "Programs"
) -> None:
    places.log.write_text("".join(f"line {number}\n" for number in range(20)))
    programs.answer("sh -c", f"{NOBODY}\n")
    with pytest.raises(EngineError, match="ended at once") as caught:
        Daemon(places).start()
    assert "line 19" in caught.value.what
    assert "line 2\n" not in caught.value.what
    assert str(places.log) in caught.value.remedy


def test_a_process_number_that_another_program_got_is_not_the_engine(
    places: Places, tmp_path: Path
) -> None:
    proc = tmp_path / "proc"
    daemon = Daemon(places)
    assert daemon.pid(proc=proc) is None
    places.pid_file.write_text("4242")
    assert daemon.pid(proc=proc) is None
    _process(proc, 4242, "vim", str(places.pid_file))
    assert daemon.pid(proc=proc) is None
    places.pid_file.write_text("4243")
    _process(proc, 4243, "dockerd", "--pidfile", "/another/dockerd.pid")
    assert daemon.pid(proc=proc) is None
    places.pid_file.write_text("4244")
    _process(proc, 4244, "dockerd", "--pidfile", str(places.pid_file))
    assert daemon.pid(proc=proc) == 4244


def test_stale_process_numbers_are_removed_before_a_start(
    places: Places, programs: "Programs"
) -> None:
    stale = places.exec_root / "containerd/containerd.pid"
    stale.parent.mkdir(parents=True)
    stale.write_text(str(os.getpid()))
    places.pid_file.write_text(str(os.getpid()))
    programs.answer("sh -c", f"{NOBODY}\n")
    with pytest.raises(EngineError):
        Daemon(places).start()
    assert not stale.exists()
    assert not places.pid_file.exists()


def test_two_starts_at_once_do_not_get_into_each_other_s_way(
    places: Places, programs: "Programs", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOCK_S", 0.05)
    with places.lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(EngineError, match="starting or stopping"):
            Daemon(places).start()
    assert programs.ran == []


def test_without_dockerd_it_says_what_to_install(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "program", lambda: None)
    with pytest.raises(EngineError, match="dockerd and root"):
        Daemon(places).start()


def test_without_cgroups_no_engine_is_started(
    places: Places, programs: "Programs", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cgroup_fault", lambda: "no cgroup file system")
    with pytest.raises(EngineError, match="no cgroup file system") as caught:
        Daemon(places).start()
    assert "LAB_ENGINE=process" in caught.value.remedy
    assert programs.ran == []


def test_stopping_what_does_not_run_is_no_error(places: Places, tmp_path: Path) -> None:
    assert Daemon(places).stop() is False
    assert Daemon(Places(run=tmp_path / "none", data=tmp_path)).stop() is False


def test_either_layout_of_cgroups_will_do(tmp_path: Path) -> None:
    assert "mounted" in str(cgroup_fault(root=tmp_path))
    (tmp_path / "memory").mkdir()
    assert cgroup_fault(root=tmp_path) is None
    unified = tmp_path / "unified"
    unified.mkdir()
    (unified / "cgroup.controllers").touch()
    assert cgroup_fault(root=unified) is None
