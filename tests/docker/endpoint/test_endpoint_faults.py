"""What breaks in the middle, and the consistent state after it."""

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from typing import Self

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.errors import EngineError
from lab.paths import ROOT
from tests.docker.endpoint.site import ROLE, Beside, Site, answered, realtime, serverless
from tests.fidelity import OURS, fidelity
from tests.timing import wait_until


def containers_of(engine: DockerEngine, endpoint: str) -> Sequence[DockerContainer]:
    return Beside(engine, endpoint).containers()


def runs(container: DockerContainer) -> bool:
    try:
        return container.state().running
    except EngineError:
        return False  # removed since it was listed


class Traffic:
    """Invokes over and over in threads, and keeps what went wrong."""

    def __init__(self, site: Site, endpoint: str, *, clients: int = 4) -> None:
        self.site, self.endpoint = site, endpoint
        self.errors: list[BaseException] = []
        self.names: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                said = answered(self.site.invoke(self.endpoint, json.dumps({"sleep": 0.01})))
            except (ClientError, BotoCoreError) as error:
                self.errors.append(error)
            else:
                self.names.append(said["name"])


def test_no_request_fails_while_an_update_replaces_every_container(
    site: Site, engine: DockerEngine
) -> None:
    name = site.endpoint(site.config(realtime(site.model(env={"NAME": "blue"}), count=2)))
    green = site.config(realtime(site.model(env={"NAME": "green"}), count=2))
    with Traffic(site, name) as traffic:
        wait_until(lambda: len(traffic.names) > 50)
        site.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=green)
        site.wait(name)
        wait_until(lambda: traffic.names[-20:] == ["green"] * 20)
    assert traffic.errors == []
    assert set(traffic.names) == {"blue", "green"}
    assert site.describe(name)["EndpointConfigName"] == green
    wait_until(lambda: len(containers_of(engine, name)) == 2)
    site.delete(name)


def test_an_update_that_fails_leaves_the_endpoint_as_it_was(
    site: Site, engine: DockerEngine
) -> None:
    good = site.config(realtime(site.model(env={"NAME": "good"})))
    name = site.endpoint(good)
    bad = site.config(realtime(site.model(env={"FAIL": "exit"})))
    with Traffic(site, name, clients=2) as traffic:
        site.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=bad)
        seen = site.settled(name)
    assert traffic.errors == []
    assert (seen["EndpointStatus"], seen["EndpointConfigName"]) == ("InService", good)
    assert "no such file: weights.bin" in seen["FailureReason"]
    assert len(containers_of(engine, name)) == 1
    site.delete(name)


@fidelity(
    "Containers",
    "A container that ends while it is in service fails the requests that it has, and a new one "
    "takes its place.",
    OURS,
    "AWS documents that unhealthy instances are replaced, and not whether the container that ended "
    "is started again: https://docs.aws.amazon.com/sagemaker/latest/dg/"
    "your-algorithms-inference-code.html",
)
def test_a_container_that_dies_costs_its_own_request_and_is_replaced(
    site: Site, engine: DockerEngine
) -> None:
    name = site.endpoint(site.config(realtime(site.model())))
    (before,) = containers_of(engine, name)
    with pytest.raises(ClientError) as caught:
        site.invoke(name, json.dumps({"die": 7}))
    assert caught.value.response["Error"]["Code"] == "ModelError"
    wait_until(lambda: [one.id for one in containers_of(engine, name)] not in ([before.id], []))
    assert answered(site.invoke(name))["count"] == 1
    assert site.describe(name)["EndpointStatus"] == "InService"
    site.delete(name)


def test_a_container_killed_from_outside_is_replaced(site: Site, engine: DockerEngine) -> None:
    name = site.endpoint(site.config(realtime(site.model(), count=2)))
    victim = containers_of(engine, name)[0]
    victim.kill()

    def whole() -> bool:
        alive = [one for one in containers_of(engine, name) if runs(one)]
        return len(alive) == 2 and victim.id not in {one.id for one in alive}

    wait_until(whole)
    assert answered(site.invoke(name))["bytes"] == 2
    site.delete(name)


