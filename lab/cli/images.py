"""``lab images build|report|push|parity|advise``."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Final

import typer
from rich.table import Table

from lab.cli import images_advise
from lab.cli.arguments import parse_platform, parse_platforms
from lab.cli.console import ConsoleProgress, err, out, print_line
from lab.cli.images_slim import slim_command
from lab.cli.layer_tables import inside_tables
from lab.cli.opened import containers_of
from lab.engine.api import Engine, ImageFacts, find_image
from lab.engine.docker.engine import DockerEngine
from lab.engine.select import open_engine
from lab.errors import ImageNotFoundError, UsageError
from lab.images.build import ensure
from lab.images.layers.inside import Inside, as_data, inside
from lab.images.layers.saved import LookFor, save
from lab.images.publish import Published, join, local_registry
from lab.images.sizes import ImageSize, image_record
from lab.images.sizes import contents as contents_of
from lab.images.variants import VARIANTS, bake_definition, image_ref, variant
from lab.parity.compare import broken, refuse_broken
from lab.parity.inputs import COUNT
from lab.parity.record import Parity
from lab.parity.session import ParityJob
from lab.parity.session import run as run_parity
from lab.progress import Progress
from lab.spec import Platform
from lab.start.image import ensure_image
from lab.units import format_bytes

app = typer.Typer(no_args_is_help=True, help="The variants' images: build them, weigh them.")
app.command("slim")(slim_command)

_LARGEST: Final = 12
_COMMAND_WIDTH: Final = 70


@app.command()
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
    wanted = _known(variants)
    chosen = parse_platforms(platform)
    progress = ConsoleProgress()
    with closing(open_engine(progress)) as engine:
        platforms = chosen or [engine.facts().platform]
        for one in platforms:
            ensure(wanted, platform=one, engine=engine, progress=progress)
        compressed = _joined(wanted, platforms, engine, progress) if len(platforms) > 1 else {}
        sizes = [image_record(engine, None, name, one) for name in wanted for one in platforms]
    out.print(_built_table(sizes, compressed))


@app.command()
def report(
    names: list[str] | None = typer.Argument(
        None,
        metavar="[VARIANT|IMAGE]...",
        help="Variants, all that are built if none; or any images, pulled if the engine has them "
        "not.",
    ),
    platform: str | None = typer.Option(
        None, "--platform", help="linux/amd64 or linux/arm64; the engine's own by default."
    ),
    push: bool = typer.Option(
        True,
        "--push/--no-push",
        help="Push to the local registry, which knows the compressed sizes.",
    ),
    contents: bool = typer.Option(
        False, "--contents", help="Also show what takes the space in a variant."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print it as JSON, in bytes."),
) -> None:
    """Show what each image weighs, layer by layer, and which command made each layer.

    Of an image that is not one of the lab's variants every layer is read: its largest files and
    packages, what a later layer hides or removes, what its build left over.
    """
    asked = None if platform is None else parse_platform(platform)
    others = [name for name in names or () if name not in VARIANTS]
    ours = [name for name in names or () if name in VARIANTS]
    progress = ConsoleProgress()
    with closing(open_engine(progress)) as engine:
        found = _found_inside(others, asked, engine, progress)
        sizes: Sequence[ImageSize] = ()
        takes: Mapping[str, Mapping[str, int]] = {}
        if ours or not others:
            chosen = asked or engine.facts().platform
            shown = _built(ours, chosen, engine)
            sizes = _sizes(shown, chosen, engine, progress, push=push)
            takes = _contents(shown, chosen, engine, progress) if contents else {}
    if as_json:
        rows = [
            *({**asdict(size), "contents": takes.get(size.variant)} for size in sizes),
            *({**_identity(facts), **as_data(one)} for facts, one in found),
        ]
        typer.echo(json.dumps({"images": rows}, indent=2))
        return
    if sizes:
        out.print(_sizes_table(sizes))
    for size in sizes:
        if size.layers:
            out.print(f"\n[bold]{size.ref}[/bold], bottom layer first")
            out.print(_layers(size))
        if size.variant in takes:
            out.print(f"What takes the space in {size.variant}, unpacked")
            out.print(_largest(takes[size.variant]))
    for facts, one in found:
        out.print(inside_tables(facts.ref, one))


@app.command()
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
    with closing(open_engine(progress)) as engine:
        docker = containers_of(
            engine, "Images are pushed from a container engine, and there is none here."
        )
        wanted = _wanted(named, platforms, docker)
        published: list[Published] = []
        with local_registry(docker, progress) as registry:
            host = registry.host
            for its, names in groupby(wanted, key=wanted.__getitem__):
                published += join(docker, registry, list(names), its, progress)
    for one in published:
        for row in _pushed_lines(one):
            print_line(row)
    example = max(published, key=lambda one: len(one.images))
    print_line(
        f"To pull one: docker pull --platform {example.images[-1].platform} {host}/{example.name}"
    )


@app.command()
def parity(
    variants: list[str] | None = typer.Argument(
        None, help="Which variants; all if none is named, and TensorFlow's take minutes."
    ),
    platform: str | None = typer.Option(
        None, "--platform", help="What the engine's own platform is compared with; the other one."
    ),
    model: str = typer.Option("retinopathy-mobilenet", help="Which model to serve."),
    count: int = typer.Option(COUNT, min=1, help="Inputs that the model was tested on."),
    payload: list[Path] = typer.Option(
        [], "--payload", metavar="FILE", help="A further input, like a JPEG file; again for more."
    ),
) -> None:
    """Send the same inputs to both platforms' containers of each variant, and compare.

    The same model archive is mounted in both. The exit code is 14 when scores differ by more than
    the model's card tolerates (a classifier's: 0.001), or fewer inputs than that says (99 %) get
    the same label; the worst input is named. Every input's figures are kept in
    runs/<id>-parity/parity.json.
    """
    job = ParityJob(
        variants=variants or (),
        platform=None if platform is None else parse_platform(platform),
        model=model,
        count=count,
        payloads=payload,
    )
    progress = ConsoleProgress()
    with closing(open_engine(progress)) as engine:
        found, path = run_parity(job, engine, progress)
    out.print(_parity_table(found))
    print_line(f"Every input is in {path}")
    refuse_broken(found.comparisons, found.bounds)


app.command("advise")(images_advise.advise)


def _known(names: Sequence[str] | None) -> Sequence[str]:
    return [variant(name).name for name in names or VARIANTS]


def _built(names: Sequence[str] | None, platform: Platform, engine: Engine) -> Sequence[str]:
    """The variants to show: those named, which must be there, else all that are."""
    if names:
        return _known(names)
    return list(_all_built([platform], engine))


def _sizes(
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


def _found_inside(
    refs: Sequence[str], platform: Platform | None, engine: Engine, progress: Progress
) -> Sequence[tuple[ImageFacts, Inside]]:
    if not refs:
        return ()
    docker = containers_of(
        engine,
        f"{refs[0]} is none of the lab's variants ({', '.join(VARIANTS)}), and an image's "
        "layers are in a container engine: there is none here.",
    )
    found = []
    for ref in refs:
        facts = ensure_image(ref, platform, docker, progress)
        with progress.step(f"Reading the layers of {ref}"):
            image = save(docker, ref, LookFor(secrets=False, packages=True))
        found.append((facts, inside(image)))
    return found


def _identity(facts: ImageFacts) -> Mapping[str, object]:
    return {
        "variant": None,
        "ref": facts.ref,
        "platform": facts.platform,
        "digest": facts.digest,
        "image_id": facts.image_id,
    }


def _built_table(
    sizes: Sequence[ImageSize], compressed: Mapping[tuple[str, Platform], int]
) -> Table:
    """What was built; ``compressed`` is known of what was pushed."""
    table = Table(title="Images")
    for heading in ("variant", "platform"):
        table.add_column(heading, no_wrap=True)
    for heading in ("compressed", "unpacked", "layers"):
        table.add_column(heading, justify="right")
    alone = len({size.platform for size in sizes}) == 1
    if alone:  # else the same would be said of each platform
        table.add_column("what it is", overflow="fold")
    for size in sizes:
        table.add_row(
            size.variant,
            size.platform.arch,
            _bytes(compressed.get((size.variant, size.platform))),
            _bytes(size.unpacked_bytes),
            str(len(size.layers) or "-"),
            *([VARIANTS[size.variant].summary] if alone else []),
        )
    return table


def _joined(
    variants: Sequence[str], platforms: Sequence[Platform], engine: Engine, progress: Progress
) -> Mapping[tuple[str, Platform], int]:
    """Push all and join each variant's images; their compressed sizes in bytes."""
    if not isinstance(engine, DockerEngine):
        return {}
    with local_registry(engine, progress) as registry:
        published = join(engine, registry, variants, platforms, progress)
    return {
        (one.variant, image.platform): image.compressed_bytes
        for one in published
        for image in one.images
    }


