"""The two checks that need the network run on pictures made for them: stress and explanation.

Owns how perturbed pictures reach the classifier and which are drawn. The counting is `evaluation.stress`'s and
`evaluation.explanation`'s. The trade-off: every perturbed picture goes the whole way from bytes to decision, as BMP,
which loses nothing and costs next to nothing to write.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermaloop.core.errors import ImageError, ManifestError
from dermaloop.core.image import decode
from dermaloop.core.manifest import Manifest
from dermaloop.core.prediction import Status
from dermaloop.evaluation import bootstrap, explanation, stress
from dermaloop.evaluation.rows import Rows
from dermaloop.inference import explain
from dermaloop.inference.classifier import Classifier, Item

if TYPE_CHECKING:
    from dermaloop.pipeline.evaluate import Options

Progress = Callable[[str, int, int], None]


def stress_test(
    classifier: Classifier, manifest: Manifest, rows: Rows, options: Options, progress: Progress
) -> list[dict[str, Any]]:
    """Perturbs a sample of each split's pictures and says what changed.

    Args:
        classifier: Of the bundle.
        manifest: The N rows measured.
        rows: The same N, for labels and groups.
        options: Seed, resamples, largest number of pictures per split.
        progress: Told how far it is.

    Returns:
        One entry per split: n, the perturbations with what each changed, and the whole.
    """
    splits = np.asarray(manifest.column("split"))
    readable = np.isfinite(rows.malignant_probability)
    found = []
    for split in options.splits:
        places = np.flatnonzero((splits == split) & readable)
        if len(places) > options.stress_pictures:
            drawn = np.random.default_rng(options.seed).permutation(len(places))[: options.stress_pictures]
            places = np.sort(places[drawn])
        if not len(places):
            continue
        kept = np.zeros(len(rows), dtype=bool)
        kept[places] = True
        found.append(
            {"split": split, **_stress_split(classifier, manifest.select(kept), rows.select(kept), options, progress)}
        )
    return found


def _stress_split(
    classifier: Classifier, manifest: Manifest, rows: Rows, options: Options, progress: Progress
) -> dict[str, Any]:
    """The untouched pictures go the same way as the perturbed ones, so that only the perturbation differs."""
    total = (len(stress.PERTURBATIONS) + 1) * len(manifest)

    def run(apply: stress.Apply, start: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        probability, assessed = np.full(len(manifest), np.nan), np.zeros(len(manifest), dtype=bool)
        for row, prediction in enumerate(
            classifier.classify_many(perturbed(manifest, classifier.bundle.spec.size_px, apply))
        ):
            if prediction.malignant_probability is not None:
                probability[row] = prediction.malignant_probability
            assessed[row] = prediction.status is Status.ASSESSED
            progress("Perturbing", start + row + 1, total)
        return probability, assessed

    before, assessed = run(lambda image, _: image, 0)
    untouched = rows.with_malignant_probability(before, assessed)
    entries, flips = [], {}
    for number, (name, perturbation) in enumerate(stress.PERTURBATIONS.items(), start=1):
        probability, decided = run(perturbation.apply, number * len(manifest))
        changed = stress.compare(untouched, probability, decided, resamples=options.resamples, seed=options.seed)
        entries.append({"name": name, "kind": perturbation.kind, "title": perturbation.title, **changed})
        flips[name] = (probability >= rows.threshold) != (before >= rows.threshold)
    whole = stress.overall(flips, untouched, resamples=options.resamples, seed=options.seed)
    return {"n": len(manifest), "threshold": rows.threshold, "perturbations": entries, **whole}


def perturbed(manifest: Manifest, size_px: int, apply: stress.Apply) -> Iterator[Item]:
    """The pictures, perturbed, as BMP; squashed ones are first stretched back, so that turning turns the lesion."""
    aspects = manifest.column("pixel_aspect")
    for row, path in enumerate(manifest.image_paths()):
        image = decode(path.read_bytes(), name=path.name, least_side_px=size_px).image
        if aspects[row] != 1.0:
            image = image.resize((max(1, round(image.width * aspects[row])), image.height), Image.Resampling.BICUBIC)
        stream = io.BytesIO()
        apply(image, row).save(stream, "BMP")
        yield Item(path.name, stream.getvalue())


def heat_on_lesion(
    heatmap: NDArray[np.float32], mask_path: Path, size_px: int, pixel_aspect: float
) -> dict[str, float] | None:
    """What `evaluation.explanation` measures of one picture's heat as it is shown; None where nothing is outlined.

    Raises:
        ManifestError: The outline that the manifest names cannot be read.
    """
    try:
        picture = decode(mask_path.read_bytes(), name=mask_path.name).image
    except (OSError, ImageError) as error:
        raise ManifestError(
            "unreadable_mask",
            f"the outline cannot be read ({error})",
            where=str(mask_path),
            way_out="Restore the file or empty the row's mask_path.",
        ) from error
    mask = explanation.lesion_mask(picture, size_px, pixel_aspect=pixel_aspect)
    if not mask.any():
        return None
    shown = explain.colours(heatmap)[:, :, 3] / 255.0  # weak evidence is not drawn, so it is not counted
    return explanation.check_one(shown, mask)


def explanation_check(
    manifest: Manifest, heat: Mapping[int, Mapping[str, float]], options: Options
) -> list[dict[str, Any]]:
    """The measures over each split, over all pictures and over the malignant ones."""
    splits, malignant = np.asarray(manifest.column("split")), np.asarray(manifest.malignant(), dtype=object)
    groups = bootstrap.group_index(manifest.groups())
    found = []
    for split in options.splits:
        for name, among in (("all", splits == split), ("malignant", (splits == split) & (malignant == True))):  # noqa: E712
            places = np.array([row for row in heat if among[row]], dtype=np.int64)
            keys = next(iter(heat.values()), {}).keys()
            measures = {key: np.array([heat[row][key] for row in places]) for key in keys}
            summary = explanation.summarise(measures, groups[places], resamples=options.resamples, seed=options.seed)
            found.append({"split": split, "among": name, **summary})
    return found
