"""The reference: bins that leave no gap, and nothing that makes no sense."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.reference import Bins, labels, read, share

EDGES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20, unique=True).map(sorted)
GOOD: dict[str, Any] = {"edges": [0.2, 0.5], "share": [0.1, 0.6, 0.3]}


def wrapped(feature: object) -> dict[str, object]:
    return {"schema": 1, "inputs": 10, "features": {"brightness": feature}}


@given(edges=EDGES, value=st.floats(allow_nan=False))
def test_every_value_has_a_bin_whose_lower_edge_belongs_to_it(
    edges: list[float], value: float
) -> None:
    place = Bins(edges, [1.0] + [0.0] * len(edges)).place(value)
    low = -math.inf if place == 0 else edges[place - 1]
    high = math.inf if place == len(edges) else edges[place]
    assert low <= value
    assert value < high or value == high == math.inf


@given(edges=EDGES, values=st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_shares_add_up_and_are_counted_as_the_service_counts(
    edges: list[float], values: list[float]
) -> None:
    parts = share(edges, values)
    assert sum(parts) == pytest.approx(1, abs=1e-4)
    bins = Bins(edges, parts)
    for value in values:
        assert parts[bins.place(value)] > 0


def test_bins_are_named_by_their_edges_and_those_of_whole_numbers_by_the_number() -> None:
    assert labels([0.2, 0.35]) == ["<0.2", "0.2-0.35", ">=0.35"]
    assert labels([16384, 1048576]) == ["<16384", "16384-1048576", ">=1048576"]
    assert labels([0.5]) == ["<0.5", ">=0.5"]
    assert labels([1, 2, 3, 4]) == ["0", "1", "2", "3", "4"]


def test_a_reference_of_an_older_lab_is_read_as_one_of_today() -> None:
    today = wrapped(GOOD)
    older = {"images": today["inputs"], **{k: v for k, v in today.items() if k != "inputs"}}

    assert read(older, ["brightness"])["brightness"].share == GOOD["share"]


def test_what_the_service_does_not_know_is_left_out() -> None:
    value = wrapped(GOOD)
    assert list(read(value, ["brightness", "grade"])) == ["brightness"]
    assert read(value, ["grade"]) == {}


@pytest.mark.parametrize(
    "value",
    [
        0,
        "x",
        [],
        {},
        {"schema": 2, "features": {}},
        {"schema": 1},
        {"schema": 1, "features": []},
        wrapped(None),
        wrapped({}),
        wrapped({**GOOD, "edges": []}),
        wrapped({**GOOD, "edges": "12"}),
        wrapped({**GOOD, "edges": [0.5, 0.2]}),
        wrapped({**GOOD, "edges": [0.2, 0.2]}),
        wrapped({**GOOD, "edges": [0.2, math.nan]}),
        wrapped({**GOOD, "edges": [0.2, math.inf]}),
        wrapped({**GOOD, "edges": [0.2, 10**400]}),
        wrapped({**GOOD, "edges": [0.2, True]}),
        wrapped({**GOOD, "edges": [0.2, None]}),
        wrapped({"edges": [0.2, 0.2 + 1e-15, 0.2 + 2e-15], "share": [1, 0, 0, 0]}),
        wrapped({**GOOD, "share": [0.5, 0.5]}),
        wrapped({**GOOD, "share": [0.1, 0.6, 0.6]}),
        wrapped({**GOOD, "share": [-0.1, 0.8, 0.3]}),
        wrapped({**GOOD, "share": [0.1, "0.6", 0.3]}),
        wrapped({**GOOD, "share": [math.nan] * 3}),
        wrapped({"edges": list(range(100)), "share": [1] + [0] * 100}),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(value: object) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        read(value, ["brightness"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(edges=JSON, parts=JSON)
def test_anything_is_read_or_refused(edges: object, parts: object) -> None:
    value = json.loads(json.dumps(wrapped({"edges": edges, "share": parts})))
    try:
        found = read(value, ["brightness"])
    except ValueError:
        return
    assert len(found["brightness"].labels) == len(found["brightness"].share)