def _sizes_table(sizes: Sequence[ImageSize]) -> Table:
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
        command = layer.created_by
        if len(command) > _COMMAND_WIDTH:
            command = f"{command[: _COMMAND_WIDTH - 1]}…"
        table.add_row(_bytes(layer.compressed_bytes), _bytes(layer.unpacked_bytes), command)
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


def _pushed_lines(published: Published) -> Sequence[str]:
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


def _wanted(
    named: Sequence[str], platforms: Sequence[Platform], engine: Engine
) -> Mapping[str, Sequence[Platform]]:
    """Which platforms of which variants. What was asked for by name need not be there: whoever
    pushes it says so.
    """
    if not named:
        return _all_built(platforms or [*Platform], engine)
    if platforms:
        return dict.fromkeys(named, platforms)
    found = {name: _platforms_built(name, [*Platform], engine) for name in named}
    for name, its in found.items():
        if not its:
            raise ImageNotFoundError(
                f"{name} is built for no platform.", remedy=f"Build it: `lab images build {name}`."
            )
    return found


def _all_built(platforms: Sequence[Platform], engine: Engine) -> Mapping[str, Sequence[Platform]]:
    """Every variant that is built for any of the platforms, and for which; others are noted."""
    found = {name: _platforms_built(name, platforms, engine) for name in VARIANTS}
    for name, its in found.items():
        if not its:
            err.print(f"[dim]{name} is not built[/dim]")
    if not any(found.values()):
        raise UsageError("No image is built.", remedy="Build them: `lab images build`.")
    return {name: its for name, its in found.items() if its}


def _platforms_built(
    name: str, platforms: Sequence[Platform], engine: Engine
) -> Sequence[Platform]:
    return [one for one in platforms if find_image(engine, image_ref(name, one)) is not None]


def _parity_table(found: Parity) -> Table:
    """A row per variant."""
    table = Table(
        title=f"The same answers of {found.model}: at most {found.bounds.max_abs_difference:g} "
        f"apart, {found.bounds.least_agreement:.0%} of the labels alike",
        title_justify="left",
    )
    for heading in ("variant", "platforms", "inputs", "largest difference", "same label", ""):
        table.add_column(
            heading,
            justify="right" if heading in {"inputs", "largest difference"} else "left",
        )
    for one in found.comparisons:
        alike = sum(each.reference_label == each.compared_label for each in one.inputs)
        table.add_row(
            one.variant,
            " / ".join(side.platform.arch for side in (one.reference, one.compared)),
            str(len(one.inputs)),
            f"{one.max_abs_difference:.1e}",
            f"{alike} of {len(one.inputs)}",
            "[green]alike[/green]" if broken(one, found.bounds) is None else "[red]not alike[/red]",
        )
    return table
