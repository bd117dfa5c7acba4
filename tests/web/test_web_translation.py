"""Both languages are whole, agree, and are chosen as the reader wishes."""

import datetime as dt
import html
import re

import pytest
from babel.messages.catalog import Catalog

import translations as tool
from dermaloop.core import quality
from dermaloop.core.bundle import OperatingPoint
from dermaloop.core.image import REASONS
from dermaloop.core.manifest_row import SITES
from dermaloop.core.prediction import Reason
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.web import translation, wording
from dermaloop.web.errors import STATUS, TITLE, WebError, problem
from support.hostile import hostile_files
from support.toy import toy_spec

POINT: OperatingPoint = toy_spec().operating_points[0]
OTHERS = [code for code in translation.codes() if code != translation.SOURCE]


@pytest.fixture(scope="module")
def wanted():
    return tool.template()


@pytest.fixture
def german():
    with translation.speaking("de"):
        yield


def _text(answer):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", answer.text)))


def test_english_and_german_ship():
    assert translation.codes()[:2] == ("en", "de")
    assert [translation.language(code).name for code in ("en", "de")] == ["English", "Deutsch"]
    with pytest.raises(KeyError):
        translation.language("../en")


@pytest.mark.parametrize("code", OTHERS)
def test_no_text_is_missing_or_fuzzy_or_has_other_gaps(wanted, code):
    told = tool.problems(wanted, tool.read(code))
    assert told == [], "run `make translations`, then fill in what it lists"


def test_extraction_reads_templates_modules_and_the_core(wanted):
    for text in (
        "Skip to content",
        "{done} of {total} pictures assessed.",
        "Suspicious: refer",
        "Melanoma",
        REASONS["pdf"],
        quality.TEXTS[0],
        TITLE["busy"],
    ):
        assert text in wanted
    assert ("Result", "Results") in {message.id for message in wanted}


def test_the_check_finds_each_kind_of_fault():
    wanted, catalog = Catalog(), Catalog(locale="de")
    for text in ("left out", "guessed", "gap %(n)s", "both {a}", "fine %(n)s"):
        wanted.add(text)
    catalog.add("guessed", "geraten", flags=["fuzzy"])
    catalog.add("gap %(n)s", "Lücke %(m)s")
    catalog.add("both {a}", "beide")
    catalog.add("fine %(n)s", "gut %(n)s")
    catalog.add("gone", "weg")
    assert [told.split(":")[0] for told in tool.problems(wanted, catalog)] == [
        "missing",
        "fuzzy",
        "gaps differ",
        "gaps differ",
        "no longer used",
    ]


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_can_be_filled_in(wanted, code):
    """A stray percent sign breaks a page only when its text is shown; here each is."""
    for message in tool.read(code):
        if not message.id or not tool.gaps(message.id):
            continue
        forms = message.string if isinstance(message.string, tuple) else (message.string,)
        for form in forms:
            if "%(" in form:
                assert form % dict.fromkeys(tool.gaps(message.id), "x")


@pytest.mark.parametrize(
    ("cookie", "header", "code"),
    [
        (None, None, "en"),
        (None, "de", "de"),
        (None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, "en-GB,de;q=0.9", "en"),
        (None, "en;q=0.2, de;q=0.5", "de"),
        (None, "fr, de;q=0", "en"),
        (None, "fr-CH, de;q=0.1", "de"),
        (None, "*", "en"),
        (None, ";;q=,,de;q=much", "en"),
        (None, "x" * 100_000 + ",de", "en"),
        ("de", "en", "de"),
        ("en", "de", "en"),
        ("klingon", "de", "de"),
        ("../de", None, "en"),
    ],
)
def test_the_cookie_decides_then_the_browser(cookie, header, code):
    assert translation.choose(cookie, header) == code


def test_numbers_shares_and_dates_are_written_as_the_reader_does(german):
    assert translation.number(1234.5) == "1.234,5"
    assert translation.number(0.714, 2) == "0,71"
    assert wording.percent(0.625) == "62\xa0%"
    assert wording.percent(0.0123) == "1,2\xa0%"
    assert wording.percent(0.00001) == "<0,1\xa0%"
    assert wording.percent(0.99999) == ">99,9\xa0%"
    assert wording.percents(0.18321, 0.18349) == ("18,32\xa0%", "18,35\xa0%")
    assert translation.date(dt.date(2026, 3, 4)) == "04.03.2026"
    noon = dt.datetime(2026, 3, 4, 12, 5).astimezone()
    assert translation.moment(noon) == "04.03.2026 12:05"
    with translation.speaking("en"):
        assert translation.number(1234.5) == "1,234.5"
        assert translation.date(dt.date(2026, 3, 4)) == "Mar 4, 2026"


