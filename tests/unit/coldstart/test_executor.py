import gc
import io
import itertools
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from lab.coldstart.executor import ColdStartBench, ContainerExecutor, OtherTrials
from lab.coldstart.observe import Limits
from lab.coldstart.record import Cell, Chunks, FailureKind, Outcome, Sample
from lab.coldstart.schedule import Trial
from lab.coldstart.sites import OnDemandSite, Placement, Site
from lab.coldstart.trial import Subject, TrialRecorder
from lab.engine.api import Container, ContainerSpec
from lab.engine.coldhost.pulled import NotColdError
from lab.errors import DiskFullError, ImageNotFoundError, RegistryError
from lab.spec import LABEL_OWNER, EngineKind, Mark, Phase, Platform, StartKind
from lab.start import timeline
from tests.unit.coldstart.builders import cell, trial
from tests.unit.engine.fake import Behaviour, FakeEngine
from tests.unit.start.death_logs import BEHIND_NGINX, UVICORN_WORKERS
from tests.unit.start.servers import Answer, Reply, ready_after

SUBJECT = Subject(image="x", archive=None, payload=b"hello", content_type="text/plain")
TOLERANCE = timeline.TOLERANCE


@pytest.fixture(autouse=True)
def nothing_but_what_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine may stop between any two marks, and all garbage of a test session is a lot."""
    monkeypatch.setattr(timeline, "TOLERANCE", 1000.0)
    monkeypatch.setattr(gc, "collect", lambda: 0)


@pytest.fixture
def consistent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phases must add up, as they must in a run."""
    monkeypatch.setattr(timeline, "TOLERANCE", TOLERANCE)


@pytest.fixture
def bench(tmp_path: Path) -> ColdStartBench:
    return on(FakeEngine(), tmp_path)


def on(engine: FakeEngine, tmp_path: Path, *, patience_s: float = 60) -> ColdStartBench:
    return ColdStartBench(
        engine=engine,
        facts=engine.facts(),
        limits=Limits(probe_interval_s=0.01, ready_timeout_s=patience_s),
        owner="the-run",
        work=tmp_path / "work",
    )


def never_ready() -> Answer:
    return lambda *_: (500, b"")


def loads_late() -> Answer:
    """Says that it is ready, and answers the second prediction at the earliest."""
    invocations = itertools.count()

    def answer(method: str, *_: object) -> tuple[int, bytes]:
        early = method != "GET" and next(invocations) == 0
        return (500, b"still loading") if early else (200, b"")

    return answer


def start(
    bench: ColdStartBench,
    of: Cell | None = None,
    *,
    subject: Subject = SUBJECT,
    others: OtherTrials | None = None,
) -> Sample:
    executor = ContainerExecutor(bench, lambda _: subject)
    executor.others = others or OtherTrials()
    try:
        return executor.run(trial(of=of))
    finally:
        executor.close()


def made(bench: ColdStartBench) -> FakeEngine:
    assert isinstance(bench.engine, FakeEngine)
    return bench.engine


def archive(tmp_path: Path, name: str = "model.json") -> Path:
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 2
        tar.addfile(entry, io.BytesIO(b"{}"))
    return path


def test_a_fresh_start_is_measured_from_outside(bench: ColdStartBench) -> None:
    sample = start(bench)
    assert sample.outcome is Outcome.OK
    assert sample.failure is None
    assert list(sample.phases_s) == [
        Phase.CREATE,
        Phase.START,
        Phase.BOOT,
        Phase.FIRST_PREDICTION,
    ]
    assert sample.total_s is not None
    assert sample.wall_s is not None
    assert 0.2 <= sample.total_s <= sample.wall_s
    assert sample.phases_s[Phase.BOOT] > 0.1
    assert sample.boot is not None
    assert sample.boot.port_open_s is not None
    assert sample.boot.port_open_s < sample.phases_s[Phase.BOOT]
    assert sample.second_prediction_s is not None
    assert sample.evidence["answer"] == "echo hello"
    assert sample.evidence["container_id"] == "c0"
    assert (sample.peak_memory_bytes, sample.cpu_seconds, sample.read_bytes) == (7, 0.5, 3)
    assert sample.probe_interval_s is not None
    assert sample.probe_interval_s >= 0.01
    assert not sample.emulated


