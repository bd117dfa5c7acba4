"""Signing in and out, links, passwords, tokens and people, as the pages do it, for honest and hostile visitors."""

import html
import re
from datetime import timedelta
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from itsdangerous import Signer

from dermaloop.cases import account_tables, accounts, audit, links, passwords
from dermaloop.cases.actor import system
from dermaloop.cases.database import now
from dermaloop.cases.roles import Role, Scope
from dermaloop.web.cookies import Cookies, key_from
from support.people import PASSWORD, QUICK, add_account, begin, carry, make_token, sign_in

NEWER = "four unrelated words here"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(passwords, "hasher", lambda: QUICK)
    passwords._decoy.cache_clear()
    yield
    passwords._decoy.cache_clear()


@pytest.fixture
def visitor(make_client):
    """Nobody yet, with a browser."""
    return make_client(role=None)


@pytest.fixture
def ada(store):
    """A clinician with a password."""
    return add_account(store, Role.CLINICIAN, "Ada", PASSWORD)


def _token(page):
    return re.search(r'name="form_token" value="(\w*)"', page.text)[1]


def _enter(client, name="Ada", password=PASSWORD, **more):
    token = _token(client.get("/signin"))
    form = {"form_token": token, "name": name, "password": password, **more}
    return client.post("/signin", data=form, follow_redirects=False)


def _text(answer):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", answer.text)))


def _log(store, action):
    with store.database.read() as transaction:
        return transaction.scalars(sa.select(audit.AuditRow).where(audit.AuditRow.action == action)).all()


def _change(store, table, **values):
    with store.database.begin() as transaction:
        transaction.execute(sa.update(table).values(**values))


def _signed_in_as(client):
    """The name at the top of the page, or nothing."""
    found = re.search(r'<a class="me"[^>]*>([^<]*)</a>', client.get("/model").text)
    return html.unescape(found[1]) if found else ""


def _sign_in_cookie(client):
    return client.app.state.desk.cookies.sign_in_name


# -- signing in and out -----------------------------------------------------------------------------------------------


def test_a_visitor_is_led_to_the_form_and_from_there_back(visitor, ada):
    led = visitor.get("/model?part=1", follow_redirects=False)
    assert (led.status_code, led.headers["location"]) == (303, "/signin?next=/model%3Fpart%3D1")
    page = visitor.get(led.headers["location"])
    assert 'name="next" value="/model?part=1"' in page.text
    entered = _enter(visitor, next="/model?part=1")
    assert (entered.status_code, entered.headers["location"]) == (303, "/model?part=1")
    assert _signed_in_as(visitor) == "Ada"
    assert visitor.get("/signin?next=/model", follow_redirects=False).headers["location"] == "/model"


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(visitor, ada):
    cookie = next(one for one in _enter(visitor).headers.get_list("set-cookie") if "sign-in" in one)
    for attribute in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"):
        assert attribute in cookie
    assert "Domain" not in cookie
    assert "Secure" not in cookie, "on loopback there is no TLS"


def test_behind_tls_the_cookie_is_bound_to_it(make_client, ada):
    client = make_client(role=None, behind_proxy="127.0.0.1")
    client.base_url = "https://127.0.0.1:8000"
    cookie = next(one for one in _enter(client).headers.get_list("set-cookie") if "sign-in" in one)
    assert cookie.startswith("__Host-")
    assert "Secure" in cookie
    assert client.get("/healthz").headers["strict-transport-security"].startswith("max-age=")


def test_signing_in_makes_a_new_secret_and_ends_the_old_one(visitor, ada):
    """A secret that somebody planted in the browser before is worth nothing afterwards."""
    planted = begin(visitor.app, ada)
    carry(visitor, planted)
    del visitor.headers["X-Form-Token"]
    form = visitor.get("/account")
    answer = visitor.post(
        "/signin", data={"form_token": _token(form), "name": "Ada", "password": PASSWORD}, follow_redirects=False
    )
    assert answer.status_code == 303
    assert visitor.cookies[_sign_in_cookie(visitor)] != visitor.app.state.desk.cookies.signed(planted)
    assert _signed_in_as(visitor) == "Ada"
    carry(visitor, planted)
    assert _signed_in_as(visitor) == ""


