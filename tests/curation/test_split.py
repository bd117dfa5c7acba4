import hashlib
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermaloop.core.manifest import Manifest, Split, concat
from dermaloop.core.manifest_rules import check
from dermaloop.curation.recipe import Ratios
from dermaloop.curation.split import CROSSES, group, split
from support.rows import manifest, row

RATIOS = Ratios()


def lesions(n, *, source="s", diagnosis="NV", images=1, start=0, **values):
    return [
        row(
            f"{diagnosis}{i}_{k}",
            source=source,
            lesion_id=f"{source}:{diagnosis}{i}",
            diagnosis=diagnosis,
            candidates=diagnosis,
            **values,
        )
        for i in range(start, start + n)
        for k in range(images)
    ]


def sides(table, column="group"):
    found = defaultdict(set)
    for value, side in zip(table.column(column), table.column("split"), strict=True):
        if value and side != Split.EXCLUDED:
            found[value].add(side)
    return found


def by_id(table):
    keys = zip(table.column("source"), table.column("image_id"), strict=True)
    return dict(zip(keys, table.column("split"), strict=True))


def test_each_source_and_diagnosis_has_its_share_everywhere():
    table = split(
        manifest(*lesions(200), *lesions(100, diagnosis="MEL"), *lesions(100, source="t")), RATIOS, {}, seed=1
    )
    counts = Counter(zip(table.column("source"), table.column("diagnosis"), table.column("split"), strict=True))
    for source, diagnosis, n in (("s", "NV", 200), ("s", "MEL", 100), ("t", "NV", 100)):
        for side, share in RATIOS.by_split().items():
            assert abs(counts[source, diagnosis, side] - share * n) <= 1


def test_groups_stay_together_by_patient_lesion_duplicate_and_file():
    rows = [
        row("a", patient_id="s:1", lesion_id="s:1:1"),
        row("b", patient_id="s:1", lesion_id="s:1:2"),
        row("c", lesion_id="s:9", duplicate_group="g"),
        row("d", source="t", duplicate_group="g", sha256="0" * 64),
        row("e", source="u", sha256="0" * 64),
        row("f", source="u"),
    ]
    groups = group(manifest(*rows)).column("group")
    assert groups == ["s:1", "s:1", "s:9", "s:9", "s:9", "u/f"]


def test_the_archives_id_links_sources():
    rows = [
        row("ISIC_0000002", source="isic2016"),
        row("ISIC_0000002_downsampled", source="isic2019", lesion_id="isic2019:BCN_3"),
        row("ISIC_0000003", source="isic2019"),
        row("000002", source="x"),
    ]
    groups = group(manifest(*rows)).column("group")
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3


def test_a_lesion_of_a_patient_is_linked_to_the_lesion_without_one():
    rows = [row("a", patient_id="s:1", lesion_id="s:l"), row("b", lesion_id="s:l"), row("c", patient_id="s:1")]
    assert len(set(group(manifest(*rows)).column("group"))) == 1


def test_the_seed_decides_and_the_order_of_rows_does_not():
    rows = lesions(100)
    one = split(manifest(*rows), RATIOS, {}, seed=1)
    assert by_id(split(manifest(*reversed(rows)), RATIOS, {}, seed=1)) == by_id(one)
    assert by_id(split(manifest(*rows), RATIOS, {}, seed=2)) != by_id(one)


def test_splitting_again_changes_nothing():
    once = split(manifest(*lesions(50, images=2)), RATIOS, {}, seed=1)
    assert split(once, RATIOS, {}, seed=99).identity() == once.identity()


def test_added_data_moves_nobody_and_fills_up_what_lacks():
    old = split(manifest(*lesions(100)), RATIOS, {}, seed=1)
    more = manifest(
        *lesions(100, start=100), *lesions(50, diagnosis="MEL"), row("again", source="s", lesion_id="s:NV3")
    )
    new = split(concat([old, more], old.folder), RATIOS, {}, seed=1)
    before, after = by_id(old), by_id(new)
    assert {key: after[key] for key in before} == before
    assert after["s", "again"] == before["s", "NV3_0"]
    counts = Counter(new.where(diagnosis="NV").column("split"))
    for side, share in RATIOS.by_split().items():
        assert abs(counts[side] - share * 200) <= 1


def test_sources_for_training_only_and_external_ones():
    rows = [*lesions(40), *lesions(40, source="t"), *lesions(40, source="e")]
    table = split(manifest(*rows), RATIOS, {"t": "train", "e": "external"}, seed=1)
    assert set(table.where(source="t").column("split")) == {Split.TRAIN}
    assert set(table.where(source="e").column("split")) == {Split.EXTERNAL}
    assert len(set(table.where(source="s").column("split"))) == 4


def test_a_training_source_never_enters_another_side_through_a_duplicate():
    rows = [*lesions(40), *(row(f"t{i}", source="t", duplicate_group=f"g{i}") for i in range(40))]
    linked = manifest(*rows).with_columns(duplicate_group=[f"g{i}" for i in range(40)] * 2)
    table = split(linked, RATIOS, {"t": "train"}, seed=1)
    own = table.where(source="s")
    other = table.where(source="t")
    assert Counter(own.column("split"))[Split.TEST] == 6
    for mine, theirs, reason in zip(
        own.column("split"), other.column("split"), other.column("reject_reason"), strict=True
    ):
        assert (theirs, reason) == ((Split.TRAIN, "") if mine == Split.TRAIN else (Split.EXCLUDED, f"{CROSSES}{mine}"))
    assert check(table, files=False) == []