def once(seen: Callable[[], bool]) -> bool:
    """Whether it is seen in one of a few goes: a machine that stops spoils one, not all."""
    return any(seen() for _ in range(5))


@pytest.mark.usefixtures("consistent")
def test_the_phases_add_up_to_within_the_sample_s_own_error_bar(bench: ColdStartBench) -> None:
    def adds_up() -> bool:
        sample = start(bench)
        assert sample.wall_s is not None
        assert sample.probe_interval_s is not None
        apart_s = abs(sum(sample.phases_s.values()) - sample.wall_s)
        fine = apart_s <= 0.02 * sample.wall_s + sample.probe_interval_s
        assert fine == (sample.outcome is Outcome.OK)
        return fine

    assert once(adds_up)


@pytest.mark.usefixtures("consistent")
@pytest.mark.parametrize(
    ("idle_s", "failure"), [(0.005, None), (0.5, FailureKind.INCONSISTENT)], ids=["5 ms", "0.5 s"]
)
def test_a_thread_may_wait_a_moment_between_two_marks_but_no_longer(
    bench: ColdStartBench, idle_s: float, failure: FailureKind | None
) -> None:
    def as_expected() -> bool:
        cold = Cold(FakeEngine(Behaviour(answer=lambda: ready_after(0.1))), idle_s=idle_s)
        sample = start(replace(bench, cold=cold.open), cell(kind=StartKind.PULL))
        return (sample.failure and sample.failure.kind) == failure

    assert once(as_expected)


def test_garbage_is_collected_before_a_trial_and_not_during_it(
    bench: ColdStartBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda: seen.append("collected"))

    def answer() -> Answer:
        seen.append("enabled" if gc.isenabled() else "disabled")
        return ready_after(0)

    made(bench).does = Behaviour(answer=answer)
    start(bench)
    assert seen == ["collected", "disabled"]
    assert gc.isenabled()


def on_arm64(kind: StartKind = StartKind.FRESH) -> Cell:
    return cell(kind=kind).model_copy(update={"platform": Platform.ARM64})


@pytest.mark.parametrize("kind", [StartKind.FRESH, StartKind.RESTART])
def test_a_start_of_another_platform_s_image_is_labelled_emulated(
    bench: ColdStartBench, kind: StartKind
) -> None:
    sample = start(bench, on_arm64(kind))
    assert Mark.PREDICTED in sample.marks
    assert sample.emulated
    spec = made(bench).made[0].spec
    assert (spec.platform, spec.env) == (Platform.ARM64, {"QEMU_CPU": "neoverse-n1"})


def test_on_an_arm64_engine_the_same_cell_is_native(tmp_path: Path) -> None:
    bench = on(FakeEngine(platform=Platform.ARM64), tmp_path)
    assert not start(bench, on_arm64()).emulated
    assert made(bench).made[0].spec.env == {}
    assert start(bench, cell()).emulated


def test_an_emulated_container_is_waited_for_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.start.emulated.PATIENCE", 100)
    bench = on(FakeEngine(Behaviour(answer=lambda: ready_after(1.0))), tmp_path, patience_s=0.6)
    assert Mark.PREDICTED in start(bench, on_arm64()).marks
    made(bench).does = Behaviour(answer=never_ready)
    failure = start(bench, cell()).failure
    assert failure is not None
    assert failure.kind is FailureKind.NEVER_READY
    assert "Not ready within 0.6 s" in failure.message


def test_limits_of_predictions_grow_like_those_of_starts() -> None:
    limits = Limits(probe_interval_s=0.01, ready_timeout_s=120).times(5)
    assert (limits.ready_timeout_s, limits.invocation_timeout_s) == (600, 300)
    assert limits.probe_interval_s == 0.01


def test_the_container_is_gone_after_the_trial_and_bears_the_run_s_name(
    bench: ColdStartBench,
) -> None:
    start(bench)
    (container,) = made(bench).made
    assert container.removed
    assert container.labels[LABEL_OWNER] == "the-run"


