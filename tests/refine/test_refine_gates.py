"""Gates: passed where the evidence is there, failed where it speaks against, and undecided for want of cases."""

from dataclasses import replace

import numpy as np
import pytest

from dermaloop.evaluation.subgroups import ATTRIBUTES
from dermaloop.refine import gates
from dermaloop.refine.compared import Compared, Earlier, Flips, Measures
from dermaloop.refine.measure import draw_near
from dermaloop.refine.plan import GATES, Frozen, Limits, load, standard
from dermaloop.refine.plan import parse as parse_plan
from support.cohort import cohort
from support.pages import ROOT

LIMITS = Limits(resamples=300)


def compared(n=1200, *, champion=1.5, challenger=1.5, same=False, **attributes):
    """Two models of some skill on the same lesions; `same`: the same model twice."""
    one = cohort(n, seed=0, skill=champion)
    other = one if same else cohort(n, seed=1, skill=challenger)
    truth = {name: getattr(one, name) for name in ("diagnosis", "malignant", "melanoma", "groups")}
    if not same:  # the other model's probabilities, drawn for the same truth
        rng = np.random.default_rng(9)
        logits = rng.normal(size=one.probability.shape) + challenger * np.eye(8)[one.diagnosis]
        prior = np.array([0.15, 0.45, 0.1, 0.08, 0.12, 0.03, 0.03, 0.04])
        probability = np.exp(challenger * logits) * prior
        probability /= probability.sum(axis=1, keepdims=True)
        bad = [list(one.classes).index(code) for code in ("MEL", "BCC", "AKIEC", "SCC")]
        other = replace(
            one, probability=probability, malignant_probability=probability[:, bad].sum(axis=1),
            suggested=probability.argmax(axis=1), **truth,
        )  # fmt: skip
    groups = {name: ["all"] * n for name in ATTRIBUTES} | attributes
    return Compared(one, other, groups)


def measures(both, **changes):
    given = {
        "frozen": both,
        "new": None,
        "uses": 1,
        "flips": flips(0.05, 0.05),
        "latency_s": (np.full(9, 0.02), np.full(9, 0.02)),
        "size_bytes": (100, 100),
    }
    return Measures(**{**given, **changes})


def flips(champion, challenger, n=100):
    return Flips(np.full(n, champion), np.full(n, challenger), np.arange(n), np.ones(n))


def judged(found, limits=LIMITS, frozen=None):
    return {gate.name: gate for gate in gates.judge(found, limits, frozen or Frozen())}


def test_an_equal_challenger_passes_every_gate_and_each_says_so_in_words():
    found = judged(measures(compared(same=True)))
    assert tuple(found) == GATES
    assert {name: gate.passed for name, gate in found.items()} == {**dict.fromkeys(GATES, True), "new_cases": None}
    for gate in found.values():
        assert gate.sentence.endswith(".")
        assert set(gate.plain()) == {"name", "passed", "measured", "limit", "interval", "n", "sentence"}
    assert found["auc"].interval == (0.0, 0.0)
    assert found["sensitivity"].interval[0] < 0 < found["sensitivity"].interval[1], "no difference is not certainty"


def test_a_worse_challenger_fails_what_it_is_worse_in():
    found = judged(measures(compared(challenger=0.6)))
    assert not found["auc"].passed
    assert found["auc"].measured < 0
    assert found["auc"].interval[1] < 0
    assert found["brier"].passed is False
    assert "+" in found["brier"].sentence


def blurred(rows, amount, seed=1):
    """The same model with noise in its evidence: it ranks lesions worse by a known cause."""
    p = np.clip(rows.malignant_probability, 1e-6, 1 - 1e-6)
    logit = np.log(p / (1 - p)) + amount * np.random.default_rng(seed).normal(size=len(p))
    return replace(rows, malignant_probability=1 / (1 + np.exp(-logit)))


def test_an_unlucky_threshold_fails_at_the_operating_point_but_not_at_one_specificity():
    both = compared(same=True)
    for threshold in (0.5, 0.15):
        found = judged(measures(Compared(both.champion, both.challenger.at(threshold), both.attributes)))
        assert {found["sensitivity"].passed, found["specificity"].passed} == {True, False}, threshold
        assert found["matched_sensitivity"].passed is True
        assert found["matched_sensitivity"].measured == 0.0
        assert found["auc"].passed is True


def test_a_worse_network_fails_at_one_specificity_though_a_low_threshold_hides_it():
    both = compared(same=True)
    worse = Compared(both.champion, blurred(both.champion, 1.5).at(0.12), both.attributes)
    found = judged(measures(worse))
    assert found["sensitivity"].passed is True, "it refers nearly everybody"
    assert found["matched_sensitivity"].passed is False
    assert found["matched_sensitivity"].measured < -0.03
    assert "the champion's specificity of 0." in found["matched_sensitivity"].sentence
    assert found["matched_sensitivity"].n == int((both.champion.malignant == 1).sum())


