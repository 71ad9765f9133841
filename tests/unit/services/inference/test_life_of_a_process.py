"""From start to stop: what ``serve`` does besides answering, on both HTTP stacks and with NGINX."""

import json
import os
import shutil
import signal
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _pytest.mark import ParameterSet

from tests.docker.contract_client import MARKS, PNG, SIDE, npy, wait_until_ready
from tests.timing import PATIENCE_S, wait_until
from tests.unit.services.inference import tiny
from tests.unit.services.inference.conftest import STACKS, Child, Start, starting


def _stack(name: str) -> ParameterSet:
    absent = name == "nginx" and shutil.which("nginx") is None
    return pytest.param(name, marks=pytest.mark.skipif(absent, reason="there is no nginx here"))


each_stack = pytest.mark.parametrize("stack", [_stack(name) for name in STACKS])
DRAIN_S = 25
"""Who ends sooner has waited for nobody."""


@dataclass(frozen=True)
class Life:
    """What a process left behind that was started, asked a little and told to end."""

    pid: int
    statuses: list[int]
    """Of ``/ping``, from the first to the 200."""
    ready_ns: int
    record: dict[str, Any]
    """What ``/startup`` said."""
    log: str
    code: int
    ended_in_s: float
    """With a connection that was open and idle."""
    left: list[str]
    """In the folder for what is temporary, but for the log."""


@pytest.fixture(scope="module", params=[_stack(name) for name in STACKS])
def life(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    model_dir: Path,
    ort_library: Path,
) -> Life:
    folder = tmp_path_factory.mktemp("life")
    with starting(folder, model_dir, ort_library) as start:
        child = start(request.param)
        statuses = wait_until_ready(child.url, within_s=60)
        ready_ns = time.time_ns()
        served = child.ready()
        record = served.http.get("/startup").json()
        with served.raw() as idle:
            idle.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in idle.recv(1000)
            begun = time.monotonic()
            child.process.send_signal(signal.SIGTERM)
            code = child.end()
        return Life(
            pid=child.process.pid,
            statuses=statuses,
            ready_ns=ready_ns,
            record=record,
            log=child.log,
            code=code,
            ended_in_s=time.monotonic() - begun,
            left=[path.name for path in folder.iterdir() if path.name != f"log-{child.port}"],
        )


def test_ping_never_says_200_before_the_model_has_answered_once(life: Life) -> None:
    assert set(life.statuses[:-1]) <= {0, 503}
    marks = json.loads(next(line for line in life.log.splitlines() if "lab_startup" in line))
    assert life.ready_ns > marks["lab_startup"]["marks"]["warmed_up"]


def test_the_marks_leave_as_one_line_and_at_startup(life: Life) -> None:
    lines = [line for line in life.log.splitlines() if line.startswith('{"lab_startup"')]
    assert [json.loads(line) for line in lines] == [{"lab_startup": life.record}]
    assert list(life.record["marks"]) == MARKS
    assert life.record["pid"] == life.pid
    assert life.record["marks"]["interpreter"] - life.record["marks"]["process"] < 20e9


def test_idle_connections_do_not_hold_up_the_end(life: Life) -> None:
    assert life.code == 0
    assert life.ended_in_s < DRAIN_S


def test_nothing_is_left_in_tmp(life: Life) -> None:
    assert life.code == 0
    assert life.left == []


BATCH = npy(np.zeros((16, SIDE, SIDE, 3), np.uint8))
HEAD = (
    "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-npy\r\n"
    f"Content-Length: {len(BATCH)}\r\n"
).encode()


@each_stack
def test_sigterm_lets_a_request_in_flight_finish_and_exits_0(stack: str, start: Start) -> None:
    child = start(stack)
    served = child.ready()
    with served.raw() as flying:
        flying.sendall(HEAD + b"Expect: 100-continue\r\n\r\n")
        assert flying.recv(100).startswith(b"HTTP/1.1 100")  # it is taken, and waited for
        begun = time.monotonic()
        child.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not listens(child))
        flying.sendall(BATCH)
        code, answer = answered(flying)
    assert child.end() == 0
    assert time.monotonic() - begun < 30
    assert code == 200
    assert len(answer["predictions"]) == 16


@pytest.mark.long
@each_stack
def test_sigterm_lets_a_prediction_that_runs_finish_and_exits_0(
    stack: str, start: Start, tmp_path: Path
) -> None:
    slow = tiny.write(tmp_path / "slow", slow=40)
    child = start(stack, LAB_MODEL_DIR=str(slow))
    served = child.ready()
    with served.raw() as flying:
        flying.sendall(HEAD + b"\r\n" + BATCH)
        time.sleep(0.4)
        with child.stopped():
            flying.settimeout(0)
            with pytest.raises(BlockingIOError):
                flying.recv(1)
            flying.settimeout(PATIENCE_S)
            begun = time.monotonic()
            child.process.send_signal(signal.SIGTERM)
        code, answer = answered(flying)
    assert child.end() == 0
    assert time.monotonic() - begun < 30
    assert code == 200
    assert len(answer["predictions"]) == 16


def listens(child: Child) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", child.port)) == 0


def answered(sock: socket.socket) -> tuple[int, Any]:
    """Status and body of the answer that comes."""
    answer = HTTPResponse(sock)
    answer.begin()
    return answer.status, json.loads(answer.read())


