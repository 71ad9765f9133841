"""What the terminal says of a page: boards, and panels without data."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from lab.observe.render.draw import DrawnBoard, PanelState


def table(drawn: Sequence[DrawnBoard]) -> Table:
    """A line for each board: how many panels were drawn, and how many were not."""
    made = Table(box=None, pad_edge=False)
    made.add_column("board")
    for heading in ("panels", "drawn", "no data", "not drawn"):
        made.add_column(heading, justify="right")
    for board in drawn:
        counts = [
            len(board.panels),
            len(board.of(PanelState.DRAWN, PanelState.QUIET)),
            len(board.of(PanelState.EMPTY)),
            len(board.of(PanelState.FAILED)),
        ]
        made.add_row(board.board.title, *(str(count) if count else "·" for count in counts))
    return made


def notes(drawn: Sequence[DrawnBoard]) -> Iterator[str]:
    """Panels without data, those that expect it, and those of which a part has none."""
    for board in drawn:
        for panel in board.panels:
            name = f"{board.board.title} / {panel.title}"
            if panel.state is PanelState.EMPTY:
                yield f"no data: {name}"
            elif panel.state is PanelState.QUIET:
                yield f"quiet: {name} ({panel.trouble})"
            elif panel.state is PanelState.DRAWN and panel.missing:
                refs = ", ".join(one.ref for one in panel.missing)
                yield f"partly: {name} (query {refs})"
