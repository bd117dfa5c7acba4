"""Screening lists: taken in, assessed in the background behind requests, shown, downloaded, given to patients, deleted."""

import csv
import io
import re
import threading
import time

import pytest

from dermaloop.cases import job_arrivals, job_queue, jobs
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.roles import Role
from dermaloop.cases.strip import strip
from dermaloop.core.prediction import COLUMNS
from support.people import sign_in
from support.visits import new_lesion, new_patient


def _begin(client, name="Left arms"):
    answer = client.post("/screenings", data={"name": name})
    assert answer.status_code == 200, answer.text
    return answer.url.path


def _send(client, place, *files, **texts):
    return client.post(f"{place}/pictures/part", data=texts, files=[("pictures", one) for one in files])


def _until_done(client, place, within_s=30):
    """Waits until nothing of a list waits."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        page = client.get(f"{place}/progress/part").text
        if 'data-waiting="0"' in page:
            return page
        time.sleep(0.02)
    raise AssertionError(page)


def _rows(client, place):
    return list(csv.DictReader(io.StringIO(client.get(f"{place}/results.csv").text)))


def test_a_list_is_taken_in_assessed_and_downloaded(client, toy_classifier, lesion_jpeg, blank_png):
    place = _begin(client)
    paths = ["arm/one.jpg", "arm/deep/blank.png", "notes.jpg"]
    files = [("one.jpg", lesion_jpeg), ("blank.png", blank_png), ("notes.jpg", b"no picture")]
    assert _send(client, place, *files, path=paths, expected="3").status_code == 204
    _until_done(client, place)
    table = _rows(client, place)
    assert tuple(table[0]) == COLUMNS
    assert [row["image"] for row in table] == paths
    for row, (_, content) in zip(table, files, strict=True):
        alone = toy_classifier.classify(content, row["image"]).row()
        assert row == {name: "" if value is None else str(value) for name, value in alone.items()}
    page = client.get(place).text
    assert [page.index(name) for name in paths] == sorted(page.index(name) for name in paths), "most suspicious first"
    assert "not_a_picture" in page or "unreadable" in page
    assert re.search(r"Finished\.", page)