@each_stack
def test_sigterm_at_once_is_obeyed(stack: str, start: Start) -> None:
    child = start(stack)
    time.sleep(0.15)
    child.process.send_signal(signal.SIGTERM)
    # Before Python runs the first line, SIGTERM still kills; in a container it would be ignored.
    assert child.end(within_s=DRAIN_S) in (0, -signal.SIGTERM)


FAULTS = {
    "missing card": "model.json is missing",
    "broken card": "model.json is not a model card",
    "missing model": "model.onnx is missing",
    "corrupt model": "model.onnx cannot be loaded",
    "other labels": "labels",
}
TOLD_BY_EACH = [("fastapi", "corrupt model"), ("nginx", "missing card")]
"""Beyond what the quickest stack is told: cards are read alike on all, models on each its own."""


def _faults() -> Iterator[object]:
    for name in STACKS:
        for fault, said in FAULTS.items():
            quick = name == "slim" or (name, fault) in TOLD_BY_EACH
            marks = [*_stack(name).marks, *([] if quick else [pytest.mark.long])]
            yield pytest.param(name, fault, said, marks=marks)


@pytest.mark.parametrize(("stack", "fault", "said"), list(_faults()))
def test_a_model_that_cannot_be_loaded_ends_the_service_with_the_reason(
    stack: str, fault: str, said: str, start: Start, tmp_path: Path
) -> None:
    folder = tiny.write(tmp_path / "model")
    match fault:
        case "missing card":
            (folder / "model.json").unlink()
        case "broken card":
            (folder / "model.json").write_text("{")
        case "missing model":
            (folder / "model.onnx").unlink()
        case "corrupt model":
            (folder / "model.onnx").write_bytes(tiny.model()[:-300])
        case _:
            output = {"name": "probabilities", "shape": [None, 1]}
            tiny.write(folder, changes={"labels": ["a"], "output": output})
    child = start(stack, LAB_MODEL_DIR=str(folder))
    assert child.end() == 3
    (line,) = [line for line in child.log.splitlines() if said in line]
    assert said in json.loads(line)["lab_error"]


@pytest.mark.parametrize("stack", ["slim", pytest.param("fastapi", marks=pytest.mark.long)])
@pytest.mark.parametrize("reference", ["absent", "senseless"])
def test_a_model_without_a_reference_that_makes_sense_is_served_without_drift(
    stack: str, reference: str, start: Start, tmp_path: Path
) -> None:
    given = {"absent": None, "senseless": {"schema": 1, "features": {"grade": "few"}}}[reference]
    folder = tiny.write(tmp_path / "model", changes={"reference": given})
    child = start(stack, LAB_MODEL_DIR=str(folder))
    served = child.ready()
    assert served.invoke(PNG, "image/png").status_code == 200
    page = served.counts()
    served.counts()
    assert [name for name in page if "drift" in name] == []
    assert page["lab_inference_input_brightness_count"] == 1
    said = [line for line in child.log.splitlines() if "reference" in line]
    assert len(said) == (reference == "senseless")


@pytest.mark.parametrize("arguments", [("train",), ("serve", "more"), ("--help",)])
def test_anything_but_serve_is_a_usage_error(start: Start, arguments: tuple[str, ...]) -> None:
    child = start("slim", *arguments)
    assert child.end() == 2
    assert "usage: serve" in child.log


def test_a_knob_that_makes_no_sense_is_named(start: Start) -> None:
    child = start("slim", LAB_THREADS="many")
    assert child.end() == 3
    assert "LAB_THREADS" in json.loads(child.log)["lab_error"]


def test_a_port_that_is_taken_is_named(start: Start) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        child = start("slim", SAGEMAKER_BIND_TO_PORT=str(sock.getsockname()[1]))
        assert child.end() == 3
    assert "Cannot listen on 127.0.0.1" in child.log


@pytest.mark.parametrize("stack_name", ["fastapi", "slim"])
def test_metrics_are_right_with_several_workers(stack_name: str, start: Start) -> None:
    child = start(stack_name, SAGEMAKER_MODEL_SERVER_WORKERS="2")
    served = child.ready()
    served.http.headers["connection"] = "close"  # so that both workers get some
    for _ in range(30):
        assert served.invoke(PNG, "image/png").status_code == 200
    for _ in range(6):
        page = served.http.get("/metrics").text
        assert 'lab_inference_requests_total{status="200"} 30.0' in page
        assert "lab_inference_startup_seconds{" in page
    records = {served.http.get("/startup").text for _ in range(8)}
    assert len(records) == 1
    assert child.log.count("lab_startup") == 1


def test_a_worker_that_dies_is_replaced(start: Start) -> None:
    child = start("fastapi")
    child.ready()
    children = Path(f"/proc/{child.process.pid}/task/{child.process.pid}/children").read_text()
    (worker,) = children.split()
    os.kill(int(worker), signal.SIGKILL)
    time.sleep(0.2)
    wait_until_ready(child.url, within_s=60)
    assert child.log.count("lab_startup") == 1


def test_the_entry_point_is_executable() -> None:
    serve = Path(__file__).parents[4] / "services/inference/serve"
    assert serve.stat().st_mode & stat.S_IXUSR
    assert serve.read_text().startswith("#!/usr/bin/env python3\n")
