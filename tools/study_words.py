"""How the tables of docs/study.md are worded: figures, intervals, months; and where they come from.

Owns that form. Refuses to know which figures are shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NONE = "-"
SECOND = "after the lead looked"
STUDY = Path(__file__).resolve().parents[1] / "docs/study.json"
Found = Mapping[str, Any]


def read() -> Found:
    """What the study found."""
    found: Found = json.loads(STUDY.read_text(encoding="utf-8"))
    return found


def months_of(found: Found) -> list[int]:
    """Numbers of the months, in order."""
    return sorted(int(name.removeprefix("month-")) for name in found if name.startswith("month-"))


def kind(found: Found, month: int) -> str:
    """What a month brings."""
    size = found["about"]["size"]
    if month == size["months"] + 1:
        return f"{month}, poisoned"
    return f"{month}, two sources" if month == size["months"] + 2 else str(month)


def number(figure: Found | None, *, interval: bool = True, digits: int = 3) -> str:
    """A figure with its interval."""
    if figure is None or figure["value"] is None:
        return NONE
    value = f"{figure['value']:.{digits}f}"
    if not interval or figure["low"] is None:
        return value
    return f"{value} ({figure['low']:.{digits}f} to {figure['high']:.{digits}f})"


def change(difference: Found) -> str:
    """A difference with its interval."""
    return f"{difference['value']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})"


def share(part: int, of: int) -> str:
    """So many of so many."""
    return f"{part} of {of}" + (f" ({part / of:.0%})" if of else "")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
