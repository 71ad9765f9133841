"""The rules as the lab's own image of Prometheus takes them: checked, and each alert tried."""

import io
import tarfile
from collections.abc import Callable

import pytest

from lab import paths
from lab.engine.docker.engine import DockerEngine
from lab.spec import LABEL

pytestmark = pytest.mark.docker

FOLDER = paths.SERVICES / "prometheus"


@pytest.fixture(scope="module")
def promtool(engine: DockerEngine, built: Callable[[str], str]) -> Callable[..., tuple[int, str]]:
    """Run promtool in the image, beside the checkout's rules and tests; code and output."""
    image = built("prometheus")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(FOLDER, "checkout")

    def run(*words: str) -> tuple[int, str]:
        client = engine.client
        container = client.create_container(
            image,
            command=list(words),
            entrypoint="promtool",
            working_dir="/srv",
            labels={LABEL: "true"},
            host_config=client.create_host_config(network_mode="none"),
        )["Id"]
        try:
            client.put_archive(container, "/srv", packed.getvalue())
            client.start(container)
            code = client.wait(container)["StatusCode"]
            return code, client.logs(container).decode()
        finally:
            client.remove_container(container, v=True, force=True)

    return run


def test_the_image_has_a_configuration_and_rules_without_fault(
    promtool: Callable[..., tuple[int, str]],
) -> None:
    code, said = promtool("check", "config", "/etc/prometheus/prometheus.yml")
    assert code == 0, said
    assert f"{len(list((FOLDER / 'rules').glob('*.yml')))} rule files found" in said


@pytest.mark.parametrize("file", sorted(one.name for one in (FOLDER / "tests").glob("*.yml")))
def test_alerts_fire_when_they_should_and_only_then(
    promtool: Callable[..., tuple[int, str]], file: str
) -> None:
    code, said = promtool("test", "rules", f"checkout/tests/{file}")
    assert code == 0, said
