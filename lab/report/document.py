"""Documents of text and tables: written once, for a terminal and as Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Column
from rich.table import Table as TerminalTable
from rich.text import Text

Cell = str | Text


def left(heading: str) -> Column:
    """A column of words."""
    return Column(heading, no_wrap=True)


def right(heading: str, *, style: str = "", wrap: bool = False) -> Column:
    """A column of numbers; an interval may be folded where the terminal is narrow."""
    return Column(heading, style=style, justify="right", no_wrap=not wrap)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under headings. Of columns given as text the first holds names, the others numbers.

    In Markdown a space at the beginning of a cell, which sets names off, is left out.
    """

    title: str = ""
    columns: Sequence[str | Column]
    rows: Sequence[Sequence[Cell]]
    style: str = "bold"
    """Of the title, on a terminal."""
    page_only: Sequence[str] = ()
    """Headings of columns for which a terminal of ordinary width has no room."""

    def to_markdown(self) -> str:
        """Without the title; nothing without rows. Cells are escaped."""
        if not self.rows:
            return ""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        return "\n".join(_markdown_line(cells) for cells in (self.headings, rule, *self.rows))

    def to_terminal(self) -> TerminalTable:
        """A new one each time."""
        kept = [i for i, one in enumerate(self.headings) if one not in self.page_only]
        table = TerminalTable(
            *(self._column(place) for place in kept),
            title=self.title or None,
            title_justify="left",
            title_style=self.style,
            box=None,
            pad_edge=False,
        )
        for row in self.rows:
            table.add_row(*(row[place] for place in kept))
        return table

    def is_text(self, place: int) -> bool:
        """Whether a column holds words, which begin at its left edge."""
        column = self.columns[place]
        return place == 0 if isinstance(column, str) else column.justify == "left"

    def _column(self, place: int) -> Column:
        column = self.columns[place]
        if isinstance(column, Column):
            return column.copy()  # A table writes its cells into its columns.
        return right(column) if place else Column(column, no_wrap=True, max_width=26)

    @property
    def headings(self) -> Sequence[str]:
        return [str(one.header) if isinstance(one, Column) else one for one in self.columns]


@dataclass(frozen=True, kw_only=True)
class Document:
    """Tables with what there is to say of them."""

    title: str
    about: str = ""
    answer: str = ""
    """In a sentence: before the tables of a page, after those of a terminal."""
    tables: Sequence[Table]
    notes_title: str = ""
    notes: Sequence[str] = ()

    def to_markdown(self) -> str:
        """A page of its own, with an end of line."""
        return "\n\n".join(filter(None, (f"# {self.title}", self.body()))) + "\n"

    def body(self, level: int = 2) -> str:
        """All but the title; tables are of a level of headings."""
        parts = [" ".join(filter(None, (self.about, self.answer)))]
        for table in self.tables:
            parts += section(table.title, table.to_markdown(), level=level)
        notes = "\n".join(f"- {note}" for note in self.notes)
        parts += section(self.notes_title, notes, level=level) if self.notes_title else [notes]
        return "\n\n".join(filter(None, parts))

    def to_terminal(self) -> RenderableType:
        """The answer below the tables, where a reader looks first."""
        parts: list[RenderableType] = [Text(self.title, "bold")]
        parts += [Text(self.about, "dim")] if self.about else []
        for table in self.tables:
            parts += ["", table.to_terminal()]
        parts += ["", Text(self.answer, "bold")] if self.answer else [""]
        return Lines(*parts, *(Text(f"• {note}", "dim") for note in self.notes))


def code(text: str) -> str:
    """Words of a program for a cell in Markdown, whatever signs are in them."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def section(title: str, body: str, *, level: int = 2) -> Sequence[str]:
    """A heading and what stands under it, or nothing at all without the latter."""
    return [f"{'#' * level} {title}", body] if body else []


def _markdown_line(cells: Iterable[Cell]) -> str:
    escaped = (" ".join(str(cell).split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
