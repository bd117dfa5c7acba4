"""A whole look: what is found where, what is left alone, and what a lead's word changes."""

import dataclasses
import json

import numpy as np
import pytest

from dermaloop.monitoring import look as looking
from dermaloop.monitoring.findings import State
from dermaloop.monitoring.measures import MEASURES, Kind, Limits
from dermaloop.monitoring.streams import Confirmed, Review, Stated, Stream

DAY = 86_400.0
LIMITS = Limits(learning=60, learning_confirmed=30)
STATED = Stated(sensitivity=0.95, specificity=0.7, declined=0.1, outside=0.03)


def pictures(count=200, seed=0, changed=None, **shift):
    """Visits, four a day; from `changed` on, the measures named are shifted."""
    rng = np.random.default_rng(seed)
    late = np.arange(count) >= (count if changed is None else changed)
    values = {
        "embedding": rng.normal(size=(count, 4)),
        "texture": rng.normal(size=(count, 3)),
        "colour": rng.normal(size=(count, 2)),
        "blur": rng.normal(size=count),
        "brightness": rng.normal(size=(count, 3)),
        "distance": rng.normal(size=count),
        "probability": rng.random(count),
        "unfamiliar": (rng.random(count) < 0.05).astype(float),
        "outside": (rng.random(count) < 0.03).astype(float),
        "declined": (rng.random(count) < 0.1).astype(float),
        "device": ["JPEG 600 x 448" if one < 0.9 else "JPEG 800 x 608" for one in rng.random(count)],
        "image_type": ["dermoscopic"] * count,
    }
    values["declined_stated"] = values["declined"]
    for name, by in shift.items():
        if isinstance(by, str):
            values[name] = [by if changes else word for word, changes in zip(values[name], late, strict=True)]
        elif MEASURES[name].share:
            values[name] = np.where(late, rng.random(count) < by, values[name]).astype(float)
        else:
            values[name] = values[name] + by * (late if values[name].ndim == 1 else late[:, None])
    return Stream(np.arange(count) * DAY / 4, values)


def cases(count=150, seed=1, sensitivity=0.97, changed=None, later=0.6):
    """Confirmed cases, half of them malignant; from `changed` on with another sensitivity."""
    rng = np.random.default_rng(seed)
    malignant = rng.random(count) < 0.5
    caught = np.where(np.arange(count) >= (count if changed is None else changed), later, sensitivity)
    referred = np.where(malignant, rng.random(count) < caught, rng.random(count) < 0.3)
    probability = np.clip(np.where(malignant, 0.8, 0.2) + rng.normal(0, 0.05, count), 0, 1)
    return Confirmed(np.arange(count) * DAY, malignant, referred, np.zeros(count, bool), probability)


def look(*given, seed=0):
    return looking.look(*given, seed=seed)


NONE = Confirmed(np.empty(0), np.empty(0, bool), np.empty(0, bool), np.empty(0, bool), np.empty(0))


def states(report):
    return {one.name: one.state for one in report.findings}


def alarmed(report):
    return {name for name, state in states(report).items() if state is State.ALARM}


def test_nothing_at_all_is_no_error_and_no_alarm():
    empty = Stream(np.empty(0), {name: np.empty(0) for name in MEASURES})
    report = look(empty, NONE, STATED, LIMITS)
    assert set(states(report).values()) == {State.LEARNING}
    assert report.outcome.sensitivity.value is None


def test_what_is_not_stated_is_not_compared():
    found = states(look(pictures(), NONE, Stated(), LIMITS))
    unknown = {name for name, state in found.items() if state is State.UNKNOWN}
    assert unknown == {"outside", "declined_stated", "missed"}


def test_an_unchanged_service_is_unchanged():
    report = look(pictures(), cases(), STATED, LIMITS)
    assert set(states(report)) == set(MEASURES)
    assert set(states(report).values()) == {State.STEADY}


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        ({"embedding": 1.5}, "embedding"),
        ({"texture": -1.5}, "texture"),
        ({"colour": 1.5}, "colour"),
        ({"blur": 1.5}, "blur"),
        ({"brightness": 1.5}, "brightness"),
        ({"distance": 1.5}, "distance"),
        ({"device": "PNG 512 x 512"}, "device"),
        ({"image_type": "close-up"}, "image_type"),
        ({"unfamiliar": 0.5}, "unfamiliar"),
        ({"outside": 0.5}, "outside"),
        ({"probability": 1.0}, "probability"),
        ({"declined": 0.8}, "declined"),
        ({"declined_stated": 0.6}, "declined_stated"),
    ],
)
def test_each_change_is_found_where_it_is_and_nowhere_else(shift, expected):
    report = look(pictures(changed=120, **shift), NONE, STATED, LIMITS)
    assert alarmed(report) == {expected}
    finding = next(one for one in report.findings if one.name == expected)
    assert 80 <= finding.began / DAY * 4 <= 140, "an estimate, not a measurement"
    assert finding.found / DAY * 4 >= 120
    assert finding.change >= LIMITS.least_change or MEASURES[expected].kind is Kind.LIMIT


