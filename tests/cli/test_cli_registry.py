"""`dermaloop registry` as somebody at the command line uses it, from the first champion to the auditor's zip."""

import hashlib
import json
import zipfile

import pytest
from typer.testing import CliRunner

from dermaloop.cases import answers, registry
from dermaloop.cases.actor import system
from dermaloop.cases.errors import ConflictError
from dermaloop.cases.model_tables import Alias
from dermaloop.cases.promotion import NotALeadError
from dermaloop.cases.roles import Role
from dermaloop.cases.signature import SignatureError
from dermaloop.cli.registry import app
from dermaloop.core import bundle as bundles
from dermaloop.core.bundle import open_bundle
from dermaloop.core.errors import BundleError
from dermaloop.inference.classifier import Classifier
from support.clinic import new_case, new_image, picture
from support.models import gate, proposal, second_version
from support.people import PASSWORD, add_account, new_store
from support.toy import toy_bundle

RUNNER = CliRunner()


@pytest.fixture
def store(tmp_path):
    with new_store(tmp_path / "store") as opened:
        add_account(opened, Role.LEAD, "ada", PASSWORD)
        add_account(opened, Role.CLINICIAN, "bob", PASSWORD)
        yield opened


@pytest.fixture
def first(store, tmp_path):
    """The first champion, made by the command."""
    told = run(store, "add", toy_bundle(tmp_path, packed=True), "--champion")
    assert "is the champion" in told
    with store.database.read() as session:
        return registry.champion(session)


def run(store, *words, typed="", ends=0):
    """Runs a command; gives what it printed."""
    done = RUNNER.invoke(app, [*map(str, words), "--store", str(store.folder)], input=typed)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == ends, done.output
    return done.output


def champion(store):
    with store.database.read() as session:
        return registry.champion(session)


def test_from_the_first_champion_to_a_promotion_and_back(store, first, tmp_path):
    made = proposal(store, tmp_path)
    told = run(store, "show")
    assert f"{first.id[:8]}  {first.identity}  champion  gates: none" in told
    assert f"{made.id[:8]}  {made.identity}  challenger  gates: passed" in told
    assert "auc: passed. The auc is not lower" in run(store, "show", "challenger")
    compared = run(store, "compare", "challenger")
    assert "Sensitivity" in compared
    assert "hold no evaluation" in compared
    assert "Answered silently: 0 pictures" in compared

    why = ("--reason", "all gates were passed", "--by")
    with pytest.raises(SignatureError):
        run(store, "promote", "challenger", *why, "ada", typed="wrong password\n")
    with pytest.raises(SignatureError):
        run(store, "promote", "challenger", *why, "nobody", typed=f"{PASSWORD}\n")
    with pytest.raises(NotALeadError):
        run(store, "promote", "challenger", *why, "bob", typed=f"{PASSWORD}\n")
    assert champion(store) == first
    assert "is the champion" in run(store, "promote", "challenger", *why, "ada", typed=f"{PASSWORD}\n")
    assert champion(store) == made
    assert "by ada  'all gates were passed'" in run(store, "show", made.id[:8])
    assert "is the champion again" in run(store, "rollback", "--reason", "too many referrals")
    assert champion(store) == first
    with pytest.raises(ConflictError):
        run(store, "rollback", "--reason", "once more")


def test_gates_that_failed_are_not_waved_through(store, first, tmp_path):
    proposal(store, tmp_path, gates=[gate("sensitivity"), gate("auc", passed=False)])
    assert "auc: NOT PASSED." in run(store, "show", "challenger")
    with pytest.raises(ConflictError, match="not passed"):
        run(
            store, "promote", "challenger", "--reason", "x", "--by", "ada", "--without-gates", typed=f"{PASSWORD}\n"
        )  # fmt: skip
    assert champion(store) == first


def test_what_cannot_run_is_not_registered(store, tmp_path):
    with pytest.raises(BundleError):
        run(store, "add", toy_bundle(tmp_path, parts={bundles.MODEL: b"no graph"}))
    assert "No model has served yet" in run(store, "show")


