"""The hosting contract on all five images, and what only a container can show."""

import concurrent.futures
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

import httpx
import numpy as np
import pytest

pytest.register_assert_rewrite("tests.docker.contract_client")

from lab.artifacts import archive, store  # noqa: E402
from lab.engine.api import Container, ContainerSpec, Mount  # noqa: E402
from lab.engine.docker import DockerEngine  # noqa: E402
from lab.images.variants import VARIANTS  # noqa: E402
from lab.spec import LABEL_ROLE, Runtime  # noqa: E402
from tests.docker.contract_client import (  # noqa: E402
    DRIFTING,
    KNOBS,
    MARKS,
    Contract,
    Served,
    grown_of,
    npy,
    picture,
    pixels,
    samples,
    wait_until_ready,
)
from tests.timing import wait_until  # noqa: E402

pytestmark = pytest.mark.docker

SERVING = [variant for variant in VARIANTS.values() if variant.runtime is not None]
READY_S = 120
BATCH = npy(np.stack([pixels(picture())] * 16))


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


@pytest.fixture(scope="module")
def models(
    mobilenet: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Runtime], PurePosixPath]:
    """The unpacked archive for a runtime, as SageMaker puts it at /opt/ml/model."""
    folders: dict[Runtime, PurePosixPath] = {}

    def unpacked(runtime: Runtime) -> PurePosixPath:
        if runtime not in folders:
            folder = tmp_path_factory.mktemp(runtime.value) / "model"
            folder.mkdir()
            archive.extract(store.find(mobilenet, runtime).path, folder)
            folders[runtime] = PurePosixPath(folder)
        return folders[runtime]

    return unpacked


@pytest.fixture(scope="module", params=SERVING, ids=lambda variant: variant.name)
def run(
    request: pytest.FixtureRequest,
    engine: DockerEngine,
    built: Callable[[str], str],
    models: Callable[[Runtime], PurePosixPath],
) -> Iterator[Run]:
    """Start a container of the variant; ``ContainerSpec``'s fields by keyword."""
    image = built(request.param.name)
    with ExitStack() as stack:

        def start(**fields: object) -> Running:
            spec = {"model_dir": models(request.param.runtime), "publish": 0, **fields}
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
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        kind = "application/x-npy"
        answers = [pool.submit(served.invoke, BATCH, kind) for _ in range(6)]
        time.sleep(0.3)
        assert not all(answer.done() for answer in answers)
        begun = time.monotonic()
        running.container.stop(grace_s=30)
        assert time.monotonic() - begun < 30
        assert [answer.result().status_code for answer in answers] == [200] * 6
    served.http.close()
    state = running.container.state()
    assert (state.running, state.exit_code, state.oom_killed) == (False, 0, False)


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


def test_metrics_are_right_with_several_workers(run: Run, payload: Path) -> None:
    running = run(env={"SAGEMAKER_MODEL_SERVER_WORKERS": "2"})
    running.ready().http.close()
    body, headers = payload.read_bytes(), {"content-type": "image/png"}
    if payload.suffix != ".png":
        headers = {"content-type": "image/jpeg"}
    for _ in range(12):
        answer = httpx.post(f"{running.url}/invocations", content=body, headers=headers, timeout=60)
        assert answer.status_code == 200
    for _ in range(5):
        page = httpx.get(f"{running.url}/metrics").text
        assert 'lab_inference_requests_total{status="200"} 12.0' in page
        shown = samples(page)
        for feature in DRIFTING:
            assert grown_of({}, shown, "lab_inference_drift_bin_total", feature) == 12
            ratio = grown_of({}, shown, "lab_inference_drift_reference_ratio", feature)
            assert ratio == pytest.approx(1, abs=1e-4)


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


def test_the_ceiling_can_be_measured_inside(run: Run, payload: Path) -> None:
    inside = f"/payload{payload.suffix}"
    running = run(mounts=[Mount(source=str(payload), target=inside)])
    running.ready().http.close()
    kind = "image/png" if payload.suffix == ".png" else "image/jpeg"
    words = ["python3", "-m", "app.inprocess", "--payload", inside, "--content-type", kind]
    code, output = running.container.execute([*words, "--requests", "6", "--threads", "2"])
    assert code == 0, output
    result = json.loads(output.strip().splitlines()[-1])
    assert len(result["latencies_s"]) == 6
    assert result["requests_per_s"] == pytest.approx(6 / result["seconds"], rel=0.01)
