"""The API against its own description: whatever fits it is answered as it says, and whatever does not is refused.

Schemathesis makes the requests, from the description alone; ids of records are drawn from what is really there too, so
that they get past the first look-up. By default few examples, always the same; `DERMALOOP_TEST_API_EXAMPLES` in the
environment sets how many per operation, and then they are new at each run.
"""

import datetime as dt
import os
from contextlib import suppress

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode

from dermaloop.cases import findings, flags
from dermaloop.cases.actor import system
from dermaloop.cases.findings import Raised
from dermaloop.cases.flags import Suspicion
from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.words import FlagKind
from dermaloop.core.bundle import open_bundle
from dermaloop.core.synthetic import draw_lesion
from dermaloop.inference.classifier import Classifier
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from support.hostile import save
from support.live import serving
from support.people import add_account, make_token, new_store
from support.toy import toy_bundle

EXAMPLES = int(os.environ.get("DERMALOOP_TEST_API_EXAMPLES") or 0)
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
    "negative_data_rejection",
    "missing_required_header",
    "allow_header_conformance",
)
"""All but `positive_data_acceptance`: that a pseudonym is not taken yet, or that a text holds no control character, is
no matter of a description, and is refused with its reason."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with new_store(tmp_path_factory.mktemp("schema") / "store") as opened:
        yield opened


@pytest.fixture(scope="module")
def address(store, tmp_path_factory):
    """A server in this process: a real one, since what its parser does to a request belongs to the answer."""
    classifier = Classifier(open_bundle(toy_bundle(tmp_path_factory.mktemp("bundle"))), threads=1)
    app = create_app(Settings(host="0.0.0.0", names="clinic.example.org"), classifier, store)
    app.state.desk.watch_runs.start = lambda: None  # what is asked for is not worked off: another process would
    with serving(app) as found:
        yield found


@pytest.fixture(scope="module")
def session(store):
    """Requests with a token that may do everything."""
    with requests.Session() as opened:
        opened.trust_env = False
        token = make_token(store, add_account(store, Role.ADMIN), list(Scope))
        opened.headers["Authorization"] = f"Bearer {token}"
        yield opened


@pytest.fixture(scope="module")
def ids(session, address, store):
    """Ids of real records, by the name of the parameter."""

    def post(path, **content):
        answer = session.post(f"{address}/api/v1{path}", **content)
        assert answer.status_code == 201, answer.text
        return answer.json()

    patient = post("/patients", json={"pseudonym": "schema"})
    lesion = post(f"/patients/{patient['id']}/lesions", json={"site": "torso"})
    files = [("pictures", ("a.jpg", save(draw_lesion(4, size_px=100), "JPEG")))]
    data = {"visited_on": "2026-03-01", "image_type": "dermoscopic"}
    case = post(f"/lesions/{lesion['id']}/visits", data=data, files=files)["case_id"]
    file = session.get(f"{address}/api/v1/cases/{case}").json()
    entry = {"confirmation": "histopathology", "confirmed_on": "2026-03-02", "diagnosis": "MEL"}
    confirmation = post(f"/cases/{case}/confirmations", json=entry)["id"]
    screening = post("/screenings", json={"name": "schema"})["id"]
    answer = session.post(f"{address}/api/v1/screenings/{screening}/pictures", files=files)
    assert answer.status_code == 200, answer.text
    item = session.get(f"{address}/api/v1/screenings/{screening}/pictures").json()["pictures"][0]
    link = post(f"/cases/{case}/phone-links", json={})["link"]
    with store.database.begin() as transaction:
        doubt = Suspicion(confirmation, FlagKind.SAME_PICTURE, file["images"][0]["id"], "for the log", {})
        flags.raise_flags(transaction, system("test"), [doubt])
        (flag,) = flags.list_flags(transaction, system("test"))
        now = dt.datetime.now(dt.UTC)
        findings.keep_run(
            transaction, system("test"), bundle="toy@1", bundle_sha256="0" * 64, visits=1, confirmed=1, report={},
            raised=[Raised("blur", now, now, {})],
        )  # fmt: skip
        (alarm,) = findings.alarms(transaction)
    return {
        "patient_id": patient["id"],
        "job_id": screening,
        "item_id": item["id"],
        "link_id": link["id"],
        "flag_id": flag.id,
        "alarm_id": alarm.id,
        "account_id": add_account(store, Role.VIEWER).id,
        "lesion_id": lesion["id"],
        "case_id": case,
        "image_id": file["images"][0]["id"],
        "prediction_id": file["predictions"][0]["id"],
        "confirmation_id": confirmation,
    }


@pytest.fixture(scope="module")
def schema(session, address):
    found = schemathesis.openapi.from_dict(session.get(f"{address}/api/openapi.json").json())
    found.config.update(base_url=address)
    return found


def test_whatever_fits_or_does_not_fit_the_description_is_answered_as_it_says(session, ids, schema, store):
    load_all_checks()
    checks = CHECKS.get_by_names(CHECKED)
    tried, failed = 0, []
    succeeded: set[str] = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in GenerationMode:
            with suppress(Unsatisfiable):  # nothing can be wrong with an operation that takes nothing
                try:
                    _try(operation, mode, session, ids, checks, succeeded, store)
                except FailureGroup as found:
                    failed += [f"{operation.label}: {one}" for one in found.exceptions]
                tried += 1
    assert not failed, "\n\n".join(failed)
    assert tried > 100
    assert len(succeeded) > 28, f"most requests were refused at the door; let in: {sorted(succeeded)}"


def _try(operation, mode, session, ids, checks, succeeded, store):  # noqa: PLR0917 - what one run needs
    @hypothesis.given(case=operation.as_strategy(mode), real=st.booleans())
    @hypothesis.settings(
        max_examples=EXAMPLES or 4, derandomize=not EXAMPLES, database=None, deadline=None,
        phases=(Phase.generate,), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def answered(case, real):
        if real and mode is GenerationMode.POSITIVE:  # else what was wrong with the request might be put right
            for name in case.path_parameters or {}:
                case.path_parameters[name] = ids.get(name, case.path_parameters[name])
        header = session.headers["Authorization"]
        if operation.path.endswith("/token/revocation"):  # it ends the token that it comes with
            header = f"Bearer {make_token(store, add_account(store, Role.VIEWER, 'spare'), [Scope.CLASSIFY])}"
        answer = case.call(session=session, headers={"Authorization": header}, timeout=120)  # a busy computer
        if answer.status_code < 300:
            succeeded.add(operation.label)
        case.validate_response(answer, checks=checks)

    answered()
