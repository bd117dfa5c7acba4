"""SIGTERM: requests in hand are finished, nothing new is begun, and it takes no longer than it may."""

import contextlib
import http.client
import os
import signal
import socket
import threading
import time

import pytest

from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.store import open_store
from dermaloop.core.synthetic import draw_lesion
from support.forked import forking
from support.hostile import save
from support.people import add_account, make_token
from support.toy import toy_bundle

BOUNDARY = "a-boundary-that-no-picture-holds"


@pytest.fixture
def serve(tmp_path):
    """Starts a server; gives the command, its address, and the headers of a request with a token."""
    store = open_store(tmp_path / "store")
    token = make_token(store, add_account(store, Role.VIEWER), [Scope.CLASSIFY])
    store.close()
    bundle = toy_bundle(tmp_path / "bundle")
    kind = f"multipart/form-data; boundary={BOUNDARY}"

    @contextlib.contextmanager
    def start(**environment):
        with forking(tmp_path, DERMALOOP_THREADS="1", **environment) as commands:
            running = commands.start("serve", "--store", str(tmp_path / "store"), "--bundle", str(bundle))
            host = running.wait_for("is ready: ").partition("http://")[2].partition("/")[0]
            saved = threading.Timer(180, os.kill, (running.pid, signal.SIGKILL))  # lets the test fail, not hang
            saved.start()
            try:
                yield running, host, {"Authorization": f"Bearer {token}", "Content-Type": kind}
            finally:
                saved.cancel()

    return start


def _body():
    picture = save(draw_lesion(4, size_px=300, malignant=True), "JPEG")
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="pictures"; filename="a.jpg"\r\n\r\n'
    return head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()


def _begin(host, headers, body):
    """Sends a request's beginning, and waits until the server has taken it in hand."""
    connection = http.client.HTTPConnection(host, timeout=120)
    connection.putrequest("POST", "/api/v1/classify")
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        connection.putheader(name, value)
    connection.endheaders(body[:1000])
    other = http.client.HTTPConnection(host, timeout=120)
    other.request("GET", "/healthz")
    assert other.getresponse().read()
    return connection, other


def _refuses(host):
    name, _, port = host.partition(":")
    try:
        socket.create_connection((name, int(port)), timeout=5).close()
    except OSError:
        return True
    return False


def _is_closed(connection):
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except (http.client.HTTPException, OSError):
        return True
    return False


def test_what_is_in_hand_is_finished_and_nothing_new_is_begun(serve):
    body = _body()
    with serve() as (running, host, headers):
        slow, idle = _begin(host, headers, body)
        os.kill(running.pid, signal.SIGTERM)
        while not _refuses(host):
            time.sleep(0.01)
        assert _is_closed(idle), "a connection that was kept open too"
        slow.send(body[1000:])
        answer = slow.getresponse()
        assert answer.status == 200
        assert b'"malignant_probability"' in answer.read()
        assert running.status() == 0
        slow.close()
        idle.close()
    assert "Traceback" not in running.said()


def test_a_request_that_never_ends_is_cut_off_in_time(serve):
    body = _body()
    with serve(DERMALOOP_SHUTDOWN_TIMEOUT_S="1", DERMALOOP_UPLOAD_TIMEOUT_S="3600") as (running, host, headers):
        stuck, idle = _begin(host, headers, body)
        os.kill(running.pid, signal.SIGTERM)
        assert running.status() == 0, "the upload's own time is an hour"
        # Its connection ends, or it hears that it was cut off, if the server still came to say so.
        with contextlib.suppress(http.client.HTTPException, OSError):
            assert stuck.getresponse().status >= 400
        stuck.close()
        idle.close()
    assert "Traceback" not in running.said()
