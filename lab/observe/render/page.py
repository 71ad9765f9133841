"""The page: one file, no network; Plotly is in it once, and may do nothing but draw."""

import functools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from lab.observe.render.board import BoardLink, link_to
from lab.observe.render.draw import DrawnBoard, PanelState
from lab.observe.render.panels.views import Plot
from lab.observe.render.panels.words import markdown
from lab.observe.render.timespan import duration_text

TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
_FIGURES = 6
"""Of a number in the page's data: more than a pixel can show."""


def render(drawn: Sequence[DrawnBoard], *, source: str) -> str:
    """All boards on one page; ``source`` says where the data are from."""
    figures = {
        _key(board, place): panel.view.figure
        for board in drawn
        for place, panel in enumerate(board.panels)
        if isinstance(panel.view, Plot)
    }
    uids = [board.board.uid for board in drawn]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            boards=drawn,
            key=_key,
            figures=_thin(figures),
            plotly=_plotly() if figures else Markup(),
            plotly_version=metadata.version("plotly"),
            source=source,
            made=_when(max((board.span.end for board in drawn), default=0.0)),
            length=duration_text,
            links=functools.partial(_links, uids=uids),
            markdown=lambda text: markdown(text, uids),
            PanelState=PanelState,
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    """Everything printed is escaped, everything missing is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return made


def _plotly() -> Markup:
    """plotly.js as its Python package ships it: the version is pinned with the package."""
    file = resources.files("plotly") / "package_data" / "plotly.min.js"
    text = file.read_text(encoding="utf-8")
    # The only way out of a script is its end tag; strings of JavaScript may hold an escape.
    return Markup(text.replace("</script", "<\\/script"))  # noqa: S704 - pinned by its hash


def _thin(value: Any) -> Any:
    """Numbers to the figures that can be seen; infinite ones cannot."""
    if isinstance(value, float):
        if value in (float("inf"), float("-inf")) or value != value:  # noqa: PLR0124
            return None
        return int(value) if value == int(value) else float(f"{value:.{_FIGURES}g}")
    if isinstance(value, Mapping):
        return {key: _thin(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_thin(one) for one in value]
    return value


def _key(board: DrawnBoard, place: int) -> str:
    return f"{board.board.uid}-{place}"


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _links(board: DrawnBoard, *, uids: Sequence[str]) -> Sequence[BoardLink]:
    """Links that lead somewhere from this page; boards on it are in its navigation already."""
    found = [BoardLink(title=one.title, url=link_to(one.url, uids)) for one in board.board.links]
    return [link for link in found if link.url and not link.url.startswith("#")]
