"""Each cross-row rule is broken by its example, and by nothing that resolves it."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import SCHEMA, Manifest
from dermaloop.core.manifest_rules import RULES, check, require
from support.rows import manifest, row

MEL = {"diagnosis": "MEL", "candidates": "MEL"}
NV = {"diagnosis": "NV", "candidates": "NV"}
SAME = "5" * 64

BROKEN = {
    "duplicate_image_id": [row("a"), row("b"), row("a", path="other.png")],
    "unknown_diagnosis": [row("a", candidates="MEL|NEVUS"), row("b", candidates="MEL|NEVUS")],
    "candidates_contradict_diagnosis": [row("a", diagnosis="MEL", candidates="MEL|NV")],
    "lesion_of_two_patients": [row("a", lesion_id="l", patient_id="p"), row("b", lesion_id="l", patient_id="q")],
    "lesion_of_two_diagnoses": [row("a", lesion_id="l", **MEL), row("b"), row("c", lesion_id="l", **NV)],
    "same_file_two_diagnoses": [row("a", sha256=SAME, **MEL), row("b", sha256=SAME, **NV)],
    "split_breaks_group": [row("a", lesion_id="l", split="train"), row("b", lesion_id="l", split="test")],
    "rejected_but_used": [row("a", reject_reason="blurred", split="train")],
}
CONCERNED = {
    "duplicate_image_id": (0, 2),
    "unknown_diagnosis": (0, 1),
    "candidates_contradict_diagnosis": (0,),
    "lesion_of_two_patients": (0, 1),
    "lesion_of_two_diagnoses": (0, 2),
    "same_file_two_diagnoses": (0, 1),
    "split_breaks_group": (0, 1),
    "rejected_but_used": (0,),
}


def test_every_rule_is_shown_broken_and_says_what_to_do():
    assert set(RULES) == set(BROKEN) | {"file_missing", "file_changed"}
    for name, rule in RULES.items():
        assert rule.name == name
        assert rule.what.endswith(".")
        assert rule.example.endswith(".")
        assert rule.way_out.endswith(".")


@pytest.mark.parametrize("name", BROKEN)
def test_the_example_breaks_its_rule_alone(name):
    (violation,) = check(manifest(*BROKEN[name]), files=False)
    assert violation.rule == name
    assert violation.rows == CONCERNED[name]
    assert violation.text
    assert violation.way_out == RULES[name].way_out


@pytest.mark.parametrize("name", BROKEN)
def test_require_names_the_first_violation(name):
    with pytest.raises(ManifestError) as caught:
        require(manifest(*BROKEN[name]))
    assert caught.value.rule == name
    assert RULES[name].way_out in str(caught.value)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row("a"), row("a", source="other")],
        [row("a", **MEL), row("b", candidates="MEL|BCC"), row("c")],
        [row("a", lesion_id="l", **MEL), row("b", lesion_id="l", candidates="MEL|BCC|SCC"), row("c", lesion_id="l")],
        [row("a", lesion_id="l", patient_id="p"), row("b", lesion_id="l"), row("c", lesion_id="l", patient_id="p")],
        [row("a", lesion_id="l", split="train"), row("b", lesion_id="l", split="excluded"), row("c", lesion_id="l")],
        [row("a", lesion_id="l", **MEL), row("b", lesion_id="l", split="excluded", **NV)],
        [row("a", sha256=SAME, **MEL), row("b", sha256=SAME, split="excluded", **NV)],
        [row("a", reject_reason="blurred", split="excluded"), row("b", reject_reason="blurred")],
        [row("a", split="train"), row("b", split="test")],
    ],
)
def test_sound_manifests_break_nothing(rows):
    assert check(manifest(*rows), files=False) == []
    require(manifest(*rows))


@pytest.mark.parametrize("column", ["group", "patient_id", "lesion_id", "duplicate_group", "sha256"])
def test_no_kind_of_group_may_cross_a_split(column):
    same = {column: SAME}
    rows = [row("a", split="train", **same), row("b", split="calibration", **same), row("c", split="train", **same)]
    (violation,) = check(manifest(*rows), files=False)
    assert violation.rule == "split_breaks_group"
    assert violation.rows == (0, 1, 2)
    assert "calibration and train" in violation.text


def test_a_leak_is_told_once_however_many_columns_show_it():
    same = {"group": "g", "patient_id": "p", "lesion_id": "l", "sha256": SAME}
    rows = [row("a", split="train", **same), row("b", split="test", **same)]
    assert [violation.rule for violation in check(manifest(*rows), files=False)] == ["split_breaks_group"]


def test_three_labels_that_agree_only_in_pairs_contradict():
    labels = ["MEL|NV", "NV|BKL", "BKL|MEL"]
    rows = [row(str(i), lesion_id="l", candidates=label) for i, label in enumerate(labels)]
    assert [violation.rule for violation in check(manifest(*rows), files=False)] == ["lesion_of_two_diagnoses"]


class TestFiles:
    def sound(self, tmp_path, **values):
        (tmp_path / "a.png").write_bytes(b"content")
        known = {"sha256": hashlib.sha256(b"content").hexdigest(), "size_bytes": 7}
        return manifest(row("a", **{**known, **values}), folder=tmp_path)

    def test_an_unchanged_file_is_fine(self, tmp_path):
        assert check(self.sound(tmp_path), files=True) == []

    def test_files_are_looked_at_only_when_asked(self, tmp_path):
        assert check(self.sound(tmp_path, path="gone.png"), files=False) == []

    @pytest.mark.parametrize(
        ("values", "rule", "words"),
        [
            ({"path": "gone.png"}, "file_missing", "gone.png"),
            ({"path": "."}, "file_missing", "directory"),
            ({"size_bytes": 8}, "file_changed", "7 bytes, not the 8"),
            ({"sha256": "0" * 64}, "file_changed", "SHA-256"),
            ({"sha256": "0" * 64, "size_bytes": None}, "file_changed", "SHA-256"),
            ({"mask_path": "mask.png"}, "file_missing", "mask.png"),
        ],
    )
    def test_missing_and_changed_files_are_named(self, tmp_path, values, rule, words):
        seen = []
        found = self.sound(tmp_path, **values)
        if values.get("path") == ".":
            found = found.with_columns(size_bytes=[None])
        (violation,) = check(found, files=True, advance=lambda: seen.append(1))
        assert violation.rule == rule
        assert words in violation.text
        assert violation.rows == (0,)
        assert seen == [1]


@pytest.mark.slow
def test_four_hundred_thousand_rows_are_checked_in_one_pass_each():
    count = 400_000
    number = np.arange(count)
    columns = {name: pa.nulls(count, SCHEMA.field(name).type) for name in SCHEMA.names}
    columns |= {
        "image_id": pa.array(number.astype(str)),
        "source": pa.array(["big"] * count),
        "path": pa.array(number.astype(str)),
        "lesion_id": pa.array((number // 2).astype(str)),
        "patient_id": pa.array((number // 10).astype(str)),
        "diagnosis": pa.array(["NV"] * count),
        "candidates": pa.array(["NV"] * count),
        "split": pa.array(np.where(number // 10 % 5 == 0, "test", "train")),
    }
    big = Manifest(pa.table(columns, schema=SCHEMA), folder=None)
    assert check(big, files=False) == []
    splits = big.column("split")
    splits[7] = "train"
    (violation,) = check(big.with_columns(split=splits), files=False)
    assert violation.rule == "split_breaks_group"
    assert violation.rows == tuple(range(10))
