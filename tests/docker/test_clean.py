"""`lab clean` on an engine of its own: what the lab did not name stays, whatever it stands on."""

import io
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.engine.api import ContainerSpec
from lab.engine.docker.clean import Removed, remove_all
from lab.engine.docker.engine import DockerEngine
from lab.engine.install.daemon import Daemon, program
from lab.engine.install.places import Places
from lab.images.base import base_ref
from lab.images.names import is_own_name, keep_as_replaced
from lab.images.variants import image_ref
from lab.process import run
from lab.spec import LABEL, LABEL_OWNER, LABEL_ROLE, Platform
from tests.timing import wait_until

pytestmark = pytest.mark.docker

BASE = base_ref(Platform.AMD64)
FLOOR = image_ref("floor", Platform.AMD64)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, engine: DockerEngine) -> Iterator[DockerEngine]:
    """An engine of its own with nothing in it: everything in the machine's may be in use."""
    del engine  # it brings dockerd
    if shutil.which("unshare") is None or program() is None:
        pytest.skip("needs dockerd and unshare")
    folder = tmp_path_factory.mktemp("c")
    daemon = Daemon(Places(run=folder, data=folder), within=("unshare", "--net"))
    daemon.start()
    opened = DockerEngine(daemon.places.address)
    yield opened
    opened.close()
    daemon.stop()

    def unmounted() -> bool:
        run(["umount", daemon.places.data_root], check=False)
        return str(daemon.places.data_root) not in Path("/proc/self/mountinfo").read_text()

    wait_until(unmounted)


def root_file_system() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        member = tarfile.TarInfo("content")
        member.size = 64
        tar.addfile(member, io.BytesIO(secrets.token_bytes(64)))
    return data.getvalue()


def imported(engine: DockerEngine, name: str) -> None:
    """As the lab makes its base: with its labels, which images inherit."""
    repository, _, tag = name.rpartition(":")
    labels = [f"LABEL {LABEL}=true", f"LABEL {LABEL_ROLE}=base"]
    said = engine.client.import_image_from_data(
        root_file_system(), repository=repository, tag=tag, changes=labels
    )
    assert "errorDetail" not in said


def built_on(engine: DockerEngine, base: str, *named: str) -> str:
    """A user's own image; its id."""
    dockerfile = f'FROM {base}\nENV MINE={secrets.token_hex(4)}\nCMD ["/content"]\n'
    tags = [f"--tag={name}" for name in named]
    env = {"DOCKER_HOST": engine.address, "DOCKER_CONTEXT": "", "BUILDX_BUILDER": "default"}
    built = run(["docker", "build", "--quiet", *tags, "-"], env=env, input_text=dockerfile)
    return built.stdout.strip()


def names(engine: DockerEngine) -> set[str]:
    return {tag for one in engine.client.images() for tag in one["RepoTags"] or ()}


def clean(engine: DockerEngine) -> Removed:
    return remove_all(engine, is_own_name)


def test_what_a_user_built_on_the_base_stays_and_its_containers_too(alone: DockerEngine) -> None:
    imported(alone, BASE)
    imported(alone, FLOOR)
    built_on(alone, BASE, "me/mine:1")
    built_on(alone, BASE, "inference-lab/mine:1")
    alone.client.tag(FLOOR, "me/floor", tag="kept")
    nameless = built_on(alone, BASE)
    theirs = alone.client.create_container("me/mine:1", command=["x"], name="theirs")["Id"]
    ours = alone.create(ContainerSpec(image=FLOOR, labels={LABEL_OWNER: "a-check"}))
    alone.client.commit(ours.id, repository="me/committed", tag="1")
    of_it = alone.client.create_container("me/committed:1", command=["x"], name="of-it")["Id"]
    alone.ensure_network("inference-lab-test")
    alone.client.create_volume("inference-lab-test", labels={LABEL: "true"})
    alone.client.create_volume("theirs")

    gone = clean(alone)

    assert names(alone) == {"me/mine:1", "inference-lab/mine:1", "me/floor:kept", "me/committed:1"}
    assert {one["Id"] for one in alone.client.containers(all=True)} == {theirs, of_it}
    assert alone.client.inspect_image(nameless)
    assert [one["Name"] for one in alone.client.volumes()["Volumes"]] == ["theirs"]
    assert (gone.containers, gone.images, gone.networks, gone.volumes) == (1, 2, 1, 1)
    assert any("image without a name stays" in line for line in gone.kept)


def test_an_image_that_a_user_s_container_needs_stays_and_is_told(alone: DockerEngine) -> None:
    imported(alone, FLOOR)
    theirs = alone.client.create_container(FLOOR, command=["x"])["Id"]
    gone = clean(alone)
    assert FLOOR in names(alone)
    assert any(line.startswith(f"{FLOOR} stays: ") for line in gone.kept)
    alone.client.remove_container(theirs)
    assert clean(alone).images == 1
    assert FLOOR not in names(alone)


def test_an_image_that_a_newer_one_took_the_name_of_goes_too(alone: DockerEngine) -> None:
    imported(alone, FLOOR)
    older = alone.image(FLOOR).image_id
    imported(alone, FLOOR)
    keep_as_replaced(alone, older)
    assert clean(alone).images == 2
    assert older not in {one["Id"] for one in alone.client.images()}


def test_a_base_of_the_old_builder_s_images_stays_and_is_told(alone: DockerEngine) -> None:
    imported(alone, BASE)
    dockerfile = f'FROM {BASE}\nCMD ["/content"]\n'.encode()
    list(alone.client.build(fileobj=io.BytesIO(dockerfile), tag="me/old:1", decode=True))
    gone = clean(alone)
    assert {BASE, "me/old:1"} <= names(alone)
    assert any(line.startswith(f"{BASE} stays: ") for line in gone.kept)
