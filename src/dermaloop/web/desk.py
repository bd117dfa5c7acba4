"""What the routes share: the classifier, the settings, the places, and how a request becomes results.

Owns the order of things: take a place, read the body, assess each file in a worker thread. Refuses to know HTML and
JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from fastapi import Request

from dermaloop.core.bundle import OperatingPoint
from dermaloop.inference.classifier import Classifier
from dermaloop.web.capacity import Capacity
from dermaloop.web.settings import Settings
from dermaloop.web.upload import Upload, receive
from dermaloop.web.views import View, assess

T = TypeVar("T")


@dataclass(slots=True)
class Desk:
    """State of one running application, at `app.state.desk`."""

    settings: Settings
    classifier: Classifier
    capacity: Capacity
    ready: bool = field(default=False)

    @property
    def point(self) -> OperatingPoint:
        """The operating point that decides."""
        return self.classifier.operating_point

    async def answer_uploads(
        self, request: Request, function: Callable[[Upload], T], *, keep_going: bool = False
    ) -> list[T]:
        """Reads the request's files and applies a blocking function to each, in order.

        Args:
            request: Its body has not been read.
            function: Runs in a worker thread.
            keep_going: See `upload.receive`.

        Raises:
            WebError: As `upload.receive` and `Capacity` say.
        """
        with self.capacity.place():
            uploads = await receive(request, self.settings, keep_going=keep_going)
            return [await self.capacity.run(function, upload) for upload in uploads]

    async def view_sample(self, upload: Upload) -> View:
        """Assesses a picture that the program drew.

        Raises:
            WebError: As `Capacity` says.
        """
        with self.capacity.place():
            return await self.capacity.run(lambda: assess(self.classifier, upload, self.settings, drawn=True))


def desk_of(request: Request) -> Desk:
    """The desk of the application that the request came to."""
    desk = request.app.state.desk
    assert isinstance(desk, Desk)
    return desk
