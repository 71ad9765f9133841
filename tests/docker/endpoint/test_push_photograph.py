"""`lab push aws --target local`: what the container says of a photograph, the endpoint says too."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import paths
from lab.aws.measure.folder import MeasureFolder
from lab.aws.measure.record import Protocol
from lab.cli import main
from lab.endpoint.addresses import S3, SAGEMAKER
from tests.docker.endpoint.site import Site

BESIDE = Path(__file__).parents[4] / "shared" / "data" / "retina.jpg"
PHOTOGRAPH = Path(os.environ.get("LAB_TEST_PHOTOGRAPH", BESIDE))
NAME = "photograph"
FULL = f"inference-lab-{NAME}"
PUSH = (
    f"push aws --target local --endpoint {NAME} --variant onnx-slim "
    f"--model retinopathy-mobilenet --kind serverless --no-contract --yes"
)


@pytest.fixture
def local(
    site: Site,
    built: Callable[[str], str],
    mobilenet: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    """An emulator that the command line finds."""
    built("onnx-slim")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(SAGEMAKER, site.emulator.url)
    monkeypatch.setenv(S3, site.emulator.s3)
    return site


def ours(site: Site) -> list[str]:
    endpoints = site.sagemaker.list_endpoints()["Endpoints"]
    return [one["EndpointName"] for one in endpoints if one["EndpointName"] == FULL]


@pytest.mark.skipif(
    not PHOTOGRAPH.is_file(),
    reason="there is no photograph here: name one in LAB_TEST_PHOTOGRAPH",
)
def test_the_emulator_grades_the_photograph_as_the_container_does(
    local: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = ["--memory", "2048", "--payload", str(PHOTOGRAPH)]

    assert main.run([*PUSH.split(), *payload]) == 0

    said = capsys.readouterr().out
    assert "answers as the container does here: best is grade" in said
    assert "at most 0 apart" in said
    assert main.run(["push", "destroy", "--target", "local", "--endpoint", NAME, "--yes"]) == 0
    assert ours(local) == []


def test_it_is_made_and_taken_away(local: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([*PUSH.split(), "--memory", "2048"]) == 0
    assert "answers as the container does here: best is grade" in capsys.readouterr().out
    assert ours(local) == [FULL]
    assert main.run(["push", "destroy", "--target", "local", "--endpoint", NAME, "--yes"]) == 0
    assert "nothing is left" in capsys.readouterr().out
    assert ours(local) == []


@pytest.mark.long
def test_it_is_made_kept_changed_measured_and_taken_away(
    local: Site,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main.run([*PUSH.split(), "--memory", "2048", "--dry-run"]) == 0
    assert ours(local) == []
    assert main.run([*PUSH.split(), "--memory", "2048"]) == 0
    assert "answers as the container does here: best is grade" in capsys.readouterr().out
    before = local.describe(FULL)["EndpointConfigName"]

    assert main.run([*PUSH.split(), "--memory", "2048"]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert local.describe(FULL)["EndpointConfigName"] == before
    assert main.run([*PUSH.split(), "--memory", "3072"]) == 0
    assert local.describe(FULL)["EndpointConfigName"] != before

    monkeypatch.setattr(paths, "runs", lambda: tmp_path)
    measured = "--warm-n 3 --warm-pause 0 --cold-n 2 --cold-idle 0 --metrics-wait 0"
    line = f"push measure --target local --endpoint {NAME} {measured}"
    assert main.run(line.split()) == 0
    (folder,) = tmp_path.glob("*-aws-measure")
    samples = MeasureFolder(folder).samples()
    assert [one.failure for one in samples] == [None] * len(samples)
    assert sum(one.protocol is Protocol.COLD for one in samples) == 2

    away = ["push", "destroy", "--target", "local", "--endpoint", NAME, "--yes"]
    capsys.readouterr()
    assert main.run(away) == 0
    assert "nothing is left" in capsys.readouterr().out
    assert main.run(away) == 0
    assert "There was nothing" in capsys.readouterr().out
