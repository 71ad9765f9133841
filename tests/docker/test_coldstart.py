"""Trials on the real engine, with containers whose start-up is known."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab import busy, paths
from lab.cli.coldstart import app
from lab.coldstart import pagecache, runner
from lab.coldstart.executor import ColdStartBench, ContainerExecutor
from lab.coldstart.folder import RunFolder
from lab.coldstart.observe import Limits
from lab.coldstart.plan import Plan, variant_name
from lab.coldstart.prepare import prepared
from lab.coldstart.record import Cell, FailureKind, Outcome, Sample
from lab.coldstart.schedule import Trial
from lab.coldstart.sites import cold_hosts
from lab.coldstart.summary import read_summary
from lab.coldstart.trial import Subject, TrialRecorder
from lab.engine.coldhost.blocklog import CHUNK_BYTES
from lab.engine.coldhost.ondemand import Speed
from lab.engine.coldhost.pulled import NotColdError
from lab.engine.docker.engine import DockerEngine
from lab.host import usable_cpus
from lab.images.base import ensure_base
from lab.progress import Progress
from lab.spec import FLOOR, LABEL_OWNER, Mark, Phase, Platform, StartKind
from lab.start.timeline import allowed
from tests.docker import known
from tests.timing import PATIENCE_S, wait_until

pytestmark = pytest.mark.docker

DELAY_S = 0.5
OWNER = "test-coldstart"


@pytest.fixture
def bench(engine: DockerEngine, tmp_path: Path) -> Iterator[ColdStartBench]:
    yield ColdStartBench(
        engine=engine,
        facts=engine.facts(),
        limits=Limits(probe_interval_s=0.01, ready_timeout_s=60.0),
        owner=OWNER,
        work=tmp_path / "work",
    )
    assert engine.containers({LABEL_OWNER: OWNER}) == []


def measure(
    bench: ColdStartBench,
    ref: str,
    kind: StartKind = StartKind.FRESH,
    *,
    tier: str = "host",
    times: int = 1,
) -> list[Sample]:
    """The samples of one cell. A trial that a stall of the machine spoilt is made again."""
    cell = Cell(
        variant="known", model="none", platform=bench.facts.platform, tier=tier, start_kind=kind
    )
    subject = Subject(image=ref, archive=None, payload=b"tea?", content_type="text/plain")
    executor = ContainerExecutor(bench, lambda _: subject)
    try:
        return [consistent(executor, Trial(index=i, block=1, cell=cell)) for i in range(times)]
    finally:
        executor.close()


def consistent(executor: ContainerExecutor, trial: Trial) -> Sample:
    for _ in range(5):
        sample = executor.run(trial)
        if not inconsistent(sample):
            break
    return sample


def inconsistent(sample: Sample) -> bool:
    return sample.failure is not None and sample.failure.kind is FailureKind.INCONSISTENT


def assert_good(sample: Sample) -> None:
    assert sample.failure is None
    assert sample.outcome is Outcome.OK
    assert sample.wall_s is not None
    assert sample.probe_interval_s is not None
    within_s = allowed(sample.wall_s, sample.probe_interval_s)
    assert sum(sample.phases_s.values()) == pytest.approx(sample.wall_s, abs=within_s)


@pytest.mark.parametrize("kind", [StartKind.FRESH, StartKind.RESTART])
def test_a_known_start_up_is_measured_to_within_the_error_bar(
    bench: ColdStartBench, image: Callable[..., str], kind: StartKind
) -> None:
    beyond_s = []
    for sample in measure(bench, image("marks", DELAY=f"{DELAY_S}"), kind, times=3):
        assert_good(sample)
        # The server's own marks are passed on to the nanosecond ...
        assert sample.phases_s[Phase.IMPORTS] == pytest.approx(0.4 * DELAY_S, abs=1e-6)
        assert sample.phases_s[Phase.MODEL_LOAD] == pytest.approx(0.5 * DELAY_S, abs=1e-6)
        # ... and what is seen from outside is late by no more than two probes lie apart,
        # unless the machine stalls just between a probe and its note.
        late_s = (sample.marks[Mark.ACCEPTING] - sample.marks[Mark.LISTENING]) / 1e9
        assert sample.probe_interval_s is not None
        assert late_s >= -0.001
        beyond_s.append(late_s - sample.probe_interval_s)
        assert sample.peak_memory_bytes is not None
        assert sample.peak_memory_bytes > 1_000_000
    assert min(beyond_s) <= 0.005


def test_an_image_without_marks_gets_every_phase_that_can_be_seen_from_outside(
    bench: ColdStartBench, image: Callable[..., str]
) -> None:
    ref = image("good", DELAY=f"{DELAY_S}", READY_AFTER="0.3")
    (sample,) = measure(bench, ref)
    assert_good(sample)
    assert list(sample.phases_s) == [
        Phase.CREATE,
        Phase.START,
        Phase.BOOT,
        Phase.FIRST_PREDICTION,
    ]
    assert sample.probe_interval_s is not None
    assert sample.phases_s[Phase.BOOT] >= DELAY_S + 0.25 - sample.probe_interval_s
    assert sample.boot is not None
    assert sample.boot.port_open_s is not None
    assert sample.boot.port_open_s >= DELAY_S
    assert sample.evidence["answer"] == '{"bytes": 4}'


@pytest.fixture
def front(engine: DockerEngine, platform: Platform, progress: Progress) -> Iterator[str]:
    """A front server that answers 502 until its child has ended, a second and a half later."""
    base = ensure_base(platform, engine, progress).ref
    server = known.SERVER.parent / "front.py"
    ref = known.make(engine, base, "front", {"LOADS": "1.5"}, server=server)
    yield ref
    known.remove(engine, ref)


def test_boot_goes_on_behind_a_front_server_and_says_what_came_up(
    bench: ColdStartBench, front: str
) -> None:
    (sample,) = measure(bench, front)
    assert_good(sample)
    boot = sample.boot
    assert boot is not None
    assert Phase.READY not in sample.phases_s
    assert boot.port_open_s is not None
    assert sample.phases_s[Phase.BOOT] >= boot.port_open_s + 1.5
    refused = next(one for one in boot.answers if one.status == 502)
    assert boot.port_open_s <= refused.from_s < refused.until_s <= sample.phases_s[Phase.BOOT]
    assert boot.cpu_seconds is not None
    assert sample.cpu_seconds is not None
    assert 0.2 <= boot.cpu_seconds <= sample.cpu_seconds
    came = {one.name: one for one in boot.processes}
    assert came.keys() == {"python3", "sleep"}
    assert came["python3"].first_s <= boot.port_open_s <= came["sleep"].first_s + 0.02


def test_other_work_on_the_machine_is_seen_named_and_spoils_the_trial(
    bench: ColdStartBench, image: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = image("good", DELAY=f"{DELAY_S}")
    monkeypatch.delenv(busy.VARIABLE, raising=False)
    burn = "import time\nend = time.monotonic() + 120\nwhile time.monotonic() < end: pass"
    # Their parent ends at once: what this process starts would be the lab's own.
    orphan = 'for one in $(seq "$2"); do "$0" -c "$1" >/dev/null 2>&1 & echo $!; done'
    words = ["sh", "-c", orphan, sys.executable, burn, str(2 * usable_cpus())]
    burners = subprocess.run(words, text=True, capture_output=True, check=True).stdout.split()
    try:
        (sample,) = measure(bench, ref)
    finally:
        for pid in burners:
            os.kill(int(pid), signal.SIGKILL)
    assert_good(sample)
    assert sample.machine is not None
    assert sample.disturbed
    assert sample.machine.taken > 0.3
    assert any(name.startswith("python") for name in sample.machine.who)
    assert sample.cpu_seconds is not None
    assert sample.machine.others_s <= sample.machine.wall_s * sample.machine.cpus


def test_a_restart_is_the_same_container_with_a_new_process(
    bench: ColdStartBench, image: Callable[..., str]
) -> None:
    samples = measure(bench, image("marks", DELAY="0.1"), StartKind.RESTART, times=3)
    assert len({sample.evidence["container_id"] for sample in samples}) == 1
    assert len({sample.evidence["process_ns"] for sample in samples}) == 3
    for sample in samples:
        assert sample.evidence["before"]["process_ns"] < sample.evidence["process_ns"]
        assert Phase.CREATE not in sample.phases_s


def test_fresh_starts_are_different_containers(
    bench: ColdStartBench, image: Callable[..., str]
) -> None:
    samples = measure(bench, image("good"), times=2)
    assert len({sample.evidence["container_id"] for sample in samples}) == 2


def test_a_tier_limits_the_container(bench: ColdStartBench, image: Callable[..., str]) -> None:
    (sample,) = measure(bench, image("marks", DELAY="0.1"), tier="1024")
    assert_good(sample)
    assert sample.throttled_seconds is not None


@pytest.mark.skipif(pagecache.why_not(local=True) is not None, reason="may not drop the page cache")
def test_a_disk_cold_start_begins_with_an_empty_page_cache(
    bench: ColdStartBench, image: Callable[..., str]
) -> None:
    (sample,) = measure(bench, image("good"), StartKind.DISKCOLD)
    assert_good(sample)
    assert sample.evidence["page_cache_after_bytes"] < 256 * 1024 * 1024


@pytest.mark.parametrize(
    ("mode", "patience_s", "kind", "says", "logs"),
    [
        ("exit-3", 60, FailureKind.EARLY_EXIT, "before it was ready with code 3", "weights.bin"),
        ("silent", 3, FailureKind.NEVER_READY, "Not ready within 3 s: nothing listens", ""),
        # It must have answered by then, on a machine that stalls too.
        ("ping-500", 8, FailureKind.NEVER_READY, "/ping last answered 500", ""),
        ("teapot", 60, FailureKind.INVOCATION, "answered 415: only application/x-tea is brew", ""),
        ("die-on-post", 60, FailureKind.EARLY_EXIT, "exited during the first predictions", ""),
    ],
)
def test_a_container_that_fails_says_why(
    bench: ColdStartBench,
    image: Callable[..., str],
    mode: str,
    patience_s: float,
    kind: FailureKind,
    says: str,
    logs: str,
) -> None:
    impatient = replace(bench, limits=Limits(probe_interval_s=0.01, ready_timeout_s=patience_s))
    (sample,) = measure(impatient, image(mode))
    assert sample.outcome is Outcome.FAILED
    assert sample.failure is not None
    assert sample.failure.kind is kind
    assert says in sample.failure.message
    assert logs in sample.failure.log_tail


def test_a_container_that_runs_out_of_memory_says_so(
    bench: ColdStartBench, image: Callable[..., str]
) -> None:
    (sample,) = measure(bench, image("oom"), tier="96")
    assert sample.failure is not None
    assert sample.failure.kind is FailureKind.OOM
    assert sample.failure.exit_code == 137
    assert "loading the model" in sample.failure.log_tail


def test_an_image_without_serve_is_explained(
    bench: ColdStartBench, engine: DockerEngine, platform: Platform, progress: Progress
) -> None:
    (sample,) = measure(bench, ensure_base(platform, engine, progress).ref)
    assert sample.failure is not None
    assert "docker run IMAGE serve" in sample.failure.cure


def test_an_image_that_is_nowhere_is_a_failed_sample(bench: ColdStartBench) -> None:
    (sample,) = measure(bench, "inference-lab-test/nowhere:1")
    assert sample.failure is not None
    assert "inference-lab-test/nowhere:1" in sample.failure.message


def test_a_pull_is_measured_on_a_cold_host_and_refused_on_a_warm_one(
    bench: ColdStartBench,
    image: Callable[..., str],
    built: Callable[[str], str],
    engine: DockerEngine,
    platform: Platform,
    progress: Progress,
) -> None:
    built("registry")
    built("coldhost")
    ref = image("marks", DELAY="0.2")
    subject = Subject(image=ref, archive=None, payload=b"tea?", content_type="text/plain")
    with cold_hosts(
        engine,
        [(subject, platform)],
        kinds={StartKind.PULL},
        native=platform,
        speed=Speed(bandwidth=100_000_000, latency_s=0.0),
        owner=OWNER,
        progress=progress,
    ) as cold:
        (sample,) = measure(replace(bench, cold=cold.pulled), ref, StartKind.PULL)
        assert_good(sample)
        assert sample.pulled_layers == 2
        assert list(sample.phases_s)[:3] == [
            Phase.IMAGE_PULL,
            Phase.IMAGE_UNPACK,
            Phase.CREATE,
        ]
        assert sample.phases_s[Phase.IMPORTS] == pytest.approx(0.08, abs=1e-6)
        # Above 25 MB over this link: no machine is too busy for that, and none too fast.
        assert sample.phases_s[Phase.IMAGE_PULL] > 2
        assert sample.phases_s[Phase.IMAGE_PULL] > sample.phases_s[Phase.CREATE]
        with cold.pulled(platform) as site:
            site.engine.pull(sample.evidence["pulled_from"])
            with pytest.raises(NotColdError):
                site.bring(subject, TrialRecorder())


def test_an_image_on_demand_is_fetched_anew_and_only_where_it_is_read(
    bench: ColdStartBench,
    image: Callable[..., str],
    built: Callable[[str], str],
    engine: DockerEngine,
    platform: Platform,
    progress: Progress,
) -> None:
    built("registry")
    built("coldhost")
    ref = image("marks", DELAY="0.2")
    subject = Subject(image=ref, archive=None, payload=b"tea?", content_type="text/plain")
    speed = Speed(bandwidth=400_000_000, latency_s=0.001)
    with cold_hosts(
        engine,
        [(subject, platform)],
        kinds={StartKind.ONDEMAND},
        native=platform,
        speed=speed,
        owner=OWNER,
        progress=progress,
    ) as cold:
        samples = measure(replace(bench, on_demand=cold.demanded), ref, StartKind.ONDEMAND, times=2)
    each_s = speed.latency_s + CHUNK_BYTES * 8 / speed.bandwidth
    for sample in samples:
        assert_good(sample)
        assert list(sample.phases_s)[:2] == [Phase.IMAGE_MOUNT, Phase.CREATE]
        assert sample.phases_s[Phase.IMPORTS] == pytest.approx(0.08, abs=1e-6)
        assert sample.chunks is not None
        # An interpreter and what it imports: a part of the image.
        assert 10 * CHUNK_BYTES < sample.chunks.bytes < 0.7 * sample.chunks.image_bytes
        assert sample.chunks.wait_s >= 0.9 * sample.chunks.count * each_s
        assert sample.evidence["device_reads_before"] == 0
        assert sample.evidence["device_bytes"] <= sample.evidence["fetched_chunks"] * CHUNK_BYTES
    first, second = (sample.chunks.count for sample in samples if sample.chunks is not None)
    assert second == pytest.approx(first, rel=0.1)
    assert "/run/ondemand" not in Path("/proc/mounts").read_text()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    return tmp_path


def test_an_image_of_the_user_s_is_measured_as_well_as_ours(
    home: Path, engine: DockerEngine, image: Callable[..., str], progress: Progress
) -> None:
    payload = home / "question.txt"
    payload.write_text("tea?")
    plan = Plan.model_validate(
        {
            "name": "own",
            "start_kinds": ["restart", "fresh", "pull"],
            "repeats": 1,
            "warm_up": False,
            "own": {
                "image": image("good", DELAY="0.1"),
                "payload": payload,
                "content_type": "text/plain",
            },
        }
    )
    for _ in range(3):
        folder = runner.run(plan, prepare=prepared, progress=progress, lock=home / "lock")
        samples = folder.samples()
        assert len(samples) == 6
        if not any(inconsistent(sample) for sample in samples):  # the machine stalled
            break
    for sample in samples:
        assert_good(sample)
    record = folder.run()
    (own,) = [one for one in record.images if one.variant == "inference-lab-test-good-delay-0.1"]
    assert own.compressed_bytes is not None
    assert own.layers
    assert record.bandwidth_bits_per_s == 1_000_000_000
    assert engine.containers({LABEL_OWNER: record.id}) == []
    assert not (home / ".cache" / "trials").exists()


def test_the_report_of_a_user_s_image_is_about_it_and_gives_its_reference_no_advice(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    image: Callable[..., str],
    built: Callable[[str], str],
    mobilenet: str,
) -> None:
    ref = image("good", DELAY="0.3")
    built("onnx-slim")
    (tmp_path / "artifacts").symlink_to(paths.artifacts())  # the model is there already
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    (tmp_path / "question.txt").write_text("tea?")
    own = ["--image", ref, "--payload", str(tmp_path / "question.txt"), "--against", "onnx-slim"]
    words = ["run", *own, "--model", mobilenet, "--start", "fresh", "--repeats", "1"]
    for _ in range(3):
        said = CliRunner().invoke(app, words, catch_exceptions=False)
        folder = RunFolder.find("latest").path
        summary = read_summary(folder)
        if all(row.n for row in summary.rows):  # else the machine stalled
            break
    assert said.exit_code == 0, said.output
    mine = variant_name(ref)
    assert {row.variant for row in summary.rows if not row.reference} == {mine}
    assert {row.variant for row in summary.rows if row.reference} == {"onnx-slim", FLOOR}
    assert summary.headline.text.startswith(f"{mine} answers its first prediction")
    assert summary.findings
    for one in summary.findings:
        for reference in ("onnx-slim", FLOOR, mobilenet):
            assert reference not in " ".join([one.title, one.seen, *one.cells])
    page, text = ((folder / name).read_text() for name in ("report.html", "report.md"))
    for told in (page, text, said.output):
        for about_us in ("Graviton", "published study", "Figures to reach"):
            assert about_us not in told
    assert page.index('id="findings"') < page.index('id="layers"') < page.index('id="samples"')
    (recorded,) = [one for one in RunFolder(folder).run().images if one.variant == mine]
    section = text.split(f"### Layers of {mine}")[1].split("\n#")[0]
    assert section.count("\n| `") == len(recorded.layers) > 1


def test_ctrl_c_keeps_the_samples_removes_the_containers_and_resume_goes_on(
    home: Path, engine: DockerEngine, image: Callable[..., str]
) -> None:
    ref = image("good", DELAY="0.3")
    (home / "question.txt").write_text("tea?")
    words = [sys.executable, "-m", "lab", "coldstart", "run"]
    env = {**os.environ, "TMPDIR": str(home), "DOCKER_HOST": engine.address}
    ours = ["--image", ref, "--payload", str(home / "question.txt"), "--start", "fresh"]
    bench = subprocess.Popen(
        [*words, *ours, "--repeats", "4"], env=env, text=True, stderr=subprocess.PIPE
    )
    try:
        wait_until(lambda: len(_samples(home)) >= 2)
        bench.send_signal(signal.SIGINT)
        _, said = bench.communicate(timeout=PATIENCE_S)
    finally:
        bench.kill()
        bench.wait()
    kept = _samples(home)
    folder = RunFolder.find("latest", root=home / "runs")
    assert bench.returncode == 130
    assert f"--resume {folder.path.name}" in " ".join(said.split())
    assert 2 <= len(kept) < 10
    assert engine.containers({LABEL_OWNER: folder.path.name}) == []
    again = subprocess.run(
        [*words, "--resume", "latest"], env=env, text=True, capture_output=True, check=False
    )
    assert again.returncode == 0, again.stderr
    samples = _samples(home)
    assert samples[: len(kept)] == kept
    assert [sample.trial for sample in samples] == list(range(10))
    assert (folder.path / "report.html").is_file()


def _samples(home: Path) -> list[Sample]:
    if not (home / "runs" / "latest").exists():
        return []
    return RunFolder.find("latest", root=home / "runs").samples()
