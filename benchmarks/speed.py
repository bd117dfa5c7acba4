"""Runs the four benchmarks of speed one after the other and writes a file of figures for each.

    python benchmarks/speed.py --pictures DATA_FOLDER/ham10000
    python benchmarks/speed.py --only server --out /tmp/figures

The tables of the documentation are made from the files in benchmarks/results, so a run without `--out`, followed by
`make docs`, brings them up to date. On two cores all four take about a quarter of an hour; nothing else should run
meanwhile, and each file says how much did. Refuses to measure anything itself: each benchmark is a process of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
NAMES = ("classify_one", "classify_folder", "training", "server")


def command(name: str, out: Path, pictures: Path | None, requests: int) -> list[str]:
    """The command of one benchmark."""
    options = ["--json", str(out / f"{name}.json")]
    if name == "server":
        options += ["--requests", str(requests), "--alone", str(max(8, min(600, requests // 40)))]
    if pictures is not None:
        options += {
            "classify_one": [],
            "classify_folder": ["--images", str(pictures)],
            "training": [],  # what the plain loop has to decode in earnest are originals, which drawn ones stand for
            "server": ["--pictures", str(pictures)],
        }[name]
    return [sys.executable, str(HERE / f"{name}.py"), *options]


def main() -> None:
    """Runs what was asked for; ends with status 1 where a benchmark failed, after trying the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the files; default benchmarks/results")
    parser.add_argument("--pictures", type=Path, help="folder of photographs; without it, drawn ones")
    parser.add_argument("--requests", type=int, default=24_000, help="that the server answers")
    parser.add_argument("--only", choices=NAMES, action="append", help="may be repeated; default all")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in given.only or NAMES:
        print(f"== {name}", flush=True)
        begun = time.perf_counter()
        ran = subprocess.run(command(name, given.out, given.pictures, given.requests), check=False)
        print(f"== {name}: {time.perf_counter() - begun:.0f} s, status {ran.returncode}", flush=True)
        failed += [name] if ran.returncode else []
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
