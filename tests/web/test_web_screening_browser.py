"""A folder dropped on a desk's screen, and a phone at 390 pixels that adds pictures by scanning a code; in Chromium."""

import re

import numpy as np
import pytest

from dermaloop.cases.roles import Role
from dermaloop.core.synthetic import draw_lesion
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from support.hostile import save
from support.live import Watched, axe_violations, chromium, serving
from support.people import cookie, new_store

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
pytestmark = pytest.mark.browser
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "bypass_csp": True}


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with new_store(tmp_path_factory.mktemp("screening") / "store") as opened:
        yield opened


@pytest.fixture(scope="module")
def app(toy_classifier, store):
    # As a clinic sets it; nothing listens there, the test reaches the application by loopback.
    return create_app(Settings(host="0.0.0.0", names="clinic.example.org"), toy_classifier, store)


@pytest.fixture(scope="module")
def address(app):
    with serving(app) as found:
        yield found


@pytest.fixture
def watched(browser, address):
    opened = Watched(browser, address)
    yield opened
    opened.close()


@pytest.fixture
def desk(watched, app, address):
    """A page at a clinician's desk, signed in."""

    def open_at(path, **options):
        page = watched.open("/signin", **{"bypass_csp": True, **options})
        page.context.add_cookies([cookie(app, Role.CLINICIAN, address)])
        page.goto(address + path)
        return page

    return open_at


@pytest.fixture(scope="module")
def folder(tmp_path_factory, blank_png):
    """A folder with a folder in it: five lesions, one blank picture, one that is none, and a text."""
    path = tmp_path_factory.mktemp("arms")
    (path / "left").mkdir()
    for seed in range(5):
        content = save(draw_lesion(seed, size_px=160, malignant=seed % 2 == 0), "JPEG")
        (path / ("left" if seed % 2 else ".") / f"lesion-{seed}.jpg").write_bytes(content)
    (path / "blank.png").write_bytes(blank_png)
    (path / "broken.jpg").write_bytes(b"no picture")
    (path / "notes.txt").write_text("no picture either")
    return path


def test_a_folder_is_sent_and_becomes_a_list(desk, folder):
    page = desk("/screenings")
    page.get_by_label("Name").fill("Left arms")
    page.get_by_role("button", name="Begin the list").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Left arms")
    page.locator("#folder").set_input_files(str(folder))
    expect(page.locator("#sending-text")).to_contain_text("7 of 7 pictures sent.")
    expect(page.locator("#sending-text")).to_contain_text("No pictures, left out: 1.")
    expect(page.locator("#progress-text")).to_contain_text("7 of 7 pictures are assessed. Finished.")
    expect(page.locator(".screened tbody tr")).to_have_count(7)
    names = page.locator(".screened-name").all_inner_texts()
    assert names[-1].endswith("broken.jpg")
    assert names[-2].endswith("blank.png")
    shares = [float(one.strip("<>%")) for one in page.locator(".case-share").all_inner_texts()]
    assert shares == sorted(shares, reverse=True)
    assert any("/left/lesion-1.jpg" in name for name in names), "with their folders"
    assert axe_violations(page) == []
    page.locator("#folder").set_input_files(str(folder))
    expect(page.locator("#sending-text")).to_contain_text("Here already: 7.")

    with page.expect_download() as download:
        page.get_by_role("link", name="Table as CSV").click()
    assert len(download.value.path().read_text().splitlines()) == 8
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("link", name=re.compile("Declined")).click()
    expect(page.locator(".screened tbody tr")).to_have_count(1)
    page.locator(".screened-name a").click()
    expect(page.get_by_role("heading", name="Give it to a patient")).to_be_visible()
    page.wait_for_load_state("load")  # a heading can be seen before the style sheets are there
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert axe_violations(page) == []


def _read_code(page):
    """What the code on the screen says, read as a phone does: from the picture of it."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV, which reads the code, is the extra 'follow-up'")
    page.locator(".code").evaluate("image => image.decode()")
    shown = cv2.imdecode(np.frombuffer(page.locator(".code").screenshot(), np.uint8), cv2.IMREAD_COLOR)
    text, _, _ = cv2.QRCodeDetector().detectAndDecode(shown)
    return text


def test_a_phone_scans_the_code_and_adds_pictures(desk, watched, address, folder):
    page = desk("/patients/new")
    page.get_by_label("Pseudonym").fill("P-0390")
    page.get_by_role("button", name="Make the patient").click()
    page.get_by_role("link", name="New lesion").click()
    page.get_by_role("radio", name="Upper back, left (Back)").click()
    page.get_by_role("button", name="Make the lesion").click()
    page.get_by_role("link", name="Add pictures").first.click()
    page.get_by_label("Pictures", exact=True).set_input_files(str(folder / "lesion-0.jpg"))
    page.get_by_role("button", name="Store and assess").click()
    page.get_by_role("link", name="Add pictures by phone").click()
    page.get_by_role("button", name="Show the code").click()
    where = _read_code(page)
    assert where.startswith("http://clinic.example.org:")
    assert axe_violations(page) == []

    phone = watched.open("/phone/" + where.rpartition("/")[2], **PHONE)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Pictures of Lesion 1")
    expect(phone.get_by_text("P-0390")).to_have_count(0)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    camera = phone.locator("#camera")
    assert camera.get_attribute("capture") == "environment"
    camera.set_input_files(str(folder / "blank.png"))
    expect(phone.locator(".outcome li")).to_have_text("Blurred: hold still, go closer, and tap the lesion to focus.")
    assert axe_violations(phone) == []
    camera.set_input_files(str(folder / "lesion-2.jpg"))
    expect(phone.get_by_role("heading", name="Good picture. Added to the case.")).to_be_visible()
    expect(page.locator("#news-text")).to_have_text("1 picture came in.")
    expect(page.locator(".came img")).to_have_count(1)
    camera.set_input_files(str(folder / "blank.png"))
    phone.get_by_role("button", name="Add it anyway").click()
    expect(phone.get_by_role("heading", name="Added to the case as it is.")).to_be_visible()
    expect(page.locator("#news-text")).to_have_text("2 pictures came in.")

    page.get_by_role("button", name="Done: end the link").click()
    expect(page.locator("article.result")).to_have_count(3)
    with phone.expect_console_message(lambda told: "410" in told.text):
        camera.set_input_files(str(folder / "lesion-4.jpg"))
    expect(phone.locator(".outcome")).to_contain_text("link")
    watched.problems[:] = [one for one in watched.problems if "410" not in one]  # the browser tells of the refusal
