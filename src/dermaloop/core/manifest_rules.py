"""The rules that hold across a manifest's rows, each a named error with an example.

Owns the registry `RULES` and the one function that checks them all, in time linear in the rows. Refuses to repair:
every violation names its rows, says what is wrong and how to resolve it. Rows of the split `excluded` may break rules
about labels and splits, because excluding a row is how such a conflict is resolved.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dermaloop.core.errors import ManifestError, UnknownDiagnosisError
from dermaloop.core.manifest import Manifest, Split
from dermaloop.core.taxonomy import Diagnosis, format_candidates, parse_candidates

Found = Iterator[tuple[tuple[int, ...], str]]
"""(rows, what is wrong) as a rule finds them."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule.

    Attributes:
        rule: A key of `RULES`.
        rows: The rows concerned, by number from 0, rising.
        text: What is wrong, with the ids and values concerned.
        way_out: What to do about it.
    """

    rule: str
    rows: tuple[int, ...]
    text: str
    way_out: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: Stable name.
        what: What must hold.
        example: Rows that break it, in words.
        way_out: What to do about it.
        find: Yields what breaks it.
    """

    name: str
    what: str
    example: str
    way_out: str
    find: Callable[[Manifest], Found]


def check(manifest: Manifest, *, files: bool, advance: Callable[[], object] | None = None) -> list[Violation]:
    """All violations, in the order of `RULES` and then of rows; empty where the manifest is sound.

    Args:
        manifest: What to check.
        files: Also look at the files: whether each is there and unchanged since its hash was taken. Reads every byte.
        advance: Called after each file, for a progress bar.
    """
    found = []
    for rule in RULES.values():
        if rule.name in _OF_FILES:
            continue
        found += [Violation(rule.name, rows, text, rule.way_out) for rows, text in rule.find(manifest)]
    if files:
        found += _check_files(manifest, advance or (lambda: None))
    return found


def require(manifest: Manifest, *, files: bool = False) -> None:
    """Refuses a manifest that breaks a rule.

    Raises:
        ManifestError: With the first violation, and how many there are.
    """
    violations = check(manifest, files=files)
    if violations:
        first = violations[0]
        more = f" ({len(violations) - 1} more)" if len(violations) > 1 else ""
        raise ManifestError(first.rule, first.text + more, where=str(manifest.folder), way_out=first.way_out)


def _name(manifest: Manifest, rows: Iterable[int], most: int = 3) -> str:
    """The images of some rows, in words."""
    rows = list(rows)
    sources, images = manifest.table.column("source"), manifest.table.column("image_id")
    names = ", ".join(f"{sources[row].as_py()}/{images[row].as_py()}" for row in rows[:most])
    return f"{names} and {len(rows) - most} more" if len(rows) > most else names


def _by(keys: Sequence[str | None], rows: Iterable[int]) -> dict[str, list[int]]:
    """Rows by key; rows without one are left out."""
    groups: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        key = keys[row]
        if key:
            groups[key].append(row)
    return groups


def _used(manifest: Manifest) -> list[int]:
    """The rows that are not excluded."""
    return [row for row, split in enumerate(manifest.column("split")) if split != Split.EXCLUDED]


def _possible(manifest: Manifest) -> list[frozenset[Diagnosis]]:
    """Candidates by row; none where they cannot be read, which has a rule of its own."""
    cache: dict[str, frozenset[Diagnosis]] = {}
    for text in set(manifest.column("candidates")):
        try:
            cache[text] = parse_candidates(text or "")
        except UnknownDiagnosisError:
            cache[text] = frozenset()
    return [cache[text] for text in manifest.column("candidates")]


def _duplicate_image_id(manifest: Manifest) -> Found:
    seen: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, key in enumerate(zip(manifest.column("source"), manifest.column("image_id"), strict=True)):
        seen[key].append(row)
    for (source, image), rows in seen.items():
        if len(rows) > 1:
            yield tuple(rows), f"image_id {image!r} stands {len(rows)} times in source {source!r}"


def _unknown_diagnosis(manifest: Manifest) -> Found:
    known = set(Diagnosis)
    for column in ("diagnosis", "candidates"):
        wrong: dict[str, list[int]] = defaultdict(list)
        for row, text in enumerate(manifest.column(column)):
            if text and not set(text.split("|")) <= known:
                wrong[text].append(row)
        for text, rows in wrong.items():
            yield tuple(rows), f"{column} {text!r} of {_name(manifest, rows)} is not in the taxonomy"


def _candidates_contradict(manifest: Manifest) -> Found:
    columns = zip(manifest.column("diagnosis"), _possible(manifest), manifest.column("candidates"), strict=True)
    for row, (diagnosis, possible, text) in enumerate(columns):
        if text and not possible:
            continue  # unknown_diagnosis says so already
        if (len(possible) == 1 or diagnosis) and possible != {diagnosis}:
            yield (row,), f"{_name(manifest, [row])} has diagnosis {diagnosis or ''!r} but candidates {text or ''!r}"


def _lesion_patients(manifest: Manifest) -> Found:
    patients = manifest.column("patient_id")
    for lesion, rows in _by(manifest.column("lesion_id"), _used(manifest)).items():
        names = sorted({patients[row] for row in rows if patients[row]})
        if len(names) > 1:
            yield tuple(rows), f"lesion {lesion!r} belongs to {len(names)} patients: {', '.join(names[:3])}"


def _contradicting(manifest: Manifest, column: str, what: str) -> Found:
    """Groups of rows whose labels leave no diagnosis possible for all of them."""
    possible = _possible(manifest)
    for key, rows in _by(manifest.column(column), _used(manifest)).items():
        sets = [possible[row] for row in rows if possible[row]]
        if sets and not frozenset.intersection(*sets):
            words = " and ".join(sorted({format_candidates(one) for one in sets}))
            yield tuple(rows), f"{what} {key!r} ({_name(manifest, rows)}) is labelled {words}"