def test_the_diagnoses_have_their_german_names(german):
    assert [wording.diagnosis_name(one) for one in Diagnosis] == [
        "Melanom",
        "Melanozytärer Nävus",
        "Basalzellkarzinom",
        "Aktinische Keratose / Carcinoma in situ (Morbus Bowen)",
        "Benigne Keratose",
        "Dermatofibrom",
        "Vaskuläre Läsion",
        "Plattenepithelkarzinom",
    ]


def test_every_code_has_words():
    assert set(wording.ADVICE) == set(STATUS) == set(TITLE)
    assert set(wording.SITES) == set(SITES)


def test_a_reason_that_carries_figures_is_worded_by_its_code(german):
    text = "The picture has too many pixels (9000 x 9000, at most 50 megapixels). Reduce its size and try again."
    said = wording.reason_said(Reason("too_many_pixels", text))
    assert said.text.startswith("Das Bild hat zu viele Pixel.")
    assert said.technical == text
    assert not said.foreign


def test_a_reason_that_nobody_has_translated_is_shown_as_english(german):
    said = wording.reason_said(Reason("new", "Something new."))
    assert (said.text, said.technical, said.foreign) == ("Something new.", "", True)
    with translation.speaking("en"):
        assert not wording.reason_said(Reason("new", "Something new.")).foreign


def test_a_problem_is_worded_by_its_code_and_keeps_its_own_words(german):
    document = problem(WebError("file_too_large", "'a.jpg' is larger than 32 MB", way_out="Export it."))
    said = wording.problem_said(document)
    assert said.text.startswith("Exportieren Sie das Bild als JPEG")
    assert said.technical == "'a.jpg' is larger than 32 MB. Export it."
    with translation.speaking("en"):
        assert wording.problem_said(document) == wording.Said("'a.jpg' is larger than 32 MB. Export it.")


def test_on_whom_it_was_measured_is_translated_where_it_is_said_in_the_usual_form(german):
    usual = "calibration split (ham10000 700, isic2017 151; 1694 lesions or patients)"
    assert wording.measured_on(_measured_on(usual)) == (
        "Kalibrierungsdaten (ham10000 700, isic2017 151; 1.694 Läsionen oder Patienten)"
    )
    assert wording.measured_on(_measured_on("drawn lesions.")) == "drawn lesions"


def _measured_on(measured_on):
    return POINT.model_copy(update={"measured_on": measured_on})


PAGES = ("/", "/model", "/api/docs", "/sample/irregular", "/sample/everyday", "/nothing", "/sample/nothing")


@pytest.mark.parametrize("path", PAGES)
def test_every_page_speaks_german_and_says_what_it_is(client, path):
    page = client.get(path, headers={"Accept-Language": "de-DE,de;q=0.9"})
    assert page.headers["content-language"] == "de"
    assert '<html lang="de">' in page.text
    assert "Entscheidungsunterstützung für Forschungszwecke. Kein Medizinprodukt." in page.text
    assert "Zum Inhalt springen" in page.text
    assert "Decision support for research use. Not a medical device." in client.get(path).text


def _foreign(page):
    """The words of a page outside of what it marks as English, and outside of names."""
    page = page.partition("<body>")[2]
    page = re.sub(r'<(\w+)[^>]*\blang="en"[^>]*>.*?</\1>', " ", page, flags=re.DOTALL)
    page = re.sub(r"<(script|svg|code)\b.*?</\1>", " ", page, flags=re.DOTALL)
    shown = " ".join(re.findall(r'(?:aria-label|alt|title|data-\w+)="([^"]*)"', page)) + re.sub(r"<[^>]+>", " ", page)
    return set(re.findall(r"\b(?:the|and|of|with|picture|pictures|is|this|not|by)\b", html.unescape(shown)))


@pytest.mark.parametrize(
    "path",
    ["/", "/sample/irregular", "/sample/everyday", "/nothing", "/model", "/api/docs", "/account", "/people"],
)
def test_no_english_is_left_on_a_german_page(client, path):
    page = client.get(path, headers={"Accept-Language": "de"}).text
    assert _foreign(client.get(path).text), "the test would not see English"
    page = page.replace("drawn lesions", "").replace("CC BY-NC 4.0, non-commercial research", "")
    assert _foreign(page) == set()


