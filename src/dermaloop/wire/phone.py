"""Links by which a phone adds pictures to one open case.

Owns those shapes. The address is the key: it is sent once, in the answer that made the link, and kept by nobody.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from dermaloop.wire.base import ID, Answer, PictureType
from dermaloop.wire.records import Image


class PhoneLink(Answer):
    """A link, without its key."""

    id: ID
    case_id: ID
    image_type: PictureType = Field(description="What its pictures are.")
    made_at: datetime
    ends_at: datetime
    revoked_at: datetime | None = Field(description="When it was ended by hand or by the next link of the case.")
    pictures: int = Field(description="How many came by it.")
    works: bool


class NewPhoneLink(Answer):
    """A link with its key, shown this once."""

    link: PhoneLink
    address: str = Field(
        description="To show as a QR code. Whoever holds it can add pictures to the case until it ends.",
        examples=["https://clinic.example.org/phone/…"],
    )


class PhoneLinkState(Answer):
    """How a link stands, and the case's pictures since it was made, the newest first."""

    link: PhoneLink
    came: list[Image]


class EndedLinks(Answer):
    """How many links of the case worked until now."""

    ended: int
