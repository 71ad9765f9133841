"""The only caller of ``docker buildx bake``."""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import FREE_SPACE, from_words
from lab.engine.emulation.qemu import ensure_runs
from lab.engine.install.packages import Tool, advice, ensure
from lab.engine.select import Choice, choice
from lab.errors import BuildError, CommandError, DiskFullError, EngineError
from lab.images.hostfiles import host_files
from lab.images.targets import BAKE_FILE, COMPILED_ACROSS
from lab.images.variants import bake_definition
from lab.lock import heavy_work
from lab.paths import ROOT
from lab.process import run, stream
from lab.progress import Progress, Step
from lab.spec import Platform

_BUILDER: Final = "default"
"""The engine's own BuildKit: it needs no image, and its result is in the engine at once."""
_PREFIX: Final = re.compile(r"^#\d+ (?:[\d.]+ )?")
_NOISE: Final = re.compile(r"^(DONE|CACHED|\.\.\.|transferring|resolve|sha256:)")
_OFFLINE: Final = re.compile(
    r"temporary failure (?:in name )?resol|could not resolve|failed to fetch|connection timed out"
    r"|network is unreachable|max retries exceeded|CERTIFICATE_VERIFY_FAILED",
    re.IGNORECASE,
)


def bake(
    targets: Sequence[str],
    *,
    labels: Mapping[str, Mapping[str, str]],
    platform: Platform,
    engine: DockerEngine,
    progress: Progress,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Build ``targets`` of the bake file into the engine; ``labels`` are by target.

    Raises ``BuildError`` with the builder's last lines, ``DiskFullError``, ``EmulationError`` for
    a platform that does not run on the engine, or another ``EngineError``.
    """
    client(progress)
    if not COMPILED_ACROSS.issuperset(targets):
        ensure_runs(platform, engine, progress)
    title = f"Building {', '.join(targets)}"
    with (
        heavy_work(title, progress),
        host_files() as files,
        tempfile.TemporaryDirectory(prefix="inference-lab-") as folder,
        progress.step(title) as step,
    ):
        variants = Path(folder) / "variants.json"
        variants.write_text(json.dumps(bake_definition()), encoding="utf-8")
        words = [
            *("docker", "buildx", "--builder", _BUILDER, "bake"),
            *(f"--file={file}" for file in (BAKE_FILE, variants)),
            *("--progress=plain", "--provenance=false"),
            *(
                f"--set={target}.labels.{name}={value}"
                for target, of_target in labels.items()
                for name, value in of_target.items()
            ),
            *targets,
        ]
        env = {**_environment(platform, engine, files), **(variables or {})}
        try:
            stream(words, on_line=lambda line: _tell(step, line), env=env, cwd=ROOT)
        except CommandError as error:
            raise _failed(targets, error.what) from error


def _environment(
    platform: Platform, engine: DockerEngine, files: Mapping[str, str]
) -> Mapping[str, str]:
    """The bake file's variables, every one: the user's own of these names must not leak in."""
    return {
        "DOCKER_HOST": engine.address,
        "DOCKER_CONTEXT": "",
        "BUILDX_BUILDER": _BUILDER,
        "BUILDKIT_PROGRESS": "plain",
        "ARCH": platform.arch,
        "HOST": engine.facts().platform.arch,
        "BASE": f"inference-lab/base:trixie-{platform.arch}",
        "UPSTREAM": "",
        **files,
    }


def client(progress: Progress) -> None:
    """Have the client that builds; installed where that is allowed. Raises ``EngineError``."""
    try:
        run(["docker", "buildx", "version"])
    except CommandError as error:
        if choice() is Choice.EXTERNAL:
            raise EngineError(
                "docker buildx is not installed, and LAB_ENGINE=external forbids to install it.",
                remedy=advice([Tool.CLIENT, Tool.BUILDX]),
            ) from error
        ensure([Tool.CLIENT, Tool.BUILDX], progress)


def _tell(step: Step, line: str) -> None:
    text = _PREFIX.sub("", line).strip()
    if text and not _NOISE.match(text):
        step.detail(text)


def _failed(targets: Sequence[str], what: str) -> BuildError | DiskFullError:
    names = ", ".join(targets)
    _, _, output = what.partition("\n")
    if isinstance(from_words(what), DiskFullError):
        return DiskFullError(
            f"The disk is full: {names} could not be built.",
            remedy=FREE_SPACE,
        )
    remedy = "Run it again: the layers that were finished are kept."
    if _OFFLINE.search(output):
        remedy = "Check with `lab doctor` that the package indexes can be reached."
    return BuildError(f"{names} could not be built:\n{output}", remedy=remedy)
