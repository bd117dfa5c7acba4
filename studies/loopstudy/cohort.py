"""Who is in which part of the study: the first champion's data, the frozen set, the months, another source.

Owns the division, by lesion and near-duplicate, drawn from a seed. Only pictures that the shipped dataset trains or
validates on take part: the test split of the shipped model stays unopened.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dermaloop.core import manifest as manifests
from dermaloop.core.files import replacing
from dermaloop.core.manifest import Manifest, Split
from dermaloop.core.taxonomy import Diagnosis
from loopstudy.size import Size

HOME, AWAY = "ham10000", "isic2017"
RARE = (Diagnosis.DF, Diagnosis.VASC)
_OWN_SPLITS = (Split.TRAIN,) * 7 + (Split.CALIBRATION,) * 2 + (Split.VALIDATION,)
"""What becomes of the first champion's data, dealt in this order within each diagnosis."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """The parts, each a manifest.

    Attributes:
        base: The first champion's, with its splits.
        frozen: Never trained on.
        months: The clinic's own cases by month.
        foreign: The other source's cases of the last month.
        foreign_test: The other source's pictures that are never trained on.
    """

    base: Manifest
    frozen: Manifest
    months: tuple[Manifest, ...]
    foreign: Manifest
    foreign_test: Manifest


def divide(curated: Manifest, size: Size, folder: Path) -> Cohort:
    """Divides the curated dataset, or reads the division that is there.

    Args:
        curated: Of `dermaloop curate build recipes/curation.toml`.
        size: Of the study.
        folder: Where the parts are kept.
    """
    names = ["base", "frozen", *(f"month-{number}" for number in range(1, size.last + 1)), "foreign", "foreign-test"]
    done = folder / "counts.json"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        parts = _parts(curated, size)
        for name in names:
            parts[name].moved(folder).write(folder / f"{name}.parquet")
        with replacing(done) as temporary:
            temporary.write_text(json.dumps({name: count(parts[name]) for name in names}, indent=1), encoding="utf-8")
    base, frozen, *months, foreign, foreign_test = (manifests.read(folder / f"{name}.parquet") for name in names)
    return Cohort(base, frozen, tuple(months), foreign, foreign_test)


def count(part: Manifest) -> dict[str, int]:
    """Pictures, lesions and pictures by diagnosis."""
    by_diagnosis = {str(code): part.column("diagnosis").count(code) for code in Diagnosis}
    return {"pictures": len(part), "lesions": len(set(part.groups())), **by_diagnosis}


def _parts(curated: Manifest, size: Size) -> dict[str, Manifest]:
    rng = np.random.default_rng(size.seed)
    rows = curated.where(source=HOME, split=[Split.TRAIN, Split.VALIDATION])
    place: dict[str, str] = {}
    own: dict[str, Split] = {}
    weights = [1.0] * (size.last - 1) + [size.last_month]
    for code, groups in _shuffled(rows, rng).items():
        rare = code in RARE
        kept = groups[: round(len(groups) * (size.nevi if code == Diagnosis.NV else 1.0))]
        kept = kept[: size.most_lesions or None]
        frozen = round(len(kept) * size.frozen[rare])
        base = frozen + max(2, round((len(kept) - frozen) * size.base[rare]))
        place |= dict.fromkeys(kept[:frozen], "frozen") | dict.fromkeys(kept[frozen:base], "base")
        for number, group in enumerate(kept[frozen:base]):
            own[group] = _OWN_SPLITS[number % len(_OWN_SPLITS)] if base - frozen > len(_OWN_SPLITS) else _few(number)
        rest = kept[base:]
        ends = np.floor(np.cumsum(weights) / sum(weights) * len(rest) + rng.random()).astype(int).clip(0, len(rest))
        for month, (first, end) in enumerate(zip([0, *ends[:-1]], [*ends[:-1], len(rest)], strict=True), start=1):
            place |= dict.fromkeys(rest[first:end], f"month-{month}")
    groups = rows.groups()
    base_rows = rows.select([place.get(group) == "base" for group in groups])
    frozen_rows = rows.select([place.get(group) == "frozen" for group in groups])
    found = {
        "base": base_rows.with_columns(split=[str(own[group]) for group in base_rows.groups()]),
        "frozen": _held_out(frozen_rows),
    }
    for month in range(1, size.last + 1):
        found[f"month-{month}"] = rows.select([place.get(group) == f"month-{month}" for group in groups])
    return found | _foreign(curated, size, rng)


def _few(number: int) -> Split:
    """With few lesions of a diagnosis: the first trains, the second calibrates, and so on."""
    return (Split.TRAIN, Split.CALIBRATION, Split.TRAIN, Split.TRAIN, Split.VALIDATION)[number % 5]


def _shuffled(rows: Manifest, rng: np.random.Generator) -> dict[Diagnosis, list[str]]:
    """The lesions of each diagnosis, in a drawn order; a lesion has the diagnosis of its first picture."""
    by_diagnosis: dict[Diagnosis, list[str]] = defaultdict(list)
    seen = set()
    for group, code in sorted(zip(rows.groups(), rows.column("diagnosis"), strict=True)):
        if group not in seen:
            seen.add(group)
            by_diagnosis[code].append(group)
    return {code: [groups[k] for k in rng.permutation(len(groups))] for code, groups in sorted(by_diagnosis.items())}


def _foreign(curated: Manifest, size: Size, rng: np.random.Generator) -> dict[str, Manifest]:
    rows = curated.where(source=AWAY, split=[Split.TRAIN, Split.VALIDATION])
    order = rng.permutation(sorted(set(rows.groups())))
    chosen = (order[: size.foreign_test], order[size.foreign_test : size.foreign_test + size.foreign])
    test, month = (rows.select(_among(rows.groups(), part)) for part in chosen)
    return {"foreign": month, "foreign-test": _held_out(test)}


def _among(groups: Iterable[str], chosen: Iterable[str]) -> list[bool]:
    wanted = set(chosen)
    return [group in wanted for group in groups]


def _held_out(part: Manifest) -> Manifest:
    return part.with_columns(split=[str(Split.TEST)] * len(part))
