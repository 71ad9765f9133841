"""The study's warm protocol: what is sent, what is counted, and what it costs by its formula."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import paths
from lab.errors import UsageError
from lab.loadtest.folder import LoadFolder
from lab.loadtest.record import TargetKind, TargetRecord
from lab.loadtest.study import (
    PROTOCOL,
    STUDY_FILE,
    OpenedCase,
    StudyCase,
    StudyResult,
    StudyRow,
    Workers,
    cases,
    protocol,
    study,
)
from lab.loadtest.targets.api import CallAnswer, CallRoute, LoadPayload
from lab.loadtest.targets.sizes import Size
from lab.loadtest.targets.url import UrlTarget
from lab.progress import Silent
from lab.report.study.warm import document, effects, under_quota
from lab.runfiles import parse

MOBILENET, VGG19 = "retinopathy-mobilenet", "retinopathy-vgg19"
ONE_GB, TWO_GB, INSTANCE = Size.parse("1024"), Size.parse("2048"), Size.parse("ml.m5.xlarge")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


def record(size: Size) -> TargetRecord:
    return TargetRecord(
        kind=TargetKind.IMAGE,
        name="slim",
        size=size.name,
        memory_mb=size.memory_mb,
        serverless=size.serverless,
        notes=("This machine is smaller.",) if size is INSTANCE else (),
    )


def row(
    model: str, size: Size, workers: int, mean_s: float, cpu_s: float | None = None
) -> StudyRow:
    return StudyRow(
        model=model,
        size=size.name,
        workers=workers,
        target=record(size),
        folder="steps/x",
        n=25,
        failed=0,
        mean_s=mean_s,
        sd_s=0.01,
        cpu_s=cpu_s,
        usd=1e-5 if size.serverless else None,
    )


def result(*rows: StudyRow, scale: float = 1.0) -> StudyResult:
    return StudyResult(
        id="x", started_at="", lab_version="", variant="slim", scale=scale, rows=rows
    )


def test_the_protocol_is_one_uncounted_request_and_25_in_series_5_s_apart() -> None:
    asked = protocol(1.0)
    assert (asked.clients, asked.requests, asked.uncounted, asked.pause_s) == (1, 26, 1, 5.0)


def test_the_study_had_one_worker_up_to_1_gb_and_two_above() -> None:
    made = cases([VGG19], [ONE_GB, TWO_GB, INSTANCE], Workers.STUDY)
    assert [one.workers for one in made] == [1, 2, 2]
    assert [one.workers for one in cases([VGG19], [ONE_GB, TWO_GB], Workers.ONE)] == [1, 1]
    both = cases([VGG19], [ONE_GB, TWO_GB], Workers.BOTH)
    assert [(one.size.name, one.workers) for one in both] == [
        ("1024", 1),
        ("2048", 1),
        ("2048", 2),
    ]


def test_a_case_is_counted_without_its_first_request_and_priced_by_the_formula() -> None:
    sent: list[float] = []

    def call(payload: LoadPayload) -> CallAnswer:
        sent.append(time.monotonic())
        time.sleep(0.5 if len(sent) == 1 else 0.002)
        return CallAnswer(status=200 if len(sent) != 5 else 500)

    @contextmanager
    def opened(case: StudyCase) -> Iterator[OpenedCase]:
        yield OpenedCase(
            target=UrlTarget(record=record(case.size), route=CallRoute(call=call)),
            payload=LoadPayload(name="x", body=b"{}", content_type="application/json"),
            cpu_seconds=lambda: len(sent) * 0.25,
        )

    progress = Silent()
    wanted = cases([VGG19], [TWO_GB], Workers.STUDY)
    found = study(opened, wanted, scale=0.002, progress=progress)
    (one,) = found.rows
    assert len(sent) == 26
    assert (one.n, one.failed, one.workers) == (24, 1, 2)
    assert one.mean_s is not None
    assert one.cpu_s == 0.25
    assert one.usd == pytest.approx(2 * one.mean_s * 0.00002)

    path = paths.runs() / found.id
    folder = LoadFolder(path / one.folder)
    counted = folder.requests()
    took = counted.latency_s[(counted.number >= 1) & counted.answered].tolist()
    assert one.mean_s == pytest.approx(statistics.fmean(took))
    assert one.sd_s == pytest.approx(statistics.pstdev(took))
    assert folder.load().protocol == PROTOCOL
    assert parse(StudyResult, (path / STUDY_FILE).read_bytes(), of=path) == found
    assert "2 workers" in progress.notes[0]
    assert "1 failed" in progress.notes[0]


def test_a_scale_above_the_studys_is_refused() -> None:
    with pytest.raises(UsageError, match="of the study's"):
        study(lambda case: pytest.fail("started"), [], scale=1.5, progress=Silent())
    assert not paths.runs().exists()


def test_shortened_pauses_are_said_and_the_studys_own_are_not() -> None:
    assert "500 ms apart (the study's 5 s times 0.1)" in result(scale=0.1).protocol
    assert result().protocol.endswith("5.00 s apart")


def test_published_figures_stand_beside_ours_with_ours_costs() -> None:
    text = document(
        result(row(VGG19, ONE_GB, 1, 1.0, 0.58), row(MOBILENET, INSTANCE, 2, 0.05))
    ).to_markdown()
    assert "| VGG19 | 1024 | 1 | 1594 (59) | 1884 (54) | 1000 (10) | 580 | 37.6 | 10.0 |" in text
    # 0.05 s by 0.23 USD an hour.
    assert (
        "| MobileNet | ml.m5.xlarge | 2 | 61.5 (1.9) | 261 (8) | 50.0 (10.0) | — | 0.00393 |"
        in text
    )
    assert "| 0.00319 |" in text
    assert "This machine is smaller." in text


def test_memorys_part_and_the_workers_part_are_told_apart() -> None:
    rows = [
        row(VGG19, ONE_GB, 1, 2.0, 0.58),
        row(VGG19, TWO_GB, 1, 1.0, 0.6),
        row(VGG19, TWO_GB, 2, 0.8, 0.6),
    ]
    (said,) = effects(result(*rows))
    assert "VGG19, 1024 to 2048 MB: published 2.73x by prediction" in said
    assert "Here the same is 2.50x; with one worker at both it is 2.00x" in said
    assert "factor of 1.25" in said
    assert "published ratio is 1.09x of ours" in said
    assert "takes 580 ms of CPU at 1024 MB and 600 ms at 2048 MB" in said
    # Ten stops of 100 ms, each after 57.9 ms of work, and 1.1 ms: more than a core is not used.
    assert "0.58 and 1.16 vCPU" in said
    assert "that is 1.00 s and 600 ms, 1.67x" in said


def test_a_request_that_needs_less_than_a_part_of_the_quota_is_not_slowed_by_it() -> None:
    assert under_quota(0.036, 1024 / 1769) == 0.036
    assert under_quota(0.06, 0.5) == pytest.approx(0.11)
    assert under_quota(0.4, 1.9) == 0.4
    assert under_quota(0.4, 2.3) == 0.2


def test_of_one_mode_alone_nothing_is_said_of_the_workers() -> None:
    assert not list(effects(result(row(VGG19, ONE_GB, 1, 2.0), row(VGG19, TWO_GB, 2, 0.8))))
    text = document(result(row(VGG19, ONE_GB, 1, 2.0), row(VGG19, TWO_GB, 2, 0.8))).to_markdown()
    assert "| VGG19 | 1024 / 2048 | 2.00x | 2.73x | 2.18x | 2.50x | — |" in text