def losing(rows, share, seed):
    """The same model, blind to a further share of the malignant pictures: each time a small loss."""
    hidden = np.flatnonzero(rows.malignant == 1)
    hidden = np.random.default_rng(seed).permutation(hidden)[: round(share * len(hidden))]
    probability = rows.malignant_probability.copy()
    probability[hidden] *= 0.5
    return replace(rows, malignant_probability=probability)


def test_small_losses_in_a_row_are_stopped_by_the_best_champion_at_the_third_at_the_latest():
    champion, earlier = compared(4000, same=True).champion, {}
    verdicts = []
    for turn in range(3):
        challenger = losing(champion, 0.06, seed=turn)
        both = Compared(champion, challenger, {name: ["all"] * 4000 for name in ATTRIBUTES})
        alone = gates.auc_gate("auc", both, LIMITS, LIMITS.auc_margin)
        assert alone.passed is True, "the present champion alone lets each of them pass"
        best = gates.best_gate(both, Earlier(dict(earlier)), LIMITS)
        verdicts.append(best.passed)
        earlier[f"champion {turn}"] = champion.malignant_probability
        champion = challenger
    assert verdicts[0] is True
    assert verdicts[-1] is False
    assert "champion 0" in best.sentence
    assert best.measured < 2 * alone.measured


def test_the_best_champion_is_the_present_one_where_none_before_is_better():
    both = compared(challenger=2.0)
    found = gates.best_gate(both, Earlier(), LIMITS)
    assert "the present champion" in found.sentence
    assert found.measured == gates.auc_gate("auc", both, LIMITS, LIMITS.auc_margin).measured
    weak = blurred(both.champion, 2.0).malignant_probability
    assert gates.best_gate(both, Earlier({"weak": weak}), LIMITS).measured == found.measured


def test_an_earlier_champion_that_is_gone_fails_safe_unless_the_plan_allows_it():
    found = compared(same=True), Earlier({}, ("gone@0123",))
    refused = gates.best_gate(*found, LIMITS)
    assert refused.passed is None
    assert "gone@0123" in refused.sentence
    allowed = gates.best_gate(*found, replace(LIMITS, best_missing="judge by those at hand"))
    assert allowed.passed is True
    assert "left out as the plan allows: gone@0123" in allowed.sentence


def test_pictures_that_an_earlier_champion_could_not_read_count_for_none():
    both = compared(same=True)
    broken = both.champion.malignant_probability.copy()
    broken[:100] = np.nan
    assert gates.best_gate(both, Earlier({"old": broken}), LIMITS).n == 1100
    assert gates.best_gate(both, Earlier({"blind": np.full(1200, np.nan)}), LIMITS).passed is None


def test_pictures_near_a_threshold_are_drawn_more_often_and_count_for_less():
    both = compared(3000, same=True)
    drawn, weights = draw_near(both, 400, seed=1)
    assert (len(drawn), len(np.unique(drawn))) == (400, 400)
    assert weights.sum() == pytest.approx(3000)
    distance = np.abs(np.log(both.champion.malignant_probability / (1 - both.champion.malignant_probability))
                      - np.log(0.3 / 0.7))  # fmt: skip
    assert distance[drawn].mean() < 0.6 * distance.mean()
    assert [len(draw_near(both, most, seed=1)[0]) for most in (0, 3000, 5000)] == [0, 3000, 3000]
    assert set(draw_near(both, 5000, seed=1)[1]) == {1.0}
    unread = replace(both.champion, malignant_probability=np.full(3000, np.nan))
    assert len(draw_near(Compared(unread, unread, {}), 50, seed=1)[0]) == 50


def test_drawing_near_the_threshold_changes_the_width_of_the_interval_and_not_what_is_measured():
    """Flips that are likelier near a threshold, as they are: the same mean, in a third of the pictures."""
    both = compared(3000, same=True)
    rng = np.random.default_rng(4)
    p = both.champion.malignant_probability
    near = np.exp(-((6 * (np.log(p / (1 - p)) - np.log(0.3 / 0.7))) ** 2))
    one, other = (np.asarray(rng.binomial(21, scale * near) / 21) for scale in (0.3, 0.4))
    draws = [draw_near(both, 400, seed) for seed in range(200)]
    found = [float(weights @ (other - one)[rows]) / 3000 for rows, weights in draws]
    assert np.mean(found) == pytest.approx(float((other - one).mean()), abs=0.001)
    rows, weights = draws[0]
    gate = gates.stress_gate(Flips(one[rows], other[rows], both.champion.groups[rows], weights), LIMITS)
    assert gate.measured == pytest.approx(found[0])
    plain = rng.permutation(3000)[:400]
    by_lot = gates.stress_gate(Flips(one[plain], other[plain], both.champion.groups[plain], np.ones(400)), LIMITS)
    assert np.ptp(gate.interval) < 0.75 * np.ptp(by_lot.interval)


