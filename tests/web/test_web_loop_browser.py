"""The loop in a real Chromium: confirmations, an alarm, a challenger from a real turn, read, promoted, taken back.

The turn trains for four steps on drawn lesions, and its plan has margins that nearly any model meets: what is tested is
that every station of the loop hands on to the next, and who may do what there. With `DERMALOOP_TEST_SHOTS` in the
environment, a folder, every page is kept there as a picture.
"""

import datetime as dt
import os
import re
import zipfile
from pathlib import Path

import pytest

from dermaloop.cases import opinions, registry
from dermaloop.cases.roles import Role
from dermaloop.core.errors import BundleError
from dermaloop.inference.classifier import Classifier
from dermaloop.web import serving
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from support.live import PATIENCE_MS, axe_violations, chromium
from support.live import serving as served_at
from support.models import first_champion
from support.people import PASSWORD, add_account, cookie, new_store
from support.refining import ADA, tinted
from support.trainings import FINE

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
torch = pytest.importorskip("torch", reason="a turn trains: pip install 'dermaloop[train]'")
from support.practice import refined, visits  # noqa: E402 - it needs torch

expect = playwright_api.expect
pytestmark = pytest.mark.browser
SHOTS = os.environ.get("DERMALOOP_TEST_SHOTS")
WIDTHS = {"phone": 360, "tablet": 768, "desk": 1440}
SLOW_MS = 120_000
"""For what computes in the background, on a busy machine."""


@pytest.fixture(scope="module")
def practice(tmp_path_factory):
    """(application, store, champion, cases to confirm, folder): a practice some weeks after its camera was changed."""
    folder = tmp_path_factory.mktemp("loop")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with new_store(folder / "store") as store, pytest.MonkeyPatch.context() as patch:

        def none():
            raise BundleError("none ships")

        patch.setattr(serving, "default_bundle_path", none)
        patch.setenv("DERMALOOP_WATCH_LEARNING", "20")  # for the process that looks
        patch.setenv("DERMALOOP_WATCH_LEARNING_CONFIRMED", "10")
        champion = first_champion(store, folder)
        settings = Settings(champion_poll_s=60, threads=1)
        classifier, served = serving.start(store, settings)
        cases = visits(store, classifier, patch)
        for role in (Role.LEAD, Role.CLINICIAN):
            add_account(store, role, role.value, PASSWORD)
        yield create_app(settings, classifier, store, served=served), store, champion, cases, folder
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def people(practice):
    """(address, page of the lead, page of a clinician without the role), and no error in their consoles."""
    app = practice[0]
    with served_at(app) as address, chromium() as browser:
        opened, problems = [], []
        expect.set_options(timeout=SLOW_MS)
        for role in (Role.LEAD, Role.CLINICIAN):
            context = browser.new_context(
                viewport={"width": 1280, "height": 900}, bypass_csp=True, accept_downloads=True
            )
            context.set_default_timeout(SLOW_MS)
            context.add_cookies([cookie(app, role, address)])
            page = context.new_page()
            page.on("console", lambda told: told.type in ("error", "warning") and problems.append(told.text))
            page.on("pageerror", lambda error: problems.append(str(error)))
            opened.append(page)
        yield address, *opened
        expect.set_options(timeout=PATIENCE_MS)
        assert [one for one in problems if "401" not in one and "403" not in one] == [], "but for what is refused"
        for page in opened:
            page.context.close()


def shot(page, name):
    """The page at three widths, light and dark, where pictures of pages are wanted."""
    if not SHOTS:
        return
    for width, px in WIDTHS.items():
        page.set_viewport_size({"width": px, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=Path(SHOTS) / f"{name}-{width}-{scheme}.png", full_page=True)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")


def confirm(page, address, case_id, diagnosis):
    """Writes a finding down on a case's page."""
    page.goto(f"{address}/cases/{case_id}")
    form = page.locator("#confirmed-form")
    if form.get_attribute("open") is None:
        form.locator("summary").click()
    form.get_by_label("Diagnosis", exact=True).select_option(diagnosis)
    form.get_by_label("Confirmed by").select_option(label="histopathology")
    form.get_by_role("button", name="Write down the diagnosis").click()
    expect(page.get_by_text(re.compile("Confirmed by: histopathology"))).to_be_visible()


def new_case(page, address, pseudonym, path):
    """A patient with a lesion and a picture; gives which models its answers are from."""
    page.goto(f"{address}/patients/new")
    page.get_by_label("Pseudonym").fill(pseudonym)
    page.get_by_role("button", name="Make the patient").click()
    page.get_by_role("link", name="New lesion").click()
    page.get_by_role("radio", name="Upper back, left (Back)").click()
    page.get_by_role("button", name="Make the lesion").click()
    page.get_by_role("link", name="Add pictures").first.click()
    page.get_by_label("Pictures", exact=True).set_input_files(path)
    page.get_by_role("button", name="Store and assess").click()
    expect(page.locator("article.result").first).to_be_visible()
    file = page.request.get(f"{address}/api/v1/cases/{page.url.split('/cases/')[1].split('?')[0]}").json()
    return {one["result"]["bundle"] for one in file["predictions"]}


def confirmations_come_in(store, page, address, cases):
    """One is written down on its page, the others as the practice's system sends them."""
    (first, diagnosis), *others = cases
    confirm(page, address, first, diagnosis.value)
    day = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    with store.database.begin() as session:
        for case_id, found in others:
            opinions.add_confirmation(
                session, ADA, case_id, diagnosis=found, confirmation="histopathology", confirmed_on=day
            )


def an_alarm_is_seen(page, address):
    """It is raised by the look that the lead asks for, which goes on while the page is free."""
    page.goto(f"{address}/watch")
    expect(page.get_by_text("Nobody has looked yet")).to_be_visible()
    page.get_by_role("button", name="Look now").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_role("heading", name="What to do")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_count(0)
    expect(page.locator(".alarms")).to_contain_text("The pictures have another tint than before.")
    expect(page.locator("#measure-colour .state")).to_have_class("state alarm")
    shot(page, "watch")
    assert axe_violations(page) == []


def the_comparison_is_read(page, address, challenger):
    """Gates and figures of both with intervals and plots, on the frozen set that the turn measured them on."""
    page.goto(f"{address}/models")
    shot(page, "models")
    page.get_by_role("link", name="Compare and decide").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(challenger.identity)
    expect(page.locator(".gate-verdict")).to_have_text("All required gates passed.")
    row = page.get_by_role("row", name="AUC, malignant versus benign")
    assert len(re.findall(r"[01]\.\d{3} to [01]\.\d{3}", row.inner_text())) == 2, "both with their interval"
    expect(page.get_by_text("Measured on: the frozen test set, by the turn that made this model")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("ROC curve"))).to_be_visible()
    expect(page.get_by_role("img", name="AUC for malignancy: interval and limit")).to_be_visible()