def test_an_emulator_that_was_killed_goes_on_with_the_containers_that_it_left(
    site: Site, engine: DockerEngine
) -> None:
    name = site.endpoint(site.config(realtime(site.model(env={"NAME": "kept"}))))
    small = site.endpoint(site.config(serverless(site.model())))
    (before,) = containers_of(engine, name)
    answered(site.invoke(name))
    site.emulator.kill()
    site.emulator.start()
    assert site.describe(name)["EndpointStatus"] == "InService"
    said = answered(site.invoke(name))
    assert (said["name"], said["count"]) == ("kept", 2)
    assert [one.id for one in containers_of(engine, name)] == [before.id]
    assert answered(site.invoke(small))["bytes"] == 2
    assert len(containers_of(engine, small)) <= 2
    site.delete(name)
    site.delete(small)


LONG = pytest.mark.long


@pytest.mark.parametrize(
    "delay_s", [0.0, 0.2, *(pytest.param(delay, marks=LONG) for delay in (0.05, 0.5, 1.0))]
)
def test_an_endpoint_is_finished_though_the_emulator_was_killed_on_the_way(
    site: Site, engine: DockerEngine, delay_s: float
) -> None:
    name = site.endpoint(site.config(realtime(site.model(), count=2)), wait=False)
    time.sleep(delay_s)
    site.emulator.kill()
    site.emulator.start()
    site.wait(name)
    assert len(containers_of(engine, name)) == 2
    assert answered(site.invoke(name))["bytes"] == 2
    site.sagemaker.delete_endpoint(EndpointName=name)
    time.sleep(delay_s)
    site.emulator.kill()
    site.emulator.start()
    site.wait(name, "endpoint_deleted")
    wait_until(lambda: containers_of(engine, name) == [])


def test_a_kill_in_the_middle_of_requests_loses_only_those(site: Site) -> None:
    name = site.endpoint(site.config(realtime(site.model())))
    with Traffic(site, name) as traffic:
        wait_until(lambda: len(traffic.names) > 30)
        site.emulator.kill()
        site.emulator.start()
        heard = len(traffic.names)
        wait_until(lambda: len(traffic.names) > heard + 30)
    assert [error for error in traffic.errors if isinstance(error, ClientError)] == []
    site.delete(name)


def test_an_unhealthy_container_is_replaced(site: Site, engine: DockerEngine) -> None:
    name = site.endpoint(site.config(realtime(site.model())))
    (before,) = containers_of(engine, name)
    site.invoke(name, json.dumps({"sick": 1}))

    def replaced() -> bool:
        now = containers_of(engine, name)
        return len(now) == 1 and now[0].id != before.id and runs(now[0])

    wait_until(replaced)
    wait_until(lambda: answered(site.invoke(name))["count"] == 1)
    site.delete(name)


@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=LONG)])
def test_resources_written_before_a_kill_are_there_after_it(site: Site, kills: int) -> None:
    names = []
    for _ in range(kills):
        name = f"kept-{uuid.uuid4().hex[:6]}"
        site.sagemaker.create_model(
            ModelName=name, PrimaryContainer={"Image": site.image}, ExecutionRoleArn=ROLE
        )
        names.append(name)
        site.emulator.kill()
        site.emulator.start()
    listed = site.sagemaker.list_models(NameContains="kept-", MaxResults=100)["Models"]
    assert {one["ModelName"] for one in listed} >= set(names)


def test_a_second_emulator_on_the_same_state_says_so(site: Site) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "face"],
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'services/endpoint'}",
            "LAB_STATE": str(site.emulator.state),
            "LAB_PORT": "0",
            "DOCKER_HOST": site.emulator.engine,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert str(site.emulator.state) in done.stderr