def test_a_server_that_keeps_marks_is_seen_from_inside(tmp_path: Path) -> None:
    def answer() -> Answer:
        began = time.time_ns()
        plain = ready_after(0.2)
        marks = {
            "process": began,
            "interpreter": began + 5_000_000,
            "imports": began + 20_000_000,
            "model_loaded": began + 30_000_000,
            "warmed_up": began + 35_000_000,
            "listening": began + 36_000_000,
        }

        def reply(method: str, path: str, body: bytes) -> Reply | None:
            if path == "/startup":
                return 200, json.dumps({"schema": 1, "pid": 1, "marks": marks}).encode()
            return plain(method, path, body)

        return reply

    sample = start(on(FakeEngine(Behaviour(answer=answer)), tmp_path))
    assert sample.outcome is Outcome.OK
    assert Phase.BOOT not in sample.phases_s
    assert sample.phases_s[Phase.IMPORTS] == pytest.approx(0.015)
    assert sample.phases_s[Phase.MODEL_LOAD] == pytest.approx(0.015)
    assert sample.marks[Mark.LISTENING] - sample.marks[Mark.INTERPRETER] == 31_000_000


def test_marks_are_read_from_the_log_where_there_is_no_page(tmp_path: Path) -> None:
    engine = FakeEngine(Behaviour(log="hello", marks=(0.0, 0.01, 0.02, 0.05)))
    sample = start(on(engine, tmp_path))
    assert sample.outcome is Outcome.OK
    assert sample.phases_s[Phase.IMPORTS] == pytest.approx(0.01)
    assert sample.phases_s[Phase.MODEL_LOAD] == pytest.approx(0.03)


def test_another_clock_is_corrected(tmp_path: Path) -> None:
    ahead = FakeEngine(Behaviour(clock_ahead_ns=5_000_000_000))
    sample = start(on(ahead, tmp_path))
    assert sample.outcome is Outcome.OK
    assert sample.wall_s is not None
    assert sample.phases_s[Phase.START] < sample.wall_s


@pytest.mark.parametrize(
    ("does", "kind", "says"),
    [
        (
            Behaviour(exit_code=3, log="no such file: weights.bin"),
            FailureKind.EARLY_EXIT,
            "The container exited before it was ready with code 3: it does not say why",
        ),
        (
            Behaviour(exit_code=1, lingers=False, log="bad option"),
            FailureKind.EARLY_EXIT,
            "The container exited at once with code 1: it does not say why; its log ends with: bad",
        ),
        (
            Behaviour(refuses="failed to create endpoint on network bridge"),
            FailureKind.ENGINE,
            "The container could not be started: failed to create endpoint on network bridge",
        ),
        (
            Behaviour(exit_code=137, oom=True),
            FailureKind.OOM,
            "The container ran out of memory and was killed before it was ready with code 137.",
        ),
        (
            Behaviour(answer=never_ready),
            FailureKind.NEVER_READY,
            "Not ready within 0.6 s: /ping last answered 500.",
        ),
        (
            Behaviour(answer=never_ready, actions=("start", "oom")),
            FailureKind.OOM,
            "The container ran out of memory before it was ready.",
        ),
        (
            Behaviour(
                answer=lambda: (
                    lambda method, *_: (200, b"") if method == "GET" else (415, b"only tea\nhere")
                )
            ),
            FailureKind.INVOCATION,
            "The first invocation was answered 415: only tea here",
        ),
        (
            Behaviour(answer=loads_late),
            FailureKind.TOO_EARLY,
            "The first invocation was answered 500: still loading; ",
        ),
        (
            Behaviour(answer=lambda: lambda method, *_: (200, b"") if method == "GET" else None),
            FailureKind.INVOCATION,
            "An invocation failed:",
        ),
        (
            Behaviour(refuses='exec: "serve": executable file not found in $PATH'),
            FailureKind.EARLY_EXIT,
            "The container could not be started: there is no program called serve",
        ),
        (
            Behaviour(refuses="exec /serve: exec format error"),
            FailureKind.EARLY_EXIT,
            "The container could not be started: a program of it is for another processor",
        ),
    ],
)
def test_a_start_that_fails_says_why(
    tmp_path: Path, does: Behaviour, kind: FailureKind, says: str
) -> None:
    engine = FakeEngine(does)
    patience_s = 0.6 if does.answer is never_ready else 60
    sample = start(on(engine, tmp_path, patience_s=patience_s))
    assert sample.outcome is Outcome.FAILED
    assert sample.failure is not None
    assert sample.failure.kind is kind
    assert sample.failure.message.startswith(says)
    assert sample.failure.exit_code == does.exit_code
    assert sample.failure.log_tail == does.log
    assert [one.removed for one in engine.made] == [True]