def test_a_challenger_that_refers_everybody_is_caught_by_specificity():
    both = compared(same=True)
    everybody = Compared(both.champion, both.champion.at(0.0), both.attributes)
    found = judged(measures(everybody))
    assert found["sensitivity"].passed is True
    assert found["specificity"].passed is False
    assert found["auc"].passed is True


def test_too_few_cases_judge_nothing_and_nothing_undecided_counts_as_passed():
    found = judged(measures(compared(60, same=True)))
    for name in ("auc", "best_champion", "matched_sensitivity", "sensitivity", "specificity", "brier", "calibration"):
        assert found[name].passed is None
        assert "Cannot be judged" in found[name].sentence
        assert found[name].measured is None
    empty = compared(60, same=True).select(np.zeros(60, dtype=bool))
    assert {gate.passed for name, gate in judged(measures(empty)).items() if name not in
            ("frozen_set", "stress", "latency", "size")} == {None}  # fmt: skip


def test_pictures_that_one_of_them_cannot_read_count_for_neither():
    both = compared(same=True)
    broken = both.champion.malignant_probability.copy()
    broken[:100] = np.nan
    other = replace(both.challenger, malignant_probability=broken)
    found = judged(measures(Compared(both.champion, other, both.attributes)))
    assert found["auc"].n == 1100
    assert found["auc"].passed is True


def test_calibration_is_judged_on_the_challenger_alone():
    assert judged(measures(compared(same=True)))["calibration"].passed is True
    both = compared(same=True)
    sure = replace(both.challenger, malignant_probability=(both.challenger.malignant_probability > 0.5).astype(float))
    assert judged(measures(Compared(both.champion, sure, both.attributes)))["calibration"].passed is False


