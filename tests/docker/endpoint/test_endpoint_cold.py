"""Cold starts as deep as they go: the image pulled anew on a machine that has never seen it."""

from collections.abc import Callable

from lab.engine.docker import DockerEngine
from lab.spec import LABEL_ROLE
from tests.docker.endpoint.site import Site, answered, serverless


def test_an_endpoint_that_asks_for_it_pulls_its_image_at_every_cold_start(
    site: Site, engine: DockerEngine, built: Callable[[str], str]
) -> None:
    built("coldhost")
    built("registry")
    config = site.config(
        serverless(site.model(env={"NAME": "pulled"}), most=1),
        Tags=[{"Key": "inference-lab:pull", "Value": "cold"}],
    )
    before = {one.id for one in engine.containers({LABEL_ROLE: "coldhost"})}
    name = site.endpoint(config)
    assert answered(site.invoke(name))["name"] == "pulled"
    now = {one.id for one in engine.containers({LABEL_ROLE: "coldhost"})}
    assert len(now - before) == 1
    site.delete(name)
    assert not {one.id for one in engine.containers({LABEL_ROLE: "coldhost"})} & (now - before)
