"""What a user installs without any extra: it has no torch, is small, classifies a picture and serves the page."""

import contextlib
import io
import json
import os
import re
import subprocess
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dermaloop.core.synthetic import draw_lesion
from support.toy import toy_bundle

ROOT = Path(__file__).resolve().parents[2]
LARGEST_INSTALL_BYTES = 500_000_000
ABSENT = ("torch", "torchvision", "timm", "lightning", "sklearn", "scipy", "matplotlib", "onnx", "h5py")
# What Python puts into each environment by itself.
NOT_OURS = {"pip", "setuptools", "pkg_resources"}
OFFLINE = re.compile(
    "name resolution|Name or service not known|nodename nor servname|Failed to establish a new connection|"
    "Connection refused|Network is unreachable|timed out|ProxyError|ConnectTimeout|Could not resolve",
    re.IGNORECASE,
)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="make needs a POSIX shell")]


def skip_when_offline(outcome: subprocess.CompletedProcess[str]) -> None:
    if outcome.returncode and OFFLINE.search(outcome.stderr):
        pytest.skip("the package index cannot be reached, so the base install cannot be made here")
    assert outcome.returncode == 0, outcome.stderr


@pytest.fixture(scope="module")
def base() -> Path:
    """The base install's environment, made where it is not there yet."""
    skip_when_offline(subprocess.run(["make", "base"], cwd=ROOT, capture_output=True, text=True, check=False))
    return ROOT / ".venv/bin"


@pytest.fixture
def lesion() -> bytes:
    stream = io.BytesIO()
    draw_lesion(7).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("DERMALOOP_", "COV_", "PYTHON"))}


def test_it_has_nothing_heavy(base):
    script = f"import importlib.util as u; print([name for name in {ABSENT!r} if u.find_spec(name)])"
    outcome = subprocess.run([base / "python", "-c", script], capture_output=True, text=True, check=True)
    assert outcome.stdout.strip() == "[]", "something was installed into .venv by hand: make distclean, then make base"


def test_it_is_small(base):
    files = [path for path in base.parent.rglob("*") if path.is_file() and not path.is_symlink()]
    ours = [path for path in files if not NOT_OURS.intersection(path.relative_to(base.parent).parts)]
    assert len(ours) > 500
    assert sum(path.stat().st_size for path in ours) < LARGEST_INSTALL_BYTES


def test_it_classifies(base, lesion, tmp_path):
    (tmp_path / "lesion.jpg").write_bytes(lesion)
    bundle = toy_bundle(tmp_path, packed=True)
    command = [
        base / "dermaloop",
        "classify",
        "lesion.jpg",
        "--bundle",
        bundle,
        "--format",
        "json",
        "--out",
        "out.json",
    ]
    outcome = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env=clean_environment()
    )
    assert outcome.returncode == 0, outcome.stderr
    (prediction,) = json.loads((tmp_path / "out.json").read_text())["predictions"]
    assert prediction["status"] in {"assessed", "abstained"}
    assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-6)


@contextlib.contextmanager
def serving(base: Path, bundle: Path, store: Path) -> Iterator[str]:
    """The web app of the base install on a free port; the link that it prints."""
    process = subprocess.Popen(
        [base / "dermaloop", "serve", "--bundle", bundle, "--store", store],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    try:
        link = re.search(r"http://\S+/enter/\S+", process.stdout.readline())
        assert link, process.communicate(timeout=180)
        yield link[0]
    finally:
        process.terminate()
        process.communicate(timeout=180)


def test_it_serves_the_page_and_the_api_by_the_link_that_it_prints(base, lesion, tmp_path):
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with serving(base, toy_bundle(tmp_path), tmp_path / "store") as link:
        with browser.open(link, timeout=180) as answer:
            page = answer.read().decode()
        assert "Not a medical device." in page
        token = re.search(r'name="form_token" value="(\w+)"', page)[1]
        boundary = "a-boundary-that-no-picture-holds"
        body = (
            (
                f'--{boundary}\r\nContent-Disposition: form-data; name="pictures"; filename="lesion.jpg"\r\n'
                "Content-Type: image/jpeg\r\n\r\n"
            ).encode()
            + lesion
            + f"\r\n--{boundary}--\r\n".encode()
        )
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "X-Form-Token": token}
        address = link.partition("/enter/")[0] + "/api/v1/classify"
        with browser.open(urllib.request.Request(address, body, headers), timeout=180) as answer:
            said = json.loads(answer.read())
    assert "lesion.jpg" in json.dumps(said)
    assert re.search(r'"status": "(assessed|abstained)"', json.dumps(said))


def test_the_wheel_holds_all_that_is_not_python(base, tmp_path):
    """An editable install finds its templates in the checkout; a user's wheel must bring them along."""
    command = [base / "python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT]
    skip_when_offline(subprocess.run(command, capture_output=True, text=True, check=False))
    (wheel,) = tmp_path.glob("dermaloop-*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    needed = {
        path.relative_to(source).as_posix()
        for path in (source / "dermaloop").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert any(name.endswith(".html") for name in needed)
    assert needed <= packed
    assert not [name for name in packed if not name.startswith(("dermaloop/", "dermaloop-"))]
