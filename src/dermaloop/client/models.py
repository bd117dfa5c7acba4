"""Models from Python: the one that answers, the registry, and a lead's decisions.

Owns the names and types of these methods. A decision needs the password of the account in whose name the token works,
as its person's signature: ask for it when it is needed, and keep it nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dermaloop.client.asking import Asking
from dermaloop.client.content import Picture, at, files, read
from dermaloop.wire import models as wire
from dermaloop.wire.assessment import ClassifyAnswer, HeatmapFormat, ModelAnswer, ResultModel
from dermaloop.wire.entries import DecisionEntry, PromotionEntry, ShadowEntry


class Models(Asking):
    """Models and decisions about them."""

    def model(self) -> ModelAnswer:
        """The model that the server runs."""
        return read(ModelAnswer, self._transport.get("/model"))

    def classify(
        self, pictures: Iterable[Picture], *, heatmap: HeatmapFormat = HeatmapFormat.NONE
    ) -> list[ResultModel]:
        """What the model says of pictures, one result per picture; nothing is stored."""
        sent = self._transport.send("POST", "/classify", params={"heatmap": heatmap.value}, files=files(pictures))
        return read(ClassifyAnswer, sent).results

    def model_card(self) -> wire.ModelCard:
        """The served model's card."""
        return self._get(wire.ModelCard, "/model/card")

    def model_evaluation(self) -> wire.ModelEvaluation:
        """The served model's own evaluation."""
        return self._get(wire.ModelEvaluation, "/model/evaluation")

    def models(self) -> wire.Models:
        """Every registered model, which one answers, and what happened."""
        return self._get(wire.Models, "/models")

    def registered_model(self, model_id: str) -> wire.ModelFile:
        """A model beside the champion."""
        return self._get(wire.ModelFile, at("/models", model_id))

    def compare_model(self, model_id: str) -> wire.LiveComparison:
        """A model's silent answers beside those that people were shown."""
        return self._get(wire.LiveComparison, at("/models", model_id, "comparison"))

    def save_evidence(self, model_id: str, out: Path) -> None:
        """Writes the whole evidence of a change to a zip, whole or not at all.

        Raises:
            OutputError: The file cannot be written.
        """
        self._save(at("/models", model_id, "evidence"), out)

    def promote(
        self, model_id: str, *, reason: str, password: str, without_gates: bool = False, key: str | None = None
    ) -> wire.ModelVersion:
        """Makes a model the champion: it answers from then on."""
        entry = PromotionEntry(reason=reason, password=password, without_gates=without_gates)
        return self._make(wire.ModelVersion, at("/models", model_id, "promote"), entry, key)

    def roll_back(self, *, reason: str, password: str, key: str | None = None) -> wire.ModelVersion:
        """Takes the latest promotion back; gives the model that answers now."""
        entry = DecisionEntry(reason=reason, password=password)
        return self._make(wire.ModelVersion, "/models/rollback", entry, key)

    def decline(self, model_id: str, *, reason: str, password: str, key: str | None = None) -> wire.ModelVersion:
        """Decides against a challenger."""
        entry = DecisionEntry(reason=reason, password=password)
        return self._make(wire.ModelVersion, at("/models", model_id, "decline"), entry, key)

    def start_shadow(
        self, model_id: str, *, password: str, reason: str = "", key: str | None = None
    ) -> wire.ModelVersion:
        """Lets a model answer silently beside the champion."""
        entry = ShadowEntry(reason=reason, password=password)
        return self._make(wire.ModelVersion, at("/models", model_id, "shadow"), entry, key)

    def stop_shadow(self, *, password: str, reason: str = "", key: str | None = None) -> wire.ModelVersion:
        """Ends the shadow; gives the model that was it."""
        entry = ShadowEntry(reason=reason, password=password)
        return self._make(wire.ModelVersion, "/models/shadow/stop", entry, key)
