"""Screening lists: taken in, assessed behind requests, shown, downloaded, given to patients, deleted."""

import asyncio
import csv
import io
import re
import threading
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from dermaloop.cases import job_queue, jobs
from dermaloop.cases.database import now
from dermaloop.cases.job_tables import JobItemRow, JobRow
from dermaloop.cases.roles import Role
from dermaloop.core.prediction import COLUMNS
from dermaloop.core.synthetic import draw_lesion
from dermaloop.web.app import create_app
from dermaloop.web.capacity import Capacity
from dermaloop.web.settings import Settings
from support.hostile import save
from support.people import sign_in
from support.visits import new_lesion, new_patient

BASE = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def lesions():
    """Six small drawn lesions."""
    return [save(draw_lesion(seed, size_px=96, malignant=seed % 2 == 0), "JPEG") for seed in range(6)]


def begin(client, name="Left arms"):
    """A new list; gives the path of its page."""
    answer = client.post("/screenings", data={"name": name})
    assert answer.status_code == 200, answer.text
    return answer.url.path


def send(client, place, *files, **texts):
    """Sends files as the page's script does."""
    return client.post(f"{place}/pictures/part", data=texts, files=[("pictures", one) for one in files])


def until_done(client, place, within_s=180):
    """Waits until nothing of a list waits."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        page = client.get(f"{place}/progress/part").text
        if 'data-waiting="0"' in page:
            return page
        time.sleep(0.02)
    raise AssertionError(page)


def rows(client, place):
    """The list as a table."""
    return list(csv.DictReader(io.StringIO(client.get(f"{place}/results.csv").text)))


class Held:
    """A classifier that answers when it is let, and notes in which order it was asked."""

    def __init__(self, classifier):
        self._classifier = classifier
        self.bundle, self.operating_point = classifier.bundle, classifier.operating_point
        self.go = threading.Event()
        self.asked = []

    def classify(self, content, name="", **more):
        self.asked.append(name)
        if name != "warm-up" and not name.startswith("urgent"):
            assert self.go.wait(180)
        return self._classifier.classify(content, name, **more)


def test_a_list_is_taken_in_assessed_and_downloaded(client, toy_classifier, lesion_jpeg, blank_png):
    place = begin(client)
    paths = ["arm/one.jpg", "arm/deep/blank.png", "notes.jpg"]
    files = [("one.jpg", lesion_jpeg), ("blank.png", blank_png), ("notes.jpg", b"no picture")]
    assert send(client, place, *files, path=paths, expected="3").status_code == 204
    assert send(client, place, *files, path=paths, expected="3").status_code == 204, "sent twice, there once"
    until_done(client, place)
    table = rows(client, place)
    assert tuple(table[0]) == COLUMNS
    assert [row["image"] for row in table] == paths
    for row, (_, content) in zip(table, files, strict=True):
        alone = toy_classifier.classify(content, row["image"]).row()
        assert row == {name: "" if value is None else str(value) for name, value in alone.items()}
    page = client.get(place).text
    assert [page.index(f">{name}</a>") for name in paths] == sorted(page.index(f">{name}</a>") for name in paths)
    assert "Finished." in page
    assert '<span class="reason-code">blurred</span>' in page
    assert client.get(f"{place}/arrived").json() == [
        [path, len(content)] for path, (_, content) in zip(paths, files, strict=True)
    ]
    failed = client.get(f"{place}?show=failed").text
    assert "notes.jpg" in failed
    assert "arm/one.jpg" not in failed
    assert "3 of 3 assessed" in client.get("/screenings").text


def test_a_name_that_a_spreadsheet_would_run_is_text(client, lesions):
    place = begin(client)
    send(client, place, ("a.jpg", lesions[0]), path=["=HYPERLINK(1)<script>alert(1)</script>.jpg"])
    until_done(client, place)
    assert rows(client, place)[0]["image"].startswith("'=HYPERLINK")
    assert "<script>alert" not in client.get(place).text


def test_the_plain_form_does_without_a_script(client, lesions):
    place = begin(client)
    token = client.headers.pop("X-Form-Token")
    files = [("pictures", ("one.jpg", lesions[0])), ("pictures", ("two.jpg", lesions[1]))]
    answer = client.post(f"{place}/pictures", data={"form_token": token}, files=files)
    assert answer.url.path == place
    assert "two.jpg" in answer.text


def test_what_is_over_the_limit_is_listed_as_such(make_client, lesions):
    client = make_client(max_file_bytes=len(lesions[0]) + 1500)
    place = begin(client)
    answer = send(client, place, ("a.jpg", lesions[0]), ("b.jpg", b"x" * (len(lesions[0]) + 2000)))
    assert answer.status_code == 204
    until_done(client, place)
    assert [row["reasons"] for row in rows(client, place)] == ["", "too_large_bytes"]


def test_interactive_requests_go_first(make_client, toy_classifier, lesions):
    held = Held(toy_classifier)
    client = make_client(held, workers=1)
    place = begin(client)
    send(client, place, *((f"{number}.jpg", content) for number, content in enumerate(lesions[:3])))
    while "0.jpg" not in held.asked:
        time.sleep(0.01)
    answers = []
    threads = [
        threading.Thread(
            target=lambda number=number: answers.append(
                client.post("/api/v1/classify", files=[("pictures", (f"urgent-{number}.jpg", lesions[3]))])
            )
        )
        for number in range(3)
    ]
    for thread in threads:
        thread.start()
    capacity = client.app.state.desk.capacity
    while capacity.taken < 3:
        time.sleep(0.01)
    assert capacity.background == 1
    held.go.set()
    for thread in threads:
        thread.join()
    until_done(client, place)
    assert [one.status_code for one in answers] == [200] * 3
    order = [name for name in held.asked if name != "warm-up"]
    assert order[0] == "0.jpg"
    assert sorted(order[1:4]) == ["urgent-0.jpg", "urgent-1.jpg", "urgent-2.jpg"], "before what had waited longer"
    assert order[4:] == ["1.jpg", "2.jpg"]


def test_one_worker_is_always_left_to_requests():
    async def try_out():
        capacity = Capacity(3, 2, 10)
        inside, most, over = 0, 0, asyncio.Event()

        async def background():
            nonlocal inside, most
            async with capacity.spare():
                inside += 1
                most = max(most, inside)
                await over.wait()
                inside -= 1

        tasks = [asyncio.create_task(background()) for _ in range(5)]
        await asyncio.sleep(0)
        with capacity.place():
            await asyncio.sleep(0)
            assert inside == 2
        over.set()
        await asyncio.gather(*tasks)
        with capacity.place(), capacity.place(), capacity.place():
            waiting = asyncio.create_task(background())
            await asyncio.sleep(0)
            assert capacity.background == 0
        await asyncio.wait_for(waiting, 60)
        capacity.close()
        return most

    assert asyncio.run(try_out()) == 2


def _let_go_when_stopping(desk, held):
    while not desk.screening._stopping:
        time.sleep(0.01)
    held.go.set()


def test_a_server_that_stops_gives_back_and_the_next_one_goes_on(make_client, toy_classifier, store, lesions):
    held = Held(toy_classifier)
    with TestClient(create_app(Settings(workers=1), held, store), base_url=BASE) as first:
        sign_in(first, Role.CLINICIAN)
        place = begin(first)
        send(first, place, *((f"{number}.jpg", content) for number, content in enumerate(lesions)))
        while "0.jpg" not in held.asked:
            time.sleep(0.01)
        stopping = threading.Thread(target=_let_go_when_stopping, args=(first.app.state.desk, held))
        stopping.start()
    stopping.join()
    assert [name for name in held.asked if name != "warm-up"] == ["0.jpg"], "what was in hand, and no more"
    with store.database.read() as session:
        assert job_queue.someone_waits(session)
    second = make_client(held)
    until_done(second, place)
    assert held.asked.count("0.jpg") == 1, "it had been written down"
    assert len(rows(second, place)) == len(lesions)


def test_a_defect_in_one_picture_stops_no_other(make_client, toy_classifier, lesions, monkeypatch, caplog):
    class Broken(Held):
        def classify(self, content, name="", **more):
            if name == "1.jpg":
                raise RuntimeError("a defect")
            return super().classify(content, name, **more)

    monkeypatch.setattr("dermaloop.web.screening._RETRY_S", 0.01)
    broken = Broken(toy_classifier)
    broken.go.set()
    client = make_client(broken)
    place = begin(client)
    send(client, place, *((f"{number}.jpg", content) for number, content in enumerate(lesions[:3])))
    until_done(client, place)
    assert [row["reasons"] for row in rows(client, place)] == ["", "gave_up", ""]
    assert caplog.text.count("was not assessed") == jobs.MOST_TRIES


def test_a_list_is_stopped_goes_on_and_is_deleted(make_client, toy_classifier, store, lesions):
    held = Held(toy_classifier)
    client = make_client(held, workers=1)
    place = begin(client, "To be deleted")
    send(client, place, *((f"{number}.jpg", content) for number, content in enumerate(lesions[:2])))
    assert 'form="resume"' in client.post(f"{place}/cancel").text
    assert send(client, place, ("3.jpg", lesions[3])).status_code == 409
    assert 'form="cancel"' in client.post(f"{place}/resume").text
    held.go.set()
    until_done(client, place)
    assert len(rows(client, place)) == 2
    sign_in(client, Role.CLINICIAN, "another")
    assert client.post(f"{place}/delete").status_code == 403
    sign_in(client, Role.LEAD)
    assert "No list yet." in client.post(f"{place}/delete").text
    assert client.get(place).status_code == 404
    assert list(store.images.entries()) == []


def test_a_picture_is_given_to_a_patient(client, lesions):
    place = begin(client)
    send(client, place, ("one.jpg", lesions[0]))
    until_done(client, place)
    item = re.search(r'href="(/screening-pictures/[^"]+)"', client.get(place).text)[1]
    lesion = new_lesion(client, new_patient(client, pseudonym="P-77"), label="left scapula")
    assert "There is no patient" in client.get(f"{item}?pseudonym=P-7").text
    page = client.get(f"{item}?pseudonym=p-77").text
    assert "Lesion 1, left scapula" in page
    form = {"lesion_id": lesion.rsplit("/", 1)[1], "image_type": "dermoscopic", "pseudonym": "P-77"}
    late = client.post(f"{item}/file", data={**form, "visited_on": "2999-01-01"})
    assert late.status_code == 422
    assert 'aria-invalid="true"' in late.text
    case = client.post(f"{item}/file", data={**form, "visited_on": "2026-03-01"})
    assert case.url.path.startswith("/cases/")
    assert "Probability of malignancy" in case.text
    assert case.url.path in client.get(place).text
    again = client.post(f"{item}/file", data={**form, "visited_on": "2026-03-01"})
    assert again.status_code == 409
    for kind, media_type in (("picture", "image/jpeg"), ("small.jpg", "image/jpeg"), ("heatmap.png", "image/png")):
        answer = client.get(f"{item}/{kind}")
        assert answer.headers["content-type"] == media_type
        known = client.get(f"{item}/{kind}", headers={"If-None-Match": answer.headers["etag"]})
        assert known.status_code in {200, 304}


@pytest.mark.parametrize("query", ["show=x", "order=x", "page=0", "page=x", "page=99999999999"])
def test_parts_of_a_list_that_are_none(client, query):
    assert client.get(f"{begin(client)}?{query}").status_code == 422


def test_a_list_that_is_not_there_takes_nothing(client, lesions, store):
    nowhere = "/screenings/00000000-0000-4000-8000-000000000000"
    assert send(client, nowhere, ("a.jpg", lesions[0])).status_code == 404
    assert list(store.images.entries()) == []


def test_a_file_that_is_too_large_to_be_sent_stays_in_the_list_with_its_reason(make_client, lesion_jpeg):
    client = make_client(max_file_bytes=len(lesion_jpeg))
    place = begin(client)
    sizes = [str(len(lesion_jpeg) + 1), "99999999999"]
    told = {"path": ["arm/huge.tif", "arm/<b>vast.tif"], "bytes": sizes, "expected": "3"}
    for _ in range(2):
        assert client.post(f"{place}/too-large/part", data=told).status_code == 204
    send(client, place, ("a.jpg", lesion_jpeg), ("large.jpg", lesion_jpeg + b"x"), path=["a.jpg", "large.jpg"])
    page = until_done(client, place)
    assert "4 of 4 pictures are assessed. Finished." in page
    table = {row["image"]: row for row in rows(client, place)}
    assert list(table) == ["arm/huge.tif", "arm/<b>vast.tif", "a.jpg", "large.jpg"]
    for name in ("arm/huge.tif", "arm/<b>vast.tif", "large.jpg"):
        assert (table[name]["status"], table[name]["reasons"]) == ("unreadable", "too_large_bytes")
    failed = client.get(f"{place}?show=failed").text
    assert "arm/huge.tif" in failed
    assert "Export it as JPEG" in failed
    assert "<b>vast" not in failed
    assert ["arm/huge.tif", len(lesion_jpeg) + 1] in client.get(f"{place}/arrived").json(), "so it is not told again"


@pytest.mark.parametrize(
    "told",
    [
        {"expected": "1"},
        {"path": "a.jpg"},
        {"path": "a.jpg", "bytes": "12"},
        {"path": "a.jpg", "bytes": "-99999999999"},
        {"path": "a.jpg", "bytes": "9" * 16},
        {"path": ["a.jpg", "b.jpg"], "bytes": "99999999999"},
    ],
)
def test_what_is_said_to_be_too_large_has_to_be(client, told):
    place = begin(client)
    assert client.post(f"{place}/too-large/part", data=told).status_code == 422
    assert client.get(f"{place}/arrived").json() == []


def test_the_server_deletes_what_has_expired_and_the_page_says_that_it_will(make_client, store, lesion_jpeg):
    client = make_client()
    place = begin(client)
    send(client, place, ("a.jpg", lesion_jpeg))
    until_done(client, place)
    assert "A list stays until somebody deletes it" in client.get(place).text
    with store.database.begin() as session:
        for table in (JobRow, JobItemRow):
            session.execute(sa.update(table).values(made_at=now() - timedelta(days=31)))
    keeping = make_client(screening_days=30)
    end = time.monotonic() + 180
    while keeping.get(place).status_code != 404 or list(store.images.entries()):  # files go after the rows
        assert time.monotonic() < end
        time.sleep(0.02)
    page = keeping.get("/screenings").text
    assert "No list yet." in page
    assert "A list is deleted 30 days after its last picture came" in page
