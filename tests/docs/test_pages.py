"""The documentation says what is: its links lead somewhere, its generated parts are current, its commands exist."""

import re
from http import HTTPStatus
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.main import get_command

import document
from dermaloop.cli.app import app
from dermaloop.core.bundle import open_bundle
from dermaloop.inference.classifier import Classifier
from dermaloop.web import settings
from dermaloop.web.app import create_app
from support.pages import PAGES, ROOT, Block, blocks
from support.people import new_store
from support.toy import toy_bundle

LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
IMAGE = re.compile(r'<img src="([^"]+)"[^>]* alt="[^"]{20,}"')
GUIDES = (
    "index",
    "manifest",
    "curation",
    "training",
    "evaluation",
    "classify",
    "web",
    "bundle",
    "limits",
    "store",
    "operations",
    "speed",
)
MOTTO = "Decision support for research use. Not a medical device."


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(text: str) -> set[str]:
    """The anchors that the headings of a page get on GitHub."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page):
    text = page.read_text()
    broken = []
    for target in [match["target"] for match in LINK.finditer(text)] + IMAGE.findall(text):
        if target.startswith(("https://", "mailto:")):  # the tests ask nothing of the internet
            continue
        assert not target.startswith("http://"), target
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_generated_parts_are_current(page):
    text = page.read_text()
    assert text.count("<!-- generated: ") == len(document.MARK.findall(text)), "a mark without its end"
    assert document.refresh(text) == text, "run: make docs"


def test_every_picture_has_a_description_and_every_screenshot_is_shown():
    texts = {page: page.read_text() for page in PAGES}
    assert {page_name(page) for page, text in texts.items() if text.count("<img ") != len(IMAGE.findall(text))} == set()
    shown = {(page.parent / name).resolve() for page, text in texts.items() for name in IMAGE.findall(text)}
    assert shown == {path.resolve() for path in (ROOT / "docs/screenshots").glob("*.png")}


def test_every_generated_part_is_shown_somewhere():
    shown = {name for page in PAGES for name in re.findall(r"<!-- generated: ([\w-]+) -->", page.read_text())}
    assert shown == set(document.PARTS)


@pytest.mark.parametrize("name", GUIDES)
def test_the_guides_are_there_and_the_index_leads_to_each(name):
    page = ROOT / f"docs/{name}.md"
    assert len(page.read_text()) > 500
    if name != "index":
        assert f"({name}.md)" in (ROOT / "docs/index.md").read_text()


@pytest.mark.parametrize("name", ["README.md", "docs/index.md", "docs/limits.md"])
def test_the_pages_that_a_newcomer_reads_say_what_it_is_not(name):
    assert MOTTO in (ROOT / name).read_text()


def test_decisions_are_numbered_without_gaps_and_in_one_form():
    pages = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    index = (ROOT / "docs/adr/README.md").read_text()
    for page in pages:
        headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
        assert headings[:4] == ["Context", "Looked at", "Decision", "Consequences"], page.name
        assert f"({page.name})" in index


def test_the_folders_named_in_the_readme_exist():
    text = (ROOT / "README.md").read_text()
    block = re.search(r"## Folder map\n+```text\n(.*?)```", text, re.DOTALL)
    assert block is not None
    named = [line.split()[0] for line in block[1].splitlines() if line.strip()]
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).exists()]
    packages = {path.parent for path in (ROOT / "src/dermaloop").glob("*/__init__.py")}
    assert {f"{path.relative_to(ROOT).as_posix()}/" for path in packages} <= set(named)


def test_variables_named_anywhere_exist():
    known = {name for name, _, _ in settings.describe()} | {"DERMALOOP_DATA"}
    named = {name for page in PAGES for name in re.findall(r"\bDERMALOOP_[A-Z_]+\b", page.read_text())}
    assert named - known == set()
    assert known <= named, "a variable that no page names"


def test_addresses_of_the_server_named_in_the_guide_are_served(tmp_path):
    text = (ROOT / "docs/web.md").read_text()
    named = {f"/{path}" for path in re.findall(r"[`\d]/((?:api/|healthz|readyz)[\w/.]*)", text)}
    classifier = Classifier(open_bundle(toy_bundle(tmp_path)), threads=1)
    assert named >= {"/api/v1/classify", "/api/openapi.json", "/healthz"}
    with (
        new_store(tmp_path / "store") as store,
        TestClient(create_app(settings.Settings(), classifier, store), base_url="http://127.0.0.1") as client,
    ):
        missing = [path for path in sorted(named) if client.get(path).status_code == HTTPStatus.NOT_FOUND]
        assert client.get("/api/v1/clasify").status_code == HTTPStatus.NOT_FOUND
    assert not missing


# -- commands ---------------------------------------------------------------------------------------------------------


def problems(words: list[str]) -> list[str]:
    """What is wrong with one `dermaloop …` command line, by the commands' own parameters."""
    command, rest = get_command(app), words[1:]
    while hasattr(command, "get_command"):
        position = next((i for i, word in enumerate(rest) if not word.startswith("-")), None)
        if position is None:
            break
        inner = command.get_command(command.make_context("dermaloop", [], resilient_parsing=True), rest[position])
        if inner is None:
            return [f"there is no command {rest[position]!r}"]
        command, rest = inner, rest[position + 1 :]
    return _parameter_problems(command, rest)


