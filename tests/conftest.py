"""Fixtures shared by all tests."""

import os
import random
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Some tests load ONNX Runtime themselves; the product's own way is tested in inference/test_inference_session.py.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# No test depends on how fast the machine is, so no example has a deadline. The examples are the same in every run: what
# passed once passes again. Whoever looks for new ones runs `pytest --hypothesis-profile=searching`.
settings.register_profile("searching", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", settings.get_profile("searching"), derandomize=True)
settings.load_profile("steady")

ROOT = Path(__file__).resolve().parents[1]


class _Ids:
    """Random ids of records that are the same in every run of a test, and others in every test.

    Much follows from them: the split of a patient's cases, folds of a check, the order of what was made in one moment.
    A test that holds for nearly all ids would fail now and then, for somebody who changed nothing.
    `DERMALOOP_TEST_IDS` in the environment, any word, draws others: to look for such tests.
    """

    def __init__(self) -> None:
        self._draws, self._process, self._truly = random.Random(), os.getpid(), uuid.uuid4

    def begin(self, test: str) -> None:
        """Draws for a test from now on."""
        self._draws.seed(test + os.environ.get("DERMALOOP_TEST_IDS", ""))

    def uuid4(self) -> uuid.UUID:
        """In place of the library's; a forked process, which would draw what its parent draws, asks the library's."""
        if os.getpid() != self._process:
            return self._truly()
        return uuid.UUID(int=self._draws.getrandbits(128), version=4)


_IDS = _Ids()
uuid.uuid4 = _IDS.uuid4


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Also what a fixture of a module makes, for its first test, is the same in every run."""
    _IDS.begin(item.nodeid)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real images; the test says that it was skipped where there is none."""
    folder = Path(os.environ.get("DERMALOOP_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "ham10000").is_dir():
        pytest.skip("no real images here: set DERMALOOP_DATA to their folder to run this test")
    return folder
