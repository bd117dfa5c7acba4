"""The multipart reader on its own: chunks of any size, slow and broken senders."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from dermaloop.web.errors import WebError
from dermaloop.web.settings import Settings
from dermaloop.web.upload import Upload, megabytes, receive

BOUNDARY = b"----boundary"


def _body(files):
    parts = b""
    for name, content in files:
        parts += b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="pictures"; filename="'
        parts += name.encode() + b'"\r\nContent-Type: image/jpeg\r\n\r\n' + content + b"\r\n"
    return parts + b"--" + BOUNDARY + b"--\r\n"


def _request(messages, *, then=None):
    waiting = list(messages)

    async def arrive():
        if waiting:
            return waiting.pop(0)
        if then is not None:
            return await then()
        return {"type": "http.disconnect"}

    headers = [(b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, arrive)


def _chunks(body, size):
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    last = len(pieces) - 1
    return [{"type": "http.request", "body": piece, "more_body": at < last} for at, piece in enumerate(pieces)]


@settings(max_examples=60, deadline=None)
@given(
    contents=st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    size=st.integers(min_value=1, max_value=400),
)
def test_files_arrive_whole_whatever_the_chunks(contents, size):
    files = [(f"{number}.jpg", content) for number, content in enumerate(contents)]
    found = asyncio.run(receive(_request(_chunks(_body(files), size)), Settings()))
    assert found == [Upload(name, content) for name, content in files]


def test_a_file_over_the_limit_is_dropped_and_marked_where_the_others_shall_go_on():
    limits = Settings(max_file_bytes=1024)
    files = [("a.jpg", b"x" * 1024), ("big.jpg", b"x" * 5000), ("c.jpg", b"y")]
    found = asyncio.run(receive(_request(_chunks(_body(files), 100)), limits, keep_going=True))
    assert [(one.name, len(one.content), one.too_large) for one in found] == [
        ("a.jpg", 1024, False),
        ("big.jpg", 0, True),
        ("c.jpg", 1, False),
    ]


def test_a_sender_who_stalls_is_given_up():
    async def never():
        await asyncio.sleep(60)

    request = _request(_chunks(_body([("a.jpg", b"x" * 100)]), 50)[:1], then=never)
    with pytest.raises(WebError) as caught:
        asyncio.run(receive(request, Settings(upload_timeout_s=0.05)))
    assert caught.value.code == "upload_too_slow"


def test_a_refused_sender_may_finish_so_that_he_sees_why():
    taken = []
    body = _chunks(_body([("a.jpg", b"x" * 50_000)]), 1000)

    class Counting(list):
        def pop(self, place):
            taken.append(1)
            return super().pop(place)

    messages = Counting(body)

    async def arrive():
        return messages.pop(0)

    headers = [(b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)]
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, arrive)
    with pytest.raises(WebError) as caught:
        asyncio.run(receive(request, Settings(max_total_bytes=2048)))
    assert caught.value.code == "request_too_large"
    assert len(taken) == len(body)


def test_sizes_in_words():
    assert megabytes(32 * 1024 * 1024) == "32 MB"
    assert megabytes(2048) == "2 kB"
