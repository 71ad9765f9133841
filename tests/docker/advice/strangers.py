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

from lab.advice.rules.model import AdviceKind
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
    savings: Mapping[str, int]
    """The largest three that ``dpkg-query -W``, ``pip list`` and ``du`` show: a regular expression
    that a package's or a path's name matches, and what it is at least, in MB unpacked."""
    unlike: frozenset[AdviceKind]
    """What does not apply to it."""
    stays: str
    """A regular expression of packages that it needs."""
    payload: str = "request.json"
    """A file of its folder."""
    content_type: str = JSON

    @property
    def body(self) -> Path:
        return FOLDER / self.name / self.payload


_ELSEWHERE: Final = frozenset(
    {
        AdviceKind.INSTALLED_AT_START,
        AdviceKind.CPU_BUILD,
        AdviceKind.CUDA,
        AdviceKind.HEADLESS,
    }
)
"""None of the five installs at its start, or has a GPU's or a screen's build of anything."""
_APT: Final = r"/var/cache/apt(/archives)?$"
_GCC: Final = r"Debian: gcc-14-.*"
_GPU_DRIVERS: Final = r"Debian: (libllvm19|mesa-vulkan-drivers)"

FIVE: Final[Sequence[Stranger]] = (
    Stranger(
        name="flask-sklearn",
        payload="request.csv",
        content_type="text/csv",
        savings={_APT: 120, _GCC: 200, r"Python: pandas .*": 90},
        unlike=_ELSEWHERE | {AdviceKind.JDK, AdviceKind.NODE_DEVELOPMENT},
        stays=r"Debian: (nginx|python3\.13-minimal)"
        r"|Python: (flask|gunicorn|scikit.learn|pandas) .*",
    ),
    Stranger(
        name="mlflow-full",
        savings={_APT: 120, _GCC: 250, r"Python: pandas .*": 90},
        unlike=_ELSEWHERE | {AdviceKind.JDK, AdviceKind.NODE_DEVELOPMENT},
        stays=r"Debian: python3\.13-minimal|Python: (mlflow.skinny|scikit.learn|pandas|uvicorn) .*",
    ),
    Stranger(
        name="node-express",
        savings={_APT: 220, _GCC: 200, _GPU_DRIVERS: 80},
        unlike=_ELSEWHERE | {AdviceKind.JDK, AdviceKind.BYTE_CODE},
        stays=r"Debian: (libnode115|nodejs)|Node: (express|lodash) .*",
    ),
    Stranger(
        name="r-plumber",
        savings={_APT: 290, _GCC: 200, r"Debian: pandoc": 180},
        unlike=_ELSEWHERE
        | {AdviceKind.JDK, AdviceKind.NODE_DEVELOPMENT, AdviceKind.BYTE_CODE, AdviceKind.WORKERS},
        stays=r"Debian: r-(base-core|cran-plumber|cran-jsonlite|cran-httpuv)",
    ),
    Stranger(
        name="mms",
        savings={_APT: 330, _GCC: 200, _GPU_DRIVERS: 80},
        unlike=_ELSEWHERE | {AdviceKind.NODE_DEVELOPMENT},
        stays=r"Debian: (openjdk-21-jre-headless|python3\.13-minimal)|Python: (multi.model.server"
        r"|numpy|psutil) .*",
    ),
)


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