@pytest.mark.parametrize(
    "name", ["Ada", "nobody", "<script>alert(1)</script>", "x" * 5000, "a\tb", "🦊", "' OR 1=1 --"]
)
def test_a_wrong_password_and_an_unknown_name_look_alike(visitor, ada, name):
    refused = _enter(visitor, name, "wrong")
    assert refused.status_code == 401
    assert "The name and the password do not fit." in _text(refused)
    assert "<script>alert" not in refused.text
    shown = refused.text.replace(html.escape(name), "NAME").replace(html.escape(name, quote=False), "NAME")
    known = _enter(visitor, "Ada", "wrong").text.replace("Ada", "NAME")
    assert re.sub(r'value="[^"]*"', "", shown) == re.sub(r'value="[^"]*"', "", known)
    assert _signed_in_as(visitor) == ""


@pytest.mark.parametrize("name", ["Ada", "nobody"])
def test_after_too_many_attempts_one_has_to_wait_whoever_one_is(visitor, ada, store, name):
    for _ in range(5):
        assert _enter(visitor, name, "wrong").status_code == 401
    waiting = _enter(visitor, name)
    assert waiting.status_code == 429
    assert 0 < int(waiting.headers["retry-after"]) <= 900
    assert "Try again in 15 minutes" in _text(waiting)
    assert len(_log(store, "account.locked_out")) == 1
    assert _signed_in_as(visitor) == ""


def test_when_too_many_passwords_are_being_checked_one_is_told_to_come_back(visitor, ada, lesion_jpeg):
    hashing = visitor.app.state.desk.hashing
    token = _token(visitor.get("/signin"))
    hashing.taken = hashing.places
    answer = visitor.post("/signin", data={"form_token": token, "name": "Ada", "password": PASSWORD})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    carry(visitor, begin(visitor.app, ada))
    assessed = visitor.post("/assess", files=[("pictures", ("a.jpg", lesion_jpeg))])
    assert assessed.status_code == 200, "pictures have places of their own"
    hashing.taken = 0


def test_a_sign_in_form_needs_its_token_too(visitor, ada):
    answer = visitor.post("/signin", data={"name": "Ada", "password": PASSWORD})
    assert answer.status_code == 403
    assert _signed_in_as(visitor) == ""


@pytest.mark.parametrize(
    "to",
    [
        "https://elsewhere.example/",
        "//elsewhere.example/",
        "/\\elsewhere.example",
        "\\\\elsewhere.example",
        "/\t/elsewhere.example",
        "javascript:alert(1)",
        "/%0d%0aSet-Cookie:a=b",
        "/\r\nSet-Cookie: a=b",
        "///elsewhere.example",
        "http:/elsewhere.example",
        "",
    ],
)
def test_next_leads_nowhere_else(visitor, ada, to):
    entered = _enter(visitor, next=to)
    where = entered.headers["location"]
    assert where.startswith("/")
    assert not where.startswith(("//", "/\\"))
    assert "a=b" not in entered.headers.get("set-cookie", "")
    assert "\r" not in where
    again = visitor.get("/signin", params={"next": to}, follow_redirects=False).headers["location"]
    assert again.startswith("/")
    assert not again.startswith(("//", "/\\"))


def test_signing_out_ends_it_on_the_server_too(visitor, ada):
    secret = begin(visitor.app, ada)
    carry(visitor, secret)
    out = visitor.post("/signout", follow_redirects=False)
    assert out.headers["location"] == "/signin"
    assert out.headers["clear-site-data"] == '"cache"'
    carry(visitor, secret)  # as somebody would who has copied the cookie
    assert _signed_in_as(visitor) == ""


def test_signing_out_everywhere_ends_all_browsers(make_client, ada):
    first, second = make_client(role=None), make_client(role=None)
    for client in (first, second):
        carry(client, begin(client.app, ada))
    assert first.post("/account/signout-everywhere", follow_redirects=False).status_code == 303
    assert _signed_in_as(second) == ""


def test_a_sign_in_ends_by_the_clock(visitor, store, ada):
    carry(visitor, begin(visitor.app, ada))
    _change(store, account_tables.SignInRow, seen_at=now() - timedelta(minutes=119))
    assert _signed_in_as(visitor) == "Ada"  # and that was a use
    _change(store, account_tables.SignInRow, begun_at=now() - timedelta(hours=11))
    assert _signed_in_as(visitor) == "Ada"
    _change(store, account_tables.SignInRow, ends_at=now())
    assert _signed_in_as(visitor) == ""


