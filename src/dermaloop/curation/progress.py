"""How long steps tell that they move on, without knowing whether anybody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int], None]
Step = Callable[[str, int | None], AbstractContextManager[Advance]]
"""Opens a step by its name and its total (None: unknown); within it, `advance(n)` says that n more are done."""


@contextmanager
def silent(name: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG001 - the form of every `Step`
    """A step that nobody watches."""
    yield lambda _: None
