from pathlib import Path

from lab.engine.process import memcg, proctree
from lab.engine.process.memcg import MemoryGroup


def test_both_layouts_say_whether_the_kernel_killed(tmp_path: Path) -> None:
    old = MemoryGroup(folder=tmp_path, unified=False)
    new = MemoryGroup(folder=tmp_path, unified=True)
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    (tmp_path / "memory.events").write_text("low 0\noom 0\noom_kill 0\noom_group_kill 3\n")
    assert old.oom_killed()
    assert not new.oom_killed()


def test_both_layouts_tell_the_peak(tmp_path: Path) -> None:
    (tmp_path / "memory.max_usage_in_bytes").write_text("10\n")
    assert MemoryGroup(folder=tmp_path, unified=False).peak_bytes() == 10
    assert MemoryGroup(folder=tmp_path, unified=True).peak_bytes() is None
    (tmp_path / "memory.peak").write_text("20\n")
    assert MemoryGroup(folder=tmp_path, unified=True).peak_bytes() == 20


def test_where_no_group_can_be_made_there_is_none(tmp_path: Path) -> None:
    assert memcg.make("x", 1, root=tmp_path / "none") is None
    assert not memcg.possible(root=tmp_path / "none")


def test_a_limit_is_written_in_the_words_of_each_layout(tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "cgroup.controllers").touch()
    group = memcg.make("x", 1000, root=new)
    assert group is not None
    assert (group.folder / "memory.max").read_text() == "1000"
    old = tmp_path / "old"
    (old / "memory").mkdir(parents=True)
    group = memcg.make("x", 1000, root=old)
    assert group is not None
    assert (group.folder / "memory.limit_in_bytes").read_text() == "1000"


def test_a_program_with_a_strange_name_is_read_all_the_same(tmp_path: Path) -> None:
    numbers = [*range(1, 8), 11, 22, 33, 44, *range(8, 14), 99, 0]
    (tmp_path / "7").mkdir()
    words = ["S", "1", "7", "5", *map(str, numbers)]
    (tmp_path / "7/stat").write_text(f"7 (a) b) (c) {' '.join(words)}")
    found = proctree.read(7, proc=tmp_path)
    assert found is not None
    assert found.state == "S"
    assert found.session == 5
    assert found.ticks == 11 + 22 + 33 + 44
    assert found.alive
    assert proctree.read(8, proc=tmp_path) is None