def pictures_that_divide(app, store, challenger, folder):
    """Two pictures on which champion and challenger decide otherwise, if such pictures there are."""
    with store.database.read() as session:
        other = Classifier(registry.open_model(session, challenger), threads=1, similar=1)
    found = []
    for number in range(60):
        picture = tinted(FINE[number % len(FINE)], 400 + number)
        said = [one.classify(picture.content, "lesion.png").decision for one in (app.state.desk.classifier, other)]
        if said[0] != said[1]:
            found.append(folder / f"lesion-{number}.png")
            found[-1].write_bytes(picture.content)
        if len(found) == 2:
            return found
    raise AssertionError("the two never differ: the challenger learnt nothing")


def changed_cases_are_seen(lead, clinician, address, models, pictures):
    """The challenger answers silently on new cases; where it would decide otherwise, the lead sees their pictures."""
    champion, challenger = models
    lead.get_by_role("button", name="Let it answer silently").click()
    expect(lead.get_by_role("status")).to_contain_text("It answers silently")
    for number, path in enumerate(pictures):
        assert new_case(clinician, address, f"Loop-{number}", path) == {champion.identity}
        assert challenger.identity not in clinician.content(), "nobody is shown what the shadow says"
    lead.goto(f"{address}/models/{challenger.id}")
    for _ in range(300):  # the shadow answers in its own time
        if lead.locator(".changed li").count():
            break
        lead.reload()
    picture = lead.locator(".changed li").first.get_by_role("img")
    picture.scroll_into_view_if_needed()
    expect(picture).not_to_have_js_property("naturalWidth", 0)
    expect(lead.locator(".changed li").first).to_contain_text("This model")
    shot(lead, "version")
    assert axe_violations(lead) == []


def nobody_else_promotes(page, address, challenger):
    """Who is no lead finds no link, sees no page and changes nothing."""
    page.goto(f"{address}/patients/new")
    expect(page.locator("nav a[href='/models']")).to_have_count(0)
    token = page.locator("main input[name=form_token]").first.get_attribute("value")
    assert page.goto(f"{address}/watch").status == 403
    assert page.goto(f"{address}/models/{challenger.id}").status == 403
    sent = {"form_token": token, "reason": "I like it.", "present": PASSWORD}
    assert page.request.post(f"{address}/models/{challenger.id}/promote", form=sent).status == 403


def the_lead_signs(page):
    """The wrong password signs nothing."""
    for password, told in (("not the password", "alert"), (PASSWORD, "status")):
        page.get_by_label("Why this model should answer from now on").fill("No worse on the frozen set, better here.")
        page.get_by_label("Your password, as your signature").fill(password)
        page.get_by_role("button", name="Promote").click()
        expect(page.get_by_role(told)).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("This server answers with it from now on")


def the_evidence_is_saved(page):
    """All of it, in one file, by one click."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the whole evidence").click()
    with zipfile.ZipFile(download.value.path()) as packed:
        assert {"dossier.html", "gates.json", "plan.json", "evidence.zip", "SHA256SUMS"} <= set(packed.namelist())
        assert packed.testzip() is None
    if SHOTS:
        download.value.save_as(Path(SHOTS) / "evidence.zip")


def it_is_taken_back(page, address, champion):
    """One button and a reason."""
    page.goto(f"{address}/models")
    shot(page, "models-after")
    page.get_by_text(f"Roll back to {champion.identity}").click()
    page.get_by_label("Reason").fill("It refers too many.")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("status")).to_contain_text("This model answers again")
    expect(page.locator(".entries").last).to_contain_text("It refers too many.")


def test_from_confirmations_and_an_alarm_to_a_promoted_challenger_and_back(practice, people, tmp_path):
    app, store, champion, cases, folder = practice
    address, lead, clinician = people
    confirmations_come_in(store, clinician, address, cases)
    an_alarm_is_seen(lead, address)
    outcome, challenger = refined(store, folder)
    assert outcome.word == "proposed", outcome.said
    the_comparison_is_read(lead, address, challenger)
    pictures = pictures_that_divide(app, store, challenger, tmp_path)
    changed_cases_are_seen(lead, clinician, address, (champion, challenger), pictures)
    nobody_else_promotes(clinician, address, challenger)
    assert app.state.desk.classifier.bundle.identity == champion.identity
    the_lead_signs(lead)
    assert new_case(clinician, address, "Loop-promoted", pictures[0]) == {challenger.identity}
    the_evidence_is_saved(lead)
    it_is_taken_back(lead, address, champion)
    assert new_case(clinician, address, "Loop-back", pictures[0]) == {champion.identity}
