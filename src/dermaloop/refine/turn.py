"""One turn of refining: gather, check, train, calibrate, evaluate, judge, propose.

Owns the order of the steps and the folder of a turn, in which each step leaves what the next one needs, written whole
or not at all. Refuses to own any step. After a crash or a kill the same command goes on at the step that was not
finished; with other inputs the unfinished turn is closed as abandoned, and a new one begins.

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
import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dermaloop.cases import audit, registry
from dermaloop.cases.actor import Actor
from dermaloop.cases.model_records import ModelVersion
from dermaloop.cases.store import Store
from dermaloop.core.bundle import Bundle
from dermaloop.core.errors import DermaloopError, OutputError
from dermaloop.core.manifest import Manifest, Split
from dermaloop.refine import steps
from dermaloop.refine.feedback_report import write_json
from dermaloop.refine.measure import Progress
from dermaloop.refine.plan import ReadPlan

TURN, OUTCOME, PLAN = "turn.json", "outcome.json", "plan.toml"


class RefineError(DermaloopError):
    """A turn cannot be taken."""

    code = "refine"


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a turn is begun with.

    Attributes:
        plan: As it was agreed.
        frozen: The frozen test set: its manifest's rows; those of the plan's split count.
        rehearsal: The original data, where at hand.
        weights: The champion's weights, where named.
        threads: Cores.
        progress: Told how far a step is.
        show_progress: Bars of training on a terminal.
        now: For a turn that begins; None for the present.
    """

    plan: ReadPlan
    frozen: Manifest
    rehearsal: Manifest | None = None
    weights: Path | None = None
    threads: int | None = None
    progress: Progress = field(default=lambda *_: None)
    show_progress: bool = False
    now: datetime | None = None


