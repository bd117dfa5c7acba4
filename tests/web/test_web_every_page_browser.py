"""Every page that the route table has, in a real Chromium: it fits every width, and axe finds nothing, light and dark.

The walk asks every route for its answer, so a new page is looked at without being named here; a route with a parameter
that nothing is known for fails the walk. States of a page that only come about by doing something (a refused form, a
code on the screen) are the scenes below.
"""

import re
from types import SimpleNamespace

import httpx
import pytest

from dermaloop.cases.actor import system
from dermaloop.cases.practice import Practice, change_practice
from dermaloop.cases.roles import Role
from dermaloop.core.synthetic import draw_lesion
from dermaloop.web.access import stated
from dermaloop.web.app import MOUNTS, create_app
from dermaloop.web.settings import Settings
from support import visits
from support.hostile import save
from support.live import AXE_COLOURS, axe_violations, chromium, serving
from support.models import first_champion
from support.people import add_account, begin, new_store

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
pytestmark = pytest.mark.browser
WIDTHS = (360, 768, 1440)
_ENOUGH = 12
"""Operations of the API's description that are looked at: a hundred more are made by the same lines."""
LEADS_ON = {"/enter/{secret}": "works once, and leads on"}
"""Routes whose answer cannot be asked for beforehand, and why that is no page."""


def _picture(seed):
    return (f"{seed}.jpg", save(draw_lesion(seed, size_px=300, malignant=seed % 2 == 0), "JPEG", quality=90))


@pytest.fixture(scope="module")
def clinic(tmp_path_factory, toy_classifier):
    """A served application with something on each of its pages, and what stands for each parameter of its routes."""
    folder = tmp_path_factory.mktemp("every-page")
    with new_store(folder / "store") as store:
        model = first_champion(store, folder)
        # As a clinic sets it, so that a phone's code is shown; nothing listens there, the test comes by loopback.
        app = create_app(Settings(host="0.0.0.0", names="clinic.example.org"), toy_classifier, store)
        account = add_account(store, Role.ADMIN)
        with serving(app) as address, httpx.Client(base_url=address, follow_redirects=True, timeout=180) as client:
            cookies, secret = app.state.desk.cookies, begin(app, account)
            client.cookies.set(cookies.sign_in_name, cookies.signed(secret))
            client.headers["X-Form-Token"] = cookies.form_token(secret)
            known = {"model_id": model.id, "name": "even", **_fill(client)}
            carried = {"name": cookies.sign_in_name, "value": cookies.signed(secret), "url": address}
            yield SimpleNamespace(app=app, store=store, client=client, address=address, known=known, carried=carried)


def _fill(client):
    """A patient whose lesion was seen twice, signed and confirmed; an open case, a screening list, links for others."""
    patient = visits.new_patient(client, pseudonym="A patient with quite a long pseudonym 0815")
    lesion = visits.new_lesion(client, patient, label="left scapula, beside the old scar")
    visits.send_pictures(client, lesion, _picture(4), visited_on="2026-01-05")
    page = visits.send_pictures(client, lesion, _picture(9), _picture(4), visited_on="2026-03-01", pixel_size_mm="0.02")
    case = page.url.path
    opinion = {"diagnosis": "MEL", "management": "excision", "text": "Irregular network.", "then": "sign"}
    client.post(f"{case}/impression", data=opinion).raise_for_status()
    client.post(f"{case}/confirmation", data=visits.FINDING).raise_for_status()
    image, prediction = re.search(r"/images/([\w-]{36})/heatmap/([\w-]{36})\.png", client.get(case).text).groups()
    waiting = visits.send_pictures(client, lesion, _picture(5), visited_on="2026-06-01").url.path

    phone = client.post(f"{waiting}/phone", data={"image_type": "clinical: close-up"}).text
    invited = client.post("/people", data={"name": "new", "role": "viewer"}).text
    begun = client.post("/screenings", data={"name": "Left arms"})
    files = [("pictures", one) for one in (_picture(6), _picture(7), ("broken.jpg", b"no picture"))]
    client.post(f"{begun.url.path}/pictures", files=files).raise_for_status()
    for _ in range(600):
        listed = client.get(begun.url.path).text
        if "Finished." in listed:
            break
    item = re.search(r'href="/screening-pictures/([\w-]{36})"', listed)
    return {
        "patient_id": patient.rpartition("/")[2],
        "lesion_id": lesion.rpartition("/")[2],
        "case_id": case.rpartition("/")[2],
        "image_id": image,
        "prediction_id": prediction,
        "job_id": begun.url.path.rpartition("/")[2],
        "item_id": item[1],
        "waiting": waiting,
        "link_id": re.search(r"/phone/([\w-]{36})/part", phone)[1],
        "/phone/{secret}": re.search(r"/phone/([\w-]{40,})</code>", phone)[1],
        "/invitation/{secret}": re.search(r"/invitation/([\w-]{40,})", invited)[1],
    }


def _address(path, known):
    """A route's path with examples in place of its parameters."""

    def example(found):
        name = found[1]
        value = known.get(path) if name == "secret" else known.get(name)
        assert value, f"{path}: say in this file what stands for {name}, so that its page is looked at"
        return value

    path_known = "link_id" in path
    return re.sub(r"\{(\w+)\}", example, path.replace("/cases/{case_id}", known["waiting"]) if path_known else path)


