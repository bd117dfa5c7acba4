"""`dermaloop serve` as a process: the link, the port, stopping, and what it refuses."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pytest

from dermaloop.cli.serve import ServeError, link, listen, run
from dermaloop.web.settings import Settings
from support.toy import toy_bundle


@pytest.fixture(scope="module")
def bundle_path(tmp_path_factory):
    return toy_bundle(tmp_path_factory.mktemp("serve"))


def _command(*arguments):
    return [sys.executable, "-c", "from dermaloop.cli import main; main()", "serve", *arguments]


def _environment(**more):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DERMALOOP_")}
    return {**clean, "OMP_NUM_THREADS": "1", "DERMALOOP_THREADS": "1", **more}


@contextmanager
def _running(*arguments):
    process = subprocess.Popen(
        _command(*arguments), env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_its_link_when_it_answers_and_stops_without_a_trace(bundle_path, number):
    with _running("--bundle", str(bundle_path)) as process:
        line = process.stdout.readline()
        address = re.fullmatch(r"dermaloop is ready: (http://127\.0\.0\.1:\d+/)\n", line)
        assert address, process.stderr.read()
        with urllib.request.urlopen(address[1], timeout=20) as answer:
            assert b"dermaloop" in answer.read()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert (rest, errors) == ("", "")


def test_two_servers_take_two_ports(bundle_path):
    with _running("--bundle", str(bundle_path)) as first, _running("--bundle", str(bundle_path)) as second:
        assert first.stdout.readline() != second.stdout.readline()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), "no accounts yet"),
        (("--bundle", "nowhere.dermaloop"), "there is no such bundle"),
        (("--operating-point", "wishful"), "Choose one of: sensitivity-95, sensitivity-90."),
    ],
)
def test_what_it_refuses_is_said_in_one_line(bundle_path, arguments, said):
    chosen = arguments if "--bundle" in arguments else (*arguments, "--bundle", str(bundle_path))
    done = subprocess.run(
        _command(*chosen), env=_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_application_that_cannot_start_is_an_error():
    async def broken(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    with (
        listen(Settings()) as listener,
        pytest.raises(ServeError, match="could not start"),
        _handlers_kept(),
    ):
        run(broken, listener, "127.0.0.1")


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
        assert second.getsockname()[1] > first.getsockname()[1] >= 8000
        assert link(second, "127.0.0.1") == f"http://127.0.0.1:{second.getsockname()[1]}/"


def test_the_link_of_an_ipv6_address_has_brackets():
    if not socket.has_ipv6:
        pytest.skip("this computer has no IPv6")
    try:
        listener = listen(Settings(host="::1"))
    except (ServeError, OSError):
        pytest.skip("this computer has no IPv6 loopback address")
    with listener:
        assert link(listener, "::1") == f"http://[::1]:{listener.getsockname()[1]}/"
