"""The one table of errors."""

import re
from pathlib import Path

import dermaloop.web
from dermaloop.core.errors import BundleError, OutputError
from dermaloop.web.errors import STATUS, TITLE, WebError, headers_of, problem


def test_every_code_has_a_status_and_a_title():
    assert set(STATUS) == set(TITLE)


def test_every_code_that_is_raised_is_in_the_table():
    source = "".join(path.read_text() for path in Path(dermaloop.web.__file__).parent.glob("*.py"))
    raised = set(re.findall(r'WebError\(\s*"(\w+)"', source))
    assert len(raised) >= 10
    assert raised <= set(STATUS)


def test_an_error_of_ours_becomes_a_problem():
    document = problem(BundleError("it was changed", where="x.dermaloop", way_out="Copy it again."))
    assert document == {
        "type": "urn:dermaloop:problem:bundle",
        "title": "The model cannot be used",
        "status": 503,
        "detail": "It was changed.",
        "code": "bundle",
        "field": "x.dermaloop",
        "way_out": "Copy it again.",
    }


def test_an_unknown_code_is_our_own_fault():
    assert problem(OutputError("no room"))["status"] == 500


def test_when_to_come_back_is_a_header():
    assert headers_of(WebError("busy", "full", retry_after_s=2)) == {"Retry-After": "2"}
    assert headers_of(WebError("not_ready", "starting")) == {"Retry-After": "2"}, "every 503 says so"
    assert headers_of(WebError("not_found", "nothing")) == {}


def test_where_something_lies_on_the_server_is_not_told():
    full = problem(OutputError("the picture cannot be stored", where="/srv/clinic/images", way_out="Free space."))
    assert full["status"] >= 500
    assert "/srv" not in repr(full)
    assert problem(WebError("file_too_large", "it is missing", field="picture"))["field"] == "picture"
