"""Alone a prediction is spread over the cores; in a crowd each has one."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from app.crowd import Crowd

if TYPE_CHECKING:
    from app.tasks import Tensor


@dataclass
class Named:
    """A backend that answers with its name."""

    name: str
    runs: list[int] = field(default_factory=list)

    def predict(self, tensors: "Sequence[Tensor]") -> "Sequence[Tensor]":
        self.runs.append(len(tensors))
        return [((), self.name.encode())]


def until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.001)


def ran_on(crowd: Crowd) -> bytes:
    return crowd.backend.predict([])[0][1]


def test_a_request_alone_has_all_cores_however_crowded_it_was_before() -> None:
    crowd = Crowd(Named("all"), cores=2, another=lambda: Named("one"))
    with crowd:
        assert ran_on(crowd) == b"all"
        with crowd:
            until(lambda: ran_on(crowd) == b"one")
        assert ran_on(crowd) == b"all"


def test_nothing_is_loaded_twice_before_there_is_a_crowd_and_then_once() -> None:
    loaded: list[Named] = []

    def another() -> Named:
        loaded.append(Named("one"))
        return loaded[-1]

    crowd = Crowd(Named("all"), cores=2, another=another)
    with crowd:
        ran_on(crowd)
        assert not loaded
        with crowd:
            until(lambda: ran_on(crowd) == b"one")
        with crowd:
            assert ran_on(crowd) == b"one"
    assert len(loaded) == 1


def test_a_model_that_does_not_load_twice_goes_on_serving_and_says_so_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def another() -> Named:
        raise MemoryError("no room")

    said = ""

    def told() -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return ran_on(crowd) == b"all" and "cannot be loaded twice" in said

    crowd = Crowd(Named("all"), cores=1, another=another)
    with crowd:
        until(told)
        assert ran_on(crowd) == b"all"
    assert said.count("loaded twice") == 1


def test_where_it_does_not_pay_there_is_one_for_all() -> None:
    crowd = Crowd(Named("all"), cores=1)
    with crowd, crowd:
        assert ran_on(crowd) == b"all"
