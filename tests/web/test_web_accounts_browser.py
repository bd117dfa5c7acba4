"""The pages around accounts in a real Chromium: from the first link to an invited colleague, at every width."""

import re

import pytest

from dermaloop.cases import links
from dermaloop.cases.actor import system
from dermaloop.cases.links import Purpose
from dermaloop.cases.roles import Role, Scope
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from support.live import AXE_COLOURS, Watched, axe_violations, chromium, serving
from support.people import PASSWORD, add_account, cookie, make_token, new_store

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
pytestmark = pytest.mark.browser

NEWER = "four unrelated words here"


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def app(toy_classifier, tmp_path_factory):
    with new_store(tmp_path_factory.mktemp("people") / "store") as store:
        admin = add_account(store, Role.ADMIN, password=PASSWORD)
        add_account(store, Role.LEAD, "Dr. Maximiliane Mustermann-Beispielhausen, Oberärztin", PASSWORD)
        add_account(store, Role.CLINICIAN, "x" * 64)
        make_token(store, admin, list(Scope))
        yield create_app(Settings(), toy_classifier, store)


@pytest.fixture(scope="module")
def address(app):
    with serving(app) as found:
        yield found


@pytest.fixture
def visitors(browser, address):
    """Opens pages as nobody; fails the test for errors in the console and requests to elsewhere."""
    watched = Watched(browser, address)
    yield watched
    watched.close()


def _link(app, name, purpose):
    store = app.state.desk.store
    account = add_account(store, Role.ADMIN, name)
    with store.database.begin() as transaction:
        return links.make(transaction, system("test"), account.id, purpose)


def _copied(page):
    """The secret that the page shows once."""
    return page.locator("code.secret").inner_text()


def test_from_the_first_link_to_a_password_and_a_colleague(app, address, visitors):
    page = visitors.open(f"/enter/{_link(app, 'owner', Purpose.ENTER)}")
    expect(page).to_have_url(f"{address}/")
    page.get_by_role("link", name="Set a password to come back without it.").click()
    page.get_by_label("Name to sign in with").fill("Dr. Owner")
    page.get_by_label("New password").fill(NEWER)
    page.get_by_label("The same again").fill("another one")
    with page.expect_console_message(lambda told: "422" in told.text):  # it may come after the page that tells it too
        page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("alert")).to_contain_text("This password is not taken")
    (told,) = visitors.problems
    assert "status of 422" in told, "the browser itself notes the answer's status"
    visitors.problems.clear()
    page.get_by_label("Name to sign in with").fill("Dr. Owner")
    page.get_by_label("New password").fill(NEWER)
    page.get_by_label("The same again").fill(NEWER)
    page.get_by_role("button", name="Set password").click()
    expect(page.locator("nav .me")).to_have_text("Dr. Owner")
    expect(page.get_by_label("Present password")).to_be_visible()

    page.locator(".menu summary").click()
    page.get_by_role("link", name="People").click()
    page.get_by_label("Name to sign in with").fill("Grace")
    page.get_by_label("Viewer").check()
    page.get_by_role("button", name="Make an invitation link").click()
    expect(page.get_by_role("status")).to_contain_text("Hand this link to Grace")
    invitation = _copied(page).removeprefix(address)

    colleague = visitors.open(invitation)
    colleague.get_by_label("New password").fill(NEWER)
    colleague.get_by_label("The same again").fill(NEWER)
    colleague.get_by_role("button", name="Set password and sign in").click()
    expect(colleague.locator("nav .me")).to_have_text("Grace")
    expect(colleague.locator("a[href='/people']")).to_have_count(0)

    page.get_by_role("link", name="Dr. Owner").click()
    page.get_by_role("button", name="Sign out", exact=True).first.click()
    expect(page).to_have_url(f"{address}/signin")
    page.goto(f"{address}/people")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("dr. owner")
    page.keyboard.press("Tab")
    page.keyboard.type(NEWER)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{address}/people")

    page.get_by_role("button", name="Disable Grace").click()
    expect(page.get_by_text("disabled")).to_be_visible()
    colleague.goto(f"{address}/model")
    expect(colleague.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_cookie_cannot_be_read_by_a_script_and_the_form_works_without_one(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/account")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{address}/account")
    (kept,) = [one for one in context.cookies() if "sign-in" in one["name"]]
    assert kept["httpOnly"]
    assert kept["sameSite"] == "Lax"
    context.close()


def test_a_token_is_made_shown_once_and_revoked_by_keyboard(browser, app, address):
    context = browser.new_context()
    context.add_cookies([cookie(app, Role.ADMIN, address)])
    page = context.new_page()
    page.goto(f"{address}/account")
    page.get_by_label("What it is for").fill("archive")
    page.get_by_role("button", name="Make token").press("Enter")
    assert re.fullmatch(r"dermaloop_[\w-]{43}", _copied(page))
    page.goto(f"{address}/account")
    expect(page.locator("code.secret")).to_have_count(0)
    page.get_by_role("button", name="Revoke archive").press("Enter")
    expect(page.get_by_role("button", name="Revoke archive")).to_have_count(0)
    context.close()


def test_a_session_that_has_ended_is_said_beside_the_picture(browser, app, address, tmp_path, lesion_jpeg):
    context = browser.new_context()
    context.add_cookies([cookie(app, Role.CLINICIAN, address)])
    page = context.new_page()
    page.goto(address)
    context.clear_cookies()
    path = tmp_path / "a.jpg"
    path.write_bytes(lesion_jpeg)
    page.locator("#files").set_input_files(str(path))
    expect(page.locator("#list article")).to_contain_text("nobody is signed in", ignore_case=True)
    context.close()


TOO_SMALL = """() => [...document.querySelectorAll("main button, main a.button, main input, main select")]
    .filter(one => !one.matches("[type=hidden], [hidden], [type=checkbox], [type=radio]"))
    .filter(one => one.getBoundingClientRect().height < 24)
    .map(one => one.outerHTML.slice(0, 100))"""
PLACES = ("/signin", "/account", "/people", "/audit", "invitation", "token", "refused")


def _go(page, app, address, place):
    """Opens a page in the state in which it shows the most."""
    if place == "invitation":
        page.goto(f"{address}/invitation/{_link(app, 'invited', Purpose.PASSWORD)}")
    elif place == "token":
        page.goto(f"{address}/account")
        page.get_by_label("What it is for").fill("archive")
        page.get_by_role("button", name="Make token").click()
        page.locator("code.secret").wait_for()
    elif place == "refused":
        page.goto(f"{address}/people")
        page.get_by_label("Name to sign in with").fill("admin")
        page.get_by_role("button", name="Make an invitation link").click()
        page.get_by_role("alert").wait_for()
    else:
        page.goto(address + place)
    page.wait_for_load_state("load")  # an element can be there before the style sheet that gives it its size


@pytest.mark.parametrize("place", PLACES)
def test_at_every_width_and_in_both_schemes_it_fits_and_axe_finds_nothing(browser, app, address, place):
    context = browser.new_context(bypass_csp=True, reduced_motion="reduce")
    if place not in ("/signin", "invitation"):
        context.add_cookies([cookie(app, Role.ADMIN, address)])
    page = context.new_page()
    _go(page, app, address, place)
    for width in (360, 768, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, (place, width)
        assert page.evaluate(TOO_SMALL) == [], (place, width)
    assert axe_violations(page) == []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert axe_violations(page, AXE_COLOURS) == []
    context.close()
