"""A container that serves, as whoever needs one for a while sees it."""

import pytest

from lab.engine.api import ContainerSpec
from lab.errors import ContainerFailedError
from lab.start.serving import serving
from lab.wire import connect, exchange, request
from tests.unit.engine.fake import Behaviour, FakeContainer, FakeEngine
from tests.unit.start.servers import ready_after

SPEC = ContainerSpec(image="lab/tea", labels={"role": "test", "owner": "me"}, publish=0)


def test_it_is_ready_inside_the_block_and_gone_after_it() -> None:
    engine = FakeEngine(Behaviour(answer=lambda: ready_after(0.2)))
    with serving(engine, SPEC, within_s=30) as served:
        with connect(served.address, timeout_s=5) as connection:
            assert exchange(connection, request("GET", "/ping", host="lab")).status == 200
        assert engine.containers({"role": "test"}) == [served.container]
    assert engine.containers({}) == []


def test_whoever_waits_is_told_for_how_long() -> None:
    told: list[float] = []
    engine = FakeEngine(Behaviour(answer=lambda: ready_after(0.3)))
    with serving(engine, SPEC, within_s=30, waiting=told.append):
        pass
    assert told == sorted(told)
    assert told[-1] > 0


def test_one_that_dies_is_an_error_with_its_last_words_and_is_removed() -> None:
    engine = FakeEngine(Behaviour(exit_code=3, log="no model in /opt/ml/model"))
    with (
        pytest.raises(
            ContainerFailedError, match=r"(?s)lab/tea.*no model in /opt/ml/model"
        ) as told,
        serving(engine, SPEC, within_s=30),
    ):
        pass
    assert "lab contract check lab/tea --only serve" in told.value.remedy
    assert engine.containers({}) == []


def test_one_that_cannot_be_started_is_an_error_with_the_engines_reason() -> None:
    engine = FakeEngine(Behaviour(refuses="exec: serve: not found"))
    with (
        pytest.raises(ContainerFailedError, match="exec: serve: not found"),
        serving(engine, SPEC, within_s=30),
    ):
        pass
    assert engine.containers({}) == []


def test_it_is_asked_and_what_is_not_a_200_is_an_error_with_the_answer() -> None:
    with serving(FakeEngine(Behaviour(answer=lambda: ready_after(0))), SPEC, within_s=30) as served:
        body = served.invoke(b"tea?", "text/plain", accept="*/*", name="tea", timeout_s=5)
        assert body == b"echo tea?"

    def only_tea(method: str, *_: object) -> tuple[int, bytes]:
        return (200, b"") if method == "GET" else (415, b"only tea")

    with (
        pytest.raises(ContainerFailedError, match="lab/tea answered 415 to coffee: only tea"),
        serving(FakeEngine(Behaviour(answer=lambda: only_tea)), SPEC, within_s=30) as served,
    ):
        served.invoke(b"coffee?", "text/plain", accept="*/*", name="coffee", timeout_s=5)


def test_one_that_does_not_answer_is_told_with_its_last_words() -> None:
    silent = Behaviour(
        answer=lambda: lambda method, *_: (200, b"") if method == "GET" else None, log="hm"
    )
    with (
        pytest.raises(ContainerFailedError, match=r"(?s)lab/tea did not answer to tea: .*hm"),
        serving(FakeEngine(silent), SPEC, within_s=30) as served,
    ):
        served.invoke(b"tea?", "text/plain", accept="*/*", name="tea", timeout_s=5)


def test_ctrl_c_before_the_container_is_known_here_leaves_none() -> None:
    class Interrupted(FakeEngine):
        def create(self, spec: ContainerSpec) -> FakeContainer:
            super().create(spec)
            raise KeyboardInterrupt

    engine = Interrupted()
    with pytest.raises(KeyboardInterrupt), serving(engine, SPEC, within_s=30):
        pass
    assert len(engine.made) == 1
    assert engine.containers({}) == []


def test_other_containers_are_left_alone() -> None:
    engine = FakeEngine()
    other = engine.create(ContainerSpec(image="lab/tea", labels={"role": "test", "owner": "you"}))
    with serving(engine, SPEC, within_s=30):
        pass
    assert engine.containers({}) == [other]
