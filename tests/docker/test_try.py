"""``lab try`` on images that are sound, broken in one way, and none at all."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.cli.main import run
from lab.contract.check import entries
from lab.engine.docker.engine import DockerEngine
from lab.images.base import ensure_base
from lab.progress import Progress
from lab.spec import Platform
from tests.docker import known

pytestmark = pytest.mark.docker

BROKEN = 9
SERVER = Path(__file__).parent / "contract_images" / "server.py"


@pytest.fixture(scope="module")
def make(engine: DockerEngine, platform: Platform, progress: Progress) -> Callable[[str], str]:
    base = ensure_base(platform, engine, progress).ref
    return lambda broken: known.make(
        engine, base, f"try-{broken or 'sound'}", {"BREAK": broken}, server=SERVER
    )


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("try") / "request.json"
    file.write_text('{"instances": [[1.0]]}')
    return file


def test_a_sound_image_starts_answers_and_needs_nothing(
    make: Callable[[str], str], payload: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = make("")
    assert run(["try", image, "--payload", str(payload)]) == 0
    said = capsys.readouterr().out
    assert "ready after" in said
    assert "to request.json" in said
    assert f"lab contract check {image} --payload {payload}" in said
    assert f"lab coldstart run --image {image} --payload {payload}" in said
    assert f"all {len(entries())} rules" in said


def test_what_is_broken_is_the_first_thing_to_mend(
    make: Callable[[str], str], payload: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["try", make("always-500"), "--payload", str(payload)]) == BROKEN
    said = capsys.readouterr().out
    _, _, after = said.partition("Mend first")
    assert "invocation" in after.splitlines()[1]
    assert "500" in after


def test_an_image_that_is_nowhere_is_an_error_in_words(
    engine: DockerEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    del engine
    assert run(["try", "inference-lab-test/there-is-none:1"]) not in {0, BROKEN}
    assert "has no image" in capsys.readouterr().err
