"""What every benchmark writes beside its figures: when, on what, with which versions, and how much else ran meanwhile.

A figure without these cannot be compared with another. Owns the file's form; refuses to know what was measured.
"""

from __future__ import annotations

import json
import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dermaloop.core.files import replacing
from dermaloop.inference.session import usable_cores

PACKAGES = ("dermaloop", "onnxruntime", "numpy", "pillow", "torch", "torchvision", "timm", "lightning", "grad-cam")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def processor() -> str:
    """The processor's name as the system gives it, and its kind where it gives none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> dict[str, str]:
    """Versions of what the figures depend on, of what is installed of it."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


class Run:
    """Begins with a benchmark and ends in its file.

    `others_share` in the file is the share of all cores that processes took which do not belong to the benchmark, from
    its begin to its end: the first thing to look at where two runs differ. NaN where the system does not tell.
    """

    def __init__(self) -> None:
        self._date = datetime.now(UTC)
        self._begun, self._others_s = time.perf_counter(), _others_s()

    def write(self, path: Path, figures: dict[str, Any]) -> None:
        """Writes the figures with what they were measured on; whole or not at all."""
        seconds = time.perf_counter() - self._begun
        others_s = _others_s()
        share = None
        if others_s is not None and self._others_s is not None:
            share = round(max(0.0, (others_s - self._others_s) / seconds / (os.cpu_count() or 1)), 3)
        about = {
            "date": self._date.date().isoformat(),
            "cores": usable_cores(),
            "processor": processor(),
            "system": f"{platform.system()} {platform.machine()}",
            "versions": versions(),
            "seconds": round(seconds, 1),
            "others_share": share,
        }
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"about": about, **figures}, indent=1) + "\n", encoding="utf-8")

    def __str__(self) -> str:
        """What is measured on, in a line."""
        told = ", ".join(f"{name} {number}" for name, number in versions().items())
        return f"{usable_cores()} cores, {processor()}; {told}"


def _others_s() -> float | None:
    """Processor seconds that others than this process and its ended children have used, the machine's host included."""
    try:
        user, nice, system, _, _, irq, softirq, steal = Path("/proc/stat").read_text().split()[1:9]
    except OSError:
        return None
    own = os.times()
    busy_s = sum(map(int, (user, nice, system, irq, softirq, steal))) / _TICKS_PER_S
    return busy_s - (own.user + own.system + own.children_user + own.children_system)
