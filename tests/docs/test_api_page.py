"""The examples of the API's page run as written, against a really running server."""

import re
import shutil
import subprocess

import pytest

from dermaloop.cases.roles import Role, Scope
from dermaloop.core.bundle import open_bundle
from dermaloop.core.synthetic import draw_lesion
from dermaloop.inference.classifier import Classifier
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from support.live import serving
from support.pages import ROOT, blocks
from support.people import add_account, make_token, new_store
from support.toy import toy_bundle

PAGE = ROOT / "docs/api.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
CALLS = [line for block in blocks() if block.page == PAGE for line in block.lines]


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What the examples take for given: a server's address, a token, and a picture in the folder."""
    folder = tmp_path_factory.mktemp("api")
    draw_lesion(4, malignant=True).save(folder / "lesion.jpg")
    classifier = Classifier(open_bundle(toy_bundle(folder)), threads=1)
    with new_store(folder / "store") as store, serving(create_app(Settings(), classifier, store)) as address:
        token = make_token(store, add_account(store, Role.CLINICIAN), [Scope.CASES_READ, Scope.CASES_WRITE])
        yield {"ADDRESS": address, "TOKEN": token, "folder": folder}


def test_the_examples_run_one_after_the_other(names, monkeypatch, capsys):
    monkeypatch.chdir(names["folder"])
    said = []
    for example in EXAMPLES:
        exec(compile(example, str(PAGE), "exec"), names)
        said.append(capsys.readouterr().out)
        names.setdefault("LESION_ID", names["lesion"].id if "lesion" in names else "")
    first, second, third, compared, fourth = said
    assert re.search(r"^(refer|no_referral) 0\.\d+$", first, re.MULTILINE)
    assert len(set(second.split())) == 1
    assert third == "lesion.jpg assessed\n"
    assert re.fullmatch(r"2026-03-01 \S+ \S+ 0\.\d+\n", compared), "one picture is compared with none"
    assert fourth.startswith("409 conflict pseudonym Open that patient")

    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed here")
    assert len(CALLS) == 3
    environment = {name: str(value) for name, value in names.items() if name in ("TOKEN", "LESION_ID")}
    for call in CALLS:
        line = call.replace("http://127.0.0.1:8000", names["ADDRESS"]).replace("curl ", f"{curl} --fail --silent ", 1)
        outcome = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=False)
        assert outcome.returncode == 0, (call, outcome.stdout, outcome.stderr)
        assert outcome.stdout.startswith("{"), call
