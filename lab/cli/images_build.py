"""``lab images build``: the variants, for one platform or several."""

import json
from collections.abc import Mapping, Sequence

import typer
from rich.table import Table

from lab.cli.console import ConsoleProgress, out
from lab.cli.platforms import parse_platforms
from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.engine.select import open_engine
from lab.images.build import ensure
from lab.images.publish import PublishedImage, join, local_registry
from lab.images.sizes import ImageSize, image_record
from lab.images.variants import VARIANTS, bake_definition, variant
from lab.progress import Progress
from lab.spec import Platform
from lab.units import format_bytes

Sizes = Mapping[tuple[str, Platform], int]


def build(
    variants: list[str] | None = typer.Argument(None, help="Which variants; all if none is named."),
    platform: list[str] = typer.Option(
        [],
        "--platform",
        help="linux/amd64, linux/arm64, or both with a comma; the engine's own by default.",
    ),
    print_: bool = typer.Option(
        False, "--print", help="Print the variants' bake file instead, for docker buildx bake."
    ),
) -> None:
    """Build the images that are missing or whose inputs have changed.

    For a platform that is not the engine's own its programs run under QEMU, which is set up where
    that is allowed. Images for several platforms are also pushed to the local registry, where a
    manifest list (`:latest`) joins each variant's.
    """
    if print_:
        typer.echo(json.dumps(bake_definition(), indent=2))
        return
    wanted = [variant(name).name for name in variants or VARIANTS]
    chosen = parse_platforms(platform)
    progress = ConsoleProgress()
    engine = open_engine(progress)
    try:
        platforms = chosen or [engine.facts().platform]
        for one in platforms:
            ensure(wanted, platform=one, engine=engine, progress=progress)
        compressed = _joined(wanted, platforms, engine, progress) if len(platforms) > 1 else {}
        sizes = [image_record(engine, None, name, one) for name in wanted for one in platforms]
    finally:
        engine.close()
    out.print(table(sizes, compressed))


def table(sizes: Sequence[ImageSize], compressed: Sizes) -> Table:
    """What was built; ``compressed`` is known of what was pushed."""
    made = Table(title="Images")
    for heading in ("variant", "platform"):
        made.add_column(heading, no_wrap=True)
    for heading in ("compressed", "unpacked", "layers"):
        made.add_column(heading, justify="right")
    alone = len({size.platform for size in sizes}) == 1
    if alone:  # else the same would be said of each platform
        made.add_column("what it is", overflow="fold")
    for size in sizes:
        held = compressed.get((size.variant, size.platform))
        made.add_row(
            size.variant,
            size.platform.arch,
            "-" if held is None else format_bytes(held),
            format_bytes(size.unpacked_bytes),
            str(len(size.layers) or "-"),
            *([VARIANTS[size.variant].summary] if alone else []),
        )
    return made


def _joined(
    variants: Sequence[str], platforms: Sequence[Platform], engine: Engine, progress: Progress
) -> Sizes:
    """Push all and join each variant's images; their compressed sizes in bytes."""
    if not isinstance(engine, DockerEngine):
        return {}
    with local_registry(engine, progress) as registry:
        published = join(engine, registry, variants, platforms, progress)
    pushed: dict[tuple[str, Platform], PublishedImage] = {
        (one.variant, image.platform): image for one in published for image in one.images
    }
    return {key: image.compressed_bytes for key, image in pushed.items()}
