"""The steps of `dermaloop feedback` as functions: export, check, suggest; and which bundle they look through.

Owns how store, bundle, plan and manifests come together. Refuses to print. The turn of refining uses the same steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dermaloop.cases import flags, registry, suggestions
from dermaloop.cases.actor import Actor
from dermaloop.cases.errors import RecordNotFoundError
from dermaloop.cases.feedback import FeedbackCase, read_feedback
from dermaloop.cases.images import DamagedImageError, MissingImageError
from dermaloop.cases.store import Store
from dermaloop.cases.words import PictureType
from dermaloop.core.bundle import Bundle, open_bundle
from dermaloop.core.manifest import Manifest
from dermaloop.inference.default import default_bundle_path
from dermaloop.refine import teach
from dermaloop.refine.gather import Gathered, Quality, gather
from dermaloop.refine.known import Known, know
from dermaloop.refine.plan import Plan
from dermaloop.refine.suspects import CLASSES, Found, features_of, find_suspects


def champion_bundle(store: Store, path: Path | None) -> Bundle:
    """The bundle to look through: the one named, else the registry's champion, else the one that ships.

    Raises:
        BundleError: It is not whole.
    """
    if path is not None:
        return open_bundle(path)
    with store.database.begin() as session:
        try:
            return registry.open_model(session, registry.champion(session))
        except RecordNotFoundError:
            pass
    return open_bundle(default_bundle_path())


@dataclass(frozen=True, eq=False)
class Against:
    """Manifests that new pictures are compared with.

    Attributes:
        manifests: Of the original data; their splits say what is held out.
        frozen: Test sets, held out whole.
        cache: Folder of their thumbnails.
    """

    manifests: Sequence[Manifest]
    frozen: Sequence[Manifest]
    cache: Path

    def known(self, *, workers: int = 1) -> list[Known]:
        """What they show."""
        return [
            *(know(one, self.cache, workers=workers) for one in self.manifests),
            *(know(one, self.cache, all_held_out=True, workers=workers) for one in self.frozen),
        ]


def export(
    store: Store, actor: Actor, out: Path, *, plan: Plan, bundle: Bundle, against: Against, workers: int = 1
) -> Gathered:
    """Confirmed cases as a manifest of their own.

    Raises:
        OutputError: The folder cannot be written.
        StoreError: The records or pictures cannot be reached.
    """
    return gather(
        store,
        actor,
        out,
        rules=plan.feedback,
        quality=Quality(bundle.spec.gate.quality, bundle.spec.size_px),
        known=against.known(workers=workers),
        purpose="feedback export",
        stem={
            "plan": {"name": plan.name, "version": plan.version},
            "bundle": bundle.identity,
            "compared_with": [one.identity() for one in (*against.manifests, *against.frozen)],
        },
    )


def check(
    store: Store,
    actor: Actor,
    manifest: Manifest,
    rows: Sequence[Mapping[str, Any]],
    pairs: Sequence[Sequence[int]],
    *,
    plan: Plan,
    bundle: Bundle,
    threads: int | None = None,
) -> tuple[Found, int]:
    """Looks for mistakes among gathered rows and flags them; gives what was found, and how many flags are new.

    Args:
        store: Where the flags are kept.
        actor: Who.
        manifest: The gathered rows (N).
        rows: What each rests on (N), as in `gather.ROWS`.
        pairs: Rows that show the same picture.
        plan: With the rules.
        bundle: Whose eyes.
        threads: Cores.
    """
    found = find_suspects(bundle, manifest, rows, pairs, plan.checks, threads=threads)
    with store.database.begin() as session:
        new = flags.raise_flags(session, actor, found.suspicions)
    return found, new


@dataclass(frozen=True, slots=True)
class Suggested:
    """A case that would teach much.

    Attributes:
        case_id: The case.
        margin: How far its two likeliest diagnoses are apart, in [0, 1].
        top: The likeliest diagnosis.
    """

    case_id: str
    margin: float
    top: str


def suggest(
    store: Store, actor: Actor, *, bundle: Bundle, wanted: int, save: bool, threads: int | None = None
) -> list[Suggested]:
    """The unconfirmed cases that would teach the most, by a bundle's eyes; the worklist shows them if saved.

    Args:
        store: Records and pictures.
        actor: Who asks.
        bundle: Whose uncertainty.
        wanted: At most so many cases.
        save: Whether the worklist's list is made anew.
        threads: Cores.

    Raises:
        StoreError: The records cannot be reached.
    """
    with store.database.begin() as session:
        cases = read_feedback(session, actor, "feedback suggest")
    pictures, kept = [], []
    for case in cases:
        sha256 = "" if case.findings else _picture(case)
        if sha256:
            try:
                pictures.append(store.images.read(sha256))
            except (MissingImageError, DamagedImageError):
                continue
            kept.append(case)
    seen = features_of(bundle, pictures, threads=threads)
    readable = np.flatnonzero(np.isfinite(seen.probability).all(axis=1))
    margin = teach.margins(seen.probability[readable])
    chosen = teach.rank(margin, seen.new[readable], seen.reference, wanted=wanted)
    found = [
        Suggested(
            kept[readable[row]].case_id,
            float(margin[row]),
            str(CLASSES[int(seen.probability[readable[row]].argmax())]),
        )
        for row in chosen
    ]
    if save:
        with store.database.begin() as session:
            suggestions.replace_suggestions(session, actor, [one.case_id for one in found], bundle=bundle.identity)
    return found


def _picture(case: FeedbackCase) -> str:
    """The picture that stands for a case: its first dermoscopic one, else its first close-up; empty where none."""
    lesions = [image for image in case.images if image.image_type is not PictureType.OVERVIEW]
    first = sorted(lesions, key=lambda image: image.image_type is not PictureType.DERMOSCOPIC)
    return first[0].sha256 if first else ""
