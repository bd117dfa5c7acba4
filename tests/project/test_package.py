"""The package's own statements about itself: version, licence, what it needs, what it starts."""

import ast
import re
import sys
import tomllib
from importlib.metadata import entry_points, metadata, packages_distributions, version
from pathlib import Path

import pytest

import dermaloop

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HEAVY = {"torch", "torchvision", "timm", "lightning", "scikit-learn", "scipy", "matplotlib", "onnx", "h5py", "pandas"}


def names(requirements: list[str]) -> set[str]:
    """Normalised distribution names of a list of requirements, our own extras followed."""
    found: set[str] = set()
    for requirement in requirements:
        ours = re.fullmatch(r"dermaloop\[([\w,-]+)\]", requirement)
        if ours:
            for extra in ours[1].split(","):
                found |= names(PROJECT["optional-dependencies"][extra])
        else:
            found.add(normal(re.match(r"[\w.-]+", requirement)[0]))
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


BASE = names(PROJECT["dependencies"])
EXTRAS = {extra: names(needed) for extra, needed in PROJECT["optional-dependencies"].items()}


def test_version_is_said_once():
    assert dermaloop.__version__ == PROJECT["version"] == version("dermaloop")
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == PROJECT["version"]


def test_licence_is_apache_and_travels_with_the_package():
    about = metadata("dermaloop")
    assert about["License-Expression"] == "Apache-2.0"
    assert set(about.get_all("License-File")) == {"LICENSE", "NOTICE"}
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:300]


def test_the_command_is_installed():
    (command,) = entry_points(group="console_scripts", name="dermaloop")
    assert command.load() is dermaloop.cli.main


def test_the_base_install_has_nothing_heavy():
    assert not BASE & HEAVY


def test_the_development_install_has_everything():
    assert EXTRAS["train"] >= EXTRAS["curate"] | EXTRAS["evaluate"]
    assert EXTRAS["dev"] > EXTRAS["train"]


def test_every_requirement_has_a_lowest_version():
    requirements = [
        *PROJECT["dependencies"],
        *(r for extra in PROJECT["optional-dependencies"].values() for r in extra),
    ]
    bare = [r for r in requirements if ">=" not in r and not r.startswith("dermaloop[")]
    assert not bare
    pinned = [r for r in requirements if "==" in r or "<" in r.replace("<=", "<")]
    assert not pinned, "a library that others install must not pin what they may use"


ALLOWED = {
    "core": BASE,
    "inference": BASE | EXTRAS["follow-up"],
    "monitoring": BASE | EXTRAS["watch"],
    "web": BASE,
    "wire": BASE,
    "client": BASE,
    "cli": BASE,
    "curation": BASE | EXTRAS["curate"],
    "cases": BASE | EXTRAS["department"],
    "evaluation": BASE | EXTRAS["evaluate"],
    "training": BASE | EXTRAS["train"],
    "pipeline": BASE | EXTRAS["train"],
    "refine": BASE | EXTRAS["train"],
}


LAYERS = sorted(path.parent for path in (ROOT / "src/dermaloop").glob("*/__init__.py"))
AROUND = [ROOT / name for name in ("tests", "tools", "benchmarks", "studies", "docs")]
OURS = {"dermaloop", "__future__", "support"} | {
    path.stem for name in ("tools", "benchmarks", "studies") for path in (ROOT / name).iterdir()
}


def undeclared(folder: Path, allowed: set[str]) -> dict[str, list[str]]:
    """Imports below a folder whose distribution is not among those allowed.

    Looked at deptry: it does not know which extra serves which layer, which is what matters here.
    """
    distributions = packages_distributions()
    found = {}
    for path in sorted(folder.rglob("*.py")):
        own = {other.stem for other in path.parent.glob("*.py")}
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            else:
                continue
            for top in {module.split(".")[0] for module in modules} - OURS - own - sys.stdlib_module_names:
                owners = {normal(name) for name in distributions.get(top, [top])}
                if not owners & allowed:
                    found[f"{path.relative_to(folder)}: {top}"] = sorted(owners)
    return found


@pytest.mark.parametrize("layer", LAYERS, ids=lambda path: path.name)
def test_a_layer_imports_only_what_its_install_declares(layer):
    assert undeclared(layer, ALLOWED[layer.name]) == {}


@pytest.mark.parametrize("folder", AROUND, ids=lambda path: path.name)
def test_what_stands_around_the_package_needs_the_development_install_only(folder):
    assert undeclared(folder, EXTRAS["dev"] | BASE) == {}


def test_an_undeclared_import_is_seen(tmp_path):
    (tmp_path / "planted.py").write_text("import json\n\ndef late():\n    from nowhere.at import all\n")
    assert undeclared(tmp_path, BASE) == {"planted.py: nowhere": ["nowhere"]}
