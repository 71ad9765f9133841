"""``lab load`` on a real container, from its command to its run folder."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import paths
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.loadtest.folder import LoadFolder
from lab.loadtest.targets.image import ROLE
from lab.spec import LABEL_OWNER, LABEL_ROLE
from tests.timing import wait_until

Ended = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Home:
    """Where loads of a test are kept, and the command that makes them."""

    folder: Path
    image: str
    payload: Path

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "lab", "load", *words, "--payload", str(self.payload)],
            cwd=paths.ROOT,
            env={**os.environ, "LAB_HOME": str(self.folder), "LAB_BUSY": "ignore"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lab(self, *words: str) -> Ended:
        process = self.start(*words)
        out, err = process.communicate()
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def runs(self) -> Sequence[Path]:
        return sorted((self.folder / "runs").glob("*-load"))

    def sent(self) -> int:
        """Requests of its only load."""
        made = [path / "requests.csv" for path in self.runs()]
        return len(made[0].read_text().splitlines()) if made and made[0].exists() else 0

    def load(self) -> LoadFolder:
        (folder,) = self.runs()
        return LoadFolder(folder)


@pytest.fixture
def home(tmp_path: Path, image: Callable[..., str]) -> Home:
    payload = tmp_path / "question.json"
    payload.write_text("{}")
    return Home(tmp_path / "home", image("good"), payload)


def containers(engine: DockerEngine, process: int) -> Sequence[DockerContainer]:
    """Of that command."""
    return [
        one
        for one in engine.containers({LABEL_ROLE: ROLE})
        if one.labels[LABEL_OWNER].startswith(f"{ROLE}-{process}-")
    ]


def test_an_image_is_started_at_its_size_loaded_and_gone(home: Home, engine: DockerEngine) -> None:
    process = home.start(home.image, "constant:rate=20,for=3s", "--size", "1GB", "--json")
    wait_until(lambda: home.sent() > 5)
    (container,) = containers(engine, process.pid)
    limits = engine.client.inspect_container(container.id)["HostConfig"]
    assert limits["Memory"] == limits["MemorySwap"] == 2**30
    assert limits["NanoCpus"] == int(1024 / 1769 * 1e9)
    out, err = process.communicate()
    assert process.returncode in {0, 16}, err  # 16: this machine kept the generator waiting
    summary = json.loads(out)
    assert summary["target"]["size"] == "1024"
    assert summary["figures"]["answered"] == 60
    assert {one.containers for one in home.load().pool()} == {1}
    assert not containers(engine, process.pid)


def test_a_load_that_is_stopped_keeps_what_there_is_and_goes_on_with_the_rest(
    home: Home, engine: DockerEngine
) -> None:
    process = home.start(home.image, "constant:rate=10,for=12s")
    wait_until(lambda: home.sent() > 5)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    name = home.load().path.name
    assert process.returncode == 130, err
    assert f"lab load --resume {name}" in err
    assert not containers(engine, process.pid)
    kept = home.load().requests()
    assert 5 < len(kept) < 120
    assert [one.ended for one in home.load().states()] == ["stopped"]

    again = home.lab("--resume", name)
    assert again.returncode in {0, 16}, again.stderr
    found = home.load().requests()
    assert found.number.tolist() == list(range(120))
    assert found.answered[len(kept) :].all()
    assert set(found.sitting.tolist()) == {0, 1}

    home.payload.write_text('{"another": 1}')
    other = home.lab("--resume", name)
    assert other.returncode == 2
    assert "the payloads was question.json" in other.stderr.replace("\n", " ")


@pytest.mark.parametrize("end", ["killed", "removed"])
def test_a_container_that_ends_in_the_middle_fails_the_rest_and_says_why(
    home: Home, engine: DockerEngine, end: str
) -> None:
    process = home.start(home.image, "constant:rate=10,for=600s")
    wait_until(lambda: home.sent() > 5)
    (container,) = containers(engine, process.pid)
    container.kill() if end == "killed" else container.remove()
    out, err = process.communicate()
    assert process.returncode in {6, 16}, err
    found = home.load().requests()
    assert len(found) == 6000, "nobody waits for what will not come"
    assert found.answered[:5].all()
    assert found.failed[-5:].all()
    (sitting,) = home.load().sittings()
    assert sitting.cause is not None
    assert ("with code 137" if end == "killed" else "No such container") in sitting.cause
    assert sitting.cause.split(".")[0].replace(",", ";") in found.error[-1]
    assert "failed" in out


def test_a_payload_that_the_model_refuses_ends_the_load_with_its_answer(
    home: Home, image: Callable[..., str]
) -> None:
    ended = home.lab(image("teapot"), "constant:rate=10,for=600s")
    assert ended.returncode == 10
    assert "only application/x-tea is brewed here" in ended.stderr
    assert home.sent() < 100


def test_a_running_container_gets_other_limits_and_keeps_its_process(
    engine: DockerEngine, image: Callable[..., str]
) -> None:
    from lab.coldstart.trial import Subject
    from lab.loadtest.targets.image import image_target
    from lab.loadtest.targets.sizes import Size
    from lab.progress import Silent

    subject = Subject(image=image("good"), archive=None, payload=b"{}", content_type="a/b")
    with image_target(
        engine, subject, size=Size.parse("1024"), name="good", progress=Silent()
    ) as target:
        before = target.container.state().pid
        for text, memory in (("3GB", 3 * 2**30), ("1GB", 2**30)):
            given = target.resize(Size.parse(text))
            seen = engine.client.inspect_container(target.container.id)["HostConfig"]
            assert seen["Memory"] == seen["MemorySwap"] == memory
            assert seen["NanoCpus"] == int((given.compute.cpus or 0) * 1e9)
            load = target.container.load()
            assert load is not None
            assert load.memory_limit_bytes == memory
        target.resize(Size.parse("host"))
        load = target.container.load()
        assert load is not None
        assert load.memory_limit_bytes >= engine.facts().memory_bytes
        assert target.container.state().pid == before
