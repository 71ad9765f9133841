"""A check that is stopped or killed: what it knows is told, and none of its containers stays."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.engine.api import ContainerSpec
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.owned import of_this_process
from lab.spec import LABEL_OWNER, LABEL_ROLE
from tests.timing import wait_until

pytestmark = pytest.mark.docker

PATIENCE_S = 300
SLOW = ["--only", "entry-point", "--only", "serve", "--only", "sigterm"]


@pytest.fixture
def never_ready(image: Callable[..., str]) -> str:
    """Starts, and answers no ping for as long as a test lasts."""
    return image("good", DELAY="3600")


class Stopped:
    """A check in a process of its own."""

    def __init__(self, engine: DockerEngine, image: str, home: Path) -> None:
        self._engine = engine
        self.json, self.junit = home / "c.json", home / "c.xml"
        wanted = ["--json", str(self.json), "--junit", str(self.junit), *SLOW]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lab", "contract", "check", image, *wanted],
            env={**os.environ, "LAB_HOME": str(home), "DOCKER_HOST": engine.address},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def containers(self) -> list[DockerContainer]:
        begin = f"contract-{self.process.pid}-"
        every = self._engine.containers({LABEL_ROLE: "contract-check"})
        return [one for one in every if one.labels[LABEL_OWNER].startswith(begin)]


@pytest.fixture
def check(engine: DockerEngine, never_ready: str, tmp_path: Path) -> Iterator[Stopped]:
    begun = Stopped(engine, never_ready, tmp_path)
    try:
        wait_until(lambda: any(one.state().running for one in begun.containers()))
        yield begun
    finally:
        begun.process.kill()
        begun.process.communicate()
        for left in begun.containers():
            left.remove()


@pytest.mark.parametrize("stop", [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGINT,) * 3])
def test_what_is_known_is_told_and_no_container_stays(
    check: Stopped, stop: tuple[signal.Signals, ...]
) -> None:
    for number in stop:
        check.process.send_signal(number)
    out, _ = check.process.communicate(timeout=PATIENCE_S)
    assert check.process.returncode == 130
    assert check.containers() == []
    assert "entry-point" in out
    assert "Cut short: 2 rules were not tried" in out
    said = json.loads(check.json.read_text())
    assert said["cut_short"] is True
    assert [one["rule"] for one in said["findings"]] == ["entry-point"]
    assert said["untried"] == ["serve", "sigterm"]
    assert 'name="cut_short" value="true"' in check.junit.read_text()


def test_what_a_killed_check_left_is_removed_by_the_next_and_nothing_else(
    check: Stopped, engine: DockerEngine, built: Callable[[str], str]
) -> None:
    check.process.kill()
    check.process.communicate()
    assert check.containers()
    labels = {LABEL_OWNER: f"test-{secrets.token_hex(4)}", **of_this_process()}
    alive = engine.create(ContainerSpec(image=built("floor"), labels=labels))
    theirs = engine.client.create_container(built("floor"), command=["serve"])["Id"]
    try:
        again = [sys.executable, "-m", "lab", "contract", "check", built("floor")]
        done = subprocess.run(
            [*again, "--only", "entry-point"],
            env={**os.environ, "DOCKER_HOST": engine.address},
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert check.containers() == []
        assert [one.id for one in engine.containers(labels)] == [alive.id]
        assert engine.client.inspect_container(theirs)
    finally:
        alive.remove()
        engine.client.remove_container(theirs)
