"""A board's variables, asked of Prometheus in their order."""

import pytest

from lab.errors import UsageError
from lab.observe.render.prometheus import QueryRefusedError
from lab.observe.render.timespan import Span
from lab.observe.render.variables import Scope, parse_given, resolve
from tests.unit.observe.render.recorded import Record, board

SPAN = Span(start=0, end=3600)


def variable(name: str, query: str, **more: object) -> dict[str, object]:
    return {"name": name, "type": "query", "query": {"query": query, "refId": name}, **more}


def resolved(
    record: Record, *variables: object, given: dict[str, list[str]] | None = None
) -> Scope:
    asked = board(templating={"list": list(variables)})
    return resolve(asked, prometheus=record.server(), span=SPAN, given=given or {})


RECORD = {
    "m/endpoint": ["b", "a", "c10", "c9"],
    'm{endpoint=~"(b|a|c10|c9)"}/variant': ["x"],
    'm{endpoint=~"a"}/variant': ["y"],
    "/job": ["endpoint", "model"],
}


def test_the_first_value_holds_when_none_is_chosen() -> None:
    scope = resolved(Record(values=RECORD), variable("e", "label_values(m, endpoint)"))
    assert scope.chosen["e"].values == ["b"]


def test_a_saved_choice_holds_while_it_is_there() -> None:
    query = "label_values(m, endpoint)"
    scope = resolved(
        Record(values=RECORD),
        variable("here", query, current={"value": "a", "text": "a"}),
        variable("gone", query, current={"value": "z", "text": "z"}),
    )
    assert scope.chosen["here"].values == ["a"]
    assert scope.chosen["gone"].values == ["b"]


def test_all_is_every_value_or_what_the_board_says() -> None:
    query = "label_values(m, endpoint)"
    everything = {"value": ["$__all"], "text": ["All"]}
    scope = resolved(
        Record(values=RECORD),
        variable("each", query, multi=True, includeAll=True, current=everything),
        variable("wild", query, multi=True, includeAll=True, allValue=".+", current=everything),
    )
    assert scope.query('"$each" "$wild"') == '"(b|a|c10|c9)" ".+"'
    assert scope.chosen["each"].text == "All"


def test_a_variable_may_depend_on_one_before_it() -> None:
    first = variable("e", "label_values(m, endpoint)", multi=True, includeAll=True)
    second = variable("v", 'label_values(m{endpoint=~"$e"}, variant)')
    assert resolved(Record(values=RECORD), first, second).chosen["v"].values == ["x"]
    by_hand = resolved(Record(values=RECORD), first, second, given={"e": ["a"]})
    assert by_hand.chosen["v"].values == ["y"]


def test_values_are_sorted_by_their_numbers_or_as_they_come() -> None:
    query = "label_values(m, endpoint)"
    scope = resolved(
        Record(values=RECORD),
        variable("natural", query, sort=7, multi=True, includeAll=True),
        variable("alphabetical", query, sort=1, multi=True, includeAll=True),
        variable("everywhere", "label_values(job)"),
    )
    assert scope.chosen["natural"].values == ["a", "b", "c9", "c10"]
    assert scope.chosen["alphabetical"].values == ["b", "a", "c10", "c9"]
    assert scope.chosen["everywhere"].values == ["endpoint"]


def test_other_kinds_stand_for_nothing_unless_given_by_hand() -> None:
    query = "label_values(m, endpoint)"
    others = (
        {"name": "custom", "type": "custom", "query": "one, two : 2,three"},
        variable("metrics", "metrics(^lab_)"),
        variable("pattern", query, regex="/^c/"),
        variable("down", query, sort=2),
        variable("after", 'label_values(m{endpoint="$custom"}, variant)'),
    )
    assert not resolved(Record(values=RECORD), *others).chosen
    by_hand = resolved(Record(values=RECORD), *others, given={"custom": ["5m"]})
    assert by_hand.chosen["custom"].values == ["5m"]
    assert "after" in by_hand.chosen


def test_nothing_matches_nothing() -> None:
    one = variable("v", "label_values(absent, v)", multi=True, includeAll=True)
    assert resolved(Record(), one).query('{v=~"$v"}') == '{v=~"__none__"}'


def test_what_is_given_by_hand_is_checked() -> None:
    assert parse_given(["a=1", "a=2", "b=x=y"]) == {"a": ["1", "2"], "b": ["x=y"]}
    with pytest.raises(UsageError, match="has no value"):
        parse_given(["a"])
    with pytest.raises(UsageError, match="one value, not 2"):
        resolved(Record(values=RECORD), variable("e", "label_values(m, endpoint)"),
                 given={"e": ["a", "b"]})  # fmt: skip


def test_a_refused_variable_is_named() -> None:
    record = Record(refused={"1 +": "unexpected end of input"})
    with pytest.raises(QueryRefusedError, match=r"Test, variable v: .* label_values\(1 \+, x\)"):
        resolved(record, variable("v", "label_values(1 +, x)"))
