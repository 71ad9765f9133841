"""`lab images report` and the rule about leftovers, on an image that the lab did not build."""

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lab.cli import main
from lab.contract.model import Verdict
from lab.contract.rules.image import judge_leftovers
from lab.engine.docker.engine import DockerEngine
from lab.images.base import ensure_base
from lab.images.layers.saved import save
from lab.process import run
from lab.progress import Progress
from lab.spec import LABEL, Platform

pytestmark = pytest.mark.docker

PASSWORD = f"Zq9{secrets.token_hex(8)}"
SITE = "/usr/local/lib/python3.13/dist-packages"
DOCKERFILE = f"""
FROM BASE
LABEL {LABEL}=true
RUN mkdir -p /var/cache/apt/archives /var/lib/apt/lists && \\
    head -c 11000000 /dev/zero > /var/cache/apt/archives/nginx.deb && \\
    head -c 2000000 /dev/zero > /var/lib/apt/lists/x && rm -rf /var/lib/apt/lists/*
ARG DB_PASSWORD
RUN mkdir -p {SITE}/numpy {SITE}/numpy-2.0.dist-info && \\
    head -c 3000000 /dev/zero > {SITE}/numpy/core.so && \\
    echo "numpy/core.so,," > {SITE}/numpy-2.0.dist-info/RECORD
RUN mkdir -p /root/.cache/pip && head -c 4000000 /dev/zero > /root/.cache/pip/wheel
RUN rm -rf /root/.cache && chmod 600 {SITE}/numpy/core.so
"""


@pytest.fixture(scope="module")
def fat(engine: DockerEngine, platform: Platform, progress: Progress) -> Iterator[str]:
    base = ensure_base(platform, engine, progress).ref
    ref = f"inference-lab-test/fat:{secrets.token_hex(4)}"
    argument = f"--build-arg=DB_PASSWORD={PASSWORD}"
    run(
        ["docker", "build", "--quiet", "--tag", ref, argument, "-"],
        env={"DOCKER_HOST": engine.address, "DOCKER_CONTEXT": "", "BUILDX_BUILDER": "default"},
        input_text=DOCKERFILE.replace("BASE", base),
    )
    yield ref
    engine.client.remove_image(ref)


@pytest.fixture(scope="module")
def row(fat: str) -> Mapping[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        told: list[str] = []
        patch.setattr("lab.cli.images.typer.echo", told.append)
        assert main.run(["images", "report", fat, "--json"]) == 0
    assert PASSWORD not in told[0]
    found: Mapping[str, Any] = json.loads(told[0])["images"][0]
    return found


def test_each_layer_is_told_with_what_is_in_it_and_what_is_seen_of_it(
    row: Mapping[str, Any],
) -> None:
    apt, numpy, pip, last = row["layers"][-4:]
    assert numpy["packages"][0]["name"] == "numpy 2.0"
    assert numpy["packages"][0]["bytes"] >= 3_000_000
    assert numpy["largest"][0] == {"path": f"{SITE}/numpy/core.so", "bytes": 3_000_000}
    assert numpy["hidden"][0]["how"] == "replaced"
    assert numpy["hidden"][0]["by_layer"] == last["layer"]
    assert pip["hidden"][0]["how"] == "removed"
    assert row["hidden_bytes"] >= 7_000_000
    assert [one["path"] for one in apt["leftovers"]] == ["/var/cache/apt/archives"]
    assert row["layers"][0]["packages"][0]["manager"] == "Debian"


def test_it_is_told_to_people_too(fat: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["images", "report", fat]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "What could be spared" in said
    assert "/var/cache/apt/archives" in said
    assert "Python: numpy 2.0" in said
    assert PASSWORD not in said


def test_the_rule_names_folder_layer_and_command_and_a_cure_that_the_step_lacks(
    engine: DockerEngine, fat: str
) -> None:
    image = save(engine, fat)
    told = judge_leftovers(image)
    layer = len(image.layers) - 3
    assert told.verdict is Verdict.WARN
    assert f"layer {layer}, `RUN mkdir -p /var/cache/apt/archives" in told.seen
    assert "/var/cache/apt/archives 11.0 MB" in told.seen
    assert f"removed in layer {layer + 3} and pulled all the same" in told.seen
    assert f"Run `apt-get clean` in layer {layer}'s step" in told.change
    assert "/var/lib/apt/lists" not in told.change
    assert PASSWORD not in repr(told)
