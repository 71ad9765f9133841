from pathlib import Path

import pytest

from lab.bench import emulator_stage
from lab.bench.emulator_stage import BenchSubject
from lab.errors import ContainerFailedError
from tests.unit.endpoint.launching import archive_of
from tests.unit.engine.fake import Behaviour, FakeEngine


@pytest.fixture
def subject(tmp_path: Path) -> BenchSubject:
    archive_of(tmp_path)
    return BenchSubject(
        image="x:1",
        model_data="s3://models/m.tar.gz",
        archive=tmp_path / "m.tar.gz",
        payload=b"tea?",
        content_type="text/plain",
    )


def test_a_start_by_hand_that_fails_says_what_was_last_seen(
    subject: BenchSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator_stage, "_TIMEOUT_S", 0.5)
    engine = FakeEngine(Behaviour(answer=lambda: lambda method, path, body: (500, b"not well")))
    with pytest.raises(
        ContainerFailedError, match=r"x:1: Not ready within 0\.5 s: /ping last answered 500\."
    ):
        emulator_stage._start(subject, engine)


def test_a_start_by_hand_is_timed_to_its_first_answer(subject: BenchSubject) -> None:
    engine = FakeEngine()
    assert emulator_stage._start(subject, engine) > 0
    assert len(engine.made) == 1
    assert engine.containers({}) == []
