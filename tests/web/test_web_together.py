"""Items of several requests in one pass: who goes with whom, and that none takes another along."""

import asyncio
import contextvars
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from dermaloop.core.prediction import Prediction, Status
from dermaloop.web.capacity import Capacity
from dermaloop.web.errors import WebError
from dermaloop.web.settings import Settings
from dermaloop.web.together import MOST, Together
from dermaloop.web.upload import Upload
from dermaloop.web.views import predict_together

LONG_S = 60
READER = contextvars.ContextVar("reader", default="nobody")


class _Many:
    """Doubles what it gets and notes each pass; the item 'first' waits, 'bad' fails."""

    def __init__(self):
        self.passes, self.begun, self.go = [], threading.Event(), threading.Event()

    def __call__(self, items):
        self.passes.append(list(items))
        if "first" in items:
            self.begun.set()
            self.go.wait(LONG_S)
        if "bad" in items:
            raise ValueError("this one")
        return [item * 2 for item in items]


@pytest.fixture
def many():
    made = _Many()
    yield made
    made.go.set()


def _all(many, items, *, share=1, timeout_s=LONG_S, finish=str):
    """The answers of one that holds the only thread and of `items`, which come while it does."""
    capacity = Capacity(1, 100, timeout_s)
    together = Together(capacity, many, share=share)

    async def scenario():
        first = asyncio.ensure_future(together.run("first", finish))
        await asyncio.to_thread(many.begun.wait, LONG_S)
        others = [asyncio.ensure_future(together.run(item, finish)) for item in items]
        await asyncio.sleep(0)  # all of them wait now
        many.go.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    try:
        return asyncio.run(asyncio.wait_for(scenario(), LONG_S))
    finally:
        capacity.close()


@pytest.mark.parametrize(
    ("waiting", "share", "passes"),
    [
        (0, 1, []),
        (1, 1, [1]),
        (MOST, 1, [MOST]),
        (MOST + 2, 1, [MOST, 2]),
        (3, 2, [2, 1]),  # the other thread's share is left to it
        (5, 2, [3, 1, 1]),
        (3, 4, [1, 1, 1]),
    ],
)
def test_who_waits_goes_with_the_next_at_most_the_share(many, waiting, share, passes):
    items = [f"{number}" for number in range(waiting)]
    answers = _all(many, items, share=share)
    assert answers == ["firstfirst", *(item * 2 for item in items)]
    assert [len(one) for one in many.passes] == [1, *passes], "and the first waited for nobody"
    assert [item for one in many.passes[1:] for item in one] == items, "in the order in which they came"


def test_one_that_fails_takes_none_along(many):
    answers = _all(many, ["a", "bad", "c"])
    assert answers[1] == "aa"
    assert answers[3] == "cc"
    assert isinstance(answers[2], ValueError)


def test_what_a_request_makes_of_its_result_is_its_own(many):
    def finish(result):
        if result == "bb":
            raise WebError("malformed_upload", "not this", way_out="Another.")
        return result.upper()

    answers = _all(many, ["a", "b", "c"], finish=finish)
    assert [answers[1], answers[3]] == ["AA", "CC"]
    assert answers[2].code == "malformed_upload"


def test_each_is_finished_in_its_callers_context(many):
    capacity = Capacity(1, 10, LONG_S)
    together = Together(capacity, many, share=1)

    async def ask(name, item):
        READER.set(name)
        return await together.run(item, lambda result: (READER.get(), result))

    async def scenario():
        first = asyncio.ensure_future(ask("Ada", "first"))
        await asyncio.to_thread(many.begun.wait, LONG_S)
        others = [asyncio.ensure_future(ask(name, name)) for name in ("Ben", "Cleo")]
        await asyncio.sleep(0)
        many.go.set()
        return await asyncio.gather(first, *others)

    answers = asyncio.run(asyncio.wait_for(scenario(), LONG_S))
    capacity.close()
    assert answers == [("Ada", "firstfirst"), ("Ben", "BenBen"), ("Cleo", "CleoCleo")]
    assert many.passes[1] == ["Ben", "Cleo"]


def test_who_waited_too_long_is_told_and_not_computed(many):
    capacity = Capacity(1, 10, 0.05)
    together = Together(capacity, many, share=1)

    async def scenario():
        with capacity.place():
            first = asyncio.ensure_future(together.run("first", str))
            await asyncio.to_thread(many.begun.wait, LONG_S)
            found = await asyncio.gather(first, together.run("late", str), return_exceptions=True)
        assert [one.code for one in found] == ["too_slow", "too_slow"]
        assert capacity.taken == 1, "of the one that still runs"
        many.go.set()
        while capacity.taken:  # noqa: ASYNC110 - the thread's end is what is waited for
            await asyncio.sleep(0.01)
        return await together.run("next", str)

    assert asyncio.run(asyncio.wait_for(scenario(), LONG_S)) == "nextnext"
    capacity.close()
    assert many.passes == [["first"], ["next"]]


