"""Screening lists from Python: pictures without patients, assessed in the background.

Owns the names and types of these methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Literal

from dermaloop.client.asking import Asking
from dermaloop.client.content import Picture, at, files, read
from dermaloop.wire import records as wire
from dermaloop.wire.documents import DeletionAnswer
from dermaloop.wire.entries import FilingEntry
from dermaloop.wire.screenings import (
    ArrivedFile,
    ArrivedFiles,
    ItemOrder,
    Screening,
    ScreeningEntry,
    ScreeningList,
    ScreeningPage,
    ScreeningPicture,
    ScreeningPictureFile,
    Show,
)


class Screenings(Asking):
    """Screening lists and their pictures."""

    def screenings(self) -> Iterator[Screening]:
        """The lists, newest first, fetched a page at a time."""
        for page in self._walk(ScreeningList, "/screenings"):
            yield from page.screenings

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
        for page in self._walk(ScreeningPage, at("/screenings", screening_id, "pictures"), show=show, order=order):
            yield from page.pictures

    def screening_files(self, screening_id: str) -> list[ArrivedFile]:
        """Names and sizes of the files that a list has: what need not be sent again."""
        return self._get(ArrivedFiles, at("/screenings", screening_id, "files")).files

    def save_screening_results(self, screening_id: str, out: Path) -> None:
        """Writes every answer of a list to a CSV table, whole or not at all.

        Raises:
            OutputError: The file cannot be written.
        """
        self._save(at("/screenings", screening_id, "results"), out)

    def stop_screening(self, screening_id: str) -> Screening:
        """Lets a list rest."""
        return read(Screening, self._transport.send("POST", at("/screenings", screening_id, "stop")))

    def resume_screening(self, screening_id: str) -> Screening:
        """Lets a list go on."""
        return read(Screening, self._transport.send("POST", at("/screenings", screening_id, "resume")))

    def delete_screening(self, screening_id: str) -> DeletionAnswer:
        """Deletes a list with its pictures. Cannot be undone; not sent again where the answer was lost."""
        return read(
            DeletionAnswer, self._transport.send("POST", at("/screenings", screening_id, "deletion"), again=False)
        )

    def screening_picture(self, picture_id: str) -> ScreeningPictureFile:
        """One picture of a list with its answer."""
        return self._get(ScreeningPictureFile, at("/screening-pictures", picture_id))

    def screening_picture_file(self, picture_id: str, what: Literal["file", "small", "heatmap"] = "file") -> bytes:
        """The picture as it is stored, made small, or where the evidence lies in it."""
        return self._transport.get(at("/screening-pictures", picture_id, what)).content

    def file_screening_picture(
        self,
        picture_id: str,
        lesion_id: str,
        *,
        visited_on: date,
        image_type: Literal["dermoscopic", "clinical: close-up"] = "dermoscopic",
        key: str | None = None,
    ) -> wire.Case:
        """Gives a picture to a patient's lesion; gives the case that it is in now."""
        entry = FilingEntry(lesion_id=lesion_id, visited_on=visited_on, image_type=image_type)
        return self._make(wire.Case, at("/screening-pictures", picture_id, "filing"), entry, key)
