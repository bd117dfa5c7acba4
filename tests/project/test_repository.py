"""What may be in the repository and what may not: pictures, weights, large files, this or that machine's paths."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src/dermaloop").rglob("*.py"))
LONGEST_MODULE_LINES = 320
LARGEST_FILE_BYTES = 13_000_000  # the shipped bundle has at most about 12 MB

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".avif", ".dcm"}
WEIGHTS = {".pt", ".pth", ".ckpt", ".safetensors", ".h5", ".hdf5", ".npy", ".pkl", ".pickle", ".joblib"}

# Written in two pieces, so that this file does not hold what it forbids.
MACHINE_PATHS = re.compile(
    "|".join(("(?<![\\w.*{}~/])/" + "work/", "/opt/" + "dlvenv", "/opt/" + "pypi", "/opt/" + "wheels", "/ro" + "ot/"))
)
INDEX_HOSTS = re.compile(
    "|".join(("index" + "-url", "find" + "-links", "trusted" + "-host", "files.python" + "hosted.org"))
)


def tracked() -> list[Path]:
    """The files that git tracks."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout: what is tracked cannot be told")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def tracked_text() -> list[tuple[Path, str]]:
    """The tracked files that are text, with their content."""
    found = []
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content[:8192]:
            found.append((path, content.decode("utf-8")))
    assert len(found) > 20
    return found


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_picture_is_tracked_but_screenshots():
    pictures = [path for path in tracked() if path.suffix.lower() in PICTURES]
    stray = [named(path) for path in pictures if path.parent != ROOT / "docs/screenshots" or path.suffix != ".png"]
    assert not stray, "pictures of the data folder must never be committed; test pictures are drawn by the program"


def test_no_weights_are_tracked_but_the_shipped_bundle():
    stray = [named(path) for path in tracked() if path.suffix.lower() in WEIGHTS]
    models = [named(path) for path in tracked() if path.suffix in {".onnx", ".dermaloop", ".npz"}]
    stray += [name for name in models if not name.startswith("src/dermaloop/models/")]
    assert not stray


def test_no_tracked_file_is_large():
    large = {named(path): path.stat().st_size for path in tracked() if path.stat().st_size > LARGEST_FILE_BYTES}
    assert not large


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, INDEX_HOSTS], ids=["machine paths", "package index hosts"])
def test_no_file_names_one_machine(pattern):
    hits = [
        f"{named(path)}:{number}: {line.strip()[:120]}"
        for path, text in tracked_text()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not hits


def test_the_pattern_for_machine_paths_sees_what_it_should():
    assert MACHINE_PATHS.search("cd /" + "work/main")
    assert not MACHINE_PATHS.search("dermaloop curate report runs/work/manifest.parquet")


def test_only_the_shared_fixture_knows_where_real_images_may_lie():
    place = re.compile('["/]sha' + 'red["/]')
    hits = [named(path) for path, text in tracked_text() if place.search(text)]
    assert set(hits) == {"tests/conftest.py"}


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_every_module_says_what_it_owns(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, f"{named(path)} has no docstring"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_modules_stay_short(path):
    text = path.read_text()
    lines = len(text.splitlines())
    # A table of data may be as long as it is: only what someone must follow counts.
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            height = (node.end_lineno or node.lineno) - node.lineno
            functions = any(
                isinstance(part, ast.Lambda | ast.GeneratorExp | ast.ListComp) for part in ast.walk(node.value)
            )
            lines -= height if height > 10 and not functions else 0
    assert lines <= LONGEST_MODULE_LINES, f"{named(path)} has {lines} lines: split it by what it owns"


def test_scripts_take_onnx_runtime_from_the_package_which_switches_its_telemetry_off_first():
    """Whoever imported it before `inference.session` did would let it report its use to its maker."""
    folders = ("benchmarks/", "studies/", "tools/")
    scripts = [path for path in tracked() if path.suffix == ".py" and named(path).startswith(folders)]
    assert len(scripts) > 10
    loading = re.compile(r"^\s*(import|from) onnxruntime|import_module\(.onnxruntime", re.MULTILINE)
    assert [named(path) for path in scripts if loading.search(path.read_text())] == []


def test_the_tests_mirror_the_source():
    """A folder of tests for every package, and no two test files of one name (pytest imports them by name)."""
    packages = {
        path.parent.name for path in SOURCES if path.name == "__init__.py" and path.parent.parent.name == "dermaloop"
    }
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert packages <= folders
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))
