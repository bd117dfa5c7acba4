"""The registry: what is registered, what each model is, and that nothing stands there that is not whole."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from dermaloop.cases import model_files, registry
from dermaloop.cases.actor import system
from dermaloop.cases.errors import ConflictError, InvalidRecordError, RecordNotFoundError
from dermaloop.cases.model_records import Verdict
from dermaloop.cases.model_tables import Act, Alias, AliasRow, ModelRow, Origin
from dermaloop.core.bundle import open_bundle
from dermaloop.core.errors import BundleError
from support.models import PASSED, PLAN, PLAN_SHA256, evidence, first_champion, gate, proposal, second_version
from support.toy import toy_bundle

TEST = system("test")


def test_a_proposal_is_the_challenger_with_all_that_led_to_it(either_store, tmp_path):
    first = first_champion(either_store, tmp_path)
    made = proposal(either_store, tmp_path)
    bundle = open_bundle(tmp_path / "second" / "toy.dermaloop")
    assert made.parent_id == first.id
    assert (made.identity, made.bundle_sha256) == (bundle.identity, bundle.sha256)
    assert (made.manifest_sha256, made.recipe_sha256, made.code_sha256) == ("0" * 64, "1" * 64, "2" * 64)
    assert made.plan == PLAN
    assert made.plan_sha256 == PLAN_SHA256
    assert [one.name for one in made.gates] == ["sensitivity", "auc"]
    assert made.gates[0].interval == (-0.013, 0.006)
    assert made.gates[0].n == 812
    assert made.verdict is Verdict.PASSED
    assert (made.origin, made.actor_name) == (Origin.PROPOSED, "refine")
    with either_store.database.read() as session:
        assert registry.champion(session) == first, "proposing changes nothing of what serves"
        assert registry.current(session, Alias.CHALLENGER) == made
        assert registry.find_model(session, made.id[:8]) == registry.find_model(session, "challenger") == made
        assert registry.find_model(session, made.identity) == made
        assert registry.open_model(session, made).identity == made.identity
        assert [(one.alias, one.act) for one in registry.history(session)] == [
            (Alias.CHAMPION, Act.FIRST),
            (Alias.CHALLENGER, Act.PROPOSED),
        ]
        assert registry.path_of(session, made).is_file()
        evidence_file = model_files.require_evidence(either_store.folder / "models", made.evidence_sha256)
    assert evidence_file.is_file()


def test_without_a_champion_it_says_how_to_get_one(either_store):
    with either_store.database.read() as session, pytest.raises(RecordNotFoundError, match="dermaloop serve"):
        registry.champion(session)


def test_the_same_proposal_again_makes_nothing_new(either_store, tmp_path):
    first_champion(either_store, tmp_path)
    made = proposal(either_store, tmp_path)
    assert proposal(either_store, tmp_path) == made
    with either_store.database.read() as session:
        assert len(registry.listing(session)) == 2
        assert len(registry.history(session)) == 2
    other = proposal(either_store, tmp_path, gates=[gate("sensitivity"), gate("auc", passed=None)])
    assert other.id != made.id
    assert other.file_sha256 == made.file_sha256
    with either_store.database.read() as session:
        now_is = registry.standing(registry.history(session))
        assert now_is[other.id] == (Alias.CHALLENGER,)
        assert now_is[made.id] == (Alias.RETIRED,), "nobody decided on it, and a later proposal takes its place"


def test_a_bundle_is_kept_byte_by_byte_and_a_folder_is_packed(either_store, tmp_path):
    packed = second_version(tmp_path / "packed")
    folder = second_version(tmp_path / "plain", packed=False)
    with either_store.database.begin() as session:
        one = registry.add(session, TEST, packed)
        again = registry.add(session, TEST, folder)
        assert registry.path_of(session, one).read_bytes() == packed.read_bytes()
    assert again == one, "one model, whatever it was packed in"


@pytest.mark.parametrize(
    ("gates", "plan", "verdict"),
    [
        (PASSED, PLAN, Verdict.PASSED),
        ([gate("sensitivity"), gate("auc", passed=False)], PLAN, Verdict.FAILED),
        ([gate("sensitivity"), gate("auc", passed=None)], PLAN, Verdict.UNJUDGED),
        ([gate("sensitivity")], PLAN, Verdict.UNJUDGED),
        ([], PLAN, Verdict.UNJUDGED),
        ([], {}, Verdict.UNJUDGED),
        ([gate("other")], {}, Verdict.PASSED),
        ([gate("other"), gate("third", passed=False)], {}, Verdict.FAILED),
        ([*PASSED, gate("told only", passed=False), gate("and this", passed=None)], PLAN, Verdict.PASSED),
        ([gate("sensitivity", passed=False), gate("auc", passed=None)], PLAN, Verdict.FAILED),
    ],
)
def test_gates_fail_safe(quick_store, tmp_path, gates, plan, verdict):
    first_champion(quick_store, tmp_path)
    assert proposal(quick_store, tmp_path, gates=gates, plan=plan).verdict is verdict


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"passed": "yes"},
        {"passed": 1},
        {"measured": float("nan")},
        {"measured": "0.9"},
        {"interval": [0.1]},
        {"interval": [0.1, None]},
        {"n": 1.5},
        {"sentence": None},
        {"more": {1, 2}},
    ],
)
def test_a_gate_result_that_says_nothing_sure_is_not_kept(quick_store, tmp_path, changes):
    first_champion(quick_store, tmp_path)
    with pytest.raises(InvalidRecordError):
        proposal(quick_store, tmp_path, gates=[{**gate(), **changes}])
    with quick_store.database.read() as session:
        assert len(registry.listing(session)) == 1


def test_two_results_of_one_gate_are_not_kept(quick_store, tmp_path):
    with pytest.raises(InvalidRecordError, match="of its own"):
        proposal(quick_store, tmp_path, gates=[gate("auc", passed=False), gate("auc")])


def test_there_is_one_first_champion(either_store, tmp_path):
    first = first_champion(either_store, tmp_path)
    with pytest.raises(ConflictError, match="already"), either_store.database.begin() as session:
        registry.add(session, TEST, second_version(tmp_path / "second"), first=True)
    with either_store.database.read() as session:
        assert registry.listing(session) == (first,)


def test_what_is_no_whole_bundle_is_not_registered(either_store, tmp_path):
    path = second_version(tmp_path / "second")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError), either_store.database.begin() as session:
        registry.add(session, TEST, path)
    with either_store.database.read() as session:
        assert registry.listing(session) == ()
    folder = either_store.folder / "models"
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_proposal_without_its_evidence_or_parent_is_refused(quick_store, tmp_path):
    path = toy_bundle(tmp_path, packed=True)
    more = {"plan": PLAN, "plan_sha256": PLAN_SHA256, "gates": PASSED}
    with pytest.raises(BundleError, match="no such folder"), quick_store.database.begin() as session:
        registry.propose(session, TEST, path, parent=None, evidence_folder=tmp_path / "absent", **more)
    with pytest.raises(RecordNotFoundError), quick_store.database.begin() as session:
        registry.propose(session, TEST, path, parent="nobody", evidence_folder=None, **more)
    with quick_store.database.read() as session:
        assert registry.listing(session) == ()


def test_equal_evidence_is_one_file(tmp_path):
    folder = tmp_path / "models"
    one = model_files.put_evidence(folder, evidence(tmp_path / "a", table="x"))
    two = model_files.put_evidence(folder, evidence(tmp_path / "b", table="x"))
    assert one == two
    assert [path.name for path in folder.iterdir()] == [f"{one}.evidence.zip"]


@pytest.mark.parametrize("table", [ModelRow, AliasRow])
@pytest.mark.parametrize("change", ["update", "delete"])
def test_the_database_itself_refuses_to_change_what_was_decided(either_store, tmp_path, table, change):
    first_champion(either_store, tmp_path)
    statement = sa.delete(table) if change == "delete" else sa.update(table).values(actor_name="somebody else")
    with pytest.raises(DBAPIError, match="append-only"), either_store.database.begin() as session:
        session.execute(statement)
