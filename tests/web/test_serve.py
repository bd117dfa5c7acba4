"""`dermaloop serve` as a process: the link, the port, accounts, TLS, stopping, and what it refuses."""

import http.client
import http.cookiejar
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest

from dermaloop.cases.roles import Role
from dermaloop.cases.store import open_store
from dermaloop.cli.serve import ServeError, link, listen, require_certificate, run
from dermaloop.core.synthetic import draw_lesion
from dermaloop.web.settings import Settings
from support.hostile import save
from support.people import PASSWORD, add_account
from support.toy import toy_bundle

PATIENCE_S = 180
"""Nothing here depends on how busy the machine is; this lets a test fail instead of hang."""


@pytest.fixture(scope="module")
def bundle_path(tmp_path_factory):
    return toy_bundle(tmp_path_factory.mktemp("serve"))


@pytest.fixture
def store_path(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def environment(store_path):
    """What the processes see; no test touches the user's own store."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DERMALOOP_")}
    return {**clean, "OMP_NUM_THREADS": "1", "DERMALOOP_THREADS": "1", "DERMALOOP_STORE": str(store_path)}


@pytest.fixture
def running(environment, bundle_path):
    """Starts a server and waits for its link; gives the process and the link."""

    @contextmanager
    def start(*arguments):
        process = subprocess.Popen(
            _command("serve", "--bundle", str(bundle_path), *arguments),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            line = process.stdout.readline()
            found = re.fullmatch(r"dermaloop is ready: (https?://\S+)\n", line)
            assert found, line + process.stderr.read()
            yield process, found[1]
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    return start


@pytest.fixture
def call(environment):
    """Runs a command to its end."""

    def run_to_the_end(*arguments, given=""):
        return subprocess.run(
            _command(*arguments),
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    return run_to_the_end


def _command(*arguments):
    return [sys.executable, "-c", "from dermaloop.cli import main; main()", *arguments]


def _give_password(store_path, role=Role.ADMIN):
    store = open_store(store_path)
    try:
        add_account(store, role, password=PASSWORD)
    finally:
        store.close()


def _browser(**tls):
    jar = http.cookiejar.CookieJar()
    handlers = [urllib.request.HTTPCookieProcessor(jar)]
    if tls:
        handlers.append(urllib.request.HTTPSHandler(**tls))
    opener = urllib.request.build_opener(*handlers)
    return opener, jar


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_its_link_when_it_answers_and_stops_without_a_trace(running, number):
    with running() as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/enter/[\w-]{43}", address)
        with _browser()[0].open(address, timeout=PATIENCE_S) as answer:
            assert b"dermaloop" in answer.read()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert (rest, errors) == ("", "")


def test_the_link_signs_the_owner_in_once_and_a_picture_is_assessed_at_once(running, environment):
    with running() as (_, address):
        opener, jar = _browser()
        with opener.open(address, timeout=PATIENCE_S) as answer:
            page = answer.read().decode()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", answer.url), "the secret does not stay in the address"
        (cookie,) = jar
        assert cookie.has_nonstandard_attr("HttpOnly")
        token = re.search(r'name="form_token" value="(\w+)"', page)[1]
        answer = _send_picture(opener, address.partition("/enter/")[0] + "/assess", token)
        assert 'class="result ' in answer
        with pytest.raises(urllib.error.HTTPError) as caught:
            _browser()[0].open(address, timeout=PATIENCE_S)
        assert caught.value.code == 410
        caught.value.close()


def _send_picture(opener, address, token):
    body, kind = _picture_form(token)
    request = urllib.request.Request(address, body, {"Content-Type": kind})
    with opener.open(request, timeout=PATIENCE_S) as answer:
        return answer.read().decode()


def _picture_form(token):
    picture = save(draw_lesion(4, size_px=300, malignant=True), "JPEG")
    boundary = "a-boundary-that-no-picture-holds"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="form_token"\r\n\r\n{token}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="pictures"; filename="a.jpg"\r\n\r\n'
    ).encode()
    return body + picture + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def test_the_store_is_its_owner_s_alone(running, store_path):
    if os.name != "posix":
        pytest.skip("rights of this kind are POSIX's")
    with running():
        assert stat.S_IMODE(store_path.stat().st_mode) == 0o700
        secrets = [path for path in store_path.iterdir() if path.is_file()]
        assert secrets
        assert [path.name for path in secrets if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_with_a_password_it_says_the_plain_address(running, store_path):
    _give_password(store_path)
    with running() as (_, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        with _browser()[0].open(address, timeout=PATIENCE_S) as answer:
            assert answer.url == f"{address}signin"


def test_a_link_made_by_command_works_on_the_running_server(running, call):
    with running() as (_, address):
        said = call("account", "link")
        assert (said.returncode, said.stderr) == (0, "")
        assert said.stdout.startswith(address.partition("/enter/")[0] + "/enter/"), "the server has noted where it is"
        with _browser()[0].open(said.stdout.strip(), timeout=PATIENCE_S) as answer:
            assert b'<form id="form"' in answer.read()


def test_two_servers_on_one_store_take_two_ports_and_both_links_work(running):
    with running() as (_, first), running() as (_, second):
        assert first.partition("/enter/")[0] != second.partition("/enter/")[0]
        for address in (first, second):
            with _browser()[0].open(address, timeout=PATIENCE_S) as answer:
                assert answer.status == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), "no administrator has a password yet"),
        (("--bundle", "nowhere.dermaloop"), "there is no such bundle"),
        (("--operating-point", "wishful"), "Choose one of: sensitivity-95, sensitivity-90."),
        (("--tls-certificate", "nowhere.pem", "--tls-key", "nowhere.pem"), "certificate and key cannot be used"),
        (("--tls-key", "nowhere.pem"), "belong together"),
        (("--store", "/dev/null/store"), "Choose another one"),
    ],
)
def test_what_it_refuses_is_said_in_one_line(call, bundle_path, arguments, said):
    chosen = arguments if "--bundle" in arguments else (*arguments, "--bundle", str(bundle_path))
    done = call("serve", *chosen)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_beyond_loopback_it_wants_tls_or_a_proxy_once_there_is_a_password(call, bundle_path, store_path):
    _give_password(store_path)
    refused = call("serve", "--bundle", str(bundle_path), "--host", "0.0.0.0")
    assert refused.returncode == 1
    assert "--tls-certificate" in refused.stderr
    assert "--behind-proxy" in refused.stderr


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for clinic.example.org and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=clinic.example.org", "-addext", "subjectAltName=DNS:clinic.example.org,IP:127.0.0.1"]
    made = subprocess.run(
        ["openssl", "req", *options, *name, "-keyout", key, "-out", chain], capture_output=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return chain, key


def test_by_tls_it_signs_in_with_a_cookie_that_only_tls_carries(running, store_path, certificate):
    chain, key = certificate
    _give_password(store_path)
    arguments = ("--tls-certificate", str(chain), "--tls-key", str(key), "--name", "clinic.example.org")
    with running("--host", "0.0.0.0", *arguments) as (_, address):
        assert address.startswith("https://clinic.example.org:")
        base = "https://127.0.0.1:" + address.rstrip("/").rpartition(":")[2]
        opener, jar = _browser(context=ssl.create_default_context(cafile=chain))
        with opener.open(f"{base}/signin", timeout=PATIENCE_S) as answer:
            assert answer.headers["Strict-Transport-Security"]
            token = re.search(r'name="form_token" value="(\w+)"', answer.read().decode())[1]
        body = urllib.parse.urlencode({"form_token": token, "name": "admin", "password": PASSWORD, "next": "/model"})
        with opener.open(f"{base}/signin", body.encode(), timeout=PATIENCE_S) as answer:
            assert answer.url == f"{base}/model"
        (cookie,) = [one for one in jar if "sign-in" in one.name]
        assert cookie.name.startswith("__Host-")
        assert cookie.secure
        assert (cookie.path, cookie.domain_specified) == ("/", False)


def test_a_key_that_does_not_fit_is_refused(certificate, tmp_path):
    chain, _ = certificate
    with pytest.raises(ServeError, match="belong together"):
        require_certificate(Settings(tls_certificate=chain, tls_key=chain))


def test_a_request_in_hand_is_finished_when_the_server_is_stopped(running):
    with running() as (process, address):
        opener, jar = _browser()
        with opener.open(address, timeout=PATIENCE_S) as answer:
            token = re.search(r'name="form_token" value="(\w+)"', answer.read().decode())[1]
        host = address.split("/")[2]
        body, kind = _picture_form(token)
        connection = http.client.HTTPConnection(host, timeout=PATIENCE_S)
        connection.putrequest("POST", "/assess")
        (cookie,) = jar
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cookie", f"{cookie.name}={cookie.value}"),
        ):
            connection.putheader(name, value)
        connection.endheaders(body[:1000])
        with opener.open(f"http://{host}/healthz", timeout=PATIENCE_S):
            pass  # answered on another connection, so the first one's beginning has long arrived
        process.send_signal(signal.SIGTERM)
        _until(lambda: _refuses(host), "the server takes no new connections")
        connection.send(body[1000:])
        answer = connection.getresponse()
        assert answer.status == 200
        assert b'class="result ' in answer.read()
        connection.close()
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def _until(condition, what):
    for _ in range(6000):
        if condition():
            return
        threading.Event().wait(0.02)
    raise AssertionError(what)


def _refuses(host):
    name, _, port = host.partition(":")
    try:
        socket.create_connection((name, int(port)), timeout=5).close()
    except OSError:
        return True
    return False


def test_an_application_that_cannot_start_is_an_error():
    async def broken(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    with (
        listen(Settings()) as listener,
        pytest.raises(ServeError, match="could not start"),
        _handlers_kept(),
    ):
        run(broken, listener, Settings())


@contextmanager
def _handlers_kept():
    numbers = (signal.SIGINT, signal.SIGTERM)
    kept = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, kept, strict=True):
            signal.signal(number, handler)


def test_a_taken_port_that_was_asked_for_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=rf"port {port}: .*in use.*--port"):
            listen(Settings(port=port))


def test_without_a_port_the_next_free_one_is_taken():
    with listen(Settings()) as first, listen(Settings()) as second:
        ports = [one.getsockname()[1] for one in (first, second)]
        assert ports[0] != ports[1]
        assert all(8000 <= port < 8100 for port in ports), "another program may just have left the first one"
        assert link(second, Settings()) == f"http://127.0.0.1:{second.getsockname()[1]}/"


def test_the_link_of_an_ipv6_address_has_brackets():
    if not socket.has_ipv6:
        pytest.skip("this computer has no IPv6")
    try:
        listener = listen(Settings(host="::1"))
    except (ServeError, OSError):
        pytest.skip("this computer has no IPv6 loopback address")
    with listener:
        assert link(listener, Settings(host="::1")) == f"http://[::1]:{listener.getsockname()[1]}/"
