"""Keeps the catalogues of translations in step with the texts of the pages.

    python tools/translations.py            extract every text, and bring every catalogue up to date
    python tools/translations.py --check    say what is missing, and change nothing
    python tools/translations.py --add fr   begin a catalogue for one more language

Owns what is extracted from where. The texts themselves stand in the templates and modules of `dermaloop.web`, and some
in the core, whose words the pages borrow (`wording.borrowed`). A translator edits `locale/<language>/LC_MESSAGES/
dermaloop.po` with any editor for such files; the server reads that file as it is.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

from dermaloop.core.files import replacing
from dermaloop.web import translation, wording

WEB = Path(__file__).resolve().parents[1] / "src" / "dermaloop" / "web"
_METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
_OPTIONS = {"templates/**.html": {"trimmed": "true", "silent": "false"}}
_GAP = re.compile(r"%\((\w+)\)s|\{(\w+)\}")
_WIDTH = 110


def template() -> Catalog:
    """Every text that pages can show, in the order of the files that they stand in."""
    catalog = Catalog(
        project="dermaloop",
        copyright_holder="the dermaloop authors",
        fuzzy=False,
        header_comment="# Texts of dermaloop's pages. Copyright of the dermaloop authors; licence Apache-2.0.",
    )
    found = extract_from_dir(WEB, _METHODS, _OPTIONS, keywords=DEFAULT_KEYWORDS, comment_tags=("Translators:",))
    for name, _, message, comments, context in found:
        catalog.add(message, locations=[(Path(name).as_posix(), 0)], auto_comments=comments, context=context)
    for text in wording.borrowed():
        catalog.add(text, locations=[("wording.py", 0)])
    return catalog


def path_of(code: str) -> Path:
    """Where the catalogue of a language lies."""
    return WEB / "locale" / code / "LC_MESSAGES" / f"{translation.DOMAIN}.po"


def read(code: str) -> Catalog:
    """The catalogue of a language as it lies there."""
    return read_po(io.BytesIO(path_of(code).read_bytes()), locale=code)


def gaps(text: object) -> set[str]:
    """The named gaps of a message, of all its plural forms together."""
    forms = text if isinstance(text, (tuple, list)) else (text,)
    return {one or other for form in forms for one, other in _GAP.findall(str(form))}


def problems(wanted: Catalog, catalog: Catalog) -> list[str]:
    """What is wrong with a catalogue: texts that are missing or fuzzy, and gaps that do not agree."""
    told = []
    for message in wanted:
        if not message.id:
            continue
        there = catalog.get(message.id, message.context)
        if there is None or not _filled(there):
            told.append(f"missing: {message.id!r}")
        elif there.fuzzy:
            told.append(f"fuzzy: {message.id!r}")
        elif gaps(there.string) != gaps(message.id):
            told.append(f"gaps differ: {message.id!r} and {there.string!r}")
    told += [f"no longer used: {message.id!r}" for message in catalog if message.id and message.id not in wanted]
    return told


def _filled(message: Message) -> bool:
    forms = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
    return all(forms)


def update(code: str, wanted: Catalog) -> Catalog:
    """Brings the catalogue of a language up to date: new texts empty, similar ones as fuzzy guesses."""
    path = path_of(code)
    catalog = read(code) if path.exists() else Catalog(locale=code, fuzzy=False)
    catalog.update(wanted, update_creation_date=False)
    catalog.fuzzy = False
    with replacing(path) as temporary, temporary.open("wb") as stream:
        write_po(stream, catalog, width=_WIDTH, ignore_obsolete=True, include_lineno=False)
    return catalog


def main() -> int:
    """Exit status 1 if anything is missing, fuzzy or at odds."""
    parser = argparse.ArgumentParser(description="Keep the catalogues of translations in step with the pages.")
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--add", metavar="LANGUAGE", help="begin a catalogue, e.g. fr")
    arguments = parser.parse_args()
    wanted = template()
    languages = [code for code in translation.codes() if code != translation.SOURCE]
    languages += [arguments.add] if arguments.add else []
    failed = False
    for code in languages:
        catalog = read(code) if arguments.check else update(code, wanted)
        found = problems(wanted, catalog)
        failed = failed or bool(found)
        print(f"{code}: {len(wanted)} texts, {len(found)} to do")
        for line in found:
            print(f"  {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
