from collections.abc import Iterator
from dataclasses import replace

import pytest

from lab import wire
from lab.coldstart.trial import Subject
from lab.engine.api import EngineFacts
from lab.errors import EngineError, UsageError
from lab.loadtest.targets.api import LoadPayload
from lab.loadtest.targets.image import ImageTarget, image_target
from lab.loadtest.targets.sizes import Size
from lab.progress import Silent
from lab.spec import Platform
from tests.unit.engine.fake import Behaviour, FakeEngine
from tests.unit.start.servers import ready_after

GIB = 1024**3
SUBJECT = Subject(image="x:1", archive=None, payload=b"hello", content_type="text/plain")
PAYLOAD = LoadPayload(name="hello", body=b"hello", content_type="text/plain")


@pytest.fixture
def engine() -> FakeEngine:
    """Of a machine with 2 processors and 8 GiB."""
    return FakeEngine(Behaviour(answer=lambda: ready_after(0.0)))


@pytest.fixture
def target(engine: FakeEngine) -> Iterator[ImageTarget]:
    with image_target(
        engine, SUBJECT, size=Size.parse("2048"), name="mine", progress=Silent()
    ) as one:
        yield one


def test_the_container_has_the_limits_of_its_size(engine: FakeEngine, target: ImageTarget) -> None:
    (made,) = engine.made
    assert made.spec.memory_bytes == 2 * GIB
    assert made.spec.cpus == pytest.approx(2048 / 1769)
    record = target.record
    assert (record.size, record.memory_mb, record.serverless) == ("2048", 2048, True)


def test_it_answers_where_the_route_says(target: ImageTarget) -> None:
    with wire.connect(target.route.address, timeout_s=30) as connection:
        answer = wire.exchange(connection, target.route.prepare(PAYLOAD))
    assert answer.status == 200


def test_it_is_gone_at_the_end(engine: FakeEngine) -> None:
    with image_target(engine, SUBJECT, name="mine", progress=Silent()):
        assert not engine.made[0].removed
    assert engine.made[0].removed


def test_a_running_one_gets_another_size(engine: FakeEngine, target: ImageTarget) -> None:
    given = target.resize(Size.parse("ml.m5.xlarge"))
    (made,) = engine.made
    assert (made.spec.memory_bytes, made.spec.cpus) == (8 * GIB, 2.0)
    assert (target.record.size, target.record.cpus) == ("ml.m5.xlarge", 2.0)
    assert target.record.notes == given.notes != ()
    assert not target.record.serverless


class SmallEngine(FakeEngine):
    def facts(self) -> EngineFacts:
        return replace(super().facts(), memory_bytes=2 * GIB)


def test_a_size_that_the_machine_has_not_is_refused_before_anything_starts() -> None:
    engine = SmallEngine()
    with (
        pytest.raises(UsageError, match="it has 2 GiB"),
        image_target(engine, SUBJECT, size=Size.parse("3GB"), name="mine", progress=Silent()),
    ):
        pytest.fail("it was started")
    assert not engine.made


def test_what_the_machine_lacks_of_a_size_is_said(engine: FakeEngine) -> None:
    progress = Silent()
    with image_target(
        engine, SUBJECT, size=Size.parse("ml.m5.xlarge"), name="mine", progress=progress
    ):
        assert any("smaller than an ml.m5.xlarge" in note for note in progress.notes)


def test_what_is_emulated_is_recorded_as_that(engine: FakeEngine) -> None:
    with image_target(
        engine, SUBJECT, platform=Platform.ARM64, name="mine", progress=Silent()
    ) as target:
        assert target.record.emulated


def test_the_pool_is_the_container_while_it_runs(target: ImageTarget) -> None:
    assert target.pool() == (1, 0, 5)
    assert target.cause() is None


def test_a_container_that_ended_under_load_says_of_what(target: ImageTarget) -> None:
    target.container.kill()
    assert target.cause() == "The container exited under load."


def test_a_container_that_somebody_removed_says_so(
    target: ImageTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: object) -> None:
        raise EngineError("No such container: c0.")

    monkeypatch.setattr(type(target.container), "state", gone)
    assert target.cause() == "No such container: c0."