def test_a_server_that_ends_leaves_nobody_waiting(many):
    capacity = Capacity(1, 10, LONG_S)
    together = Together(capacity, many, share=1)

    async def scenario():
        first = asyncio.ensure_future(together.run("first", str))
        await asyncio.to_thread(many.begun.wait, LONG_S)
        other = asyncio.ensure_future(together.run("other", str))
        await asyncio.sleep(0)
        threading.Timer(0.05, many.go.set).start()
        await asyncio.to_thread(capacity.close)
        assert await first == "firstfirst"
        with pytest.raises(asyncio.CancelledError):
            await other

    asyncio.run(asyncio.wait_for(scenario(), LONG_S))


class _Model:
    """A classifier that notes how it was asked."""

    def __init__(self, name):
        self.bundle, self.asked = SimpleNamespace(identity=name), []

    def classify(self, content, name=""):
        self.asked.append(name)
        return Prediction(name, "", self.bundle.identity, Status.ABSTAINED)

    def classify_together(self, pictures):
        self.asked.append([name for _, name in pictures])
        return [Prediction(name, "", self.bundle.identity, Status.ABSTAINED) for _, name in pictures]


def _upload(name, *, too_large=False):
    return Upload(name, b"" if too_large else b"content", too_large=too_large)


def test_files_over_the_limit_keep_their_places_among_the_others():
    model = _Model("m")
    uploads = [_upload("a"), _upload("b", too_large=True), _upload("c")]
    found = predict_together([(model, upload) for upload in uploads], Settings())
    assert [one.image for one in found] == ["a", "b", "c"]
    assert [one.status for one in found] == [Status.ABSTAINED, Status.UNREADABLE, Status.ABSTAINED]
    assert model.asked == [["a", "c"]]
    alone = predict_together([(model, upload) for upload in uploads[1:2] * 2], Settings())
    assert [one.status for one in alone] == [Status.UNREADABLE] * 2
    assert model.asked == [["a", "c"]], "nothing to ask about"


def test_each_is_answered_by_the_model_that_its_request_found():
    old, new = _Model("old"), _Model("new")
    found = predict_together([(old, _upload("a")), (new, _upload("b"))], Settings())
    assert [one.bundle for one in found] == ["old", "new"]
    assert (old.asked, new.asked) == (["a"], ["b"])


class _Held:
    """A classifier whose first picture waits for its test, and which notes how many it was asked about at once."""

    def __init__(self, classifier):
        self.bundle, self.operating_point = classifier.bundle, classifier.operating_point
        self._classifier, self.asked = classifier, []
        self.begun, self.go = threading.Event(), threading.Event()

    def classify(self, content, name="", **more):
        if name == "first.jpg":
            self.begun.set()
            self.go.wait(LONG_S)
        return self._classifier.classify(content, name, **more)

    def classify_together(self, items):
        self.asked.append(len(items))
        return self._classifier.classify_together(items)


def test_requests_that_wait_are_answered_together_and_each_with_its_own_picture(
    make_client, toy_classifier, lesion_jpeg
):
    held = _Held(toy_classifier)
    client = make_client(held, workers=1, max_waiting=8)
    desk = client.app.state.desk
    desk.capacity.workers = 2  # crowded, though one thread works: several at a time have a core each
    contents = [lesion_jpeg + bytes(number) for number in range(6)]  # what follows the picture is passed over

    def ask(name, content):
        return client.post("/api/v1/classify", files=[("pictures", (name, content))]).json()["results"]

    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(ask, "first.jpg", contents[0])
        try:
            assert held.begun.wait(LONG_S)
            others = [threads.submit(ask, f"{number}.jpg", contents[number]) for number in range(1, 6)]
            end = time.monotonic() + LONG_S
            while len(desk.together._waiting) < 5:
                assert time.monotonic() < end
                time.sleep(0.01)
        finally:
            held.go.set()
        answers = [first.result(LONG_S), *(one.result(LONG_S) for one in others)]
    assert [one["image"] for (one,) in answers] == ["first.jpg", *(f"{number}.jpg" for number in range(1, 6))]
    assert [one["sha256"] for (one,) in answers] == [hashlib.sha256(content).hexdigest() for content in contents]
    assert len({one["malignant_probability"] for (one,) in answers}) == 1
    assert held.asked == [4, 1]
