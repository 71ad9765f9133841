import os
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from lab.coldstart.record import Sample
from lab.errors import CommandError, EndpointError, UsageError
from lab.observe.render.prometheus import Prometheus, PrometheusError
from lab.observe.runs import readings, replay
from lab.observe.runs.exposition import openmetrics
from lab.observe.runs.replay import HOLD_S, DataFolder
from lab.progress import Silent
from tests.unit.observe.runs.test_readings_push import BEGAN, run
from tests.unit.observe.standins import Answer, Asked, standing_in

NOW = BEGAN + timedelta(days=2)


@pytest.fixture(autouse=True)
def _two_days_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "time", SimpleNamespace(time=NOW.timestamp))


def samples(text: str, name: str) -> list[Any]:
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return [one for family in families for one in family.samples if one.name == name]


def text_of(folder: Path, runs: Path) -> str:
    return replay.to_text(folder, runs=runs)


def test_it_is_openmetrics_with_the_labels_of_a_pushed_run(tmp_path: Path) -> None:
    text = text_of(run(tmp_path), tmp_path)
    assert text.endswith("# EOF\n")
    found = samples(text, "lab_bench_start_seconds")
    assert {(one.labels["job"], one.labels["plan"]) for one in found} == {("bench", "default")}


def test_figures_are_held_from_the_end_of_the_run_for_an_hour(tmp_path: Path) -> None:
    folder = run(tmp_path)
    one = readings.read(folder)
    times = [float(s.timestamp) for s in samples(text_of(folder, tmp_path), "lab_bench_samples")]
    assert min(times) == pytest.approx(one.ended, abs=0.001)
    assert max(times) == pytest.approx(one.ended + HOLD_S, abs=0.001)


def test_the_next_run_of_the_plan_takes_over(tmp_path: Path) -> None:
    folder = run(tmp_path)
    after = readings.read(run(tmp_path, days=0.02))
    run(tmp_path, days=0.015, plan="other")
    # The samples of a synthetic run have fixed times: only the end counts.
    times = [float(s.timestamp) for s in samples(text_of(folder, tmp_path), "lab_bench_samples")]
    assert max(times) <= max(after.ended, readings.read(folder).ended) + 0.001


def test_the_run_is_known_from_its_begin(tmp_path: Path) -> None:
    folder = run(tmp_path)
    found = samples(text_of(folder, tmp_path), "lab_bench_run_info")
    times = [float(one.timestamp) for one in found]
    assert min(times) == BEGAN.timestamp()
    assert len(times) == len(set(times))


def test_no_series_goes_back_in_time(tmp_path: Path) -> None:
    last: dict[str, float] = {}
    for line in text_of(run(tmp_path), tmp_path).splitlines():
        if not line.startswith("#"):
            series, _, at = line.rsplit(" ", 2)
            assert float(at) > last.get(series, 0.0)
            last[series] = float(at)


def test_names_with_odd_characters_survive() -> None:
    odd = 'a"b\\c\nd'
    reading = readings.Reading(name="lab_bench_samples", labels={"variant": odd}, value=1, at=1.5)
    (one,) = samples(openmetrics([reading], plan="x"), "lab_bench_samples")
    assert one.labels["variant"] == odd


class Server:
    """Prometheus's answers, as its documentation has them."""

    def __init__(self, *, retention: str = "15d or 2GiB", memory: float = 9e9) -> None:
        self.retention = retention
        self.memory = memory
        self.there = False

    def __call__(self, asked: Asked) -> tuple[int, Any]:
        data: Any = {}
        if asked.path.startswith("/api/v1/query"):
            series = [{"metric": {}, "value": [1, "1"]}] if self.there else []
            data = {"resultType": "vector", "result": series}
        elif asked.path == "/api/v1/status/tsdb":
            data = {"headStats": {"minTime": int(self.memory * 1000)}}
        elif asked.path == "/api/v1/status/flags":
            data = {"storage.tsdb.path": "data/"}
        elif asked.path == "/api/v1/status/runtimeinfo":
            data = {"storageRetention": self.retention, "CWD": "/nowhere"}
        return 200, {"status": "success", "data": data}


