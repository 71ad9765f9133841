from pathlib import Path
from typing import Any

import pytest

from lab.coldstart.trial import Subject
from lab.loadtest.record import Objective, TargetKind, TargetRecord
from lab.loadtest.runner import InvalidLoadError
from lab.loadtest.search import SEARCH_FILE
from lab.loadtest.search_steps import SearchEnd, SearchResult, SearchStep, StepVerdict
from lab.loadtest.targets.image import image_target
from lab.progress import Silent
from lab.tune.capacity import capacity
from lab.tune.record import Capacity
from tests.unit.engine.fake import Behaviour, FakeEngine
from tests.unit.start.servers import ready_after
from tests.unit.tune.scripted import P95_300, sized

SUBJECT = Subject(image="x:1", archive=None, payload=b"hello", content_type="text/plain")


def searched(*steps: tuple[float, StepVerdict]) -> SearchResult:
    summary: dict[str, Any] = {
        **dict.fromkeys(("n", "answered", "throttled", "failed", "cold", "uncounted"), 0),
        **dict.fromkeys(("seconds", "offered_per_s", "achieved_per_s"), 1.0),
        **dict.fromkeys(("latency", "cold_latency", "warm_latency", "service")),
        "told": False,
    }
    return SearchResult.model_validate(
        {
            "id": "s",
            "started_at": "",
            "lab_version": "1",
            "target": TargetRecord(kind=TargetKind.IMAGE, name="x"),
            "objective": Objective(seconds=0.3),
            "arrivals": "poisson",
            "resolution": 0.2,
            "seed": 1,
            "ended": SearchEnd.FOUND,
            "steps": [
                SearchStep(
                    folder="f",
                    rate_per_s=rate,
                    summary=summary,
                    verdict=verdict,
                    seconds=0.2,
                    bound_s=0.2,
                    why="",
                )
                for rate, verdict in steps
            ],
        }
    )


def of(root: Path) -> Capacity:
    engine = FakeEngine(Behaviour(answer=lambda: ready_after(0.0), keeps=True))
    with image_target(engine, SUBJECT, name="mine", progress=Silent()) as target:
        return capacity(
            target,
            sized("ml.m5.large"),
            SUBJECT,
            objective=P95_300,
            seed=1,
            engine=engine.facts(),
            root=root,
        )


def test_it_is_the_highest_rate_that_keeps_the_objective(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    both = searched((10.0, StepVerdict.KEPT), (12.0, StepVerdict.VIOLATED))
    monkeypatch.setattr("lab.tune.capacity.search", lambda *_, **__: both)
    found = of(tmp_path)
    assert (found.per_s, found.objective_s, found.found) == (10.0, 0.3, True)


def test_no_rate_that_keeps_it_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    none = searched((10.0, StepVerdict.VIOLATED))
    monkeypatch.setattr("lab.tune.capacity.search", lambda *_, **__: none)
    assert of(tmp_path).per_s == 0.0


def late(*_: object, **__: object) -> SearchResult:
    raise InvalidLoadError("The search needs 40/s, which the generator did not make.")


def test_where_the_generator_is_the_limit_it_takes_at_least_what_was_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    kept = searched((20.0, StepVerdict.KEPT), (40.0, StepVerdict.INVALID))
    (tmp_path / "a" / SEARCH_FILE).write_text(kept.to_json())
    monkeypatch.setattr("lab.tune.capacity.search", late)
    found = of(tmp_path)
    assert (found.per_s, found.found) == (20.0, False)
    assert "at least" in found.how


def test_where_it_made_no_rate_at_all_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lab.tune.capacity.search", late)
    with pytest.raises(InvalidLoadError):
        of(tmp_path)
