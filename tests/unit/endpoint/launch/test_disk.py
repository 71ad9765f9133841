import threading
from pathlib import Path

from lab.endpoint.launch.disk import DiskWatch, used_bytes


def test_every_file_below_a_folder_counts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"x" * 100_000)
    (tmp_path / "away").symlink_to("/usr")
    assert 100_000 <= used_bytes(tmp_path) < 200_000
    assert used_bytes(tmp_path / "none") == 0


def test_too_much_is_told_once(tmp_path: Path) -> None:
    watch = DiskWatch(every_s=0.01)
    told: list[int] = []
    heard = threading.Event()

    def over(used: int) -> None:
        told.append(used)
        heard.set()

    watch.add("s-1", tmp_path, most_bytes=50_000, on_over=over)
    assert not heard.wait(0.05)
    (tmp_path / "b").write_bytes(b"x" * 100_000)
    assert heard.wait(30)
    assert not threading.Event().wait(0.05)
    assert len(told) == 1
    assert (watch.used_bytes("s-1") or 0) >= 100_000
    watch.forget("s-1")
    assert watch.used_bytes("s-1") is None
    watch.close()


def test_what_goes_wrong_with_one_does_not_end_the_watch_of_the_others(tmp_path: Path) -> None:
    watch = DiskWatch(every_s=0.01)
    heard = threading.Event()

    def fails(_used: int) -> None:
        raise OSError("No space left on device")

    for name, told in (("a", fails), ("b", lambda _used: heard.set())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"x" * 100_000)
        watch.add(name, tmp_path / name, most_bytes=50_000, on_over=told)
    assert heard.wait(30)
    watch.close()
