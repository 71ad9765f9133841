"""Who may work beside whom, on a lock of the test's own; others are processes of their own."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import lock as locks
from lab.errors import BusyError
from lab.lock import bench_lock, heavy_work
from lab.progress import Silent
from tests.timing import wait_until

_HOLD = """
import sys
from pathlib import Path
from lab.lock import bench_lock, heavy_work
from lab.progress import Silent
path = Path(sys.argv[2])
what = bench_lock("The run far", path=path) if sys.argv[1] == "bench" else (
    heavy_work("The contract check of me:1", Silent(), path=path))
with what:
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@contextmanager
def elsewhere(kind: str, lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the lock until its standard input ends."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, kind, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
    finally:
        holder.communicate()


def test_heavy_work_goes_on_beside_heavy_work(lock: Path) -> None:
    progress = Silent()
    with elsewhere("heavy", lock), heavy_work("A model build", progress, path=lock):
        held = lock.read_text().splitlines()
        assert [one.partition(" (process")[0] for one in held] == [
            "The contract check of me:1",
            "A model build",
        ]
    assert progress.steps == []


def test_a_bench_that_finds_heavy_work_names_it_and_refuses(lock: Path) -> None:
    with (
        elsewhere("heavy", lock),
        pytest.raises(BusyError, match=r"The contract check of me:1 \(process \d+\)") as caught,
        bench_lock("The run here", path=lock),
    ):
        pytest.fail("it began")
    assert "when it has ended" in caught.value.remedy


def test_heavy_work_waits_for_a_bench_says_for_which_and_goes_on(lock: Path) -> None:
    progress = Silent()
    done = threading.Event()

    def check() -> None:
        with heavy_work("The contract check of you:1", progress, path=lock):
            done.set()

    with elsewhere("bench", lock):
        thread = threading.Thread(target=check)
        thread.start()
        wait_until(lambda: bool(progress.steps))
        assert not done.is_set()
    thread.join()
    assert done.is_set()
    assert progress.steps[0].startswith("Waiting: The run far (process ")


def test_a_bench_builds_what_it_needs_under_its_own_lock(lock: Path) -> None:
    progress = Silent()
    with (
        bench_lock("The run here", path=lock),
        heavy_work("Building onnx", progress, path=lock),
        heavy_work("A model build", progress, path=lock),
    ):
        assert lock.read_text().startswith("The run here (process")
    assert progress.steps == []
    with bench_lock("The next run", path=lock):
        pass


def test_whoever_has_let_go_is_named_no_more(lock: Path) -> None:
    with heavy_work("A model build", Silent(), path=lock):
        pass
    with elsewhere("heavy", lock), pytest.raises(BusyError) as caught, bench_lock("x", path=lock):
        pytest.fail("it began")
    assert "model build" not in caught.value.what


def test_who_ignores_a_busy_machine_waits_for_nobody(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_shared_by_all", lambda: lock)
    with elsewhere("bench", lock):
        monkeypatch.setenv("LAB_BUSY", "ignore")
        with bench_lock("The run here"), heavy_work("A model build", Silent()):
            pass
        monkeypatch.delenv("LAB_BUSY")
        with pytest.raises(BusyError, match="The run far"), bench_lock("The run here"):
            pytest.fail("it began")