def test_a_result_says_all_in_german(client, lesion_jpeg, blank_png):
    headers = {"Accept-Language": "de"}
    files = [
        ("pictures", ("a.jpg", lesion_jpeg)),
        ("pictures", ("b.png", blank_png)),
        ("pictures", ("c.jpg", b"%PDF-1")),
    ]
    answer = client.post("/assess", files=files, headers=headers)
    text = _text(answer)
    assert re.search("Verdächtig: Überweisung empfohlen|Unter der Überweisungsschwelle", text)
    assert "Melanozytärer Nävus" in text
    assert "Sensitivität 96\xa0% (95-%-Intervall 90\xa0% bis 99\xa0%; 48 maligne Läsionen)." in html.unescape(
        answer.text
    )
    assert "Das Bild ist unscharf. Halten Sie die Kamera ruhig" in text
    assert "blurred : 1,00, Grenzwert 0,99" in text.replace("blurred:", "blurred :")
    assert "Das ist ein PDF-Dokument, kein Bild." in text
    assert "Ähnlichkeit 0," in text or "Ähnlichkeit 1," in text


HOSTILE = {name: pair for name, pair in hostile_files().items() if pair[1]}


def test_each_hostile_file_gets_its_reason_in_german(client):
    for name, (content, reason) in HOSTILE.items():
        answer = client.post("/assess/part", files=[("pictures", (name, content))], headers={"Accept-Language": "de"})
        with translation.speaking("de"):
            words = translation.gettext(REASONS[reason])
        assert html.escape(words, quote=False) in answer.text or words in html.unescape(answer.text), name
        assert _foreign(answer.text.replace(html.escape(name), "")) <= {"the", "is", "of"}, name


def test_the_switch_keeps_the_choice_and_leads_back(client):
    page = client.get("/model").text
    assert '<form method="post" action="/language/de?to=/model">' in page
    assert '<span lang="en" aria-current="true">English</span>' in page
    answer = client.post("/language/de?to=/model", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/model")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("language=de;")
    for attribute in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=31536000"):
        assert attribute in cookie
    assert "Modellkarte" in client.get("/model", headers={"Accept-Language": "en"}).text
    client.post("/language/en?to=/model")
    assert "Modellkarte" not in client.get("/model", headers={"Accept-Language": "de"}).text


@pytest.mark.parametrize(
    ("to", "where"),
    [
        ("/model", "/model"),
        ("/worklist?state=open&page=2", "/worklist?state=open&page=2"),
        ("https://elsewhere.example/", "/"),
        ("//elsewhere.example/", "/"),
        ("/\\elsewhere.example/", "/"),
        ("/\t/elsewhere.example/", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_the_switch_leads_nowhere_else(client, to, where):
    answer = client.post("/language/de", params={"to": to}, follow_redirects=False)
    assert answer.headers["location"] == where


def test_a_language_that_does_not_ship_is_refused(client):
    answer = client.post("/language/xx")
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers


def test_the_api_is_english_for_everyone(client):
    headers = {"Accept-Language": "de"}
    client.cookies.set("language", "de")
    answer = client.post("/api/v1/classify", files=[("pictures", ("a", b"%PDF-1"))], headers=headers)
    assert answer.json()["results"][0]["reasons"][0]["text"].startswith("This is a PDF document")
    assert answer.json()["disclaimer"] == wording.DISCLAIMER
    assert answer.headers["content-language"] == "en"
    refused = client.post("/api/v1/classify", headers=headers)
    assert refused.json()["title"] == TITLE["not_multipart"]


def test_an_error_before_the_router_is_answered_in_the_readers_language(client):
    headers = {"Accept-Language": "de", "Sec-Fetch-Site": "cross-site"}
    answer = client.post("/assess", headers=headers)
    assert answer.status_code == 403
    assert "Die Anfrage kam von einer anderen Website" in answer.text
    assert '<p lang="en">Another site tried to use this server.' in answer.text


def test_requests_at_the_same_time_do_not_share_a_language(client):
    assert client.get("/", headers={"Accept-Language": "de"}).headers["content-language"] == "de"
    assert client.get("/").headers["content-language"] == "en"
    assert translation.current().code == "en"
