"""Hostile visitors at the API: files, scripts, paths, ids, tokens. Each refused by its name, none stored executable."""

import datetime as dt
import html
import io
import re
import uuid
import zipfile

import pytest
from PIL import Image

from dermaloop.cases import accounts, findings, flags, tokens
from dermaloop.cases.account_tables import TokenRow
from dermaloop.cases.actor import system
from dermaloop.cases.findings import Raised
from dermaloop.cases.flags import Suspicion
from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.words import FlagKind
from dermaloop.web.errors import STATUS
from support.api import FINDING, PATIENT, bearer, get, new_case, new_lesion, post, upload
from support.hostile import exif, hostile_files, save
from support.models import first_champion, proposal
from support.people import PASSWORD, add_account, make_token, sign_in

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}${7*7}'\"><svg onload=alert(3)>"
HOSTILE = hostile_files()
KINDS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
BAD_IDS = (
    "00000000-0000-4000-8000-000000000000",
    str(uuid.UUID(int=2**128 - 1)),
    "%2e%2e",
    "%2e%2e%2fpractice",
    "' OR 1=1 --",
    "%00",
    "%F0%9F%92%80",
    "x" * 40,
    "1",
)
ROUTES = (
    ("GET", "/patients/{}"), ("GET", "/patients/{}/export"), ("GET", "/lesions/{}"), ("GET", "/cases/{}"),
    ("GET", "/cases/{}/report"), ("GET", "/images/{}"), ("GET", "/images/{}/file"), ("GET", "/images/{}/small"),
    ("GET", "/predictions/{}"), ("GET", "/predictions/{}/heatmap"), ("POST", "/cases/{}/signoff"),
    ("GET", "/lesions/{}/follow-up"), ("POST", "/cases/{}/phone-links/end"),
)  # fmt: skip
_SIGNED = {"reason": "x", "password": PASSWORD}
WORK = (
    ("GET", "/screenings/{}", None), ("GET", "/screenings/{}/files", None), ("GET", "/screenings/{}/results", None),
    ("GET", "/screening-pictures/{}", None), ("GET", "/screening-pictures/{}/file", None),
    ("GET", "/screening-pictures/{}/small", None), ("GET", "/screening-pictures/{}/heatmap", None),
    ("POST", "/screening-pictures/{}/filing", {"lesion_id": "x", "visited_on": "2026-03-01"}),
    ("GET", "/models/{}", None), ("GET", "/models/{}/evidence", None), ("GET", "/models/{}/comparison", None),
    ("POST", "/models/{}/decline", _SIGNED), ("POST", "/models/{}/promote", _SIGNED),
    ("POST", "/flags/{}/reviews", {"verdict": "accepted", "reason": "x"}),
    ("POST", "/watch/alarms/{}/review", {"outcome": "passed", "note": "x"}),
    ("POST", "/people/{}/disable", None), ("POST", "/people/{}/invitation", None),
    ("PUT", "/people/{}/role", {"role": "viewer"}),
)  # fmt: skip
"""What is done beside a patient's record, with a body that would fit."""


@pytest.fixture
def program(make_client, store):
    client = make_client(role=None)
    client.headers.update(bearer(store, Role.LEAD))
    return client


