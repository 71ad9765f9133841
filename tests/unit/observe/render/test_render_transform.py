"""Frames and transformations: what Grafana makes of an answer before it is drawn."""

import math

import pytest

from lab.errors import UsageError
from lab.observe.render import calcs
from lab.observe.render.board import PanelQuery
from lab.observe.render.frames import Field, FieldKind, Frame, from_answer, single_value
from lab.observe.render.prometheus import Series
from lab.observe.render.transform import transformed


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


def test_labels_become_columns() -> None:
    target = PanelQuery(ref="A", expr="x", legend="value")
    frames = from_answer(target, [series(1, v="x"), series(2, v="y")], step=15)
    done = transformed(frames, [{"id": "labelsToFields", "options": {}}])
    assert rows(done[0]) == [
        {"Time": 100.0, "v": "x", "value": 1},
        {"Time": 100.0, "v": "y", "value": 2},
    ]


def test_frames_join_on_a_column() -> None:
    frames = [
        Frame(fields=[
            Field(name="k", kind=FieldKind.STRING, values=keys),
            Field(name=name, kind=FieldKind.NUMBER, values=values),
        ])
        for name, keys, values in (("a", ["x", "y"], [1.0, 2.0]), ("b", ["y", "z"], [3.0, 4.0]))
    ]  # fmt: skip
    outer = transformed(frames, [{"id": "joinByField", "options": {"byField": "k"}}])
    assert rows(outer[0]) == [
        {"k": "x", "a": 1, "b": None},
        {"k": "y", "a": 2, "b": 3},
        {"k": "z", "a": None, "b": 4},
    ]
    inner = {"byField": "k", "mode": "inner"}
    assert rows(transformed(frames, [{"id": "joinByField", "options": inner}])[0]) == [
        {"k": "y", "a": 2, "b": 3}
    ]


def test_rows_are_sorted_limited_and_renamed() -> None:
    frame = table("A", series(2, v="b"), series(3, v="a"), series(1, v="c"))
    down = {"id": "sortBy", "options": {"sort": [{"field": "Value #A", "desc": True}]}}
    few = {"id": "limit", "options": {"limitField": 2}}
    rename = {"id": "renameByRegex", "options": {"regex": "Value #(.*)", "renamePattern": "$1!"}}
    names = {"id": "filterFieldsByName", "options": {"include": {"names": ["v", "A!"]}}}
    done = transformed([frame], [down, few, rename, names])
    assert rows(done[0]) == [{"v": "a", "A!": 3}, {"v": "b", "A!": 2}]


def test_series_reduce_to_rows() -> None:
    target = PanelQuery(ref="A", expr="x")
    points = [(0.0, 1.0), (15.0, 3.0)]
    frames = from_answer(target, [Series(labels={"v": "x"}, points=points)], step=15)
    options = {"reducers": ["max", "lastNotNull"], "labelsToFields": True}
    done = transformed(frames, [{"id": "reduce", "options": options}])
    assert rows(done[0]) == [{"Field": "x", "v": "x", "Max": 3.0, "Last *": 3.0}]


def test_an_unknown_transformation_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="convertFieldType is not drawn here"):
        transformed([], [{"id": "convertFieldType", "options": {}}])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("lastNotNull", 2.0), ("last", None), ("firstNotNull", 4.0), ("min", 1.0), ("max", 4.0),
        ("mean", 7 / 3), ("sum", 7.0), ("count", 5.0), ("range", 3.0), ("diff", -2.0),
        ("delta", 2.0), ("median", 2.0), ("changeCount", 2.0),
    ],
)  # fmt: skip
def test_a_series_is_one_number(how: str, expected: float | None) -> None:
    assert calcs.reduced([None, 4.0, 1.0, 2.0, None], how) == expected


def test_of_nothing_there_is_no_number() -> None:
    assert calcs.reduced([None], "max") is None
    assert calcs.reduced([], "last") is None
