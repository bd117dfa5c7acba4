"""The registry's records as they leave this layer: plain, frozen, free of the database.

Owns their fields, what gate results say together, and the digest by which the audit log knows a row. Refuses to know
how rows are found and what may be done with them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dermaloop.cases.audit import canonical
from dermaloop.cases.database import Base
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.model_tables import Act, Alias, AliasRow, ModelRow, Origin

REQUIRED_GATES = "required_gates"
"""Name in a plan: a list of the gates without which nothing may be promoted."""
PROMOTION = "promotion"
"""Name in a plan: `person` (or nothing), or `automatic`."""
_LONGEST_SENTENCE = 2000
_MOST_GATES = 200
_MOST_JSON = 1_000_000


class Verdict(StrEnum):
    """What gate results say together."""

    PASSED = "passed"
    FAILED = "failed"
    UNJUDGED = "unjudged"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's result.

    Attributes:
        name: Stable name.
        passed: None where it could not be judged, e.g. for want of cases.
        measured: What was measured.
        limit: What the plan demands.
        interval: Of the measured value.
        n: Cases behind it.
        sentence: The result in plain words.
    """

    name: str
    passed: bool | None
    measured: float | None
    limit: float | None
    interval: tuple[float, float] | None
    n: int | None
    sentence: str


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered bundle with what led to it. `path` is where its verified file lies."""

    id: str
    made_at: datetime
    origin: Origin
    identity: str
    name: str
    version: str
    created: str
    file_sha256: str
    size_bytes: int
    bundle_sha256: str
    model_sha256: str
    manifest_sha256: str
    recipe_sha256: str
    code_sha256: str
    parent_id: str | None
    plan: Mapping[str, Any] | None
    plan_sha256: str | None
    gates: tuple[GateResult, ...]
    evidence_sha256: str | None
    actor_kind: str
    actor_id: str
    actor_name: str

    @property
    def required(self) -> frozenset[str]:
        """The gates that decide: those that the plan names, else all that there are."""
        named = (self.plan or {}).get(REQUIRED_GATES)
        return frozenset(named or (gate.name for gate in self.gates))

    @property
    def verdict(self) -> Verdict:
        """Whether the gates that decide were passed: all judged, none failed, none missing."""
        deciding = [gate for gate in self.gates if gate.name in self.required]
        if any(gate.passed is False for gate in deciding):
            return Verdict.FAILED
        missing = self.required - {gate.name for gate in deciding}
        if missing or any(gate.passed is None for gate in deciding):
            return Verdict.UNJUDGED
        if not self.gates:
            return Verdict.NONE if self.plan is None else Verdict.UNJUDGED
        return Verdict.PASSED

    @property
    def promotes_itself(self) -> bool:
        """Whether its plan allows promotion without a person."""
        return (self.plan or {}).get(PROMOTION) == "automatic"


@dataclass(frozen=True, slots=True)
class AliasEntry:
    """One entry of the history: from `at` on, `alias` points to `model_id` (None: to nothing)."""

    sequence: int
    alias: Alias
    model_id: str | None
    act: Act
    at: datetime
    reason: str
    actor_kind: str
    actor_id: str
    actor_name: str


def model_version(row: ModelRow) -> ModelVersion:
    """A row as its record. A row that somebody broke gives what can be read of it: `registry.require_true` judges."""
    return ModelVersion(
        **{name: getattr(row, name) for name in ModelVersion.__dataclass_fields__ if name not in {"plan", "gates"}},
        plan=None if row.plan is None else json.loads(row.plan),
        gates=tuple(_gate(one) for one in json.loads(row.gates)),
    )


def alias_entry(row: AliasRow) -> AliasEntry:
    """A row as its record."""
    return AliasEntry(**{name: getattr(row, name) for name in AliasEntry.__dataclass_fields__})


def _gate(one: Mapping[str, Any]) -> GateResult:
    interval = one.get("interval")
    return GateResult(
        name=str(one["name"]),
        passed=one["passed"],
        measured=one.get("measured"),
        limit=one.get("limit"),
        interval=None if interval is None else (interval[0], interval[1]),
        n=one.get("n"),
        sentence=str(one.get("sentence") or ""),
    )


def gates_text(gates: Sequence[Mapping[str, Any]]) -> str:
    """Gate results as canonical JSON, checked; further entries of each are kept as they are.

    Raises:
        InvalidRecordError: One lacks its name or result, or holds what JSON does not.
    """
    if len(gates) > _MOST_GATES:
        raise _invalid("gates", f"there are {len(gates)} gate results", f"At most {_MOST_GATES} are kept.")
    names = set()
    for one in gates:
        name = one.get("name")
        if not isinstance(name, str) or not name or name in names:
            raise _invalid("gates", f"{name!r} names no gate of its own", "Give each gate one name.")
        names.add(name)
        if "passed" not in one or not (one["passed"] is None or isinstance(one["passed"], bool)):
            raise _invalid(name, "it does not say whether the gate was passed", "Use true, false or null.")
        if not isinstance(one.get("sentence"), str) or len(one["sentence"]) > _LONGEST_SENTENCE:
            raise _invalid(name, "the result is not said in a sentence", "Say what was found in plain words.")
        for field in ("measured", "limit"):
            if not _is_number(one.get(field)):
                raise _invalid(name, f"{field} is no number", "Use a finite number or null.")
        if not (one.get("n") is None or (isinstance(one["n"], int) and not isinstance(one["n"], bool))):
            raise _invalid(name, "n is no whole number", "Use the number of cases, or null.")
        interval = one.get("interval")
        pair = isinstance(interval, list | tuple) and len(interval) == 2  # noqa: PLR2004 - low and high
        if interval is not None and not (pair and all(_is_number(end) and end is not None for end in interval)):
            raise _invalid(name, "the interval is no pair of numbers", "Use [low, high], or null.")
    return _json_text(list(gates), "gates")


def plan_text(plan: Mapping[str, Any]) -> str:
    """A plan as canonical JSON.

    Raises:
        InvalidRecordError: It holds what JSON does not, or `required_gates` is no list of names.
    """
    required = plan.get(REQUIRED_GATES, [])
    if not isinstance(required, list | tuple) or not all(isinstance(name, str) for name in required):
        raise _invalid(REQUIRED_GATES, "it is no list of names of gates", "List the gates that must be passed.")
    return _json_text(dict(plan), "plan")


def _json_text(value: Any, field: str) -> str:
    try:
        text = canonical(value)
    except (TypeError, ValueError) as error:
        raise _invalid(field, f"it holds what JSON does not ({error})", "Use plain JSON values.") from error
    if len(text) > _MOST_JSON:
        raise _invalid(field, "it is larger than 1 MB", "Put what is large into the folder of evidence.")
    return text


def _is_number(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _invalid(where: str, what: str, way_out: str) -> InvalidRecordError:
    return InvalidRecordError(what, where=where, way_out=way_out)


def row_digest(row: Base) -> str:
    """The hash over all columns of a row: what the audit log notes of it."""
    content = {}
    for column in row.__table__.columns:
        value = getattr(row, column.key)
        content[column.key] = value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value
    return text_sha256(canonical(content))


def text_sha256(text: str) -> str:
    """The SHA-256 of a text; hex."""
    return hashlib.sha256(text.encode()).hexdigest()
