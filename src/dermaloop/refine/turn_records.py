"""What a turn of refining is begun with, what it is while under way, and what became of it.

Owns the records and the names of their files. Refuses to do anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dermaloop.cases.model_records import ModelVersion
from dermaloop.core.bundle import Bundle
from dermaloop.core.errors import DermaloopError
from dermaloop.core.manifest import Manifest
from dermaloop.refine.measure import Progress
from dermaloop.refine.plan import ReadPlan

TURN, OUTCOME, PLAN = "turn.json", "outcome.json", "plan.toml"
JUDGED_WORDS = frozenset({"promoted", "proposed", "refused"})
"""Outcomes of turns that came to a decision, and used the frozen set for it."""


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
        keep_pictures: Whether patients' pictures stay in the turn's folder when it has ended.
    """

    plan: ReadPlan
    frozen: Manifest
    rehearsal: Manifest | None = None
    weights: Path | None = None
    threads: int | None = None
    progress: Progress = field(default=lambda *_: None)
    show_progress: bool = False
    now: datetime | None = None
    keep_pictures: bool = True


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
        word: `proposed`, `promoted` (where the plan says `automatic`), `refused` (a required gate was not passed),
            `too few`, `nothing new` or `abandoned`.
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
