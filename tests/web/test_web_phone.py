"""The phone flow without a browser: the address in the code, what the link opens and when it ends, what one is told."""

import re
from datetime import timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from dermaloop.cases import phone
from dermaloop.cases.actor import system
from dermaloop.cases.practice import Practice, change_practice
from dermaloop.cases.roles import Role
from dermaloop.cases.tables import ImageRow, PredictionRow, PredictionViewRow
from dermaloop.core.quality import TEXTS
from dermaloop.core.synthetic import draw_lesion
from dermaloop.web import phone_check
from dermaloop.web.phone_address import phone_address
from dermaloop.web.settings import Settings
from support.hostile import save
from support.visits import new_case

REACHABLE = {"host": "0.0.0.0", "names": "clinic.example.org"}


@pytest.fixture
def blurred(blank_png):
    """A picture that the toy bundle's limits call blurred."""
    return blank_png


@pytest.fixture
def clinic(make_client, lesion_jpeg):
    """A client of a server that phones can reach, with a case; the client of a phone; and their link."""
    client = make_client(**REACHABLE)
    case = new_case(client, ("a.jpg", lesion_jpeg))
    return client, case


def begin(client, case, **kind):
    """Shows the code; gives the phone's path."""
    page = client.post(f"{case}/phone", data={"image_type": "clinical: close-up", **kind})
    assert page.status_code == 200, page.text
    (where,) = re.findall(r"<code class=\"secret\"[^>]*>(\S+)</code>", page.text)
    return re.fullmatch(r"http://clinic\.example\.org:8000(/phone/[\w-]{40,})", where)[1]


def as_phone(client):
    """The same server, from a browser that carries nothing."""
    client.cookies.clear()
    del client.headers["X-Form-Token"]
    return client


def take(client, place, content, **texts):
    """Sends a picture as the phone's script does."""
    return client.post(f"{place}/part", data=texts, files=[("pictures", ("IMG_1.jpg", content))])


def pictures(store):
    """How many pictures the records have."""
    with store.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(ImageRow))


def test_a_phone_adds_pictures_without_signing_in(clinic, store, blurred):
    client, case = clinic
    place = begin(client, case)
    as_phone(client)
    page = client.get(place)
    assert page.status_code == 200
    assert "Lesion 1" in page.text
    assert "P-0174" not in page.text, "nothing of the patient"
    assert 'capture="environment"' in page.text
    answer = take(client, place, blurred)
    assert "Blurred: hold still, go closer, and tap the lesion to focus." in answer.text
    assert 'data-kept="no"' in answer.text
    assert pictures(store) == 1, "nothing was stored"
    kept = take(client, place, blurred, anyway="yes")
    assert 'data-kept="yes"' in kept.text
    good = take(client, place, save(draw_lesion(8, size_px=200), "JPEG"))
    assert "Good picture. Added to the case." in good.text
    assert "2 pictures added" in good.text
    assert not re.search("refer|malignan|%", re.sub(r"<[^>]+>", "", good.text)), "the model is a second reader"
    assert pictures(store) == 3
    with store.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(PredictionRow)) == 3
        assert session.scalar(sa.select(sa.func.count()).select_from(PredictionViewRow)) == 1, (
            "the case's own first look"
        )
    assert client.get(case).status_code in {303, 401, 200}
    assert "/signin" in str(client.get(case).url), "the link opens nothing else"


def test_what_came_is_seen_on_the_screen(clinic):
    client, case = clinic
    place = begin(client, case)
    (news,) = re.findall(r'data-news="([^"]+)"', client.post(f"{case}/phone", data={"image_type": "dermoscopic"}).text)
    assert client.get(place).status_code == 410, "a new code ends the one before"
    page = client.post(f"{case}/phone", data={"image_type": "dermoscopic"}).text
    place = re.search(r"(/phone/[\w-]{40,})", page)[1]
    (news,) = re.findall(r'data-news="([^"]+)"', page)
    assert "Nothing yet" in client.get(f"{news}?seen=0").text
    take(client, place, save(draw_lesion(8, size_px=200), "JPEG"))
    fresh = client.get(f"{news}?seen=0").text
    assert "1 picture came in." in fresh
    assert fresh.count("small.jpg") == 1, "what was there before is not news"
    assert "small.jpg" not in client.get(f"{news}?seen=1").text
    assert client.post(f"{case}/phone/end").url.path == case
    assert client.get(place).status_code == 410
    assert 'data-works="no"' in client.get(f"{news}?seen=1").text


def test_the_plain_form_does_without_a_script(clinic, blurred):
    client, case = clinic
    place = begin(client, case)
    as_phone(client)
    files = [("pictures", ("a.jpg", save(draw_lesion(8, size_px=200), "JPEG"))), ("pictures", ("b.png", blurred))]
    page = client.post(place, files=files).text
    assert "Good picture." in page
    assert "Not added yet" in page
    assert "<h1>" in page
    assert "cannot be read" in client.post(place, files=[("pictures", ("c.jpg", b"no picture"))]).text


