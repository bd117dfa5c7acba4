"""Writes the parts of the documentation that are made from the code, so that they cannot say anything else.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->`. `make docs` writes them all;
the tests fail where one is not current. Owns the tables; refuses to write prose.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

ROOT = Path(__file__).resolve().parents[1]
MARK = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end of (?P=name) -->)", re.DOTALL)


def pages(root: Path = ROOT) -> list[Path]:
    """Every page of the documentation."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def refresh(text: str) -> str:
    """The page with its generated parts made anew.

    Raises:
        KeyError: A mark names a part that nothing here makes.
    """
    return MARK.sub(lambda found: f"{found[1]}{PARTS[found['name']]()}\n{found[3]}", text)


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def manifest_columns() -> str:
    """One row per column of a manifest: name, kind, meaning."""
    from dermaloop.core.manifest import SCHEMA, ManifestRow  # noqa: PLC0415

    rows = []
    for name, field in ManifestRow.model_fields.items():
        words = [kind for kind in (field.annotation, *get_args(field.annotation)) if _is_words(kind)]
        meaning = field.description or ""
        if words:
            values = ", ".join(f"`{word.value}`" if word.value else "empty" for word in words[0])
            meaning = f"{meaning} One of: {values}.".strip()
        need = "always" if field.is_required() else ""
        rows.append((f"`{name}`", str(SCHEMA.field(name).type), need, meaning))
    return table(("Column", "Type", "Needed", "Meaning"), rows)


def _is_words(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, StrEnum)


def diagnoses() -> str:
    """One row per diagnosis of the taxonomy."""
    from dermaloop.core.taxonomy import TABLE  # noqa: PLC0415

    rows = [
        (
            entry.diagnosis.value,
            entry.name,
            entry.malignancy.value,
            "yes" if entry.counts_as_malignant else "no",
            entry.source,
        )
        for entry in TABLE
    ]
    return table(("Code", "Name", "Three-way value", "Counts as malignant", "Source"), rows)


def settings() -> str:
    """One row per environment variable of the server."""
    from dermaloop.web.settings import describe  # noqa: PLC0415

    return table(
        ("Variable", "Default", "Meaning"), [(f"`{name}`", default, text) for name, default, text in describe()]
    )


def prediction_columns() -> str:
    """The columns of a table of predictions, in order."""
    from dermaloop.core.prediction import COLUMNS  # noqa: PLC0415

    return "```text\n" + ",".join(COLUMNS) + "\n```"


PARTS: dict[str, Callable[[], str]] = {
    "manifest-columns": manifest_columns,
    "diagnoses": diagnoses,
    "settings": settings,
    "prediction-columns": prediction_columns,
}


def main() -> int:
    """Rewrites every page whose generated parts are not current; says which."""
    for page in pages():
        old = page.read_text()
        new = refresh(old)
        if new != old:
            page.write_text(new)
            print(page.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
