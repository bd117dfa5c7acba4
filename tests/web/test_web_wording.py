"""Numbers become sentences."""

import pytest

from dermaloop.core.prediction import Decision, Prediction, Status
from dermaloop.web.wording import percent, percents, verdict
from support.toy import toy_spec

POINT = toy_spec().operating_points[0]


def _prediction(probability, decision, status=Status.ASSESSED):
    return Prediction("a", "", "b", status, malignant_probability=probability, decision=decision, threshold=0.5)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (0.00001, "<0.1%"),
        (0.0123, "1.2%"),
        (0.0994, "9.9%"),
        (0.0999, "10%"),
        (0.625, "62%"),
        (0.99, "99%"),
        (0.9934, "99.3%"),
        (0.99999, ">99.9%"),
        (1, "100%"),
    ],
)
def test_shares_as_percentages(share, text):
    assert percent(share) == text


def test_two_shares_are_told_apart():
    assert percents(0.62, 0.5) == ("62%", "50%")
    assert percents(0.1832, 0.1841) == ("18.3%", "18.4%")
    assert percents(0.18321, 0.18349) == ("18.32%", "18.35%")
    assert percents(0.5, 0.5) == ("50%", "50%")


def test_a_referral():
    said = verdict(_prediction(0.62, Decision.REFER), POINT)
    assert (said.kind, said.title) == ("refer", "Suspicious: refer")
    assert "62%" in said.sentence
    assert "50%" in said.sentence
    assert "about 30% of benign lesions are flagged too" in said.caution


def test_no_referral_does_not_reassure():
    said = verdict(_prediction(0.2, Decision.NO_REFERRAL), POINT)
    assert (said.kind, said.title) == ("no_referral", "Below the referral threshold")
    assert "does not rule out malignancy" in said.caution
    assert "about 4% of malignant lesions are missed" in said.caution


def test_declined_and_unreadable():
    assert verdict(_prediction(0.2, Decision.NONE, Status.ABSTAINED), POINT).title == "No assessment"
    unreadable = Prediction("a", "", "b", Status.UNREADABLE)
    assert verdict(unreadable, POINT).kind == "unreadable"
