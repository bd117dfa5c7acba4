"""Back-pressure: places, the queue, and computations that take too long."""

import asyncio
import contextlib
import threading

import pytest

from dermaloop.web.capacity import Capacity
from dermaloop.web.errors import WebError


@pytest.fixture
def gate():
    """An event that computations wait for; set at the end, so that no thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()


def test_places_are_workers_and_waiting():
    capacity = Capacity(2, 1, 10)
    with capacity.place(), capacity.place(), capacity.place():
        with pytest.raises(WebError) as caught, capacity.place():
            pass
        assert caught.value.code == "busy"
        assert caught.value.retry_after_s > 0
    with capacity.place():
        assert capacity.taken == 1
    capacity.close()


@pytest.mark.parametrize(
    ("workers", "requests", "crowded"), [(2, 0, False), (2, 1, False), (2, 2, True), (1, 2, False)]
)
def test_it_is_crowded_where_several_computations_run_or_will_in_a_moment(workers, requests, crowded):
    capacity = Capacity(workers, 4, 10)
    with contextlib.ExitStack() as held:
        for _ in range(requests):
            held.enter_context(capacity.place())
        assert capacity.crowded is crowded  # none runs yet
    assert not capacity.crowded
    capacity.close()


def test_work_in_the_background_crowds_too():
    capacity = Capacity(3, 4, 10)

    async def scenario():
        async with capacity.spare():
            assert not capacity.crowded
            with capacity.place():
                assert capacity.crowded

    asyncio.run(scenario())
    capacity.close()


def test_a_failing_request_gives_its_place_back():
    capacity = Capacity(1, 0, 10)
    with pytest.raises(ZeroDivisionError), capacity.place():
        1 / 0  # noqa: B018
    assert capacity.taken == 0
    capacity.close()


def test_a_computation_runs_off_the_event_loop():
    capacity = Capacity(1, 0, 10)
    name = asyncio.run(capacity.run(lambda: threading.current_thread().name))
    assert name.startswith("dermaloop-assess")
    capacity.close()


def test_an_overlong_computation_is_answered_and_keeps_its_place_until_it_is_over(gate):
    capacity = Capacity(1, 0, 0.05)

    async def scenario():
        with capacity.place():
            with pytest.raises(WebError) as caught:
                await capacity.run(gate.wait)
            assert caught.value.code == "too_slow"
        assert capacity.taken == 1
        with pytest.raises(WebError, match="as many pictures"), capacity.place():
            pass
        gate.set()
        while capacity.taken:  # noqa: ASYNC110 - the thread's end is what is waited for
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scenario(), 10))
    capacity.close()


@pytest.mark.parametrize(("workers", "ahead", "at_once"), [(2, 0, 2), (2, 1, 3), (1, 1, 1)])
def test_no_more_run_at_once_than_there_are_workers(gate, workers, ahead, at_once):
    capacity = Capacity(workers, 4, 10, ahead=ahead)
    lock, running, most = threading.Lock(), [0], [0]

    def work():
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
            if running[0] == at_once:
                gate.set()
        gate.wait(5)
        with lock:
            running[0] -= 1

    async def scenario():
        await asyncio.gather(*(capacity.run(work) for _ in range(6)))

    asyncio.run(scenario())
    assert most[0] == at_once
    capacity.close()