def test_the_shadow_is_started_and_ended_and_a_replay_answers_on_old_pictures(store, first, tmp_path):
    made = proposal(store, tmp_path)
    assert "answers silently" in run(store, "shadow", "challenger")
    with store.database.read() as session:
        assert registry.current(session, Alias.SHADOW) == made
    assert "is the shadow no more" in run(store, "shadow", "--stop")
    run(store, "shadow", ends=2)
    with store.database.read() as session:
        said = Classifier(registry.open_model(session, first), threads=1)
    with store.database.begin() as session:
        case = new_case(session, system("test"))
        stripped = picture(4)
        image = new_image(session, system("test"), case, store.images, stripped)
        prediction = said.classify(stripped.content, "a.jpg")
        answers.add_prediction(session, system("test"), image.id, prediction, bundle_sha256=first.bundle_sha256)
    assert "has answered on 1 pictures" in run(store, "replay", "challenger")
    assert "Answered silently: 1 pictures of 1 cases." in run(store, "compare", "challenger")


def tampered(out, path, name, old, new, *, sums=True):
    """A copy of an exported zip with one file edited, and, by somebody who thinks of it, its sum too."""
    with zipfile.ZipFile(out) as packed:
        files = {each: packed.read(each) for each in packed.namelist()}
    before = hashlib.sha256(files[name]).hexdigest()
    assert old in files[name]
    files[name] = files[name].replace(old, new)
    if sums:
        after = hashlib.sha256(files[name]).hexdigest()
        files["SHA256SUMS"] = files["SHA256SUMS"].replace(before.encode(), after.encode())
    with zipfile.ZipFile(path, "w") as packed:
        for each, content in files.items():
            packed.writestr(each, content)
    return path


def test_an_auditor_gets_a_whole_zip_and_every_change_is_named(store, first, tmp_path):
    path = second_version(tmp_path / "second", parts={bundles.EVALUATION: b"{}"})
    made = proposal(store, tmp_path, bundle=path)
    assert "The registry is whole: 2 models, 2 entries" in run(store, "verify")
    out = tmp_path / "change.zip"
    run(store, "export", "challenger", out, "--with-bundle")
    with zipfile.ZipFile(out) as packed:
        sums = dict(reversed(line.split("  ")) for line in packed.read("SHA256SUMS").decode().splitlines())
        assert {name: hashlib.sha256(packed.read(name)).hexdigest() for name in sums} == sums
        assert set(packed.namelist()) == {*sums, "SHA256SUMS"}
        assert json.loads(packed.read("gates.json"))[1]["sentence"] == made.gates[1].sentence
        assert json.loads(packed.read("plan.json")) == made.plan
        page = packed.read("dossier.html").decode()
        packed.extract("model/toy-next.dermaloop", tmp_path)
    assert open_bundle(tmp_path / "model" / "toy-next.dermaloop").sha256 == made.bundle_sha256
    assert made.gates[1].sentence.replace("'", "&#39;") in page
    for known in (made.identity, first.identity, made.file_sha256, "model.registered", "The audit log was whole"):
        assert known in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")

    assert f"{out}: as it was made" in run(store, "verify", out)
    for name, old, new, said in (
        ("gates.json", b"is not lower", b"is far higher", "gates.json says something else than the registry"),
        ("plan.json", b"test plan", b"best plan", "plan.json says something else than the registry"),
        ("audit.json", made.file_sha256.encode(), b"0" * 64, "audit.json, entry"),
        ("evidence.zip", b"gates.json", b"gatex.json", "evidence.zip is not what was proposed"),
        ("model/toy-next.dermaloop", b"PK", b"PX", "model/toy-next.dermaloop is another bundle"),
    ):
        told = run(store, "verify", tampered(out, tmp_path / "tampered.zip", name, old, new), ends=1)
        assert f"tampered.zip: {said}" in told, told
        told = run(store, "verify", tampered(out, tmp_path / "tampered.zip", name, old, new, sums=False), ends=1)
        assert f"{name} was changed since the zip was made" in told
    assert "it is no whole copy of evidence" in run(store, "verify", path, ends=1)

    stored = store.folder / "models" / f"{made.file_sha256}.dermaloop"
    content = bytearray(stored.read_bytes())
    content[-100] ^= 1
    stored.write_bytes(content)
    told = run(store, "verify", ends=1)
    assert f"model {made.id} ({made.identity}): the registered bundle was changed" in told
    with pytest.raises(BundleError):
        run(store, "export", "challenger", tmp_path / "other.zip")
    assert not (tmp_path / "other.zip").exists()