def test_a_disabled_account_is_out_at_once(visitor, store, ada):
    carry(visitor, begin(visitor.app, ada))
    with store.database.begin() as transaction:
        accounts.disable(transaction, system("test"), ada.id)
    assert _signed_in_as(visitor) == ""
    del visitor.headers["X-Form-Token"]
    assert _enter(visitor).status_code == 401


# -- forged and foreign cookies and tokens ----------------------------------------------------------------------------


def _forgeries(cookies, secret, sign_in_id):
    signed = cookies.signed(secret)
    other = Cookies(key_from(b"another store"), secure=False, age_s=1)
    return {
        "unsigned": secret,
        "id": cookies.signed(sign_in_id),
        "signed by another store": other.signed(secret),
        "other secret, signature kept": "A" + signed[1:],
        "signature cut": signed[:-1],
        "signature of another use": Signer(cookies.key, b"dermaloop.visit").sign(secret).decode(),
        "no secret": cookies.signed(""),
        "overlong": cookies.signed("x" * 10_000),
        "empty": "",
        "dots": "....",
        "not ascii": "é" * 20,
        "made up, rightly signed": cookies.signed("x" * 43),
        "sql": cookies.signed("' OR 1=1 --"),
    }


def test_forged_and_altered_cookies_open_nothing(visitor, store, ada):
    secret = begin(visitor.app, ada)
    cookies = visitor.app.state.desk.cookies
    with store.database.read() as transaction:
        sign_in_id = transaction.scalars(sa.select(account_tables.SignInRow.id)).one()
    for kind, value in _forgeries(cookies, secret, sign_in_id).items():
        header = f"{cookies.sign_in_name}={value}".encode()
        answer = visitor.get("/account", headers={b"cookie": header}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/signin?next=/account"), kind
    header = f"{cookies.sign_in_name}={cookies.signed(secret)}"
    assert visitor.get("/account", headers={"cookie": header}).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer dermaloop_" + "A" * 43,
        "Bearer dermaloop_" + "A" * 5000,
        "Basic QWRhOmNvcnJlY3Q=",
        "dermaloop_x",
        "",
        "Bearer dermaloop_' OR 1=1 --",
    ],
)
def test_a_token_that_does_not_work_is_refused_even_beside_a_good_cookie(make_client, header):
    client = make_client()
    answer = client.get("/api/v1/model", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["code"] == "bad_token"
    assert client.get("/api/v1/model").status_code == 200


def test_a_token_works_until_it_is_revoked_or_over(visitor, store, ada, lesion_jpeg):
    secret = make_token(store, ada, [Scope.CLASSIFY])
    headers = {"Authorization": f"Bearer {secret}"}
    files = [("pictures", ("a.jpg", lesion_jpeg))]
    assert visitor.post("/api/v1/classify", files=files, headers=headers).status_code == 200
    assert (
        visitor.post("/api/v1/classify", files=files, headers={"Authorization": f"bearer  {secret}"}).status_code == 200
    )
    (first,) = _log(store, "token.first_used")
    assert first.actor_kind == "token"
    _change(store, account_tables.TokenRow, ends_at=now())
    assert visitor.post("/api/v1/classify", files=files, headers=headers).status_code == 401
    _change(store, account_tables.TokenRow, ends_at=now() + timedelta(days=1), revoked_at=now())
    assert visitor.post("/api/v1/classify", files=files, headers=headers).status_code == 401


def test_a_token_opens_no_page_and_makes_no_token(visitor, store):
    admin = add_account(store, Role.ADMIN, "root")
    headers = {"Authorization": f"Bearer {make_token(store, admin, list(Scope))}"}
    for path in ("/", "/account", "/people", "/model"):
        assert visitor.get(path, headers=headers).status_code == 403
    for path in ("/account/tokens", "/account/password", "/people"):
        assert visitor.post(path, headers=headers).status_code == 403


# -- links ------------------------------------------------------------------------------------------------------------


def _link(store, account, purpose):
    with store.database.begin() as transaction:
        return links.make(transaction, system("test"), account.id, purpose)


def test_the_owner_s_link_signs_in_once(make_client, store):
    with store.database.begin() as transaction:
        secret = links.for_owner(transaction, system("serve"))
    first, second = make_client(role=None), make_client(role=None)
    assert first.head(f"/enter/{secret}").status_code == 405, "a program that looks ahead does not use it up"
    assert first.get(f"/enter/{secret}", headers={"sec-purpose": "prefetch"}).status_code == 204
    entered = first.get(f"/enter/{secret}", follow_redirects=False)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    home = first.get("/")
    assert "Set a password to come back without it." in home.text
    assert '<form id="form"' in home.text
    used = second.get(f"/enter/{secret}")
    assert used.status_code == 410
    assert "used already" in used.text
    assert first.get(f"/enter/{secret}", follow_redirects=False).headers["location"] == "/", (
        "a second click is no error"
    )


@pytest.mark.parametrize("secret", ["x", "x" * 5000, "%00", "..%2f..%2fetc%2fpasswd", "%ff%fe", "'--", "%F0%9F%A6%8A"])
@pytest.mark.parametrize("kind", ["enter", "invitation"])
def test_a_made_up_link_opens_nothing(visitor, kind, secret):
    answer = visitor.get(f"/{kind}/{secret}", follow_redirects=False)
    assert answer.status_code in (404, 410)
    assert _signed_in_as(visitor) == ""


def test_an_invited_person_chooses_a_password_and_is_in(make_client, store):
    admin, invited = make_client(), make_client(role=None)
    shown = admin.post("/people", data={"name": "Grace", "role": "clinician"})
    assert "Hand this link to Grace" in _text(shown)
    address = re.search(
        r'<code class="secret"[^>]*>http://127\.0\.0\.1:8000(/invitation/[\w-]{43})</code>', shown.text
    )[1]
    assert address not in admin.get("/people").text, "shown once"

    page = invited.get(address)
    assert "For the account Grace." in _text(page)
    assert invited.get(address).status_code == 200, "looking does not use it up"
    form = {"form_token": _token(page), "new": NEWER, "again": NEWER}
    short = invited.post(address, data={**form, "new": "short", "again": "short"})
    assert short.status_code == 422
    assert "fewer than 12 characters" in _text(short)
    differing = invited.post(address, data={**form, "again": NEWER + "x"})
    assert "the two entries differ" in _text(differing).lower()
    done = invited.post(address, data=form, follow_redirects=False)
    assert done.status_code == 303
    assert _signed_in_as(invited) == "Grace"
    assert invited.get("/people").status_code == 403

    other = make_client(role=None)
    assert other.get(address).status_code == 410
    assert _enter(other, "grace", NEWER).status_code == 303
    assert [row.action for row in _log(store, "account.created")]


def test_a_link_to_choose_a_password_signs_the_old_browsers_out(make_client, store, ada):
    old, admin, person = make_client(role=None), make_client(), make_client(role=None)
    carry(old, begin(old.app, ada))
    shown = admin.post(f"/people/{ada.id}/link")
    path = re.search(r"/invitation/[\w-]+", shown.text)[0]
    page = person.get(path)
    person.post(path, data={"form_token": _token(page), "new": NEWER, "again": NEWER})
    assert _signed_in_as(person) == "Ada"
    assert _signed_in_as(old) == ""
    assert _enter(make_client(role=None), "Ada", PASSWORD).status_code == 401


# -- one's own account ------------------------------------------------------------------------------------------------


def test_the_owner_sets_a_name_and_a_password(make_client, store):
    client = make_client(role=None)
    sign_in(client, Role.ADMIN, "owner")
    before = client.cookies[_sign_in_cookie(client)]
    form = {"name": "Dr. Ada", "new": NEWER, "again": NEWER}
    done = client.post("/account/password", data=form, follow_redirects=False)
    assert done.status_code == 303
    assert client.cookies[_sign_in_cookie(client)] != before
    assert _signed_in_as(client) == "Dr. Ada"
    assert "Set a password" not in client.get("/").text
    assert _enter(make_client(role=None), "dr. ada", NEWER).status_code == 303
    (set_,) = _log(store, "account.password_set")
    assert set_.actor_name == "owner"


def test_a_password_is_changed_only_by_who_knows_it(make_client, store, ada):
    client, other = make_client(role=None), make_client(role=None)
    for one in (client, other):
        carry(one, begin(one.app, ada))
    form = {"new": NEWER, "again": NEWER}
    for wrong in ({}, {"present": "wrong"}, {"present": NEWER}):
        answer = client.post("/account/password", data={**form, **wrong})
        assert answer.status_code == 401
    assert _signed_in_as(other) == "Ada"
    same_name = client.post("/account/password", data={"present": PASSWORD, "new": "x ada is my name x", "again": "x"})
    assert same_name.status_code == 422
    done = client.post("/account/password", data={"present": PASSWORD, **form}, follow_redirects=False)
    assert done.status_code == 303
    assert _signed_in_as(client) == "Ada"
    assert _signed_in_as(other) == "", "every other browser is out"
    assert len(_log(store, "account.sign_in_failed")) == 3


def test_guessing_the_present_password_in_an_open_browser_is_stopped(visitor, ada):
    carry(visitor, begin(visitor.app, ada))
    form = {"new": NEWER, "again": NEWER}
    codes = [visitor.post("/account/password", data={"present": f"w{n}", **form}).status_code for n in range(6)]
    assert codes == [401] * 5 + [429]


def test_one_s_sign_ins_are_listed_and_ended_but_nobody_else_s(make_client, store, ada):
    mine, also_mine, other = make_client(role=None), make_client(role=None), make_client(role=None)
    carry(mine, begin(mine.app, ada))
    carry(also_mine, begin(also_mine.app, ada))
    sign_in(other, Role.VIEWER, "Eve")
    with store.database.read() as transaction:
        rows = transaction.scalars(
            sa.select(account_tables.SignInRow).order_by(account_tables.SignInRow.begun_at)
        ).all()
    first, second, foreign = (row.id for row in rows)
    page = mine.get("/account").text
    assert f"/account/sign-ins/{second}/end" in page
    assert f"/account/sign-ins/{first}/end" not in page, "this browser signs out by its own button"
    assert foreign not in page
    for attempt in (foreign, "nothing", "..%2f..", "%00", f"{second}'--"):
        assert mine.post(f"/account/sign-ins/{attempt}/end").status_code == 404
    assert _signed_in_as(other) == "Eve"
    assert mine.post(f"/account/sign-ins/{second}/end", follow_redirects=False).status_code == 303
    assert _signed_in_as(also_mine) == ""
    assert _signed_in_as(mine) == "Ada"


def test_a_token_is_shown_once_and_revoked_by_its_owner_only(make_client, store, ada, lesion_jpeg):
    client, other = make_client(role=None), make_client()
    carry(client, begin(client.app, ada))
    made = client.post("/account/tokens", data={"name": "archive", "scope": ["classify", "cases:read"], "days": "30"})
    secret = re.search(r'<code class="secret"[^>]*>(dermaloop_[\w-]{43})</code>', made.text)[1]
    assert "dermaloop_" not in client.get("/account").text
    assert secret not in "".join(str(row.detail) for row in _log(store, "token.made"))
    headers = {"Authorization": f"Bearer {secret}"}
    programme = make_client(role=None)
    assert programme.get("/api/v1/model", headers=headers).status_code == 200
    token_id = re.search(r"/account/tokens/([\w-]+)/revoke", client.get("/account").text)[1]
    assert other.post(f"/account/tokens/{token_id}/revoke").status_code == 404, "not even an administrator"
    assert programme.get("/api/v1/model", headers=headers).status_code == 200
    assert client.post(f"/account/tokens/{token_id}/revoke", follow_redirects=False).status_code == 303
    assert programme.get("/api/v1/model", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"name": "", "scope": "classify", "days": "30"}, 422),
        ({"name": "x", "days": "30"}, 422),
        ({"name": "x", "scope": "audit:read", "days": "30"}, 422),
        ({"name": "x", "scope": "everything", "days": "30"}, 422),
        ({"name": "x", "scope": "classify", "days": "100000"}, 422),
        ({"name": "x", "scope": "classify", "days": "-1"}, 422),
        ({"name": "x", "scope": "classify", "days": "١٢"}, 200),
        ({"name": "x", "scope": "classify", "days": "1e3"}, 422),
        ({"name": "x" * 65, "scope": "classify", "days": "30"}, 422),
        ({"name": "a\x00b", "scope": "classify", "days": "30"}, 422),
    ],
)
def test_tokens_that_are_refused_are_said_so(visitor, ada, form, status):
    carry(visitor, begin(visitor.app, ada))
    answer = visitor.post("/account/tokens", data=form)
    assert answer.status_code == status
    assert ("dermaloop_" in answer.text) == (status == 200)


