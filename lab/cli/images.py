"""``lab images build|report|push|parity``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import typer
from rich.table import Table

from lab.cli import images_build, images_parity, images_push
from lab.cli.console import ConsoleProgress, err, out
from lab.cli.platforms import parse_platform
from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.engine.select import open_engine
from lab.errors import ImageNotFoundError, UsageError
from lab.images.publish import local_registry
from lab.images.sizes import ImageSize, image_record
from lab.images.sizes import contents as contents_of
from lab.images.variants import VARIANTS, image_ref, variant
from lab.progress import Progress
from lab.spec import Platform
from lab.units import format_bytes

app = typer.Typer(no_args_is_help=True, help="The variants' images: build them, weigh them.")

_LARGEST = 12
_COMMAND_WIDTH = 70


app.command()(images_build.build)


@app.command()
def report(
    variants: list[str] | None = typer.Argument(
        None, help="Which variants; all that are built if none."
    ),
    platform: str | None = typer.Option(
        None, "--platform", help="linux/amd64 or linux/arm64; the engine's own by default."
    ),
    push: bool = typer.Option(
        True,
        "--push/--no-push",
        help="Push to the local registry, which knows the compressed sizes.",
    ),
    contents: bool = typer.Option(False, "--contents", help="Also show what takes the space."),
    as_json: bool = typer.Option(False, "--json", help="Print it as JSON, in bytes."),
) -> None:
    """Show what each image weighs, layer by layer, and which command made each layer."""
    asked = None if platform is None else parse_platform(platform)
    progress = ConsoleProgress()
    engine = open_engine(progress)
    try:
        chosen = asked or engine.facts().platform
        names = _built(variants, chosen, engine)
        sizes = _weigh(names, chosen, engine, progress, push=push)
        inside = _contents(names, chosen, engine, progress) if contents else {}
    finally:
        engine.close()
    if as_json:
        rows = [{**asdict(size), "contents": inside.get(size.variant)} for size in sizes]
        typer.echo(json.dumps({"images": rows}, indent=2))
        return
    out.print(_table(sizes))
    for size in sizes:
        if size.layers:
            out.print(f"\n[bold]{size.ref}[/bold], bottom layer first")
            out.print(_layers(size))
        if size.variant in inside:
            out.print(f"What takes the space in {size.variant}, unpacked")
            out.print(_largest(inside[size.variant]))


app.command()(images_push.push)
app.command()(images_parity.parity)


def _known(names: Sequence[str] | None) -> Sequence[str]:
    return [variant(name).name for name in names or VARIANTS]


def _built(names: Sequence[str] | None, platform: Platform, engine: Engine) -> Sequence[str]:
    """The variants to show: those named, which must be there, else all that are."""
    if names:
        return _known(names)
    found = []
    for name in VARIANTS:
        try:
            engine.image(image_ref(name, platform))
        except ImageNotFoundError:
            err.print(f"[dim]{name} is not built[/dim]")
        else:
            found.append(name)
    if not found:
        raise UsageError("No image is built.", remedy="Build them: `lab images build`.")
    return found


def _weigh(
    names: Sequence[str], platform: Platform, engine: Engine, progress: Progress, *, push: bool
) -> Sequence[ImageSize]:
    if not push or not isinstance(engine, DockerEngine):
        return [image_record(engine, None, name, platform) for name in names]
    with local_registry(engine, progress) as registry:
        refs = [image_ref(name, platform) for name in names]
        registry.push_all(engine, refs, progress, arch=platform.arch)
        return [image_record(engine, registry, name, platform) for name in names]


def _contents(
    names: Sequence[str], platform: Platform, engine: Engine, progress: Progress
) -> Mapping[str, Mapping[str, int]]:
    if not isinstance(engine, DockerEngine):
        return {}
    found = {}
    for name in names:
        with progress.step(f"Looking into {name}"):
            found[name] = contents_of(engine, image_ref(name, platform))
    return found


def _table(sizes: Sequence[ImageSize]) -> Table:
    table = Table(title="Images")
    for heading in ("variant", "compressed", "unpacked", "layers"):
        table.add_column(heading, justify="left" if heading == "variant" else "right")
    table.add_column("what it is", overflow="fold")
    for size in sizes:
        table.add_row(
            size.variant,
            _bytes(size.compressed_bytes),
            _bytes(size.unpacked_bytes),
            str(len(size.layers) or "-"),
            VARIANTS[size.variant].summary,
        )
    return table


def _layers(size: ImageSize) -> Table:
    table = Table()
    for heading in ("compressed", "unpacked"):
        table.add_column(heading, justify="right")
    table.add_column("made by", overflow="fold")
    for layer in size.layers:
        said = layer.created_by
        table.add_row(
            _bytes(layer.compressed_bytes),
            _bytes(layer.unpacked_bytes),
            said if len(said) <= _COMMAND_WIDTH else said[: _COMMAND_WIDTH - 1] + "…",
        )
    return table


def _largest(inside: Mapping[str, int]) -> Table:
    table = Table()
    table.add_column("bytes", justify="right")
    table.add_column("of")
    rows = list(inside.items())
    for what, count in rows[:_LARGEST]:
        table.add_row(_bytes(count), what)
    rest = sum(count for _, count in rows[_LARGEST:])
    if rest:
        table.add_row(_bytes(rest), f"{len(rows) - _LARGEST} others")
    return table


def _bytes(count: int | None) -> str:
    return "-" if count is None else format_bytes(count)
