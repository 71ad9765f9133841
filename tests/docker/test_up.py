"""`lab up` as a user meets it: twice, interrupted, stopped, forgotten.

With names of its own on the engine, so that a lab that runs already is left alone.
"""

import json
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from lab.endpoint.instances import LARGE
from lab.engine.docker.engine import DockerEngine
from lab.host import this_machine
from lab.paths import IN_CHECKOUT, ROOT
from lab.services import SERVICES
from lab.spec import LABEL
from tests.ports import free_port
from tests.timing import PATIENCE_S, wait_until

MOBILENET = "retinopathy-mobilenet"
REALTIME, SERVERLESS = f"{MOBILENET}-realtime", f"{MOBILENET}-serverless"
_OURS = {"label": [f"{LABEL}=true"]}
_PROJECT = "com.docker.compose.project"
_BENCH = """
from lab.engine.registry.local import Registry
from lab.engine.select import open_engine
from lab.progress import Silent
import sys
print(Registry.ensure(open_engine(Silent()), sys.argv[1], Silent()).host)
"""


class Lab:
    """The command line, with names, a state folder and ports of the test's own."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = {**os.environ, **env}
        self.project = env["LAB_PROJECT"]
        self.url = f"http://127.0.0.1:{env['LAB_ENDPOINT_PORT']}"

    def __call__(self, *words: str, code: int = 0) -> str:
        done = self.run(*words)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "lab", *words],
            env=self.env,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )

    def client(self, service: str) -> Any:
        where = "S3" if service == "s3" else "ENDPOINT"
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.env[f'LAB_{where}_PORT']}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def in_service(self, endpoint: str) -> None:
        waiter = self.client("sagemaker").get_waiter("endpoint_in_service")
        waiter.wait(
            EndpointName=endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": int(PATIENCE_S)}
        )

    def instances(self, endpoint: str, count: int) -> None:
        self.client("sagemaker").update_endpoint_weights_and_capacities(
            EndpointName=endpoint,
            DesiredWeightsAndCapacities=[{"VariantName": "all", "DesiredInstanceCount": count}],
        )
        self.in_service(endpoint)

    def interrupt_up(self, after: str) -> None:
        """Begin, and press Ctrl-C when it has said so."""
        with subprocess.Popen(
            [sys.executable, "-m", "lab", "up"],
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if after in line:
                    process.send_signal(signal.SIGINT)
        assert any(after in line for line in said), said


@pytest.fixture(scope="module")
def lab(mobilenet: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    taken = {one.variable: str(free_port()) for one in SERVICES.values()}
    state = str(tmp_path_factory.mktemp("state") / "state")
    project = f"inference-lab-test-{secrets.token_hex(4)}"
    made = Lab({**taken, "LAB_STATE": state, "LAB_PROJECT": project})
    made.env.pop("AWS_ENDPOINT_URL_S3", None)
    yield made
    made("down", "--all")


def containers(lab: Lab, engine: DockerEngine) -> dict[str, str]:
    """Those of the stack and of its two endpoints, by name; others' are none of its business."""
    return {
        one["Names"][0]: one["Id"]
        for one in engine.client.containers(filters=_OURS)
        if one["Labels"].get("org.inference-lab.endpoint") in {REALTIME, SERVERLESS}
        or one["Labels"].get(_PROJECT) == lab.project
    }


def test_it_goes_from_nothing_to_endpoints_that_answer(lab: Lab, payload: Path) -> None:
    said = lab("up")
    for name in (REALTIME, SERVERLESS):
        assert name in said
    assert "vgg19" not in said
    assert f"export AWS_ENDPOINT_URL_SAGEMAKER={lab.url}" in said
    for name in (REALTIME, SERVERLESS):
        answer = json.loads(lab("endpoint", "invoke", name, "--payload", str(payload)))
        assert answer["predictions"]
    by_curl = httpx.post(
        f"{lab.url}/endpoints/{REALTIME}/invocations",
        content=payload.read_bytes(),
        headers={"Content-Type": "image/jpeg"},
        timeout=60,
    )
    assert by_curl.status_code == 200


