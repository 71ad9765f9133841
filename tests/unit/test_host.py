import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab import __version__
from lab.host import cgroup_layout, cpu_model, git_state, host_facts, memory_bytes, os_release, pip


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_facts_of_this_machine_are_fit_for_json() -> None:
    facts = host_facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cpus"] >= 1
    assert facts["memory_bytes"] > 0
    assert facts["lab_version"] == __version__


def test_what_a_system_does_not_tell_is_none(tmp_path: Path) -> None:
    facts = host_facts(root=tmp_path, checkout=tmp_path)
    for key in ("memory_bytes", "cgroup", "clock_source", "git_commit", "git_dirty", "virtualised"):
        assert facts[key] is None


def test_the_machine_is_read_from_its_files(tmp_path: Path) -> None:
    _write(tmp_path / "etc/os-release", 'PRETTY_NAME="Debian 12"\nID=debian\n')
    _write(
        tmp_path / "proc/cpuinfo",
        "processor : 0\nmodel name\t: AMD EPYC 7\nflags\t\t: fpu hypervisor avx\n",
    )
    _write(tmp_path / "proc/meminfo", "MemTotal:  1024 kB\nMemAvailable: 512 kB\n")
    _write(tmp_path / "sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n")
    facts = host_facts(root=tmp_path, checkout=tmp_path)
    assert facts["os"] == "Debian 12"
    assert facts["cpu_model"] == "AMD EPYC 7"
    assert facts["virtualised"] is True
    assert facts["memory_bytes"] == 1024 * 1024
    assert facts["memory_available_bytes"] == 512 * 1024
    assert facts["clock_source"] == "tsc"


def test_both_cgroup_layouts_are_told_apart(tmp_path: Path) -> None:
    assert cgroup_layout(root=tmp_path) is None
    (tmp_path / "sys/fs/cgroup/memory").mkdir(parents=True)
    assert cgroup_layout(root=tmp_path) == "v1"
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").touch()
    assert cgroup_layout(root=tmp_path) == "v2"


def test_a_release_file_is_read_with_any_quotes(tmp_path: Path) -> None:
    _write(tmp_path / "usr/lib/os-release", "ID=ubuntu\nNAME='Ubuntu'\nVERSION_ID=\"24.04\"\n")
    assert os_release(root=tmp_path) == {"ID": "ubuntu", "NAME": "Ubuntu", "VERSION_ID": "24.04"}


def test_nothing_is_made_of_nothing(tmp_path: Path) -> None:
    assert memory_bytes(root=tmp_path) == {}
    cpu_model(root=tmp_path)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        _write(tmp_path / "file", "1")
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *who, "-C", tmp_path, *words], check=True)  # noqa: S607
    return tmp_path


def test_a_checkout_tells_its_commit_and_whether_it_was_changed(checkout: Path) -> None:
    commit, dirty = git_state(checkout)
    assert commit is not None
    assert len(commit) == 40
    assert dirty is False
    (checkout / "file").write_text("2")
    assert git_state(checkout) == (commit, True)


def test_without_pip_of_its_own_an_environment_asks_the_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lab.host.find_spec", lambda _: None)
    monkeypatch.setattr("shutil.which", {"pip3": "/usr/bin/pip3"}.get)
    assert pip() == ["/usr/bin/pip3"]
    monkeypatch.setattr("lab.host.find_spec", lambda _: "there")
    assert pip() == [sys.executable, "-m", "pip"]
