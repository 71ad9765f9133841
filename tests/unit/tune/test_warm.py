from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.coldstart.trial import Subject
from lab.errors import ContainerFailedError
from lab.loadtest.targets.image import ImageTarget, image_target
from lab.loadtest.targets.sizes import Size
from lab.progress import Silent
from lab.tune.warm import FULL, QUICK, Blocks, KeptContainers
from tests.unit.engine.fake import Behaviour, FakeEngine
from tests.unit.start.servers import ready_after
from tests.unit.tune.scripted import sized

SUBJECT = Subject(image="x:1", archive=None, payload=b"hello", content_type="text/plain")
SIZES = [sized("2048"), sized("3072")]


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(Behaviour(answer=lambda: ready_after(0.0), keeps=True))


@pytest.fixture
def kept(engine: FakeEngine) -> Iterator[KeptContainers]:
    @contextmanager
    def start(size: Size) -> Iterator[ImageTarget]:
        with image_target(engine, SUBJECT, size=size, name="mine", progress=Silent()) as one:
            yield one

    found = KeptContainers(SIZES, start)
    yield found
    found.close()


def test_one_container_gets_one_size_after_the_other(
    engine: FakeEngine, kept: KeptContainers
) -> None:
    first, second = kept.at(SIZES[1]), kept.at(SIZES[0])
    (made,) = engine.made
    assert first.id == second.id == made.id
    assert made.spec.memory_bytes == SIZES[0].memory_bytes


def test_it_starts_at_the_smallest_size_at_which_one_lives(
    engine: FakeEngine, kept: KeptContainers
) -> None:
    kept.leave_out("2048")
    kept.at(SIZES[1])
    assert engine.made[0].spec.memory_bytes == SIZES[1].memory_bytes


def test_after_two_that_did_not_start_no_third_is_tried(
    engine: FakeEngine, kept: KeptContainers
) -> None:
    engine.does = Behaviour(exit_code=1)
    for _ in range(3):
        with pytest.raises(ContainerFailedError):
            kept.at(SIZES[0])
    assert len(engine.made) == 2  # one at each size of the group, then there is none left


def test_one_that_ended_is_told_of_and_replaced(engine: FakeEngine, kept: KeptContainers) -> None:
    kept.at(SIZES[0])
    assert kept.ended(SIZES[0]) is None
    engine.made[0].does = Behaviour(oom=True, exit_code=137)
    engine.made[0].kill()
    assert kept.ended(SIZES[0])
    assert kept.at(SIZES[0]).id == engine.made[1].id
    assert engine.made[0].removed


def test_all_are_gone_at_the_end(engine: FakeEngine, kept: KeptContainers) -> None:
    kept.at(SIZES[0])
    kept.close()
    assert engine.made[0].removed


def test_a_block_counts_no_first_requests_and_keeps_what_the_container_used(
    engine: FakeEngine, kept: KeptContainers
) -> None:
    block = Blocks(subject=SUBJECT, plan=QUICK).send(kept.at(SIZES[0]), "2048")
    assert len(block.latencies_s) == 30
    assert block.answer_bytes == len(b"echo hello")
    assert (block.peak_memory_bytes, block.used_memory_bytes) == (7, 5)


@pytest.mark.parametrize(("latency_s", "requests"), [(0.001, 50), (0.05, 30), (2.0, 10)])
def test_a_block_lasts_about_as_long_whatever_a_request_takes(
    latency_s: float, requests: int
) -> None:
    assert FULL.requests([9.0, latency_s, latency_s]) == requests


def test_blocks_of_a_size_stay_as_long_as_they_were() -> None:
    blocks = Blocks(subject=SUBJECT, plan=FULL)
    engine = FakeEngine(Behaviour(answer=lambda: ready_after(0.0), keeps=True))
    with image_target(engine, SUBJECT, name="mine", progress=Silent()) as one:
        found = blocks.send(one.container, "2048")
        blocks.known({"2048": found.model_copy(update={"latencies_s": (1.0,) * 12})})
        assert len(blocks.send(one.container, "2048").latencies_s) == 12