def test_a_second_time_changes_nothing_and_takes_seconds(lab: Lab, engine: DockerEngine) -> None:
    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before, begun = containers(lab, engine), spent()
    done = lab.run("up")
    assert done.returncode == 0, done.stderr
    assert REALTIME not in done.stderr  # is not waited for
    assert containers(lab, engine) == before
    assert spent() - begun < 15


def test_a_bench_uses_the_registry_of_the_stack(
    lab: Lab, engine: DockerEngine, built: Callable[[str], str]
) -> None:
    before = containers(lab, engine)
    bench = [sys.executable, "-c", _BENCH, built("registry")]
    host = subprocess.check_output(bench, env=lab.env, text=True).strip()
    assert host == f"127.0.0.1:{lab.env['LAB_REGISTRY_PORT']}"
    assert containers(lab, engine) == before


def test_what_people_without_boto3_want_to_know(lab: Lab) -> None:
    listed = json.loads(lab("endpoint", "list", "--json"))
    assert [row["EndpointStatus"] for row in listed["Endpoints"]] == ["InService"] * 2
    described = json.loads(lab("endpoint", "describe", REALTIME))
    assert described["Endpoint"]["EndpointName"] == REALTIME
    assert described["Containers"]
    assert lab("endpoint", "logs", REALTIME)
    lab("endpoint", "describe", "no-such-endpoint", code=10)


def test_prometheus_scrapes_the_emulator_and_every_model_container(lab: Lab) -> None:
    url = f"http://127.0.0.1:{lab.env['LAB_PROMETHEUS_PORT']}/api/v1/targets?state=active"

    def up() -> set[str]:
        targets = httpx.get(url).json()["data"]["activeTargets"]
        return {one["scrapePool"] for one in targets if one["health"] == "up"}

    wait_until(lambda: {"endpoint", "model", "pushgateway", "prometheus"} <= up(), otherwise=up)


def test_after_the_demo_no_panel_of_the_boards_about_endpoints_is_without_data(lab: Lab) -> None:
    said = lab("demo", "--short", "--no-bench")
    assert "lab observe render" in said or "/d/lab-endpoints" in said
    page = Path(lab.env["LAB_STATE"]) / "boards.html"
    boards = ("lab-endpoints", "lab-container", "lab-model")
    chosen = [word for board in boards for word in ("--board", board)]
    lab("observe", "render", *chosen, "--range", "5m", "--require-data", "--out", str(page))


def test_a_service_that_died_is_mended_by_the_next_time(lab: Lab, engine: DockerEngine) -> None:
    engine.client.remove_container(f"{lab.project}-s3", force=True)
    lab("up")
    assert f"/{lab.project}-s3" in containers(lab, engine)
    lab("endpoint", "cool", SERVERLESS)


def test_stopping_keeps_the_endpoints_and_starting_brings_them_back(
    lab: Lab, engine: DockerEngine, payload: Path
) -> None:
    began = time.time()
    known = _scrapes(lab, began)
    lab("down")
    assert not containers(lab, engine)
    lab.interrupt_up(after="Starting registry, s3")
    lab("up")
    assert json.loads(lab("endpoint", "invoke", SERVERLESS, "--payload", str(payload)))
    # And what Prometheus knew before.
    assert _scrapes(lab, began) == known > 0


