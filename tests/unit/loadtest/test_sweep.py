"""Closed sweeps: what more clients get, and what each pays for the others."""

import threading
import time
from pathlib import Path

import pytest

from lab import paths
from lab.errors import UsageError
from lab.loadtest.folder import LoadFolder
from lab.loadtest.record import TargetKind, TargetRecord
from lab.loadtest.sweep import SWEEP_FILE, SweepPlan, SweepResult, doubled, sweep
from lab.loadtest.targets.api import CallAnswer, CallRoute, LoadPayload
from lab.loadtest.targets.url import UrlTarget
from lab.progress import Silent
from lab.runfiles import parse


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


def test_clients_double_up_to_the_most_and_end_with_it() -> None:
    assert doubled(8) == [1, 2, 4, 8]
    assert doubled(12) == [1, 2, 4, 8, 12]
    assert doubled(1) == [1]


def test_a_sweep_without_clients_is_refused() -> None:
    with pytest.raises(UsageError, match="none"):
        doubled(0)


def test_a_server_with_one_worker_gives_more_clients_no_more_but_lets_them_wait() -> None:
    worker = threading.Lock()

    def call(payload: LoadPayload) -> CallAnswer:
        with worker:
            time.sleep(0.02)
            return CallAnswer(status=200)

    target = UrlTarget(
        record=TargetRecord(kind=TargetKind.AWS, name="mine"),
        route=CallRoute(call=call, clients=8),
    )
    payloads = [LoadPayload(name="x", body=b"{}", content_type="application/json")]
    plan = SweepPlan(payloads=payloads, clients=[1, 4], step_s=1.0, warm_s=0.1)
    progress = Silent()
    found = sweep(target, plan, progress=progress)
    one, four = (step.summary for step in found.steps)
    assert one.latency is not None
    assert four.latency is not None
    assert four.latency.mean_s > 2.5 * one.latency.mean_s
    assert four.achieved_per_s < 1.5 * one.achieved_per_s
    assert [note.partition(":")[0] for note in progress.notes] == ["1 clients", "4 clients"]

    (folder,) = paths.runs().glob("*-load-sweep")
    path = folder / SWEEP_FILE
    assert parse(SweepResult, path.read_bytes(), of=path) == found
    assert all(LoadFolder(folder / step.folder).load().closed for step in found.steps)
    shown = found.summary()
    assert shown.closed
    assert [(step.clients, step.passed) for step in shown.steps] == [(1, None), (4, None)]
    assert shown.knee is None
