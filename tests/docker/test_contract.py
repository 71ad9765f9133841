"""The hosting contract on the images, and what only a container can show.

``onnx`` and ``onnx-slim`` are asked everything, with a model of a few kilobytes, which is what the
server sees of any model; ``slim`` what TensorFlow can change. All five are asked everything with
a real model by ``make test-long``.
"""

import concurrent.futures
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import httpx
import pytest

pytest.register_assert_rewrite("tests.docker.contract_client")

from lab.artifacts import archive, store  # noqa: E402
from lab.engine.api import Container, ContainerSpec, Mount  # noqa: E402
from lab.engine.docker.engine import DockerEngine  # noqa: E402
from lab.images.variants import VARIANTS, Variant  # noqa: E402
from lab.spec import LABEL, LABEL_ROLE, Runtime  # noqa: E402
from tests.docker.contract_client import (  # noqa: E402
    DRIFTING,
    KNOBS,
    MARKS,
    PNG,
    Contract,
    Served,
    encoded,
    grown_of,
    picture,
    samples,
    wait_until_ready,
)
from tests.timing import PATIENCE_S, wait_until  # noqa: E402
from tests.unit.services.inference import tiny  # noqa: E402

pytestmark = pytest.mark.docker

READY_S = 120


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An image, and the model that it is asked with."""

    variant: Variant
    model: str

    def __str__(self) -> str:
        return f"{self.variant.name}-{self.model}"


SERVING = [variant for variant in VARIANTS.values() if variant.runtime is not None]
TINY = [Candidate(variant=VARIANTS[name], model="tiny") for name in ("onnx", "onnx-slim", "slim")]
REAL = [Candidate(variant=variant, model="real") for variant in SERVING]
TENSORFLOW_CHANGES = {
    "test_process_1_is_the_server_and_not_a_shell",
    "test_the_marks_are_in_the_log",
    "test_an_answer_says_grade_label_probabilities_and_seconds",
    "test_different_pictures_get_different_answers",
    "test_every_way_of_sending_a_picture_gets_the_same_answer",
    "test_a_batch_gets_the_answers_of_its_pictures_in_order",
    "test_the_start_left_its_marks_in_order",
    "test_metrics_count_every_request_with_units_and_help",
    "test_every_picture_is_looked_at_however_it_comes",
    "test_ping_is_answered_while_predictions_run",
    "test_ping_never_says_200_before_the_model_is_warm",
    "test_stop_lets_requests_in_flight_finish_and_exits_0_within_30_s",
    "test_stop_during_the_start_is_obeyed_at_once",
    "test_without_a_model_it_says_so_and_ends",
    "test_metrics_are_right_with_several_workers",
    "test_threads_follow_the_quota_and_not_the_host",
    "test_no_network_is_needed",
    "test_the_ceiling_can_be_measured_inside",
}
"""How it starts, forks, ends, counts its threads and answers; the rest is the server's alone."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "run" not in metafunc.fixturenames:
        return

    def param(candidate: Candidate) -> object:
        marks = [pytest.mark.xdist_group(f"contract-{candidate.variant.name}")]
        if candidate.model == "real":
            marks.append(pytest.mark.long)
        return pytest.param(candidate, marks=marks, id=str(candidate))

    told = metafunc.definition.originalname in TENSORFLOW_CHANGES
    asked = [one for one in TINY if told or one.variant.runtime is not Runtime.TENSORFLOW]
    every = [param(candidate) for candidate in (*asked, *REAL)]
    metafunc.parametrize("run", every, indirect=True, scope="module")


class Running:
    """A container of one of the images, started."""

    def __init__(self, container: Container) -> None:
        self.container = container
        container.start()

    @property
    def url(self) -> str:
        host, port = self.container.address()
        return f"http://{host}:{port}"

    def ready(self) -> Served:
        wait_until_ready(self.url, within_s=READY_S)
        return Served(*self.container.address())

    def end(self) -> int | None:
        """Wait until it has ended by itself; its exit code."""
        wait_until(lambda: not self.container.state().running, otherwise=self.container.logs)
        return self.container.state().exit_code


Run = Callable[..., Running]


