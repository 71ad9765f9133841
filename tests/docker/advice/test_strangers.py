"""Five images that the project did not write: what the advisor says of them, and what is left when
they are slimmed. Each takes minutes to build, and gigabytes.
"""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from lab.advice.advice_report import AdviceReport
from lab.advice.advise import AdviceJob, advise
from lab.advice.recorder.asking import Payload
from lab.advice.recorder.record import record
from lab.advice.rules.model import Advice, AdviceKind
from lab.advice.slim.run import SlimJob, slim
from lab.advice.slim.select import Level
from lab.contract.subject import CheckRequest
from lab.engine.docker.engine import DockerEngine
from lab.progress import Progress
from tests.docker import known
from tests.docker.advice.strangers import FIVE, Stranger

pytestmark = [pytest.mark.docker, pytest.mark.long, pytest.mark.xdist_group("advice_strangers")]

EACH = [pytest.param(one, id=one.name) for one in FIVE]
MEGABYTE = 1_000_000
UNREAD = {AdviceKind.UNREAD_PACKAGE, AdviceKind.UNREAD_FOLDER, AdviceKind.UNREAD_DEPENDENCY}
METADATA = 16 * 1024
GOES = {Level.PACKAGES: 0.25, Level.FILES: 0.5}
"""Of the unpacked bytes, at least."""

Strange = Callable[[str], str]
Told = Callable[[Stranger], AdviceReport]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where runs come to lie."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def told(engine: DockerEngine, strange: Strange, progress: Progress) -> Told:
    """What the advisor says of an image, asked once."""

    @functools.cache
    def ask(name: str) -> AdviceReport:
        one = next(one for one in FIVE if one.name == name)
        job = AdviceJob(request=wished(one, strange(name)), payloads=[payload(one)], measure=False)
        return advise(job, engine, progress)[0]

    return lambda one: ask(one.name)


@pytest.fixture
def slimmed(engine: DockerEngine) -> Iterator[Callable[[Stranger], str]]:
    """Names for what is slimmed; nothing of that name is left."""
    made: list[str] = []

    def name(one: Stranger) -> str:
        made.append(f"{known.REPOSITORY}/slim-{one.name}:test")
        return made[-1]

    yield name
    for ref in made:
        if any(ref in (found["RepoTags"] or ()) for found in engine.client.images()):
            known.remove(engine, ref)


def wished(one: Stranger, ref: str) -> CheckRequest:
    return CheckRequest(image=ref, payload=one.body, content_type=one.content_type)


def payload(one: Stranger) -> Payload:
    return Payload(name=one.payload, body=one.body.read_bytes(), content_type=one.content_type)


def about(advice: Advice, pattern: str) -> bool:
    return any(re.search(pattern, name) for name in (*advice.packages, *advice.paths))


@pytest.mark.parametrize("one", EACH)
def test_the_three_largest_savings_that_a_person_finds_are_named(told: Told, one: Stranger) -> None:
    said = told(one).advice
    for pattern, megabytes in one.savings.items():
        found = max((each.saves.unpacked_bytes for each in said if about(each, pattern)), default=0)
        assert found >= megabytes * MEGABYTE, (pattern, titles(said))


@pytest.mark.parametrize("one", EACH)
def test_no_advice_is_given_that_does_not_apply(told: Told, one: Stranger) -> None:
    report = told(one)
    kinds = {each.kind for each in report.advice}
    assert not kinds & one.unlike, titles(report.advice)
    for each in report.advice:
        if each.kind in UNREAD:
            assert not any(re.fullmatch(one.stays, name) for name in each.packages), each.title
    # What was used is not told to go. That it is installed is read of each Python package.
    for row in report.rows:
        if AdviceKind.UNREAD_PACKAGE in {report.advice[number - 1].kind for number in row.advice}:
            assert row.import_s is None, row.name
            assert row.read_bytes <= max(METADATA, row.unpacked_bytes // 50), row.name


def titles(said: Sequence[Advice]) -> Sequence[str]:
    return [f"{one.title} ({one.saves.unpacked_bytes / MEGABYTE:.0f} MB)" for one in said]


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("one", EACH)
def test_most_of_a_stranger_s_image_goes_and_nothing_is_worse(
    engine: DockerEngine,
    strange: Strange,
    slimmed: Callable[[Stranger], str],
    progress: Progress,
    one: Stranger,
    level: Level,
) -> None:
    job = SlimJob(
        request=wished(one, strange(one.name)),
        name=slimmed(one),
        payloads=[payload(one)],
        level=level,
    )
    found, _ = slim(job, engine, progress, record=lambda asked: record(engine, asked, progress))
    assert found.smaller >= GOES[level]
    assert (
        engine.image(found.name).unpacked_bytes <= (1 - GOES[level]) * found.before.unpacked_bytes
    )
    assert engine.image(found.name).image_id == found.new_id
