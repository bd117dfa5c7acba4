"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Some tests load ONNX Runtime themselves; the product's own way is tested in inference/test_inference_session.py.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# No test depends on how fast the machine is, so no example has a deadline.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real images; the test says that it was skipped where there is none."""
    folder = Path(os.environ.get("DERMALOOP_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "ham10000").is_dir():
        pytest.skip("no real images here: set DERMALOOP_DATA to their folder to run this test")
    return folder
