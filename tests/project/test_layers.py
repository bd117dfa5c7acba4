"""The rules between layers hold, and each of them is seen to bite when a copy of the package breaks it."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]

# Contract, the file that breaks it, and the line that does.
VIOLATIONS = [
    ("Layers:", "core/planted.py", "import dermaloop.inference"),
    ("Layers:", "evaluation/planted.py", "import dermaloop.inference"),
    ("Layers:", "inference/planted.py", "def late():\n    from dermaloop import pipeline"),
    ("Layers:", "client/planted.py", "import dermaloop.cases"),
    ("Layers:", "newcomer/__init__.py", ""),
    ("httpx stays", "web/planted.py", "import httpx"),
    ("torch, timm and lightning stay", "inference/planted.py", "def late():\n    import torch"),
    ("torch, timm and lightning:", "cli/planted.py", "import timm"),
    ("The base install:", "inference/planted.py", "import scipy"),
    ("onnxruntime stays", "training/planted.py", "import onnxruntime"),
    ("onnxruntime:", "web/planted.py", "import onnxruntime"),
    ("fastapi, starlette and uvicorn stay", "pipeline/planted.py", "import starlette"),
    ("fastapi and starlette:", "cli/planted.py", "import starlette"),
    ("typer stays", "curation/planted.py", "import typer"),
    ("cv2 stays", "web/planted.py", "import cv2"),
    ("h5py stays", "evaluation/planted.py", "import h5py"),
    ("sqlalchemy, alembic and fsspec stay", "web/planted.py", "import sqlalchemy"),
    ("pillow_heif stays", "inference/planted.py", "import pillow_heif"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the contracts of `folder`/pyproject.toml on `folder`/src."""
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(
        ROOT / "src/dermaloop",
        tmp_path / "src/dermaloop",
        ignore=shutil.ignore_patterns("__pycache__", "models", "static"),
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_package_keeps_its_contracts():
    outcome = lint(ROOT)
    assert outcome.returncode == 0, outcome.stdout
    assert f"{len(CONTRACTS)} kept, 0 broken" in outcome.stdout


def test_every_contract_has_a_planted_violation():
    unproven = [name for name in CONTRACTS if not any(name.startswith(start) for start, _, _ in VIOLATIONS)]
    assert not unproven


@pytest.mark.parametrize(("contract", "file", "line"), VIOLATIONS)
def test_a_planted_violation_is_seen(copy, contract, file, line):
    planted = copy / "src/dermaloop" / file
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(line + "\n")
    outcome = lint(copy)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    broken = [text for text in outcome.stdout.splitlines() if text.endswith("BROKEN")]
    assert any(text.startswith(contract) for text in broken), outcome.stdout
