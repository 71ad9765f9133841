"""``lab tune`` on the real engine, with containers whose need of memory and of CPU is known."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lab.cli.tune import app
from lab.engine.docker.engine import DockerEngine
from lab.loadtest.targets.image import ROLE
from lab.spec import LABEL_ROLE
from lab.stats.quantiles import median
from lab.tune.record import Part, TuneFolder, TuneSample

pytestmark = pytest.mark.docker

HELD_MB = 1200
WORK_MS = 10


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    (tmp_path / "body.txt").write_bytes(b"hello")
    return tmp_path


def tune(home: Path, image: str, *words: str) -> dict[str, Any]:
    """Of 1 and 2 GB."""
    asked = [image, "--payload", str(home / "body.txt"), "--size", "1024", "--size", "2048"]
    ended = CliRunner().invoke(app, [*asked, *words, "--json"])
    assert ended.exit_code == 0, ended.output
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_an_image_is_tuned_from_its_first_start_to_the_page(
    home: Path, image: Callable[..., str], engine: DockerEngine
) -> None:
    ref = image("good", HOLD_MB=str(HELD_MB))
    before = {one.id for one in engine.containers({LABEL_ROLE: ROLE})}
    found = tune(home, ref, "--quick", "--requests-per-day", "5000", "--objective", "30s")
    killed, lived = found["sizes"]
    assert (killed["outcome"], lived["outcome"]) == ("killed", "serves")
    # The interpreter's own is beside what it was told to hold.
    assert HELD_MB - 1024 <= killed["missed_by"] / 1024**2 <= HELD_MB - 1024 + 200
    assert lived["memory"]["room"] <= (2048 - HELD_MB) * 1024**2
    assert found["chosen"] == "2048"
    assert found["sentence"].startswith("2 GB serverless: $")
    assert "1 GB serverless, is killed for want of memory, by " in found["sentence"]
    assert found["push"]["flags"] == ["--kind", "serverless", "--memory", "2048"]
    assert lived["money"]["usd_per_day"] > 0
    folder = home / "runs" / found["id"]
    assert json.loads((folder / "summary.json").read_text()) == found
    assert found["sentence"].partition(";")[0] in (folder / "report.html").read_text()
    assert found["sentence"] in (folder / "report.md").read_text()
    assert {one.id for one in engine.containers({LABEL_ROLE: ROLE})} <= before


def test_a_resized_container_takes_as_long_as_a_new_one_of_that_size(
    home: Path, image: Callable[..., str]
) -> None:
    """Its requests do nothing but compute, so that a quota that is not the size's would show."""
    found = tune(home, image("good", WORK_MS=str(WORK_MS)))
    samples = TuneFolder.find(found["id"]).samples()
    ratios = [
        resized / new
        for size in ("1024", "2048")
        for resized, new in zip(
            means(samples, size, Part.RESIZED), means(samples, size, Part.NEW), strict=True
        )
    ]
    assert len(ratios) == 12
    assert found["resized"]["n"] == 12
    # By chance alone all are on one side of 1 once in two thousand times.
    assert min(ratios) <= 1 <= max(ratios)
    # And it is another size: 0.58 vCPU are all that 1 GB has, 1.16 more than one thread takes.
    for part in (Part.RESIZED, Part.NEW):
        slow, quick = (median(means(samples, size, part)) for size in ("1024", "2048"))
        assert slow > 1.3 * quick


def means(samples: Sequence[TuneSample], size: str, part: Part) -> Sequence[float]:
    """Of each round, less the pilot."""
    return [
        one.warm.mean_s
        for one in sorted(samples, key=lambda one: one.round)
        if (one.size, one.part) == (size, part) and one.round and one.warm is not None
    ]


def test_a_payload_that_is_refused_ends_it_at_once_with_the_answer(
    home: Path, image: Callable[..., str]
) -> None:
    asked = [image("teapot"), "--payload", str(home / "body.txt"), "--size", "1024", "--quick"]
    ended = CliRunner().invoke(app, asked)
    assert ended.exit_code != 0
    assert "refuses the payload body.txt" in str(ended.exception)
    assert "only application/x-tea is brewed here" in str(ended.exception)
    (folder,) = (home / "runs").glob("*-tune")
    assert len(TuneFolder(folder).samples()) == 1