SAVED_MODEL = """
import json, sys
import tensorflow as tf

weights = tf.constant(json.loads(sys.argv[1]), tf.float32)
module = tf.Module()

@tf.function(input_signature=[tf.TensorSpec([None, 224, 224, 3], tf.uint8, name="image")])
def answer(image):
    means = tf.reduce_mean(tf.cast(image, tf.float32), axis=[1, 2]) / 255.0
    return {"probabilities": tf.nn.softmax(means @ weights)}

module.answer = answer
tf.saved_model.save(module, "/made/saved_model", signatures={"serving_default": module.answer})
"""
"""Written by TensorFlow, which is in the image that serves it; the numbers are the tiny model's."""


def write_saved_model(engine: DockerEngine, image: str, folder: Path) -> None:
    client = engine.client
    made = client.create_container(
        image,
        entrypoint=["python3", "-c", SAVED_MODEL, json.dumps(tiny.WEIGHTS.tolist())],
        user=f"{os.getuid()}:{os.getgid()}",
        labels={LABEL: "true", LABEL_ROLE: "contract-test"},
        host_config=client.create_host_config(binds=[f"{folder}:/made"]),
    )["Id"]
    try:
        client.start(made)
        code = client.wait(made, timeout=PATIENCE_S)["StatusCode"]
        assert code == 0, client.logs(made).decode()
    finally:
        client.remove_container(made, force=True)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture as a camera takes it: larger than the model's input."""
    path = tmp_path_factory.mktemp("photograph") / "picture.jpg"
    path.write_bytes(encoded(picture(size=(1600, 1200)), "jpeg"))
    return path


@pytest.fixture(scope="module")
def run(
    request: pytest.FixtureRequest,
    engine: DockerEngine,
    built: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Run]:
    """Start a container of the variant; ``ContainerSpec``'s fields by keyword."""
    candidate: Candidate = request.param
    runtime = candidate.variant.runtime
    assert runtime is not None
    image = built(candidate.variant.name)
    # What SageMaker puts at /opt/ml/model.
    folder = tmp_path_factory.mktemp(str(candidate)) / "model"
    if candidate.model == "real":
        archive.extract(store.find(request.getfixturevalue("mobilenet"), runtime).path, folder)
    else:
        tiny.write(folder)
        if runtime is Runtime.TENSORFLOW:
            (folder / "model.onnx").unlink()
            write_saved_model(engine, image, folder)
    with ExitStack() as stack:

        def start(**fields: object) -> Running:
            spec = {"model_dir": PurePosixPath(folder), "publish": 0, **fields}
            container = engine.create(
                ContainerSpec(image=image, labels={LABEL_ROLE: "contract-test"}, **spec)  # type: ignore[arg-type]
            )
            stack.callback(container.remove)
            return Running(container)

        yield start


@pytest.fixture(scope="module")
def running(run: Run) -> Running:
    """As a user that nobody knows, on a read-only root."""
    return run(env=KNOBS, user="12345:12345", read_only_root=True)


@pytest.fixture(scope="module")
def served(running: Running) -> Iterator[Served]:
    served = running.ready()
    yield served
    served.http.close()


class TestTheContractOfAnImage(Contract):
    def test_process_1_is_the_server_and_not_a_shell(
        self, running: Running, served: Served
    ) -> None:
        script = "print(open('/proc/1/cmdline').read().split(chr(0)))"
        code, output = running.container.execute(["python3", "-c", script])
        assert code == 0, output
        assert "python" in output
        assert "serve" in output
        assert "sh" not in output.replace("'", " ").split()
        assert served.http.get("/startup").json()["pid"] == 1

    def test_the_marks_are_in_the_log(self, running: Running, served: Served) -> None:
        lines = running.container.logs(tail=1000).splitlines()
        (line,) = [line for line in lines if line.startswith('{"lab_startup"')]
        assert json.loads(line) == {"lab_startup": served.http.get("/startup").json()}


def test_ping_never_says_200_before_the_model_is_warm(run: Run) -> None:
    running = run()
    statuses = wait_until_ready(running.url, within_s=READY_S)
    assert set(statuses[:-1]) <= {0, 503}
    marks = httpx.get(f"{running.url}/startup").json()["marks"]
    assert list(marks) == MARKS
    assert marks["warmed_up"] < time.time_ns()


