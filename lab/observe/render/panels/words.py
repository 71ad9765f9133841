"""Text panels: Markdown, and nothing that a board could smuggle in."""

import functools
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from lab.observe.render.board import link_to
from lab.observe.render.panels.views import Sheet, Words


def text(sheet: Sheet) -> Words:
    """The panel's text, its variables filled in."""
    return Words(text=sheet.scope.words(str(sheet.panel.options.get("content") or "")))


def markdown(content: str, uids: Sequence[str]) -> Markup:
    """HTML of Markdown. Raw HTML in it is shown as text; links to other boards stay on the page."""
    tokens = _parser().parse(content)
    for token in tokens:
        for inner in token.children or []:
            _keep_on_page(inner, uids)
    rendered: str = _parser().renderer.render(tokens, _parser().options, {})
    return Markup(rendered)  # noqa: S704 - markdown-it escapes whatever is not its own


def _keep_on_page(token: Token, uids: Sequence[str]) -> None:
    if token.type == "link_open":
        target = link_to(str(token.attrGet("href") or ""), uids)
        token.attrs = {"href": target, "rel": "noopener"} if target else {}
    elif token.type == "image":
        # Nothing is fetched by a page that must work without a network.
        token.attrs = {"alt": "", "src": ""}


@functools.cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
