"""A load from its plan to its folder, by the sender that is a process of its own."""

import signal
from pathlib import Path

import numpy as np
import pytest

from lab.errors import UsageError
from lab.load.arrivals.schedule import Schedule
from lab.loadtest import runner
from lab.loadtest.folder import LoadFolder
from lab.loadtest.record import ClosedRecord, TargetKind, TargetRecord
from lab.loadtest.runner import LoadPlan
from lab.loadtest.targets.api import CallAnswer, CallRoute, LoadPayload
from lab.loadtest.targets.url import UrlTarget, url_target
from lab.progress import Silent
from tests.unit.load.scripted import OK, served


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


PAYLOADS = (LoadPayload(name="small.json", body=b"{}", content_type="application/json"),)


def plan(*instants: float) -> LoadPlan:
    schedule = Schedule(said="by hand", instants=np.asarray(instants), horizon_s=instants[-1])
    return LoadPlan(schedule=schedule, payloads=PAYLOADS)


def load(port: int, wanted: LoadPlan, folder: LoadFolder | None = None) -> LoadFolder:
    with url_target(f"http://127.0.0.1:{port}", timeout_s=5) as target:
        return runner.run(target, wanted, progress=Silent(), folder=folder)


def test_a_load_leaves_all_that_is_needed_to_check_it() -> None:
    with served() as server:
        folder = load(server.address[1], plan(0.0, 0.02, 0.04))
    kept = folder.load()
    assert kept.target.kind is TargetKind.URL
    assert kept.schedule == "by hand"
    schedule = folder.schedule()
    assert schedule is not None
    assert schedule.sha256 == kept.schedule_sha256
    assert folder.requests().answered.all()
    assert [one.ended for one in folder.states()] == ["done"]
    assert runner.verdict(folder) is not None


def test_a_load_that_was_stopped_goes_on_with_what_is_missing() -> None:
    wanted = plan(0.0, 0.02, 0.04, 0.06)
    with served() as server:
        folder = load(server.address[1], plan(0.0, 0.02))
        folder = load(server.address[1], wanted, folder)
    assert folder.requests().number.tolist() == [0, 1, 2, 3]
    assert folder.requests().sitting.tolist() == [0, 0, 1, 1]


def test_a_payload_that_is_refused_is_told_with_the_answer() -> None:
    refused = b"HTTP/1.1 415 No\r\nContent-Length: 9\r\n\r\nno images"
    with served(lambda _: refused) as server, pytest.raises(runner.RefusedError) as raised:
        load(server.address[1], plan(0.0, 9.0))
    assert "answered 415 to small.json: no images" in raised.value.what
    assert len(LoadFolder.find("latest").requests()) == 1


def test_a_closed_loop_has_no_schedule_to_be_kept() -> None:
    closed = LoadPlan(closed=ClosedRecord(clients=2, requests=8), payloads=PAYLOADS)
    with served() as server:
        folder = load(server.address[1], closed)
    assert len(folder.requests()) == 8
    assert folder.schedule() is None
    assert runner.verdict(folder) is None


def test_a_rate_that_the_generator_cannot_make_is_refused_with_what_it_could() -> None:
    with served() as server:
        folder = load(server.address[1], plan(*np.linspace(0.0, 2.0, 200)))
    lines = (folder.path / "requests.csv").read_text().splitlines()
    late = []
    for line in lines:
        cells = line.split(",")
        if float(cells[2]) > 1.0:
            cells[3] = f"{float(cells[2]) + 0.5:.6f}"
        late.append(",".join(cells))
    (folder.path / "requests.csv").write_text("\n".join(late) + "\n")
    with pytest.raises(runner.InvalidLoadError, match=r"500\.00 ms late.*requests a second"):
        runner.refuse_invalid(folder)


def test_calls_are_kept_as_requests_over_the_wire_are() -> None:
    answers = iter([CallAnswer(status=200, received_bytes=3, cold=True)] * 2)
    answers = iter([*answers, CallAnswer(status=429, error="ThrottlingException")])
    target = UrlTarget(
        record=TargetRecord(kind=TargetKind.AWS, name="x"),
        route=CallRoute(call=lambda _: next(answers), clients=2),
    )
    folder = runner.run(target, plan(0.0, 0.05, 0.1), progress=Silent())
    found = folder.requests()
    assert found.number.tolist() == [0, 1, 2]
    assert found.cold.tolist() == [1, 1, -1]
    assert found.throttled.tolist() == [False, False, True]
    assert found.intended_s.tolist() == [0.0, 0.05, 0.1]
    assert folder.states()[-1].throttled == 1


def test_calls_that_were_answered_before_ctrl_c_are_kept() -> None:
    def call(_: LoadPayload) -> CallAnswer:
        signal.raise_signal(signal.SIGINT)
        return CallAnswer(status=200)

    target = UrlTarget(
        record=TargetRecord(kind=TargetKind.AWS, name="x"), route=CallRoute(call=call, clients=1)
    )
    with pytest.raises(runner.InterruptedLoadError, match="1 of 2 requests are kept") as raised:
        runner.run(target, plan(0.0, 60.0), progress=Silent())
    folder = LoadFolder.find("latest")
    assert f"--resume {folder.path.name}" in raised.value.remedy
    assert folder.requests().number.tolist() == [0]
    assert [one.ended for one in folder.states()] == ["stopped"]


def test_a_call_that_is_refused_stops_all_with_the_answer() -> None:
    target = UrlTarget(
        record=TargetRecord(kind=TargetKind.AWS, name="x"),
        route=CallRoute(call=lambda _: CallAnswer(status=400, body=b"wrong shape"), clients=1),
    )
    with pytest.raises(runner.RefusedError, match="wrong shape"):
        runner.run(target, plan(0.0, 30.0), progress=Silent())


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:80", "http://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no URL"), url_target(url, timeout_s=1):
        pass


def test_a_load_that_is_not_there_is_refused_with_those_that_are() -> None:
    with served(lambda _: OK) as server:
        folder = load(server.address[1], plan(0.0, 0.01))
    with pytest.raises(UsageError, match=folder.path.name):
        LoadFolder.find("20000101T000000Z-load")


def test_a_load_of_several_lies_in_their_folder_by_its_own_name(tmp_path: Path) -> None:
    one = LoadPlan(closed=ClosedRecord(clients=1, requests=1), payloads=PAYLOADS, name="03-20")
    with served() as server, url_target(f"http://127.0.0.1:{server.address[1]}", timeout_s=5) as it:
        folder = runner.run(it, one, progress=Silent(), root=tmp_path / "steps")
    assert folder.path == tmp_path / "steps" / "03-20"
    assert folder.load().id == "03-20"