def _refused(answer, code):
    assert answer.headers["content-type"] == "application/problem+json", answer.text[:200]
    found = answer.json()
    assert (found["code"], answer.status_code) == (code, STATUS[code]), found
    assert found["way_out"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    return found


# -- files ------------------------------------------------------------------------------------------------------------


def test_every_hostile_file_is_refused_by_name_or_becomes_a_clean_picture(make_client, store):
    """All through one door, the page's too: each with its reason, or decoded, stripped, and served as a picture."""
    program = make_client(role=None, max_files=20)
    program.headers.update(bearer(store, Role.CLINICIAN))
    lesion = new_lesion(program)
    names = list(HOSTILE)
    taken, refused = {}, {}
    for start in range(0, len(names), 20):
        batch = [(name.replace("\n", " "), HOSTILE[name][0]) for name in names[start : start + 20]]
        answer = upload(program, lesion, *batch)
        if answer.status_code == 422:
            assert answer.json()["code"] == "image"
            assert all(HOSTILE[name][1] for name in names[start : start + 20])
            refused.update(dict.fromkeys(names[start : start + 20]))
            continue
        assert answer.status_code == 201, answer.text
        taken.update({one["name"]: one["image_id"] for one in answer.json()["taken"]})
        refused.update({one["name"]: one["reasons"][0]["code"] for one in answer.json()["refused"]})
    for name, (_, reason) in HOSTILE.items():
        shown = name.replace("\n", " ").rsplit("/", 1)[-1]
        assert (shown in taken) == (reason is None), name
        assert refused.get(shown) in (None, reason), name
    for image_id in set(taken.values()):
        served = program.get(f"/api/v1/images/{image_id}/file")
        _is_a_harmless_picture(served)


def _is_a_harmless_picture(served):
    kind = served.headers["content-type"]
    assert Image.open(io.BytesIO(served.content)).format == KINDS[kind]
    assert served.headers["x-content-type-options"] == "nosniff"
    assert re.fullmatch(r'inline; filename="picture\.(jpeg|png|webp)"', served.headers["content-disposition"])
    assert "default-src 'none'" in served.headers["content-security-policy"]
    for trace in (b"<?php", b"<script", b"Secret Camera", b"Jane Doe"):
        assert trace not in served.content


def test_a_program_behind_a_picture_and_its_metadata_do_not_get_in(program, store):
    picture = save(Image.linear_gradient("L").convert("RGB"), "JPEG", exif=exif(6, gps=True))
    polyglot = picture + b"<script>alert(1)</script><?php system($_GET[0]); ?>PK\x03\x04"
    answer = upload(program, new_lesion(program), ("shell.php", polyglot), ("page.html", picture))
    for one in answer.json()["taken"]:
        _is_a_harmless_picture(program.get(f"/api/v1/images/{one['image_id']}/file"))
        assert get(program, f"/images/{one['image_id']}")["format"] == "JPEG"
    for entry in store.images.entries():
        assert b"<script" not in store.images.read(entry.sha256)
        assert re.fullmatch("[0-9a-f]{2}/[0-9a-f]{64}", entry.name)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..\\..\\windows\\system.ini",
        "/etc/shadow",
        "C:\\boot.ini",
        "file:///etc/passwd",
        "a\x00.jpg",
        "%2e%2e%2fx.jpg",
        "<script>alert(1)</script>.jpg",
        "\u202egpj.exe",
        "CON",
        ".",
        "..",
        "x" * 3000 + ".jpg",
    ],
)
def test_a_file_s_name_is_shown_and_never_a_path(program, store, lesion_jpeg, name):
    answer = upload(program, new_lesion(program), (name, lesion_jpeg))
    if answer.status_code != 201:
        assert answer.status_code < 500
        _refused(answer, answer.json()["code"])
        return
    (taken,) = answer.json()["taken"]
    assert len(taken["name"]) <= 200
    assert not re.search(r"[/\\\x00-\x1f\u202e]", taken["name"])
    (stored,) = store.images.entries()
    assert re.fullmatch("[0-9a-f]{2}/[0-9a-f]{64}", stored.name)
    with store.database.engine.connect() as connection:
        dump = "\n".join(connection.connection.driver_connection.iterdump())
    assert "passwd" not in dump
    assert "alert(1)" not in dump, "the name of a file, which often is a person's, is not kept"


# -- script in every text field ---------------------------------------------------------------------------------------


