"""The ``lab`` command: verbs are imported only when they are asked for, so that it starts fast."""

import importlib
import signal
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final, NoReturn

import typer
from typer.core import TyperGroup

from lab import __version__
from lab.cli.console import fail
from lab.errors import LabError

_VERBS: Final = {
    "try": "Try an image: does it start and answer, how long, how big, what to mend first.",
    "up": "Start the SageMaker look-alike, with two endpoints for each model.",
    "down": "Stop it; with --all, forget it.",
    "demo": "Traffic for the dashboards: steady, burst, idle, cold, shifted.",
    "endpoint": "Endpoints: list, describe, invoke, logs, delete.",
    "contract": "Check any image against SageMaker's hosting contract.",
    "check": "Hold an image to a budget: bytes, cold start, latency, memory, price.",
    "doctor": "What this machine has, what it lacks, and what to do about it.",
    "engine": "The container engine: found, installed or private.",
    "images": "Base images, variants and their sizes.",
    "models": "The models that the lab serves.",
    "coldstart": "Cold starts, measured phase by phase.",
    "load": "Load an image, an endpoint or a URL by a schedule.",
    "tune": "Which memory size, which instance, at what load, for what money.",
    "serve-bench": "What the HTTP layer costs over the model itself.",
    "observe": "Dashboards: made from code, drawn, fed.",
    "report": "Reports of runs, and of several side by side.",
    "push": "An endpoint on AWS: planned, made, measured, taken away.",
    "clean": "Remove what the lab made on this machine.",
}

_MODULES: Final = {"try": "first_look"}
"""Where a verb's name cannot be a module's."""


class _LazyGroup(TyperGroup):
    """Lists every verb, imports one."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the table above."""
        del ctx
        return list(_VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the verb that was asked for."""
        del ctx
        if cmd_name not in _VERBS:
            return None
        name = _MODULES.get(cmd_name, cmd_name.replace("-", "_"))
        module = importlib.import_module(f"lab.cli.{name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        command.help = command.help or _VERBS[cmd_name]
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """From the table above: help must not import every verb."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


app = typer.Typer(
    cls=_LazyGroup,
    name="lab",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lab {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False,
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version and leave.",
    ),
) -> None:
    """Start a SageMaker container cold on your own machine, and see where the time goes."""
    del version


def _on_term(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM cleans up exactly as Ctrl-C does."""
    del number, frame
    raise KeyboardInterrupt


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; a user's mistake never shows a traceback."""
    signal.signal(signal.SIGTERM, _on_term)
    try:
        app(args=list(arguments), prog_name="lab")
    except LabError as error:
        fail(error.what, error.remedy)
        return error.exit_code
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    return 0
