"""The registry of models over the wire.

Owns these shapes. What is sent to decide on a model is `wire.entries`'s: it needs a person's signature.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from dermaloop.wire.base import Answer

Alias = Literal["champion", "challenger", "shadow", "retired"]


class Gate(Answer):
    """One gate's result."""

    name: str = Field(examples=["sensitivity"])
    passed: bool | None = Field(description="Null where it could not be judged.")
    measured: float | None
    limit: float | None
    interval: tuple[float, float] | None
    n: int | None = Field(description="Cases behind it.")
    sentence: str = Field(description="The result in plain words.")


class ModelVersion(Answer):
    """One registered bundle with what led to it."""

    id: str
    identity: str = Field(description="As predictions name it.", examples=["reference@0123456789ab"])
    version: str
    made_at: datetime
    origin: str = Field(description="shipped, added, named or proposed.", examples=["proposed"])
    standing: list[Alias] = Field(description="What it is at this moment; empty where it was only registered.")
    parent_id: str | None = Field(description="What it was made from.")
    file_sha256: str
    size_bytes: int
    bundle_sha256: str
    manifest_sha256: str
    recipe_sha256: str
    code_sha256: str
    plan: dict[str, Any] | None = Field(description="As it was before the model existed; null where there is none.")
    plan_sha256: str | None
    verdict: str = Field(description="passed, failed, unjudged or none.", examples=["passed"])
    gates: list[Gate]
    evidence_sha256: str | None
    actor_name: str = Field(description="Who registered it.")


class AliasEntry(Answer):
    """One entry of the history: from `at` on, `alias` points to `model_id`."""

    sequence: int
    alias: Alias
    model_id: str | None = Field(description="Null: it points to nothing from here on.")
    act: str = Field(description="By what it came there.", examples=["promoted"])
    at: datetime
    reason: str
    actor_name: str


class Models(Answer):
    """Every registered model, the latest first, and what happened, the latest first."""

    champion_id: str | None
    challenger_id: str | None
    shadow_id: str | None
    models: list[ModelVersion]
    history: list[AliasEntry]


class Share(Answer):
    """`count` of `n`, with Wilson's 95 % interval."""

    count: int
    n: int
    value: float | None
    interval: tuple[float, float] | None


class Outcome(Answer):
    """Confirmed cases of one side, assessed by both."""

    shown: Share
    silent: Share
    only_shown_right: int
    only_silent_right: int
    p_value: float | None = Field(description="Two-sided exact McNemar test; null where the two never differ.")


class LiveComparison(Answer):
    """A model's silent answers beside the answers that people were shown, by case."""

    model_id: str
    pictures: int
    cases: int
    agreement: Share
    to_refer: int = Field(description="Cases that only this model would refer.")
    to_none: int = Field(description="Cases that only the shown answer referred.")
    declined_shown: Share
    declined_silent: Share
    malignant: Outcome = Field(description="Confirmed malignant cases: right is to refer.")
    benign: Outcome = Field(description="Confirmed benign cases: right is not to refer.")
    changed_case_ids: list[str] = Field(description="Cases whose decision changes; at most 100.")
    missed: dict[str, int] = Field(description="Pictures that the shadow was not asked about, by reason.")


class ModelFigure(Answer):
    """One measured value with its 95 % interval and the pictures behind it."""

    value: float
    low: float | None
    high: float | None
    n: int | None


class FigureLine(Answer):
    """One figure of both models; null where one lacks it."""

    title: str = Field(examples=["Sensitivity"])
    higher_is_better: bool
    champion: ModelFigure | None
    candidate: ModelFigure | None
    word: str = Field(description="better, worse or same, by the values alone; empty with nothing to compare.")


class ModelFile(Answer):
    """A model beside the champion: what a decision rests on. Its silent answers: `…/comparison`."""

    model: ModelVersion
    compared_with: str | None = Field(description="Id of the champion; null where there is none, or it is this one.")
    figures: list[FigureLine]
    measured: str = Field(description="On which split and source.")
    same_pictures: bool = Field(description="Whether both were measured on the same pictures.")
    note: str = Field(description="What must be said of the figures; empty where nothing.")
    history: list[AliasEntry] = Field(description="Of this model, the latest first.")
    children: list[str] = Field(description="Ids of the models that were made from it.")
    may_be_promoted: bool = Field(description="Whether its gates allow it.")


class ModelCard(Answer):
    """The served model's card."""

    identity: str
    markdown: str


class ModelEvaluation(Answer):
    """The served model's own evaluation, as `dermaloop evaluate` wrote it."""

    identity: str
    evaluation: dict[str, Any]
