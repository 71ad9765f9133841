"""Whole tunings on an engine of servers in this process, and what ends them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lab.coldstart.loop import InterruptedRunError
from lab.engine.api import ContainerSpec
from lab.errors import ContainerFailedError, EngineError
from lab.loadtest.record import Objective
from lab.loadtest.runner import InterruptedLoadError
from lab.loadtest.targets.api import LoadPayload
from lab.loadtest.targets.sizes import Size
from lab.loadtest.targets.subject import ImageRequest
from lab.progress import Silent
from lab.start import timeline
from lab.tune import order, warm
from lab.tune.job import MoneyJob, ReadyTune, TuneJob, begin, complete, go_on
from lab.tune.measure import measure
from lab.tune.out import document, write_report
from lab.tune.record import Part
from lab.tune.result import SizeOutcome, WarmSource
from tests.unit.engine.fake import Behaviour, FakeContainer, FakeEngine
from tests.unit.start.servers import Reply, ready_after

SERVES = Behaviour(answer=lambda: ready_after(0.0), keeps=True)
KILLED = Behaviour(oom=True, exit_code=137)
SIZES = ("1024", "2048")


class SizedEngine(FakeEngine):
    """Containers behave by the memory that they get."""

    def __init__(self, by_mb: dict[int, Behaviour] | None = None) -> None:
        super().__init__(SERVES)
        self.by_mb = by_mb or {}

    def create(self, spec: ContainerSpec) -> FakeContainer:
        made = super().create(spec)
        made.does = self.by_mb.get((spec.memory_bytes or 0) // 1024**2, SERVES)
        return made


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rounds of a few requests; a machine may stop between any two marks."""
    monkeypatch.setattr(order, "QUICK_ROUNDS", 2)
    monkeypatch.setattr("lab.tune.steps.QUICK", warm.BlockPlan(least=2, most=2))
    monkeypatch.setattr(warm, "UNCOUNTED", 1)
    monkeypatch.setattr(timeline, "TOLERANCE", 1000.0)


def ready(
    engine: FakeEngine, *, sizes: Sequence[str] = SIZES, path: Path | None = None
) -> ReadyTune:
    payload = LoadPayload(name="body", body=b"hello", content_type="text/plain")
    job = TuneJob(
        request=ImageRequest(name="x:1", payload=payload),
        payload_path=path,
        sizes=[Size.parse(one) for one in sizes],
        money=MoneyJob(requests_per_day=1000),
        quick=True,
    )
    return begin(job, engine, Silent())


def run(one: ReadyTune, engine: FakeEngine) -> Silent:
    progress = Silent()
    measure(one.tune, one.folder, one.subject, engine, progress)
    return progress


def test_every_step_leaves_a_sample_and_nothing_is_left_running() -> None:
    engine = SizedEngine()
    one = ready(engine)
    run(one, engine)
    samples = one.folder.samples()
    assert [(s.round, s.size, s.part) for s in samples] == list(one.tune.order)
    assert all(s.failure is None and s.warm is not None for s in samples)
    assert complete(one.folder)
    assert not engine.containers({})


def test_the_report_of_a_run_names_a_size_and_what_to_push() -> None:
    engine = SizedEngine()
    one = ready(engine)
    run(one, engine)
    result, page = write_report(one.folder)
    assert result.chosen is None  # Two rounds of two requests tell no p95.
    assert [size.outcome for size in result.sizes] == [SizeOutcome.SERVES] * 2
    assert [size.source for size in result.sizes] == [WarmSource.BOTH] * 2
    assert all(size.cost for size in result.sizes)
    assert result.resized is not None
    assert result.resized.n == 4
    html = page.read_text()
    assert result.sentence in html
    assert "1 GB serverless" in html
    assert "| 1 GB |" in document(result).to_markdown()


