"""What a program can ask a dermaloop server for, one method each.

Owns the names and types of the methods. Refuses to know how requests travel (`client.transport`). Every method raises
`ProblemError` where the server refuses and `ClientError` where no answer comes. A method that makes something takes a
`key` of the caller's choice, so that a program which was restarted can ask again without making it twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Self, TypeVar

from dermaloop.client.content import Picture, at, files, plain, read
from dermaloop.client.transport import Transport
from dermaloop.core.errors import OutputError
from dermaloop.core.files import replacing
from dermaloop.wire import documents
from dermaloop.wire import records as wire
from dermaloop.wire.assessment import ClassifyAnswer, HeatmapFormat, ModelAnswer, ResultModel
from dermaloop.wire.base import Answer, CaseState, Entry, Order, PictureType
from dermaloop.wire.entries import (
    ConfirmationEntry,
    DeletionEntry,
    ImpressionEntry,
    LesionEntry,
    PatientEntry,
    PracticeSettings,
    ReasonEntry,
)
from dermaloop.wire.screenings import ItemOrder, Screening, ScreeningEntry, ScreeningPage, ScreeningPicture, Show

Shape = TypeVar("Shape", bound=Answer)


class Client:
    """A dermaloop server, as a program uses it.

    Args:
        address: Of the server, e.g. `https://clinic.example.org` or `http://127.0.0.1:8000`.
        token: Made on the page 'My account', with the scopes that the program needs.
        timeout_s: Longest time without a sign of life from the server, in seconds.
        attempts: How often one request is sent at most, over lost connections and a server that is busy.
        authority: Certificates (PEM) to trust in place of the usual ones, e.g. of the hospital's own authority.
        plain_http: Whether the token may go over plain HTTP to another computer.

    Raises:
        ClientError: The address cannot be used.
    """

    def __init__(
        self,
        address: str,
        token: str,
        *,
        timeout_s: float = 60.0,
        attempts: int = 5,
        authority: Path | None = None,
        plain_http: bool = False,
    ) -> None:
        self._transport = Transport(
            address, token, timeout_s=timeout_s, attempts=attempts, authority=authority, plain_http=plain_http
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections."""
        self._transport.close()

    def token(self) -> documents.TokenAnswer:
        """What the token may be used for, and when it ends."""
        return read(documents.TokenAnswer, self._transport.get("/token"))

    def model(self) -> ModelAnswer:
        """The model that the server runs."""
        return read(ModelAnswer, self._transport.get("/model"))

    def classify(
        self, pictures: Iterable[Picture], *, heatmap: HeatmapFormat = HeatmapFormat.NONE
    ) -> list[ResultModel]:
        """What the model says of pictures, one result per picture; nothing is stored."""
        sent = self._transport.send("POST", "/classify", params={"heatmap": heatmap.value}, files=files(pictures))
        return read(ClassifyAnswer, sent).results

    def patients(self, search: str = "") -> Iterator[wire.Patient]:
        """Patients, newest first, fetched a page at a time.

        Args:
            search: Part of the pseudonym.
        """
        cursor: str | None = None
        while True:
            page = read(documents.PatientPage, self._transport.get("/patients", search=search or None, cursor=cursor))
            yield from page.patients
            cursor = page.next
            if cursor is None:
                return

    def patient(self, patient_id: str) -> documents.PatientFile:
        """A patient with lesions and visits."""
        return read(documents.PatientFile, self._transport.get(at("/patients", patient_id)))

    def make_patient(self, entry: PatientEntry, *, key: str | None = None) -> wire.Patient:
        """Makes a patient."""
        return self._make(wire.Patient, "/patients", entry, key)

    def change_patient(self, patient_id: str, entry: PatientEntry) -> wire.Patient:
        """Puts these facts in place of what they were."""
        return self._put(wire.Patient, at("/patients", patient_id), entry)

    def delete_patient(self, patient_id: str, *, pseudonym: str, reason: str) -> documents.DeletionAnswer:
        """Deletes a patient at their request. Cannot be undone; not sent again where the answer was lost."""
        entry = DeletionEntry(pseudonym=pseudonym, reason=reason)
        path = at("/patients", patient_id, "deletion")
        return read(documents.DeletionAnswer, self._transport.send("POST", path, again=False, json=plain(entry)))

    def export_patient(self, patient_id: str, out: Path) -> None:
        """Writes a patient's whole record to a zip, whole or not at all.

        Raises:
            OutputError: The file cannot be written.
        """
        try:
            with (
                self._transport.stream(at("/patients", patient_id, "export")) as response,
                replacing(out) as temporary,
            ):
                temporary.touch(mode=0o600)
                with temporary.open("wb") as file:
                    for piece in response.iter_bytes():
                        file.write(piece)
        except OSError as error:
            raise OutputError(
                f"the file cannot be written ({error.strerror})", where=str(out), way_out="Choose another place."
            ) from error

    def make_lesion(self, patient_id: str, entry: LesionEntry, *, key: str | None = None) -> wire.Lesion:
        """Makes a lesion of a patient."""
        return self._make(wire.Lesion, at("/patients", patient_id, "lesions"), entry, key)

    def lesion(self, lesion_id: str) -> documents.LesionFile:
        """A lesion's pictures over time."""
        return read(documents.LesionFile, self._transport.get(at("/lesions", lesion_id)))

    def change_lesion(self, lesion_id: str, entry: LesionEntry) -> wire.Lesion:
        """Puts this place, label and note in place of what they were."""
        return self._put(wire.Lesion, at("/lesions", lesion_id), entry)

    def upload(
        self,
        lesion_id: str,
        pictures: Sequence[Picture],
        *,
        visited_on: date,
        image_type: PictureType = "dermoscopic",
        pixel_size_mm: float | None = None,
        key: str | None = None,
    ) -> documents.UploadAnswer:
        """Takes in a visit's pictures of a lesion.

        Args:
            lesion_id: Of which lesion.
            pictures: Held in memory, so that they can be sent again.
            visited_on: The day of the visit.
            image_type: How they were taken, all of them.
            pixel_size_mm: Side of a pixel on the skin, where known.
            key: See the module.
        """
        data = {"visited_on": visited_on.isoformat(), "image_type": image_type}
        if pixel_size_mm is not None:
            data["pixel_size_mm"] = repr(pixel_size_mm)
        path = at("/lesions", lesion_id, "visits")
        return read(documents.UploadAnswer, self._transport.post(path, key=key, data=data, files=files(pictures)))

    def cases(
        self,
        *,
        state: CaseState | None = None,
        declined: bool | None = None,
        search: str = "",
        patient_id: str = "",
        order: Order = "newest",
    ) -> Iterator[documents.CaseRow]:
        """The worklist, fetched a page at a time."""
        wanted = {"state": state, "declined": declined, "search": search or None, "patient_id": patient_id or None}
        cursor: str | None = None
        while True:
            page = read(documents.CasePage, self._transport.get("/cases", order=order, cursor=cursor, **wanted))
            yield from page.cases
            cursor = page.next
            if cursor is None:
                return

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

    def make_screening(self, name: str, *, key: str | None = None) -> Screening:
        """Begins a screening list: pictures without patients, assessed in the background."""
        return self._make(Screening, "/screenings", ScreeningEntry(name=name), key)

    def add_to_screening(self, screening_id: str, pictures: Iterable[Picture]) -> Screening:
        """Adds pictures to a list; one that is there already is not added twice."""
        path = at("/screenings", screening_id, "pictures")
        return read(Screening, self._transport.send("POST", path, files=files(pictures)))

    def screening(self, screening_id: str) -> Screening:
        """How far a list is."""
        return read(Screening, self._transport.get(at("/screenings", screening_id)))

    def screening_pictures(
        self, screening_id: str, *, show: Show = "all", order: ItemOrder = "arrival"
    ) -> Iterator[ScreeningPicture]:
        """A list's pictures with their answers, fetched a page at a time."""
        path, cursor = at("/screenings", screening_id, "pictures"), None
        while True:
            page = read(ScreeningPage, self._transport.get(path, show=show, order=order, cursor=cursor))
            yield from page.pictures
            cursor = page.next
            if cursor is None:
                return

    def practice(self) -> documents.Practice:
        """The practice's settings."""
        return read(documents.Practice, self._transport.get("/practice"))

    def change_practice(self, entry: PracticeSettings) -> documents.Practice:
        """Puts these settings in place of what they were."""
        return self._put(documents.Practice, "/practice", entry)

    def _make(self, kind: type[Shape], path: str, entry: Entry | None, key: str | None) -> Shape:
        content = {} if entry is None else {"json": plain(entry)}
        return read(kind, self._transport.post(path, key=key, **content))

    def _put(self, kind: type[Shape], path: str, entry: Entry) -> Shape:
        return read(kind, self._transport.send("PUT", path, json=plain(entry)))