def test_a_missing_serve_is_explained(tmp_path: Path) -> None:
    refuses = 'exec: "serve": executable file not found in $PATH'
    sample = start(on(FakeEngine(Behaviour(refuses=refuses)), tmp_path))
    assert sample.failure is not None
    assert sample.failure.cause == "serve_not_found"
    assert "SageMaker starts every container as `docker run IMAGE serve`" in sample.failure.cure


def test_a_traceback_above_the_last_lines_is_named_with_its_cure(tmp_path: Path) -> None:
    sample = start(on(FakeEngine(Behaviour(exit_code=0, log=BEHIND_NGINX)), tmp_path))
    failure = sample.failure
    assert failure is not None
    assert failure.cause == "missing_module"
    assert "No module named 'packaging'" in failure.message
    assert "pip install packaging" in failure.cure
    assert failure.log_tail.startswith("Traceback")
    assert "GET /ping" not in failure.log_tail


def test_a_server_whose_workers_die_behind_it_is_explained_too(tmp_path: Path) -> None:
    does = Behaviour(answer=never_ready, log=UVICORN_WORKERS)
    sample = start(on(FakeEngine(does), tmp_path, patience_s=0.6))
    failure = sample.failure
    assert failure is not None
    assert failure.kind is FailureKind.NEVER_READY
    assert (
        "/ping last answered 500; its log shows why: the Python module xgboost" in failure.message
    )
    assert failure.cause == "missing_module"


def test_a_model_one_folder_down_is_found(tmp_path: Path) -> None:
    log = "FileNotFoundError: [Errno 2] No such file or directory: '/opt/ml/model/model.pkl'"
    does = Behaviour(exit_code=1, log=log, model_files=["export/model.pkl"])
    failure = start(on(FakeEngine(does), tmp_path)).failure
    assert failure is not None
    assert failure.cause == "archive_depth"
    assert "tar -C export" in failure.cure


def test_the_last_ping_status_is_kept(tmp_path: Path) -> None:
    does = Behaviour(answer=lambda: lambda *_: (503, b""))
    sample = start(on(FakeEngine(does), tmp_path, patience_s=0.6))
    assert sample.failure is not None
    assert sample.failure.last_ping_status == 503


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ImageNotFoundError("There is no image x."), FailureKind.ENGINE),
        (RegistryError("no route"), FailureKind.PULL),
        (NotColdError("had a layer"), FailureKind.NOT_COLD),
    ],
)
def test_what_the_engine_refuses_is_a_sample(
    bench: ColdStartBench, error: Exception, kind: FailureKind
) -> None:
    made(bench).fails = error
    sample = start(bench)
    assert sample.failure is not None
    assert sample.failure.kind is kind
    assert sample.failure.message == str(error)


def test_a_full_disk_ends_the_run(bench: ColdStartBench) -> None:
    made(bench).fails = DiskFullError("full")
    with pytest.raises(DiskFullError):
        start(bench)


def test_ctrl_c_in_the_middle_leaves_no_container(tmp_path: Path) -> None:
    def stop() -> Answer:
        raise KeyboardInterrupt

    engine = FakeEngine(Behaviour(answer=stop))
    with pytest.raises(KeyboardInterrupt):
        start(on(engine, tmp_path))
    assert [one.removed for one in engine.made] == [True]


def test_a_kind_that_cannot_be_measured_is_skipped_with_the_reason(bench: ColdStartBench) -> None:
    unable = replace(bench, unable={StartKind.PULL: "no container"})
    sample = start(unable, cell(kind=StartKind.PULL))
    assert (sample.outcome, sample.skipped) == (Outcome.SKIPPED, "no container")
    assert made(bench).made == []


def test_a_tier_limits_memory_and_cpu_up_to_the_host_s(bench: ColdStartBench) -> None:
    start(bench, cell(tier="1024"))
    start(bench, cell(tier="6144"))
    start(bench, cell(tier="host"))
    limits = [(one.spec.memory_bytes, one.spec.cpus) for one in made(bench).made]
    assert limits == [(1024**3, pytest.approx(1024 / 1769)), (6 * 1024**3, 2.0), (None, None)]


