"""What the routes share: classifier, settings, places, database, and how a request becomes results.

Owns the order of things: take a place, read the body, assess each file in a worker thread. Refuses to know HTML and
JSON.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from dermaloop.cases.database import Database, Transaction
from dermaloop.cases.store import Store
from dermaloop.core.bundle import OperatingPoint
from dermaloop.core.prediction import Prediction
from dermaloop.web.capacity import Capacity
from dermaloop.web.cookies import Cookies
from dermaloop.web.forms import Form, read_form
from dermaloop.web.known import Known
from dermaloop.web.metrics import Metrics
from dermaloop.web.observed import Assessor
from dermaloop.web.screening import Screening
from dermaloop.web.serving import Follower
from dermaloop.web.settings import Settings
from dermaloop.web.shadowing import Shadow
from dermaloop.web.together import Together
from dermaloop.web.upload import Upload, receive
from dermaloop.web.views import View, assess
from dermaloop.web.watch import Watch
from dermaloop.web.watch_run import WatchRuns

T = TypeVar("T")


@dataclass(slots=True)
class Desk:
    """State of one running application, at `app.state.desk`."""

    settings: Settings
    classifier: Assessor
    """What answers now; a request that asks more than once takes it once, for it may be exchanged in between."""
    capacity: Capacity
    store: Store
    cookies: Cookies
    hashing: Capacity
    """Places and threads for passwords, apart from those for pictures: neither can crowd the other out."""
    drawing: Capacity
    """Places and threads for making stored pictures small and drawing heatmaps: quick, and many at once."""
    metrics: Metrics
    watch: Watch
    known: Known
    """Who carries which secret."""
    together: Together[tuple[Assessor, Upload], Prediction] = field(init=False)
    """Assesses the pictures of several requests in one pass, where they wait anyway."""
    follower: Follower = field(init=False)
    """Keeps `classifier` in step with the registry."""
    shadow: Shadow = field(init=False)
    screening: Screening = field(init=False)
    """Works screening jobs off."""
    watch_runs: WatchRuns = field(init=False)
    """Looks for drift, once a day and when asked."""
    ready: bool = field(default=False)

    @property
    def database(self) -> Database:
        """The records."""
        return self.store.database

    @property
    def point(self) -> OperatingPoint:
        """The operating point that decides."""
        return self.classifier.operating_point

    async def write(self, function: Callable[[Transaction], T]) -> T:
        """Runs a function in one writing transaction, off the event loop: kept whole, or not at all.

        Raises:
            StoreError: As `Database.begin` says.
        """
        return await run_in_threadpool(_write, self.database, function)

    async def read(self, function: Callable[[Transaction], T]) -> T:
        """Runs a function in one reading transaction, off the event loop.

        Raises:
            StoreError: As `Database.read` says.
        """
        return await run_in_threadpool(_read, self.database, function)

    async def hash(self, function: Callable[..., T], *given: object) -> T:
        """Runs what takes a password's time, in one of the few places for it.

        Raises:
            WebError: As `Capacity` says.
        """
        with self.hashing.place():
            return await self.hashing.run(function, *given)

    async def draw(self, function: Callable[..., T], *given: object) -> T:
        """Runs what makes a picture for a page, off the event loop.

        Raises:
            WebError: As `Capacity` says.
        """
        with self.drawing.place():
            return await self.drawing.run(function, *given)

    async def answer_uploads(
        self,
        request: Request,
        function: Callable[[Upload], T],
        *,
        check: Callable[[str], None],
        keep_going: bool = False,
        ready: Callable[[Form], Awaitable[None]] | None = None,
        arrived: Callable[[list[Upload]], Awaitable[None]] | None = None,
    ) -> list[T]:
        """Reads the request's files and applies a blocking function to each, in order.

        Args:
            request: Its body has not been read.
            function: Runs in a worker thread.
            keep_going: See `upload.receive`.
            check: Called with the value of the form's field `form_token` before the first file is read.
            ready: Called with the form's texts when all has arrived, before the first file is assessed; may raise.
            arrived: Called with the files after that; may raise.

        Raises:
            WebError: As `upload.receive` and `Capacity` say.
        """
        with self.capacity.place():
            uploads = await receive(request, self.settings, check=check, keep_going=keep_going)
            if ready is not None:
                await ready(await read_form(request))
            if arrived is not None:
                await arrived(uploads)
            return [await self.capacity.run(function, upload) for upload in uploads]

    async def predict_uploads(
        self, request: Request, function: Callable[[Prediction], T], *, check: Callable[[str], None]
    ) -> list[T]:
        """Reads the request's files, classifies each, in one pass with those of others where they wait, in order.

        Args:
            request: Its body has not been read.
            function: Makes the answer of a prediction; runs in a worker thread.
            check: As for `answer_uploads`.

        Raises:
            WebError: As `answer_uploads`.
        """
        with self.capacity.place():
            classifier = self.classifier
            uploads = await receive(request, self.settings, check=check)
            return [await self.together.run((classifier, upload), function) for upload in uploads]

    async def view_sample(self, upload: Upload) -> View:
        """Assesses a picture that the program drew.

        Raises:
            WebError: As `Capacity` says.
        """
        with self.capacity.place():
            return await self.capacity.run(lambda: assess(self.classifier, upload, self.settings, drawn=True))


def _write(database: Database, function: Callable[[Transaction], T]) -> T:
    with database.begin() as transaction:
        return function(transaction)


def _read(database: Database, function: Callable[[Transaction], T]) -> T:
    with database.read() as transaction:
        return function(transaction)


def desk_of(request: Request) -> Desk:
    """The desk of the application that the request came to."""
    desk = request.app.state.desk
    assert isinstance(desk, Desk)
    return desk
