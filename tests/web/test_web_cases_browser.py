"""The workstation in a real Chromium: the whole way of a case, by pointer, by keyboard, and without a script."""

import io
import re

import pytest

from dermaloop.cases.roles import Role
from dermaloop.core.synthetic import draw_lesion
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from support.hostile import save
from support.live import chromium, serving
from support.people import PASSWORD, add_account, cookie, new_store

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pypdf = pytest.importorskip("pypdf", reason="pypdf, which reads the printed report, is not installed")
expect = playwright_api.expect
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with new_store(tmp_path_factory.mktemp("cases") / "store") as opened:
        yield opened


@pytest.fixture(scope="module")
def app(toy_classifier, store):
    # As a clinic sets it, so that phones reach it; nothing listens there, the tests come by loopback.
    return create_app(Settings(host="0.0.0.0", names="clinic.example.org"), toy_classifier, store)


@pytest.fixture(scope="module")
def address(app):
    with serving(app) as found:
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for number, malignant in ((4, True), (9, False), (2, True)):
        path = folder / f"{number}.jpg"
        path.write_bytes(save(draw_lesion(number, size_px=640, malignant=malignant), "JPEG", quality=90))
        paths.append(str(path))
    return paths


@pytest.fixture
def open_page(browser, app, address):
    """Opens a page, signed in, that records what must not happen: errors in the console, requests to elsewhere."""
    contexts = []

    def make(path, role=Role.LEAD, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        if role is not None:
            context.add_cookies([cookie(app, role, address)])
        page = context.new_page()
        page.problems = []
        page.on("console", lambda told: told.type in ("error", "warning") and page.problems.append(told.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on(
            "request",
            lambda request: request.url.startswith((address + "/", "data:")) or page.problems.append(request.url),
        )
        page.goto(address + path)
        return page

    yield make
    for context in contexts:
        for page in context.pages:
            assert page.problems == []
        context.close()


def _make_patient(page, pseudonym):
    page.get_by_role("link", name="New patient").first.click()
    page.get_by_label("Pseudonym").fill(pseudonym)
    page.get_by_label("Year of birth").fill("1957")
    page.get_by_label("Sex").select_option(label="female")
    page.get_by_label("Skin type (Fitzpatrick)").select_option(label="II")
    page.get_by_role("button", name="Make the patient").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Patient {pseudonym}")


def _make_lesion(page):
    page.get_by_role("link", name="New lesion").click()
    page.get_by_role("radio", name="Upper back, left (Back)").click()
    expect(page.locator(".body-said")).to_contain_text("Upper back, left")
    page.get_by_label("Name of the lesion").fill("left scapula")
    page.get_by_role("button", name="Make the lesion").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Lesion 1, left scapula")


def _add_visit(page, day, files):
    page.get_by_role("link", name="Add pictures").first.click()
    page.get_by_label("Day of the visit").fill(day)
    page.get_by_label("Size of a pixel").fill("0.02")
    page.get_by_label("Pictures", exact=True).set_input_files(files)
    page.get_by_role("button", name="Store and assess").click()
    expect(page.locator("article.result").first).to_be_visible()


def _sign_in(page, store):
    add_account(store, Role.LEAD, "Dr. Weber", PASSWORD)
    page.get_by_label("Name").fill("Dr. Weber")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Worklist").first.click()


def _by_phone(page, open_page, path):
    """Shows the code on the desk, and adds a picture from a phone that nobody is signed in on."""
    page.get_by_role("link", name="Add pictures by phone").click()
    page.get_by_role("button", name="Show the code").click()
    page.get_by_text("Without a camera").click()
    link = page.locator("code.secret").inner_text()
    phone = open_page("/phone/" + link.rpartition("/")[2], None, viewport={"width": 390, "height": 844}, is_mobile=True)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Pictures of Lesion 1, left scapula")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.locator("#camera").set_input_files(path)
    expect(phone.get_by_role("heading", name="Good picture. Added to the case.")).to_be_visible()
    expect(page.locator("#news-text")).to_have_text("1 picture came in.")
    page.get_by_role("button", name="Done: end the link").click()


def _write_impression_and_sign(page):
    page.get_by_label("Diagnosis").first.select_option(label="Melanoma")
    page.get_by_role("radio", name="Excision").check()
    page.get_by_label("What you see, and why").fill("Irregular network, several colours.")
    page.get_by_role("button", name="Write down the impression").click()
    expect(page.get_by_text("after seeing the model's answer")).to_be_visible()
    page.get_by_role("button", name="Sign off on the latest impression").click()
    expect(page.get_by_text(re.compile("Signed off by Dr. Weber"))).to_be_visible()


def _confirm(page):
    form = page.locator("#confirmed-form")
    expect(form.get_by_label("Malignancy of that term")).to_be_visible()
    form.get_by_label("Diagnosis").first.select_option(label="Melanoma")
    expect(form.get_by_label("Malignancy of that term")).to_be_hidden()
    form.get_by_label("Confirmed by").select_option(label="histopathology")
    form.get_by_label("Day of the finding").fill("2026-09-08")
    form.get_by_label("Reference of the document").fill("H-77/26")
    form.get_by_role("button", name="Write down the diagnosis").click()
    expect(page.get_by_text("Confirmed by: histopathology, Sep 8, 2026")).to_be_visible()


def _check_printed(page):
    """The report as the browser prints it: one page with all that a paper record needs."""
    (sheet,) = pypdf.PdfReader(io.BytesIO(page.pdf(format="A4"))).pages
    assert len({image.data for image in sheet.images}) >= 2, "the picture, and the heatmap over it"
    said = " ".join(sheet.extract_text().split())
    for wanted in (
        "P-0174",
        "1957, female, skin type II",
        "left scapula",
        "Suspicious: refer",
        "Estimated probability by diagnosis",
        "How the model performs at this threshold",
        "What it cannot tell",
        "Heatmap: where the evidence for malignancy lies",
        "Irregular network, several colours.",
        "Excision",
        "after seeing the model's answer",
        "Signed off on",
        "Dr. Weber",
        "Signature",
        "Not a medical device.",
    ):
        assert wanted in said, (wanted, said)


def test_a_case_from_signing_in_to_the_confirmed_diagnosis(open_page, files, store):
    page = open_page("/", None)
    _sign_in(page, store)
    _make_patient(page, "P-0174")
    _make_lesion(page)
    _add_visit(page, "2026-03-01", files[1])
    expect(page.get_by_role("link", name="Compare with before")).to_have_count(0)
    page.get_by_role("navigation", name="Where this is").get_by_role("link", name="Lesion 1").click()
    _add_visit(page, "2026-09-01", files[:2])
    expect(page.get_by_role("link", name="Compare with before")).to_be_visible()
    case = page.url
    page.locator(".viewer[data-ready=heatmap]").nth(1).wait_for()
    expect(page.locator(".viewer-scale").first).to_be_visible()
    expect(page.get_by_role("heading", name="Probability of malignancy")).to_have_count(2)
    _by_phone(page, open_page, files[2])
    expect(page.locator("article.result")).to_have_count(3)

    _write_impression_and_sign(page)
    page.get_by_role("link", name="Report to print or save as PDF").first.click()
    expect(page.get_by_text("P-0174")).to_be_visible()
    _check_printed(page)
    page.get_by_role("link", name="Back").click()

    page.get_by_role("link", name="Back to the worklist").click()
    page.get_by_role("link", name=re.compile("Awaits confirmation")).click()
    page.get_by_role("link", name=re.compile("P-0174")).click()
    page.wait_for_url(lambda url: url.partition("#")[0] == case.partition("#")[0])
    _confirm(page)
    page.get_by_role("link", name="Worklist").first.click()
    page.get_by_role("link", name=re.compile("^Done")).click()
    expect(page.get_by_role("link", name=re.compile("P-0174"))).to_be_visible()

    page.get_by_role("link", name="Patients").first.click()
    page.get_by_label("Pseudonym").fill("p-017")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="P-0174").click()
    page.get_by_role("link", name="Lesion 1, left scapula", exact=True).first.click()
    expect(page.locator(".chart polyline")).to_have_count(1)
    expect(page.locator(".visits > li")).to_have_count(2)

    page.get_by_role("link", name="Insights").click()
    page.get_by_role("link", name="10 years").click()
    expect(page.get_by_text("1 lesion with a confirmed diagnosis: 1 malignant")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("Clinician's diagnosis")).get_by_text("1 of 1")).to_be_visible()
    page.get_by_text("The same as a table").click()
    expect(page.get_by_role("row", name=re.compile("^Sep 2026|^Aug 31, 2026"))).to_be_visible()


def test_the_worklist_is_walked_by_keyboard_and_letters_stay_letters(open_page, files):
    page = open_page("/worklist")
    for pseudonym in ("K-1", "K-2", "K-3"):
        page.get_by_role("link", name="Worklist").first.click()
        _make_patient(page, pseudonym)
        _make_lesion(page)
        _add_visit(page, "2026-03-01", files[0])
    page.get_by_role("link", name="Worklist").first.click()
    page.get_by_label("Pseudonym").fill("")
    page.get_by_label("Pseudonym").type("jk")
    expect(page.get_by_label("Pseudonym")).to_have_value("jk")
    page.get_by_label("Pseudonym").fill("K-")
    page.keyboard.press("Enter")
    page.wait_for_url("**/worklist?*search=K-*")  # the list before it may hold as many cases
    links = page.locator(".case-title a")
    expect(links).to_have_count(3)
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.closest('.cases')") is None, "a letter does nothing outside the list"
    links.first.focus()
    page.keyboard.press("ArrowDown")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("j")
    expect(links.nth(2)).to_be_focused()
    page.keyboard.press("j")
    expect(links.nth(2)).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Home")
    expect(links.first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Lesion 1, left scapula")


def test_everything_works_without_a_script(open_page, files):
    page = open_page("/worklist", java_script_enabled=False)
    _make_patient(page, "N-1")
    page.get_by_role("link", name="New lesion").click()
    page.get_by_label("Region").select_option(label="Upper back, left")
    page.get_by_role("button", name="Make the lesion").click()
    expect(page.get_by_text("Upper back, left")).to_be_visible()
    _add_visit(page, "2026-03-01", files[0])
    expect(page.locator(".viewer-plain img").first).to_be_visible()
    page.get_by_label("What you see, and why").fill("No script here.")
    page.get_by_role("radio", name="No action").check()
    page.get_by_role("button", name="Write down the impression").click()
    expect(page.get_by_text("No script here.")).to_be_visible()
