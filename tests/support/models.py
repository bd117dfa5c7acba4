"""Models for the registry's tests: two versions of the toy bundle, and proposals of the second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dermaloop.cases import registry
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.model_records import ModelVersion
from dermaloop.cases.store import Store
from dermaloop.core import bundle as bundles
from support.toy import toy_bundle, toy_spec

PLAN = {"name": "test plan", "required_gates": ["sensitivity", "auc"], "promotion": "person"}
PLAN_SHA256 = "a" * 64


def gate(name: str = "sensitivity", *, passed: bool | None = True, **more: Any) -> dict[str, Any]:
    """One gate's result."""
    said = {True: "is not lower than the champion's", False: "is lower", None: "cannot be judged: too few cases"}
    return {
        "name": name,
        "passed": passed,
        "measured": -0.004 if passed is not None else None,
        "limit": -0.02,
        "interval": [-0.013, 0.006] if passed is not None else None,
        "n": 812,
        "sentence": f"The {name} {said[passed]}.",
        **more,
    }


PASSED = [gate("sensitivity"), gate("auc")]


def second_version(folder: Path, *, packed: bool = True, **overrides: Any) -> Path:
    """The toy bundle as a second version that decides otherwise: it refers nobody and is called differently."""
    folder.mkdir(parents=True, exist_ok=True)
    first = toy_spec()
    points = tuple(point.model_copy(update={"threshold": 1.0}) for point in first.operating_points)
    calibration = bundles.Calibration(temperature=3.0, bias=first.calibration.bias, fitted_on="drawn lesions")
    fields = {"name": "toy-next", "version": "2", "operating_points": points, "calibration": calibration}
    return toy_bundle(folder, packed=packed, **{**fields, **overrides})


def evidence(folder: Path, **files: str) -> Path:
    """A folder of evidence."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gates.json").write_text(json.dumps({"about": "the test"}))
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def first_champion(store: Store, folder: Path, **overrides: Any) -> ModelVersion:
    """Registers the toy bundle as the first champion."""
    path = toy_bundle(folder, packed=True, **overrides)
    with store.database.begin() as session:
        return registry.add(session, system("test"), path, first=True)


def proposal(
    store: Store,
    folder: Path,
    *,
    actor: Actor | None = None,
    gates: list[dict[str, Any]] | None = None,
    plan: dict[str, Any] | None = None,
    bundle: Path | None = None,
) -> ModelVersion:
    """Proposes the second version as the champion's challenger."""
    path = bundle or second_version(folder / "second")
    with store.database.begin() as session:
        parent = registry.current(session, registry.Alias.CHAMPION)
        return registry.propose(
            session,
            actor or system("refine"),
            path,
            parent=parent,
            plan=PLAN if plan is None else plan,
            plan_sha256=PLAN_SHA256,
            gates=PASSED if gates is None else gates,
            evidence_folder=evidence(folder / "evidence"),
        )
