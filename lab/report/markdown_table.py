"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table, or nothing without lines; cells are escaped."""
    body = [_line(cells) for cells in lines]
    if not body:
        return ""
    rule = _line(["---", *["---:"] * (len(head) - 1)])
    return "\n".join([_line(head), rule, *body])


def _line(cells: Sequence[str]) -> str:
    escaped = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
