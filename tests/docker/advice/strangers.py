"""What is built of ``advice_images``: the small images' program, and five images as a stranger
would write them: in one stage, with all that was at hand, caches left in.
"""

import io
import secrets
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.engine.docker.engine import DockerEngine
from lab.errors import CommandError
from lab.images import bake
from lab.images.hostfiles import host_files
from lab.process import run
from lab.spec import LABEL
from tests.docker import known
from tests.docker.advice.images import FOLDER, JSON, PROGRAM

_SECRETS: Final = {"CA_FILE": "ca", "PIP_FILE": "pip", "APT_FILE": "apt"}


class OfflineError(Exception):
    """No package index answers."""


@contextmanager
def program(engine: DockerEngine, tools: str) -> Iterator[bytes]:
    """The small images' program, compiled in the lab's tools; the image that it came in is gone
    at the end.
    """
    ref = build(engine, "small", {"TOOLS": tools})
    container = engine.client.create_container(ref, labels={LABEL: "true"})["Id"]
    try:
        packed, _ = engine.client.get_archive(container, PROGRAM)
        with tarfile.open(fileobj=io.BytesIO(b"".join(packed))) as tar:
            found = tar.extractfile(PROGRAM.lstrip("/"))
            assert found is not None
            yield found.read()
    finally:
        engine.client.remove_container(container, force=True)
        known.remove(engine, ref)


@dataclass(frozen=True, kw_only=True)
class Stranger:
    """An image that somebody else wrote, and what a person finds in it by hand."""

    name: str
    payload: str
    """A file of its folder."""
    content_type: str = JSON
    savings: Sequence[tuple[str, int]] = ()
    """The three largest that ``dpkg-query``, ``pip list`` and ``du`` show, with their MB unpacked;
    a regular expression that the advice's words match."""

    @property
    def body(self) -> Path:
        return FOLDER / self.name / self.payload


def build(engine: DockerEngine, name: str, given: Mapping[str, str]) -> str:
    """Build an image of ``advice_images``, with this machine's package indexes and certificates.

    Raises ``OfflineError`` where its packages cannot be had.
    """
    ref = f"{known.REPOSITORY}/advice-{name}:{secrets.token_hex(4)}"
    with host_files() as files:
        secret = [
            f"--secret=id={key},src={files[one]}" for one, key in _SECRETS.items() if files[one]
        ]
        proxies = {one: value for one, value in files.items() if "PROXY" in one and value}
        try:
            run(
                [
                    *("docker", "buildx", "--builder", "default", "build", "--provenance=false"),
                    *("--output=type=docker", f"--tag={ref}", *secret),
                    *(f"--build-arg={one}={value}" for one, value in {**proxies, **given}.items()),
                    FOLDER / name,
                ],
                env={"DOCKER_HOST": engine.address, "DOCKER_CONTEXT": ""},
            )
        except CommandError as error:
            if bake._OFFLINE.search(error.what):
                raise OfflineError(
                    f"{name} cannot get its packages here: {error.what[-300:]}"
                ) from error
            raise
    return ref
