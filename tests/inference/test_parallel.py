import threading

import pytest

from dermaloop.inference.parallel import chunks, ordered_map


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_values_though_early_ones_end_last(workers):
    started = threading.Event()

    def work(value):
        if value == 0 and workers > 1:
            assert started.wait(60)  # the first ends only after another was begun
        elif value == 1:
            started.set()
        return value * value

    assert list(ordered_map(work, range(50), workers=workers)) == [value * value for value in range(50)]


@pytest.mark.parametrize("workers", [1, 3])
def test_values_are_taken_at_most_twice_the_workers_ahead(workers):
    taken = []

    def values():
        for value in range(1000):
            taken.append(value)
            yield value

    results = ordered_map(lambda value: value, values(), workers=workers)
    for place in range(20):
        assert next(results) == place
        assert len(taken) <= place + 1 + 2 * workers
    results.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_is_raised_at_its_place(workers):
    def work(value):
        if value == 4:
            raise ValueError("the fourth")
        return value

    results = ordered_map(work, range(10), workers=workers)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="the fourth"):
        next(results)


def test_chunks():
    assert list(chunks(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(chunks([], 3)) == []