@dataclass(frozen=True, eq=False)
class Turn:
    """A turn under way.

    Attributes:
        folder: Its folder.
        work: The folder of all turns.
        number: 1, 2, …
        id: Its own.
        begun: ISO 8601, UTC.
        champion: The registered model that serves.
        bundle: Its bundle.
        champion_file: Where that lies.
    """

    folder: Path
    work: Path
    number: int
    id: str
    begun: str
    champion: ModelVersion
    bundle: Bundle
    champion_file: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a turn.

    Attributes:
        turn: Its number.
        word: `proposed`, `refused` (a required gate was not passed), `too few`, `nothing new` or `abandoned`.
        said: In words.
        gates: Gate results, in order; empty where it did not come to them.
        model: Id of the proposed model, else empty.
        folder: Of the turn.
    """

    turn: int
    word: str
    said: str
    gates: tuple[dict[str, Any], ...]
    model: str
    folder: Path


def take_turn(store: Store, actor: Actor, work: Path, inputs: Inputs) -> Outcome:
    """Takes one turn, or goes on with one that was interrupted.

    Args:
        store: Records, pictures and registry.
        actor: Who.
        work: Folder of the turns.
        inputs: What it is begun with.

    Raises:
        RecordNotFoundError: There is no champion.
        RefineError: Another turn is under way, or the frozen set is not the plan's.
        PlanError: What the plan does not go on without is not at hand.
        ManifestError: The frozen set is trained on, or there is too little to train or calibrate on.
        OutputError: The folder cannot be written.
    """
    work = Path(work).absolute()
    with _alone(work):
        _require_frozen(inputs)
        turn = _begin(store, work, inputs)
        gathered = steps.gather(store, actor, turn, inputs)
        checked = steps.check(store, actor, turn, inputs, gathered)
        stop = _stop(turn, inputs, checked)
        if stop is not None:
            return _end(store, actor, turn, {"word": stop[0], "said": stop[1], "gates": [], "model": "",
                                             "checked_sha256": checked.identity()})  # fmt: skip
        trained = steps.train(turn, inputs, checked)
        challenger = steps.calibrate(turn, inputs, trained)
        gates = steps.evaluate(store, actor, turn, inputs, checked, challenger)
        return _end(store, actor, turn, {**steps.propose(store, actor, turn, inputs, gates),
                                         "checked_sha256": checked.identity()})  # fmt: skip


@contextlib.contextmanager
def _alone(work: Path) -> Iterator[None]:
    """One turn at a time in a folder."""
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


def _begin(store: Store, work: Path, inputs: Inputs) -> Turn:
    """The turn to go on with, or a new one."""
    with store.database.begin() as session:
        champion = registry.champion(session)
        bundle = registry.open_model(session, champion)
        champion_file = registry.path_of(session, champion)
    given = {
        "champion": champion.model_sha256,
        "plan_sha256": inputs.plan.sha256,
        "frozen_sha256": inputs.frozen.identity(),
        "rehearsal_sha256": None if inputs.rehearsal is None else inputs.rehearsal.identity(),
    }
    folders = sorted(path for path in (work / "turns").glob("[0-9]*") if path.is_dir())
    last = folders[-1] if folders else None
    if last is not None and not (last / OUTCOME).is_file():
        begun = _read(last / TURN)
        if begun is not None and begun["given"] == given:
            _clean(last)
            return Turn(last, work, begun["number"], begun["id"], begun["begun"], champion, bundle, champion_file)
        write_json(last / OUTCOME, {"word": "abandoned", "said": "Its inputs changed before it was finished.",
                                    "gates": [], "model": ""})  # fmt: skip
    number = 1 + (int(last.name) if last is not None else 0)
    folder = work / "turns" / f"{number:04d}"
    now = (inputs.now or datetime.now(UTC)).isoformat(timespec="seconds")
    begun = {"number": number, "id": str(uuid.uuid4()), "begun": now, "given": given,
             "champion_identity": bundle.identity, "champion_id": champion.id}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PLAN).write_text(inputs.plan.text, encoding="utf-8")
    write_json(folder / TURN, begun)  # from here on the turn is
    return Turn(folder, work, number, begun["id"], now, champion, bundle, champion_file)


def _clean(folder: Path) -> None:
    """Removes what a killed step left half-written."""
    for path in folder.glob(".*.part"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content


def _stop(turn: Turn, inputs: Inputs, checked: Manifest) -> tuple[str, str] | None:
    """Why the turn ends before training; None where it goes on."""
    usable = checked.where(split=[Split.TRAIN, Split.VALIDATION, Split.CALIBRATION, Split.TEST])
    lesions, least = len(set(usable.column("lesion_id"))), inputs.plan.plan.feedback.least_lesions
    if lesions < least or not len(usable.where(split=Split.TRAIN)):
        return "too few", f"{lesions} new lesions may train, {least} are needed."
    for number in range(turn.number - 1, 0, -1):
        folder = turn.work / "turns" / f"{number:04d}"
        outcome, begun = _read(folder / OUTCOME), _read(folder / TURN)
        if outcome is None or begun is None or outcome["word"] not in ("proposed", "refused"):
            continue
        same = begun["given"] == (_read(turn.folder / TURN) or {}).get("given")
        if same and outcome.get("checked_sha256") == checked.identity():
            return "nothing new", f"Nothing changed since turn {number}, which was {outcome['word']}."
        break
    return None


def _end(store: Store, actor: Actor, turn: Turn, content: dict[str, Any]) -> Outcome:
    """Writes down what became of the turn: in the audit log, then in its folder."""
    outcome = turn.folder / OUTCOME
    passed = {gate["name"]: gate["passed"] for gate in content["gates"]}
    with store.database.begin() as session:
        about = {"turn": turn.id, "number": turn.number, "outcome": content["word"], "model": content["model"],
                 "gates": passed}  # fmt: skip
        audit.append(session, actor, "refine.finished", "turn", turn.id, about)
    write_json(outcome, content)
    return Outcome(
        turn.number, content["word"], content["said"], tuple(content["gates"]), content["model"], turn.folder
    )
