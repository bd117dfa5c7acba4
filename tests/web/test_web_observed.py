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

    def classify_together(self, items):
        return [self.classify(item.source, item.name, cores=1) for item in items]


@pytest.mark.parametrize(("crowded", "cores"), [(False, None), (True, 1)])
def test_a_picture_has_all_cores_unless_several_share_them(crowded, cores):
    asked = _Asked()
    observed = ObservedClassifier(asked, Metrics(asked.bundle), lambda: crowded)
    assert observed.classify(b"", "a.jpg").image == "a.jpg"
    assert asked.cores == [cores]


def test_in_a_crowd_the_processes_answer_where_there_are_any():
    asked, crew = _Asked(), _Asked()
    crowd = [True]
    observed = ObservedClassifier(asked, Metrics(asked.bundle), lambda: crowd[0], crew)
    observed.classify(b"", "a.jpg")
    assert (len(crew.cores), asked.cores) == (1, [])
    crowd[0] = False
    observed.classify(b"", "a.jpg")
    assert (len(crew.cores), asked.cores) == (1, [None])


def test_a_server_with_processes_answers_alike_follows_a_new_model_and_ends_them(
    make_client, toy_classifier, lesion_jpeg
):
    """By its answers with every place asked at once; the processes themselves are tested in tests/inference."""
    plain = make_client()
    client = make_client(processes=1)
    files = [("pictures", (f"{number}.jpg", lesion_jpeg, "image/jpeg")) for number in range(3)]
    desk = client.app.state.desk
    desk.classifier._crew.wait(120)
    crowded = desk.capacity
    crowded.background += 1
    own, other = (one.post("/api/v1/classify", files=files).json()["results"] for one in (plain, client))
    crowded.background -= 1
    told = ("status", "decision", "malignant_probability", "top_diagnosis")
    assert [{key: one[key] for key in told} for one in own] == [{key: one[key] for key in told} for one in other]
    pool = desk.classifier._crew._pool
    desk.follower.adopt(toy_classifier)
    assert desk.classifier._crew._pool is not pool
    assert client.post("/api/v1/classify", files=files[:1]).status_code == 200