def test_one_subgroup_worse_than_its_margin_fails_and_is_named():
    sex = ["female" if n % 4 else "male" for n in range(1200)]
    both = compared(same=True, sex=sex)
    worse = both.challenger.malignant_probability.copy()
    hidden = np.flatnonzero((np.asarray(sex) == "male") & (both.champion.malignant == 1))
    worse[hidden[: len(hidden) // 3]] = 0.0
    found = judged(
        measures(Compared(both.champion, replace(both.challenger, malignant_probability=worse), both.attributes))
    )
    assert found["subgroups"].passed is False
    assert "sex male" in found["subgroups"].sentence
    assert judged(measures(both))["subgroups"].passed is True


def test_a_required_subgroup_that_is_too_small_or_absent_cannot_be_judged():
    skin = ["V-VI" if n < 12 else "I-II" for n in range(1200)]
    both = compared(same=True, skin_type=skin)
    assert judged(measures(both))["subgroups"].passed is True
    assert "Too small to say: skin_type:V-VI" in judged(measures(both))["subgroups"].sentence
    for required in ("skin_type:V-VI", "skin_type:III-IV"):
        found = judged(measures(both), replace(LIMITS, subgroups_required=(required,)))
        assert found["subgroups"].passed is None, required
        assert required in found["subgroups"].sentence


def test_the_frozen_set_warns_as_it_wears_out_and_ends():
    fresh, worn, gone = (gates.frozen_set_gate(uses, Frozen()) for uses in (1, 13, 25))
    assert (fresh.passed, worn.passed, gone.passed) == (True, True, None)
    assert "wears out" not in fresh.sentence
    assert "wears out" in worn.sentence
    assert "a new one is needed" in gone.sentence
    assert "28%" in worn.sentence, "1 - 0.975 ** 13"


def test_what_is_claimed_on_new_cases_is_judged_and_nothing_else():
    better, equal = compared(champion=1.2, challenger=2.5), compared(same=True)
    superior = replace(LIMITS, new_cases="superior")
    assert judged(measures(equal, new=better), superior)["new_cases"].passed is True
    assert judged(measures(equal, new=equal), superior)["new_cases"].passed is False, "equal is no gain"
    assert judged(measures(equal, new=equal), replace(LIMITS, new_cases="not inferior"))["new_cases"].passed is True
    assert "claims nothing" in judged(measures(equal, new=equal))["new_cases"].sentence
    assert judged(measures(equal, new=compared(12, same=True)), superior)["new_cases"].passed is None


@pytest.mark.parametrize(
    ("name", "changes", "passed"),
    [
        ("stress", {"flips": flips(0.05, 0.1)}, False),
        ("stress", {"flips": flips(0.05, 0.05, 29)}, None),
        ("stress", {"flips": None}, None),
        ("latency", {"latency_s": (np.full(9, 0.02), np.full(9, 0.03))}, False),
        ("latency", {"latency_s": (np.array([]), np.array([]))}, None),
        ("size", {"size_bytes": (100, 126)}, False),
        ("size", {"size_bytes": (100, 125)}, True),
    ],
)
def test_the_other_gates(name, changes, passed):
    assert judged(measures(compared(300, same=True), **changes))[name].passed is passed


def test_declining_more_fails():
    both = compared(same=True)
    lazy = replace(both.challenger, assessed=np.arange(1200) % 10 > 0)
    found = judged(measures(Compared(both.champion, lazy, both.attributes)))
    assert found["declined"].passed is False
    assert found["declined"].measured == pytest.approx(0.1)


def test_non_inferiority_is_claimed_wrongly_as_rarely_as_it_says():
    """A challenger that is worse by exactly the margin passes in at most about one of forty."""
    rng = np.random.default_rng(5)
    limits = Limits(resamples=100, least_malignant=1, least_benign=1, sensitivity_margin=0.05)
    passed = 0
    for _ in range(120):
        n = 400
        one = cohort(2 * n, seed=int(rng.integers(1 << 30)))
        keep = np.flatnonzero(one.malignant == 1)[:n]
        base = replace(one.select(np.isin(np.arange(2 * n), keep)), threshold=0.5)
        right = rng.random(len(keep)) < 0.9
        also = np.where(
            rng.random(len(keep)) < 0.8, right & (rng.random(len(keep)) < 0.85 / 0.9), rng.random(len(keep)) < 0.85
        )
        rows = [
            replace(base, malignant_probability=hit.astype(float), groups=np.arange(len(keep))) for hit in (right, also)
        ]
        both = Compared(rows[0], rows[1], {})
        found = gates._right(both.known(malignant=True), limits, malignant=True)
        passed += found.low > -limits.sensitivity_margin
    assert passed <= 9, "2.5 % of 120 is 3"


def test_the_plan_that_comes_along_is_whole_and_its_hash_is_of_every_byte():
    found = load(ROOT / "recipes/plan.toml")
    text = (ROOT / "recipes/plan.toml").read_text()
    assert found.plan.gates == standard().gates
    assert found.plan.feedback == standard().feedback
    assert found.plan.checks == standard().checks
    assert parse_plan(text + "\n# another reason\n").sha256 != found.sha256
    assert found.plain()["required_gates"]
    assert found.recipe.network.freeze


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("auc_margin = 0.02", "auc_margin = 2"), "margins must be above 0"),
        (("auc_margin = 0.02", "auc_marge = 0.02"), "there is no such key"),
        (('"size",', '"colour",'), "is no gate"),
        (("train = 0.7", "train = 0.9"), "sum to 1"),
        (("rehearsal_share = 0.7", 'rehearsal_share = "much"'), "rehearsal_share"),
        (("most_uses = 24", "most_uses = 2"), "most_uses"),
        (("matched_margin = 0.05", "matched_margin = 0"), "margins must be above 0"),
        (('best_missing = "refuse"', 'best_missing = "ignore"'), "best_missing"),
        (('operating_points = "keep"', 'operating_points = "old"'), "operating_points"),
        (("steps = 600", "steps = 0"), "run.steps"),
        (("[gates]", "[gates"), "not TOML"),
    ],
)
def test_a_plan_that_says_nonsense_is_refused_by_name(change, words):
    text = (ROOT / "recipes/plan.toml").read_text()
    assert change[0] in text
    with pytest.raises(Exception, match=words) as caught:
        parse_plan(text.replace(*change))
    assert caught.type.__name__ in ("PlanError", "RecipeError")


def test_a_plan_of_the_version_before_is_read_as_it_was_meant():
    """Its required gates and its way to choose thresholds stay; the new gates are told beside them."""
    text = (ROOT / "recipes/plan.toml").read_text()
    new = ("best_margin", "best_missing", "matched_margin", "operating_points")
    old = "\n".join(line for line in text.splitlines() if not line.startswith(new))
    old = old.replace('"best_champion", "matched_sensitivity", ', "").replace("version = 3", "version = 2")
    found = parse_plan(old).plan
    assert "matched_sensitivity" not in found.required_gates
    assert found.training.operating_points == "anew"
    assert found.gates.matched_margin == found.gates.sensitivity_margin
