"""The Debian that all images stand on: from a registry where one answers, else from packages."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from lab.engine.api import Engine, find_image
from lab.engine.docker.engine import DockerEngine
from lab.engine.emulation.qemu import ensure_runs, look_here
from lab.engine.install.apt import deb822
from lab.engine.install.packages import Tool, advice, ensure, missing
from lab.engine.select import Choice, choice
from lab.errors import (
    BuildError,
    CommandError,
    EmulationError,
    EngineError,
)
from lab.host import this_machine
from lab.images.bake import bake, client
from lab.images.hostfiles import KEYRING, SUITE, apt_lines, host_sources, public_sources
from lab.images.pins import Pin, pull_first
from lab.lock import heavy_work
from lab.process import run, stream
from lab.progress import Progress
from lab.spec import LABEL, LABEL_ROLE, Platform

Source = Literal["registry", "packages"]

_SOURCE: Final = "org.inference-lab.base.source"
_DETAIL: Final = "org.inference-lab.base.detail"
_RECIPE: Final = "org.inference-lab.base.recipe"
_VERSION: Final = "2"
"""Of the recipe below: a base of another version is made anew."""

_INCLUDE: Final = "ca-certificates,python3"
_DPKG: Final = (
    # As in every Debian image for containers: what is lost in a crash is built again.
    "force-unsafe-io",
    # What Debian's own slim image leaves out; licences stay.
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/share/man/*",
)


@dataclass(frozen=True, kw_only=True)
class BaseImage:
    """Which base the images stand on; goes into ``run.json``."""

    ref: str
    source: Source
    detail: str
    """The registry's image, or the mirror that the packages came from."""
    digest: str
    """The image's id."""


def base_ref(platform: Platform) -> str:
    """The base's name to the Dockerfiles, wherever it came from."""
    return f"inference-lab/base:{SUITE}-{platform.arch}"


def ensure_base(
    platform: Platform, engine: Engine, progress: Progress, *, ref: str | None = None
) -> BaseImage:
    """Have the base in the engine, under ``ref`` if not under its own name; it is made once.

    Raises ``EngineUnavailableError`` when it can come from nowhere, ``EmulationError`` when it is
    for a platform that does not run on the engine, ``BuildError`` when it fails.
    """
    if not isinstance(engine, DockerEngine):
        raise EngineError("There is no base image without containers.")
    ref = ref or base_ref(platform)
    found = _present(ref, engine)
    if found is None:
        # Its packages are configured by programs of its own.
        ensure_runs(platform, engine, progress)
        if not _from_registry(ref, platform, engine, progress):
            _from_packages(ref, platform, engine, progress)
        found = _present(ref, engine)
    if found is None:
        raise BuildError(f"{ref} was built but is not there.")
    return found


def _present(ref: str, engine: DockerEngine) -> BaseImage | None:
    facts = find_image(engine, ref)
    if facts is None or facts.labels.get(_RECIPE) != _VERSION:
        return None
    return BaseImage(
        ref=facts.ref,
        source="registry" if facts.labels.get(_SOURCE) == "registry" else "packages",
        detail=facts.labels.get(_DETAIL, ""),
        digest=facts.image_id,
    )


def _labels(source: Source, detail: str) -> dict[str, str]:
    return {
        LABEL: "true",
        LABEL_ROLE: "base",
        _SOURCE: source,
        _DETAIL: detail,
        _RECIPE: _VERSION,
    }


def _from_registry(ref: str, platform: Platform, engine: DockerEngine, progress: Progress) -> bool:
    def use(pin: Pin) -> None:
        seen = engine.image(pin.pinned)
        bake(
            ["base"],
            labels={"base": _labels("registry", f"{pin.ref}@{seen.digest or seen.image_id}")},
            platform=platform,
            engine=engine,
            progress=progress,
            variables={"DEBIAN": pin.pinned, "BASE": ref},
        )

    return pull_first("debian", platform, engine, progress, use=use, reached={})


def _from_packages(ref: str, platform: Platform, engine: DockerEngine, progress: Progress) -> None:
    client(progress)
    tools = [Tool.BOOTSTRAP]
    if platform is not this_machine():
        _refuse_what_does_not_run_here(platform)
        tools.append(Tool.ARCH_TEST)  # mmdebstrap makes sure by it before it begins
    _have(tools, progress)
    sources = host_sources()
    labels = _labels("packages", f"{SUITE} from {sources[0].uri}")
    with (
        heavy_work("Building the base image", progress),
        _work() as folder,
        progress.step("Building the base image from Debian's packages") as step,
    ):
        archive = folder / "base.tar"
        final = folder / "debian.sources"
        final.write_text(deb822(public_sources()), encoding="utf-8")
        words: list[str | Path] = [
            *("mmdebstrap", "--variant=minbase", f"--include={_INCLUDE}"),
            f"--architectures={platform.arch}",
            *(f"--dpkgopt={line}" for line in _DPKG),
            # Nothing of this machine's mirror is left in the image.
            '--customize-hook=rm -f "$1/etc/apt/sources.list"',
            f"--customize-hook=upload {final} /etc/apt/sources.list.d/debian.sources",
            SUITE,
            archive,
            *apt_lines(sources),
        ]
        try:
            stream(words, on_line=step.detail)
            step.detail("importing")
            changes = [f"--change=LABEL {name}={value!r}" for name, value in labels.items()]
            run(
                ["docker", "import", "--platform", platform, *changes, archive, ref],
                env={"DOCKER_HOST": engine.address, "DOCKER_CONTEXT": ""},
            )
        except CommandError as error:
            raise BuildError(
                f"The base image could not be built: {error.what}", remedy=_remedy()
            ) from error


def _have(tools: Sequence[Tool], progress: Progress) -> None:
    """Installed where that is allowed."""
    lacking = missing(tools)
    if not lacking:
        return
    if choice() is Choice.EXTERNAL:
        names = " and ".join(tool.value for tool in lacking)
        raise EngineError(
            f"No registry answers, and {names}, needed to build a base image without one, is not "
            "installed; LAB_ENGINE=external forbids to install it.",
            remedy=f"{advice(lacking)} Or set LAB_DEBIAN to an image in reach.",
        )
    ensure(lacking, progress)


def _refuse_what_does_not_run_here(platform: Platform) -> None:
    """The base is put together here, where another engine's emulation is of no use."""
    seen = look_here(platform)
    if not seen.runs:
        raise EmulationError(
            f"No registry answers, and without one a base for {platform} is put together on this "
            f"machine: {seen.detail}.",
            remedy="Set LAB_DEBIAN to an image in reach, or see `lab doctor`.",
        )


def _remedy() -> str:
    if not Path(KEYRING).exists():
        return "Install debian-archive-keyring, or set LAB_DEBIAN to an image in reach."
    return "Check with `lab doctor` that Debian's mirror can be reached."


@contextmanager
def _work() -> Iterator[Path]:
    """A folder that mmdebstrap's own user may read, on a disk rather than in memory."""
    with tempfile.TemporaryDirectory(prefix="inference-lab-base-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
