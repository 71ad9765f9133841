"""Files become schedules: our own, instants alone, and traces in Azure's two schemas."""

from pathlib import Path

import numpy as np
import pytest

from lab.errors import UsageError
from lab.load.arrivals.parse import parse

MINUTES = [[3, 0, 2, 1], [0, 0, 5, 0], [10, 20, 30, 40]]
FUNCTIONS = ["o1,appa,read,http", "o1,appa,write,http", "o2,appb,read,queue"]
SPANS = [
    ("appa", "read", 100.5, 0.5),
    ("appb", "read", 101.0, 40.0),
    ("appa", "write", 130.0, 1.0),
    ("appa", "read", 190.25, 0.25),
]


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    rows = [",".join([name, *map(str, one)]) for name, one in zip(FUNCTIONS, MINUTES, strict=True)]
    path = tmp_path / "counts.csv"
    path.write_text("\n".join(["HashOwner,HashApp,HashFunction,Trigger,1,2,3,4", *rows]) + "\n")
    return path


@pytest.fixture
def spans(tmp_path: Path) -> Path:
    rows = [",".join(map(str, one)) for one in SPANS]
    path = tmp_path / "spans.csv"
    path.write_text("\r\n".join(["app,func,end_timestamp,duration", *rows]) + "\r\n")
    return path


def _edit(path: Path, old: str, new: str) -> str:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return str(path)


def _a_minute(text: str) -> list[int]:
    found = parse(text)
    bins = np.arange(0, found.horizon_s + 1, 60)
    return [int(one) for one in np.histogram(found.instants, bins)[0]]


def test_a_schedule_that_was_written_is_parsed_as_it_was_asked_for(tmp_path: Path) -> None:
    drawn = parse("mmpp:rate=20,idc=5,for=1m,seed=3")
    found = parse(str(drawn.write(tmp_path / "kept.csv")))
    assert (found.said, found.sha256, found.seed) == (drawn.said, drawn.sha256, 3)
    assert found.asked_idc == 5


