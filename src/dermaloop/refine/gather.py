"""Confirmed cases become a manifest of their own, with their pictures, and a count of what was left out and why.

Owns the order of the rules over a picture and the folder that results: `manifest.parquet`, `images/`, `rows.json`
(which confirmation each row rests on), `feedback.json` and `feedback.html`. Refuses to train and to raise flags.
Pictures of patients who did not agree never leave the store.

A patient's split is drawn from a hash of the patient: it never moves, whoever joins, and no state is kept. The
trade-off: small clinics get splits that differ from the shares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dermaloop.cases.actor import Actor
from dermaloop.cases.feedback import FeedbackCase, FeedbackImage, read_feedback
from dermaloop.cases.flags import Flag
from dermaloop.cases.images import DamagedImageError, ImageStore, MissingImageError
from dermaloop.cases.records import ConfirmationEntry
from dermaloop.cases.store import Store
from dermaloop.cases.words import PictureType
from dermaloop.core.errors import OutputError
from dermaloop.core.files import replacing_folder
from dermaloop.core.manifest import SITES, ImageType, Manifest, ManifestRow, Split, from_rows
from dermaloop.core.quality import Limits, problems
from dermaloop.curation.examine import BLANK, Seen, look
from dermaloop.inference.classifier import Item, prepare
from dermaloop.refine import feedback_report
from dermaloop.refine.eligibility import judge_case, judge_image
from dermaloop.refine.known import Copies, Known, find_copies
from dermaloop.refine.plan import Feedback

MANIFEST, ROWS, TABLE, PAGE, PICTURES = "manifest.parquet", "rows.json", "feedback.json", "feedback.html", "images"
_ENDING = {b"\xff\xd8": "jpg", b"\x89P": "png", b"RI": "webp"}


@dataclass(frozen=True, slots=True)
class Quality:
    """What a picture must be like: a bundle's limits, and the side of the input that they were fitted at."""

    limits: Limits
    size_px: int


@dataclass(frozen=True, slots=True)
class Row:
    """One picture that was judged.

    Attributes:
        case: Its case.
        image: Itself.
        finding: What counts; None where nothing does.
        reason: The word of the rule that excludes it, one of `eligibility.RULES`; empty where none does.
    """

    case: FeedbackCase
    image: FeedbackImage
    finding: ConfirmationEntry | None
    reason: str

    @property
    def contributor(self) -> str:
        """Who wrote the finding down, as an id; empty without one."""
        return "" if self.finding is None else f"{self.finding.actor_kind}:{self.finding.actor_id}"


@dataclass(frozen=True, eq=False)
class Gathered:
    """Confirmed cases, judged.

    Attributes:
        rows: Every picture of every case, with what became of it.
        manifest: Those that may train, and those held back with the split `excluded`; pictures lie below its folder.
        kept: What each row of `manifest` rests on, as `rows.json` holds it.
        pairs: Pairs of manifest rows that show the same picture.
        summary: Counts, as `feedback.json` holds them.
    """

    rows: tuple[Row, ...]
    manifest: Manifest
    kept: tuple[dict[str, Any], ...]
    pairs: tuple[tuple[int, int], ...]
    summary: dict[str, Any]


