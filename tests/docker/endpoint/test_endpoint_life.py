"""How a container starts and ends: starts that fail, /dev/shm, the signal that stops it."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
import pytest
from botocore.exceptions import ClientError

from lab.endpoint.live import STARTED_AGAIN
from lab.engine.api import SHM_BYTES
from lab.engine.docker.engine import DockerEngine
from tests.docker import known
from tests.docker.endpoint.site import Beside, Site, answered, realtime, serverless
from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity
from tests.timing import wait_until

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def env() -> Mapping[str, str]:
    """As AWS does: no limit of the lab's own for starts."""
    return {"LAB_START_TRIES": ""}


def log_of(site: Site, name: str) -> str:
    folder = site.emulator.state / "logs" / name
    return "".join(path.read_text() for path in folder.glob("*/*.log"))


def said_of(site: Site, name: str) -> str:
    """The status message of an endpoint that is coming, if there is one."""
    pending = site.describe(name).get("PendingDeploymentSummary")
    if pending is None:
        return ""
    (variant,) = pending["ProductionVariants"]
    return str(variant["VariantStatus"][0].get("StatusMessage", ""))


@contextmanager
def starting_again(site: Site, model: str) -> Iterator[str]:
    """An endpoint whose container has ended already, and is started again."""
    name = site.endpoint(site.config(realtime(model)), wait=False)
    wait_until(lambda: STARTED_AGAIN in said_of(site, name), otherwise=lambda: log_of(site, name))
    try:
        yield name
    finally:
        if site.sagemaker.list_endpoints(NameContains=name)["Endpoints"]:
            give_up(site, name)
            site.settled(name)
            site.delete(name)


def give_up(site: Site, name: str) -> None:
    httpx.post(f"{site.emulator.url}/_lab/endpoints/{name}/give-up")


def lab(site: Site, *words: str) -> str:
    """What `lab endpoint` says of this emulator."""
    url, s3 = site.emulator.url, site.emulator.s3
    return subprocess.run(
        [sys.executable, "-m", "lab", "endpoint", *words],
        env={**os.environ, "AWS_ENDPOINT_URL_SAGEMAKER": url, "AWS_ENDPOINT_URL_S3": s3},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


@fidelity(
    "Containers",
    "A start that fails is followed by another in the same container: what the first one left on "
    "the file system is there.",
    SEEN,
    "https://github.com/aws-samples/"
    "amazon-sagemaker-asynchronous-inference-computer-vision/issues/5 "
    "https://github.com/shashankprasanna/torchserve-examples/issues/8",
)
def test_the_first_start_fails_and_the_second_succeeds(site: Site, engine: DockerEngine) -> None:
    name = site.endpoint(site.config(realtime(site.model(env={"FAIL": "once"}))))
    assert answered(site.invoke(name))["count"] == 1
    (container,) = Beside(engine, name).containers()
    assert engine.client.inspect_container(container.id)["RestartCount"] == 0
    log = log_of(site, name)
    assert log.count("the first start fails\n") == 1
    assert log.count("serving\n") == 1
    assert "[platform] The container exited before it was ready with code 1" in log
    assert "As on AWS it is started again, on the same file system" in log
    (server,) = httpx.get(f"{site.emulator.url}/_lab/endpoints/{name}/servers").json()
    assert 0.5 < server["phases_s"]["boot"] <= server["setup_s"]  # the first pause is in it
    site.delete(name)


def test_a_serverless_container_is_started_again_too(site: Site) -> None:
    # Its root is read-only: what it leaves is in /tmp.
    name = site.endpoint(site.config(serverless(site.model(env={"FAIL": "once-in-tmp"}))))
    assert answered(site.invoke(name))["uid"] == 993
    site.delete(name)


@fidelity(
    "Containers",
    "An endpoint whose container is being started again cannot be deleted.",
    SEEN,
    "https://github.com/aws/amazon-sagemaker-examples/issues/3432",
)
@fidelity(
    "Containers",
    "`lab endpoint delete` gives up what is being created or updated before it deletes.",
    OURS,
    "AWS has no such call; nobody should have to wait here for eight minutes.",
)
def test_whoever_waits_is_told_why_and_may_end_it_at_once(site: Site, engine: DockerEngine) -> None:
    with starting_again(site, site.model(env={"FAIL": "exit"})) as name:
        assert "no such file: weights.bin" in said_of(site, name)
        assert f"`lab endpoint delete {name}` ends it" in log_of(site, name)
        assert "no such file: weights.bin" in lab(site, "list")
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            site.sagemaker.delete_endpoint(EndpointName=name)
        assert "is being deleted" in lab(site, "delete", name)
        site.wait(name, "endpoint_deleted")
        assert Beside(engine, name).containers() == []


def test_an_update_whose_containers_end_is_rolled_back_when_it_is_given_up(
    site: Site, engine: DockerEngine
) -> None:
    good = site.config(realtime(site.model()))
    name = site.endpoint(good)
    bad = site.config(realtime(site.model(env={"FAIL": "exit"})))
    site.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=bad)
    wait_until(lambda: STARTED_AGAIN in said_of(site, name))
    assert answered(site.invoke(name))["count"] == 1
    give_up(site, name)
    seen = site.settled(name)
    assert (seen["EndpointStatus"], seen["EndpointConfigName"]) == ("InService", good)
    assert "given up by `lab endpoint delete`" in seen["FailureReason"]
    assert len(Beside(engine, name).containers()) == 1
    site.delete(name)