# -- people -----------------------------------------------------------------------------------------------------------


def test_an_administrator_gives_roles_and_disables(make_client, store, ada):
    admin, person = make_client(), make_client(role=None)
    carry(person, begin(person.app, ada))
    assert person.get("/people").status_code == 403
    assert admin.post(f"/people/{ada.id}/role", data={"role": "admin"}, follow_redirects=False).status_code == 303
    assert person.get("/people").status_code == 200, "at once"
    assert admin.post(f"/people/{ada.id}/role", data={"role": "emperor"}).status_code == 422
    assert admin.post(f"/people/{ada.id}/disable", follow_redirects=False).status_code == 303
    assert _signed_in_as(person) == ""
    assert "disabled" in _text(admin.get("/people"))
    assert admin.post(f"/people/{ada.id}/link").status_code == 409, "no link for a disabled account"
    assert admin.post(f"/people/{ada.id}/enable", follow_redirects=False).status_code == 303
    assert _enter(make_client(role=None)).status_code == 303
    assert [row.subject_id for row in _log(store, "account.role_changed")] == [ada.id]


def test_the_last_administrator_cannot_lock_everybody_out(make_client, store):
    admin = make_client()
    with store.database.read() as transaction:
        account = accounts.find_by_name(transaction, "admin")
    for path, form in ((f"/people/{account.id}/disable", {}), (f"/people/{account.id}/role", {"role": "viewer"})):
        answer = admin.post(path, data=form)
        assert answer.status_code == 409
        assert "is the only administrator" in _text(answer)
    assert admin.get("/people").status_code == 200


