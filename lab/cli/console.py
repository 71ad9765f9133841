"""The terminal: progress, notes and tables, drawn by Rich."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from lab.units import format_seconds

out = Console()
err = Console(stderr=True)
err.soft_wrap = not err.is_terminal  # a line of a log stays one, to be searched and copied

_QUIET_STEP_S = 0.3
_DETAIL_EVERY_S = 15.0
_DETAIL_WIDTH = 100


class _TaskStep:
    """A step drawn as a live line on a terminal, and as occasional plain lines in a log."""

    def __init__(self, progress: RichProgress, task: TaskID, title: str) -> None:
        self._progress = progress
        self._task = task
        self._title = title
        self._begun = self._said = time.monotonic()

    def detail(self, text: str) -> None:
        line = " ".join(text.split())[:_DETAIL_WIDTH]
        self._progress.update(self._task, detail=line)
        now = time.monotonic()
        if not err.is_terminal and now - self._said > _DETAIL_EVERY_S:
            self._said = now
            passed = format_seconds(now - self._begun)
            err.print(f"  … {self._title}: {line} (after {passed})", markup=False, highlight=False)

    def advance(self, done: float, total: float) -> None:
        self._progress.update(self._task, completed=done, total=total)


class ConsoleProgress:
    """Announces work on standard error, so that standard output stays fit for pipes."""

    @contextmanager
    def step(self, title: str) -> Iterator[_TaskStep]:
        """Show a spinner, the present detail and the time it takes; leave one line behind."""
        live = RichProgress(
            SpinnerColumn(),
            # Lines of builds and names of files have brackets of their own.
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        begin = time.monotonic()
        with live:
            task = live.add_task(title, total=None, detail="")
            yield _TaskStep(live, task, title)
        took = time.monotonic() - begin
        if took > _QUIET_STEP_S:
            err.print(f"[green]✓[/green] {escape(title)} [dim]({format_seconds(took)})[/dim]")

    def note(self, text: str) -> None:
        """Print a line that stays."""
        err.print(f"[cyan]•[/cyan] {escape(text)}", highlight=False)


def program() -> str:
    """What starts this command again, for a line to copy: in a checkout it is on nobody's PATH."""
    return sys.argv[0] if Path(sys.argv[0]).name == "lab" else "lab"


def print_line(text: str) -> None:
    """Print text as it is: no markup, no colours, and not broken where the terminal ends."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def fail(what: str, remedy: str) -> None:
    """Print an error as a user sees it."""
    sys.stdout.flush()
    err.print("[red]✗[/red]", end=" ")
    err.print(what, markup=False, highlight=False)
    if remedy:
        err.print("  →", remedy, markup=False, highlight=False)
