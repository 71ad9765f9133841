"""``lab down``: stop the stack, or forget it."""

from contextlib import closing

import typer

from lab.cli.console import ConsoleProgress, out, print_line
from lab.engine.api import Engine
from lab.engine.install.locate import find_engine
from lab.engine.process.engine import ProcessEngine
from lab.engine.select import Choice, choice
from lab.stack.session import down as stop
from lab.stack.settings import StackSettings

app = typer.Typer()


@app.command()
def down(
    everything: bool = typer.Option(
        False, "--all", help="Also forget: volumes, endpoints, logs. Images stay."
    ),
) -> None:
    """Stop the stack and every model container; endpoints come back with the next `lab up`."""
    settings = StackSettings()
    with closing(running_engine()) as engine:
        kept = stop(settings, engine, ConsoleProgress(), forget=everything)
    for line in kept:
        print_line(f"• {line}")
    gone = everything and not kept
    out.print("Stopped, and nothing is left but the images." if gone else "Stopped.")


def running_engine() -> Engine:
    """Stopping installs and starts nothing."""
    found = None if choice() is Choice.PROCESS else find_engine()
    return found or ProcessEngine()
