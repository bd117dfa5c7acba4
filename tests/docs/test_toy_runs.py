"""The documentation's commands that need no download are run as written, in a folder of drawn lesions.

A block marked `<!-- runs: NAME -->` runs in the folder that `SETTINGS[NAME]` makes; every command must succeed. What a
reader sees there is thus what a reader gets.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dermaloop.core.synthetic import draw_lesion
from support.pages import Block, blocks, files
from support.toy import toy_bundle

RUNNABLE = [block for block in blocks() if block.setting]
BIN = Path(sys.executable).parent


def photos(folder: Path) -> None:
    """Three lesions and a bundle beside them."""
    (folder / "photos").mkdir()
    for seed in range(3):
        draw_lesion(seed, malignant=seed == 2).save(folder / f"photos/lesion_{seed}.jpg", quality=92)
    (folder / "photos/notes.txt").write_text("not a picture")
    toy_bundle(folder, packed=True)


def lesions(folder: Path) -> None:
    """A folder per class, as a clinic might keep its own pictures."""
    for name in ("melanoma", "naevus"):
        (folder / "lesions" / name).mkdir(parents=True)
        for seed in range(12):
            picture = draw_lesion(seed + 100 * (name == "melanoma"), size_px=300, malignant=name == "melanoma")
            picture.save(folder / "lesions" / name / f"{name}_{seed:02}.jpg", quality=92)
    toy_bundle(folder, packed=True)


SETTINGS: dict[str, Callable[[Path], None]] = {"photos": photos, "lesions": lesions}


def test_there_are_blocks_that_run():
    assert {block.setting for block in RUNNABLE} == set(SETTINGS)


@pytest.mark.slow
@pytest.mark.parametrize("block", RUNNABLE, ids=str)
def test_the_commands_run_as_written(block: Block, tmp_path):
    SETTINGS[block.setting](tmp_path)
    for name, content in files(block.page).items():
        (tmp_path / name).write_text(content)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DERMALOOP_")}
    for line in block.lines:
        # A reader's shell expands the wildcards and joins the pipes, so a shell runs the line.
        outcome = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env={**environment, "PATH": f"{BIN}{os.pathsep}{environment['PATH']}", "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert outcome.returncode == 0, f"$ {line}\n{outcome.stdout}\n{outcome.stderr}"
