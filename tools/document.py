"""Writes the parts of the documentation that are made from the code, so that they cannot say anything else.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->`. `make docs` writes them all;
the tests fail where one is not current. Owns the tables; refuses to write prose.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import json
import re
import sys
from collections.abc import Callable
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import speed_tables
import study
from results import results

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


def importers() -> str:
    """One row per dataset layout that can be imported."""
    from dermaloop.curation.sources import SOURCES  # noqa: PLC0415

    rows = []
    for name in SOURCES:
        lines = (sys.modules[SOURCES[name].read.__module__].__doc__ or "").strip().split("\n\n")[0]
        rows.append((f"`{name}`", " ".join(lines.split())))
    return table(("Importer", "Reads"), rows)


def dataset_keys() -> str:
    """One row per key of a dataset recipe."""
    from dermaloop.curation import recipe  # noqa: PLC0415

    rows = []
    for prefix, part in (("", recipe.Recipe), ("ratios.", recipe.Ratios), ("sources.NAME.", recipe.SourceRecipe)):
        for name, field in part.model_fields.items():
            if prefix or name == "seed":
                default = "needed" if field.is_required() else _shown(field.get_default(call_default_factory=True))
                rows.append((f"`{prefix}{name}`", default, field.description or ""))
    for name, field in recipe.Exclusion.model_fields.items():
        rows.append((f"`exclusions[].{name}`", "needed" if field.is_required() else "", field.description or ""))
    return table(("Key", "Default", "Meaning"), rows)


def training_keys() -> str:
    """One row per key of a training recipe, its meaning taken from the text under the field."""
    from dermaloop.training import recipe  # noqa: PLC0415

    return _keys_of(recipe, recipe.Recipe)


def plan_keys() -> str:
    """One row per key of a plan of refining, its meaning taken from the text under the field."""
    from dermaloop.refine import plan  # noqa: PLC0415

    return _keys_of(plan, plan.Plan)


def _keys_of(module: Any, root: Any) -> str:
    source = ast.parse(Path(module.__file__).read_text())
    texts = {node.name: _texts_under_fields(node) for node in source.body if isinstance(node, ast.ClassDef)}
    rows = []
    for field in dataclasses.fields(root):
        part = getattr(module, str(field.type), None)
        if part is None:
            default = "needed" if field.default is dataclasses.MISSING else _shown(field.default)
            rows.append((f"`{field.name}`", default, texts[root.__name__].get(field.name, "")))
            continue
        for inner in dataclasses.fields(part):
            factory = inner.default_factory
            default = inner.default if factory is dataclasses.MISSING else factory()
            meaning = texts[part.__name__].get(inner.name, "")
            rows.append((f"`{field.name}.{inner.name}`", _shown(default), meaning))
    return table(("Key", "Default", "Meaning"), rows)


def eligibility() -> str:
    """One row per group of diagnoses: what confirms them, and why only that."""
    from dermaloop.refine.eligibility import TABLE  # noqa: PLC0415

    rows = [(", ".join(row.diagnoses), ", ".join(row.confirmations), row.reason) for row in TABLE]
    return table(("Diagnoses", "Confirmed by", "Why"), rows)


def exclusions() -> str:
    """One row per rule that keeps a picture from training, in the order in which they are asked."""
    from dermaloop.refine.eligibility import RULES  # noqa: PLC0415

    return table(("Word", "Why the picture may not train"), [(f"`{word}`", text) for word, text in RULES.items()])


def _texts_under_fields(node: ast.ClassDef) -> dict[str, str]:
    """The string that stands under each annotated field; a field without one shares the next one's."""
    found: dict[str, str] = {}
    for field, after in zip(node.body, node.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[field.target.id] = " ".join(str(after.value.value).split())
    return found


def _shown(value: Any) -> str:
    if value in ("", (), {}, None):
        return "empty"
    return f"`{json.dumps(value, default=str, ensure_ascii=False)}`"


def refusals() -> str:
    """One row per reason for which a file is refused."""
    from dermaloop.core.image import REASONS  # noqa: PLC0415

    return table(("Reason", "In plain words"), [(f"`{code}`", text) for code, text in REASONS.items()])


def manifest_rules() -> str:
    """One row per rule that holds across the rows of a manifest."""
    from dermaloop.core.manifest_rules import RULES  # noqa: PLC0415

    return table(
        ("Rule", "What must hold", "Broken, for example, by", "Way out"),
        [(f"`{rule.name}`", rule.what, rule.example, rule.way_out) for rule in RULES.values()],
    )


def problems() -> str:
    """One row per error of the server: code, status, heading."""
    from dermaloop.web.errors import STATUS, TITLE  # noqa: PLC0415

    rows = [(f"`{code}`", str(int(status)), TITLE[code]) for code, status in STATUS.items()]
    return table(("Code", "Status", "In plain words"), rows)


def metrics() -> str:
    """One row per figure that the server gives of itself, without the library's about the process."""
    from types import SimpleNamespace  # noqa: PLC0415

    from dermaloop.web.metrics import STORE_FIGURES, Metrics, StoreSizes  # noqa: PLC0415

    made: Any = Metrics(SimpleNamespace(identity="", sha256=""))  # type: ignore[arg-type]
    made.watch({}, lambda: StoreSizes(dict.fromkeys(STORE_FIGURES, 0.0)))
    rows = [
        (f"`{one.name}{'_total' if one.type == 'counter' else ''}`", one.type, one.documentation)
        for one in made.registry.collect()
        if one.name.startswith("dermaloop_")
    ]
    return table(("Figure", "Kind", "Meaning"), sorted(rows))


def roles() -> str:
    """One row per role of an account."""
    from dermaloop.cases.roles import MAY  # noqa: PLC0415

    return table(("Role", "What it may do"), [(f"`{role.value}`", text) for role, text in MAY.items()])


def scopes() -> str:
    """One row per scope of a token."""
    from dermaloop.cases.roles import COVERS, NEEDS  # noqa: PLC0415

    rows = [(f"`{scope.value}`", text, f"`{NEEDS[scope].value}`") for scope, text in COVERS.items()]
    return table(("Scope", "What a token with it may do", "Least role to give it"), rows)


def options(command: str) -> str:
    """The usage, arguments and options of a command, or of every command of a group."""
    from typer.main import get_command  # noqa: PLC0415

    from dermaloop.cli.app import app  # noqa: PLC0415

    root: Any = get_command(app)
    found = root.get_command(None, command)
    inner = getattr(found, "commands", None)
    if not inner:
        return _options_table(found)
    return "\n\n".join(
        f"**`dermaloop {command} {name}`**: {_first_line(part.help)}\n\n{_options_table(part)}"
        for name, part in inner.items()
    )


def _first_line(text: str | None) -> str:
    return " ".join((text or "").strip().split("\n\n")[0].split())


def _options_table(command: Any) -> str:
    rows = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            rows.append((f"`{parameter.metavar or parameter.name.upper()}`", _first_line(parameter.help)))
        elif "--help" not in parameter.opts:
            names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
            rows.append((names, _option_text(parameter)))
    return table(("Argument or option", "Meaning"), rows)


def _option_text(parameter: Any) -> str:
    text = _first_line(parameter.help)
    choices = choices_of(parameter)
    if choices:
        text += f" One of: {', '.join(choices)}."
    default = parameter.default
    if parameter.required:
        text += " Needed."
    elif parameter.name in MACHINE_DEPENDENT:
        pass
    elif default not in (None, False, "", (), []) and not callable(default):
        text += f" Default: {getattr(default, 'value', default)}."
    return text.strip()


def choices_of(parameter: Any) -> list[str]:
    """The values that an option takes, where they are an enumeration or a `Literal`; empty otherwise."""
    annotation = parameter.type_descriptor.annotation
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return [str(member.value) for member in kind]
        if get_origin(kind) is Literal:
            return [str(value) for value in get_args(kind)]
    return []


MACHINE_DEPENDENT = {"workers"}
"""Options whose default is not the same everywhere, so that a page cannot state it."""
COMMAND_NAMES = (
    "curate", "train", "evaluate", "classify", "bundle", "serve", "account", "store", "audit", "registry",
    "feedback", "refine", "watch",
)  # fmt: skip
PARTS: dict[str, Callable[[], str]] = {
    "manifest-columns": manifest_columns,
    "manifest-rules": manifest_rules,
    "diagnoses": diagnoses,
    "settings": settings,
    "prediction-columns": prediction_columns,
    "importers": importers,
    "dataset-keys": dataset_keys,
    "training-keys": training_keys,
    "plan-keys": plan_keys,
    "eligibility": eligibility,
    "exclusions": exclusions,
    "refusals": refusals,
    "problems": problems,
    "metrics": metrics,
    "roles": roles,
    "scopes": scopes,
    "results": results,
    "speed": speed_tables.summary,
    "speed-one": speed_tables.classify_one,
    "speed-folder": speed_tables.classify_folder,
    "speed-training": speed_tables.training,
    "speed-server": speed_tables.server,
    **study.PARTS,
    **{f"options-{name}": functools.partial(options, name) for name in COMMAND_NAMES},
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