def test_a_tier_may_be_an_instance_type_whose_limits_are_told(bench: ColdStartBench) -> None:
    told = {"ml.m5.large": (8 << 30, 2.0)}
    start(bench, cell(tier="ml.m5.large"), others=OtherTrials(limits_of=told.__getitem__))
    (one,) = made(bench).made
    assert (one.spec.memory_bytes, one.spec.cpus) == (8 << 30, 2.0)


def test_the_container_of_a_new_start_can_be_used_before_it_goes(bench: ColdStartBench) -> None:
    seen: list[tuple[int, bool]] = []

    def look(of: Trial, container: Container) -> None:
        seen.append((of.index, container.state().running))

    assert start(bench, others=OtherTrials(after=look)).outcome is Outcome.OK
    assert seen == [(0, True)]
    assert not made(bench).containers({})


def test_the_model_is_unpacked_for_the_trial_and_gone_after_it(
    bench: ColdStartBench, tmp_path: Path
) -> None:
    subject = replace(SUBJECT, archive=archive(tmp_path))
    sample = start(bench, subject=subject)
    assert sample.outcome is Outcome.OK
    assert Phase.MODEL_FETCH in sample.phases_s
    (container,) = made(bench).made
    assert container.spec.model_dir is not None
    assert container.spec.model_dir.is_relative_to(bench.work)
    assert not bench.work.exists()


def test_a_hostile_archive_is_a_failure_of_the_model(bench: ColdStartBench, tmp_path: Path) -> None:
    subject = replace(SUBJECT, archive=archive(tmp_path, "../../evil"))
    sample = start(bench, subject=subject)
    assert sample.failure is not None
    assert sample.failure.kind is FailureKind.MODEL
    assert not (tmp_path / "evil").exists()


def test_a_restart_starts_the_same_container_again(bench: ColdStartBench) -> None:
    executor = ContainerExecutor(bench, lambda _: SUBJECT)
    restart = cell(kind=StartKind.RESTART)
    samples = [executor.run(trial(index, restart)) for index in range(3)]
    (container,) = made(bench).made
    assert [sample.outcome for sample in samples] == [Outcome.OK] * 3
    assert len(container.starts) == 4
    assert container.stops == 4
    assert next(iter(samples[0].phases_s)) is Phase.START
    assert samples[1].evidence["before"]["started_ns"] == samples[0].evidence["started_ns"]
    assert not container.removed
    executor.close()
    assert container.removed


def test_each_cell_keeps_a_container_of_its_own(bench: ColdStartBench) -> None:
    executor = ContainerExecutor(bench, lambda _: SUBJECT)
    for variant in ("slim", "onnx", "slim"):
        executor.run(trial(0, cell(variant, StartKind.RESTART)))
    assert len(made(bench).made) == 2
    executor.close()


def test_a_restart_that_was_none_fails_and_the_next_begins_anew(tmp_path: Path) -> None:
    engine = FakeEngine(Behaviour(started_again=False))
    executor = ContainerExecutor(on(engine, tmp_path), lambda _: SUBJECT)
    restart = cell(kind=StartKind.RESTART)
    sample = executor.run(trial(0, restart))
    assert sample.failure is not None
    assert sample.failure.kind is FailureKind.NOT_COLD
    assert engine.made[0].removed
    executor.run(trial(1, restart))
    assert len(engine.made) == 2
    executor.close()


