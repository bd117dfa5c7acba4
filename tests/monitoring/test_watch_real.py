"""Changes of real pictures are found within a stated number of visits, and unchanged streams stay quiet.

A few pictures are assessed once by the bundle that ships; visits are drawn from them. `benchmarks/watching.py` measures
the same with many pictures and streams.
"""

import numpy as np
import pytest

from dermaloop.core.bundle import open_bundle
from dermaloop.inference.classifier import Classifier
from dermaloop.inference.default import default_bundle_path
from dermaloop.monitoring.findings import State
from dermaloop.monitoring.measures import Limits
from support import streams

pytestmark = pytest.mark.real_data

BEFORE, AFTER = 250, 200
LIMITS = Limits(learning=150, learning_confirmed=40)


@pytest.fixture(scope="module")
def bundle():
    return open_bundle(default_bundle_path())


@pytest.fixture(scope="module")
def pools(data_folder, bundle):
    classifier = Classifier(bundle, threads=1)
    usual = streams.unseen(data_folder, bundle, 160)
    return {
        "usual": streams.pool(classifier, usual),
        "cast": streams.pool(classifier, usual[:50], streams.cast(1.10, 0.88)),
        "blur": streams.pool(classifier, usual[:50], streams.blurred(1.5)),
        "phone": streams.pool(
            classifier, streams.phones(data_folder, bundle, 50), image_type="dermoscopic"
        ),  # stated wrongly: the pictures themselves must tell
    }


def alarms(report):
    """Visit of the alarm by measure."""
    at = streams.times(BEFORE + AFTER)
    return {one.name: int(np.searchsorted(at, one.found)) for one in report.findings if one.state is State.ALARM}


def looked(pools, bundle, late, seed=0):
    before = streams.drawn(np.random.default_rng(seed), pools["usual"], BEFORE, 0.2)
    return alarms(streams.looked(streams.together([before, late]), bundle, LIMITS, seed=seed))


@pytest.mark.parametrize(
    ("name", "measure", "within"),
    [("cast", "colour", 90), ("blur", "blur", 40), ("phone", "texture", 60), ("phone", "embedding", 90)],
)
def test_a_changed_camera_is_found(pools, bundle, name, measure, within):
    late = streams.drawn(np.random.default_rng(1), pools[name], AFTER, 0.2)
    found = looked(pools, bundle, late)
    assert BEFORE <= found[measure] < BEFORE + within, found


def test_another_share_of_malignant_lesions_is_found_in_the_answers(pools, bundle):
    late = streams.drawn(np.random.default_rng(2), pools["usual"], AFTER, 0.6)
    found = looked(pools, bundle, late)
    assert BEFORE <= found["probability"] < BEFORE + 120, found
    assert not {"blur", "colour", "brightness", "device"} & set(found), "the camera is the same"


def test_unchanged_streams_stay_quiet(pools, bundle):
    """Ten times 450 visits: at most 5 % a year is allowed, and each is less than a fifth of a year."""
    raised = []
    for seed in range(10):
        late = streams.drawn(np.random.default_rng(100 + seed), pools["usual"], AFTER, 0.2)
        raised += list(looked(pools, bundle, late, seed))
    assert len(raised) <= 1, raised
