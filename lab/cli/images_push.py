"""``lab images push``: the variants in the local registry, a name for all their platforms."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import typer

from lab.cli.console import ConsoleProgress, err, out
from lab.cli.platforms import parse_platforms
from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.engine.select import open_engine
from lab.errors import EngineError, ImageNotFoundError, UsageError
from lab.images.publish import Published, join, local_registry
from lab.images.variants import VARIANTS, image_ref, variant
from lab.spec import Platform
from lab.units import format_bytes


def push(
    variants: list[str] | None = typer.Argument(
        None, help="Which variants; all that are built if none."
    ),
    platform: list[str] = typer.Option(
        [],
        "--platform",
        help="linux/amd64, linux/arm64, or both with a comma; all that are built by default.",
    ),
) -> None:
    """Push images to the local registry and join each variant's platforms in a manifest list.

    A platform's own tag (`:amd64`, `:arm64`) is a Docker schema 2 manifest without attestations, as
    SageMaker and Lambda demand; `:latest` joins them. Layers that are there are not sent again.
    """
    named = [variant(name).name for name in variants or ()]
    platforms = parse_platforms(platform)
    progress = ConsoleProgress()
    engine = open_engine(progress)
    try:
        docker = _docker(engine)
        wanted = _wanted(named, platforms, docker)
        published: list[Published] = []
        with local_registry(docker, progress) as registry:
            host = registry.host
            for its, names in groupby(wanted, key=wanted.__getitem__):
                published += join(docker, registry, list(names), its, progress)
    finally:
        engine.close()
    for one in published:
        for line in lines(one):
            out.print(line, markup=False, highlight=False, soft_wrap=True)
    example = max(published, key=lambda one: len(one.images))
    out.print(
        f"To pull one: docker pull --platform {example.images[-1].platform} {host}/{example.name}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def lines(published: Published) -> Sequence[str]:
    """Tags, sizes and whole digests, for copying: a table would break them in narrow terminals."""
    repository, _, tag = published.name.rpartition(":")
    rows = [(tag, ", ".join(one.platform.arch for one in published.images), published.digest)]
    for image in published.images:
        kept = ", not pushed again" if image.kept else ""
        size = format_bytes(image.compressed_bytes)
        rows.append((image.name.rpartition(":")[2], f"{size} compressed{kept}", image.digest))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [
        repository,
        *(f"  :{tag:{widths[0]}}  {what:{widths[1]}}  {digest}" for tag, what, digest in rows),
    ]


def _docker(engine: Engine) -> DockerEngine:
    if isinstance(engine, DockerEngine):
        return engine
    raise EngineError(
        "Images are pushed from a container engine, and there is none here.",
        remedy="Run `lab doctor`: it says what a container engine needs on this machine.",
    )


def _wanted(
    named: Sequence[str], platforms: Sequence[Platform], engine: DockerEngine
) -> Mapping[str, Sequence[Platform]]:
    """Which platforms of which variants. What was asked for by name need not be there: whoever
    pushes it says so.
    """
    if named and platforms:
        return dict.fromkeys(named, platforms)
    found = {}
    for name in named or VARIANTS:
        its = [one for one in platforms or Platform if _is_built(name, one, engine)]
        if its:
            found[name] = its
        elif named:
            raise ImageNotFoundError(
                f"{name} is built for no platform.", remedy=f"Build it: `lab images build {name}`."
            )
        else:
            err.print(f"[dim]{name} is not built[/dim]")
    if not found:
        raise UsageError("No image is built.", remedy="Build them: `lab images build`.")
    return found


def _is_built(name: str, platform: Platform, engine: DockerEngine) -> bool:
    try:
        engine.image(image_ref(name, platform))
    except ImageNotFoundError:
        return False
    return True
