"""Frames and transformations: what Grafana makes of an answer before it is drawn."""

import math

from lab.observe.render.board import PanelQuery
from lab.observe.render.frames import Frame, from_answer, single_value
from lab.observe.render.prometheus import Series
from lab.observe.render.transform import sorted_by, transformed


def series(value: float, **labels: str) -> Series:
    return Series(labels=labels, points=[(100.0, float(value))])


def rows(frame: Frame) -> list[dict[str, object]]:
    return [{one.display: one.values[n] for one in frame.fields} for n in range(frame.rows)]


def table(ref: str, *found: Series) -> Frame:
    target = PanelQuery(ref=ref, expr="x", format="table", instant=True)
    return from_answer(target, found, step=0)[0]


def legends(legend: str, *found: Series) -> list[str]:
    target = PanelQuery(ref="A", expr="sum(x)", legend=legend)
    return [frame.fields[1].display for frame in from_answer(target, found, step=15)]


def test_series_are_called_as_the_legend_says() -> None:
    a, b = series(1, job="a", x="1"), series(2, job="b", x="1")
    assert legends("{{job}} of {{ x }}", a, b) == ["a of 1", "b of 1"]
    assert legends("__auto", series(1, job="a"), series(2, job="b")) == ["a", "b"]
    assert legends("__auto", a, b) == ['{job="a", x="1"}', '{job="b", x="1"}']
    assert legends("__auto", series(1)) == ["sum(x)"]


def test_a_curve_breaks_where_steps_are_missing() -> None:
    found = Series(labels={}, points=[(0, 1.0), (15, math.nan), (60, 3.0), (75, 4.0)])
    frame = from_answer(PanelQuery(ref="A", expr="x"), [found], step=15)[0]
    assert frame.fields[0].values == [0, 15, 30, 60, 75]
    assert frame.fields[1].values == [1.0, None, None, 3.0, 4.0]


def test_a_table_has_a_column_for_each_label() -> None:
    frame = single_value([table("A", series(1, a="x"), series(2, b="y"))])[0]
    assert rows(frame) == [
        {"Time": 100.0, "a": "x", "b": "", "Value": 1},
        {"Time": 100.0, "a": "", "b": "y", "Value": 2},
    ]


def test_buckets_count_what_fell_between_their_ends() -> None:
    found = [
        Series(labels={"le": le}, points=[(0, count)])
        for le, count in (("+Inf", 10.0), ("0.5", 4.0), ("1", 9.0))
    ]
    frame = from_answer(PanelQuery(ref="A", expr="x", format="heatmap"), found, step=15)[0]
    counts = {one.display: one.values[0] for one in frame.fields[1:]}
    assert list(counts.items()) == [("0.5", 4.0), ("1", 5.0), ("+Inf", 1.0)]


def test_tables_merge_where_their_common_columns_agree() -> None:
    frames = [
        table("A", series(1, v="x"), series(2, v="y")),
        table("B", series(3, v="x"), series(4, v="z")),
    ]
    organize = {"excludeByName": {"Time": True}, "renameByName": {"Value #A": "a", "Value #B": "b"}}
    done = transformed(
        frames, [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]
    )
    assert rows(done[0]) == [
        {"v": "x", "a": 1, "b": 3},
        {"v": "y", "a": 2, "b": None},
        {"v": "z", "a": None, "b": 4},
    ]


def test_columns_are_ordered_as_said() -> None:
    frame = table("A", series(1, b="2", a="1"))
    order = {"indexByName": {"Value #A": 0, "b": 1, "a": 2, "Time": 3}}
    done = transformed([frame], [{"id": "organize", "options": order}])
    assert [one.display for one in done[0].fields] == ["Value #A", "b", "a", "Time"]


def test_a_matrix_has_a_row_and_a_column_for_each_value() -> None:
    frame = single_value(
        [table("A", series(1, v="x", p="s"), series(2, v="x", p="t"), series(3, v="y", p="s"))]
    )
    options = {"rowField": "v", "columnField": "p", "valueField": "Value", "emptyValue": "null"}
    done = transformed(frame, [{"id": "groupingToMatrix", "options": options}])
    assert rows(done[0]) == [{"v\\p": "x", "s": 1, "t": 2}, {"v\\p": "y", "s": 3, "t": None}]


def test_rows_are_sorted() -> None:
    frame = table("A", series(2, v="b"), series(3, v="a"), series(1, v="c"))
    down = {"id": "sortBy", "options": {"sort": [{"field": "Value #A", "desc": True}]}}
    done = transformed([frame], [down])
    assert [row["v"] for row in rows(done[0])] == ["a", "b", "c"]
    assert rows(sorted_by(done[0], "v", down=False)) == rows(sorted_by(frame, "v", down=False))
    assert sorted_by(frame, "nothing", down=False) == frame