def test_an_emulator_that_is_stopped_meanwhile_leaves_nothing_and_goes_on_afterwards(
    site: Site, engine: DockerEngine
) -> None:
    with starting_again(site, site.model(env={"FAIL": "exit"})) as name:
        assert site.emulator.stop() == 0
        assert Beside(engine, name).containers() == []
        site.emulator.start()
        assert site.describe(name)["EndpointStatus"] == "Creating"
        wait_until(lambda: STARTED_AGAIN in said_of(site, name))


def test_one_that_was_killed_meanwhile_begins_anew(site: Site, engine: DockerEngine) -> None:
    with starting_again(site, site.model(env={"FAIL": "exit"})) as name:
        site.emulator.kill()
        site.emulator.start()
        wait_until(lambda: STARTED_AGAIN in said_of(site, name))
        assert len(Beside(engine, name).containers()) == 1


def test_what_no_start_can_mend_fails_soon(site: Site, engine: DockerEngine) -> None:
    with images(engine, site.image, entrypoint="nobody-has-this") as ref:
        name = site.endpoint(site.config(realtime(site.model(ref))), wait=False)
        seen = site.settled(name)
        assert seen["EndpointStatus"] == "Failed"
        assert seen["FailureReason"].startswith(
            "CannotStartContainerError. Please ensure the model container for variant AllTraffic "
            "starts correctly when invoked with 'docker run <image> serve'. "
        )
        assert "nobody-has-this" in seen["FailureReason"]
        site.delete(name)


@fidelity(
    "Containers",
    "/dev/shm has 64 MB, whatever the engine's default is, and there is no setting for more.",
    SEEN,
    "https://github.com/aws/sagemaker-python-sdk/issues/2801 "
    "https://github.com/aws/amazon-sagemaker-examples/issues/3506 "
    "https://github.com/triton-inference-server/server/issues/5869",
)
def test_shared_memory_has_64_mb(site: Site, engine: DockerEngine) -> None:
    name = site.endpoint(site.config(realtime(site.model())))
    (container,) = Beside(engine, name).containers()
    assert engine.client.inspect_container(container.id)["HostConfig"]["ShmSize"] == SHM_BYTES
    _, listed = container.execute(["df", "-k", "/dev/shm"])
    assert "65536" in listed
    site.delete(name)


def test_a_container_that_meets_its_end_there_is_told_so(site: Site) -> None:
    with starting_again(site, site.model(env={"FAIL": "shm"})) as name:
        assert "/dev/shm is full, which has 64 MB on SageMaker" in said_of(site, name)
        assert "docker system df" not in said_of(site, name)


@contextmanager
def images(
    engine: DockerEngine, base: str, *, signal: str = "", entrypoint: str = ""
) -> Iterator[str]:
    """An image on another, with a ``STOPSIGNAL`` or an entry point of its own."""
    ref = f"{known.REPOSITORY}/life-{secrets.token_hex(4)}"
    made = engine.client.create_container(base)["Id"]
    changes = [f"STOPSIGNAL {signal}"] if signal else [f'ENTRYPOINT ["{entrypoint}"]']
    try:
        engine.client.commit(made, repository=ref, tag="latest", changes=changes)
    finally:
        engine.client.remove_container(made, force=True)
    yield f"{ref}:latest"
    known.remove(engine, f"{ref}:latest")


@fidelity(
    "Containers",
    "A container is stopped with SIGTERM, and with SIGKILL 30 s later.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html",
)
@fidelity(
    "Containers",
    "An image's own STOPSIGNAL is not sent instead of SIGTERM: by the emulator, the contract check "
    "and the benches alike.",
    OURS,
    "AWS's page says SIGTERM for every image and nothing of STOPSIGNAL; its Fargate did not send "
    "one before December 2025: https://aws.amazon.com/about-aws/whats-new/2025/12/"
    "amazon-ecs-custom-container-stop-signals-fargate/",
)
@pytest.mark.parametrize("signal", ["SIGINT", "SIGUSR1"])
def test_an_image_s_own_stop_signal_is_not_what_stops_it(
    site: Site, engine: DockerEngine, signal: str
) -> None:
    with images(engine, site.image, signal=signal) as ref:
        assert engine.client.inspect_image(ref)["Config"]["StopSignal"] == signal
        name = site.endpoint(site.config(realtime(site.model(ref))))
        site.delete(name)
        assert "stopping on SIGTERM" in log_of(site, name)


@fidelity(
    "Containers",
    "Limits on open files, threads and processes are the engine's own.",
    OURS,
    "AWS publishes none for hosting.",
)
def test_other_limits_are_the_engine_s(site: Site, engine: DockerEngine) -> None:
    name = site.endpoint(site.config(realtime(site.model())))
    (container,) = Beside(engine, name).containers()
    host = engine.client.inspect_container(container.id)["HostConfig"]
    assert not host["Ulimits"]
    assert not host["PidsLimit"]
    site.delete(name)
