"""Importing does nothing but define names, and the base install's parts import where nothing heavy is installed.

Each check runs in a process of its own, so that what this one has imported cannot hide anything.
"""

import json
import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

import dermaloop
from dermaloop.cli.app import COMMANDS

HEAVY = [
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "safetensors",
    "sklearn",
    "scipy",
    "matplotlib",
    "onnx",
    "onnxscript",
    "h5py",
]

BLOCK = """
import importlib, json, sys
heavy = set({heavy!r})
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in heavy:
            raise ModuleNotFoundError(f"No module named {{name!r}} (not in the base install)", name=name)
sys.meta_path.insert(0, Absent())
"""


def run(script: str, *, block: list[str] | None = None, **environment: str) -> str:
    blocked = HEAVY if block is None else block
    outcome = subprocess.run(
        [sys.executable, "-c", BLOCK.format(heavy=blocked) + script],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def modules_of(package: str) -> list[str]:
    found = import_module(package)
    return [package, *(info.name for info in pkgutil.walk_packages(found.__path__, package + "."))]


@pytest.mark.parametrize("layer", ["core", "inference", "web", "cli"])
def test_the_base_install_imports_without_anything_heavy(layer):
    names = modules_of(f"dermaloop.{layer}")
    done = run(f"for name in {names!r}: importlib.import_module(name)\nprint(len({names!r}))")
    assert int(done) == len(names) >= 1


def test_blocking_blocks():
    with pytest.raises(AssertionError, match="not in the base install"):
        run("import torch")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_without_anything_heavy(command):
    """`--help` is how one finds out that an extra is missing, so it must not need it."""
    script = f"sys.argv = ['dermaloop', {command!r}, '--help']\nfrom dermaloop.cli import main\nmain()"
    assert "--help" in run(script, TERM="dumb", COLUMNS="200")


def test_starting_the_command_line_loads_no_server_no_runtime_and_no_table_library():
    script = "import dermaloop.cli.app\nprint(json.dumps(sorted(name.split('.')[0] for name in sys.modules)))"
    loaded = set(json.loads(run(script)))
    assert not loaded & {"onnxruntime", "fastapi", "starlette", "uvicorn", "pyarrow", "numpy", "PIL", "jinja2"}


WATCH = """
import importlib, json, os, sys
for name in {libraries!r}:
    importlib.import_module(name)
seen = []
def watch(event, args):
    if event in ("socket.connect", "subprocess.Popen", "os.system"):
        seen.append(event)
    if event == "open" and set(args[1] or "") & set("wxa+"):
        seen.append("writes " + str(args[0]))
class Environment(dict):
    def __getitem__(self, key):
        if key.startswith("DERMALOOP"):
            seen.append("reads " + key)
        return super().__getitem__(key)
    def get(self, key, default=None):
        if key.startswith("DERMALOOP"):
            seen.append("reads " + key)
        return super().get(key, default)
sys.addaudithook(watch)
os.environ = Environment(os.environ)
for name in {names!r}:
    importlib.import_module(name)
print(json.dumps(sorted(set(seen))))
"""
LIBRARIES = [
    *("fastapi", "h5py", "jinja2", "matplotlib", "numpy", "onnx", "onnxruntime", "PIL.Image", "pillow_heif"),
    *("pyarrow.parquet", "pydantic_settings", "rich.progress", "scipy.stats", "sklearn.metrics", "typer", "uvicorn"),
]
TRAINING_LIBRARIES = ["torch", "torchvision", "timm", "lightning.pytorch"]


def side_effects(names: list[str], libraries: list[str]) -> list[str]:
    """What importing `names` did beyond defining names; what others' libraries do is done before watching."""
    done = run(WATCH.format(libraries=libraries, names=names), block=[])
    found: list[str] = json.loads(done)
    return found


@pytest.mark.parametrize("layer", ["training", "all others"])
def test_importing_reads_no_environment_opens_no_connection_and_writes_nothing(layer):
    names = [name for name in modules_of("dermaloop") if name != "dermaloop.__main__"]
    composing = ("dermaloop.training", "dermaloop.pipeline", "dermaloop.refine")
    chosen = [name for name in names if name.startswith(composing) == (layer == "training")]
    assert side_effects(chosen, TRAINING_LIBRARIES + LIBRARIES if layer == "training" else LIBRARIES) == []


def test_watching_sees(tmp_path):
    (tmp_path / "planted.py").write_text(
        f"import os, socket\nos.environ.get('DERMALOOP_X')\nopen({str(tmp_path / 'x')!r}, 'w').close()\n"
        "try:\n    socket.create_connection(('127.0.0.1', 9), 0.1)\nexcept OSError:\n    pass\n"
    )
    found = json.loads(run(WATCH.format(libraries=[], names=["planted"]), block=[], PYTHONPATH=str(tmp_path)))
    assert found == ["reads DERMALOOP_X", "socket.connect", f"writes {tmp_path / 'x'}"]


def test_the_package_names_its_version_and_nothing_else():
    public = [name for name in vars(dermaloop) if not name.startswith("_")]
    submodules = {info.name for info in pkgutil.iter_modules(dermaloop.__path__)}
    assert set(public) <= submodules