def test_a_size_at_which_it_is_killed_is_given_up_and_the_others_go_on() -> None:
    engine = SizedEngine({1024: KILLED})
    one = ready(engine)
    progress = run(one, engine)
    tried = [s for s in one.folder.samples() if s.size == "1024" and s.part is Part.NEW]
    assert len(tried) == 2
    result, _ = write_report(one.folder)
    assert [size.outcome for size in result.sizes] == [SizeOutcome.KILLED, SizeOutcome.SERVES]
    assert any("1024, new: The container ran out of memory" in note for note in progress.notes)


def test_an_image_that_starts_at_no_size_ends_the_run_at_its_first_start() -> None:
    engine = SizedEngine({1024: KILLED, 2048: KILLED})
    one = ready(engine)
    with pytest.raises(ContainerFailedError, match="serves at no size: not even at 2048"):
        run(one, engine)
    assert len(engine.made) == 1
    assert not engine.containers({})


def test_a_payload_that_is_refused_ends_the_run_with_the_answer() -> None:
    def refuses(method: str, path: str, body: bytes) -> Reply:
        return (200, b"") if method == "GET" else (415, b"only pictures")

    engine = SizedEngine({2048: Behaviour(answer=lambda: refuses, keeps=True)})
    one = ready(engine)
    with pytest.raises(ContainerFailedError, match=r"refuses the payload body: .*only pictures"):
        run(one, engine)
    assert len(engine.made) == 1


def test_an_engine_that_does_not_resize_leaves_the_new_containers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise EngineError("The engine refused: no such limit.")

    monkeypatch.setattr(FakeContainer, "resize", refuse)
    engine = SizedEngine()
    one = ready(engine)
    run(one, engine)
    result, _ = write_report(one.folder)
    assert [size.source for size in result.sizes] == [WarmSource.NEW] * 2
    assert result.sizes[0].source_why == "The engine refused: no such limit."


def test_ctrl_c_keeps_what_there_is_and_it_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"hello")
    engine = SizedEngine()
    one = ready(engine, path=path)
    resize = FakeContainer.resize

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeContainer, "resize", stop)
    with pytest.raises(InterruptedRunError, match=r"of 9 steps are kept") as stopped:
        run(one, engine)
    assert stopped.value.remedy == f"Go on with `lab tune --resume {one.tune.id}`."
    assert not engine.containers({})
    before = one.folder.samples()
    assert 0 < len(before) < 9
    partial, _ = write_report(one.folder)
    assert (partial.steps, partial.planned) == (len(before), 9)

    monkeypatch.setattr(FakeContainer, "resize", resize)
    made = len(engine.made)
    run(go_on(one.folder, engine, Silent()), engine)
    assert one.folder.samples()[: len(before)] == before
    assert complete(one.folder)
    assert len(engine.made) > made


def test_what_an_instance_takes_is_measured_without_an_objective_too() -> None:
    engine = SizedEngine()
    one = ready(engine, sizes=("1024", "ml.m5.large"))
    run(one, engine)
    (sample,) = [s for s in one.folder.samples() if s.part is Part.CAPACITY]
    assert sample.capacity is not None
    assert sample.capacity.per_s > 0
    assert sample.capacity.how.startswith("4 clients")


def test_an_objective_that_a_lone_client_breaks_is_not_searched_for() -> None:
    engine = SizedEngine()
    one = ready(engine, sizes=("1024", "ml.m5.large"))
    hard = one.tune.model_copy(update={"objective": Objective(seconds=1e-9)})
    run(replace(one, tune=hard), engine)
    (sample,) = [s for s in one.folder.samples() if s.part is Part.CAPACITY]
    assert sample.capacity is not None
    assert (sample.capacity.per_s, sample.capacity.found) == (0.0, True)


def test_ctrl_c_in_a_search_tells_how_to_go_on_with_the_tuning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise InterruptedLoadError("Stopped: the load is kept.", remedy="Begin anew.")

    monkeypatch.setattr("lab.tune.steps.capacity", stop)
    engine = SizedEngine()
    one = ready(engine, sizes=("1024", "ml.m5.large"))
    with pytest.raises(InterruptedRunError) as stopped:
        run(one, engine)
    assert stopped.value.remedy == f"Go on with `lab tune --resume {one.tune.id}`."
    assert not engine.containers({})
