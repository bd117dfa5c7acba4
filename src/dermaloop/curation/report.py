"""One self-contained HTML page on a manifest: what is in it, what is wrong with it, and what it looks like.

Owns the numbers and pictures of the page; the layout is `report.html.j2`. The page refers to nothing outside itself and
holds small copies of the pictures, so it is to be treated like them. The trade-off: bars and curves are plain HTML and
SVG, so that curating needs no plotting library.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from dermaloop import __version__
from dermaloop.core.errors import ImageError, OutputError
from dermaloop.core.files import replacing
from dermaloop.core.image import decode, read_bytes
from dermaloop.core.manifest import Manifest, Split
from dermaloop.core.manifest_rules import RULES, check
from dermaloop.core.preprocess import Preprocess, network_input
from dermaloop.core.quality import MEASURES
from dermaloop.core.taxonomy import ENTRIES, Diagnosis

FOOTER = "Decision support for research use. Not a medical device."
_THUMBNAIL_PX = 112
_MOST_GROUPS = 40
_EXAMPLES = 6
_EXTREMES = 6
_BINS = 40
_LEAKAGE = {
    "group": "group (patient, else lesion, with duplicates)",
    "patient_id": "patient",
    "lesion_id": "lesion",
    "duplicate_group": "near-duplicate group",
    "sha256": "identical file",
}
_FACTS = {
    "sex": "Sex",
    "site": "Body site",
    "skin_type": "Skin type (Fitzpatrick)",
    "confirmation": "Confirmation",
    "image_type": "Kind of picture",
}
_MEANING = {
    "blur": "0.3 is sharp, towards 1 blurred",
    "brightness": "mean brightness, 0 black to 1 white",
    "dark_share": "share of nearly black pixels",
    "bright_share": "share of blown-out pixels",
    "border_share": "share covered by a dark border",
    "hair_share": "share covered by thin dark lines",
    "ruler_share": "share covered by ruler marks",
    "ink_share": "share covered by pen ink",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: its name, its rows, and its length in percent of the longest."""

    name: str
    count: int
    percent: float


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One small picture and the words under it; `uri` is empty where the picture cannot be shown."""

    uri: str
    title: str
    words: str


def write_report(manifest: Manifest, out: Path) -> None:
    """Writes the page.

    Args:
        manifest: Rows; sections whose columns are empty say so.
        out: The HTML file.

    Raises:
        OutputError: It cannot be written; what was there before is untouched.
    """
    out = Path(out).absolute()
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report.html.j2").render(contents(manifest))
    try:
        with replacing(out) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"the report cannot be written ({error.strerror})",
            where=str(out),
            way_out="Choose another place with --out.",
        ) from error


def contents(manifest: Manifest) -> dict[str, Any]:
    """Everything that the page shows, by the name that the template uses."""
    violations = check(manifest, files=False)
    splits = manifest.column("split")
    return {
        "version": __version__,
        "identity": manifest.identity(),
        "rows": len(manifest),
        "used": sum(side not in (None, Split.EXCLUDED) for side in splits),
        "without_split": sum(side is None for side in splits),
        "lesions": len(set(filter(None, manifest.column("lesion_id")))),
        "patients": len(set(filter(None, manifest.column("patient_id")))),
        "sources": sorted(set(manifest.column("source"))),
        "leakage": leakage(manifest),
        "violations": [(violation.rule, violation.text, violation.way_out) for violation in violations],
        "rules": len(RULES),
        "diagnoses": _diagnoses(manifest),
        "splits": _splits(manifest),
        "facts": [(title, bars(manifest.column(name))) for name, title in _FACTS.items()],
        "ages": _ages(manifest),
        "rejected": bars(filter(None, manifest.column("reject_reason"))),
        "duplicates": _duplicates(manifest),
        "quality": _quality(manifest),
        "examples": _examples(manifest),
        "footer": FOOTER,
    }


def leakage(manifest: Manifest) -> list[tuple[str, int, int]]:
    """What could cross a split: (words, how many there are, how many lie on more than one side). The last must be 0."""
    splits = manifest.column("split")
    found = []
    for name, words in _LEAKAGE.items():
        sides: dict[str, set[str]] = defaultdict(set)
        for value, side in zip(manifest.column(name), splits, strict=True):
            if value and side and side != Split.EXCLUDED:
                sides[value].add(side)
        found.append((words, len(sides), sum(len(present) > 1 for present in sides.values())))
    return found


def bars(values: Iterable[Any]) -> list[Bar]:
    """Counts of values, most first, unknown last."""
    counts = Counter("unknown" if value in (None, "") else str(value) for value in values)
    longest = max(counts.values(), default=1)
    order = sorted(counts.items(), key=lambda item: (item[0] == "unknown", -item[1], item[0]))
    return [Bar(name, count, 100 * count / longest) for name, count in order]


def _ages(manifest: Manifest) -> list[Bar]:
    """Counts by ten years of age, youngest first."""
    ages = manifest.column("age_years")
    counts = Counter(
        "unknown" if age is None else f"{int(age // 10) * 10:d} to {int(age // 10) * 10 + 9:d}" for age in ages
    )
    longest = max(counts.values(), default=1)
    order = sorted(counts.items(), key=lambda item: (item[0] == "unknown", len(item[0]), item[0]))
    return [Bar(name, count, 100 * count / longest) for name, count in order]


def _diagnoses(manifest: Manifest) -> dict[str, Any]:
    """Counts by label and source."""
    sources = sorted(set(manifest.column("source")))
    counts = Counter(zip(manifest.column("candidates"), manifest.column("source"), strict=True))
    order = [*Diagnosis, *sorted({label for label, _ in counts if label and label not in set(Diagnosis)}), ""]
    most = max(counts.values(), default=1)
    lines = []
    for label in order:
        cells = [(counts[label, name], round(100 * (counts[label, name] / most) ** 0.5)) for name in sources]
        total = sum(count for count, _ in cells)
        if total:
            lines.append((label or "unmapped", _meaning(label), cells, total))
    totals = [sum(counts[label, name] for label in order) for name in sources]
    return {"sources": sources, "lines": lines, "totals": totals}


def _meaning(label: str) -> str:
    if not label:
        return "none of the eight diagnoses, or unknown"
    return " or ".join(ENTRIES[Diagnosis(code)].name for code in label.split("|"))


def _splits(manifest: Manifest) -> dict[str, Any]:
    """Images, lesions or groups, and malignant images by split."""
    sides = [*Split, None]
    column, groups, malignant = manifest.column("split"), manifest.groups(), manifest.malignant()
    lines = []
    for side in sides:
        rows = [index for index, value in enumerate(column) if value == side]
        if rows:
            known = [malignant[index] for index in rows if malignant[index] is not None]
            by_source = Counter(manifest.table.column("source")[index].as_py() for index in rows)
            share = 100 * sum(map(bool, known)) / len(known) if known else None
            lines.append((str(side or "none yet"), len(rows), len({groups[index] for index in rows}), share, by_source))
    return {"lines": lines, "total": len(manifest)}


def _duplicates(manifest: Manifest) -> dict[str, Any]:
    """Duplicate groups: how many, of what kind, and the most telling ones as pictures."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(manifest.column("duplicate_group")):
        if name:
            members[name].append(index)
    lesions, sources, labels = (manifest.column(name) for name in ("lesion_id", "source", "candidates"))
    kinds: Counter[str] = Counter()
    shown = []
    for name, rows in members.items():
        crosses = len({sources[index] for index in rows}) > 1
        known = len({lesions[index] for index in rows}) == 1 and lesions[rows[0]]
        differ = len({labels[index] for index in rows}) > 1
        kind = "across sources" if crosses else ("of one known lesion" if known else "across lesions of a source")
        kinds[kind] += 1
        shown.append((not differ, not crosses, bool(known), name, rows, kind, differ))
    shown.sort(key=lambda item: item[:4])
    return {
        "groups": len(members),
        "rows": sum(map(len, members.values())),
        "kinds": sorted(kinds.items()),
        "shown": [
            (kind, differ, [_thumbnail(manifest, index) for index in rows[:8]], len(rows))
            for *_, rows, kind, differ in shown[:_MOST_GROUPS]
        ],
        "more": max(0, len(members) - _MOST_GROUPS),
    }


