"""The documentation's tables of speed, made from the files that the benchmarks left in benchmarks/results.

Owns which figures are shown, and that a figure never stands without what it was measured on. Refuses to measure and to
judge: a figure that falls short of what was hoped for is written like any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks/results"
_NAMES = {"plain": "a DataLoader and eager PyTorch", "ours": "`dermaloop classify`"}


def _read(name: str, folder: Path) -> dict[str, Any] | None:
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _unmeasured(name: str) -> str:
    return f"Not measured on this version. To measure it: `python benchmarks/speed.py --only {name}`."


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _ratio(found: dict[str, float]) -> str:
    return f"{found['middle']:.2f} ({found['least']:.2f} to {found['greatest']:.2f})"


def _about(found: dict[str, Any], *packages: str) -> str:
    """When, on what, with which versions, and how much else ran."""
    about = found["about"]
    versions = about["versions"]
    told = ", ".join(f"{name} {versions[name]}" for name in ("dermaloop", *packages) if name in versions)
    others = about["others_share"]
    beside = "" if others is None else f"; other processes took {others:.0%} of the cores meanwhile"
    return f"Measured on {about['date']} on {about['cores']} cores of {about['processor']} ({told}){beside}."


def classify_one(folder: Path = RESULTS) -> str:
    """One picture: a row per size and number of threads."""
    found = _read("classify_one", folder)
    if found is None:
        return _unmeasured("classify_one")
    rows = [
        (
            f"{row['width_px']}x{row['height_px']}, {row['bytes'] / 1e6:.1f} MB",
            str(row["threads"]),
            f"{row['plain_ms']:.1f}",
            f"{row['ours_ms']:.1f}",
            _ratio(row["ratio"]),
        )
        for row in found["rows"]
    ]
    header = ("Picture", "Threads", "Plain, ms", "dermaloop, ms", "Times as fast (least to most)")
    about = _about(found, "onnxruntime", "torch", "grad-cam")
    return f"{_table(header, rows)}\n\n{about} {found['rounds']} rounds of each in turn, {found['repeats']} repeats."


def classify_folder(folder: Path = RESULTS) -> str:
    """A folder: a row per way of going through it, and the ratios."""
    found = _read("classify_folder", folder)
    if found is None:
        return _unmeasured("classify_folder")
    rows = []
    for one in found["folders"]:
        for key, per_s in one["per_s"].items():
            share = {"plain": one["over_plain"], "ours": None}.get(key, one["over_alone"].get(key))
            name = _NAMES.get(key, f"the graph alone: {key}")
            rows.append((one["pictures"], name, f"{per_s:.1f}", "" if share is None else _ratio(share)))
    header = ("Pictures", "Way", "Pictures/s", "dermaloop over it (least to most)")
    first = found["folders"][0]
    return (
        f"{_table(header, rows)}\n\n{_about(found, 'onnxruntime', 'torch', 'pillow')} "
        f"{first['rounds']} rounds of {first['pictures_a_round']} pictures of each way in turn."
    )


def training(folder: Path = RESULTS) -> str:
    """Training: both loops, the ratio, and where the time of a step goes."""
    found = _read("training", folder)
    if found is None:
        return _unmeasured("training")
    shares = found["shares"]
    waited = found["plain_fetch_share"]
    parts = {
        "plain": (f"{waited:.1%}", "in the loader's processes", f"{1 - waited:.1%}"),
        "ours": (f"{shares['fetch']:.1%}", f"{shares['change']:.1%}", f"{shares['step']:.1%}"),
    }
    rows = [
        (name, _spread(found[key]), *parts[key])
        for key, name in (("plain", "plain loop"), ("ours", "`dermaloop train`"))
    ]
    header = ("Loop", "Pictures/s", "Waiting for pictures", "Changing them", "The step itself")
    return (
        f"{_table(header, rows)}\n\n**{_spread(found['ratio'])} times as fast** as the plain loop "
        f"({found['network']}, {found['size_px']} px, batches of {found['batch']}, {found['pictures']}; ours in "
        f"{found['precision']}). {_about(found, 'torch', 'torchvision', 'lightning', 'timm')} Median of "
        f"{found['rounds']} rounds of {found['steps']} steps, in turn, with the least and the most."
    )


def _spread(values: list[float]) -> str:
    ordered = sorted(values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return f"{middle:.2f} ({ordered[0]:.2f} to {ordered[-1]:.2f})"


_OTHERS = ("classify_one", "classify_folder", "training")
SERVERS = {
    "server": "Small pictures, as it comes",
    "server_processes": "Small pictures, a process for each core (`DERMALOOP_PROCESSES`)",
    "server_originals": "Dermoscopy as it is published, as it comes",
    "server_phone": "Photographs of a phone, as it comes",
}


def server(folder: Path = RESULTS) -> str:
    """The server: for each size of pictures a row per number of requests in flight, and its memory."""
    return "\n\n".join(f"**{title}**\n\n{_server(name, folder)}" for name, title in SERVERS.items())


def _server(name: str, folder: Path) -> str:
    found = _read(name, folder)
    if found is None:
        return _unmeasured(name)
    rows = [
        (
            str(level["in_flight"]),
            f"{level['per_s']:.1f}",
            _with_single(level, "alone_per_s", "single_per_s", 1),
            _with_single(level, "share", "single_share", 2),
            *(f"{level[name]:.0f}" for name in ("p50_ms", "p99_ms", "worst_ms")),
            f"{level['answered']:,}",
            f"{level['refused']:,}",
            *(f"{level[name]:.1f}" for name in ("server_cpu_ms", "alone_cpu_ms", "generator_cpu_ms")),
            f"{level['rss_mb']:.0f}",
        )
        for level in found["levels"]
    ]
    header = (
        "In flight",
        "Answered/s",
        "Alone/s",
        "Share",
        "p50, ms",
        "p99, ms",
        "Longest, ms",
        "Answered",
        "Refused",
        "CPU ms: server",
        "alone",
        "generator",
        "Memory, MB",
    )
    memory = found["memory_mb"]
    return (
        f"{_table(header, rows)}\n\n{_about(found, 'onnxruntime')} Bundle `{found['bundle']}`, {found['pictures']}, "
        f"{found['bytes'] / 1000:.0f} kB on average. Memory over {found['requests']:,} answered requests: "
        f"{memory['early']:.0f} MB early, {memory['late']:.0f} MB at the end, {memory['most']:.0f} MB at most."
    )


def _with_single(level: dict[str, Any], name: str, single: str, digits: int) -> str:
    value = f"{level[name]:.{digits}f}"
    return value if level[single] is None else f"{value} ({level[single]:.{digits}f})"


def summary(folder: Path = RESULTS) -> str:
    """The README's lines: the ratios, as a range over what was measured; only what was."""
    lines = []
    if (one := _read("classify_one", folder)) is not None:
        ratios = [row["ratio"]["middle"] for row in one["rows"]]
        lines.append(
            f"- one picture, bytes to decision with heatmap: {_range(ratios)} times as fast as Pillow, torchvision, "
            "eager PyTorch and Grad-CAM;"
        )
    if (many := _read("classify_folder", folder)) is not None:
        over = [part["over_plain"]["middle"] for part in many["folders"]]
        # The strictest reading: the quickest way that was found to run the graph alone.
        share = [min(found["middle"] for found in part["over_alone"].values()) for part in many["folders"]]
        lines.append(
            f"- a folder: {_range(over)} times as fast as a DataLoader with eager PyTorch, {_range(share)} of the "
            "graph alone;"
        )
    if (trained := _read("training", folder)) is not None:
        lines.append(
            f"- training: {_spread(trained['ratio'])} times as fast as a plain loop, "
            f"{trained['shares']['fetch']:.1%} of the time spent waiting for pictures;"
        )
    for name in SERVERS:
        if (served := _read(name, folder)) is not None:
            levels = served["levels"]
            beside = ", a process for each core" if served.get("processes") else ""
            shares = _range([level["share"] for level in levels])
            lines.append(
                f"- the server{beside}, {served['pictures'].rpartition(' ')[2]}: {shares} of the classifier alone with "
                f"{levels[0]['in_flight']} to {levels[-1]['in_flight']} requests in flight, 99 % of the answers within "
                f"{max(level['p99_ms'] for level in levels):.0f} ms;"
            )
    if not lines:
        return "Not measured on this version."
    about = next(found["about"] for name in (*_OTHERS, *SERVERS) if (found := _read(name, folder)) is not None)
    return (
        f"On {about['cores']} cores of {about['processor']}, each beside what it is compared with, in one run:\n\n"
        + "\n".join(lines).removesuffix(";")
        + "."
    )


def _range(values: list[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"