@pytest.mark.parametrize("account_id", ["nothing", "%00", "..%2f..", "00000000-0000-4000-8000-000000000000", "'--"])
def test_an_account_that_is_not_there_is_not_found(make_client, account_id):
    admin = make_client()
    for action, form in (("disable", {}), ("enable", {}), ("role", {"role": "lead"}), ("link", {})):
        assert admin.post(f"/people/{account_id}/{action}", data=form).status_code == 404


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "%(name)s %s %d",
    "../../../../etc/passwd",
    "\u202egnp.exe",
    "a\r\nSet-Cookie: a=b",
    "javascript:alert(1)",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_typed_anywhere_is_shown_as_text_or_refused(make_client, store, ada, text):
    admin, person = make_client(), make_client(role=None)
    carry(person, begin(person.app, ada))
    answers = [
        admin.post("/people", data={"name": text, "role": "viewer"}),
        admin.get("/people"),
        person.post("/account/tokens", data={"name": text, "scope": "classify", "days": "7"}),
        person.get("/account", headers={"user-agent": text.replace("\r\n", "").encode("utf-8")}),
        person.get("/signin", params={"next": text}),
        person.post("/account/password", data={"present": PASSWORD, "name": text, "new": NEWER, "again": NEWER}),
        make_client(role=None).get("/signin", params={"next": text}),
        make_client(role=None).get(f"/{quote(text)}"),
        _enter(make_client(role=None), text, text),
    ]
    for answer in answers:
        assert answer.status_code < 500
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        assert "a=b" not in str(answer.headers)
        assert not re.search(r'(?:href|action|src)="\s*javascript:', answer.text)
        assert "49" not in re.findall(r"<b>([^<]*)</b>", answer.text)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_browser_of_a_sign_in_is_shown_as_text(visitor, ada):
    agent = "<script>alert(1)</script>"
    token = _token(visitor.get("/signin"))
    form = {"form_token": token, "name": "Ada", "password": PASSWORD}
    visitor.post("/signin", data=form, headers={"user-agent": agent})
    page = visitor.get("/account").text
    assert agent not in page
    assert html.escape(agent) in page


# -- forms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"name=%ff%fe", "application/x-www-form-urlencoded", 422),
        (b"name=%00", "application/x-www-form-urlencoded", 422),
        (b"name", "application/x-www-form-urlencoded", 422),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 422),
        (b"&".join(b"a%d=1" % number for number in range(200)), "application/x-www-form-urlencoded", 422),
        (b"name=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"{}", "application/json", 403),
        (b"", "", 403),
    ],
)
def test_a_body_that_is_no_form_of_ours_is_refused(visitor, body, kind, status):
    visitor.get("/signin")
    answer = visitor.post("/signin", content=body, headers={"content-type": kind})
    assert answer.status_code == status


def test_a_form_is_refused_while_it_arrives(visitor):
    sent = []

    def body():
        for number in range(1000):
            sent.append(number)
            yield b"x" * 1024

    answer = visitor.post("/signin", content=body(), headers={"content-type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 413
    assert "form_too_large" in answer.text
