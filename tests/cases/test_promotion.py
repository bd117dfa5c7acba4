"""Who may decide on models and what must be true first; going back; and that no edit of the records goes unseen."""

import json

import pytest
import sqlalchemy as sa

from dermaloop.cases import accounts, audit_list, promotion, registry
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.audit import AuditRow
from dermaloop.cases.audit_verify import verify as verify_log
from dermaloop.cases.errors import ConflictError, InvalidRecordError, RecordNotFoundError
from dermaloop.cases.model_records import row_digest, text_sha256
from dermaloop.cases.model_tables import Act, Alias, AliasRow, ModelRow
from dermaloop.cases.promotion import NotALeadError
from dermaloop.cases.registry_verify import verify_registry
from dermaloop.cases.roles import Role
from dermaloop.core.errors import BundleError
from support.models import PASSED, PLAN, first_champion, gate, proposal, second_version
from support.people import add_account
from support.toy import toy_bundle

WHY = "all gates were passed"


def person(store, role):
    account = add_account(store, role)
    return Actor("account", account.id, account.name, "127.0.0.1")


def promote(store, actor, model, reason=WHY, **more):
    with store.database.begin() as session:
        return promotion.promote(session, actor, model.id, reason=reason, **more)


def champion(store):
    with store.database.read() as session:
        return registry.champion(session)


def standing(store):
    with store.database.read() as session:
        return registry.standing(registry.history(session))


@pytest.fixture
def first(either_store, tmp_path):
    return first_champion(either_store, tmp_path)


@pytest.fixture
def made(either_store, first, tmp_path):
    return proposal(either_store, tmp_path)


def test_a_lead_promotes_and_takes_it_back(either_store, first, made):
    lead = person(either_store, Role.LEAD)
    assert promote(either_store, lead, made) == champion(either_store) == made
    assert standing(either_store) == {first.id: (Alias.RETIRED,), made.id: (Alias.CHAMPION,)}
    with either_store.database.begin() as session:
        entry = registry.history(session, made.id)[-1]
        assert (entry.act, entry.reason, entry.actor_name) == (Act.PROMOTED, WHY, lead.name)
        assert promotion.roll_back(session, lead, reason="too many referrals") == first
    assert champion(either_store) == first
    assert standing(either_store) == {first.id: (Alias.CHAMPION,), made.id: (Alias.RETIRED,)}
    with pytest.raises(ConflictError, match="no promotion"), either_store.database.begin() as session:
        promotion.roll_back(session, lead, reason="once more")
    promote(either_store, lead, made)
    assert champion(either_store) == made, "what was taken back can be promoted again"
    assert verify_registry(either_store).sound


def test_two_rollbacks_go_back_two_steps(quick_store, tmp_path):
    first, lead = first_champion(quick_store, tmp_path), person(quick_store, Role.LEAD)
    second = proposal(quick_store, tmp_path / "a")
    promote(quick_store, lead, second)
    third = proposal(quick_store, tmp_path / "b", bundle=second_version(tmp_path / "third", version="3"))
    promote(quick_store, lead, third)
    for wanted in (second, first):
        with quick_store.database.begin() as session:
            assert promotion.roll_back(session, lead, reason="a test") == wanted
    assert champion(quick_store) == first
    assert standing(quick_store)[third.id] == standing(quick_store)[second.id] == (Alias.RETIRED,)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.CLINICIAN])
def test_nobody_without_the_role_decides(either_store, first, made, role):
    decides = [
        lambda session, actor: promotion.promote(session, actor, made.id, reason=WHY),
        lambda session, actor: promotion.roll_back(session, actor, reason=WHY),
        lambda session, actor: promotion.decline(session, actor, made.id, reason=WHY),
        lambda session, actor: promotion.start_shadow(session, actor, made.id),
        promotion.stop_shadow,
    ]
    for decide in decides:
        with pytest.raises(NotALeadError), either_store.database.begin() as session:
            decide(session, person_in(session, role))
    assert champion(either_store) == first
    assert standing(either_store)[made.id] == (Alias.CHALLENGER,)


