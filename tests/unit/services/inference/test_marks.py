"""Start-up marks."""

import os
import sys
import time

from app.marks import ORDER, Marks, process_start_ns, seconds
from lab.spec import Mark


def test_marks_are_named_as_the_lab_names_them() -> None:
    assert ORDER[0] == "process"
    assert [Mark(name) for name in ORDER[1:]] == [
        Mark.INTERPRETER,
        Mark.IMPORTS,
        Mark.MODEL_LOADED,
        Mark.WARMED_UP,
        Mark.LISTENING,
    ]


def test_this_process_began_before_now_and_after_the_machine() -> None:
    begun = process_start_ns(os.getpid())
    assert begun is not None
    assert time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) < begun < time.time_ns()


def test_a_process_that_does_not_exist_has_no_beginning() -> None:
    assert process_start_ns(2**30) is None


def test_the_start_is_read_behind_a_command_with_spaces_and_brackets() -> None:
    ticks = 5 * os.sysconf("SC_CLK_TCK")
    stat = f"1 (a) b (c) S {' '.join(['0'] * 18)} {ticks} 0 0"
    now = time.time_ns()
    boot = now - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    record = Marks(now).record(pid=1, stat=stat)
    marks = record["marks"]
    assert isinstance(marks, dict)
    assert abs(marks["process"] - boot - 5e9) < 0.1e9


def test_a_mark_counts_from_when_those_before_it_are_reached_too() -> None:
    marks = Marks(1000)
    for name in ("model_loaded", "imports", "warmed_up", "listening"):
        marks.take(name)
        time.sleep(0.002)
    record = marks.record(pid=7, stat="")
    reached = record["marks"]
    assert isinstance(reached, dict)
    assert record["pid"] == 7
    assert list(reached) == list(ORDER[1:])
    assert list(reached.values()) == sorted(reached.values())
    assert reached["model_loaded"] == reached["imports"]


def test_seconds_are_between_neighbours_and_named_by_the_later() -> None:
    record = {
        "marks": {"process": 1_000_000_000, "interpreter": 1_010_000_000, "imports": 3_010_000_000}
    }
    assert seconds(record) == {"interpreter": 0.01, "imports": 2.0}


def test_taking_marks_imports_nothing_that_is_not_there_already() -> None:
    import subprocess

    script = (
        "import sys; before = set(sys.modules); import app.marks; print(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": "services/inference"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) <= {"app", "app.marks", "itertools", "time"}
