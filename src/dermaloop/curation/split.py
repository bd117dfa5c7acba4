"""The split: which rows train, choose, calibrate and test.

Owns the assignment of whole groups (patient, else lesion, else image, joined by duplicates) to splits. What must hold:
a group never crosses; every source and diagnosis has its share everywhere; the same seed gives the same split; and
adding data never moves a row that has one. The price of the last: when new data reveals that two groups already on
different sides belong together, the rows on the weaker side are excluded instead of moved.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dermaloop.core.manifest import Manifest, Split
from dermaloop.curation.recipe import Ratios, Use
from dermaloop.curation.sets import Sets

_PRECEDENCE = (Split.TEST, Split.EXTERNAL, Split.CALIBRATION, Split.VALIDATION, Split.TRAIN)
"""Whose rows stay when one group lies on several sides: held-out rows are worth more than training rows."""
_ARCHIVE_ID = re.compile(r"ISIC_\d{7}(?=$|_downsampled$)")
CROSSES = "group_in_"
"""`reject_reason` of a row excluded because its group lies on another side: this and that side's name."""


def group(manifest: Manifest) -> Manifest:
    """Fills `group`: rows share one when they share patient, lesion, picture or duplicate group, also in a chain.

    The same picture is the same bytes, or the same id of the ISIC archive, which many data sets took pictures from.
    """
    sets = Sets()
    names = []
    links = [manifest.column(name) for name in ("patient_id", "lesion_id", "sha256", "duplicate_group")]
    for source, image_id, patient, lesion, sha256, duplicates in zip(
        manifest.column("source"), manifest.column("image_id"), *links, strict=True
    ):
        own = patient or lesion or f"{source}/{image_id}"
        names.append(own)
        sets.find(own)
        archive = _ARCHIVE_ID.match(image_id)
        isic_id = archive.group() if archive else ""
        for link, kind in ((lesion, "lesion"), (sha256, "sha256"), (duplicates, "duplicates"), (isic_id, "isic")):
            if link:
                sets.union(own, f"\U0010ffff{kind}:{link}")  # sorts last, so an id names the group
    return manifest.with_columns(group=[sets.find(name) for name in names])


@dataclass(slots=True)
class _Group:
    name: str
    rows: list[int]
    assigned: Split | None = None


def split(manifest: Manifest, ratios: Ratios, uses: Mapping[str, Use], *, seed: int) -> Manifest:
    """Assigns every row to a split. Rows that have one keep it; rows with a reject reason become `excluded`.

    Args:
        manifest: Rows with or without splits.
        ratios: Shares of images by split, within each stratum (source, diagnosis).
        uses: What each source may be used for; `split` where not named.
        seed: Changes the order in which groups are assigned.

    Returns:
        The manifest with `group`, `split` and, where a group crossed, `reject_reason` filled.
    """
    manifest = group(manifest)
    sources = manifest.column("source")
    reasons = list(manifest.column("reject_reason"))
    old = [Split(value) if value else None for value in manifest.column("split")]
    current: list[Split | None] = [
        Split.EXCLUDED if reason else (None if side is Split.EXCLUDED else side)
        for reason, side in zip(reasons, old, strict=True)
    ]
    use = [uses.get(name, "split") for name in sources]
    members: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(manifest.column("group")):
        if current[index] is not Split.EXCLUDED:
            members[name].append(index)
    labels = [f"{name}/{text or '?'}" for name, text in zip(sources, manifest.column("candidates"), strict=True)]
    filled: dict[str, Counter[Split]] = defaultdict(Counter)
    waiting: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
    common = Counter(labels)
    for name, rows in members.items():
        side = _side(rows, current, use)
        shared = [index for index in rows if use[index] == "split"]
        if side is not None:
            _settle(rows, side, current, use, reasons)
        if shared:
            stratum = min((labels[index] for index in shared), key=lambda label: (common[label], label))
            if side is None:
                waiting[stratum].append((name, rows))
            else:
                filled[stratum][side] += sum(current[index] is side for index in shared)
    for stratum, groups in waiting.items():
        _assign(groups, filled[stratum], ratios, seed, current, use, reasons)
    return manifest.with_columns(split=[str(value) for value in current], reject_reason=reasons)


def _side(rows: Sequence[int], current: Sequence[Split | None], use: Sequence[Use]) -> Split | None:
    """The side on which a group lies already or must lie; None where it is free."""
    present = {current[index] for index in rows}
    held = next((side for side in _PRECEDENCE if side in present), None)
    if held is not None:
        return held
    if any(use[index] == "external" for index in rows):
        return Split.EXTERNAL
    return Split.TRAIN if all(use[index] == "train" for index in rows) else None


def _settle(
    rows: Sequence[int], side: Split, current: list[Split | None], use: Sequence[Use], reasons: list[str]
) -> None:
    """Puts a group's rows on its side; rows that may not be there are excluded with the reason."""
    allowed = {"train": {Split.TRAIN}, "external": {Split.EXTERNAL}, "split": set(_PRECEDENCE) - {Split.EXTERNAL}}
    for index in rows:
        keeps = current[index] is side or (current[index] is None and side in allowed[use[index]])
        current[index] = side if keeps else Split.EXCLUDED
        if not keeps:
            reasons[index] = f"{CROSSES}{side}"


def _assign(  # noqa: PLR0917 - what it changes and what it decides by
    groups: list[tuple[str, list[int]]],
    filled: Counter[Split],
    ratios: Ratios,
    seed: int,
    current: list[Split | None],
    use: Sequence[Use],
    reasons: list[str],
) -> None:
    """Gives the groups of one stratum, in the order of their hashes, to the split that lacks most."""
    counts = {name: sum(use[index] == "split" for index in rows) for name, rows in groups}
    total = sum(counts.values()) + filled.total()
    shares = ratios.by_split()
    for name, rows in sorted(groups, key=lambda item: hashlib.sha256(f"{seed}\x1f{item[0]}".encode()).digest()):
        side = max(shares, key=lambda option: shares[option] * total - filled[option])
        filled[side] += counts[name]
        _settle(rows, side, current, use, reasons)
