"""The words on the wire are those of the records, and what is lenient or strict there is so."""

from typing import get_args

import pytest
from pydantic import ValidationError

from dermaloop.cases import words
from dermaloop.cases.job_results import ItemOrder, Show
from dermaloop.cases.job_tables import ItemState
from dermaloop.cases.roles import Role
from dermaloop.cases.watch_tables import Outcome
from dermaloop.cases.worklist import Order
from dermaloop.core.manifest import Confirmation
from dermaloop.core.prediction import Decision
from dermaloop.monitoring.findings import State
from dermaloop.monitoring.measures import Group, Kind
from dermaloop.web import wording
from dermaloop.web.intake import ASSESSED
from dermaloop.wire import assessment, base, entries, screenings, watch
from dermaloop.wire.documents import Practice
from dermaloop.wire.entries import ConfirmationEntry, LesionEntry, PatientEntry


@pytest.mark.parametrize(
    ("wire", "own"),
    [
        (base.Sex, words.Sex),
        (base.View, words.View),
        (base.Consent, words.Consent),
        (base.FlagKind, words.FlagKind),
        (base.Verdict, words.Verdict),
        (watch.WatchReview.model_fields["outcome"].annotation, Outcome),
        (watch.WatchMeasure.model_fields["group"].annotation, Group),
        (watch.WatchMeasure.model_fields["kind"].annotation, Kind),
        (watch.WatchMeasure.model_fields["state"].annotation, State),
        (entries.AlarmReviewEntry.model_fields["outcome"].annotation, Outcome),
        (entries.FilingEntry.model_fields["image_type"].annotation, ASSESSED),
        (base.PictureType, words.PictureType),
        (base.Management, words.Management),
        (base.Timing, words.Timing),
        (base.SignOffKind, words.SignOffKind),
        (base.CaseState, words.CaseState),
        (base.Order, Order),
        (base.Role, Role),
        (base.Decision, set(Decision) - {Decision.NONE}),
        (screenings.Show, Show),
        (screenings.ItemOrder, ItemOrder),
        (screenings.ItemState, ItemState),
        (base.ConfirmationKind, set(Confirmation) - {Confirmation.UNKNOWN}),
    ],
)
def test_the_words_on_the_wire_are_those_of_the_records(wire, own):
    assert set(get_args(wire)) == {str(one) for one in own}


def test_the_disclaimer_is_said_in_one_way():
    assert assessment.DISCLAIMER == wording.DISCLAIMER


@pytest.mark.parametrize("day", ["2026-03-01T00:00:00", "1.3.2026", 0, 1772323200, "20260301", "2026-02-30", None])
def test_a_day_is_written_as_a_day(day):
    with pytest.raises(ValidationError, match="confirmed_on"):
        ConfirmationEntry(confirmation="histopathology", confirmed_on=day, diagnosis="MEL")


def test_entries_are_strict_and_answers_lenient():
    for wrong in ({"birth_year": "1957"}, {"birth_year": 1957.0}, {"birth_year": True}, {"name": "Jane Doe"}):
        with pytest.raises(ValidationError):
            PatientEntry.model_validate({"pseudonym": "P-1", **wrong})
    newer = {"name": "", "hide_answer_until_impression": True, "something_new": 1}
    assert not hasattr(Practice.model_validate(newer), "something_new")


@pytest.mark.parametrize("part", [{"view": "front"}, {"x": 0.5}, {"view": "back", "x": 0.5}])
def test_a_point_on_the_body_map_is_whole(part):
    with pytest.raises(ValidationError, match="together"):
        LesionEntry(**part)
