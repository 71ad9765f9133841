"""A check in words: the lines that were broken, a table, Markdown, JUnit's XML."""

from collections.abc import Sequence
from typing import Final

from rich.markup import escape
from rich.table import Table

from lab.budget.budgetfile import Ceiling
from lab.budget.record import Change, Check, Figure, Finding, Trend, Verdict
from lab.contract.reports import junit
from lab.contract.reports.junit import Case, Outcome
from lab.units import format_bytes, format_seconds

_SECONDS: Final = frozenset({Ceiling.COLD_START, Ceiling.WARM_P95})
_HEADINGS: Final = ("ceiling", "at most", "measured", "verdict", "beside the last check")
_STYLES: Final = {Verdict.OK: "green", Verdict.BROKEN: "red"}


def amount(ceiling: Ceiling, value: float) -> str:
    """A figure of that ceiling with its unit."""
    if ceiling in _SECONDS:
        return format_seconds(value)
    if ceiling is Ceiling.USD_PER_MILLION:
        return f"${value:.2f}" if value >= 1 else f"${value:.3g}"
    return format_bytes(value)


def limit_words(one: Finding) -> str:
    """The ceiling as a person writes it: ``1.5 s``."""
    number, space, unit = amount(one.ceiling, one.limit).partition(" ")
    return (number.rstrip("0").rstrip(".") if "." in number else number) + space + unit


def figure_words(ceiling: Ceiling, figure: Figure) -> str:
    """``1.82 s (1.74 to 1.91)``: with its interval, if it has one."""
    whole = amount(ceiling, figure.value)
    if figure.low is None and figure.high is None:
        return whole
    unit = whole.partition(" ")[2]
    low, high = (
        "?" if end is None else amount(ceiling, end).removesuffix(f" {unit}").removeprefix("$")
        for end in (figure.low, figure.high)
    )
    return f"{whole} ({low} to {high})"


def change_words(ceiling: Ceiling, change: Change | None) -> str:
    """``slower: 1.21x (1.10 to 1.30)``."""
    if change is None:
        return ""
    if change.trend is Trend.SAME:
        return change.trend.value
    words = {True: ("slower", "faster"), False: ("larger", "smaller")}[ceiling in _SECONDS]
    if ceiling is Ceiling.USD_PER_MILLION:
        words = ("dearer", "cheaper")
    said = f"{words[change.trend is Trend.BETTER]}: {change.ratio:.2f}x"
    if change.low is None or change.high is None:
        return said
    return f"{said} ({change.low:.2f} to {change.high:.2f})"


def lines(check: Check, *, regressions: bool) -> Sequence[str]:
    """What fails the check, by the line of the budget; with what is worse than before if asked."""
    found = []
    for one in check.findings:
        if one.verdict is Verdict.BROKEN:
            found.append(_line(check, one, _measured(one)))
        if regressions and _worse(one):
            found.append(_line(check, one, change_words(one.ceiling, one.change)))
    return found


def table(check: Check) -> Table:
    """For the terminal."""
    headings, rows = _rows(check)
    made = Table(title=_title(check, check.image))
    for place, heading in enumerate(headings):
        made.add_column(heading, no_wrap=place < 3)
    for one, cells in zip(check.findings, rows, strict=True):
        made.add_row(*map(escape, cells), style=_STYLES.get(one.verdict, "yellow"))
    return made


def markdown(check: Check) -> str:
    """For the summary of a pull request."""
    headings, rows = _rows(check)
    broken = sum(one.verdict is Verdict.BROKEN for one in check.findings)
    headline = f"{broken} of {len(rows)} ceilings broken" if broken else "no ceiling broken"
    text = [f"### {_title(check, f'`{check.image}`')}: {headline}", ""]
    text += [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
        for row in (headings, ["---"] * len(headings), *rows)
    ]
    text += [f"\n{note}" for note in notes(check)]
    return "\n".join([*text, "", ""])


def notes(check: Check) -> Sequence[str]:
    """What belongs under either table."""
    found = [*check.notes]
    if check.doubt:
        found.append(f"Seconds show nothing: {check.doubt}.")
    if check.compared_with is not None:
        found.append(f"The last check here was {check.compared_with}.")
    return found


def as_junit(check: Check, *, regressions: bool) -> str:
    """A case for each ceiling; what only seems over it has passed, and says so."""
    cases = [_case(check, one, regressions=regressions) for one in check.findings]
    return junit.suite(f"budget of {check.image}", cases, seconds=check.seconds)


def _case(check: Check, one: Finding, *, regressions: bool) -> Case:
    outcome, said = Outcome.PASSED, f"{_verdict(one)}: {_measured(one)}"
    change = change_words(one.ceiling, one.change)
    if one.verdict is Verdict.UNMEASURED:
        outcome, said = Outcome.SKIPPED, one.why
    elif one.verdict is Verdict.BROKEN:
        outcome, said = Outcome.BROKEN, _line(check, one, _measured(one))
    elif regressions and _worse(one):
        outcome, said = Outcome.BROKEN, _line(check, one, change)
    classname = f"budget.{check.subject.image}"
    return Case(
        classname=classname, name=one.ceiling.value, outcome=outcome, said=said, more=change
    )


def _title(check: Check, name: str) -> str:
    size = check.subject.size
    return f"{name} at {size} MB" if size.isdecimal() else f"{name} at {size}"


def _worse(one: Finding) -> bool:
    return one.change is not None and one.change.trend is Trend.WORSE


def _line(check: Check, one: Finding, said: str) -> str:
    return f"{check.budget_file}:{one.line}: {one.ceiling} {limit_words(one)}: {said}"


def _measured(one: Finding) -> str:
    return "" if one.figure is None else figure_words(one.ceiling, one.figure)


def _verdict(one: Finding) -> str:
    return f"{one.verdict} ({one.why})" if one.why else one.verdict.value


def _rows(check: Check) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """The headings, and the cells of each finding. The doubt is told once, under them."""
    rows = []
    for one in check.findings:
        brief = one.model_copy(update={"why": ""}) if one.why == check.doubt else one
        change = change_words(one.ceiling, one.change)
        rows.append([one.ceiling.value, limit_words(one), _measured(one), _verdict(brief), change])
    if check.compared_with is None:
        return _HEADINGS[:-1], [row[:-1] for row in rows]
    return _HEADINGS, rows
