"""The page in a real Chromium: what a visitor does, sees and hears."""

import io
import json
import re
import threading
from dataclasses import replace
from importlib.resources import files as package_files

import pytest
from PIL import Image

from dermaloop.cases.roles import Role
from dermaloop.core.prediction import Decision, Reason, Status
from dermaloop.core.synthetic import draw_lesion
from dermaloop.web.app import create_app
from dermaloop.web.errors import WebError
from dermaloop.web.settings import Settings
from support.hostile import save
from support.live import chromium, serving
from support.people import add_account, cookie, new_store

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
pytestmark = pytest.mark.browser

WIDTHS = (360, 768, 1280)


class _Strict:
    """The toy classifier, which knows no everyday pictures, plus a gate: bluish pictures are none of skin."""

    def __init__(self, classifier):
        self.bundle, self.operating_point = classifier.bundle, classifier.operating_point
        self._classifier = classifier

    def classify(self, content, name=""):
        prediction = self._classifier.classify(content, name)
        if prediction.status is Status.UNREADABLE:
            return prediction
        red, _, blue = Image.open(io.BytesIO(content)).convert("RGB").resize((1, 1)).getpixel((0, 0))
        if red > blue + 20:
            return prediction
        reason = Reason("out_of_distribution", "This is unlike the pictures the model knows. Take one of the lesion.")
        return replace(prediction, status=Status.ABSTAINED, decision=Decision.NONE, reasons=(reason,))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with new_store(tmp_path_factory.mktemp("browser") / "store") as opened:
        add_account(opened, Role.CLINICIAN, password="a password that nobody uses")
        yield opened


@pytest.fixture(scope="module")
def app(toy_classifier, store):
    return create_app(Settings(max_file_bytes=2_000_000, max_files=5), _Strict(toy_classifier), store)


@pytest.fixture(scope="module")
def address(app):
    with serving(app) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture
def open_page(browser, app, address):
    """Opens a page that records what must not happen: console errors, and requests that leave the host."""
    contexts = []

    def make(path="/", **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        context.add_cookies([cookie(app, Role.CLINICIAN, address)])
        page = context.new_page()
        page.problems = []
        page.on("console", lambda message: message.type in ("error", "warning") and page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((address + "/", "data:")) else page.problems.append(request.url)
            ),
        )
        page.goto(address + path)
        return page

    yield make
    for context in contexts:
        for page in context.pages:
            assert page.problems == []
        context.close()


@pytest.fixture(scope="module")
def lesion_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "my lesion.jpg"
    path.write_bytes(save(draw_lesion(4, size_px=500, malignant=True).resize((700, 500)), "JPEG", quality=90))
    return path


@pytest.fixture(scope="module")
def sky_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "sky.png"
    path.write_bytes(save(Image.effect_noise((400, 400), 60).convert("RGB"), "PNG"))
    return path


@pytest.fixture(scope="module")
def broken_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "letter.jpg"
    path.write_bytes(b"%PDF-1.7\n1 0 obj\n")
    return path


@pytest.fixture(scope="module")
def pictures(lesion_file, broken_file, sky_file):
    """One of each kind: assessed, unreadable, declined."""
    return lesion_file, broken_file, sky_file


DECODED = "image => image.decode().then(() => image.naturalWidth)"
"""How many pixels a picture on the page is wide, once it is there."""


def _choose(page, *paths):
    page.locator("#files").set_input_files([str(path) for path in paths])


def _result(page, number=0):
    article = page.locator("#list article").nth(number)
    article.wait_for()
    return article


def test_an_upload_leads_to_its_result(open_page, lesion_file):
    page = open_page()
    _choose(page, lesion_file)

    article = _result(page)
    expect(article.locator(".file")).to_have_text("my lesion.jpg")
    expect(article.locator("h2")).to_have_text(re.compile("Suspicious: refer|Below the referral threshold"))
    expect(article.locator(".bars li")).to_have_count(8)
    expect(article.locator(".similar li")).to_have_count(5)
    assert article.locator("img").evaluate(DECODED) == 700
    assert article.locator(".frame").count() == 1
    expect(page.locator("#live")).to_contain_text("1 of 1 pictures assessed. Finished.")
    expect(page.locator("#results-title")).to_be_focused()


