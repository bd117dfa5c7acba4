"""The model card as safe HTML.

Owns the conversion of the bundle's Markdown. Refuses to trust it: HTML inside it is shown as text, pictures are
dropped, and only links with an ordinary scheme become links (markdown-it-py's own rule).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape


def card_html(markdown: str) -> Markup:
    """The card as HTML: CommonMark and tables, nothing that could load or run anything."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.add_render_rule("image", _image)
    reader.add_render_rule("table_open", _table_open)
    reader.add_render_rule("table_close", _table_close)
    reader.add_render_rule("link_open", _link_open)
    return Markup(reader.render(markdown))  # noqa: S704 - the renderer escapes everything that is not Markdown


def _table_open(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    # Wide tables scroll on their own, by keyboard too, instead of making the page scroll sideways.
    return '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>\n'


def _table_close(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return "</table></div>\n"


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return str(escape(tokens[index].content))  # what the picture would show, in words


def _link_open(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer")
    return self.renderToken(tokens, index, options, env)