def test_script_in_every_text_is_kept_as_text_and_escaped_on_every_page(program, make_client, store, lesion_jpeg):
    short = SCRIPT[:100]
    patient = post(program, "/patients", {**PATIENT, "pseudonym": short, "note": SCRIPT})
    lesion = post(program, f"/patients/{patient['id']}/lesions", {"site": "torso", "label": short, "note": SCRIPT})
    assert (patient["pseudonym"], patient["note"], lesion["label"]) == (short, SCRIPT, short)
    case = upload(program, lesion["id"], ("a.jpg", lesion_jpeg)).json()["case_id"]
    post(program, f"/cases/{case}/impressions", {"management": "excision", "text": SCRIPT})
    post(program, f"/cases/{case}/signoff")
    post(program, f"/cases/{case}/reopening", {"reason": SCRIPT})
    finding = {**FINDING, "diagnosis": None, "malignancy": "benign"}
    texts = {"term": SCRIPT, "confirmed_by": SCRIPT, "note": SCRIPT, "document": SCRIPT}
    confirmation = post(program, f"/cases/{case}/confirmations", {**finding, **texts})
    assert {name: confirmation[name] for name in texts} == texts
    practice = {"name": short, "hide_answer_until_impression": False}
    assert program.put("/api/v1/practice", json=practice).status_code == 200

    page = make_client(role=None)
    sign_in(page, Role.LEAD)
    for path in (
        f"/patients/{patient['id']}",
        f"/patients/{patient['id']}/edit",
        f"/patients/{patient['id']}/delete",
        f"/lesions/{lesion['id']}",
        f"/lesions/{lesion['id']}/edit",
        f"/lesions/{lesion['id']}/visits/new",
        f"/cases/{case}",
        f"/cases/{case}/report",
        "/worklist",
        f"/worklist?search={SCRIPT[:20]}",
        "/practice",
        "/audit",
    ):
        answer = page.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path
        assert "onerror=alert(2)>{{" not in answer.text, path
        assert "<svg onload" not in answer.text, path
        if path != "/audit":  # it names ids only
            assert html.escape(short)[:40] in answer.text or "&lt;script&gt;alert(1)" in answer.text, path
    exported = program.get(f"/api/v1/patients/{patient['id']}/export")
    with zipfile.ZipFile(io.BytesIO(exported.content)) as packed:
        assert not [name for name in packed.namelist() if name.endswith((".html", ".svg", ".js"))]


def test_an_answer_is_never_a_page(program):
    """A browser that is led to an address of the API does not take what it finds there for HTML."""
    post(program, "/patients", {**PATIENT, "pseudonym": SCRIPT[:100]})
    for path in ("/patients", f"/patients?search={SCRIPT[:10]}", "/cases", "/nothing/<script>"):
        answer = program.get(f"/api/v1{path}")
        assert answer.headers["content-type"].startswith(("application/json", "application/problem+json"))
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


# -- ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", BAD_IDS)
def test_an_id_of_nothing_is_told_alike_everywhere(program, bad):
    for method, path in ROUTES:
        answer = program.request(method, f"/api/v1{path.format(bad)}")
        assert answer.status_code in (404, 405), (method, path, bad, answer.text)
        assert answer.json()["code"] in ("record_not_found", "not_found", "method_not_allowed")


def test_an_id_of_nothing_is_told_alike_in_all_other_work_too(make_client, store):
    client = make_client(role=None)
    account = add_account(store, Role.ADMIN, password=PASSWORD)
    client.headers["Authorization"] = f"Bearer {make_token(store, account, list(Scope))}"
    for method, path, body in WORK:
        # A signature is checked before anything is looked up, and costs a password's time: not with every id.
        for bad in BAD_IDS if body is not _SIGNED else BAD_IDS[:1]:
            answer = client.request(method, f"/api/v1{path.format(bad)}", json=body)
            assert answer.status_code in (404, 405), (method, path, bad, answer.text)
            assert answer.json()["code"] in ("record_not_found", "not_found", "method_not_allowed")