def test_the_heatmap_lies_on_the_square_and_the_slider_changes_it(open_page, lesion_file):
    page = open_page()
    _choose(page, lesion_file)
    article = _result(page)

    heat, image = article.locator("image.heat"), article.locator("img")
    image.evaluate(DECODED)  # it has its place only then
    box, whole = heat.bounding_box(), image.bounding_box()
    assert box["width"] == pytest.approx(whole["width"] * 500 / 700, abs=1)
    assert box["height"] == pytest.approx(whole["height"], abs=1)
    assert box["x"] - whole["x"] == pytest.approx(whole["width"] * 100 / 700, abs=1)

    slider = article.get_by_role("slider", name="Heatmap")
    assert heat.get_attribute("opacity") == "0.6"
    slider.focus()
    page.keyboard.press("Home")
    assert heat.get_attribute("opacity") == "0"
    bare = image.screenshot()
    page.keyboard.press("End")
    assert heat.get_attribute("opacity") == "1"
    expect(article.locator("output")).to_have_text("100%")
    assert image.screenshot() != bare


def test_a_bad_file_says_why_and_the_others_are_assessed(open_page, lesion_file, broken_file):
    page = open_page()
    _choose(page, broken_file, lesion_file)

    expect(_result(page, 0).locator("h2")).to_have_text("Picture not readable")
    expect(_result(page, 0)).to_contain_text("This is a PDF document, not a picture.")
    expect(_result(page, 1).locator(".bars li")).to_have_count(8)
    links = page.locator("#queue a")
    expect(links).to_have_count(2)
    links.nth(1).click()
    expect(_result(page, 1)).to_be_focused()


def test_a_declined_picture_gets_no_diagnosis(open_page, sky_file):
    page = open_page()
    _choose(page, sky_file)
    article = _result(page)
    expect(article.locator("h2")).to_have_text("No assessment")
    expect(article).to_contain_text("Why, and what to do")
    expect(article).to_contain_text("unlike the pictures the model knows")
    expect(article.locator(".bars")).to_have_count(0)
    expect(article.locator(".heat")).to_have_count(0)


def test_a_file_too_large_is_not_even_sent(open_page, tmp_path):
    page = open_page()
    sent = []
    page.on("request", lambda request: request.method == "POST" and sent.append(request.url))
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(2_000_001))
    _choose(page, large)
    expect(_result(page)).to_contain_text("large.jpg is larger than 2 MB. Export it as JPEG")
    assert sent == []


def test_more_files_than_allowed_are_cut_and_said(open_page, lesion_file):
    page = open_page()
    _choose(page, *[lesion_file] * 6)
    expect(page.locator("#queue .item")).to_have_count(5)
    _result(page, 4)


@pytest.mark.parametrize("name", ["even", "irregular", "everyday"])
def test_a_sample_needs_one_click_and_is_labelled(open_page, name):
    page = open_page()
    page.locator(f"a[data-sample={name}]").click()
    article = _result(page)
    expect(article.locator(".tag.drawn")).to_have_text("Drawn by the program, not a patient")
    if name == "everyday":
        expect(article.locator("h2")).to_have_text("No assessment")
    else:
        expect(article.locator(".bars li")).to_have_count(8)


def test_results_gather_and_can_be_cleared_and_leave_nothing_behind(open_page, lesion_file):
    page = open_page()
    _choose(page, lesion_file)
    _result(page, 0)
    _choose(page, lesion_file)
    _result(page, 1)
    names = page.locator("[id]").evaluate_all("elements => elements.map(element => element.id)")
    assert len(names) == len(set(names))
    kept = page.evaluate("() => [localStorage.length, sessionStorage.length, document.cookie]")
    assert kept == [0, 0, ""]

    page.get_by_role("button", name="Clear results").click()
    expect(page.locator("article")).to_have_count(0)
    expect(page.locator("#live")).to_have_text("Results cleared.")
    expect(page.locator("#files")).to_be_focused()


def test_a_dropped_file_is_assessed(open_page, lesion_file):
    page = open_page()
    content = list(lesion_file.read_bytes())
    transfer = page.evaluate_handle(
        """content => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(content)], "dropped.jpg", {type: "image/jpeg"}));
            return transfer;
        }""",
        content,
    )
    page.dispatch_event("#form", "dragenter", {"dataTransfer": transfer})
    expect(page.locator("#form")).to_have_class(re.compile("over"))
    page.dispatch_event("#form", "drop", {"dataTransfer": transfer})
    expect(_result(page).locator(".file")).to_have_text("dropped.jpg")
    expect(page.locator("#form")).not_to_have_class(re.compile("over"))


def test_everything_can_be_done_by_keyboard(open_page, lesion_file):
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#files")).to_be_focused()
    outline = page.locator(".choice.primary label").evaluate("label => getComputedStyle(label).outlineStyle")
    assert outline == "solid"
    choosers = []

    def take(chooser):
        choosers.append(chooser)

    page.on("filechooser", take)
    for _ in range(40):  # Chromium drops a key that would open a chooser while a page settles: a person presses again
        page.keyboard.press("Enter")
        page.wait_for_timeout(250)
        if choosers:
            break
    choosers[0].set_files(str(lesion_file))
    article = _result(page)

    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.className || document.activeElement.tagName"))
        if reached[-1] == "SUMMARY":
            break
    assert reached == ["A", "quiet", "item-state", "heat-slider", "SUMMARY"]  # the link: how to keep a result
    page.keyboard.press("Enter")
    expect(article.get_by_text("Sensitivity 96%")).to_be_visible()


