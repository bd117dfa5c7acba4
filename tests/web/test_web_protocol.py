"""Requests that no browser sends, over a real connection: bodies that lie about their length, heads that never end."""

import contextlib
import socket
import threading

import pytest
import uvicorn

from dermaloop.cases.roles import Role
from dermaloop.web.app import create_app
from dermaloop.web.protocol import TimedProtocol
from dermaloop.web.settings import Settings
from support.people import add_account, begin, new_store


class _Impatient(TimedProtocol):
    HEAD_TIMEOUT_S = 0.3


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with new_store(tmp_path_factory.mktemp("protocol") / "store") as opened:
        yield opened


@pytest.fixture(scope="module")
def app(toy_classifier, store):
    return create_app(Settings(max_total_bytes=100_000), toy_classifier, store)


@contextlib.contextmanager
def _serving(app, protocol):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http=protocol, ws="none", log_level="critical", timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        port = listener.getsockname()[1]
        thread.start()
        try:
            while not server.started and thread.is_alive():
                thread.join(0.02)
            yield port
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def port(app):
    with _serving(app, TimedProtocol) as found:
        yield found


@pytest.fixture(scope="module")
def impatient_port(toy_classifier, store):
    """A server that hardly waits, for those who never send; who does send, late on a busy machine, asks `port`."""
    app = create_app(Settings(upload_timeout_s=0.3), toy_classifier, store)
    with _serving(app, _Impatient) as found:
        yield found


@pytest.fixture(scope="module")
def cookie(app):
    desk = app.state.desk
    secret = begin(app, add_account(desk.store, Role.CLINICIAN))
    signed = desk.cookies.signed(secret)
    return f"Cookie: {desk.cookies.sign_in_name}={signed}\r\nX-Form-Token: {desk.cookies.form_token(secret)}\r\n"


def _talk(port, *pieces, close=False):
    """What the server answers, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=180) as connection:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece.encode("latin-1"))
            if close:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode("latin-1")
        return ""


def _patiently(condition, tries=20):
    """Whether it holds at one of several tries: a machine that stands still may be as slow as an attacker for once."""
    return any(condition() for _ in range(tries))


def _answers(port):
    """The server still answers others."""
    return _talk(port, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").startswith(
        "HTTP/1.1 200"
    )


@pytest.mark.parametrize("head", ["", "GET / HT", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
def test_a_head_that_never_ends_is_given_up(impatient_port, head):
    assert _talk(impatient_port, head) == ""
    assert _patiently(lambda: _answers(impatient_port)), "others are still answered"


def test_a_second_head_on_the_same_connection_is_timed_too(impatient_port):
    whole = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    assert _patiently(lambda: _talk(impatient_port, whole, "GET /he").count("HTTP/1.1 200") == 1)


def test_a_slow_body_is_answered_and_not_cut_off(impatient_port, cookie):
    """The head was whole in time, so this is the upload's own time-out, which says why."""
    head = "POST /api/v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + cookie
    head += "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000\r\n\r\n"
    said = []
    assert _patiently(lambda: said.append(_talk(impatient_port, head + "--b\r\n")) or said[-1])
    assert said[-1].startswith("HTTP/1.1 408")
    assert "upload_too_slow" in said[-1]


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/signin", "application/x-www-form-urlencoded"), ("/api/v1/classify", "multipart/form-data; boundary=b")],
)
@pytest.mark.parametrize(
    ("length", "body"),
    [
        ("Content-Length: 5000", "name=Ada"),
        ("Content-Length: 3", "name=Ada&password=correct"),
        ("Content-Length: 99999999999999", "name=Ada"),
        ("Content-Length: -1", "name=Ada"),
        ("Content-Length: 8, 8", "name=Ada"),
        ("Content-Length: 8\r\nContent-Length: 9", "name=Ada"),
        ("Content-Length: 0x8", "name=Ada"),
        ("Transfer-Encoding: chunked", "zz\r\nname=Ada\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "FFFFFFFFFFFFFFFFF\r\nname=Ada"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3", "8\r\nname=Ada\r\n0\r\n\r\n"),
        ("Transfer-Encoding: gzip", "name=Ada"),
    ],
)
def test_a_body_that_lies_about_its_length_gets_no_answer_that_it_should_not(port, cookie, *, path, kind, length, body):
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{cookie}Content-Type: {kind}\r\n"
    said = _talk(port, f"{head}{length}\r\n\r\n{body}", close=True)
    assert said == "" or said.split()[1][0] == "4", said[:200]
    assert said.count("HTTP/1.1 ") <= 1, "nothing hidden behind the body was answered"
    assert _answers(port)


def test_a_request_hidden_behind_a_short_body_is_not_answered_with_the_first_ones_rights(port, cookie):
    hidden = "GET /account HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    head = f"POST /language/en HTTP/1.1\r\nHost: 127.0.0.1\r\n{cookie}Content-Length: 0\r\n\r\n"
    first, second = _talk(port, head + hidden).split("HTTP/1.1 ")[1:]
    assert first.startswith("303")
    assert second.startswith("303"), "it is a request of its own, without a cookie: led to the sign-in form"
    assert "/signin?next=/account" in second


@pytest.mark.parametrize("announced", [True, False])
def test_too_large_a_request_is_refused_before_it_was_read_whole(port, cookie, announced):
    """The server says so while most of the body is still on its way; here it never comes."""
    length = "Content-Length: 100000000" if announced else "Transfer-Encoding: chunked"
    begin_ = '--b\r\nContent-Disposition: form-data; name="pictures"; filename="a.jpg"\r\n\r\n'
    part = begin_ + "x" * 150_000
    body = part if announced else f"{len(part):x}\r\n{part}\r\n"
    head = "POST /api/v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + cookie
    said = _talk(port, f"{head}Content-Type: multipart/form-data; boundary=b\r\n{length}\r\n\r\n{body}")
    assert said.startswith("HTTP/1.1 413"), said[:200]
    assert "request_too_large" in said


@pytest.mark.parametrize(
    "target",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fsettings.py",
        "/static/%5c..%5capp.py",
        "/static//etc/passwd",
        "/static/%00",
        "/sample/../../etc/passwd",
        "/sample/%2e%2e%2fx.jpg",
        "//etc/passwd",
        "/static/style.css%00.png",
        "http://elsewhere.example/",
    ],
)
def test_tricks_with_paths_lead_to_nothing(port, cookie, target):
    said = _talk(port, f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{cookie}\r\n")
    assert said.split()[1] in ("400", "404", "422", "200"), said[:100]
    for secret in ("root:", "import ", "def create_app"):
        assert secret not in said
    if said.split()[1] == "200":
        assert target == "http://elsewhere.example/", "an address written out whole is our own first page"
