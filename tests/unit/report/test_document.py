import io

from rich.console import Console, RenderableType
from rich.text import Text

from lab.report.document import Document, Table, right

TABLE = Table(
    title="Sizes",
    columns=["name", right("bytes", style="dim"), "digest"],
    rows=[[" one", "1 | 2", Text("ab\ncd", "red")]],
    page_only=["digest"],
)


def printed(shown: RenderableType) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=60).print(shown)
    return [line.strip() for line in out.getvalue().splitlines()]


def test_cells_are_escaped_in_markdown_and_none_is_left_out() -> None:
    assert TABLE.to_markdown().splitlines() == [
        "| name | bytes | digest |",
        "| --- | ---: | ---: |",
        r"| one | 1 \| 2 | ab cd |",
    ]


def test_a_table_without_rows_is_nothing_at_all() -> None:
    document = Document(title="Empty", tables=[Table(columns=["a"], rows=[])])
    assert document.to_markdown() == "# Empty\n"


def test_a_terminal_shows_the_columns_that_it_has_room_for_as_often_as_asked() -> None:
    for _ in range(2):
        assert printed(TABLE.to_terminal()) == ["Sizes", "name  bytes", "one  1 | 2"]


def test_the_answer_comes_first_on_a_page_and_last_on_a_terminal() -> None:
    document = Document(
        title="Title", about="About.", answer="Answer.", tables=[TABLE], notes=["a", "b"]
    )
    page = document.to_markdown().split("\n\n")
    assert page[:3] == ["# Title", "About. Answer.", "## Sizes"]
    assert page[-1] == "- a\n- b\n"
    lines = printed(document.to_terminal())
    assert lines[:2] == ["Title", "About."]
    assert lines[-4:] == ["", "Answer.", "• a", "• b"]
