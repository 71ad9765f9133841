"""A schedule's file holds all of it, and is refused with the line that is wrong."""

from pathlib import Path

import numpy as np
import pytest

from lab.errors import UsageError
from lab.load.arrivals.schedule import LONGEST_S, Schedule


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "some.csv"
    path.write_text(text)
    return path


def test_a_schedule_comes_back_from_its_file_to_the_last_bit(tmp_path: Path) -> None:
    instants = np.sort(np.random.default_rng(1).uniform(0, 10, 500))
    kept = Schedule(said="mine: 1, 2", instants=instants, horizon_s=10.1, seed=2**60, asked_idc=1.5)
    found = Schedule.read(kept.write(tmp_path / "schedule.csv"))
    assert found.sha256 == kept.sha256
    assert (found.said, found.horizon_s, found.seed) == ("mine: 1, 2", 10.1, 2**60)
    assert found.asked_idc == 1.5


def test_instants_alone_are_a_schedule_that_lasts_until_the_last(tmp_path: Path) -> None:
    found = Schedule.read(_file(tmp_path, "\ufeff0.5\r\n0.5\r\n\r\n2\r\n"))
    assert found.instants.tolist() == [0.5, 0.5, 2]
    assert (found.horizon_s, found.said, found.seed) == (2, "some.csv", None)


def test_one_request_at_the_beginning_is_a_schedule(tmp_path: Path) -> None:
    assert Schedule.read(_file(tmp_path, "0\n")).rate_per_s == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no request in it"),
        ("# said: nothing\ninstant_s\n", "there is no request in it"),
        ("1\n2\n1.5\n", "line 3: 1.5 is before the one above it"),
        ("instant_s\n-0.1\n", "line 2: -0.1 is before the beginning"),
        ("1\nsoon\n", "line 2: 'soon' is no number"),
        ("time\n1\n", "line 1: 'time' is no number"),
        ("1\n2\ninstant_s\n", "line 3: 'instant_s' is no number"),
        ("1\nnan\n", "line 2: 'nan' is no number"),
        ("1\ninf\n", "line 2: 'inf' is no number"),
        ("1,2\n", "line 1: '1,2' is no number"),
        ("# horizon_s: long\n1\n", "line 1: 'long' is no number"),
        ("# seed: 1.5\n1\n", "line 1: '1.5' is no whole number"),
        ("# horizon_s: 1\n1\n2\n", "it ends at 1 s, before its last instant"),
        (f"1\n{LONGEST_S + 1}\n", "86,401 s are more than a day"),
    ],
)
def test_a_file_that_is_no_schedule_is_refused_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(UsageError) as refused:
        Schedule.read(path)
    assert str(path) in refused.value.what
    assert said in refused.value.what
    assert refused.value.remedy
    assert refused.value.exit_code == 2