def test_instants_play_faster_and_by_the_minute(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("0\n30\n60\n90\n119\n120\n125\n")
    found = parse(f"{path}:minutes=2,speed=10")
    assert found.instants.tolist() == pytest.approx([0, 3, 5.9])
    assert found.horizon_s == 6
    assert found.said == "some.csv, minutes 2, 10 times as fast"
    last = parse(f"{path}:minutes=2-3")
    assert last.instants.tolist() == [0, 30, 59, 60, 65]
    assert last.horizon_s == 65


def test_a_file_longer_than_a_day_may_be_played_faster(tmp_path: Path) -> None:
    path = tmp_path / "week.csv"
    path.write_text("0\n604800\n")
    with pytest.raises(UsageError, match="604,800 s are more than a day"):
        parse(str(path))
    assert parse(f"{path}:speed=7").horizon_s == 86_400
    with pytest.raises(UsageError, match="more than a day"):
        parse(f"{path}:speed=6")


def test_counts_of_minutes_are_added_up_or_chosen(counts: Path) -> None:
    assert _a_minute(str(counts)) == [13, 20, 37, 41]
    assert _a_minute(f"{counts}:app=appa") == [3, 0, 7, 1]
    assert _a_minute(f"{counts}:func=write") == [0, 0, 5, 0]
    assert _a_minute(f"{counts}:app=appb,func=read,minutes=2-3") == [20, 30]


def test_a_name_may_be_given_by_its_beginning_when_it_is_the_only_one(counts: Path) -> None:
    assert _a_minute(f"{counts}:app=appb,func=r") == [10, 20, 30, 40]
    with pytest.raises(UsageError, match=r"2 names of app begin with 'app'.* appa, appb"):
        parse(f"{counts}:app=app")
    with pytest.raises(UsageError, match=r"func read is of 2 applications.* app=, such as appa"):
        parse(f"{counts}:func=read")


def test_within_a_minute_invocations_are_drawn_by_the_seed(counts: Path) -> None:
    first, again, other = (parse(f"{counts}:seed={seed}") for seed in (1, 1, 2))
    assert first.sha256 == again.sha256 != other.sha256
    assert first.seed == 1
    assert first.said.endswith("seed=1, uniform within a minute")
    within = parse(f"{counts}:app=appb").instants % 60
    assert np.histogram(within, 3, (0, 60))[0] == pytest.approx([100 / 3] * 3, rel=0.4)


def test_within_a_minute_invocations_may_be_spread_evenly(counts: Path) -> None:
    found = parse(f"{counts}:app=appa,func=read,placement=even")
    assert found.instants.tolist() == [10, 30, 50, 135, 165, 210]
    assert (found.horizon_s, found.seed) == (240, None)


def test_a_trace_plays_faster_and_says_so(counts: Path) -> None:
    slow, fast = parse(f"{counts}:placement=even"), parse(f"{counts}:placement=even,speed=60")
    assert fast.instants * 60 == pytest.approx(slow.instants)
    assert fast.horizon_s == 4
    assert fast.said.endswith("even within a minute, 60 times as fast")


def test_an_invocation_starts_before_its_end_by_its_duration(spans: Path) -> None:
    found = parse(str(spans))
    assert found.instants.tolist() == [0, 39, 68, 129]  # The longest started first: at 61 s.
    assert found.horizon_s == 129
    assert parse(f"{spans}:app=appa,func=read").instants.tolist() == [0, 90]


def test_invocations_are_chosen_by_the_minutes_of_the_recording(spans: Path) -> None:
    found = parse(f"{spans}:minutes=2-3")
    assert found.instants.tolist() == [1, 40, 69]
    assert found.horizon_s == 120


@pytest.mark.parametrize(("name", "many"), [("example-2019", 599), ("example-2021", 328)])
def test_an_example_of_either_schema_is_there_by_name_and_lasts_a_minute(
    name: str, many: int
) -> None:
    found = parse(name)
    assert (len(found), found.horizon_s) == (many, 60)
    assert 0 < len(parse(f"{name}:app=app-eyes,func=func-grade")) < many


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("3,0,2,1", "3,0,2", "line 2: 7 cells where 8 belong"),
        ("0,0,5,0", "0,-1,5,0", "line 3, minute 2: '-1' is no whole number"),
        ("0,0,5,0", "0,0,5,nan", "line 3, minute 4: 'nan' is no whole number"),
        ("0,0,5,0", "0,0,1.5,0", "line 3, minute 3: '1.5' is no whole number"),
        ("0,0,5,0", "0,,5,0", "line 3, minute 2: '' is no whole number"),
        ("1,2,3,4", "1,2,4,5", "its minutes are not 1, 2, 3"),
        ("0,0,5,0", "0,0,20000000,0", "20,000,106 requests, and 20,000,000 are the most"),
        ("0,0,5,0", f"0,0,{10**30},0", "and 20,000,000 are the most"),
    ],
)
def test_a_count_that_is_none_is_refused_with_line_and_minute(
    counts: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        parse(_edit(counts, old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("130.0,1.0", "130.0", "line 4: 3 cells where 4 belong"),
        ("130.0,1.0", "130.0,-1.0", "line 4: -1 is negative"),
        ("130.0,1.0", "soon,1.0", "line 4: 'soon' is no number"),
        ("130.0,1.0", "130.0,nan", "line 4: 'nan' is no number"),
        ("130.0,1.0", "90130.0,1.0", "90,068 s are more than a day"),
    ],
)
def test_an_invocation_that_is_none_is_refused_with_its_line(
    spans: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        parse(_edit(spans, old, new))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("speed=0", "speed: '0' is not a number"),
        ("speed=-2", "speed: '-2' is not a number"),
        ("minutes=0-2", "minutes: '0-2' is no range"),
        ("minutes=3-2", "minutes: '3-2' is no range"),
        ("minutes=2-", "minutes: '2-' is no range"),
        ("minutes=4-5", "minutes: it has no minute 5. It has 1 to 4"),
        ("minutes=2,app=appa", "there is no request in it"),
        ("app=appc", "no names of app begin with 'appc'. There are appa, appb"),
        ("placement=first", "placement is not 'first'. Choose uniform or even"),
        ("rate=3", "unknown key 'rate'.* app, func, minutes, speed, placement, seed"),
    ],
)
def test_an_option_of_a_file_that_makes_no_sense_is_refused(
    counts: Path, options: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        parse(f"{counts}:{options}")
    assert refused.value.exit_code == 2


def test_a_file_that_is_not_there_is_refused_with_what_could_be_meant(tmp_path: Path) -> None:
    for text in ("poison:rate=2,for=1m", "gone.csv", "", ":", "=:", "gone.csv:app=a", "x" * 5000):
        with pytest.raises(UsageError, match=r"neither a file nor a model.*poisson.*example-2019"):
            parse(text)
    with pytest.raises(UsageError, match="is a folder"):
        parse(str(tmp_path))
    empty = tmp_path / "empty.csv"
    empty.touch()
    with pytest.raises(UsageError, match=r"empty\.csv: there is no request in it"):
        parse(str(empty))


def test_a_file_may_have_a_name_that_looks_like_options(tmp_path: Path) -> None:
    path = tmp_path / "a:speed=2"
    path.write_text("1\n2\n")
    assert parse(str(path)).horizon_s == 2
    assert parse(f"{path}:speed=2").horizon_s == 1