def test_a_screening_s_files_are_pictures_and_its_table_runs_nothing(program):
    """A program behind a picture, and names that are paths, formulas or scripts."""
    made = post(program, "/screenings", {"name": SCRIPT[:100]})
    picture = save(Image.linear_gradient("L").convert("RGB"), "JPEG", exif=exif(6, gps=True))
    names = ("../../etc/passwd", "=HYPERLINK(1).jpg", "<script>alert(1)</script>.jpg", "a\u202egpj.exe")
    files = [("pictures", (name, picture + b"<script>alert(1)</script><?php")) for name in names]
    answer = program.post(f"/api/v1/screenings/{made['id']}/pictures", files=files)
    assert answer.status_code == 200, answer.text
    assert answer.json()["name"] == SCRIPT[:100]
    listed = get(program, f"/screenings/{made['id']}/pictures?order=arrival")["pictures"]
    assert len(listed) == len(names)
    for one in listed:
        assert not re.search(r"[\x00-\x1f\u202e]|\.\./|^/", one["name"]), one["name"]
        _is_a_harmless_picture(program.get(f"/api/v1/screening-pictures/{one['id']}/file"))
    table = program.get(f"/api/v1/screenings/{made['id']}/results")
    assert table.headers["content-type"].startswith("text/csv")
    assert table.headers["content-disposition"].startswith("attachment")
    assert table.headers["x-content-type-options"] == "nosniff"
    assert not [line for line in table.text.splitlines() if line.startswith(("=", "+", "-", "@"))]


def test_script_in_what_leads_and_administrators_write_is_text_on_every_page(make_client, store, tmp_path, lesion_jpeg):
    client, page = make_client(role=None), make_client()
    account = add_account(store, Role.ADMIN, "signs", PASSWORD)
    client.headers["Authorization"] = f"Bearer {make_token(store, account, list(Scope))}"
    case = new_case(client, ("a.jpg", lesion_jpeg))
    confirmation = post(client, f"/cases/{case}/confirmations", FINDING)["id"]
    first_champion(store, tmp_path)
    model, moment = proposal(store, tmp_path), dt.datetime.now(dt.UTC)
    with store.database.begin() as session:
        flags.raise_flags(session, system("test"), [Suspicion(confirmation, FlagKind.SAME_PICTURE, "x", SCRIPT, {})])
        (flag,) = flags.list_flags(session, system("test"))
        findings.keep_run(
            session, system("test"), bundle="toy@1", bundle_sha256="0" * 64, visits=1, confirmed=1, report={},
            raised=[Raised("blur", moment, moment, {})],
        )  # fmt: skip
        (alarm,) = findings.alarms(session)
    said = post(client, f"/flags/{flag.id}/reviews", {"verdict": "rejected", "reason": SCRIPT})
    assert said["review"]["reason"] == SCRIPT
    assert post(client, f"/watch/alarms/{alarm.id}/review", {"outcome": "stays", "note": SCRIPT})["review"]["note"]
    post(client, f"/models/{model.id}/decline", {"reason": SCRIPT, "password": PASSWORD})
    assert post(client, "/people", {"name": SCRIPT[:60], "role": "viewer"})["name"] == SCRIPT[:60]
    for path in ("/feedback", "/watch", "/models", f"/models/{model.id}", "/people", "/audit"):
        answer = page.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path
        assert "<svg onload" not in answer.text, path
    assert html.escape(SCRIPT[:60]) in page.get("/people").text
    assert html.escape(SCRIPT)[:60] in page.get("/models").text