@pytest.fixture(scope="module")
def pages(clinic):
    """(address, whether by nobody) of every route that answers with a whole page."""
    found = []
    with httpx.Client(base_url=clinic.address, timeout=180) as nobody:
        for one in stated(clinic.app.routes, MOUNTS):
            last = one.path.rpartition("/")[2]
            if "GET" not in one.methods or one.path in LEADS_ON or "." in last or last == "part":
                continue  # files, and parts that a script puts into a page
            if one.path.startswith(("/api/v1", "/static")):
                continue
            public = one.access.role is None
            place = _address(one.path, clinic.known)
            answer = nobody.get(place) if public else clinic.client.get(place, follow_redirects=False)
            assert answer.status_code == 200, (place, answer.status_code)
            if answer.headers["content-type"].startswith("text/html") and "<html" in answer.text:
                found.append((place, public))
    return found


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def looked_at(browser, clinic):
    """Two pages, one signed in and one of nobody, in German, whose words are longest; no colour is on its way."""
    contexts = []
    for carried in (clinic.carried, None):
        options = {"locale": "de", "bypass_csp": True, "reduced_motion": "reduce"}
        contexts.append(browser.new_context(viewport={"width": WIDTHS[0], "height": 900}, **options))
        if carried:
            contexts[-1].add_cookies([carried])
    yield [context.new_page() for context in contexts]
    for context in contexts:
        context.close()


def _problems(page, *, rules=True):
    """What is wrong with the page as it stands: wider than the screen, or found by axe."""
    found = []
    page.wait_for_load_state("load")  # what was waited for can be seen before the style sheets are there
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
            found.append(f"{wide} wide on a screen of {width}")
        if width == WIDTHS[0] and rules:
            found += axe_violations(page)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found += axe_violations(page, AXE_COLOURS)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    return found


def test_every_page_of_the_route_table_fits_and_axe_finds_nothing(clinic, pages, looked_at):
    assert len(pages) >= 33, pages
    problems = {}
    for place, public in pages:
        page = looked_at[public]
        assert page.goto(clinic.address + place, wait_until="networkidle").status == 200, place
        page.evaluate(
            f"document.querySelectorAll('.operation:nth-of-type(n + {_ENOUGH})').forEach(one => one.remove())"
        )
        if found := _problems(page):
            problems[place] = found
    assert problems == {}


def _refused(page, clinic):
    page.goto(f"{clinic.address}/patients/new")
    page.evaluate("document.querySelector('main form').noValidate = true")
    page.locator("main form button").first.click()
    expect(page.locator("#failure")).to_be_visible()


def _result(page, clinic):
    name, content = _picture(4)
    page.goto(clinic.address)
    page.locator("#files").set_input_files({"name": name, "mimeType": "image/jpeg", "buffer": content})
    expect(page.locator("#list article.result")).to_be_visible()


def _partly_taken(page, clinic):
    page.goto(f"{clinic.address}/lesions/{clinic.known['lesion_id']}/visits/new?day=2026-08-01")
    files = (_picture(8), ("broken.jpg", b"no picture"))
    page.locator("#pictures").set_input_files(
        [{"name": name, "mimeType": "image/jpeg", "buffer": content} for name, content in files]
    )
    page.locator("main form button").first.click()
    expect(page.locator(".refused li")).to_have_count(1)


def _code_shown(page, clinic):
    page.goto(f"{clinic.address}{clinic.known['waiting']}/phone")
    page.locator("main form button").first.click()
    expect(page.locator("img.code")).to_be_visible()


def _answer_hidden(page, clinic):
    with clinic.store.database.begin() as session:
        change_practice(session, system("test"), Practice("", hide_answer_until_impression=True))
    page.goto(clinic.address + clinic.known["waiting"])
    expect(page.locator("article.result.bare")).to_be_visible()
    with clinic.store.database.begin() as session:
        change_practice(session, system("test"), Practice())


def test_what_pages_become_fits_and_axe_finds_nothing(clinic, looked_at):
    problems = {}
    for scene in (_refused, _result, _partly_taken, _code_shown, _answer_hidden):
        scene(looked_at[0], clinic)
        if found := _problems(looked_at[0]):
            problems[scene.__name__] = found
    assert problems == {}


def test_what_is_left_out_of_the_walk_is_in_the_route_table(clinic):
    assert set(LEADS_ON) <= {one.path for one in stated(clinic.app.routes, MOUNTS)}
    with pytest.raises(AssertionError, match="say in this file"):
        _address("/something/{new_id}", clinic.known)


def test_a_page_that_is_too_wide_or_has_no_contrast_is_seen(clinic, looked_at):
    page = looked_at[0]
    page.goto(f"{clinic.address}/practice")
    page.evaluate(
        "document.querySelector('h1').style.cssText = 'color: #777; background: #888; width: 500px';"
        "document.querySelector('label').remove()"
    )
    told = str(_problems(page))
    for sign in ("500", "wide on a screen of 360", "'color-contrast'", "'label'"):
        assert sign in told
