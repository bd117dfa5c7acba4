"""Cases from Python: the worklist, a case with its pictures and answers, judgement, sign-off, and a phone's link.

Owns the names and types of these methods.
"""

from __future__ import annotations

from collections.abc import Iterator

from dermaloop.client.asking import Asking
from dermaloop.client.content import at, plain, read
from dermaloop.wire import documents
from dermaloop.wire import records as wire
from dermaloop.wire.base import CaseState, Order, PictureType
from dermaloop.wire.entries import ConfirmationEntry, ImpressionEntry, PhoneLinkEntry, ReasonEntry
from dermaloop.wire.phone import EndedLinks, NewPhoneLink, PhoneLinkState


class Cases(Asking):
    """Cases and what belongs to them."""

    def cases(
        self,
        *,
        state: CaseState | None = None,
        declined: bool | None = None,
        suggested: bool = False,
        search: str = "",
        patient_id: str = "",
        order: Order = "newest",
    ) -> Iterator[documents.CaseRow]:
        """The worklist, fetched a page at a time; with `suggested`, what would teach the model most."""
        wanted = {"state": state, "declined": declined, "search": search or None, "patient_id": patient_id or None}
        for page in self._walk(documents.CasePage, "/cases", order=order, suggested=suggested or None, **wanted):
            yield from page.cases

    def case_counts(self) -> documents.CaseCounts:
        """How many cases stand where."""
        return read(documents.CaseCounts, self._transport.get("/case-counts"))

    def case(self, case_id: str) -> documents.CaseFile:
        """A case with all its entries. Answers that come with it count as seen by the token's account."""
        return read(documents.CaseFile, self._transport.get(at("/cases", case_id)))

    def add_impression(self, case_id: str, entry: ImpressionEntry, *, key: str | None = None) -> wire.Impression:
        """Takes down what a clinician thinks and does."""
        return self._make(wire.Impression, at("/cases", case_id, "impressions"), entry, key)

    def sign_off(self, case_id: str, *, key: str | None = None) -> wire.SignOff:
        """Signs a case off on its latest impression."""
        return self._make(wire.SignOff, at("/cases", case_id, "signoff"), None, key)

    def reopen(self, case_id: str, *, reason: str, key: str | None = None) -> wire.SignOff:
        """Opens a signed case again."""
        return self._make(wire.SignOff, at("/cases", case_id, "reopening"), ReasonEntry(reason=reason), key)

    def confirm(self, case_id: str, entry: ConfirmationEntry, *, key: str | None = None) -> wire.ConfirmedDiagnosis:
        """Takes down what the lesion was."""
        return self._make(wire.ConfirmedDiagnosis, at("/cases", case_id, "confirmations"), entry, key)

    def retract(self, confirmation_id: str, *, reason: str, key: str | None = None) -> wire.ConfirmedDiagnosis:
        """Takes a confirmation back."""
        path = at("/confirmations", confirmation_id, "retraction")
        return self._make(wire.ConfirmedDiagnosis, path, ReasonEntry(reason=reason), key)

    def report(self, case_id: str, image_id: str = "") -> documents.ReportAnswer:
        """What the one-page report on a picture says; without one named, on the case's most suspicious."""
        return read(
            documents.ReportAnswer, self._transport.get(at("/cases", case_id, "report"), image_id=image_id or None)
        )

    def image(self, image_id: str) -> wire.Image:
        """A picture's record."""
        return read(wire.Image, self._transport.get(at("/images", image_id)))

    def image_file(self, image_id: str) -> bytes:
        """A picture as it is stored."""
        return self._transport.get(at("/images", image_id, "file")).content

    def prediction(self, prediction_id: str) -> wire.StoredPrediction:
        """What a model said of a stored picture."""
        return read(wire.StoredPrediction, self._transport.get(at("/predictions", prediction_id)))

    def heatmap(self, prediction_id: str) -> bytes:
        """Where the evidence of an answer lies, as a transparent PNG."""
        return self._transport.get(at("/predictions", prediction_id, "heatmap")).content

    def image_small(self, image_id: str) -> bytes:
        """A picture made small, as a JPEG."""
        return self._transport.get(at("/images", image_id, "small")).content

    def make_phone_link(self, case_id: str, *, image_type: PictureType = "clinical: close-up") -> NewPhoneLink:
        """Lets a phone add pictures to a case for ten minutes; the case's earlier links end.

        The address in the answer is the key, and is told this once. A request that is sent again makes another link.
        """
        entry = PhoneLinkEntry(image_type=image_type)
        path = at("/cases", case_id, "phone-links")
        return read(NewPhoneLink, self._transport.send("POST", path, json=plain(entry)))

    def phone_link(self, case_id: str, link_id: str) -> PhoneLinkState:
        """How a link stands, and what came in by it."""
        return self._get(PhoneLinkState, at("/cases", case_id, at("phone-links", link_id)))

    def end_phone_links(self, case_id: str) -> int:
        """Ends the links of a case; gives how many worked until now."""
        return read(EndedLinks, self._transport.send("POST", at("/cases", case_id, "phone-links/end"))).ended