def gather(
    store: Store,
    actor: Actor,
    out: Path,
    *,
    rules: Feedback,
    quality: Quality,
    known: Sequence[Known],
    purpose: str,
    stem: Mapping[str, Any] | None = None,
) -> Gathered:
    """Reads all cases, judges every picture, and writes the folder; it is whole when it is there.

    Args:
        store: Records and pictures.
        actor: Who.
        out: Folder to write; an export that is there already is replaced.
        rules: Of the plan.
        quality: What the bundle accepts.
        known: Pictures of test sets and of the original data.
        purpose: For the audit log.
        stem: More to say in `feedback.json`.

    Raises:
        OutputError: The folder cannot be written, or holds something else.
        StoreError: The records or the image store cannot be reached.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / TABLE).is_file())):
        raise OutputError("this holds something else than an export", where=str(out), way_out="Choose another folder.")
    with store.database.begin() as session:
        cases = read_feedback(session, actor, purpose)
    judged = [
        Row(case, image, finding, reason or judge_image(image))
        for case in cases
        for finding, reason in [judge_case(case, rules)]
        for image in case.images
    ]
    try:
        with replacing_folder(out) as folder:
            rows, manifest, kept, pairs = _collect(store.images, folder, judged, (rules, quality), known)
            final = Manifest(manifest.table, out.absolute())
            summary = {**(stem or {}), **feedback_report.summarise(cases, rows, final)}
            manifest.write(folder / MANIFEST)
            plain = tuple(_plain(row) for row in kept)
            feedback_report.write_json(folder / ROWS, {"rows": plain, "pairs": pairs})
            (folder / PAGE).write_text(feedback_report.page(summary), encoding="utf-8")
            feedback_report.write_json(folder / TABLE, summary)
    except OSError as error:
        raise OutputError(
            f"the export cannot be written ({error.strerror or error})", where=str(out), way_out="Choose another place."
        ) from error
    return Gathered(tuple(rows), final, plain, pairs, summary)


def _collect(
    images: ImageStore, folder: Path, judged: Sequence[Row], how: tuple[Feedback, Quality], known: Sequence[Known]
) -> tuple[list[Row], Manifest, list[Row], tuple[tuple[int, int], ...]]:
    """Writes the pictures that may leave the store, and judges them by what they show."""
    (folder / PICTURES).mkdir()
    rules, quality = how
    rows = list(judged)
    places: list[int] = []
    names: list[str] = []
    shown: list[Seen] = []
    for place, row in enumerate(rows):
        if row.reason:
            continue
        reason, name, seen = _fetch(images, folder, row.image, quality)
        if seen is None:
            rows[place] = replace(row, reason=reason)
            continue
        places.append(place)
        names.append(name)
        shown.append(seen)
    views = [seen.views for seen in shown if seen.views is not None]
    stacked = np.stack(views) if views else np.zeros((0, 2, 64, 64), dtype=np.uint8)
    hashes = [frozenset({rows[place].image.sha256, rows[place].image.received_sha256} - {""}) for place in places]
    copies = find_copies(known, hashes, stacked)
    for number, place in enumerate(places):
        rows[place] = replace(rows[place], reason=_among_others(number, places, rows, hashes, copies))
    stay = [n for n, place in enumerate(places) if rows[place].reason in ("", "held_back", "rejected")]
    for number in set(range(len(places))) - set(stay):
        if names[number] not in {names[n] for n in stay}:
            (folder / names[number]).unlink(missing_ok=True)
    kept = [rows[places[n]] for n in stay]
    manifest = from_rows(
        [_manifest_row(row, names[n], shown[n], rules) for row, n in zip(kept, stay, strict=True)], folder
    )
    index = {n: row for row, n in enumerate(stay)}
    pairs = tuple((index[a], index[b]) for a, b in copies.pairs if a in index and b in index)
    return rows, manifest, kept, pairs


def _fetch(images: ImageStore, folder: Path, image: FeedbackImage, quality: Quality) -> tuple[str, str, Seen | None]:
    """A picture from the store into the folder: why it may not train, its name, what it shows where it may."""
    try:
        content = images.read(image.sha256)
    except (MissingImageError, DamagedImageError):
        return "unavailable", "", None
    name = f"{PICTURES}/{image.sha256}.{_ENDING.get(content[:2], 'bin')}"
    (folder / name).write_bytes(content)
    seen = look(folder / name, 1.0)
    ready = prepare(Item(name, content), quality.size_px)
    reason = "poor_quality" if seen.reason == BLANK or problems(ready.quality or {}, quality.limits) else ""
    if ready.unreadable is not None or seen.views is None:
        reason = "unreadable"
    if reason:
        (folder / name).unlink()
        return reason, "", None
    return "", name, seen


def _among_others(
    number: int, places: Sequence[int], rows: Sequence[Row], hashes: Sequence[frozenset[str]], copies: Copies
) -> str:
    row = rows[places[number]]
    if number in copies.held_out:
        return "in_held_out"
    if number in copies.training:
        return "in_training"
    same = (n for n in range(number) if hashes[n] & hashes[number] and not rows[places[n]].reason)
    if any(rows[places[n]].case.lesion_id == row.case.lesion_id for n in same):
        return "twice"
    return held_back(row)


def held_back(row: Row) -> str:
    """Whether flags on the finding keep a picture from training: `rejected`, `held_back`, or empty."""
    return reason_of(
        flag for flag in row.case.flags if row.finding is not None and flag.confirmation_id == row.finding.id
    )


def reason_of(flags: Iterable[Flag]) -> str:
    """What the flags of one finding come to: `rejected`, `held_back`, or empty."""
    own = list(flags)
    if any(flag.rejected for flag in own):
        return "rejected"
    return "held_back" if any(flag.waits for flag in own) else ""


def split_of(patient_id: str, rules: Feedback) -> Split:
    """The split of a patient's new cases: drawn from the patient's id, so that it never moves."""
    drawn = int.from_bytes(hashlib.sha256(f"split:{patient_id}".encode()).digest()[:8]) / 2**64
    for split, share in (
        (Split.TRAIN, rules.train),
        (Split.VALIDATION, rules.validation),
        (Split.CALIBRATION, rules.calibration),
    ):
        if drawn < share:
            return split
        drawn -= share
    return Split.TEST if rules.test else Split.TRAIN


def _manifest_row(row: Row, name: str, seen: Seen, rules: Feedback) -> ManifestRow:
    case, finding, source = row.case, row.finding, rules.source
    assert finding is not None
    assert finding.diagnosis is not None
    dermoscopic = row.image.image_type is PictureType.DERMOSCOPIC
    age = None if case.birth_year is None else case.visited_on.year - case.birth_year
    measured: dict[str, Any] = {f"quality_{name}": value for name, value in (seen.quality or {}).items()}
    return ManifestRow(
        image_id=row.image.id,
        source=source,
        path=name,
        sha256=row.image.sha256,
        size_bytes=seen.size_bytes,
        width_px=seen.width_px,
        height_px=seen.height_px,
        lesion_id=f"{source}/{case.lesion_id}",
        patient_id=f"{source}/{case.patient_id}",
        diagnosis_term=finding.term or finding.diagnosis,
        diagnosis=finding.diagnosis,
        candidates=str(finding.diagnosis),
        confirmation=finding.confirmation,
        image_type=ImageType.DERMOSCOPIC if dermoscopic else ImageType.CLINICAL,
        age_years=None if age is None else float(min(120, max(0, age))),
        sex=case.sex,
        site=case.site if case.site in SITES else "",
        skin_type=case.skin_type,
        licence="the clinic's own; not to be passed on",
        group=f"{source}/{case.patient_id}",
        reject_reason=row.reason,
        split=Split.EXCLUDED if row.reason else split_of(case.patient_id, rules),
        **measured,
    )


def _plain(row: Row) -> dict[str, Any]:
    assert row.finding is not None
    return {
        "image_id": row.image.id,
        "case_id": row.case.case_id,
        "lesion_id": row.case.lesion_id,
        "patient_id": row.case.patient_id,
        "confirmation_id": row.finding.id,
        "contributor": row.contributor,
        "reason": row.reason,
    }
