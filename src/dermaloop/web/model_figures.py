"""Two models side by side: their figures with intervals, as their bundles state them.

Owns which figures stand in the table and when two figures may be compared. Refuses to compute any: they are read from
the evidence of the turn that made the candidate, where both stand as measured on the frozen set; else from each
bundle's own `evaluation.json`, and from its operating points. Two evaluations are one comparison only where they
measured the same manifest and split; else the table says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dermaloop.cases import model_files
from dermaloop.cases.model_records import ModelVersion
from dermaloop.core import bundle as bundles
from dermaloop.core.errors import BundleError
from dermaloop.web.translation import gettext as _
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for

_FIGURES: tuple[tuple[str, str, bool], ...] = (
    ("malignant_auc", N_("AUC, malignant versus benign"), True),
    ("melanoma_auc", N_("AUC, melanoma versus rest"), True),
    ("macro_auc", N_("Macro AUC, one versus rest"), True),
    ("balanced_accuracy", N_("Balanced accuracy"), True),
    ("malignant_brier", N_("Brier score, malignancy"), False),
    ("malignant_calibration_error", N_("Calibration error, malignancy"), False),
)
_AT_POINT = (("sensitivity", N_("Sensitivity"), True), ("specificity", N_("Specificity"), True))


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value with its 95 % interval and the pictures behind it."""

    value: float
    low: float | None
    high: float | None
    n: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: a figure of both models; None where one lacks it."""

    title: str
    higher_is_better: bool
    champion: Figure | None
    candidate: Figure | None

    @property
    def change(self) -> float | None:
        """Candidate less champion."""
        if self.champion is None or self.candidate is None:
            return None
        return self.candidate.value - self.champion.value

    @property
    def word(self) -> str:
        """`better`, `worse` or `same`, by the values alone; empty where there is nothing to compare."""
        if self.change is None:
            return ""
        if abs(self.change) < _SAME:
            return "same"
        return "better" if (self.change > 0) == self.higher_is_better else "worse"


_SAME = 0.0005
"""What three decimals do not show."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """The table.

    Attributes:
        lines: Its lines; the champion's side is empty where there is none.
        measured: Split and source, in words; empty for the operating points' own figures.
        same_pictures: Whether both were measured on the same pictures.
        note: What must be said of it; empty where nothing.
        curves: Sections of the evaluations that the lines are from, the champion's first, for `web.model_plots`; none
            where there is no evaluation, and no champion's where it was not measured on the same pictures.
    """

    lines: tuple[Line, ...]
    measured: str
    same_pictures: bool
    note: str
    curves: tuple[Mapping[str, Any] | None, Mapping[str, Any] | None] = (None, None)


def side_by_side(folder: Path, champion: ModelVersion | None, candidate: ModelVersion) -> SideBySide:
    """The figures of a model beside the champion's.

    Args:
        folder: The store's folder of models.
        champion: What serves; None where nothing does, or where the candidate itself does.
        candidate: The model that is looked at.
    """
    theirs = None if champion is None else _Stated.of(folder, champion)
    own = _Stated.of(folder, candidate)
    if champion is not None and theirs is not None and not (own.problem or theirs.problem):
        own, theirs = _of_turn(folder, champion, candidate, own, theirs)
    problem = own.problem or ("" if theirs is None else theirs.problem)
    if problem:
        return SideBySide((), "", same_pictures=False, note=problem)
    part, other, measured = _common(own, theirs)
    if part is None:
        lines = _point_lines(theirs.point if theirs else None, own.point)
        return SideBySide(
            tuple(lines), str(own.point.get("measured_on", "")), same_pictures=False, note=_(_NO_EVALUATION)
        )
    same = theirs is None or (other is not None and own.manifest == theirs.manifest)
    note = "" if same else _(_OTHER_PICTURES)
    return SideBySide(tuple(_lines(part, other, own, theirs)), measured, same, note, (other if same else None, part))


def _of_turn(
    folder: Path, champion: ModelVersion, candidate: ModelVersion, own: _Stated, theirs: _Stated
) -> tuple[_Stated, _Stated]:
    """Both as a turn of refining measured them on the frozen set, where this champion is the one it measured."""
    if candidate.evidence_sha256 is None or candidate.parent_id != champion.id:
        return own, theirs
    names = ("evaluation-challenger.json", "evaluation-champion.json")
    try:
        found = [model_files.read_evidence(folder, candidate.evidence_sha256, name) for name in names]
    except BundleError:
        return replace(own, problem=_(_UNREADABLE)), theirs
    if not all(_is_evaluation(one) for one in found) or found[1]["bundle"]["identity"] != champion.identity:
        return own, theirs
    return replace(own, evaluation=found[0]), replace(theirs, evaluation=found[1])


def _is_evaluation(found: Any) -> bool:
    return isinstance(found, Mapping) and found.get("kind") == "dermaloop evaluation" and found.get("schema") == 1


_SPLITS: dict[str, str] = {
    "frozen": N_("the frozen test set, by the turn that made this model"),
    "test": N_("test split"),
    "external": N_("external test set"),
    "validation": N_("validation split"),
    "calibration": N_("calibration split"),
}
"""What figures were measured on; the most telling first."""
_NO_EVALUATION = N_(
    "These bundles hold no evaluation. The figures are those of each operating point, measured where it was chosen, "
    "and are not a comparison on the same pictures."
)
_OTHER_PICTURES = N_("The two were not measured on the same pictures: the difference may be the pictures' alone.")
_UNREADABLE = N_("A bundle cannot be read. Ask whoever runs the server to run 'dermaloop registry verify'.")


@dataclass(frozen=True, slots=True)
class _Stated:
    """What a bundle states of itself."""

    evaluation: Mapping[str, Any]
    point: Mapping[str, Any]
    problem: str = ""

    @classmethod
    def of(cls, folder: Path, model: ModelVersion) -> _Stated:
        try:
            evaluation = model_files.read_json(folder, model.file_sha256, bundles.EVALUATION) or {}
            spec = model_files.read_spec(folder, model.file_sha256)
        except BundleError:
            return cls({}, {}, _(_UNREADABLE))
        points = {point["name"]: point for point in spec.get("operating_points", ())}
        point = points.get(spec.get("default_operating_point"), {})
        return cls(evaluation if _is_evaluation(evaluation) else {}, point)

    @property
    def manifest(self) -> Any:
        return self.evaluation.get("manifest", {}).get("sha256")

    def section(self, split: str | None = None, source: str | None = None) -> Mapping[str, Any] | None:
        """The section of a split and source; without a split, the one over all sources of the most telling split."""
        found = self.evaluation.get("sections", ())
        if split is None:
            ranks = {name: rank for rank, name in enumerate(_SPLITS)}
            whole = [part for part in found if part["source"] is None] or list(found)
            return min(whole, key=lambda part: ranks.get(part["split"], len(ranks)), default=None)
        return next((part for part in found if (part["split"], part["source"]) == (split, source)), None)


def _common(own: _Stated, theirs: _Stated | None) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None, str]:
    part = own.section()
    if part is None:
        return None, None, ""
    other = None if theirs is None else theirs.section(part["split"], part["source"])
    split = _(_SPLITS.get(part["split"], part["split"]))
    measured = split if part["source"] is None else f"{split}, {part['source']}"
    return part, other, measured


def _lines(
    part: Mapping[str, Any], other: Mapping[str, Any] | None, own: _Stated, theirs: _Stated | None
) -> list[Line]:
    lines = []
    for name, title, higher in _AT_POINT:
        before = None if theirs is None else _at_point(other, theirs, name)
        lines.append(Line(_(title), higher, before, _at_point(part, own, name)))
    for name, title, higher in _FIGURES:
        path = ("figures", "all", name)
        lines.append(Line(_(title), higher, _figure(other, *path), _figure(part, *path)))
    declined = ("abstention", "share_all")
    lines.append(Line(_("Declined"), False, _figure(other, *declined), _figure(part, *declined)))
    return [line for line in lines if line.champion is not None or line.candidate is not None]


def _at_point(part: Mapping[str, Any] | None, stated: _Stated, name: str) -> Figure | None:
    return _figure(part, "operating_points", str(stated.point.get("name")), "all", name)


def _figure(part: Mapping[str, Any] | None, *path: str) -> Figure | None:
    found: Any = part
    for step in path:
        found = found.get(step) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or not isinstance(found.get("value"), int | float):
        return None
    return Figure(float(found["value"]), found.get("low"), found.get("high"), found.get("n"))


def _point_lines(champion: Mapping[str, Any] | None, candidate: Mapping[str, Any]) -> list[Line]:
    return [
        Line(_(title), higher, _of_point(champion, name), _of_point(candidate, name))
        for name, title, higher in _AT_POINT
    ]


def _of_point(point: Mapping[str, Any] | None, name: str) -> Figure | None:
    if not point or name not in point:
        return None
    low, high = point.get(f"{name}_interval") or (None, None)
    return Figure(point[name], low, high, point.get("n_malignant" if name == "sensitivity" else "n_benign"))