def person_in(session, role):
    try:
        account = accounts.find_by_name(session, role.value)
    except accounts.NoSuchAccountError:
        account = accounts.create(session, system("test"), role.value, role)
    return Actor("account", account.id, account.name)


def test_neither_a_token_nor_the_program_nor_who_was_a_lead_promotes(either_store, first, made):
    lead = person(either_store, Role.LEAD)
    others = [
        Actor("token", lead.id, lead.name),
        system("refine"),
        Actor("account", "11111111-1111-4111-8111-111111111111", lead.name),
        Actor("account", "nobody", lead.name),
    ]
    for actor in others:
        with pytest.raises(NotALeadError):
            promote(either_store, actor, made)
    with either_store.database.begin() as session:
        accounts.set_role(session, system("test"), lead.id, Role.CLINICIAN)
    with pytest.raises(NotALeadError):
        promote(either_store, lead, made)
    with either_store.database.begin() as session:
        accounts.set_role(session, system("test"), lead.id, Role.LEAD)
        accounts.disable(session, system("test"), lead.id)
    with pytest.raises(NotALeadError):
        promote(either_store, lead, made)
    assert champion(either_store) == first


@pytest.mark.parametrize("without_gates", [False, True])
@pytest.mark.parametrize(
    "gates",
    [
        [gate("sensitivity"), gate("auc", passed=False)],
        [gate("sensitivity"), gate("auc", passed=None)],
        [gate("sensitivity")],
        [],
    ],
)
def test_gates_that_were_not_passed_cannot_be_waved_through(quick_store, tmp_path, gates, without_gates):
    first, lead = first_champion(quick_store, tmp_path), person(quick_store, Role.LEAD)
    made = proposal(quick_store, tmp_path, gates=gates)
    with pytest.raises(ConflictError, match="gate of its plan"):
        promote(quick_store, lead, made, without_gates=without_gates)
    assert champion(quick_store) == first


def test_a_bundle_without_a_plan_is_promoted_only_when_that_is_acknowledged(quick_store, tmp_path):
    first_champion(quick_store, tmp_path)
    lead = person(quick_store, Role.LEAD)
    with quick_store.database.begin() as session:
        added = registry.add(session, lead, second_version(tmp_path / "second"))
    with pytest.raises(ConflictError, match="no plan"):
        promote(quick_store, lead, added)
    assert promote(quick_store, lead, added, without_gates=True) == champion(quick_store) == added


def test_only_a_plan_that_says_so_is_carried_out_by_the_program(quick_store, tmp_path):
    first_champion(quick_store, tmp_path)
    automatic = {**PLAN, "promotion": "automatic"}
    failed = proposal(
        quick_store, tmp_path / "a", plan=automatic, gates=[gate("sensitivity"), gate("auc", passed=False)]
    )
    with pytest.raises(NotALeadError):
        promote(quick_store, system("refine"), failed)
    made = proposal(quick_store, tmp_path / "b", plan=automatic)
    assert promote(quick_store, system("refine"), made) == champion(quick_store)


def test_a_reason_is_needed_and_what_is_champion_is_not_promoted(quick_store, tmp_path):
    first, lead = first_champion(quick_store, tmp_path), person(quick_store, Role.LEAD)
    made = proposal(quick_store, tmp_path)
    with pytest.raises(InvalidRecordError, match="reason"):
        promote(quick_store, lead, made, reason=" ")
    with pytest.raises(ConflictError, match="already"):
        promote(quick_store, lead, first, without_gates=True)
    with pytest.raises(RecordNotFoundError), quick_store.database.begin() as session:
        promotion.promote(session, lead, "nothing", reason=WHY)


def test_a_declined_challenger_is_retired_with_the_reason(either_store, first, made):
    lead = person(either_store, Role.LEAD)
    with either_store.database.begin() as session:
        promotion.decline(session, lead, made.id, reason="too little gained")
        assert registry.current(session, Alias.CHALLENGER) is None
        assert registry.history(session, made.id)[-1].reason == "too little gained"
    assert standing(either_store)[made.id] == (Alias.RETIRED,)
    with pytest.raises(ConflictError), either_store.database.begin() as session:
        promotion.decline(session, lead, made.id, reason="again")


