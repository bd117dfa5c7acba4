"""Processes that classify: they answer like the classifier, are replaced when they die, and end with their server."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dermaloop.core.bundle import open_bundle
from dermaloop.core.prediction import Status
from dermaloop.core.synthetic import draw_lesion
from dermaloop.inference.classifier import Classifier, Item
from dermaloop.inference.crew import Crew
from support.hostile import save
from support.toy import toy_bundle

LONG_S = 120
"""For what takes a second or two on a computer that does nothing else."""

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
ORPHANS = """
import sys, time
from dermaloop.core.bundle import open_bundle
from dermaloop.inference.classifier import Classifier
from dermaloop.inference.crew import Crew

if __name__ == "__main__":
    crew = Crew(Classifier(open_bundle(sys.argv[1])), 2)
    crew.wait(120)
    print(*crew._pool._processes, flush=True)
    time.sleep(120)
"""


def _picture(seed):
    return save(draw_lesion(seed, size_px=120, malignant=seed % 2 == 0), "JPEG", quality=90)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return toy_bundle(tmp_path_factory.mktemp("crew"))


@pytest.fixture(scope="module")
def classifier(path):
    return Classifier(open_bundle(path), threads=1)


@pytest.fixture
def crew(classifier):
    made = Crew(classifier, 2)
    made.wait(LONG_S)
    yield made
    made.close(wait=True)


def _ask(crew, content, name=""):
    return crew.classify_together([Item(name, content)])[0]


def _processes(crew):
    return dict(crew._pool._processes)


def _until(holds):
    end = time.monotonic() + LONG_S
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def _gone(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_crew_answers_like_the_classifier_and_takes_what_is_no_picture(crew, classifier):
    assert crew.ready
    contents = [_picture(seed) for seed in range(6)] + [b"no picture"]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(_ask, [crew] * 7, contents, "abcdefg"))
    for content, name, answer in zip(contents, "abcdefg", answers, strict=True):
        own = classifier.classify(content, name)
        assert answer.image == name
        assert answer.probabilities == own.probabilities
        assert (answer.status, answer.decision, answer.similar) == (own.status, own.decision, own.similar)
        assert (answer.heatmap is None) == (own.heatmap is None)
    assert answers[-1].status is Status.UNREADABLE
    together = crew.classify_together([Item(name, content) for name, content in zip("abcdefg", contents, strict=True)])
    assert [one.image for one in together] == list("abcdefg")
    assert [one.probabilities for one in together] == [one.probabilities for one in answers]


def test_a_terminals_interrupt_is_for_the_server_alone(crew):
    before = _processes(crew)
    assert len(before) == 2
    for number in before:
        os.kill(number, signal.SIGINT)
    assert _ask(crew, _picture(1)).status is not Status.UNREADABLE
    assert _processes(crew) == before


def test_no_answer_is_lost_when_a_service_manager_ends_the_whole_group(crew):
    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(_ask, crew, _picture(seed)) for seed in range(12)]
        for number in _processes(crew):
            os.kill(number, signal.SIGTERM)
        assert all(answer.result(LONG_S).status is not Status.UNREADABLE for answer in answers)


@LINUX
def test_a_process_that_dies_is_replaced_and_no_answer_is_lost(crew):
    dead = next(iter(_processes(crew)))
    os.kill(dead, signal.SIGKILL)
    _until(lambda: _gone(dead))
    assert _ask(crew, _picture(2), "b").image == "b"
    _until(lambda: crew._pool is not None and dead not in _processes(crew))
    crew.wait(LONG_S)
    assert len(_processes(crew)) == 2
    assert _ask(crew, _picture(2), "b").status is not Status.UNREADABLE


@LINUX
def test_processes_that_die_each_time_are_given_up_and_the_server_answers_itself(crew, monkeypatch, caplog):
    monkeypatch.setattr("dermaloop.inference.crew._MOST_BEGINNINGS", 0)
    dead = next(iter(_processes(crew)))
    os.kill(dead, signal.SIGKILL)
    _until(lambda: _gone(dead))
    assert _ask(crew, _picture(3), "c").image == "c"
    assert crew._pool is None
    assert not crew.ready
    assert "the server does their work itself" in caplog.text
    assert _ask(crew, _picture(3), "c").image == "c"


def test_a_closed_crew_is_no_reason_not_to_answer(classifier):
    made = Crew(classifier, 1)
    assert _ask(made, _picture(4), "d").image == "d", "nobody waits for a process that begins"
    made.wait(LONG_S)
    pool = made._pool
    made.close(wait=True)
    made._pool = pool  # as a thread sees it that read it just before
    assert _ask(made, _picture(4), "d").image == "d"


@LINUX
def test_the_processes_end_with_the_one_that_began_them_however_it_ends(path, tmp_path):
    script = tmp_path / "server.py"
    script.write_text(ORPHANS)
    # Without its complaint about the semaphores that a killed process could not clean up.
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, str(script), str(path)], **quiet) as process:
        numbers = [int(word) for word in process.stdout.readline().split()]
        process.send_signal(signal.SIGKILL)
    assert len(numbers) == 2
    for number in numbers:
        _until(lambda number=number: _gone(number))
