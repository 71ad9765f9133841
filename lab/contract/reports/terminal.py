"""A check's findings on a terminal: a line for every rule, details of what is not well."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lab.contract.fitness import fitness
from lab.contract.model import DOCS, Rule, RuleFinding, Verdict, Verdicts
from lab.units import format_seconds

SYMBOLS: Final = {
    Verdict.PASS: ("✓", "green"),
    Verdict.WARN: ("!", "yellow"),
    Verdict.FAIL: ("✗", "bold red"),
    Verdict.SKIP: ("–", "dim"),  # noqa: RUF001 - an empty place, as in a table
}
_WORDS: Final = (
    (Verdict.PASS, "passed", "green"),
    (Verdict.WARN, "warned", "yellow"),
    (Verdict.FAIL, "failed", "bold red"),
    (Verdict.SKIP, "skipped", "dim"),
)
_MANY: Final = 4
"""So many rules skipped for one reason are one line."""

_DETAILED: Final = (Verdict.FAIL, Verdict.WARN)


def render(verdicts: Verdicts) -> RenderableType:
    """The whole of it."""
    title = Text(verdicts.image, "bold").append(f"  {verdicts.platform or ''}", "dim")
    if verdicts.emulated:
        title.append("  emulated: how long anything takes is not judged", "yellow")
    parts: list[RenderableType] = [title, _lines(verdicts.findings)]
    for verdict in _DETAILED:
        for one in verdicts.findings:
            if one.verdict is verdict and not _lack(one):
                parts += ["", *details(one)]
    parts += ["", _summary(verdicts)]
    return Lines(*parts)


def _lack(one: RuleFinding) -> bool:
    """Whether it only says for which kind of endpoint an image is not: the last line says so."""
    return one.verdict is Verdict.WARN and one.rule.id.startswith("kind-")


def render_rules(rules: Sequence[tuple[str, Rule]]) -> RenderableType:
    """Every rule with its source, under its heading."""
    table = _grid()
    for section, members in groupby(rules, key=lambda pair: pair[0]):
        table.add_row("", Text(section, "bold cyan"), "")
        for _, rule in members:
            text = Text(rule.title).append(f"  {rule.source.removeprefix(DOCS)}", "dim")
            table.add_row("", rule.id, text)
    return table


def _lines(findings: Sequence[RuleFinding]) -> Table:
    alike = Counter(one.seen for one in findings if one.verdict is Verdict.SKIP)
    many = [why for why, count in alike.items() if count >= _MANY]
    table = _grid()
    shown = [one for one in findings if one.verdict is not Verdict.SKIP or one.seen not in many]
    for section, members in groupby(shown, key=lambda one: one.section):
        table.add_row("", Text(section, "bold cyan"), "")
        for one in members:
            symbol, style = SYMBOLS[Verdict.SKIP if _lack(one) else one.verdict]
            quiet = "dim" if style == "dim" else ""
            table.add_row(Text(symbol, style), Text(one.rule.id, quiet), Text(one.seen, "dim"))
    for why in many:
        symbol, style = SYMBOLS[Verdict.SKIP]
        count = Text(f"{alike[why]} others", "dim")
        table.add_row("", "", "")
        table.add_row(Text(symbol, style), count, Text(why, "dim"))
    return table


def _grid() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("", no_wrap=True, width=1)
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    return table


def details(one: RuleFinding) -> Iterator[RenderableType]:
    """A finding in full: seen, why, what to change, who says so, the log."""
    symbol, style = SYMBOLS[one.verdict]
    yield Text(f"{symbol} ", style).append(one.rule.title, "bold").append(f"  {one.rule.id}", "dim")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("", style="dim", no_wrap=True)
    table.add_column("", overflow="fold")
    table.add_row("seen", Text(one.seen))
    table.add_row("why", Text(one.rule.why))
    table.add_row("change", Text(one.change, "bold"))
    if one.log:
        table.add_row("log", Text(one.log))
    table.add_row("source", Text(one.rule.source, "dim"))
    yield Padding(table, (0, 0, 0, 2))


def _summary(verdicts: Verdicts) -> Text:
    counts = Counter(one.verdict for one in verdicts.findings if not _lack(one))
    lacking = sum(map(_lack, verdicts.findings))
    text = Text()
    for verdict, word, style in _WORDS:
        if counts[verdict]:
            text.append(f"{counts[verdict]} {word}", style).append(" · ", "dim")
    if lacking:
        text.append(f"{lacking} lacking · ", "dim")
    text.append(f"{format_seconds(verdicts.seconds)}\n", "dim")
    left = len(verdicts.untried)
    if verdicts.cut_short or left:
        count = "a rule was" if left == 1 else f"{left} rules were"
        why = "cut short" if verdicts.cut_short else "nothing was started"
        words = f"{why}: {count} not tried, so what it is fit for is not known"
        return text.append(words[0].upper() + words[1:], "bold yellow")
    words = fitness(verdicts.findings).words
    return text.append(words[0].upper() + words[1:], "bold")