def test_an_endpoint_of_the_users_own_survives_it_with_its_archive_and_its_queue(
    lab: Lab, payload: Path
) -> None:
    sagemaker, s3 = lab.client("sagemaker"), lab.client("s3")
    name = "mine"
    s3.create_bucket(Bucket=name)
    seeded = sagemaker.list_models(NameContains=MOBILENET)["Models"][0]["ModelName"]
    container = sagemaker.describe_model(ModelName=seeded)["PrimaryContainer"]
    bucket, _, key = container["ModelDataUrl"].removeprefix("s3://").partition("/")
    s3.copy_object(Bucket=name, Key="model.tar.gz", CopySource=f"{bucket}/{key}")
    s3.put_object(Bucket=name, Key="photo", Body=payload.read_bytes())
    sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={"Image": container["Image"], "ModelDataUrl": f"s3://{name}/model.tar.gz"},
        ExecutionRoleArn=sagemaker.describe_model(ModelName=seeded)["ExecutionRoleArn"],
    )
    variant = {
        "VariantName": "all",
        "ModelName": name,
        "InstanceType": LARGE[this_machine()],
        "InitialInstanceCount": 1,
    }
    output = {"OutputConfig": {"S3OutputPath": f"s3://{name}/out"}}
    for kind, more in (("now", {}), ("later", {"AsyncInferenceConfig": output})):
        sagemaker.create_endpoint_config(
            EndpointConfigName=f"{name}-{kind}", ProductionVariants=[variant], **more
        )
        sagemaker.create_endpoint(
            EndpointName=f"{name}-{kind}", EndpointConfigName=f"{name}-{kind}"
        )
    for kind in ("now", "later"):
        lab.in_service(f"{name}-{kind}")
    lab.instances(f"{name}-later", 0)
    accepted = lab.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName=f"{name}-later", InputLocation=f"s3://{name}/photo", ContentType="image/jpeg"
    )
    lab("down")
    said = lab.run("up")
    assert said.returncode == 0, said.stderr
    assert f"s3://{name}" not in said.stderr  # nothing is missing
    described = sagemaker.describe_endpoint(EndpointName=f"{name}-now")
    assert described["EndpointStatus"] == "InService"
    wait_until(
        lambda: (
            lab.run("endpoint", "invoke", f"{name}-now", "--payload", str(payload)).returncode == 0
        ),
        otherwise=lambda: lab("endpoint", "logs", f"{name}-now"),
    )
    lab.instances(f"{name}-later", 1)
    place = accepted["OutputLocation"].removeprefix(f"s3://{name}/")
    answer = wait_until(
        lambda: s3.get_object(Bucket=name, Key=place),
        despite=s3.exceptions.NoSuchKey,
        otherwise=lambda: lab("endpoint", "logs", f"{name}-later"),
    )
    assert json.loads(answer["Body"].read())["predictions"]
    for kind in ("now", "later"):
        sagemaker.delete_endpoint(EndpointName=f"{name}-{kind}")


@pytest.mark.skipif(not IN_CHECKOUT, reason="a wheel has no folder to type in")
def test_compose_typed_in_the_checkout_finds_what_runs(lab: Lab, engine: DockerEngine) -> None:
    bare = {name: value for name, value in lab.env.items() if not name.startswith("LAB_")}
    env = {**bare, "DOCKER_HOST": engine.address}

    def compose(*words: str) -> str:
        done = ["docker", "compose", *words]
        return subprocess.check_output(done, cwd=ROOT, env=env, text=True)

    running = compose("ps", "--format", "{{.Name}}").split()
    assert {f"{lab.project}-endpoint", f"{lab.project}-s3"} <= set(running)
    assert "Answering on http://" in compose("logs", "endpoint")


def _scrapes(lab: Lab, at: float) -> float:
    """How often the emulator had been scraped by then."""
    answer = httpx.get(
        f"http://127.0.0.1:{lab.env['LAB_PROMETHEUS_PORT']}/api/v1/query",
        params={"query": 'count_over_time(up{job="endpoint"}[10m] offset 10s)', "time": at},
    )
    return float(answer.json()["data"]["result"][0]["value"][1])


def test_a_port_that_is_taken_is_named_with_its_holder_and_its_variable(lab: Lab) -> None:
    lab("down")
    with socket.create_server(("127.0.0.1", int(lab.env["LAB_S3_PORT"]))):
        done = lab.run("up")
    assert done.returncode == 3
    assert f"Port {lab.env['LAB_S3_PORT']} of s3 is taken by" in done.stderr.replace("\n", " ")
    assert "LAB_S3_PORT=PORT" in done.stderr


def test_forgetting_leaves_nothing_but_images(lab: Lab, engine: DockerEngine) -> None:
    lab("down", "--all")
    label = f"{_PROJECT}={lab.project}"
    assert not engine.client.containers(filters={"label": [label]}, all=True)
    volumes = {one["Name"] for one in engine.client.volumes()["Volumes"] or ()}
    networks = {one["Name"] for one in engine.client.networks()}
    assert not [name for name in volumes | networks if name.startswith(lab.project)]
    assert not Path(lab.env["LAB_STATE"]).exists()
    assert engine.client.images(filters=_OURS)
