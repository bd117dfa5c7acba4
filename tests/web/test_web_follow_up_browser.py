"""The follow-up page in a real Chromium: what lies on each other on the screen, by keyboard, on a phone, for axe."""

import datetime as dt
import io

import numpy as np
import pytest
from PIL import Image

from dermaloop.cases import answers, casework, patients
from dermaloop.cases.actor import system
from dermaloop.cases.roles import Role
from dermaloop.cases.strip import strip
from dermaloop.core.synthetic import draw_lesion
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from support.clinic import BUNDLE_SHA256, declined, new_case, new_image, prediction
from support.hostile import save
from support.live import Watched, axe_violations, chromium, serving
from support.moved import moved
from support.people import cookie, new_store

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
pytestmark = pytest.mark.browser

NEARER = 1.1
FIRST = draw_lesion(4, size_px=400, malignant=True)
SECOND, _ = moved(FIRST, degrees=35, scale=NEARER, shift=(10, -12), gain=0.9)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with new_store(tmp_path_factory.mktemp("follow-up") / "store") as opened:
        yield opened


@pytest.fixture(scope="module")
def lesion(store):
    """A lesion with four visits: declined, an older model, and two pictures that the present one assessed."""
    actor = system("test")
    visits = (
        (dt.date(2023, 3, 1), draw_lesion(9, size_px=64), 0.02, None, ""),
        (dt.date(2024, 3, 1), draw_lesion(11, size_px=64), 0.02, 0.2, "reference@000000000000"),
        (dt.date(2025, 3, 1), FIRST, 0.02, 0.4, "reference@0123456789ab"),
        (dt.date(2026, 3, 1), SECOND, 0.02 / NEARER, 0.6, "reference@0123456789ab"),
    )
    with store.database.begin() as session:
        case = new_case(session, actor, pseudonym="P-0174", visited_on=visits[0][0], label="left scapula")
        for day, picture, size_mm, probability, bundle in visits:
            if day != visits[0][0]:
                visit = patients.make_visit(session, actor, case.patient_id, visited_on=day)
                case = casework.make_case(session, actor, visit_id=visit.id, lesion_id=case.lesion_id)
            stripped = strip(save(picture, "JPEG", quality=92))
            image = new_image(session, actor, case, store.images, stripped, pixel_size_mm=size_mm)
            said = declined(stripped) if probability is None else prediction(stripped, probability, bundle=bundle)
            answers.add_prediction(session, actor, image.id, said, bundle_sha256=BUNDLE_SHA256)
    return f"/lesions/{case.lesion_id}"


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def served(toy_classifier, store):
    app = create_app(Settings(), toy_classifier, store)
    with serving(app) as address:
        yield cookie(app, Role.CLINICIAN, address), address


@pytest.fixture
def open_page(browser, served):
    carried, address = served
    pages = Watched(browser, address)

    def make(path, **options):
        state = {"cookies": [{**carried, "domain": "127.0.0.1", "path": "/", **_REST}], "origins": []}
        state["cookies"][0].pop("url")
        return pages.open(path, **{"storage_state": state, "reduced_motion": "reduce", **options})

    yield make
    pages.close()


_REST = {"expires": -1, "httpOnly": True, "secure": False, "sameSite": "Lax"}
FRAMES = """() => new Promise(done => {
    let left = 10;
    const next = () => { left -= 1; if (left) requestAnimationFrame(next); else done(); };
    next();
})"""


def _middle(page, viewer):
    """The middle of what a viewer shows, in grey."""
    page.evaluate(FRAMES)
    shot = Image.open(io.BytesIO(page.locator(f"#{viewer} .openseadragon-canvas").screenshot())).convert("L")
    x, y = shot.width // 2, shot.height // 2
    return np.asarray(shot.crop((x - 90, y - 90, x + 90, y + 90)), float)


def _alike(one, other):
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_the_pictures_lie_on_each_other_on_the_screen(open_page, lesion):
    page = open_page(lesion)
    page.get_by_role("link", name="Compare pictures").click()
    page.locator("#over[data-ready=second]").wait_for()
    expect(page.get_by_role("status")).to_contain_text("Aligned on")
    older, newer = _middle(page, "older"), _middle(page, "newer")
    assert older.std() > 10
    assert _alike(older, newer) > 0.9
    page.locator("#newer").get_by_role("button", name="Enlarge").click()
    nearer = _middle(page, "older")
    assert _alike(nearer, _middle(page, "newer")) > 0.9, "both move"
    assert _alike(nearer, older) < 0.9
    page.locator("#older").get_by_role("application").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        page.evaluate(FRAMES)
    assert _alike(_middle(page, "older"), _middle(page, "newer")) > 0.9
    expect(page.locator("#newer .viewer-scale")).to_be_visible()

    slider = page.get_by_role("slider")
    slider.press("Home")
    second = _middle(page, "over")
    slider.press("End")
    first = _middle(page, "over")
    assert 0.9 < _alike(first, second) < 0.9999
    page.get_by_role("button", name="Show the other").press("Enter")
    assert _alike(_middle(page, "over"), second) > 0.999

    page.get_by_label("Compare", exact=True).first.select_option(index=0)
    page.get_by_role("button", name="Show", exact=True).press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Could not be aligned")
    expect(page.locator("#over")).to_have_count(0)


@pytest.mark.parametrize("look", [(390, "light"), (1280, "dark")])
def test_it_fits_a_phone_and_a_screen_and_axe_finds_nothing(open_page, lesion, look):
    width, scheme = look
    page = open_page(
        f"{lesion}/follow-up", viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True
    )
    page.locator("#over[data-ready=second]").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for button in page.locator("main button:visible, main .check:visible").all():
        assert button.bounding_box()["height"] >= 44
    for mark in ("change", "declined"):
        expect(page.locator(f".chart > svg .{mark}")).to_have_count(1)
    assert axe_violations(page) == []


def test_without_a_script_the_second_picture_lies_as_the_first(open_page, lesion):
    page = open_page(f"{lesion}/follow-up", java_script_enabled=False)
    shots = []
    for one in ("#older .viewer-plain", "#newer .viewer-plain"):
        shot = Image.open(io.BytesIO(page.locator(one).screenshot())).convert("L").resize((200, 200))
        shots.append(np.asarray(shot.crop((60, 60, 140, 140)), float))
    assert _alike(*shots) > 0.9
