"""Headers of every answer, and requests that get none."""

import threading

import pytest

from dermaloop.web.security import CONTENT_SECURITY_POLICY, HEADERS

ADDRESSES = (
    "/",
    "/model",
    "/api/docs",
    "/api/openapi.json",
    "/api/v1/model",
    "/healthz",
    "/static/style.css",
    "/static/page.js",
    "/sample/even",
    "/nothing",
    "/api/v1/nothing",
    "/static/nothing",
)


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere():
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY
    assert "*" not in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'")


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_answer_carries_the_headers(client, address):
    answer = client.get(address)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value, name
    assert "server" not in answer.headers
    assert "set-cookie" not in answer.headers


def test_a_refusal_carries_them_too(client):
    answer = client.post("/assess", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8000", ""])
def test_a_foreign_host_name_is_not_answered(client, host):
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 400
    assert "<html" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "localhost", "[::1]:8000"])
def test_the_names_of_this_computer_are_answered(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://127.0.0.1:8000"}, 200),
        ({}, 200),
    ],
)
@pytest.mark.parametrize("address", ["/assess", "/api/v1/classify"])
def test_only_our_own_page_and_programs_may_send_pictures(client, lesion_jpeg, address, headers, status):
    answer = client.post(address, files=[("pictures", ("a.jpg", lesion_jpeg))], headers=headers)
    assert answer.status_code == status


def test_other_sites_may_link_to_us(client):
    assert client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200


class _Broken:
    """A classifier with a defect that shows after warming up."""

    def __init__(self, classifier):
        self.bundle, self.operating_point = classifier.bundle, classifier.operating_point
        self._classifier = classifier

    def classify(self, content, name=""):
        if name == "warm-up":
            return self._classifier.classify(content, name)
        raise RuntimeError("the secret of the inside")


@pytest.mark.parametrize("address", ["/assess", "/assess/part", "/api/v1/classify"])
def test_a_defect_is_logged_and_tells_nothing(make_client, toy_classifier, lesion_jpeg, address, caplog):
    client = make_client(_Broken(toy_classifier))
    answer = client.post(address, files=[("pictures", ("a.jpg", lesion_jpeg))])
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "the secret of the inside" in caplog.text
    assert client.app.state.desk.capacity.taken == 0


class _Waiting(_Broken):
    """A classifier that waits for its test."""

    def __init__(self, classifier):
        super().__init__(classifier)
        self.begun, self.go = threading.Event(), threading.Event()

    def classify(self, content, name=""):
        if name != "warm-up":
            self.begun.set()
            self.go.wait(180)
        return self._classifier.classify(content, name)


def test_a_full_server_says_when_to_come_back(make_client, toy_classifier, lesion_jpeg):
    waiting = _Waiting(toy_classifier)
    client = make_client(waiting, workers=1, max_waiting=0)
    answers = []
    files = [("pictures", ("a.jpg", lesion_jpeg))]
    first = threading.Thread(target=lambda: answers.append(client.post("/api/v1/classify", files=files)))
    first.start()
    try:
        assert waiting.begun.wait(180)
        for address in ("/api/v1/classify", "/assess", "/assess/part"):
            refused = client.post(address, files=files)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
        assert client.get("/readyz").status_code == 200, "it answers all else, and says itself when to come back"
        assert client.get("/healthz").status_code == 200
        assert client.get("/").status_code == 200
    finally:
        waiting.go.set()
        first.join()
    assert answers[0].status_code == 200
    assert client.post("/api/v1/classify", files=files).status_code == 200


def test_an_overlong_assessment_is_answered(make_client, toy_classifier, lesion_jpeg):
    waiting = _Waiting(toy_classifier)
    client = make_client(waiting, classify_timeout_s=0.5)
    try:
        answer = client.post("/api/v1/classify", files=[("pictures", ("a.jpg", lesion_jpeg))])
        assert answer.status_code == 504
        assert answer.json()["code"] == "too_slow"
    finally:
        waiting.go.set()
