"""A past run into Prometheus, at the times when it happened.

Prometheus takes no samples older than its newest block by scraping; it does take whole blocks.
``promtool`` makes them beside its data, on the same file system, and they are then moved in, each
in one step: Prometheus finds new ones once a minute. Blocks may overlap what it has on disk, but
must end before what it holds in memory: when it starts again, it drops of its log what is older
than its newest block.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from lab.errors import CommandError, EndpointError, UsageError
from lab.observe.render.prometheus import Prometheus
from lab.observe.render.timespan import seconds_of
from lab.observe.runs.exposition import openmetrics
from lab.observe.runs.readings import (
    BenchReadings,
    Reading,
    following,
    previous,
    read,
    readings,
    trials,
)
from lab.process import run
from lab.progress import Progress
from lab.services import PROJECT, SERVICES
from lab.spec import LABEL_ROLE

HOLD_S: Final = 3600.0
"""For so long a replayed run's figures stay, unless a newer run of its plan ended before: the
Pushgateway would show them until then, and a graph of days would not meet a single instant."""
_STEP_S: Final = 60.0
_SEEN_S: Final = 100.0
_POLL_S: Final = 2.0
_DOCKER_S: Final = 10.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

_SCRIPT: Final = r"""set -eu
data=$1
made=$(mktemp -d "$data/replay.XXXXXX")
trap 'rm -rf "$made"' EXIT
cat > "$made/openmetrics"
promtool tsdb create-blocks-from openmetrics "$made/openmetrics" "$made/blocks" >&2
for block in "$made"/blocks/*/; do
    [ -f "$block/meta.json" ] || continue
    mv "$block" "$data/"
    basename "$block"
done
"""
"""Takes the text on standard input and prints the blocks it put into the data folder."""


@dataclass(frozen=True, kw_only=True)
class DataFolder:
    """Where Prometheus keeps its data, as it sees it itself.

    In a container its own promtool is run as its own user; else the one installed here.
    """

    path: str
    container: str | None = None
    docker: str | None = None
    """The engine's address; None is what the Docker client finds."""

    def load(self, text: str) -> Sequence[str]:
        """Make blocks of OpenMetrics text; their names. Raises ``CommandError``."""
        script = ["sh", "-c", _SCRIPT, "sh", self.path]
        if self.container is None:
            return run(script, input_text=text).stdout.split()
        inside = ["docker", "exec", "--interactive", self.container, *script]
        return run(inside, env=_engine(self.docker), input_text=text).stdout.split()

    def __str__(self) -> str:
        return (
            self.path
            if self.container is None
            else f"{self.path} in the container {self.container}"
        )


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What became of a run."""

    bench: BenchReadings
    new: bool
    """False: it was there already."""
    samples: int = 0
    blocks: Sequence[str] = ()
    place: str = ""


def address(env: Mapping[str, str] = os.environ) -> str:
    """Where Prometheus should be on this machine."""
    return SERVICES["prometheus"].address(env)


def history(bench: BenchReadings, *, runs: Path) -> Sequence[Reading]:
    """A run at its own times, none of them ahead of now.

    Which run it is, from its begin on; each start, as it ended; the figures, from its end on.
    """
    after = following(bench, runs)
    until = min(bench.ended + HOLD_S, time.time())
    if after is not None:
        until = min(until, after.ended)
    figures = list(readings(bench, previous=previous(bench, runs)))
    named = [one for one in figures if one.name == "lab_bench_run_info"]
    told = [replace(one, at=at) for at in _steps(bench.began, bench.ended) for one in named]
    told += trials(bench)
    held = [*_steps(bench.ended, until), max(bench.ended, until)]
    told += [replace(one, at=at) for at in held for one in figures]
    return told


def to_text(folder: Path, *, runs: Path) -> str:
    """The run as OpenMetrics, for other tools. Raises ``UsageError``."""
    bench = read(folder)
    return openmetrics(history(bench, runs=runs), plan=bench.run.plan_name)


def retention_s(prometheus: Prometheus) -> float | None:
    """How long it keeps samples; None is without limit of time."""
    said = str(_status(prometheus, "runtimeinfo").get("storageRetention", ""))
    try:
        return seconds_of(said.partition(" or ")[0])
    except UsageError:  # a size, or nothing
        return None


def data_folder(prometheus: Prometheus) -> str:
    """Its data folder, as it sees it itself."""
    folder = str(_status(prometheus, "flags")["storage.tsdb.path"])
    there = str(_status(prometheus, "runtimeinfo").get("CWD", "/"))
    return os.path.normpath(os.path.join(there, folder))  # noqa: PTH118 - not of this machine


def _status(prometheus: Prometheus, of: str) -> Any:
    return prometheus.ask(f"/api/v1/status/{of}", method="GET")


def _has(prometheus: Prometheus, bench: BenchReadings) -> bool:
    """Whether the run was replayed: only then is it known at the time when it began."""
    query = f'lab_bench_run_info{{run="{bench.run.id}"}}'
    return bool(prometheus.instant(query, at=bench.began + 0.5))


def _memory_begins(prometheus: Prometheus) -> float:
    """From when on it holds samples in memory; now, when it has none."""
    return min(int(_status(prometheus, "tsdb")["headStats"]["minTime"]) / 1000, time.time())


def find_place(prometheus: Prometheus, *, docker: str | None) -> DataFolder:
    """Where the blocks go: the container that publishes this address, or a folder here.

    Raises ``UsageError`` that says what is missing.
    """
    parts = httpx.URL(prometheus.url)
    port = parts.port or 80
    data = data_folder(prometheus)
    if parts.host in _LOOPBACK:
        name = _container(port, docker)
        if name is not None:
            return DataFolder(path=data, container=name, docker=docker)
    folder = Path(data)
    missing = [
        what
        for what, there in (
            ("a container of the lab's that publishes it", False),
            (f"its data folder {data} on this machine", (folder / "wal").is_dir()),
            ("leave to write there", os.access(folder, os.W_OK)),
            ("promtool (Debian: the package prometheus)", shutil.which("promtool") is not None),
        )
        if not there
    ]
    if len(missing) == 1 and parts.host in _LOOPBACK:
        return DataFolder(path=data)
    raise UsageError(
        f"Nothing can be put into Prometheus at {prometheus.url}. Missing: {'; '.join(missing)}.",
        remedy="Write a file, and make blocks where its data are: lab observe replay RUN --out "
        "FILE; promtool tsdb create-blocks-from openmetrics FILE FOLDER",
    )


def replay(
    folder: Path,
    *,
    runs: Path,
    prometheus: Prometheus,
    docker: str | None,
    progress: Progress,
    pause: Callable[[float], None] = time.sleep,
) -> Replayed:
    """Put a run into Prometheus and wait until it answers with it. Twice does nothing.

    Raises ``UsageError`` when the run is older than Prometheus remembers or there is no way in,
    ``CommandError`` with promtool's words, ``PrometheusError`` when it does not answer, and
    ``EndpointError`` when it never shows the run.
    """
    bench = read(folder)
    if _has(prometheus, bench):
        return Replayed(bench=bench, new=False)
    kept = retention_s(prometheus)
    age = time.time() - bench.began
    if kept is not None and age > kept:
        raise UsageError(
            f"{bench.run.id} is {age / 86400:.0f} days old, and Prometheus at {prometheus.url} "
            f"forgets after {kept / 86400:.3g}.",
            remedy="Give it a longer --storage.tsdb.retention.time, then replay it again.",
        )
    begins = _memory_begins(prometheus)
    if bench.ended >= begins:
        raise UsageError(
            f"{bench.run.id} ended at {_clock(bench.ended)}, and Prometheus at {prometheus.url} "
            f"still holds in memory what came after {_clock(begins)}: it takes only what is older.",
            remedy="It writes it to disk after three hours: replay the run then. "
            f"Its figures alone can be had now: lab observe push {bench.run.id}",
        )
    place = find_place(prometheus, docker=docker)
    told = [one for one in history(bench, runs=runs) if (one.at or 0.0) < begins]
    with progress.step(f"Replaying {bench.run.id}") as step:
        blocks = place.load(openmetrics(told, plan=bench.run.plan_name))
        step.detail("until Prometheus finds the blocks: it looks once a minute")
        waited = 0.0
        while not _has(prometheus, bench):
            if waited > _SEEN_S:
                raise EndpointError(
                    f"Prometheus at {prometheus.url} does not show the blocks in {place}: "
                    f"{', '.join(blocks) or 'none was made'}.",
                    remedy=f"See its log: docker logs {PROJECT}-prometheus",
                )
            pause(_POLL_S)
            waited += _POLL_S
    return Replayed(bench=bench, new=True, samples=len(told), blocks=blocks, place=str(place))


def _container(port: int, docker: str | None) -> str | None:
    asked = ["docker", "ps", "--filter", f"label={LABEL_ROLE}=prometheus"]
    asked += ["--filter", f"publish={port}", "--format", "{{.Names}}"]
    try:
        names = run(asked, env=_engine(docker), timeout_s=_DOCKER_S).stdout.split()
    except CommandError:
        return None
    return names[0] if names else None


def _engine(docker: str | None) -> Mapping[str, str] | None:
    return None if docker is None else {"DOCKER_HOST": docker, "DOCKER_CONTEXT": ""}


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _steps(begin: float, end: float) -> Iterator[float]:
    at = begin
    while at < end:
        yield at
        at += _STEP_S
