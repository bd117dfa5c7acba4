"""One turn of refining: gather, check, train, calibrate, evaluate, judge, propose.

Owns the order of the steps, and that one turn at a time works in a folder. Refuses to own any step (`refine.steps`) and
the folder's files (`refine.turn_folder`). Each step leaves what the next one needs, written whole or not at all. After
a crash or a kill the same command goes on at the step that was not finished; with other inputs, or where a consent or
a finding that the turn rests on was taken back meanwhile, it is closed as abandoned, and a new one begins.

    work/turns/0001/turn.json       what the turn was begun with; first
                    plan.toml       the plan, as it was
                    gathered/       confirmed cases, judged, with pictures        (1 gather)
                    checked/        what may train after the checks               (2 check)
                    run/            the training, which resumes by itself         (3 train)
                    challenger.dermaloop                                          (4 calibrate)
                    evidence/       measures, gates, report: no patient's picture (5 evaluate, 6 judge)
                    outcome.json    what became of it; last                       (7 propose)
    work/weights/   weights of challengers, for the turn in which one of them is the champion
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from dermaloop.cases.actor import Actor
from dermaloop.cases.store import Store
from dermaloop.core.errors import OutputError
from dermaloop.refine import novelty, steps, turn_folder
from dermaloop.refine.turn_records import Inputs, Outcome, RefineError, Turn

__all__ = ["Inputs", "Outcome", "RefineError", "Turn", "take_turn"]


def take_turn(store: Store, actor: Actor, work: Path, inputs: Inputs) -> Outcome:
    """Takes one turn, or goes on with one that was interrupted.

    Args:
        store: Records, pictures and registry.
        actor: Who.
        work: Folder of the turns.
        inputs: What it is begun with.

    Raises:
        RecordNotFoundError: There is no champion.
        RefineError: Another turn is under way, the frozen set is not the plan's, or the evidence of the turn that goes
            on was changed since it was judged.
        PlanError: What the plan does not go on without is not at hand.
        ManifestError: The frozen set is trained on, or there is too little to train or calibrate on.
        OutputError: The folder cannot be written.
    """
    work = Path(work).absolute()
    with _alone(work):
        _require_frozen(inputs)
        turn = turn_folder.begin(store, actor, work, inputs)
        gathered = steps.gather(store, actor, turn, inputs)
        checked = steps.check(store, actor, turn, inputs, gathered)
        stop = novelty.reason_to_stop(turn, inputs, checked)
        if stop is not None:
            content = {"word": stop[0], "said": stop[1], "gates": [], "model": ""}
        else:
            trained = steps.train(turn, inputs, checked)
            challenger = steps.calibrate(turn, inputs, trained)
            gates = steps.evaluate(store, actor, turn, inputs, checked, challenger)
            content = steps.propose(store, actor, turn, inputs, challenger, gates)
        return turn_folder.end(store, actor, turn, inputs, {**content, "checked_sha256": checked.identity()})


@contextlib.contextmanager
def _alone(work: Path) -> Iterator[None]:
    """One turn at a time in a folder; the lock goes with its process, however that ends."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / "turn.lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise RefineError("another turn is under way", where=str(work), way_out="Wait for its end.") from error
    except OSError as error:
        raise OutputError(
            f"the folder cannot be written ({error.strerror})", where=str(work), way_out="Choose another with --work."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _require_frozen(inputs: Inputs) -> None:
    frozen = inputs.plan.plan.frozen
    wanted = frozen.manifest_sha256
    if wanted and inputs.frozen.identity() != wanted:
        raise RefineError(
            "this is not the frozen set that the plan names",
            where="frozen.manifest_sha256",
            way_out="Name the right manifest, or agree on a new plan.",
        )
    if not len(inputs.frozen.where(split=frozen.split)):
        raise RefineError(
            f"the frozen set has no picture in the split {frozen.split!r}",
            where="--frozen",
            way_out="Name another manifest, or set frozen.split.",
        )
