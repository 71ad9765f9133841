"""Load folders as a runner leaves them, made of arrays."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lab.load.arrivals.schedule import Schedule
from lab.load.job import SenderState, row
from lab.load.requests import Floats
from lab.loadtest.folder import LoadFolder
from lab.loadtest.record import (
    ClosedRecord,
    Load,
    PayloadRecord,
    PoolReading,
    Sitting,
    TargetKind,
    TargetRecord,
)

TARGET = TargetRecord(kind=TargetKind.ENDPOINT, name="retinopathy", size="2048", serverless=True)
HOST: dict[str, Any] = {"cpu_model": "AMD EPYC 9R14", "cpus": 2, "hostname": "one"}


def latencies(n: int = 1200, *, seed: int = 1, scale: float = 1.0) -> Floats:
    """About 50 ms, skewed."""
    return np.asarray(scale * (0.04 + np.random.default_rng(seed).exponential(0.012, n)))


def write(
    root: Path,
    latency_s: Floats,
    *,
    name: str = "20261120T120000Z-load",
    cold: Floats | None = None,
    status: Floats | None = None,
    late_s: float = 0.0001,
    per_s: float = 20.0,
    clients: int | None = None,
    uncounted: int = 0,
    ended: str = "done",
    machine: dict[str, Any] | None = None,
    cause: str | None = None,
    pool: bool = False,
    errors: str = "connection refused",
    **more: Any,
) -> LoadFolder:
    """Requests at a constant pace, or one after the other in a closed loop."""
    n = len(latency_s)
    due = np.arange(n) / per_s if clients is None else np.cumsum(latency_s) - latency_s
    schedule = Schedule(said=f"constant:{per_s:g}/s", instants=due, horizon_s=n / per_s)
    told: dict[str, Any] = {
        "target": TARGET,
        "host": HOST,
        "payloads": (
            PayloadRecord(name="eye.jpg", content_type="image/jpeg", bytes=9, sha256="ab"),
        ),
    }
    if clients is None:
        told |= {
            "schedule": schedule.said,
            "schedule_sha256": schedule.sha256,
            "rate_per_s": per_s,
            "horizon_s": schedule.horizon_s,
        }
    else:
        told["closed"] = ClosedRecord(clients=clients, requests=n, uncounted=uncounted)
    load = Load(
        id=name,
        started_at="2026-11-20T12:00:00+00:00",
        lab_version="0",
        git_commit=None,
        git_dirty=None,
        timeout_s=60,
        **(told | more),
    )
    folder = LoadFolder.create(load, None if clients else schedule, root=root)
    lines = []
    for number in range(n):
        sent_s = due[number] + (late_s if clients is None else 0.0)
        code = 200 if status is None else int(status[number])
        lines.append(
            row(
                number,
                0,
                intended_s=due[number],
                sent_s=sent_s,
                first_byte_s=due[number] + latency_s[number],
                done_s=due[number] + latency_s[number],
                status=code,
                cold=None if cold is None else bool(cold[number]),
                error=errors if code == 0 else "",
            )
        )
    folder.requests_path.write_text("".join(lines), encoding="utf-8")
    state = SenderState(
        began_at=0.0, elapsed_s=n / per_s, sent=n, done=n, cpu_s=0.5, priority="normal", ended=ended
    )
    folder.append_sitting(Sitting(number=0, state=asdict(state), machine=machine, cause=cause))
    if pool:
        folder.append_pool(PoolReading(at_s=0.1, containers=0, starting=1))
        folder.append_pool(PoolReading(at_s=2.0, containers=2, starting=0, memory_bytes=300))
    return folder


def with_cold(root: Path, **more: Any) -> LoadFolder:
    """Twelve cold starts of 3 s among 1200 requests."""
    latency, cold = latencies(), np.zeros(1200)
    cold[::100] = 1
    latency[cold == 1] = 3.0
    return write(root, latency, cold=cold, pool=True, **more)