def test_stop_lets_requests_in_flight_finish_and_exits_0_within_30_s(run: Run) -> None:
    running = run(user="0:0")
    served = running.ready()
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n\
Content-Length: {len(PNG)}\r\nExpect: 100-continue\r\n\r\n"
    with ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(1) as pool:
        flying = [stack.enter_context(served.raw()) for _ in range(6)]
        for sock in flying:
            sock.sendall(head.encode())
            assert sock.recv(100).startswith(b"HTTP/1.1 100")  # it is taken, and waited for
        stopping = pool.submit(running.container.stop, grace_s=30)
        wait_until(lambda: not answers(running.url))
        for sock in flying:
            sock.sendall(PNG)
        assert [sock.recv(100)[:13] for sock in flying] == [b"HTTP/1.1 200 "] * 6
        stopping.result()
    served.http.close()
    # Whatever is still there after 30 s is killed, which is no exit with 0.
    state = running.container.state()
    assert (state.running, state.exit_code, state.oom_killed) == (False, 0, False)


def answers(url: str) -> bool:
    """Whether a new connection gets an answer."""
    try:
        httpx.get(f"{url}/ping", timeout=PATIENCE_S)
    except httpx.TransportError:
        return False
    return True


def test_stop_during_the_start_is_obeyed_at_once(run: Run) -> None:
    running = run()
    time.sleep(0.25)
    begun = time.monotonic()
    running.container.stop(grace_s=30)
    assert time.monotonic() - begun < 20
    assert running.container.state().exit_code in (0, 143)


def test_without_a_model_it_says_so_and_ends(run: Run) -> None:
    running = run(model_dir=None)
    assert running.end() == 3
    (line,) = [line for line in running.container.logs().splitlines() if "lab_error" in line][:1]
    assert "/opt/ml/model/model.json is missing" in json.loads(line)["lab_error"]


def test_anything_but_serve_is_a_usage_error(run: Run) -> None:
    running = run(command=("train",))
    assert running.end() == 2
    assert "usage: serve" in running.container.logs()


def test_metrics_are_right_with_several_workers(run: Run, photograph: Path) -> None:
    running = run(env={"SAGEMAKER_MODEL_SERVER_WORKERS": "2"})
    served = running.ready()
    served.http.headers["connection"] = "close"  # so that each may get to another worker
    for _ in range(12):
        assert served.invoke(photograph.read_bytes(), "image/jpeg").status_code == 200
    for _ in range(5):
        page = served.http.get("/metrics").text
        assert 'lab_inference_requests_total{status="200"} 12.0' in page
        shown = samples(page)
        for feature in DRIFTING:
            assert grown_of({}, shown, "lab_inference_drift_bin_total", feature) == 12
            ratio = grown_of({}, shown, "lab_inference_drift_reference_ratio", feature)
            assert ratio == pytest.approx(1, abs=1e-4)
    served.http.close()


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, 1), (1.9, 1), (2.0, 2)])
def test_threads_follow_the_quota_and_not_the_host(
    run: Run, engine: DockerEngine, cpus: float, threads: int
) -> None:
    if engine.facts().cpus < cpus:
        pytest.skip("the machine has too few cores")
    served = run(cpus=cpus).ready()
    assert served.http.get("/execution-parameters").json()["MaxConcurrentTransforms"] == threads
    served.http.close()


def test_no_network_is_needed(run: Run) -> None:
    running = run(network="none", publish=None)
    script = """
import socket, sys, time
for _ in range(600):
    try:
        with socket.create_connection(("127.0.0.1", 8080), timeout=2) as sock:
            sock.sendall(b"GET /ping HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
            if b" 200 " in sock.recv(100):
                sys.exit(0)
    except OSError:
        pass
    time.sleep(0.1)
sys.exit(9)
"""
    code, output = running.container.execute(["python3", "-c", script])
    assert code == 0, output


def test_the_ceiling_can_be_measured_inside(run: Run, photograph: Path) -> None:
    inside = "/payload.jpg"
    running = run(mounts=[Mount(source=str(photograph), target=inside)])
    running.ready().http.close()
    words = ["python3", "-m", "app.inprocess", "--payload", inside, "--content-type", "image/jpeg"]
    code, output = running.container.execute([*words, "--requests", "6", "--threads", "2"])
    assert code == 0, output
    result = json.loads(output.strip().splitlines()[-1])
    assert len(result["latencies_s"]) == 6
    assert result["requests_per_s"] == pytest.approx(6 / result["seconds"], rel=0.01)
