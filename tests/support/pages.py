"""Reads the documentation: its pages, its links, and the commands in its console blocks."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FILE = re.compile(r"<!-- file: (?P<name>[\w.-]+) -->\n```\w+\n(?P<body>.*?)```", re.DOTALL)
_FENCE = re.compile(r"(?P<mark><!-- runs: (?P<setting>\w+) -->\n)?```console\n(?P<body>.*?)\n```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A console block. `setting` names the toy folder it runs in, empty if it cannot run offline in seconds."""

    page: Path
    line: int
    setting: str
    lines: tuple[str, ...]

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        """The lines split into words as a shell would."""
        return tuple(tuple(shlex.split(line, comments=True)) for line in self.lines)

    def __str__(self) -> str:
        """Used as the test's name."""
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def files(page: Path) -> dict[str, str]:
    """The files that a page shows under `<!-- file: NAME -->`, by name."""
    return {match["name"]: match["body"] for match in _FILE.finditer(page.read_text())}


def blocks() -> list[Block]:
    """Every console block of every page; a line that ends in a backslash goes on in the next."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in _FENCE.finditer(text):
            body = match["body"].replace("\\\n", " ")
            lines = tuple(line[2:] for line in body.splitlines() if line.startswith("$ "))
            found.append(Block(page, text.count("\n", 0, match.start()) + 1, match["setting"] or "", lines))
    return found