class Kept:
    """A place that keeps what it is given and lets the server answer with it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.texts: list[str] = []

    def load(self, text: str) -> Sequence[str]:
        self.texts.append(text)
        self.server.there = True
        return ["01ABC"]


def replayed(folder: Path, answer: Answer, *, progress: Silent | None = None) -> replay.Replayed:
    with standing_in(answer) as server, Prometheus(server.url) as prometheus:
        return replay.replay(
            folder,
            runs=folder.parent,
            prometheus=prometheus,
            docker=None,
            progress=progress or Silent(),
            pause=lambda _: None,
        )


@pytest.fixture
def recent(tmp_path: Path) -> Path:
    def then(sample: Sample) -> Sample:
        stamp = (BEGAN + timedelta(days=1, seconds=sample.trial)).isoformat()
        return sample.model_copy(update={"started_at": stamp})

    return run(tmp_path, days=1, spoil=then)


def test_a_run_is_loaded_once(recent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    place = Kept(server)
    monkeypatch.setattr(replay, "find_place", lambda *_, **__: place)
    first, second = replayed(recent, server), replayed(recent, server)
    assert (first.new, first.blocks) == (True, ["01ABC"])
    assert first.samples == sum(not line.startswith("#") for line in place.texts[0].splitlines())
    assert not second.new
    assert len(place.texts) == 1


def test_a_run_older_than_prometheus_remembers_is_refused(recent: Path) -> None:
    with pytest.raises(UsageError, match=r"1 days old.*forgets after 0\.25"):
        replayed(recent, Server(retention="6h"))


@pytest.mark.parametrize(
    ("said", "seconds"), [("15d or 2GiB", 15 * 86400), ("1h30m", 5400), ("2GiB", None), ("", None)]
)
def test_retention_is_read_as_prometheus_says_it(said: str, seconds: float | None) -> None:
    with standing_in(Server(retention=said)) as server, Prometheus(server.url) as prometheus:
        assert replay.retention_s(prometheus) == seconds


def test_what_prometheus_has_in_memory_is_left_alone(recent: Path) -> None:
    with pytest.raises(UsageError, match="lab observe push"):
        replayed(recent, Server(memory=readings.read(recent).ended - 1))


def test_only_what_is_older_than_memory_is_loaded(
    recent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = readings.read(recent).ended
    server = Server(memory=ended + 90)
    place = Kept(server)
    monkeypatch.setattr(replay, "find_place", lambda *_, **__: place)
    replayed(recent, server)
    held = {float(one.timestamp) for one in samples(place.texts[0], "lab_bench_samples")}
    assert len(held) == 2


def test_what_is_missing_is_said(recent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_container", lambda *_: None)
    with pytest.raises(UsageError, match=r"its data folder /nowhere/data on this machine") as said:
        replayed(recent, Server())
    assert "--out FILE" in said.value.remedy


def test_blocks_that_never_show_are_an_error(recent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Kept(Server())
    monkeypatch.setattr(replay, "find_place", lambda *_, **__: place)
    with pytest.raises(EndpointError, match="01ABC"):
        replayed(recent, Server())


def test_a_prometheus_that_does_not_answer_is_named() -> None:
    with pytest.raises(PrometheusError, match=re.escape("http://127.0.0.1:9")):
        replay.data_folder(Prometheus("http://127.0.0.1:9"))


def test_promtools_words_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(command: Sequence[str], **_: Any) -> Any:
        assert command[:4] == ["docker", "exec", "--interactive", "p"]
        raise CommandError("promtool: parsing error")

    monkeypatch.setattr(replay, "run", fails)
    with pytest.raises(CommandError, match="parsing error"):
        DataFolder(path="/prometheus", container="p").load("# EOF\n")


PROMTOOL = """#!/bin/sh
[ "$*" = "tsdb create-blocks-from openmetrics $4 $5" ] || exit 9
if grep -q broken "$4"; then mkdir -p "$5/01BAD"; echo "parse error" >&2; exit 1; fi
mkdir -p "$5/01GOOD" "$5/chunks_head"
cp "$4" "$5/01GOOD/meta.json"
echo "a table of blocks"
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of a Prometheus on this machine, with a promtool to find."""
    tool = tmp_path / "bin" / "promtool"
    tool.parent.mkdir()
    tool.write_text(PROMTOOL)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    (tmp_path / "data" / "wal").mkdir(parents=True)
    return tmp_path / "data"


def test_on_this_machine_finished_blocks_are_moved_in_and_nothing_else(data: Path) -> None:
    assert DataFolder(path=str(data)).load("# EOF\n") == ["01GOOD"]
    assert {path.name for path in data.iterdir()} == {"wal", "01GOOD"}
    assert (data / "01GOOD" / "meta.json").read_text() == "# EOF\n"


def test_a_failure_leaves_nothing_in_the_data_folder(data: Path) -> None:
    with pytest.raises(CommandError, match="parse error"):
        DataFolder(path=str(data)).load("broken\n")
    assert {path.name for path in data.iterdir()} == {"wal"}


def test_a_prometheus_of_this_machine_is_found_by_its_folder(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_container", lambda *_: None)
    monkeypatch.setattr(replay, "data_folder", lambda _: str(data))
    place = replay.find_place(Prometheus("http://127.0.0.1:9090"), docker=None)
    assert place == DataFolder(path=str(data))