def test_a_picture_of_an_external_source_is_in_no_other_split():
    rows = [*lesions(20), row("e", source="e", lesion_id="e:1")]
    linked = manifest(*rows).with_columns(duplicate_group=["g", *[""] * 19, "g"])
    table = split(linked, RATIOS, {"e": "external"}, seed=1)
    assert (table.column("split")[0], table.column("reject_reason")[0]) == (Split.EXCLUDED, f"{CROSSES}external")
    assert table.column("split")[-1] == Split.EXTERNAL


@pytest.mark.parametrize(
    ("one", "other", "stays"),
    [
        ("train", "test", "test"),
        ("validation", "calibration", "calibration"),
        ("train", "external", "external"),
        ("external", "test", "test"),
    ],
)
def test_a_new_link_between_sides_excludes_the_weaker_one(one, other, stays):
    rows = [
        row("a", source="s", lesion_id="s:1", split=one),
        row("a2", source="s", lesion_id="s:1", split=one),
        row("b", source="t", lesion_id="t:1", split=other),
    ]
    table = split(manifest(*rows).with_columns(duplicate_group=["g", "", "g"]), RATIOS, {}, seed=1)
    expected = [(Split.EXCLUDED, f"{CROSSES}{stays}")] * 2 if stays == other else [(stays, "")] * 2
    expected.append((other, "") if stays == other else (Split.EXCLUDED, f"{CROSSES}{stays}"))
    assert list(zip(table.column("split"), table.column("reject_reason"), strict=True)) == expected
    again = split(table, RATIOS, {}, seed=1)
    assert again.identity() == table.identity()  # and it never creeps back


def test_rejected_rows_are_excluded_and_hold_no_side():
    rows = [row("a", lesion_id="s:1", split="test", reject_reason="blurred"), row("b", lesion_id="s:1", split="train")]
    table = split(manifest(*rows), RATIOS, {}, seed=1)
    assert table.column("split") == [Split.EXCLUDED, Split.TRAIN]


def test_all_of_one_ratio():
    table = split(manifest(*lesions(10)), Ratios(train=1, validation=0, calibration=0, test=0), {}, seed=1)
    assert set(table.column("split")) == {Split.TRAIN}


def test_an_empty_manifest():
    assert len(split(manifest(), RATIOS, {}, seed=1)) == 0


IDS = st.sampled_from(["", "1", "2", "3", "4"])
ROWS = st.lists(
    st.tuples(
        st.sampled_from("stx"),
        IDS,
        IDS,
        IDS,
        st.sampled_from(["NV", "MEL", "NV|BKL", ""]),
        st.sampled_from(["", "blurred"]),
    ),
    min_size=1,
    max_size=30,
)
USES = st.dictionaries(st.sampled_from("stx"), st.sampled_from(["split", "train", "external"]))


def drawn(values, start=0) -> Manifest:
    return manifest(
        *(
            row(
                f"i{start + i}",
                source=source,
                patient_id=patient and f"{source}:{patient}",
                lesion_id=lesion and f"{source}:{patient}:{lesion}",
                duplicate_group=duplicate and f"g{duplicate}",
                candidates=label,
                diagnosis=label if label in ("NV", "MEL") else None,
                reject_reason=reason,
            )
            for i, (source, patient, lesion, duplicate, label, reason) in enumerate(values)
        )
    )


@settings(max_examples=150, deadline=None)
@given(ROWS, ROWS, USES)
def test_whatever_is_added_nothing_crosses_and_nothing_moves(first, second, uses):
    old = split(drawn(first), RATIOS, uses, seed=3)
    new = split(concat([old, drawn(second, start=100)], old.folder), RATIOS, uses, seed=3)
    broken = {violation.rule for table in (old, new) for violation in check(table, files=False)}
    assert not broken & {"split_breaks_group", "rejected_but_used"}
    for table in (old, new):
        assert None not in table.column("split")
        for source, use in uses.items():
            allowed = {"train": {"train"}, "external": {"external"}, "split": set(Split)}[use] | {"excluded"}
            assert set(table.where(source=source).column("split")) <= allowed
        assert all(len(found) == 1 for found in sides(table).values())
    before, after = by_id(old), by_id(new)
    moved = {key: (side, after[key]) for key, side in before.items() if after[key] != side}
    assert all(now == Split.EXCLUDED for _, now in moved.values())
    assert all(then != Split.TEST for then, _ in moved.values())


def test_the_assignment_itself_is_frozen():
    """Published bundles name their split by recipe: who changes this digest moves lesions between splits."""
    rows = [*lesions(150, images=2), *lesions(60, diagnosis="MEL"), *lesions(7, source="t", diagnosis="DF")]
    table = split(manifest(*rows), RATIOS, {}, seed=2017)
    lines = sorted(f"{source}/{image} {side}" for (source, image), side in by_id(table).items())
    assert (
        hashlib.sha256("\n".join(lines).encode()).hexdigest()
        == "65128cb4171eac10c0ea07f06c2407db61939ca14b043d85464601b1afdad269"
    )
