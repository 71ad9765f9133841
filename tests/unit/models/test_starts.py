"""Which way to start is chosen, and what counts as the same answer."""

from typing import Any

import numpy as np
import pytest

from models.common.starts import PLAIN, WAYS, Row, alike, choose


def row(name: str = "other", **changes: Any) -> Row:
    figures: dict[str, Any] = {
        "portable": True, "same": True, "bytes": 13_000_000,
        "load_ms": 100.0, "load_cpu_ms": 70.0, "first_ms": 12.0, "first_cpu_ms": 10.0,
        "warm_ms": 9.0, "warm_cpu_ms": 9.0, "peak_bytes": 65_000_000,
    }  # fmt: skip
    return Row(name=name, **{**figures, **changes})


AS_IS = row(PLAIN)


def test_a_way_that_loads_clearly_quicker_is_taken_and_the_reason_has_both_figures() -> None:
    name, why = choose([AS_IS, row(load_cpu_ms=47.0, peak_bytes=50_000_000)])
    assert name == "other"
    assert "47 ms of a processor instead of 70" in why
    assert "50 MB instead of 65" in why


def test_a_way_that_is_only_clearly_lighter_is_taken() -> None:
    assert choose([AS_IS, row(peak_bytes=58_000_000)])[0] == "other"


@pytest.mark.parametrize(
    "changes",
    [
        {"load_cpu_ms": 60.0},
        {"peak_bytes": 60_000_000},
        {"load_ms": 10.0},
        {"bytes": 1},
    ],
)
def test_what_differs_within_the_noise_keeps_the_plain_way(changes: dict[str, Any]) -> None:
    name, why = choose([AS_IS, row(**changes)])
    assert name == PLAIN
    assert "no other way" in why


@pytest.mark.parametrize(
    "changes",
    [
        {"same": False},
        {"portable": False},
        {"warm_cpu_ms": 16.5},
        {"first_cpu_ms": 90.0},
        {"peak_bytes": 70_000_000},
    ],
)
def test_a_quicker_load_that_costs_elsewhere_is_not_taken(changes: dict[str, Any]) -> None:
    assert choose([AS_IS, row(**{"load_cpu_ms": 20.0, **changes})])[0] == PLAIN


def test_a_later_way_must_be_clearly_better_than_the_best_before_it() -> None:
    mapped = row("mapped", load_cpu_ms=47.0)
    assert choose([AS_IS, mapped, row("further", load_cpu_ms=44.0)])[0] == "mapped"
    assert choose([AS_IS, mapped, row("further", load_cpu_ms=30.0)])[0] == "further"


def test_a_gain_of_a_millisecond_or_a_few_kilobytes_is_none() -> None:
    tiny = {"load_cpu_ms": 3.0, "peak_bytes": 900_000}
    assert choose([row(PLAIN, **tiny), row(load_cpu_ms=1.5, peak_bytes=100_000)])[0] == PLAIN


def test_the_plain_way_is_the_first_and_no_family_file_can_be_chosen() -> None:
    assert WAYS[0].name == PLAIN
    assert {way.form for way in WAYS if not way.portable} == {"family", "ort-family"}


def output(values: Any, dtype: str) -> list[Any]:
    array = np.asarray(values, dtype)
    return [list(array.shape), array.tobytes().hex()]


def test_scores_may_differ_a_little_and_items_not_at_all() -> None:
    kinds = ["float32", "int64"]
    plain = [output([0.5, 0.25], "float32"), output([7, 8], "int64")]
    near = [output([0.5001, 0.25], "float32"), output([7, 8], "int64")]
    other = [output([0.5, 0.25], "float32"), output([8, 7], "int64")]
    assert alike(near, plain, kinds, 1e-3)
    assert not alike(near, plain, kinds, 1e-5)
    assert not alike(other, plain, kinds, 1e-3)


def test_an_answer_of_another_shape_is_another() -> None:
    assert not alike([output([[1.0]], "float32")], [output([1.0], "float32")], ["float32"], 1e-3)
