"""``lab clean``: remove what the lab made on this machine; runs stay unless asked otherwise."""

import shutil
from contextlib import closing

import typer

from lab import paths
from lab.cli.console import ConsoleProgress, out, print_line
from lab.cli.down import running_engine
from lab.engine.docker.clean import remove_all
from lab.engine.docker.engine import DockerEngine
from lab.engine.install.locate import find_engine
from lab.images.names import is_own_name
from lab.stack import session
from lab.stack.settings import StackSettings

app = typer.Typer()


@app.command()
def clean(
    runs: bool = typer.Option(False, "--runs", help="Remove the runs too."),
) -> None:
    """Remove the lab's containers, images, networks, volumes, built models and caches.

    On the engine only what the lab itself made and named is touched: an image that you built on
    one of the lab's stays, and so does a container of it. Runs stay, unless --runs.
    """
    if paths.state().exists():
        # First: what runs would go on writing, and what the emulator wrote as root is removed by
        # a container of its image.
        _forget_stack()
    engine = find_engine()
    if isinstance(engine, DockerEngine):
        gone = remove_all(engine, is_own_name)
        out.print(
            f"Removed {gone.containers} containers, {gone.images} images, "
            f"{gone.networks} networks and {gone.volumes} volumes from {engine.address}."
        )
        for line in gone.kept:
            print_line(f"• {line}")
    else:
        out.print("No container engine answers: there is nothing to remove from one.")
    folders = [paths.artifacts(), paths.cache(), paths.state(), *([paths.runs()] if runs else [])]
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
            print_line(f"Removed {folder}.")


def _forget_stack() -> None:
    with closing(running_engine()) as engine:
        session.down(StackSettings(), engine, ConsoleProgress(), forget=True)
    out.print("The stack is stopped and forgotten.")