def test_without_a_script_the_form_answers_all_the_same(browser, app, address, lesion_file, broken_file):
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([cookie(app, Role.CLINICIAN, address)])
    page = context.new_page()
    page.goto(address)
    _choose(page, lesion_file, broken_file)
    page.get_by_role("button", name="Assess").click()
    expect(page.locator("article")).to_have_count(2)
    expect(page.locator("article .heat").first).to_be_visible()
    page.get_by_label("Show the heatmap").uncheck()
    expect(page.locator("article .heat").first).to_be_hidden()
    expect(page.locator(".slider").first).to_be_hidden()
    context.close()


def test_on_a_phone_a_picture_can_be_taken(open_page):
    page = open_page(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    camera = page.locator("#camera")
    expect(page.get_by_text("Take a picture")).to_be_visible()
    assert (camera.get_attribute("capture"), camera.get_attribute("accept")) == ("environment", "image/*")
    assert page.locator(".choice.camera").bounding_box()["height"] >= 44


def test_a_busy_server_is_asked_again(browser, toy_classifier, store, lesion_file):
    app = create_app(Settings(), toy_classifier, store)
    refused, seen = [], threading.Event()
    with serving(app) as address:
        desk = app.state.desk
        place = desk.capacity.place

        def busy_at_first():
            if not seen.is_set():
                refused.append(1)
                raise WebError("busy", "full", retry_after_s=1)
            return place()

        desk.capacity.place = busy_at_first
        context = browser.new_context()
        context.add_cookies([cookie(app, Role.CLINICIAN, address)])
        page = context.new_page()
        page.goto(address)
        _choose(page, lesion_file)
        expect(page.locator(".item-state")).to_have_text("Server busy, trying again")
        seen.set()
        expect(_result(page).locator(".bars li")).to_have_count(8)
        context.close()
    assert refused


def test_a_server_that_is_gone_is_said(browser, toy_classifier, store, lesion_file):
    context = browser.new_context()
    app = create_app(Settings(), toy_classifier, store)
    with serving(app) as address:
        context.add_cookies([cookie(app, Role.CLINICIAN, address)])
        page = context.new_page()
        page.goto(address)
    _choose(page, lesion_file)
    expect(_result(page)).to_contain_text("The server did not answer.")
    context.close()


PATHS = ("/", "/sample/irregular", "/sample/everyday", "/model", "/api/docs")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_has_to_be_scrolled_sideways(open_page, path, width, lesion_file, broken_file):
    page = open_page(path, viewport={"width": width, "height": 800})
    if path == "/":
        _choose(page, lesion_file, broken_file)
        _result(page, 1)
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true }")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def _luminance(page, selector):
    colour = page.locator(selector).first.evaluate("element => getComputedStyle(element).backgroundColor")
    red, green, blue = (int(one) for one in re.findall(r"\d+", colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_dark_is_dark_and_light_is_light(open_page):
    assert _luminance(open_page(color_scheme="dark"), "body") < 40
    assert _luminance(open_page(color_scheme="light"), "body") > 220


def test_who_wants_no_motion_gets_none(open_page):
    moving = open_page().locator("#form").evaluate("form => getComputedStyle(form).transitionProperty")
    still = open_page(reduced_motion="reduce").locator("#form")
    assert moving != "none"
    assert still.evaluate("form => getComputedStyle(form).transitionProperty") == "none"


AXE = package_files("axe_playwright_python") / "axe.min.js"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
def test_axe_finds_nothing(browser, app, address, *, path, scheme, pictures):
    context = browser.new_context(color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    context.add_cookies([cookie(app, Role.CLINICIAN, address)])
    page = context.new_page()
    page.goto(address + path)
    if path == "/":
        _choose(page, *pictures)
        _result(page, 2)
        expect(page.locator("#live")).to_contain_text("Finished.")
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true }")
    page.evaluate(AXE.read_text())
    found = page.evaluate("rules => axe.run(document, rules)", RULES)
    assert found["passes"]
    told = [
        {"rule": one["id"], "impact": one["impact"], "where": [node["html"][:160] for node in one["nodes"]]}
        for one in found["violations"]
    ]
    assert told == [], json.dumps(told, indent=1)
    context.close()
