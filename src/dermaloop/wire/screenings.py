"""Screening lists as the server sends them: a folder of pictures without patients, assessed in the background.

Owns those shapes. Refuses to know the queue. A list is not part of anybody's record until a picture of it is given to a
patient, so the answer is not hidden in it: there is no impression that it could come before.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from dermaloop.wire.assessment import ResultModel
from dermaloop.wire.base import ID, Answer, Entry

Show = Literal["all", "refer", "below", "declined", "failed", "waiting"]
ItemOrder = Literal["suspicious", "arrival", "name"]
ItemState = Literal["waiting", "stopped", "done"]


class ScreeningEntry(Entry):
    """A new list."""

    name: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        description="No patient's name, please.", examples=["Camera 2, March 2026"]
    )


class Screening(Answer):
    """A list and how far it is. Ask for it again to follow its progress."""

    id: ID
    name: str
    made_at: datetime
    actor_name: str = Field(description="Who made it.")
    cancelled_at: datetime | None = Field(description="Since when it rests.")
    arrived: int = Field(description="Pictures that are here.")
    waiting: int = Field(description="Of these, not assessed yet.")
    stopped: int = Field(description="Not assessed, and not to be unless it goes on.")
    refer: int = Field(description="Suspicious.")
    below: int = Field(description="Below the referral threshold.")
    declined: int = Field(description="On which the model declined.")
    failed: int = Field(description="Files that could not be read.")
    filed: int = Field(description="Given to a patient.")


class ScreeningList(Answer):
    """A page of the lists, newest first."""

    screenings: list[Screening]
    next: str | None = Field(default=None, description="Send it as `cursor` for the next page; null at the end.")


class ScreeningPicture(Answer):
    """A picture of a list."""

    id: ID
    number: int = Field(description="In the order of arrival, from 1.")
    name: str
    state: ItemState
    done_at: datetime | None
    result: ResultModel | None = Field(description="Null while it waits.")
    patient_id: str | None = Field(description="To whom it was given, if it was.")
    case_id: str | None


class ScreeningPage(Answer):
    """A page of a list's pictures."""

    screening: Screening
    pictures: list[ScreeningPicture]
    count: int = Field(description="How many there are of the kind asked for.")
    next: str | None = Field(description="Send it as `cursor` for the next page; null at the end.")


class ArrivedFile(Answer):
    """A file that is here: it need not be sent again."""

    name: str
    size_bytes: int = Field(description="As received.")


class ArrivedFiles(Answer):
    """The files that a list has, in the order of arrival."""

    files: list[ArrivedFile]


class ScreeningPictureFile(Answer):
    """One picture of a list with its answer whole."""

    picture: ScreeningPicture
    screening_id: ID
    width_px: int
    height_px: int
    has_picture: bool = Field(description="Whether the picture itself is kept: a file that cannot be read is not.")
    has_heatmap: bool