def test_a_sensitivity_that_falls_is_found_and_said_with_its_interval():
    report = look(pictures(0), cases(count=300, changed=150, later=0.5), STATED, LIMITS)
    assert {"missed"} <= alarmed(report) <= {"missed", "calibration"}
    outcome = report.outcome.sensitivity
    assert outcome.low < outcome.value < outcome.high
    assert outcome.stated == 0.95
    steady = look(pictures(0), cases(count=300), STATED, LIMITS)
    assert "missed" not in alarmed(steady)


def test_declined_cases_count_for_none_of_the_figures():
    every = cases()
    declined = dataclasses.replace(every, declined=np.ones(150, bool))
    outcome = look(pictures(0), declined, STATED, LIMITS).outcome
    assert outcome.declined == 150
    assert outcome.sensitivity.count == outcome.specificity.count == outcome.calibration.count == 0


def test_a_change_that_is_certain_but_small_is_told_and_is_no_alarm():
    stream = pictures(count=700, changed=250, blur=0.6)
    strict = dataclasses.replace(LIMITS, least_change=0.6)
    assert states(look(stream, NONE, STATED, strict))["blur"] is State.SLIGHT
    assert "blur" in alarmed(look(stream, NONE, STATED, LIMITS))


def test_a_daily_look_finds_what_one_look_at_the_end_finds():
    whole = pictures(changed=120, blur=1.5)
    at_once = next(one for one in look(whole, NONE, STATED, LIMITS).findings if one.name == "blur")
    for count in range(60, 201, 20):
        part = Stream(whole.at[:count], {name: values[:count] for name, values in whole.values.items()})
        found = next(one for one in look(part, NONE, STATED, LIMITS).findings if one.name == "blur")
        assert (found.state is State.ALARM) == (at_once.found <= whole.at[count - 1])


def test_what_stays_is_compared_anew_and_what_passed_is_left_out():
    stream = pictures(count=400, changed=120, blur=1.5)
    blur = next(one for one in look(stream, NONE, STATED, LIMITS).findings if one.name == "blur")
    closed = stream.at[160]
    stays = Review("blur", closed, blur.began, stays=True)
    report = look(stream, NONE, STATED, LIMITS, [stays])
    assert alarmed(report) == set()
    assert next(one for one in report.findings if one.name == "blur").count == 400 - 161

    values = np.asarray(stream.values["blur"]).copy()
    values[161:] -= 1.5  # mended
    mended = Stream(stream.at, {**stream.values, "blur": values})
    passed = Review("blur", closed, blur.began, stays=False)
    assert alarmed(look(mended, NONE, STATED, LIMITS, [passed])) == set()
    assert alarmed(look(stream, NONE, STATED, LIMITS, [passed])) == {"blur"}, "it is not mended: the alarm returns"


def test_the_rate_per_year_holds_for_all_measures_together():
    """20 unchanged years, 150 visits and 80 confirmed cases each, at a rate of 10 %: seldom more than that."""
    limits = dataclasses.replace(LIMITS, false_alarms_a_year=0.1, least_change=0.0)
    years = 20
    raised = 0
    for year in range(years):
        stream = pictures(count=150, seed=1000 + year)
        stream = Stream(stream.at * 4 * 365 / 150, stream.values)  # over one year
        confirmed = cases(count=80, seed=2000 + year)
        raised += bool(
            alarmed(look(stream, dataclasses.replace(confirmed, at=confirmed.at * 4.5), STATED, limits, seed=year))
        )
    assert raised / years <= 0.1 + 3 * (0.1 * 0.9 / years) ** 0.5


def test_services_do_not_share_the_luck_of_their_draws():
    """Among equal values the place is drawn. With one draw for all, one unlucky run of it would alarm everywhere."""

    def evidence(seed):
        return {one.name: one.evidence for one in look(pictures(), cases(), STATED, LIMITS, seed=seed).findings}

    assert evidence(1) == evidence(1), "every look at one service finds the same"
    for name in ("declined", "malignant", "needless"):
        assert len({evidence(seed)[name] for seed in range(4)}) == 4


def test_a_report_is_json():
    report = look(pictures(changed=120, blur=1.5), cases(), STATED, LIMITS)
    assert json.loads(json.dumps(dataclasses.asdict(report), allow_nan=False))["visits"] == 200


def test_the_evidence_that_is_needed_grows_with_the_measures_and_the_care():
    assert Limits(false_alarms_a_year=0.05).evidence == pytest.approx(len(MEASURES) / 0.05)