def test_a_shadow_begins_and_ends_and_goes_when_it_is_promoted(either_store, first, made):
    lead = person(either_store, Role.LEAD)
    with pytest.raises(ConflictError), either_store.database.begin() as session:
        promotion.start_shadow(session, lead, first.id)
    with either_store.database.begin() as session:
        promotion.start_shadow(session, lead, made.id)
    assert standing(either_store)[made.id] == (Alias.CHALLENGER, Alias.SHADOW)
    with either_store.database.begin() as session:
        assert promotion.stop_shadow(session, lead) == made
        promotion.start_shadow(session, system("registry shadow"), made.id)
    promote(either_store, lead, made)
    assert standing(either_store)[made.id] == (Alias.CHAMPION,)


def unprotected(store, *statements):
    """Changes what the database refuses to change, as somebody would who may drop its triggers."""
    with store.database.engine.begin() as connection:
        if store.database.embedded:
            found = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in found:
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            for table in ("models", "model_aliases", "audit_entries"):
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            connection.execute(statement)


def passed_in_full(row_gates):
    return json.dumps([{**one, "passed": True} for one in json.loads(row_gates)], sort_keys=True, separators=(",", ":"))


def test_an_edited_gate_result_is_found_and_not_promoted(either_store, first, tmp_path):
    made = proposal(either_store, tmp_path, gates=[gate("sensitivity"), gate("auc", passed=False)])
    with either_store.database.read() as session:
        edited = passed_in_full(session.get(ModelRow, made.id).gates)
    unprotected(either_store, sa.update(ModelRow).where(ModelRow.id == made.id).values(gates=edited))
    found = verify_registry(either_store)
    assert found.log.intact, "the log itself was left alone"
    assert [fault for fault in found.faults if "gate results" in fault and made.id in fault]
    with pytest.raises(BundleError, match="changed since it was registered"):
        promote(either_store, person(either_store, Role.LEAD), made)
    assert champion(either_store) == first


def test_editing_the_log_too_breaks_its_chain(either_store, first, tmp_path):
    """The gate result and the audit entry that knows its hash, both edited by who has the database but not the key."""
    made = proposal(either_store, tmp_path, gates=[gate("sensitivity"), gate("auc", passed=False)])
    with either_store.database.read() as session:
        row = session.get(ModelRow, made.id)
        edited = passed_in_full(row.gates)
        entry = session.scalar(
            sa.select(AuditRow).where(AuditRow.action == "model.registered", AuditRow.subject_id == made.id)
        )
        old, old_gates = row_digest(row), text_sha256(row.gates)
        session.expunge(row)
        row.gates = edited
        detail = entry.detail.replace(old, row_digest(row)).replace(old_gates, text_sha256(edited))
    unprotected(
        either_store,
        sa.update(ModelRow).where(ModelRow.id == made.id).values(gates=edited),
        sa.update(AuditRow).where(AuditRow.sequence == entry.sequence).values(detail=detail),
    )
    with either_store.database.read() as session:
        assert not verify_log(session, either_store.database.audit_key).intact, "`dermaloop audit verify` finds it"
    assert not verify_registry(either_store).sound
    with pytest.raises(BundleError, match="forged"):
        promote(either_store, person(either_store, Role.LEAD), made)
    assert champion(either_store) == first


def test_an_alias_that_was_moved_added_or_removed_is_found(either_store, first, made):
    promote(either_store, person(either_store, Role.LEAD), made)
    with either_store.database.read() as session:
        entries = registry.history(session)
    unprotected(
        either_store,
        sa.update(AliasRow).where(AliasRow.sequence == 1).values(model_id=made.id),
        sa.delete(AliasRow).where(AliasRow.sequence == len(entries)),
        sa.insert(AliasRow).values(
            sequence=77, alias=Alias.CHAMPION, model_id=first.id, act=Act.PROMOTED, at=entries[0].at, reason="",
            actor_kind="account", actor_id="x", actor_name="nobody",
        ),
    )  # fmt: skip
    faults = "\n".join(verify_registry(either_store).faults)
    assert "entry 1 of the aliases (champion, first): it was changed" in faults
    assert f"entry {len(entries)} of the aliases: the audit log knows it" in faults
    assert "entry 77 of the aliases (champion, promoted): the audit log does not know it" in faults


