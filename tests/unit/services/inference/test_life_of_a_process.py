"""From start to stop: what ``serve`` does besides answering, on both HTTP stacks and with NGINX."""

import json
import os
import shutil
import signal
import socket
import stat
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.docker.contract_client import MARKS, PNG, SIDE, npy, wait_until_ready
from tests.unit.services.inference import tiny
from tests.unit.services.inference.conftest import STACKS, Start


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    if request.param == "nginx" and shutil.which("nginx") is None:
        pytest.skip("there is no nginx here")
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("slow"), slow=40)


BATCH = npy(np.zeros((16, SIDE, SIDE, 3), np.uint8))


def test_ping_never_says_200_before_the_model_has_answered_once(stack: str, start: Start) -> None:
    child = start(stack)
    statuses = wait_until_ready(child.url, within_s=60)
    assert set(statuses[:-1]) <= {0, 503}
    marks = json.loads(next(line for line in child.log.splitlines() if "lab_startup" in line))
    assert time.time_ns() > marks["lab_startup"]["marks"]["warmed_up"]


def test_the_marks_leave_as_one_line_and_at_startup(stack: str, start: Start) -> None:
    child = start(stack)
    http = child.ready().http
    record = http.get("/startup").json()
    lines = [line for line in child.log.splitlines() if line.startswith('{"lab_startup"')]
    assert [json.loads(line) for line in lines] == [{"lab_startup": record}]
    assert list(record["marks"]) == MARKS
    assert record["pid"] == child.process.pid
    assert record["marks"]["interpreter"] - record["marks"]["process"] < 20e9


def test_sigterm_lets_a_request_in_flight_finish_and_exits_0(
    stack: str, start: Start, slow_model: Path
) -> None:
    child = start(stack, LAB_MODEL_DIR=str(slow_model))
    http = child.ready().http
    answers: list[httpx.Response] = []

    def invoke() -> None:
        answers.append(
            http.post("/invocations", content=BATCH, headers={"content-type": "application/x-npy"})
        )

    thread = threading.Thread(target=invoke)
    thread.start()
    time.sleep(0.4)
    assert not answers
    begun = time.monotonic()
    child.process.send_signal(signal.SIGTERM)
    assert child.end() == 0
    assert time.monotonic() - begun < 30
    thread.join(10)
    (answer,) = answers
    assert answer.status_code == 200
    assert len(answer.json()["predictions"]) == 16


def test_sigterm_at_once_is_obeyed(stack: str, start: Start) -> None:
    child = start(stack)
    time.sleep(0.15)
    child.process.send_signal(signal.SIGTERM)
    # Before Python runs the first line, SIGTERM still kills; in a container it would be ignored.
    assert child.end(within_s=10) in (0, -signal.SIGTERM)


def test_idle_connections_do_not_hold_up_the_end(stack: str, start: Start) -> None:
    child = start(stack)
    served = child.ready()
    with served.raw() as idle:
        idle.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in idle.recv(1000)
        child.process.send_signal(signal.SIGTERM)
        assert child.end(within_s=10) == 0


def test_nothing_is_left_in_tmp(stack: str, start: Start, tmp_path: Path) -> None:
    child = start(stack)
    child.ready()
    child.process.send_signal(signal.SIGTERM)
    assert child.end() == 0
    assert [path.name for path in tmp_path.iterdir()] == [f"log-{child.port}"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("missing card", "model.json is missing"),
        ("broken card", "model.json is not a model card"),
        ("missing model", "model.onnx is missing"),
        ("corrupt model", "model.onnx cannot be loaded"),
        ("other labels", "labels"),
    ],
)
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


@pytest.mark.parametrize("stack", ["slim", "fastapi"])
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
    for _ in range(30):  # a new connection each, so that both workers get some
        answer = httpx.post(
            f"{child.url}/invocations", content=PNG, headers={"content-type": "image/png"}
        )
        assert answer.status_code == 200
    for _ in range(6):
        page = httpx.get(f"{child.url}/metrics").text
        assert 'lab_inference_requests_total{status="200"} 30.0' in page
        assert "lab_inference_startup_seconds{" in page
    records = {served.http.get("/startup").text for _ in range(3)}
    records |= {httpx.get(f"{child.url}/startup").text for _ in range(5)}
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
