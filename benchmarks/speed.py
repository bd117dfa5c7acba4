"""Runs the benchmarks of speed one after the other and writes a file of figures for each.

    python benchmarks/speed.py --pictures DATA_FOLDER/ham10000
    python benchmarks/speed.py --only server --out /tmp/figures

The tables of the documentation are made from the files in benchmarks/results, so a run without `--out`, followed by
`make docs`, brings them up to date. On two cores all take about twenty minutes; nothing else should run
meanwhile, and each file says how much did. Refuses to measure anything itself: each benchmark is a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
NAMES = (
    "classify_one", "classify_folder", "training", "server", "server_processes", "server_originals", "server_phone",
)  # fmt: skip
_FEW = ["--levels", "1,2,4,8"]
_SERVERS: dict[str, tuple[float, list[str]]] = {
    "server": (1.0, []),
    "server_processes": (0.5, ["--processes", str(os.cpu_count() or 1)]),
    # Fewer requests, so none are sent beyond the places: the last that were refused would wait with nobody beside them.
    "server_originals": (0.25, _FEW),  # dermoscopy as HAM10000 was published, 600x450
    "server_phone": (0.05, [*_FEW, "--size", "4000x3000", "--count", "8"]),  # 12 megapixels
}
"""The server's runs: the share of the requests that each is asked, and what is otherwise than by itself."""


def command(name: str, out: Path, pictures: Path | None, requests: int) -> list[str]:
    """The command of one benchmark."""
    options = ["--json", str(out / f"{name}.json")]
    if name in _SERVERS:
        share, more = _SERVERS[name]
        asked = round(requests * share)
        options += ["--requests", str(asked), "--alone", str(max(8, min(600, asked // 40))), *more]
    if pictures is not None:
        options += {
            "classify_one": [],
            "classify_folder": ["--images", str(pictures)],
            "training": [],  # what the plain loop has to decode in earnest are originals, which drawn ones stand for
            "server": ["--pictures", str(pictures)],
            "server_processes": ["--pictures", str(pictures)],
            "server_originals": [],
            "server_phone": [],
        }[name]
    return [sys.executable, str(HERE / f"{'server' if name in _SERVERS else name}.py"), *options]


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
