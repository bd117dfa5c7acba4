"""`dermaloop feedback` and `dermaloop refine` on a small clinic: what they print, keep and refuse."""

import contextlib
import json

import pytest
from typer.testing import CliRunner

from dermaloop.cases.flags import Suspicion, raise_flags
from dermaloop.cases.store import open_store
from dermaloop.cases.words import FlagKind
from dermaloop.cli import feedback as command
from dermaloop.cli import refine as refine_command
from dermaloop.cli.app import app
from dermaloop.core.errors import DermaloopError, MissingExtraError
from dermaloop.core.manifest import read
from dermaloop.core.taxonomy import Diagnosis
from support.challengers import easy_plan
from support.people import new_store
from support.refining import ADA, confirmed
from support.toy import toy_bundle


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """Three confirmed cases, one without consent, and one not confirmed. Gives (folder, their cases, bundle)."""
    folder = tmp_path_factory.mktemp("clinic")
    with new_store(folder / "store") as store:
        cases = [
            confirmed(store, Diagnosis.NV, seed=1),
            confirmed(store, Diagnosis.MEL, seed=2),
            confirmed(store, Diagnosis.NV, seed=3, consent="not given"),
            confirmed(store, Diagnosis.NV, seed=4, finding=False),
        ]
    return folder, cases, toy_bundle(folder)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_confirmed_cases_are_written_with_counts_of_what_may_not_train(clinic, tmp_path):
    folder, _, bundle = clinic
    given = ("--store", folder / "store", "--bundle", bundle, "--threads", 1)
    outcome = run("feedback", "export", tmp_path / "out", *given)
    assert outcome.exit_code == 0, outcome.output
    assert "2 pictures of 2 lesions of 2 patients may train" in outcome.output
    assert "who gets a biopsy is not random" in outcome.output
    assert "Compared with no test set" in outcome.output
    (manifest,) = (tmp_path / "out").glob("*.parquet")
    rows = read(manifest)
    assert sorted(rows.column("diagnosis")) == ["MEL", "NV"]
    assert all(path.is_file() for path in rows.image_paths())
    told = json.loads(run("feedback", "export", tmp_path / "again", "--json", *given).stdout)
    assert told["usable"]["pictures"] == 2
    assert sum(told["excluded"].values()) == told["pictures"] - 2


def test_a_flag_is_listed_decided_on_and_then_waits_no_more(clinic):
    folder, cases, _ = clinic
    store = ("--store", folder / "store")
    assert "No flag waits." in run("feedback", "review", *store).output
    _, _, entry = cases[1]
    with contextlib.closing(open_store(folder / "store")) as held, held.database.begin() as session:
        raised = Suspicion(entry.id, FlagKind.LABEL, "NV", "It looks like a naevus.", {"p": 0.1})
        assert raise_flags(session, ADA, [raised]) == 1
    (flag,) = json.loads(run("feedback", "review", "--json", *store).stdout)
    assert (flag["kind"], flag["sentence"], flag["verdict"]) == ("label", "It looks like a naevus.", "")
    assert run("feedback", "review", flag["id"], *store).exit_code == 2, "a verdict is needed"
    done = run("feedback", "review", flag["id"], "--verdict", "accepted", "--reason", "Seen again.", *store)
    assert done.exit_code == 0, done.output
    assert "No flag waits." in run("feedback", "review", *store).output
    assert "accepted: Seen again." in run("feedback", "review", "--all", *store).output


def test_the_case_that_is_not_confirmed_is_suggested_and_saved_for_the_worklist(clinic):
    folder, cases, bundle = clinic
    given = ("--store", folder / "store", "--bundle", bundle, "--threads", 1)
    outcome = run("feedback", "suggest", "--save", *given)
    assert outcome.exit_code == 0, outcome.output
    assert cases[3][0].id in outcome.output
    (told,) = json.loads(run("feedback", "suggest", "--json", *given).stdout)
    assert told["case"] == cases[3][0].id


def test_a_plan_and_a_test_set_that_are_not_there_are_named(clinic, tmp_path):
    folder, _, _ = clinic
    given = ("--frozen", tmp_path / "none.parquet", "--work", tmp_path / "work", "--store", folder / "store")
    missing = run("refine", tmp_path / "none.toml", *given)
    assert isinstance(missing.exception, DermaloopError)
    assert "none.toml" in str(missing.exception)
    easy_plan(tmp_path)
    (plan,) = tmp_path.glob("*.toml")
    missing = run("refine", plan, *given)
    assert isinstance(missing.exception, DermaloopError)
    assert "none.parquet" in str(missing.exception)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(("module", "arguments"), [(command, ["feedback", "suggest"]), (refine_command, ["refine"])])
def test_without_the_extra_it_says_what_to_install(module, arguments, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "dermaloop.refine", None)
    more = ["plan.toml", "--frozen", "f.parquet", "--work", str(tmp_path)] if module is refine_command else []
    outcome = run(*arguments, *more, "--store", tmp_path / "store")
    assert isinstance(outcome.exception, MissingExtraError)
    assert "dermaloop[train]" in str(outcome.exception)
