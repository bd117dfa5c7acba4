"""Streams of visits, made by drawing again and again from pictures that were assessed once.

Drawing with replacement from real answers gives streams that are unchanged by construction, as many as a test needs,
and a change at a known visit: the pictures after it come from another pool.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dermaloop.cases.watch_data import WatchedPicture
from dermaloop.core.bundle import REFERENCES, Bundle
from dermaloop.core.prediction import Prediction, Status
from dermaloop.inference.classifier import Classifier, Item
from dermaloop.monitoring.look import look
from dermaloop.monitoring.measures import Limits
from dermaloop.monitoring.streams import Confirmed, Stated, Stream
from dermaloop.pipeline.watch import stated_of, stream_of

MALIGNANT = {"mel", "bcc", "akiec", "MEL", "BCC", "ACK", "SCC"}
VISITS_A_YEAR = 2500
DAY_S = 86_400.0
_START = 1_767_225_600.0


@dataclass(frozen=True)
class Pool:
    """Assessed pictures: their values by measure, and what each lesion was."""

    values: dict[str, Any]
    malignant: NDArray[np.bool_]
    referred: NDArray[np.bool_]
    declined: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.malignant)

    def take(self, rows: NDArray[np.int64]) -> Pool:
        """Some of it, in this order."""
        values = {
            name: np.asarray(one)[rows] if not isinstance(one, list) else [one[row] for row in rows]
            for name, one in self.values.items()
        }
        return Pool(values, self.malignant[rows], self.referred[rows], self.declined[rows])


def unseen(folder: Path, bundle: Bundle, count: int, seed: int = 0) -> list[tuple[Path, bool]]:
    """Pictures of HAM10000 that the bundle was not trained on, one of each lesion, and whether each is malignant."""
    known = {str(one) for one in bundle.arrays(REFERENCES)["image_ids"]}
    with (folder / "ham10000" / "HAM10000_metadata.csv").open(encoding="utf-8") as stream:
        rows = sorted(csv.DictReader(stream), key=lambda row: row["image_id"])
    files = {path.stem: path for path in (folder / "ham10000").rglob("*.jpg")}
    lesions: dict[str, tuple[Path, bool]] = {}
    for place in np.random.default_rng(seed).permutation(len(rows)):
        row = rows[int(place)]
        if row["image_id"] not in known:
            lesions.setdefault(row["lesion_id"], (files[row["image_id"]], row["dx"] in MALIGNANT))
    return list(lesions.values())[:count]


def phones(folder: Path, bundle: Bundle, count: int) -> list[tuple[Path, bool]]:
    """Smartphone photographs of PAD-UFES-20 that the bundle was not trained on."""
    known = {str(one) for one in bundle.arrays(REFERENCES)["image_ids"]}
    files = {path.stem: path for path in (folder / "pad_ufes_20").rglob("*.*") if path.suffix in (".jpg", ".png")}
    with (folder / "pad_ufes_20" / "metadata.csv").open(encoding="utf-8") as stream:
        rows = [(Path(row["img_id"]).stem, row["diagnostic"] in MALIGNANT) for row in csv.DictReader(stream)]
    found = [(files[name], malignant) for name, malignant in rows if name not in known and name in files]
    return found[:count]


def cast(red: float, blue: float) -> Callable[[Image.Image], Image.Image]:
    """A camera whose white balance is off."""

    def change(image: Image.Image) -> Image.Image:
        values = np.asarray(image, dtype=np.float64) * (red, 1.0, blue)
        return Image.fromarray(np.clip(values.round(), 0, 255).astype(np.uint8))

    return change


def blurred(radius_px: float) -> Callable[[Image.Image], Image.Image]:
    """A lens that is out of focus, or greasy."""
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius_px))


def pool(
    classifier: Classifier,
    pictures: Sequence[tuple[Path, bool]],
    change: Callable[[Image.Image], Image.Image] | None = None,
    *,
    image_type: str = "dermoscopic",
) -> Pool:
    """Assesses pictures, as the service does."""
    items = [Item(path.name, path if change is None else _changed(path, change)) for path, _ in pictures]
    said = list(classifier.classify_many(items))
    sizes = []
    for path, _ in pictures:
        with Image.open(path) as image:
            sizes.append(f"JPEG {max(image.size)} x {min(image.size)}")
    watched = [_watched(one, image_type, size) for one, size in zip(said, sizes, strict=True)]
    return Pool(
        stream_of(watched, classifier.bundle).values,
        np.asarray([malignant for _, malignant in pictures]),
        np.asarray([one.decision == "refer" for one in said]),
        np.asarray([one.status is not Status.ASSESSED for one in said]),
    )


def _changed(path: Path, change: Callable[[Image.Image], Image.Image]) -> bytes:
    stream = io.BytesIO()
    with Image.open(path) as image:
        change(image.convert("RGB")).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def _watched(said: Prediction, image_type: str, device: str) -> WatchedPicture:
    imprint = said.imprint
    assert imprint is not None
    similarity = float(np.mean([case.similarity for case in said.similar]))
    red, blue = imprint.colour
    return WatchedPicture(
        id=said.sha256,
        at=dt.datetime.fromtimestamp(_START, dt.UTC),
        image_type=image_type,
        device=device,
        probability=said.malignant_probability,
        declined=said.status is not Status.ASSESSED,
        distance=said.ood_distance,
        embedding=imprint.embedding.astype(np.float64),
        texture=imprint.texture.astype(np.float64),
        measures={**said.quality, "red_share": red, "blue_share": blue, "similarity": similarity},
    )


def drawn(rng: np.random.Generator, one: Pool, count: int, malignant: float | None = None) -> Pool:
    """Visits drawn from a pool; with a share of malignant ones where it is given."""
    if malignant is None:
        return one.take(rng.integers(0, len(one), count))
    sick = rng.random(count) < malignant
    from_sick, from_well = np.flatnonzero(one.malignant), np.flatnonzero(~one.malignant)
    return one.take(np.where(sick, rng.choice(from_sick, count), rng.choice(from_well, count)))


def together(parts: Iterable[Pool]) -> Pool:
    """One after the other."""
    found = list(parts)

    def joined(name: str) -> Any:
        values = [part.values[name] for part in found]
        return [one for value in values for one in value] if isinstance(values[0], list) else np.concatenate(values)

    return Pool(
        {name: joined(name) for name in found[0].values},
        np.concatenate([part.malignant for part in found]),
        np.concatenate([part.referred for part in found]),
        np.concatenate([part.declined for part in found]),
    )


def times(count: int, a_year: int = VISITS_A_YEAR) -> NDArray[np.float64]:
    """When each of so many visits was."""
    return _START + np.arange(count) * (365.25 * DAY_S / a_year)


def looked(
    visits: Pool, bundle: Bundle, limits: Limits, *, confirmed: float = 0.3, seed: int = 0, a_year: int = VISITS_A_YEAR
) -> Any:
    """What the watch says of visits, a share of which is confirmed ten days later."""
    at = times(len(visits), a_year)
    # A generator of its own: with the one that drew the visits, who is confirmed would follow who is ill.
    known = np.flatnonzero(np.random.default_rng((seed, 1)).random(len(visits)) < confirmed)
    probability = np.asarray(visits.values["probability"])
    cases = Confirmed(
        at[known] + 10 * DAY_S,
        visits.malignant[known],
        visits.referred[known],
        visits.declined[known],
        probability[known],
    )
    return look(Stream(at, visits.values), cases, _stated(bundle), limits, seed=seed)


_STATED: dict[str, Stated] = {}


def _stated(bundle: Bundle) -> Stated:
    if bundle.sha256 not in _STATED:
        _STATED[bundle.sha256] = stated_of(bundle)
    return _STATED[bundle.sha256]
