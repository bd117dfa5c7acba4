"""The script behind `make run` and `make test`: what it says where Python is missing; that it installs only once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = ("dirname", "cat", "rm", "sh", "mkdir", "cp", "chmod")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the script is for a POSIX shell")

# Stands where the environment's python would: answers with the real one, notes what it is asked to install.
STAND_IN = f"""#!/bin/sh
if [ "$1" = "-m" ] && [ "$2" = "pip" ]; then
    echo "$@" >> "$PIP_LOG"
    exit "${{PIP_STATUS:-0}}"
fi
exec {sys.executable} "$@"
"""
WITHOUT_VENV = """#!/bin/sh
case "$*" in
*ensurepip* | "-m pip"*) exit 1 ;;
esac
exit 0
"""
TOO_OLD = "#!/bin/sh\nexit 1\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script, a pyproject.toml, and a search path that holds no Python."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/environment.sh", tmp_path / "tools")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (tmp_path / "bin").mkdir()
    for name in SYSTEM:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    return tmp_path


def program(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o755)


def call(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "tools/environment.sh", ".venv", *arguments],
        cwd=checkout,
        env={"PATH": str(checkout / "bin"), "PIP_LOG": str(checkout / "pip.log"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def installed(checkout: Path) -> list[str]:
    log = checkout / "pip.log"
    return log.read_text().splitlines() if log.exists() else []


def test_without_python_it_says_which_were_tried_and_what_to_do(checkout):
    outcome = call(checkout)
    assert outcome.returncode == 1
    assert "no Python 3.11 or newer was found" in outcome.stderr
    assert "make PYTHON=" in outcome.stderr


def test_a_python_that_is_too_old_counts_as_none(checkout):
    program(checkout / "bin/python3", TOO_OLD)
    assert "no Python 3.11 or newer was found" in call(checkout).stderr


def test_without_ensurepip_and_pip_it_names_the_package_to_install(checkout):
    program(checkout / "bin/python3", TOO_OLD)
    program(checkout / "bin/python3.12", WITHOUT_VENV)
    outcome = call(checkout)
    assert outcome.returncode == 1
    assert "python3.12 can make no virtual environment" in outcome.stderr
    assert "python3-venv" in outcome.stderr


def test_the_named_python_is_preferred(checkout):
    program(checkout / "bin/python3", TOO_OLD)
    program(checkout / "elsewhere/mine", WITHOUT_VENV)
    assert "elsewhere/mine can make no" in call(checkout, PYTHON=str(checkout / "elsewhere/mine")).stderr


def test_it_installs_once(checkout):
    program(checkout / ".venv/bin/python", STAND_IN)
    assert call(checkout).returncode == 0
    assert len(installed(checkout)) == 1
    assert installed(checkout)[0].endswith("--editable .")
    again = call(checkout)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert len(installed(checkout)) == 1


def test_a_touched_but_equal_project_file_installs_nothing(checkout):
    program(checkout / ".venv/bin/python", STAND_IN)
    call(checkout)
    (checkout / "pyproject.toml").touch()
    call(checkout)
    assert len(installed(checkout)) == 1


@pytest.mark.parametrize("change", ["pyproject.toml", "place", "extra"])
def test_it_installs_again_when_what_counts_has_changed(checkout, change):
    program(checkout / ".venv/bin/python", STAND_IN)
    call(checkout)
    arguments = []
    if change == "pyproject.toml":
        (checkout / "pyproject.toml").write_text("[project]\nname = 'y'\n")
    elif change == "place":
        # What is installed names the folder it was installed from, so a moved checkout is installed again.
        moved = checkout / "moved"
        moved.mkdir()
        for name in ("tools", "pyproject.toml", "bin", ".venv"):
            (checkout / name).rename(moved / name)
        checkout = moved
    else:
        arguments = ["dev"]
    before = len(installed(checkout))
    assert call(checkout, *arguments).returncode == 0
    assert len(installed(checkout)) == before + 1


def test_a_failed_installation_is_tried_again(checkout):
    program(checkout / ".venv/bin/python", STAND_IN)
    failed = call(checkout, PIP_STATUS="1")
    assert failed.returncode == 1
    assert "the installation into .venv failed" in failed.stderr
    assert not (checkout / ".venv/.stamp").exists()
    assert call(checkout).returncode == 0
    assert len(installed(checkout)) == 2


def make(*arguments: str) -> str:
    """What make prints, also where these tests run under a make of their own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    outcome = subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return outcome.stdout


def test_make_run_brings_what_follow_up_needs_beside_the_base_install_not_into_it():
    done = make("--dry-run", "run", "ARGS=--port 8001")
    assert "tools/environment.sh .venv-app follow-up" in done
    assert ".venv-app/bin/dermaloop serve --port 8001" in done
    assert "tools/environment.sh .venv\n" in make("--dry-run", "base").replace(" \n", "\n")


def test_only_what_holds_pytorch_is_announced_as_large(checkout):
    program(checkout / ".venv/bin/python", STAND_IN)
    small = call(checkout, "follow-up")
    assert installed(checkout)[0].endswith("--editable .[follow-up]")
    assert "PyTorch" not in small.stderr
    assert "PyTorch" in call(checkout, "dev").stderr


def test_make_lists_every_target_with_its_line():
    listed = {line.split()[1] for line in make("help").splitlines() if line.strip()}
    phony = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))
    assert listed == set(phony.removeprefix(".PHONY:").split())


def test_ci_and_the_hooks_run_the_same_targets():
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("exec make test")
    assert os.access(ROOT / ".ci/run", os.X_OK)
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert "entry: make check" in hooks
    assert "entry: make test" in hooks
    listed = make("--dry-run", "check")
    for tool in ("ruff check .", "ruff format --check .", "mypy", "lint-imports"):
        assert tool in listed
