"""The API against its own description: whatever fits it is answered as it says, and whatever does not is refused.

Schemathesis makes the requests, from the description alone; ids of records are drawn from what is really there too, so
that they get past the first look-up. By default few examples, always the same; `DERMALOOP_TEST_API_EXAMPLES` in the
environment sets how many per operation, and then they are new at each run.
"""

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

from dermaloop.cases.roles import Role, Scope
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
    with serving(create_app(Settings(), classifier, store)) as found:
        yield found


@pytest.fixture(scope="module")
def session(store):
    """Requests with a token that may do everything."""
    with requests.Session() as opened:
        opened.trust_env = False
        token = make_token(store, add_account(store, Role.LEAD), list(Scope))
        opened.headers["Authorization"] = f"Bearer {token}"
        yield opened


@pytest.fixture(scope="module")
def ids(session, address):
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
    return {
        "patient_id": patient["id"],
        "lesion_id": lesion["id"],
        "case_id": case,
        "image_id": file["images"][0]["id"],
        "prediction_id": file["predictions"][0]["id"],
        "confirmation_id": post(f"/cases/{case}/confirmations", json=entry)["id"],
    }


@pytest.fixture(scope="module")
def schema(session, address):
    found = schemathesis.openapi.from_dict(session.get(f"{address}/api/openapi.json").json())
    found.config.update(base_url=address)
    return found


def test_whatever_fits_or_does_not_fit_the_description_is_answered_as_it_says(session, ids, schema):
    load_all_checks()
    checks = CHECKS.get_by_names(CHECKED)
    tried, failed = 0, []
    succeeded: set[str] = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in GenerationMode:
            with suppress(Unsatisfiable):  # nothing can be wrong with an operation that takes nothing
                try:
                    _try(operation, mode, session, ids, checks, succeeded)
                except FailureGroup as found:
                    failed += [f"{operation.label}: {one}" for one in found.exceptions]
                tried += 1
    assert not failed, "\n\n".join(failed)
    assert tried > 40
    assert len(succeeded) > 15, "most requests were refused at the door"


def _try(operation, mode, session, ids, checks, succeeded):  # noqa: PLR0917 - what one run needs
    @hypothesis.given(case=operation.as_strategy(mode), real=st.booleans())
    @hypothesis.settings(
        max_examples=EXAMPLES or 4, derandomize=not EXAMPLES, database=None, deadline=None,
        phases=(Phase.generate,), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def answered(case, real):
        if real and mode is GenerationMode.POSITIVE:  # else what was wrong with the request might be put right
            for name in case.path_parameters or {}:
                case.path_parameters[name] = ids.get(name, case.path_parameters[name])
        answer = case.call(session=session, headers={"Authorization": session.headers["Authorization"]})
        if answer.status_code < 300:
            succeeded.add(operation.label)
        case.validate_response(answer, checks=checks)

    answered()
