"""Which model answers: the registry's champion, followed without a restart, or one that was named.

Owns loading a registered model, what happens at a server's start, and the change from one model to another while
requests run. Refuses to decide which model it should be (`cases.promotion`).

A new model is opened, verified, loaded and tried off the event loop; then one reference is exchanged, between two
requests. A request that has begun goes on with the classifier that it took, which is freed after its last one. Where
the new champion cannot be loaded, the old one goes on answering, and pages and log say so. Every server process asks
the database for the champion every few seconds, so that all of them change, not only the one that a lead clicked on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from dermaloop.cases import promotion, registry
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.database import Database
from dermaloop.cases.model_records import ModelVersion
from dermaloop.cases.model_tables import Alias, Origin
from dermaloop.cases.store import Store
from dermaloop.core.bundle import Bundle, open_bundle
from dermaloop.core.errors import BundleError, DermaloopError
from dermaloop.inference.classifier import Classifier
from dermaloop.inference.default import default_bundle_path
from dermaloop.web.samples import SAMPLES, sample_jpeg
from dermaloop.web.settings import Settings

_LOG = logging.getLogger(__name__)
SERVER = system("serve")


@dataclass(frozen=True, slots=True)
class Served:
    """A model that answers, and whether it is because it is the champion (or because it was named)."""

    model: ModelVersion
    follows: bool


def load(bundle: Bundle, *, threads: int | None = None, operating_point: str | None = None) -> Classifier:
    """A classifier that has answered once: what cannot run is found here, and the first visitor does not wait.

    Raises:
        BundleError: The graph cannot be run, or the operating point is missing.
    """
    classifier = Classifier(bundle, threads=threads, operating_point=operating_point)
    try_out(classifier)
    if classifier.threads > 1:  # several pictures at once take one core each, by a session of its own
        classifier.classify(sample_jpeg(SAMPLES[0].name), "warm-up", cores=1)
    return classifier


def try_out(classifier: Classifier) -> None:
    """One assessment: the run-time allocates and tunes itself on its first run."""
    classifier.classify(sample_jpeg(SAMPLES[0].name), "warm-up")


def load_model(
    database: Database, model: ModelVersion, *, threads: int | None = None, operating_point: str | None = None
) -> Classifier:
    """The same for a registered model, after every check of the registry.

    Raises:
        BundleError: The bundle or its entry was changed, or it cannot be run.
    """
    with database.read() as session:
        bundle = registry.open_model(session, model)
    return load(bundle, threads=threads, operating_point=operating_point)


def start(store: Store, settings: Settings) -> tuple[Classifier, Served]:
    """What a server answers with when it starts.

    Named by the settings, a bundle is registered and served whatever the champion is, which is noted. Else the champion
    is served; where there has never been one, the bundle that ships becomes the first. A newer bundle that ships is
    registered for a lead to look at, and changes nothing by itself.

    Raises:
        BundleError: The bundle cannot be used. A champion that cannot is not replaced by anything: a person decides.
    """
    database = store.database
    if settings.bundle is not None:
        bundle = open_bundle(settings.bundle)
        classifier = Classifier(bundle, threads=settings.threads, operating_point=settings.operating_point)
        with database.begin() as session:
            model = registry.add(session, SERVER, settings.bundle, origin=Origin.NAMED)
            promotion.note_named(session, SERVER, model.id)
        return classifier, Served(model, follows=False)
    with database.read() as session:
        model_or_none = registry.current(session, Alias.CHAMPION)
    if model_or_none is None:
        model_or_none = _first_champion(database)
    else:
        with suppress(BundleError):  # none ships, or it is damaged: the champion serves all the same
            _register_shipped(database, default_bundle_path())
    try:
        with database.read() as session:
            opened = registry.open_model(session, model_or_none)
    except BundleError as error:
        raise BundleError(
            f"the champion cannot be served: {error.what}",
            where=error.where,
            way_out="Restore it from a backup, go back with 'dermaloop registry rollback', or name one with --bundle.",
        ) from error
    classifier = Classifier(opened, threads=settings.threads, operating_point=settings.operating_point)
    return classifier, Served(model_or_none, follows=True)


def _first_champion(database: Database) -> ModelVersion:
    path = default_bundle_path()
    with database.begin() as session:
        known = registry.current(session, Alias.CHAMPION)  # another server may have been quicker
        return known or registry.add(session, SERVER, path, origin=Origin.SHIPPED, first=True)


def _register_shipped(database: Database, path: Path) -> None:
    shipped = open_bundle(path).sha256
    with database.read() as session:
        if any(model.bundle_sha256 == shipped for model in registry.listing(session)):
            return
    with database.begin() as session:
        model = registry.add(session, SERVER, path, origin=Origin.SHIPPED)
    _LOG.warning("the model that ships with this version, %s, is registered and waits for a lead", model.identity)


Adopt = Callable[[Classifier], None]


@dataclass(slots=True)
class Follower:
    """Keeps one server process in step with the registry. Used from one event loop.

    Attributes:
        store: Whose registry.
        settings: Threads and operating point of what is loaded, and how often to look.
        served: What answers; None for an application that was given a classifier of its own.
        adopt: Puts a loaded classifier in the place of the one that answers.
        shadowed: Told of the present shadow, or None, whenever the registry was looked at.
        problem: Why the present champion is not served, in plain words; empty where it is.
    """

    store: Store
    settings: Settings
    served: Served | None
    adopt: Adopt
    shadowed: Callable[[ModelVersion | None], None]
    problem: str = ""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _refused: str = ""
    """Id of a champion that could not be loaded: it is tried again when asked for, not every few seconds."""

    async def follow(self) -> None:
        """Looks every few seconds, until cancelled."""
        while True:
            with suppress(DermaloopError):  # the store cannot be reached: pages say so; the next look may succeed
                await self.refresh()
            await asyncio.sleep(self.settings.champion_poll_s)

    async def try_model(self, model: ModelVersion) -> Classifier:
        """Loads a model without serving it: what cannot be loaded must not become the champion.

        Raises:
            BundleError: It cannot be used.
        """
        return await run_in_threadpool(self._load, model)

    async def refresh(self, loaded: Classifier | None = None) -> None:
        """Looks into the registry, and changes to its champion where that is another one than answers.

        Args:
            loaded: A classifier that was loaded already; used if it is the champion's.

        Raises:
            StoreError: The registry cannot be read.
        """
        async with self._lock:
            champion, shadow = await run_in_threadpool(self._look)
            self.shadowed(shadow)
            served = self.served
            if served is None or not served.follows or champion is None or champion.id == served.model.id:
                if champion is not None and served is not None and champion.id == served.model.id:
                    self.problem = self._refused = ""
                return
            if champion.id == self._refused and loaded is None:
                return
            await self._change(champion, loaded)

    async def _change(self, champion: ModelVersion, loaded: Classifier | None) -> None:
        try:
            if loaded is None or loaded.bundle.sha256 != champion.bundle_sha256:
                loaded = await self.try_model(champion)
        except DermaloopError as error:
            self.problem, self._refused = str(error), champion.id
            _LOG.error("the champion %s cannot be served, the model before it answers: %s", champion.identity, error)
            return
        self.adopt(loaded)
        self.served = Served(champion, follows=True)
        self.problem = self._refused = ""
        _LOG.warning("the champion %s answers from here on", champion.identity)

    def _look(self) -> tuple[ModelVersion | None, ModelVersion | None]:
        with self.store.database.read() as session:
            return registry.current(session, Alias.CHAMPION), registry.current(session, Alias.SHADOW)

    def _load(self, model: ModelVersion) -> Classifier:
        return load_model(
            self.store.database,
            model,
            threads=self.settings.threads,
            operating_point=self.settings.operating_point,
        )


def operator(name: str) -> Actor:
    """Whoever holds the store's files and uses the command line there."""
    return system(f"registry {name}")
