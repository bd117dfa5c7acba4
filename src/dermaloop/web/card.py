"""The model card as safe HTML.

Owns the conversion of the bundle's Markdown. Refuses to trust it: HTML inside it is shown as text, pictures become
their description, and only links with an ordinary scheme become links (markdown-it-py's own rule).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

# Wide tables scroll on their own, by keyboard too, instead of making the page scroll sideways.
_SCROLL_OPEN = '<div class="scroll" role="region" aria-label="Table" tabindex="0">\n'
_SCROLL_CLOSE = "</div>\n"


def card_html(markdown: str) -> Markup:
    """The card as HTML: CommonMark and tables, nothing that could load or run anything."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = list(_tamed(reader.parse(markdown)))
    return Markup(reader.renderer.render(tokens, reader.options, {}))  # noqa: S704 - all but Markdown is escaped


def _tamed(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.type == "table_open":
            yield Token("html_block", "", 0, content=_SCROLL_OPEN)
        if token.children:
            token.children = list(_tamed(token.children))
        if token.type == "link_open":
            token.attrSet("rel", "noopener noreferrer")
        yield Token("text", "", 0, content=token.content) if token.type == "image" else token
        if token.type == "table_close":
            yield Token("html_block", "", 0, content=_SCROLL_CLOSE)
