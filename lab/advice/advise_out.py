"""The advice as people read it: on a terminal, and as Markdown."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from lab.advice.advice_report import AdviceReport, CostRow, MeasuredStart
from lab.advice.recording import Stage
from lab.advice.rules.model import Advice, Saving
from lab.report.document import Table, left, right
from lab.report.words import plural, shortened
from lab.spec import StartKind
from lab.units import format_bytes, format_rate, format_seconds

_ROWS: Final = 20
_ALL: Final = "All of it but what is to be tried, step by step"
_TINY_S: Final = 0.0005
_LABELS: Final = {
    StartKind.PULL: "pulled (real-time instances)",
    StartKind.ONDEMAND: "on demand (serverless)",
}


def headline(report: AdviceReport) -> str:
    """What to do first and what it saves, in one sentence."""
    if not report.advice:
        return (
            f"Nothing to take out of {report.image}: what it ships is used, or too little to speak "
            "of."
        )
    first = report.advice[0]
    saves = _saves(first.saves)
    return f"First: {_lowered(first.title)}" + (f", which saves {saves}." if saves else ".")


def _lowered(title: str) -> str:
    """As it stands in a sentence; names keep their capitals."""
    word = title.partition(" ")[0]
    return title if word.isupper() else title[:1].lower() + title[1:]


def _saves(one: Saving) -> str:
    parts = []
    if one.pulled_start_s >= _TINY_S:
        parts.append(f"about {format_seconds(one.pulled_start_s)} of a pulled start")
    if (one.ondemand_start_s or 0.0) >= _TINY_S:
        parts.append(f"{format_seconds(one.ondemand_start_s or 0.0)} of one on demand")
    if one.moved_s >= _TINY_S:
        parts.append(f"the first caller {format_seconds(one.moved_s)}")
    return " and ".join(parts)


def table(report: AdviceReport, most: int | None = _ROWS) -> Table:
    """A row for each package and folder, those first that cost most seconds."""
    rows = report.rows if most is None else report.rows[:most]
    return Table(
        title="What costs what: MB compressed and unpacked, files, seconds",
        columns=[
            left("package or folder"),
            right("compr."),
            right("unp."),
            right("files"),
            left("read"),
            right("import"),
            right("pull"),
            right("ondem."),
            left("do"),
        ],
        rows=[_row(one, None if most is None else _NAME_WIDTH) for one in rows],
    )


def _row(one: CostRow, width: int | None) -> Sequence[str]:
    name = f"{one.manager}: {one.name}" if one.manager else one.name
    if width is not None and len(name) > width:
        keeps_end = name.startswith("/")
        name = f"…{name[1 - width :]}" if keeps_end else shortened(name, width)
    return (
        name,
        f"{one.compressed_bytes / 1e6:.1f}",
        f"{one.unpacked_bytes / 1e6:.1f}",
        str(one.files),
        "no" if one.opened is None else _WHEN[one.opened],
        _seconds(one.import_s),
        _seconds(one.pull_s),
        _seconds(one.ondemand_s),
        _todo(one),
    )


_NAME_WIDTH: Final = 20
_WHEN: Final = {Stage.READY: "start", Stage.FIRST: "first", Stage.LATER: "later"}


def _todo(one: CostRow) -> str:
    """Which advice is about it; what was read and has none stays."""
    if one.advice:
        first, *rest = one.advice
        return f"#{first} +{len(rest)}" if rest else f"#{first}"
    return "-" if one.opened is None else "keep"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None or seconds < _TINY_S else f"{seconds:.3f}"


def _about(report: AdviceReport) -> Iterator[str]:
    said = (
        f"{report.image}, {report.platform}{', emulated' if report.emulated else ''}: "
        f"{format_bytes(report.compressed_bytes)} compressed, "
        f"{format_bytes(report.unpacked_bytes)} unpacked"
    )
    if report.read_bytes:
        said += f", of which a start fetches {format_bytes(report.read_bytes)} on demand"
    yield f"{said}. Asked with {', '.join(report.payloads)}."
    for one in report.starts:
        yield _start(one, report)


def _start(one: MeasuredStart, report: AdviceReport) -> str:
    link = format_rate(report.bandwidth_bits_per_s)
    whole = "" if one.total_s is None else f"{format_seconds(one.total_s)} to the first prediction,"
    part = f"{format_seconds(one.image_s)} for the image"
    how = f" ({one.note})" if one.note else ", measured once"
    return f"Start {_LABELS[one.kind]} over {link}: {f'{whole} ' if whole else ''}{part}{how}."


def _remaining(report: AdviceReport) -> str:
    rest = report.rows[_ROWS:]
    if not rest:
        return ""
    bytes_ = sum(one.unpacked_bytes for one in rest)
    return f"{plural(len(rest), 'more row')}, {format_bytes(bytes_)}: --json or --markdown has all."


def _figures(one: Advice) -> str:
    saves = one.saves
    parts = [f"saves {_saves(saves)}"] if _saves(saves) else []
    if saves.unpacked_bytes:
        parts.append(
            f"{format_bytes(saves.compressed_bytes)} compressed, "
            f"{format_bytes(saves.unpacked_bytes)} unpacked"
        )
    if one.layers:
        parts.append(f"layer {', '.join(map(str, one.layers[:4]))}")
    parts.append(f"confidence: {one.confidence}")
    return "; ".join(parts)


def to_terminal(report: AdviceReport) -> RenderableType:
    """The sentence, the table, the advice with its patches, all patches together."""
    parts: list[RenderableType] = [Text(headline(report), "bold")]
    parts += [Text(line) for line in _about(report)]
    parts += ["", table(report).to_terminal()]
    if rest := _remaining(report):
        parts.append(Text(rest, "dim"))
    for number, one in enumerate(report.advice, 1):
        parts += ["", Text(f"#{number} {one.title}", "bold"), Text(f"   {_figures(one)}", "dim")]
        body = [Text(one.seen), Text(one.todo)]
        body += [Text(f"Risk: {one.risk}", "dim")] if one.risk else []
        body += [_coloured(one.patch)] if one.patch else []
        parts.append(Padding(Group(*body), (0, 0, 0, 3)))
    if report.steps:
        parts += ["", Text(_ALL, "bold")]
        for step in report.steps:
            parts.append(Text(f"   layer {step.layer}", "dim"))
            parts.append(Padding(_coloured(step.patch), (0, 0, 0, 3)))
    parts += ["", *(Text(f"Note: {one}", "dim") for one in report.notes)] if report.notes else []
    return Group(*parts)


def _coloured(patch: str) -> Text:
    styles = {"+": "green", "-": "red", "#": "dim"}
    text = Text()
    for line in patch.splitlines():
        text.append(f"{line}\n", styles.get(line[:1], ""))
    text.rstrip()
    return text


def to_markdown(report: AdviceReport) -> str:
    """The same for a pull request, with all rows."""
    parts = [f"# {headline(report)}", *_about(report), table(report, None).to_markdown()]
    for number, one in enumerate(report.advice, 1):
        parts += [f"## {number}. {one.title}", f"*{_figures(one)}*", f"{one.seen} {one.todo}"]
        parts += [f"Risk: {one.risk}"] if one.risk else []
        parts += [_fenced(one.patch)] if one.patch else []
    if report.steps:
        parts.append(f"## {_ALL}")
        for step in report.steps:
            parts += [f"Layer {step.layer}", _fenced(step.patch)]
    parts += [f"- {one}" for one in report.notes]
    return "\n\n".join(filter(None, parts)) + "\n"


def _fenced(patch: str) -> str:
    fence = "```"
    while fence in patch:
        fence += "`"
    return f"{fence}diff\n{patch}\n{fence}"