def _lesion_diagnoses(manifest: Manifest) -> Found:
    yield from _contradicting(manifest, "lesion_id", "lesion")


def _file_diagnoses(manifest: Manifest) -> Found:
    yield from _contradicting(manifest, "sha256", "the file with sha256")


def _split_groups(manifest: Manifest) -> Found:
    splits = manifest.column("split")
    used = [row for row in _used(manifest) if splits[row]]
    told: dict[int, int] = {}  # row to the wider leak that it was told with
    for column in ("group", "patient_id", "lesion_id", "duplicate_group", "sha256"):
        for key, rows in _by(manifest.column(column), used).items():
            sides = sorted({splits[row] for row in rows})
            if len(sides) > 1 and (rows[0] not in told or len({told.get(row) for row in rows}) > 1):
                told.update(dict.fromkeys(rows, rows[0]))
                yield tuple(rows), f"{column} {key!r} lies in {' and '.join(sides)}: {_name(manifest, rows)}"


def _rejected_used(manifest: Manifest) -> Found:
    reasons, splits = manifest.column("reject_reason"), manifest.column("split")
    rows = [row for row, reason in enumerate(reasons) if reason and splits[row] and splits[row] != Split.EXCLUDED]
    for reason, of_reason in _by(reasons, rows).items():
        yield tuple(of_reason), f"{_name(manifest, of_reason)} was rejected ({reason}) and yet has a split"


def _files(manifest: Manifest) -> Found:  # noqa: ARG001 - looked at in one pass, by _check_files
    yield from ()


def _check_files(manifest: Manifest, advance: Callable[[], object]) -> Iterator[Violation]:
    """One pass over the files for both rules: the size first, since it is free, then the hash."""
    sizes, hashes = manifest.column("size_bytes"), manifest.column("sha256")
    masks = manifest.column("mask_path")
    for row, path in enumerate(manifest.image_paths()):
        rule, text = "", ""
        try:
            size = path.stat().st_size
            if sizes[row] is not None and size != sizes[row]:
                rule, text = "file_changed", f"{path} has {size} bytes, not the {sizes[row]} of its import"
            elif hashes[row] and _sha256(path) != hashes[row]:
                rule, text = "file_changed", f"{path} has another SHA-256 than at its import"
            elif masks[row] and not (manifest.folder / masks[row]).is_file():
                rule, text = (
                    "file_missing",
                    f"the mask {manifest.folder / masks[row]} of {_name(manifest, [row])} is not there",
                )
        except OSError as error:
            rule, text = "file_missing", f"{path} of {_name(manifest, [row])} cannot be read ({error.strerror})"
        if rule:
            yield Violation(rule, (row,), text, RULES[rule].way_out)
        advance()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


_OF_FILES = ("file_missing", "file_changed")

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "duplicate_image_id",
            "An image_id stands once in its source.",
            "Two rows of source ham10000 have image_id ISIC_0024306.",
            "Remove one of the rows, or give the copies ids of their own.",
            _duplicate_image_id,
        ),
        Rule(
            "unknown_diagnosis",
            "Every diagnosis and candidate is one of the taxonomy.",
            "A row has candidates 'MEL|NEVUS'.",
            f"Use {', '.join(Diagnosis)}, joined by '|' in candidates; keep the source's own word in diagnosis_term.",
            _unknown_diagnosis,
        ),
        Rule(
            "candidates_contradict_diagnosis",
            "A fine label has its diagnosis as its only candidate; a coarse one has no diagnosis.",
            "A row has diagnosis MEL and candidates 'MEL|NV'.",
            "Make candidates equal to diagnosis, or leave diagnosis empty.",
            _candidates_contradict,
        ),
        Rule(
            "lesion_of_two_patients",
            "A lesion belongs to one patient.",
            "Two rows of lesion pad:12:3 have patient_id pad:12 and pad:13.",
            "Correct the patient_id, or prefix the lesion_id so that it is unique.",
            _lesion_patients,
        ),
        Rule(
            "lesion_of_two_diagnoses",
            "The labels of a lesion's images leave at least one diagnosis possible for all.",
            "Two rows of one lesion have diagnosis MEL and NV; MEL and 'MEL|BCC' would be fine.",
            "Find out which is right, or exclude the rows.",
            _lesion_diagnoses,
        ),
        Rule(
            "same_file_two_diagnoses",
            "The labels of rows with the same sha256 leave at least one diagnosis possible for all.",
            "One file was imported from two sources, as MEL and as NV.",
            "Find out which is right, or exclude the rows.",
            _file_diagnoses,
        ),
        Rule(
            "split_breaks_group",
            "A group, patient, lesion, duplicate group or file lies in one split.",
            "Two images of one lesion lie in train and in test.",
            "Split again with 'dermaloop curate', or exclude one side.",
            _split_groups,
        ),
        Rule(
            "rejected_but_used",
            "A rejected row has no split but 'excluded'.",
            "A row has reject_reason 'blurred' and split train.",
            "Split again with 'dermaloop curate', or clear the reason.",
            _rejected_used,
        ),
        Rule(
            "file_missing",
            "Every image (and mask) lies where the manifest says.",
            "The data folder was moved after the import.",
            "Restore the file, or import its source again.",
            _files,
        ),
        Rule(
            "file_changed",
            "Every image has the size and the SHA-256 of its import.",
            "A picture was rotated and saved again in a viewer.",
            "Restore the original, or import its source again.",
            _files,
        ),
    )
}
"""Every rule by name."""
