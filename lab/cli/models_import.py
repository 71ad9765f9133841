"""``lab models import`` and ``remove``: a model of the user's own among the lab's."""

import shlex
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from lab.artifacts import store
from lab.cli.console import ConsoleProgress, out, print_line, program
from lab.images.variants import DEFAULT, serving
from lab.units import format_bytes


def import_model(
    model: Annotated[
        Path, typer.Argument(help="An ONNX file, or the folder of a SavedModel.", metavar="MODEL")
    ],
    name: Annotated[str, typer.Option(help="What the lab is to call it.")],
    payload: Annotated[
        Path | None,
        typer.Option(help="A request body that it can answer (.json, .npy); else one is made."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an imported model of that name.")
    ] = False,
) -> None:
    """Make a model of yours one of the lab's: it is served, measured, tuned and pushed by its name.

    What the lab's images cannot serve is refused, with the name of the node or tensor at fault.
    External data of an ONNX file lie beside it. docs/import.md is the guide.
    """
    from lab.artifacts.imported import ImportOrder, bring, check
    from lab.engine.select import open_engine

    order = ImportOrder(model=model, name=name, payload=payload, force=force)
    check(order)
    progress = ConsoleProgress()
    with closing(open_engine(progress)) as engine:
        bring(order, engine=engine, progress=progress)
    archives = store.archives(name)
    able = {one.runtime for one in archives}
    variants = [one for one, runtime in serving().items() if runtime in able]
    sizes = ", ".join(f"{one.path.name} ({format_bytes(one.bytes)})" for one in archives)
    out.print(f"[green]✓[/green] {name}: {sizes}; served by {', '.join(variants)}.\n")
    print_line("Have two endpoints of it, ask one, and find its memory size and price:")
    for words in next_steps(name, variants):
        print_line(shlex.join((program(), *words)))


def remove(
    name: Annotated[str, typer.Argument(help="An imported model.", metavar="NAME")],
) -> None:
    """Remove an imported model. Endpoints that serve it stay until they are deleted."""
    from lab.artifacts.imported import remove as remove_imported

    remove_imported(name, ConsoleProgress())
    print_line(f"Removed {name}.")


def next_steps(model: str, variants: Sequence[str]) -> Sequence[Sequence[str]]:
    """The three commands that follow an import, for the smallest image that serves the model."""
    variant = variants[-1]
    chosen = [] if variant == DEFAULT else ["--variant", variant]
    sent = str(store.payload(model).path)
    return (
        ("up", "--model", model, *chosen),
        ("endpoint", "invoke", f"{model}-realtime", "--payload", sent),
        ("tune", variant, "--model", model),
    )
