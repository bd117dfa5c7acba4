"""How many cores an assessment takes."""

from types import SimpleNamespace

import pytest

from dermaloop.core.prediction import Prediction, Status
from dermaloop.web.metrics import Metrics
from dermaloop.web.observed import ObservedClassifier


class _Asked:
    """A classifier that notes with how many cores it was asked."""

    bundle = SimpleNamespace(identity="toy@0123456789ab")

    def __init__(self):
        self.cores = []

    def classify(self, content, name="", *, cores=None):
        self.cores.append(cores)
        return Prediction(name, "", self.bundle.identity, Status.UNREADABLE)


@pytest.mark.parametrize(("crowded", "cores"), [(False, None), (True, 1)])
def test_a_picture_has_all_cores_unless_several_share_them(crowded, cores):
    asked = _Asked()
    observed = ObservedClassifier(asked, Metrics(asked.bundle), lambda: crowded)
    assert observed.classify(b"", "a.jpg").image == "a.jpg"
    assert asked.cores == [cores]
