"""The first look at an image on one screen."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lab.contract.firstlook import FirstLook
from lab.contract.fitness import fitness
from lab.contract.model import Verdict
from lab.contract.reports.terminal import SYMBOLS, details
from lab.contract.rules.start import REAL_TIME_START_S, SERVERLESS_START_S
from lab.units import format_bytes, format_seconds

_COMMAND = 60


def render(look: FirstLook, *, payload: str | None) -> Lines:
    """All of it; ``payload`` is the file's name."""
    title = Text(look.verdicts.image, "bold").append(f"  {look.verdicts.platform or ''}", "dim")
    if look.verdicts.emulated:
        title.append("  emulated: how long anything takes is not judged", "yellow")
    return Lines(title, "", _facts(look, payload), "", *_mend(look))


def _facts(look: FirstLook, payload: str | None) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for width in (1, 9, None):
        table.add_column("", width=width, overflow="fold")
    for row in (_starts(look), _answers(look, payload), _size(look)):
        table.add_row(*row)
    if look.peak_memory_bytes:
        table.add_row("", "memory", f"{format_bytes(look.peak_memory_bytes)} at its peak")
    able = fitness(look.verdicts.findings)
    words = able.words[0].upper() + able.words[1:]
    if look.untried:
        words += f" (the minute was too short to try {', '.join(look.untried)})"
    table.add_row("", "SageMaker", words)
    return table


def _starts(look: FirstLook) -> tuple[Text, str, Text]:
    if look.ready_s is None:
        return _symbol(Verdict.FAIL), "starts", Text("no")
    allowed = f"  serverless allows {SERVERLESS_START_S:g} s, real time {REAL_TIME_START_S:g} s"
    words = Text(f"ready after {format_seconds(look.ready_s)}").append(allowed, "dim")
    late = look.ready_s > SERVERLESS_START_S and not look.verdicts.emulated
    return _symbol(Verdict.WARN if late else Verdict.PASS), "starts", words


def _answers(look: FirstLook, payload: str | None) -> tuple[Text, str, Text]:
    asked = f"  to {PurePosixPath(payload).name}" if payload else "  to a payload of the lab's own"
    if look.answers is not None:
        words = Text(f"{format_seconds(look.answers.first_s)}, then ")
        words.append(format_seconds(look.answers.later_s)).append(asked, "dim")
        return _symbol(Verdict.PASS), "answers", words
    found = [one for one in look.verdicts.findings if one.rule.id == "invocation"]
    if look.ready_s is None or not found:
        return _symbol(Verdict.SKIP), "answers", Text("not asked")
    return _symbol(found[0].verdict), "answers", Text(found[0].seen)


def _size(look: FirstLook) -> tuple[Text, str, Text]:
    words = Text(f"{format_bytes(look.unpacked_bytes)} unpacked")
    if look.layers:
        largest = max(look.layers, key=lambda one: one.unpacked_bytes)
        short = largest.created_by[:_COMMAND] + "…" * (len(largest.created_by) > _COMMAND)
        count = len(look.layers)
        words.append(f" in {count} layer{'s' * (count > 1)}")
        words.append(f"  {format_bytes(largest.unpacked_bytes)} of it by {short}", "dim")
    return Text(), "size", words


def _symbol(verdict: Verdict) -> Text:
    return Text(*SYMBOLS[verdict])


def _mend(look: FirstLook) -> Iterator[RenderableType]:
    if not look.to_mend:
        yield Text("Nothing to mend among what was tried.", "green")
        return
    first, *others = look.to_mend
    yield Text("Mend first", "bold cyan")
    yield from details(first)
    if others:
        yield Text(f"Not well either: {', '.join(one.rule.id for one in others)}", "dim")