def _quality(manifest: Manifest) -> list[dict[str, Any]]:
    """Per measure: its distribution by source as SVG paths, and the pictures at its upper end."""
    sources = manifest.column("source")
    names = sorted(set(sources))
    found = []
    for measure in MEASURES:
        values = np.array([np.nan if v is None else v for v in manifest.column(f"quality_{measure}")], float)
        measured = np.isfinite(values)
        if not measured.any():
            continue
        low, high = (float(value) for value in np.nanpercentile(values, [0, 99.5]))
        high = max(high, low + 1e-6)
        curves = []
        for name in names:
            mine = values[measured & np.array([source == name for source in sources])]
            counts = np.histogram(np.clip(mine, low, high), _BINS, (low, high))[0]
            curves.append(_path(counts / counts.max()) if len(mine) else "")
        worst = np.argsort(np.where(measured, -values, np.inf), kind="stable")[: min(_EXTREMES, int(measured.sum()))]
        found.append(
            {
                "name": measure,
                "meaning": _MEANING.get(measure, ""),
                "low": low,
                "high": high,
                "median": float(np.nanmedian(values)),
                "curves": curves,
                "worst": [_thumbnail(manifest, int(index), f"{values[index]:.2f}") for index in worst],
            }
        )
    return found


def _path(heights: Sequence[float] | np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """An SVG path of a step curve in a box 240 wide and 60 high."""
    width = 240 / len(heights)
    steps = "".join(f"V{60 - 56 * height:.1f}H{(index + 1) * width:.1f}" for index, height in enumerate(heights))
    return f"M0,60{steps}V60"


def _examples(manifest: Manifest) -> list[tuple[str, str, list[Thumbnail]]]:
    """For each source and label a few pictures, chosen by hash so that a report is the same twice."""
    rows: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    columns = [manifest.column(name) for name in ("source", "candidates", "image_id", "reject_reason")]
    for index, (source, label, image_id, reason) in enumerate(zip(*columns, strict=True)):
        if not reason:
            rows[source, label].append((hashlib.sha256(image_id.encode()).hexdigest(), index))
    return [
        (source, label or "unmapped", [_thumbnail(manifest, index) for _, index in sorted(found)[:_EXAMPLES]])
        for (source, label), found in sorted(rows.items())
    ]


def _thumbnail(manifest: Manifest, index: int, words: str = "") -> Thumbnail:
    source, image_id, label, aspect = (
        manifest.table.column(name)[index].as_py() for name in ("source", "image_id", "candidates", "pixel_aspect")
    )
    path = manifest.image_path(index)
    try:
        picture = decode(read_bytes(path), name=str(path), least_side_px=_THUMBNAIL_PX).image
    except ImageError as error:
        return Thumbnail("", f"{source}/{image_id}: {error}", error.reason)
    square = Image.fromarray(network_input(picture, Preprocess(_THUMBNAIL_PX), pixel_aspect=aspect))
    stream = io.BytesIO()
    square.save(stream, "JPEG", quality=78)
    uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
    return Thumbnail(uri, f"{source}/{image_id}", words or label or "unmapped")