def test_the_records_of_a_deleted_patient_are_gone_from_every_address(program, lesion_jpeg):
    case = new_case(program, ("a.jpg", lesion_jpeg))
    file = get(program, f"/cases/{case}")
    confirmation = post(program, f"/cases/{case}/confirmations", FINDING)["id"]
    ids = {
        "patients": file["patient"]["id"],
        "lesions": file["lesion"]["id"],
        "cases": case,
        "images": file["images"][0]["id"],
        "predictions": file["predictions"][0]["id"],
    }
    order = {"pseudonym": "P-0174", "reason": "letter"}
    assert program.post(f"/api/v1/patients/{ids['patients']}/deletion", json=order).status_code == 200
    for method, path in ROUTES:
        answer = program.request(method, f"/api/v1{path.format(ids[path.split('/')[1]])}")
        _refused(answer, "record_not_found")
    for path, body in (
        (f"/patients/{ids['patients']}/lesions", {}),
        (f"/patients/{ids['patients']}/deletion", order),
        (f"/cases/{case}/impressions", {"management": "other", "text": "x"}),
        (f"/cases/{case}/confirmations", FINDING),
        (f"/confirmations/{confirmation}/retraction", {"reason": "x"}),
    ):
        _refused(program.post(f"/api/v1{path}", json=body), "record_not_found")
    _refused(upload(program, ids["lesions"], ("a.jpg", lesion_jpeg)), "record_not_found")
    assert get(program, "/cases")["cases"] == get(program, "/patients")["patients"] == []


def test_a_record_of_one_kind_is_not_found_under_another(program, lesion_jpeg):
    case = new_case(program, ("a.jpg", lesion_jpeg))
    for path in (f"/patients/{case}", f"/lesions/{case}", f"/images/{case}/file", f"/predictions/{case}"):
        _refused(program.get(f"/api/v1{path}"), "record_not_found")


def test_an_entry_of_another_lesion_cannot_be_corrected_from_here(program, lesion_jpeg):
    first, second = (new_case(program, ("a.jpg", lesion_jpeg), pseudonym=name) for name in ("one", "two"))
    theirs = post(program, f"/cases/{first}/confirmations", FINDING)["id"]
    answer = program.post(f"/api/v1/cases/{second}/confirmations", json={**FINDING, "corrects_id": theirs})
    assert _refused(answer, "invalid_record")["field"] == "corrects_id"


# -- tokens -----------------------------------------------------------------------------------------------------------


def _expired(store, account):
    secret = make_token(store, account, [Scope.CASES_READ])
    with store.database.begin() as session:
        row = session.query(TokenRow).filter_by(account_id=account.id).one()
        row.ends_at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    return secret


def _revoked(store, account):
    secret = make_token(store, account, [Scope.CASES_READ])
    with store.database.begin() as session:
        (held,) = tokens.listing(session, account.id)
        assert tokens.revoke(session, system("test"), account.id, held.id)
    return secret


def _disabled(store, account):
    secret = make_token(store, account, [Scope.CASES_READ])
    with store.database.begin() as session:
        accounts.create(session, system("test"), "another", Role.ADMIN)
        accounts.disable(session, system("test"), account.id)
    return secret


@pytest.mark.parametrize("spoil", [_expired, _revoked, _disabled])
def test_a_token_that_is_over_opens_nothing_at_once(make_client, store, spoil):
    client = make_client(role=None)
    account = add_account(store, Role.LEAD)
    client.headers["Authorization"] = f"Bearer {spoil(store, account)}"
    for path in ("/patients", "/cases", "/practice", "/token", "/model", "/flags", "/models", "/people", "/watch",
                 "/audit/export", "/insights"):  # fmt: skip
        found = _refused(client.get(f"/api/v1{path}"), "bad_token")
        assert found["field"] == "Authorization"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer dermaloop_" + "A" * 43,
        "Bearer dermaloop_",
        "Bearer ",
        "Bearer",
        "Basic b3duZXI6cGFzc3dvcmQ=",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "Bearer dermaloop_' OR '1'='1",
        "Bearer dermaloop_" + "A" * 5000,
        "dermaloop_x",
    ],
)
def test_a_forged_token_opens_nothing(make_client, store, header):
    client = make_client(role=None)
    add_account(store, Role.ADMIN)
    found = _refused(client.get("/api/v1/patients", headers={"Authorization": header}), "bad_token")
    assert header.split(" ")[-1][:20] not in found["detail"] or header in ("Bearer ", "Bearer")


