"""Requests that no browser sends, over a real connection: bodies that lie about their length, heads that never end."""

import contextlib
import socket
import threading

import pytest
import uvicorn

from dermaloop.cases.roles import Role
from dermaloop.web.app import create_app
from dermaloop.web.protocol import LimitedProtocol
from dermaloop.web.settings import Settings
from support.people import add_account, begin, new_store


class _Patient(LimitedProtocol):
    HEAD_TIMEOUT_S = 3600.0


MUCH = 100_000_000
"""Bytes, far more than the buffers of a connection hold."""


class _Impatient(LimitedProtocol):
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
    with _serving(app, LimitedProtocol) as found:
        yield found


@pytest.fixture(scope="module")
def impatient_port(toy_classifier, store):
    """A server that hardly waits, for those who never send; who does send, late on a busy machine, asks `port`."""
    app = create_app(Settings(upload_timeout_s=0.3), toy_classifier, store)
    with _serving(app, _Impatient) as found:
        yield found


@pytest.fixture(scope="module")
def patient_port():
    """A server that refuses a head for its size alone."""
    with _serving(_echo, _Patient) as found:
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


async def _echo(scope, receive, send):
    """An application that reads a whole request and answers with the names of its headers."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    body = b",".join(name for name, _ in scope["headers"])
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _accepted(port, start, more):
    """How many bytes the server takes of something without an end before it closes the connection."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=180) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(start)
            while sent < MUCH:
                connection.sendall(more)
                sent += len(more)
        return sent


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


CHUNKED = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET /", b"a" * 10_000),
        (b"GET /?a=", b"a" * 10_000),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ", b"a" * 10_000),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"X-Many: many\r\n" * 500),
        (b"G", b"E" * 10_000),
        (b"\r\n", b"\r\n" * 5_000),
        (CHUNKED + b"3;x=", b"a" * 10_000),
        (CHUNKED + b"3\r\nabc\r\n0\r\nX-Long: ", b"a" * 10_000),
        (CHUNKED + b"3\r\nabc\r\n0\r\n", b"X-Many: many\r\n" * 500),
    ],
    ids=["path", "query", "header", "headers", "method", "empty", "extension", "trailer", "trailers"],
)
def test_what_begins_a_request_or_ends_its_body_has_a_largest_size(patient_port, start, more):
    assert _accepted(patient_port, start, more) < MUCH / 4
    assert _talk(patient_port, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").endswith(
        "host,connection"
    )


def test_a_head_that_is_too_large_is_told_so(patient_port):
    head = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + "a" * LimitedProtocol.MAX_HEAD_BYTES
    said = _talk(patient_port, head)
    assert said.startswith("HTTP/1.1 400")
    assert "too large" in said


def test_large_heads_and_bodies_within_the_limits_are_taken_on_one_connection(patient_port):
    large = f"X-Long: {'a' * (LimitedProtocol.MAX_HEAD_BYTES - 1000)}\r\n"
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{large}"
    whole = f"{head}Content-Length: 300000\r\n\r\n{'b' * 300_000}"
    last = f"{head}Connection: close\r\n\r\n"
    assert _talk(patient_port, *[whole] * 4, last).count("HTTP/1.1 200") == 5


def test_what_follows_a_body_is_no_header(patient_port):
    """Whoever stood before this server, and took a header out, has not looked at it."""
    head = CHUNKED.decode().replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
    said = _talk(patient_port, head + "3\r\nabc\r\n0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
    assert said.endswith("host,transfer-encoding,connection")


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: elsewhere.example\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n X-Folded: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\x00b\r\n\r\n",
        "GET / HTTP/1.1\nHost: 127.0.0.1\n\n",
        "GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        "GET  HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "GET /\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: elsewhere.example:443\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_request_to_us_is_refused(port, head):
    said = _talk(port, head, close=True)
    assert said == "" or said.split()[1][0] == "4", said[:200]
    assert _answers(port)


def test_an_offer_of_another_protocol_is_passed_over_and_the_body_read(port, cookie):
    """As some clients do with every request; what they then send is still this protocol."""
    head = "POST /language/en HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n" + cookie
    said = _talk(port, head + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b")
    assert said.startswith("HTTP/1.1 303"), said[:200]


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
