"""`dermaloop store` and `dermaloop audit`: what they print, write, and how they end."""

import json
import os
import sys
import zipfile
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from dermaloop.cases.actor import system
from dermaloop.cases.images import name_of
from dermaloop.cases.store import open_store
from dermaloop.cli import main
from support.clinic import assessed

HERE = system("test")


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command line in this process, as the shell would."""
    for name in [name for name in os.environ if name.startswith("DERMALOOP_")]:
        monkeypatch.delenv(name)

    def call(*arguments, **environment):
        monkeypatch.setattr(sys, "argv", ["dermaloop", *map(str, arguments)])
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def clinic(tmp_path):
    """A folder with a store that holds one case; gives (folder, case, image)."""
    store = open_store(tmp_path / "store")
    with store.database.begin() as session:
        case, image, _ = assessed(session, HERE, store.images, pseudonym="K-17")
    store.close()
    return tmp_path / "store", case, image


def test_check_backup_restore_and_verify(run, clinic, tmp_path):
    folder, _, image = clinic
    sound = run("store", "check", "--store", folder)
    assert sound.returncode == 0, sound.stderr
    assert "1 pictures in the records" in sound.stdout
    assert "Nothing is missing or damaged." in sound.stdout
    backed_up = run("store", "backup", tmp_path / "b.zip", DERMALOOP_STORE=str(folder))
    assert backed_up.returncode == 0, backed_up.stderr
    restored = run("store", "restore", tmp_path / "b.zip", "--store", tmp_path / "again")
    assert restored.returncode == 0, restored.stderr
    end = backed_up.stdout.split("audit log: ")[1].split()[0]
    assert end in restored.stdout
    whole = run("audit", "verify", "--store", tmp_path / "again", "--noted", end)
    assert whole.returncode == 0, whole.stdout
    assert f"end: {end}" in whole.stdout
    (folder / "images" / name_of(image.sha256)).unlink()
    lost = run("store", "check", "--store", folder)
    assert lost.returncode == 1
    assert f"missing: picture {image.id}" in lost.stdout
    named = run("store", "backup", tmp_path / "c.zip", "--store", folder)
    assert (named.returncode, (tmp_path / "c.zip").exists()) == (1, True)
    assert image.sha256 in named.stdout


def test_a_backup_replaces_another_only_when_told(run, clinic, tmp_path):
    folder, out = clinic[0], tmp_path / "b.zip"
    assert run("store", "backup", out, "--store", folder).returncode == 0
    before = out.read_bytes()
    refused = run("store", "backup", out, "--store", folder)
    assert refused.returncode == 1
    assert str(out) in refused.stderr
    assert "--replace" in refused.stderr
    assert out.read_bytes() == before
    assert run("store", "backup", out, "--store", folder, "--replace").returncode == 0
    assert out.read_bytes() != before


def test_orphans_are_listed_and_removed_when_told(run, clinic):
    folder, _, _ = clinic
    stray = folder / "images" / "stray.bin"
    stray.write_bytes(b"x")
    os.utime(stray, (0, 0))
    assert "orphan: stray.bin" in run("store", "check", "--store", folder).stdout
    assert stray.exists()
    assert "1 orphans removed." in run("store", "check", "--store", folder, "--remove-orphans").stdout
    assert not stray.exists()


def test_a_tampered_log_is_shown_with_its_place(run, clinic):
    folder, _, _ = clinic
    store = open_store(folder)
    with store.database.engine.begin() as connection:
        connection.execute(sa.text("DROP TRIGGER audit_entries_no_update"))
        connection.execute(sa.text("UPDATE audit_entries SET actor_name = 'x' WHERE sequence = 2"))
    store.close()
    broken = run("audit", "verify", "--store", folder)
    assert broken.returncode == 1
    assert "changed: entry 2 was changed" in broken.stdout
    assert "Traceback" not in broken.stderr


def test_a_patient_is_exported_and_deleted_and_the_log_tells(run, clinic, tmp_path):
    folder, case, image = clinic
    assert run("store", "export", case.patient_id, tmp_path / "r.zip", "--store", folder).returncode == 0
    assert f"images/{image.id}.jpg" in zipfile.ZipFile(tmp_path / "r.zip").namelist()
    before = (tmp_path / "r.zip").read_bytes()
    refused = run("store", "export", case.patient_id, tmp_path / "r.zip", "--store", folder)
    assert refused.returncode == 1
    assert "--replace" in refused.stderr
    assert (tmp_path / "r.zip").read_bytes() == before
    assert run("store", "export", case.patient_id, tmp_path / "r.zip", "--store", folder, "--replace").returncode == 0
    deleted = run("store", "delete", case.patient_id, "--reason", "by letter", "--store", folder)
    assert deleted.returncode == 0, deleted.stderr
    assert "1 pictures removed" in deleted.stdout
    assert not (folder / "images" / name_of(image.sha256)).exists()
    lines = run("audit", "export", "--store", folder, "--subject", case.patient_id).stdout.splitlines()
    actions = [json.loads(line)["action"] for line in lines]
    assert actions[0] == "patient.made"
    assert actions[-3:] == ["patient.exported", "patient.exported", "patient.deleted"]
    assert run("audit", "export", "--store", folder, "--format", "csv", "--out", tmp_path / "a.csv").returncode == 0
    assert (tmp_path / "a.csv").read_text().startswith("sequence,at,actor_kind")
    assert run("audit", "verify", "--store", folder).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("store", "check"), "there is no store here"),
        (("store", "backup", "x.zip"), "there is no store here"),
        (("store", "restore", "nowhere.zip"), "there is no such file"),
        (("store", "delete", "1", "--reason", "x"), "there is no store here"),
        (("audit", "verify"), "there is no store here"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_makes_nothing(run, tmp_path, arguments, said):
    done = run(*arguments, "--store", tmp_path / "none")
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_note_that_is_none_is_wrong_usage(run, clinic):
    done = run("audit", "verify", "--store", clinic[0], "--noted", "nonsense")
    assert done.returncode == 2
    assert "NUMBER:HASH" in " ".join(done.stderr.split())
