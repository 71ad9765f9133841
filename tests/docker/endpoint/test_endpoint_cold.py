"""Cold starts as deep as they go: the image pulled anew on a machine that has never seen it."""

import secrets
from collections.abc import Callable, Iterator, Mapping

import httpx
import pytest

from lab.engine.docker import clean
from lab.engine.docker.engine import DockerEngine
from lab.spec import LABEL_ROLE
from tests.docker.endpoint.conftest import Build
from tests.docker.endpoint.site import Site, answered, serverless
from tests.fidelity import OURS, fidelity
from tests.timing import wait_until


@pytest.fixture(scope="module")
def env(engine: DockerEngine) -> Iterator[Mapping[str, str]]:
    """A registry and a network that no other test has."""
    project = f"inference-lab-test-{secrets.token_hex(4)}"
    yield {"LAB_PROJECT": project}
    registry = f"{project}-registry"
    for container in engine.containers({LABEL_ROLE: "registry"}):
        if container.name == registry:
            container.remove()
    assert not clean.remove_stores(engine, networks=[project], volumes=[registry])


@fidelity(
    "Serverless",
    "With the tag inference-lab:pull=cold every cold start pulls the image on a machine that has "
    "never seen it: the one that was deployed, though its tag was built anew meanwhile.",
    OURS,
    "AWS does not say when a cold start pulls; the lab lets one choose.",
)
def test_an_endpoint_that_asks_for_it_pulls_its_image_at_every_cold_start(
    site: Site,
    engine: DockerEngine,
    built: Callable[[str], str],
    build: Build,
    env: Mapping[str, str],
) -> None:
    built("coldhost")
    built("registry")
    image = build(1)
    config = site.config(
        serverless(site.model(image, env={"NAME": "pulled"}), most=1),
        Tags=[{"Key": "inference-lab:pull", "Value": "cold"}],
    )

    def hosts() -> int:
        mine = {"network": [env["LAB_PROJECT"]], "label": [f"{LABEL_ROLE}=coldhost"]}
        return len(engine.client.containers(all=True, filters=mine))

    name = site.endpoint(config)
    assert answered(site.invoke(name))["name"] == "pulled"
    assert hosts() == 1
    build(2)
    httpx.post(f"{site.emulator.url}/_lab/endpoints/{name}/scale-to-zero", timeout=60)
    wait_until(lambda: hosts() == 0)
    assert answered(site.invoke(name))["env"]["VERSION"] == "1"
    site.delete(name)
    assert hosts() == 0
