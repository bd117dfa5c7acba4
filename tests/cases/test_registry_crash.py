"""Killed at every step of a registration and of a promotion: no alias ever points to what is not whole and verified."""

import os
import signal
import subprocess
import sys

import pytest

from dermaloop.cases import promotion, registry
from dermaloop.cases.actor import Actor
from dermaloop.cases.model_tables import Alias
from dermaloop.cases.registry_verify import verify_registry
from dermaloop.cases.roles import Role
from dermaloop.cases.store import open_store
from support.models import first_champion, proposal
from support.people import add_account, new_store

STEPS = {
    "half a file": ("model_files", "_keep", 1),
    "the file, without its evidence": ("model_files", "put_evidence", 1),
    "file and evidence, without a row": ("registry", "_register", 1),
    "a row, without its alias": ("registry", "point", 1),
    "a promotion, without the former champion's retirement": ("promotion", "point", 3),
}
"""What there is when the process is killed: on the nth call of a function."""
TURN = """
import os, signal, sys
from pathlib import Path
from dermaloop.cases import model_files, promotion, registry
from dermaloop.cases.actor import Actor
from dermaloop.cases.store import open_store
from support.models import proposal
folder, work, lead, module, name, number = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:6], int(sys.argv[6])
held = {"model_files": model_files, "registry": registry, "promotion": promotion}[module]
function, calls = getattr(held, name), []

def kill(*given, **named):
    calls.append(name)
    if len(calls) == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return function(*given, **named)

setattr(held, name, kill)
store = open_store(folder)
made = proposal(store, work)
with store.database.begin() as session:
    promotion.promote(session, Actor("account", lead, "lead"), made.id, reason="a test")
print("it was never killed")
"""


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_the_next_run_goes_on(tmp_path, step):
    folder, work = tmp_path / "store", tmp_path / "work"
    with new_store(folder) as store:
        first = first_champion(store, work)
        lead = add_account(store, Role.LEAD)
    module, name, number = STEPS[step]
    run = subprocess.run(
        [sys.executable, "-c", TURN, str(folder), str(work), lead.id, module, name, str(number)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.returncode == -signal.SIGKILL, run.stdout + run.stderr
    store = open_store(folder)
    try:
        assert verify_registry(store).sound
        with store.database.read() as session:
            assert registry.champion(session) == first
            challenger = registry.current(session, Alias.CHALLENGER)
            assert (challenger is not None) == (module == "promotion")
        made = proposal(store, work)
        assert challenger is None or challenger == made, "the same proposal makes no second model"
        with store.database.begin() as session:
            promotion.promote(session, Actor("account", lead.id, "lead"), made.id, reason="the next run")
        with store.database.read() as session:
            assert registry.champion(session) == made
            assert registry.open_model(session, made).identity == made.identity
        assert verify_registry(store).sound
    finally:
        store.close()
