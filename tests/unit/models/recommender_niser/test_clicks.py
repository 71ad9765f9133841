from pathlib import Path

import pytest

from models.recommender_niser import clicks

EVENTS = "timestamp,visitorid,event,itemid,transactionid"
VIEWS = "session_id;user_id;item_id;timeframe;eventdate"
DAY_MS = 24 * 3600 * 1000


def events(folder: Path, *rows: str) -> Path:
    (folder / "events.csv").write_text("\n".join([EVENTS, *rows]) + "\n")
    return folder


def test_a_visitors_views_are_sessions_that_end_with_a_pause(tmp_path: Path) -> None:
    rows = [
        f"{day * DAY_MS + at},{visitor},view,{item},"
        for day in range(9)
        for visitor in (1, 2)
        for at, item in [(0, 700), (1000, 40), (3_600_000, 700), (3_601_000, 700)]
    ]
    bought = f"{5},1,transaction,99,1"

    found, learn, test, ids = clicks.load(events(tmp_path, *rows, bought))

    assert found.name == "RetailRocket"
    assert ids.tolist() == [40, 700]
    assert len(learn) == 2 * 2 * 2
    assert len(test) == 7 * 2 * 2
    assert learn.items[:4].tolist() == [2, 1, 2, 2]


def test_diginetica_is_ordered_by_day_and_time_within_it(tmp_path: Path) -> None:
    rows = [
        f"{day * 10 + one};NA;{item};{ms};2016-05-{day:02d}"
        for day in range(1, 20)
        for one in range(3)
        for ms, item in [(900, 8), (20, 5)]
    ]
    (tmp_path / "train-item-views.csv").write_text("\n".join([VIEWS, *rows]) + "\n")

    found, learn, test, ids = clicks.load(tmp_path)

    assert found.name == "Diginetica"
    assert ids.tolist() == [5, 8]
    assert learn.items[:2].tolist() == [1, 2]
    assert len(learn) == 12 * 3
    assert len(test) == 7 * 3


def test_yoochoose_has_no_header_and_only_its_last_part_counts(tmp_path: Path) -> None:
    rows = [
        f"{day * 200 + one},2014-04-{day:02d}T10:00:{at:02d}.000Z,{item},0"
        for day in range(1, 4)
        for one in range(128)
        for at, item in [(1, 5), (2, 6)]
    ]
    (tmp_path / "yoochoose-clicks.dat").write_text("\n".join(rows) + "\n")

    _, learn, test, _ = clicks.load(tmp_path)

    assert len(learn) == 256 / 64
    assert len(test) == 128


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        (["1,2,view,x,"], r"events\.csv, line 2, column 4 \(itemid\)"),
        (["1,2,view,3,", "1,,view,3,"], r"events\.csv, line 3, column 2 \(visitorid\)"),
        (["now,2,view,3,"], r"events\.csv, line 2, column 1 \(timestamp\)"),
        (["1,2,view"], r"events\.csv, line 2 has 3 columns, not 5"),
        ([], r"events\.csv has no clicks"),
        (["1,2,view,3,"], r"leaves no sessions"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_column(
    rows: list[str], where: str, tmp_path: Path
) -> None:
    with pytest.raises(clicks.WrongDataError, match=where):
        clicks.load(events(tmp_path, *rows))


def test_a_header_of_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("timestamp,user,event,itemid,transactionid\n")

    with pytest.raises(clicks.WrongDataError, match="line 1, column 2 is 'user', not 'visitorid'"):
        clicks.load(tmp_path)


def test_a_folder_of_none_of_them_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(clicks.WrongDataError, match=r"yoochoose-clicks\.dat.*RetailRocket"):
        clicks.load(tmp_path)