def test_the_model_s_answer_is_shown_where_the_practice_says_so(clinic, store):
    client, case = clinic
    content = save(draw_lesion(4, size_px=300, malignant=True), "PNG")
    for practice, shown in (
        (Practice(show_answer_on_phone=True), True),
        (Practice(show_answer_on_phone=True, hide_answer_until_impression=True), False),
        (Practice(), False),
    ):
        with store.database.begin() as session:
            change_practice(session, system("test"), practice)
        place = begin(client, case)
        before = _views(store)
        answer = take(client, place, content).text
        assert ("The model:" in answer) is shown, practice
        assert (_views(store) > before) is shown, "who sees it has seen it"


def _views(store):
    with store.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(PredictionViewRow))


def test_a_link_that_is_over_adds_nothing(clinic, store, monkeypatch):
    client, case = clinic
    monkeypatch.setattr(phone, "LIFETIME", timedelta(0))
    place = begin(client, case)
    answer = take(as_phone(client), place, save(draw_lesion(8, size_px=200), "JPEG"))
    assert answer.status_code == 410
    assert pictures(store) == 1


def test_an_overview_is_kept_and_not_assessed(clinic, store):
    client, case = clinic
    place = begin(client, case, image_type="clinical: overview")
    assert 'data-kept="yes"' in take(client, place, save(draw_lesion(8, size_px=200), "JPEG")).text
    with store.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(PredictionRow)) == 1


def test_guessing_is_refused_and_limits_hold(clinic, monkeypatch, lesion_jpeg):
    client, case = clinic
    place = begin(client, case)
    as_phone(client)
    assert take(client, place, b"x" * (33 * 1024 * 1024)).text.count("larger than") == 1
    assert client.post(f"{place}/part", data={"anyway": "yes"}).status_code in {415, 422}
    many = [("pictures", (f"{number}.jpg", lesion_jpeg)) for number in range(21)]
    assert client.post(f"{place}/part", files=many).status_code == 413
    answer = client.post(f"{place}/part", files=many[:1], headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    statuses = [client.get(f"/phone/{number}").status_code for number in range(phone.WRONG.amount + 1)]
    assert statuses == [410] * phone.WRONG.amount + [429]
    assert client.get(place).status_code == 200, "the right one still works"


def test_a_server_for_this_computer_only_says_what_to_do(client, lesion_jpeg):
    case = new_case(client, ("a.jpg", lesion_jpeg))
    for page in (client.get(f"{case}/phone"), client.post(f"{case}/phone", data={"image_type": "dermoscopic"})):
        assert "No phone can reach this server" in page.text
        assert "--tls-certificate" in page.text
        assert "<img" not in page.text


@pytest.mark.parametrize(
    ("settings", "reached_by", "expected"),
    [
        ({}, "http://127.0.0.1:8000", None),
        ({"host": "localhost"}, "http://localhost:8000", None),
        (REACHABLE, "http://clinic.example.org:8000", "http://clinic.example.org:8000"),
        (REACHABLE, "http://127.0.0.1:8000", "http://clinic.example.org:8000"),
        ({**REACHABLE, "tls_certificate": "c.pem"}, "http://127.0.0.1:8000", "https://clinic.example.org:8000"),
        ({"behind_proxy": "127.0.0.1"}, "http://clinic.example.org", "https://clinic.example.org"),
        ({"behind_proxy": "127.0.0.1", "names": "a.org"}, "http://127.0.0.1:8000", "https://a.org"),
        ({"host": "0.0.0.0", "names": "localhost"}, "http://127.0.0.1:8000", None),
        ({"host": "::", "names": "2001:db8::1"}, "http://[::1]:80", "http://[2001:db8::1]:80"),
    ],
)
def test_the_code_holds_an_address_that_a_phone_can_reach(settings, reached_by, expected):
    scheme, _, netloc = reached_by.partition("://")
    host, _, port = netloc.rpartition(":") if re.search(r":\d+$", netloc) else (netloc, "", "")
    url = SimpleNamespace(scheme=scheme, netloc=netloc, hostname=host.strip("[]"), port=int(port) if port else None)
    assert phone_address(SimpleNamespace(url=url), Settings(**settings)) == expected


def test_every_reason_about_a_picture_has_few_words():
    codes = {"blurred", "noisy", "underexposed", "overexposed", "border", "hair", "ruler", "ink"}
    assert codes < set(phone_check.WORDS)
    assert len(TEXTS) >= len(codes)
    assert all(len(words) <= 80 for words in phone_check.WORDS.values())
    assert "ambiguous" not in phone_check.WORDS


def test_only_clinicians_show_a_code(make_client, clinic):
    client, case = clinic
    viewer = make_client(role=Role.VIEWER, **REACHABLE)
    assert viewer.get(f"{case}/phone").status_code == 403
    assert viewer.post(f"{case}/phone", data={"image_type": "dermoscopic"}).status_code == 403
    assert client.get(f"{case}/phone").status_code == 200
