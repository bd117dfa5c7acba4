"""What a terminal may be given: a file's name is a stranger's text.

Owns how such a text is made harmless. Refuses to know what is printed around it.
"""

from __future__ import annotations

import unicodedata

_STEERS = frozenset({"Cc", "Cf", "Cs"})
"""Unicode's categories of what is not shown but done: control, format (right-to-left), half a surrogate pair."""


def shown(text: str) -> str:
    """The text with a question mark for everything that would move the cursor, colour, erase or reorder."""
    return "".join("?" if letter != "\n" and unicodedata.category(letter) in _STEERS else letter for letter in text)
