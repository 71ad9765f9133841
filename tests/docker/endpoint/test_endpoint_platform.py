"""Endpoints whose instances have another processor than this machine, or than their image."""

from collections.abc import Callable

import pytest

from lab.endpoint.instances import LARGE
from lab.engine.docker.engine import DockerEngine
from lab.spec import FLOOR, Platform
from tests.docker.endpoint.site import Site, realtime, serverless
from tests.fidelity import OURS, SEEN, fidelity

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("registry")]


@fidelity(
    "Containers",
    "An image for another processor than the instance type's fails with exec format error.",
    SEEN,
    "https://github.com/aws-samples/aws-lex-conv-faq/issues/8",
)
def test_an_image_for_another_processor_fails_as_on_sagemaker_though_it_would_run_here(
    site: Site, platform: Platform, foreign: Platform, built: Callable[[str], str]
) -> None:
    variant = realtime(site.model(built(FLOOR)), InstanceType=LARGE[foreign])
    name = site.endpoint(site.config(variant), wait=False)
    seen = site.settled(name)
    assert seen["EndpointStatus"] == "Failed"
    reason = seen["FailureReason"]
    assert "did not pass the ping health check" in reason
    assert f"exec format error: the image {built(FLOOR)} is for {platform}" in reason
    assert LARGE[foreign] in reason
    log = site.emulator.state / "logs" / name / "AllTraffic"
    assert "exec format error" in "".join(path.read_text() for path in log.glob("*.log"))
    site.delete(name)


def test_a_fitting_image_runs_emulated_and_the_endpoint_says_so(
    site: Site, foreign: Platform, foreign_image: Callable[[str], str], engine: DockerEngine
) -> None:
    variant = realtime(site.model(foreign_image(FLOOR)), InstanceType=LARGE[foreign])
    name = site.endpoint(site.config(variant), wait=False)
    (coming,) = site.describe(name)["PendingDeploymentSummary"]["ProductionVariants"]
    assert "which this machine emulates" in coming["VariantStatus"][0]["StatusMessage"]
    assert site.settled(name)["EndpointStatus"] == "InService"
    assert site.invoke(name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    (container,) = engine.containers({"org.inference-lab.endpoint": name})
    image = engine.client.inspect_container(container.id)["Config"]["Image"]
    assert engine.image(image).platform is foreign
    site.delete(name)


@fidelity(
    "Serverless",
    "Serverless endpoints run x86-64 images only.",
    OURS,
    "no page of AWS's says that they take another",
)
def test_serverless_has_x86_64(
    site: Site, platform: Platform, foreign: Platform, foreign_image: Callable[[str], str]
) -> None:
    name = site.endpoint(site.config(serverless(site.model(foreign_image(FLOOR)))), wait=False)
    seen = site.settled(name)
    if foreign is Platform.ARM64:
        assert seen["EndpointStatus"] == "Failed"
        assert "serverless endpoints have x86-64 processors" in seen["FailureReason"]
    else:
        assert seen["EndpointStatus"] == "InService"
    site.delete(name)