def test_a_container_that_was_there_before_is_not_fresh(
    bench: ColdStartBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = made(bench)
    before = engine.create(ContainerSpec(image="x"))
    monkeypatch.setattr(engine, "create", lambda spec: before)
    sample = start(bench)
    assert sample.failure is not None
    assert sample.failure.kind is FailureKind.NOT_COLD
    assert "was there before the trial" in sample.failure.message


class Cold:
    """Cold hosts whose pulls take a known time."""

    def __init__(self, engine: FakeEngine, *, idle_s: float = 0.0) -> None:
        self.engine = engine
        self.idle_s = idle_s
        self.publish: int | None = 0
        self.opened = 0
        self.closed = 0

    @contextmanager
    def open(self, platform: Platform) -> Iterator[Site]:
        self.opened += 1
        try:
            yield self
        finally:
            self.closed += 1

    def bring(self, subject: Subject, recorder: TrialRecorder) -> Placement:
        time.sleep(self.idle_s)
        with recorder.span(Mark.PULL_BEGIN, Mark.PULL_END):
            time.sleep(0.03)
            recorder.mark(Mark.PULL_DOWNLOADED)
            time.sleep(0.01)
        with recorder.span(Mark.FETCH_BEGIN, Mark.FETCH_END):
            time.sleep(0.01)
        recorder.pulled_layers = 4
        return Placement(image="registry/x", model_dir=PurePosixPath("/var/model"))


def test_a_pull_is_measured_on_a_machine_of_its_own(bench: ColdStartBench) -> None:
    cold = Cold(FakeEngine())
    sample = start(replace(bench, cold=cold.open), cell(kind=StartKind.PULL))
    assert sample.outcome is Outcome.OK
    assert list(sample.phases_s)[:3] == [
        Phase.IMAGE_PULL,
        Phase.IMAGE_UNPACK,
        Phase.MODEL_FETCH,
    ]
    assert sample.phases_s[Phase.IMAGE_PULL] >= 0.03
    assert sample.pulled_layers == 4
    assert (cold.opened, cold.closed) == (1, 1)
    (container,) = cold.engine.made
    assert container.spec.image == "registry/x"
    assert container.spec.publish == 0
    assert made(bench).made == []


class Demanded(Cold):
    """On-demand images whose mount takes a known time; ``why`` speaks against their coldness."""

    def __init__(self, engine: FakeEngine, *, why: str | None = None) -> None:
        super().__init__(engine)
        self.why = why
        self.offsets: list[int] = []

    @contextmanager
    def open_for(self, subject: Subject) -> Iterator[OnDemandSite]:
        with self.open(cell().platform):
            yield self

    def bring(self, subject: Subject, recorder: TrialRecorder) -> Placement:
        with recorder.span(Mark.MOUNT_BEGIN, Mark.MOUNT_END):
            time.sleep(0.02)
        return Placement(image="on-demand", model_dir=None)

    def fetched(self, recorder: TrialRecorder, offset_ns: int) -> str | None:
        self.offsets.append(offset_ns)
        recorder.chunks = CHUNKS
        return self.why


CHUNKS = Chunks(
    chunk_bytes=524_288,
    bandwidth_bits_per_s=1_000_000_000,
    latency_s=0.0005,
    image_bytes=50_000_000,
    fetched={Phase.IMAGE_MOUNT: 2, Phase.BOOT: 40},
    waited_s={Phase.IMAGE_MOUNT: 0.01, Phase.BOOT: 0.2},
)


def test_an_on_demand_start_begins_with_the_mount_and_keeps_what_it_fetched(
    bench: ColdStartBench,
) -> None:
    demanded = Demanded(FakeEngine())
    sample = start(replace(bench, on_demand=demanded.open_for), cell(kind=StartKind.ONDEMAND))
    assert sample.outcome is Outcome.OK
    assert next(iter(sample.phases_s)) is Phase.IMAGE_MOUNT
    assert sample.phases_s[Phase.IMAGE_MOUNT] >= 0.02
    assert sample.chunks == CHUNKS
    assert (CHUNKS.count, CHUNKS.bytes) == (42, 22_020_096)
    assert (demanded.opened, demanded.closed) == (1, 1)
    assert made(bench).made == []


def test_an_on_demand_start_that_read_from_a_cache_is_not_cold(bench: ColdStartBench) -> None:
    demanded = Demanded(FakeEngine(), why="3 reads of the image's device were before the trial")
    sample = start(replace(bench, on_demand=demanded.open_for), cell(kind=StartKind.ONDEMAND))
    assert sample.failure is not None
    assert sample.failure.kind is FailureKind.NOT_COLD
    assert "before the trial" in sample.failure.message


def test_processes_have_no_create_and_no_start(tmp_path: Path) -> None:
    sample = start(on(FakeEngine(kind=EngineKind.PROCESS), tmp_path))
    assert sample.outcome is Outcome.OK
    assert list(sample.phases_s) == [Phase.BOOT, Phase.FIRST_PREDICTION]


def test_a_foreign_platform_is_labelled_emulated(bench: ColdStartBench) -> None:
    arm = cell().model_copy(update={"platform": Platform.ARM64})
    assert start(bench, arm).emulated
