"""Patients and lesions from Python: made, shown, changed, exported, deleted, given pictures, compared over time.

Owns the names and types of these methods.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from dermaloop.client.asking import Asking
from dermaloop.client.content import Picture, at, files, plain, read
from dermaloop.wire import documents
from dermaloop.wire import records as wire
from dermaloop.wire.base import PictureType
from dermaloop.wire.entries import DeletionEntry, LesionEntry, PatientEntry
from dermaloop.wire.follow_up import FollowUp


class Patients(Asking):
    """Patients and their lesions."""

    def patients(self, search: str = "") -> Iterator[wire.Patient]:
        """Patients, newest first, fetched a page at a time.

        Args:
            search: Part of the pseudonym.
        """
        for page in self._walk(documents.PatientPage, "/patients", search=search or None):
            yield from page.patients

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
        self._save(at("/patients", patient_id, "export"), out)

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

    def follow_up(self, lesion_id: str, *, first: str = "", second: str = "") -> FollowUp:
        """Two pictures of a lesion laid over each other, and its probability over time.

        Args:
            lesion_id: Of which lesion.
            first: Id of a picture; without one, of an earlier visit than the second's.
            second: Id of a picture; without one, the latest.
        """
        return self._get(FollowUp, at("/lesions", lesion_id, "follow-up"), first=first or None, second=second or None)