def _parameter_problems(command, words: list[str]) -> list[str]:
    options = {
        name: p for p in command.params if p.param_type_name == "option" for name in (*p.opts, *p.secondary_opts)
    }
    places = [p for p in command.params if p.param_type_name == "argument"]
    found, given, seen = [], 0, set()
    queue = list(words)
    while queue:
        word, _, value = queue.pop(0).partition("=") if queue[0].startswith("--") else (queue.pop(0), "", "")
        if not word.startswith("-") or word == "-":  # a lone dash is a place: standard input
            given += 1
        elif word == "--help":
            continue
        elif word not in options:
            found.append(f"there is no option {word!r}")
        else:
            seen.add(options[word].name)
            found += _value_problems(options[word], word, value, queue)
    if "--help" in words:
        return found
    found += [f"{p.opts[0]} is missing" for p in options.values() if p.required and p.name not in seen]
    least = sum(1 for p in places if p.required)
    most = float("inf") if any(p.nargs == -1 for p in places) else sum(p.nargs for p in places)
    if not least <= given <= most:
        found.append(f"takes {least} to {most} arguments, {given} given")
    return found


def _value_problems(option, word: str, value: str, queue: list[str]) -> list[str]:
    if option.is_flag:
        return []
    if not value and not queue:
        return [f"{word} has no value"]
    value = value or queue.pop(0)
    choices = document.choices_of(option)
    if choices and value not in choices:
        return [f"{word} cannot be {value!r}"]
    return []


COMMANDS = [(block, words) for block in blocks() for words in block.commands if words and words[0] == "dermaloop"]


def test_the_documentation_has_commands():
    shown = {words[1] for _, words in COMMANDS if len(words) > 1}
    assert shown >= {"curate", "train", "evaluate", "classify", "bundle", "serve"}


@pytest.mark.parametrize(("block", "words"), COMMANDS, ids=[f"{b} {' '.join(w[1:4])}" for b, w in COMMANDS])
def test_commands_and_options_exist(block: Block, words: tuple[str, ...]):
    plain = list(words)
    for sign in ("|", ">", "<", "&&"):
        if sign in plain:
            plain = plain[: plain.index(sign)]
    assert problems(plain) == [], block


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("dermaloop clasify x.jpg", "there is no command 'clasify'"),
        ("dermaloop classify x.jpg --formt csv", "there is no option '--formt'"),
        ("dermaloop classify", "takes 1 to inf arguments, 0 given"),
        ("dermaloop classify x.jpg --out", "--out has no value"),
    ],
)
def test_the_check_of_commands_sees(line, problem):
    assert problem in problems(line.split())


def test_make_targets_named_in_the_documentation_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {words[1] for block in blocks() for words in block.commands if words[:1] == ("make",) and len(words) > 1}
    assert {"run", "test"} <= named <= targets
