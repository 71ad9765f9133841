"""Small images slimmed: what only an error path reads is mended, what stays stays as it was."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lab.advice.recorder.asking import Payload
from lab.advice.recorder.record import record
from lab.advice.slim.record import SlimRecord
from lab.advice.slim.run import SlimJob, slim
from lab.advice.slim.select import Level
from lab.contract.subject import CheckRequest
from lab.engine.docker.engine import DockerEngine
from lab.errors import ImageNotFoundError
from lab.progress import Progress
from tests.docker import known
from tests.docker.advice import images
from tests.docker.advice.conftest import Small
from tests.docker.advice.listing import of_image

pytestmark = [pytest.mark.docker, pytest.mark.long, pytest.mark.xdist_group("advice_slim_small")]

NAME = f"{known.REPOSITORY}/small-slimmed:{secrets.token_hex(4)}"
KEPT = ("/data/**", "/root/**", "/closed/**", "/opaque/**", "/turn/**", "/swap", "/nowhere")


@pytest.fixture
def slimmed(
    engine: DockerEngine, progress: Progress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., SlimRecord]]:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    payload = Payload(
        name="request.json", body=images.PAYLOAD.read_bytes(), content_type=images.JSON
    )

    def make(ref: str, *keep: str) -> SlimRecord:
        job = SlimJob(
            request=CheckRequest(image=ref, payload=images.PAYLOAD, content_type=images.JSON),
            name=NAME,
            payloads=[payload],
            level=Level.FILES,
            keep=keep,
            quick=True,
        )
        found, _ = slim(job, engine, progress, record=lambda asked: record(engine, asked, progress))
        return found

    yield make
    with suppress(ImageNotFoundError):
        known.remove(engine, engine.image(NAME).ref)


def test_what_only_another_uid_or_a_read_only_root_reads_is_traced_and_stays(
    engine: DockerEngine, small: Small, slimmed: Callable[..., SlimRecord]
) -> None:
    found = slimmed(small("error-paths", images.error_paths()))
    traced = [one for one in found.restored if one.traced]
    assert {path for one in traced for path in one.paths} == {"/srv/user.txt", "/srv/read-only.txt"}
    files = of_image(engine, NAME)
    for path in (*images.READ, *images.ERROR_PATHS):
        assert path.lstrip("/") in files
    assert "opt/unread.bin" not in files


def test_nothing_but_the_three_files_that_are_read_stays_of_what_there_was(
    engine: DockerEngine, small: Small, slimmed: Callable[..., SlimRecord]
) -> None:
    found = slimmed(small("three", images.three_files()))
    files = {f"/{path}" for path, one in of_image(engine, NAME).items() if one[0] == b"0"}
    assert files == images.READ | {"/var/lib/dpkg/status"}  # what scanners read
    assert [one.name for one in found.removed if one.whole and one.manager] == ["unread"]


def test_what_stays_of_an_odd_image_is_as_it_was(
    engine: DockerEngine, small: Small, slimmed: Callable[..., SlimRecord]
) -> None:
    ref = small("odd-kept", images.all_odd())
    slimmed(ref, *KEPT)
    before, after = of_image(engine, ref), of_image(engine, NAME)
    gone = {path for path in before if path not in after}
    assert gone == {"lib", "usr", "usr/lib", "usr/lib/loop", "usr/lib/one.so"} - set(after)
    assert "usr/lib/one.so" in gone
    assert after == {path: one for path, one in before.items() if path not in gone}
