"""Where the figures of a bench are kept."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from lab.bench.figures import keep
from lab.bench.serving import ServeBenchOptions, ServingArm, measure, summarise
from lab.spec import Platform
from tests.unit.bench.test_serving import BLOCKS
from tests.unit.engine.fake import FakeEngine

if TYPE_CHECKING:
    from lab.engine.api import Engine


def test_the_rounds_are_kept_with_their_summary_and_what_they_were_measured_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    options = ServeBenchOptions(rounds=2, requests=3, clients=8, seed=1)
    rounds = measure(lambda arm: BLOCKS[ServingArm(arm)], options, lambda _: None)
    path = keep(
        "serve-bench",
        subject={"platform": Platform.ARM64},
        engine=cast("Engine", FakeEngine()),
        options=options,
        rounds=[asdict(one) for one in rounds],
        summary=asdict(summarise(rounds, emulated=True)),
    )
    assert path.parent.parent == tmp_path / "runs"
    assert path.parent.name.endswith("Z-serve-bench")
    assert path.name == "serve-bench.json"
    kept = json.loads(path.read_text())
    assert kept["schema"] == 1
    assert kept["summary"]["emulated"] is True
    assert len(kept["rounds"]) == 2
    assert kept["options"]["clients"] == 8
    assert kept["measured"]["platform"] == "linux/arm64"
    assert kept["measured"]["engine"]["name"] == "fake"
    assert "host" in kept["measured"]