def test_a_model_that_vanished_from_the_registry_is_found(quick_store, tmp_path):
    first_champion(quick_store, tmp_path)
    made = proposal(quick_store, tmp_path)
    unprotected(
        quick_store,
        sa.delete(AliasRow).where(AliasRow.model_id == made.id),
        sa.delete(ModelRow).where(ModelRow.id == made.id),
    )
    assert any(made.id in fault for fault in verify_registry(quick_store).faults)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_one_bit_of_a_bundle_is_found_and_not_promoted(quick_store, tmp_path, place):
    first, lead = first_champion(quick_store, tmp_path), person(quick_store, Role.LEAD)
    made = proposal(quick_store, tmp_path)
    with quick_store.database.read() as session:
        path = registry.path_of(session, made)
    content = bytearray(path.read_bytes())
    content[{"first": 0, "middle": len(content) // 2, "last": -1}[place]] ^= 1
    path.write_bytes(content)
    assert any("SHA-256 differs" in fault and made.id in fault for fault in verify_registry(quick_store).faults)
    for decide in (promotion.promote, promotion.start_shadow):
        with pytest.raises(BundleError, match="changed since it was stored"), quick_store.database.begin() as session:
            decide(session, lead, made.id, reason=WHY)
    with pytest.raises(BundleError), quick_store.database.read() as session:
        registry.open_model(session, made)
    assert champion(quick_store) == first
    again = proposal(quick_store, tmp_path)
    assert again == made, "proposing it again from the whole file mends the damaged one"
    assert verify_registry(quick_store).sound


def test_a_lost_bundle_is_not_rolled_back_to(quick_store, tmp_path):
    first, lead = first_champion(quick_store, tmp_path), person(quick_store, Role.LEAD)
    made = proposal(quick_store, tmp_path)
    promote(quick_store, lead, made)
    with quick_store.database.begin() as session:
        registry.path_of(session, first).unlink()
    with pytest.raises(BundleError, match="missing"), quick_store.database.begin() as session:
        promotion.roll_back(session, lead, reason="a test")
    assert champion(quick_store) == made
    with quick_store.database.begin() as session:
        registry.add(session, lead, toy_bundle(tmp_path, packed=True))
        assert promotion.roll_back(session, lead, reason="restored") == first


def test_changed_evidence_is_found_and_keeps_a_model_from_being_promoted(quick_store, tmp_path):
    first_champion(quick_store, tmp_path)
    made = proposal(quick_store, tmp_path)
    path = quick_store.folder / "models" / f"{made.evidence_sha256}.evidence.zip"
    path.write_bytes(path.read_bytes() + b" ")
    assert any("the evidence" in fault for fault in verify_registry(quick_store).faults)
    with pytest.raises(BundleError, match="evidence"):
        promote(quick_store, person(quick_store, Role.LEAD), made)


def test_every_decision_is_in_the_audit_log_with_the_hashes(quick_store, tmp_path):
    first_champion(quick_store, tmp_path)
    made = proposal(quick_store, tmp_path, gates=PASSED)
    promote(quick_store, person(quick_store, Role.LEAD), made)
    with quick_store.database.read() as session:
        entries = audit_list.entries(session, audit_list.Filter(subject_id=made.id))[0]
    noted = {one.action: one.detail for one in entries}
    detail = noted["model.promoted"]
    assert (detail["file"], detail["bundle"], detail["plan"]) == (made.file_sha256, made.bundle_sha256, "a" * 64)
    assert detail["gates"] == noted["model.registered"]["gates"]
    assert detail["evidence"] == made.evidence_sha256