def test_a_real_token_with_one_letter_changed_opens_nothing_even_beside_a_good_cookie(make_client, store):
    client = make_client()  # signed in as administrator
    secret = make_token(store, add_account(store, Role.ADMIN), list(Scope))
    assert client.get("/api/v1/cases", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    last = "A" if secret[-1] != "A" else "B"
    for wrong in (secret[:-1] + last, secret.swapcase(), secret[:-1], secret + "A"):
        _refused(client.get("/api/v1/cases", headers={"Authorization": f"Bearer {wrong}"}), "bad_token")


@pytest.mark.parametrize("scope", list(Scope))
def test_a_scope_opens_what_it_says_and_nothing_else(make_client, store, scope):
    client = make_client(role=None)
    client.headers.update(bearer(store, Role.ADMIN, [scope]))
    nowhere = BAD_IDS[0]
    for needed, method, path, body in (
        (Scope.CASES_READ, "GET", "/patients", None),
        (Scope.CASES_WRITE, "POST", "/patients", {"pseudonym": "x"}),
        (Scope.CASES_WRITE, "POST", f"/lesions/{nowhere}/visits", None),
        (Scope.CASES_EXPORT, "GET", f"/patients/{nowhere}/export", None),
        (Scope.CASES_DELETE, "POST", f"/patients/{nowhere}/deletion", {"pseudonym": "x", "reason": "x"}),
        (Scope.PRACTICE_WRITE, "PUT", "/practice", {"name": "", "hide_answer_until_impression": False}),
        (Scope.AUDIT_READ, "GET", "/audit", None),
        (Scope.AUDIT_READ, "GET", "/audit/export?action=no.such", None),
        (Scope.CLASSIFY, "GET", "/model", None),
        (Scope.CASES_WRITE, "POST", f"/cases/{nowhere}/phone-links/end", None),
        (Scope.FEEDBACK_REVIEW, "GET", "/flags", None),
        (Scope.FEEDBACK_REVIEW, "POST", f"/flags/{nowhere}/reviews", {"verdict": "accepted", "reason": "x"}),
        (Scope.MODELS_READ, "GET", "/models", None),
        (Scope.MODELS_DECIDE, "POST", "/models/rollback", {"reason": "x"}),
        (Scope.WATCH_REVIEW, "POST", f"/watch/alarms/{nowhere}/review", {"outcome": "passed", "note": "x"}),
        (Scope.METRICS, "GET", "/watch", None),
        (Scope.PEOPLE_READ, "GET", "/people", None),
        (Scope.PEOPLE_WRITE, "POST", f"/people/{nowhere}/disable", None),
    ):
        answer = client.request(method, f"/api/v1{path}", json=body)
        if needed is scope:
            assert answer.status_code != 403, (path, answer.text)
        else:
            found = _refused(answer, "scope_missing")
            assert found["field"] == needed.value
            assert f'scope="{needed.value}"' in answer.headers["www-authenticate"]


def test_a_token_shrinks_with_its_account(make_client, store):
    client = make_client(role=None)
    account = add_account(store, Role.LEAD)
    client.headers.update(bearer(store, Role.LEAD))
    with store.database.begin() as session:
        accounts.set_role(session, system("test"), account.id, Role.VIEWER)
    assert get(client, "/patients")["patients"] == []
    _refused(client.post("/api/v1/patients", json=PATIENT), "role_missing")
    _refused(client.get(f"/api/v1/patients/{BAD_IDS[0]}/export"), "role_missing")


def test_another_site_s_page_cannot_use_a_browser_s_sign_in(make_client):
    client = make_client()
    token = client.headers.pop("X-Form-Token")
    _refused(client.post("/api/v1/patients", json=PATIENT), "stale_form")
    abroad = {"Sec-Fetch-Site": "cross-site", "X-Form-Token": token}
    _refused(client.post("/api/v1/patients", json=PATIENT, headers=abroad), "cross_site")
    assert client.post("/api/v1/patients", json=PATIENT, headers={"X-Form-Token": token}).status_code == 201
