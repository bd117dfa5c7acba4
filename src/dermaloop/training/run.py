"""One training, from recipe and manifest to a run folder; resumes where an interrupted one stopped.

A run folder holds `recipe.json`, `checkpoints/`, `log/metrics.csv` (one file more per earlier session) and, at the end,
`weights.safetensors` and `run.json`; the last is written last and means "complete". Refuses to know how the loop runs:
that is `training.fit`'s.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dermaloop.core.errors import ManifestError, OutputError, RecipeError
from dermaloop.core.manifest import Manifest, Split
from dermaloop.training import dataset, fit
from dermaloop.training.cache import open_cache
from dermaloop.training.cpu import keep_memory
from dermaloop.training.module import Module
from dermaloop.training.network import LesionNetwork, build
from dermaloop.training.recipe import Recipe, parse
from dermaloop.training.validation import validate

WEIGHTS, RUN, RECIPE = "weights.safetensors", "run.json", "recipe.json"


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished run.

    Attributes:
        network: The trained network, on the CPU, in evaluation mode.
        facts: What `run.json` says: steps, images by source, validation figures, identity of recipe, rows and code.
    """

    recipe: Recipe
    network: LesionNetwork
    facts: dict[str, Any]

    def with_package(self, recipe: Recipe) -> Trained:
        """The same training, to be packaged by another recipe's `package` and `run.evaluate_px`."""
        run = replace(self.recipe.run, evaluate_px=recipe.run.evaluate_px)
        return replace(self, recipe=replace(self.recipe, package=recipe.package, run=run))


def train(
    recipe: Recipe,
    manifest: Manifest,
    out: Path,
    *,
    weights_folder: Path | None = None,
    cache_folder: Path | None = None,
    show_progress: bool = True,
) -> Trained | None:
    """Trains by a recipe; a run already begun in `out` with the same recipe and manifest is resumed or returned.

    Args:
        recipe: What to do.
        manifest: Rows with splits; `train` and `validation` are used, no other is opened.
        out: Run folder.
        weights_folder: Where the recipe's relative starting weights lie.
        cache_folder: Where pre-decoded pictures lie; default `out/../cache`.
        show_progress: Bars on a terminal.

    Returns:
        The finished run; None in the processes beyond the first where several train together.

    Raises:
        ManifestError: No rows to train or validate on, or a picture cannot be read.
        RecipeError: `out` holds a run of another recipe or manifest; the recipe names a source that is not there; the
            starting weights do not fit; the training diverged.
        InterruptedRunError: A signal stopped the run; its checkpoint is saved.
        OutputError: The run folder or the cache cannot be written.
    """
    out = Path(out).absolute()
    code = code_identity()  # of what is running, whatever becomes of the files meanwhile
    rows = _rows(recipe, manifest)
    identity = {"recipe_sha256": recipe.identity(), "rows_sha256": dataset.rows_identity(rows)}
    _claim(out, recipe, identity)
    if (out / RUN).is_file():
        return open_run(out)
    labels, splits = dataset.targets(rows), np.asarray(rows.column("split"))
    parts = {split: np.flatnonzero(splits == split) for split in (Split.TRAIN, Split.VALIDATION)}
    weights = dataset.sampling_weights(_take(labels, parts[Split.TRAIN]), recipe.data)
    keep_memory()
    torch.manual_seed(recipe.seed)  # what no weight file gives starts from the recipe's seed
    network = build(recipe.network, weights_folder)
    with Progress(disable=not show_progress) as progress:
        cache = open_cache(rows, cache_folder or out.parent / "cache", recipe.data.cache_px, progress=progress)
    pictures = {split: dataset.Pictures(cache, index, _take(labels, index)) for split, index in parts.items()}
    training, validation = pictures[Split.TRAIN], pictures[Split.VALIDATION]
    module = Module(network, recipe, _class_share(training.labels, weights), validation.labels)
    module.network.to(memory_format=torch.channels_last)
    trainer, seconds = fit.fit(module, training, weights, validation, out, show_progress=show_progress)
    if not trainer.is_global_zero:
        return None
    facts = {**identity, "code_sha256": code, "last_session_s": round(seconds, 1)}
    return _finish(module, trainer, validation, rows=rows, out=out, facts=facts)


def open_run(out: Path) -> Trained:
    """Opens a finished run.

    Raises:
        RecipeError: The folder holds none.
    """
    if not (out / RUN).is_file():
        raise RecipeError(
            "this is not the folder of a finished training", where=str(out), way_out="Let 'dermaloop train' finish it."
        )
    recipe = parse(json.loads((out / RECIPE).read_text(encoding="utf-8"))["recipe"], where=str(out / RECIPE))
    network = build(recipe.network, start=False)
    network.load_state_dict(load_file(out / WEIGHTS))
    return Trained(recipe, network.eval(), json.loads((out / RUN).read_text(encoding="utf-8")))


def code_identity() -> str:
    """SHA-256 over the package's Python files, names and contents; lower-case hex."""
    root = Path(__file__).resolve().parents[1]
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def _rows(recipe: Recipe, manifest: Manifest) -> Manifest:
    _know_sources(recipe, set(manifest.column("source")))
    wanted = manifest.where(split=[Split.TRAIN, Split.VALIDATION])
    silent = [source for source, share in recipe.data.source_share.items() if share == 0]
    sources, splits = np.asarray(wanted.column("source")), np.asarray(wanted.column("split"))
    keep = ~np.isin(sources, recipe.data.leave_out) & ~(np.isin(sources, silent) & (splits == Split.TRAIN))
    rows = wanted.select(keep)
    for split in (Split.TRAIN, Split.VALIDATION):
        if not len(rows.where(split=split)):
            what = f"no row has the split {split.value!r}"
            raise ManifestError("empty_split", what, way_out="Run 'dermaloop curate split' first.")
    return rows


def _know_sources(recipe: Recipe, known: set[str]) -> None:
    """Refuses a source that the manifest does not have: a typing error would train on something else for hours."""
    data = recipe.data
    for key, names in (("leave_out", data.leave_out), ("source_share", set(data.source_share) - set(data.leave_out))):
        unknown = sorted(set(names) - known)
        if unknown:
            what = f"data.{key} names {unknown[0]!r}, which is no source of the manifest"
            way_out = f"The manifest has {', '.join(sorted(known))}. Change the recipe, or say --set data.{key}=..."
            raise RecipeError(what, where=recipe.name, way_out=way_out)


def _claim(out: Path, recipe: Recipe, identity: dict[str, str]) -> None:
    """Takes the folder for this recipe and manifest, or finds that it is theirs already."""
    path = out / RECIPE
    try:
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))["identity"]
            differs = [name.removesuffix("_sha256") for name in identity if found.get(name) != identity[name]]
            if differs:
                raise RecipeError(
                    f"this folder holds a run of another {' and '.join(differs).replace('rows', 'manifest')}",
                    where=str(out),
                    way_out="Choose another folder with --out, or remove this one.",
                )
            return
        out.mkdir(parents=True, exist_ok=True)
        _write_json(path, {"identity": identity, "recipe": recipe.plain()})
    except OSError as error:
        raise OutputError(
            f"the run folder cannot be written ({error.strerror})",
            where=str(out),
            way_out="Choose another folder with --out.",
        ) from error


def _write_json(path: Path, content: Any) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)


def _take(labels: dataset.Targets, index: NDArray[np.int64]) -> dataset.Targets:
    return dataset.Targets(labels.candidates[index], labels.fine[index], [labels.sources[i] for i in index.tolist()])


def _class_share(labels: dataset.Targets, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = labels.candidates / labels.candidates.sum(axis=1, keepdims=True)
    total: NDArray[np.float64] = (shares * weights[:, None]).sum(axis=0)
    return total


def _finish(
    module: Module,
    trainer: lightning.Trainer,
    validation: dataset.Pictures,
    *,
    rows: Manifest,
    out: Path,
    facts: dict[str, Any],
) -> Trained:
    """Stores the weights that the recipe keeps, and what the run was.

    The weights are read back from their checkpoint, whether this session took a step or found the last one done, and
    the validation figures are theirs, not those of the last epoch.
    """
    recipe = module.recipe
    module.load_state_dict(fit.kept_state(recipe, out))
    module.to(trainer.strategy.root_device)
    figures = validate(module, validation, recipe.run.evaluate_px, batch=recipe.run.batch)
    network = module.network.cpu().to(memory_format=torch.contiguous_format).eval()
    sources, counts = np.unique(rows.where(split=Split.TRAIN).column("source"), return_counts=True)
    facts = {
        **facts,
        "steps": trainer.global_step,
        "precision": str(trainer.precision),
        "training_images": dict(zip(sources.tolist(), counts.tolist(), strict=True)),
        "validation": figures,
    }
    temporary = out / f"{WEIGHTS}.tmp"
    try:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, temporary)
        temporary.replace(out / WEIGHTS)
        _write_json(out / RUN, facts)
    except (OSError, SafetensorError) as error:
        what = f"the trained weights cannot be stored ({error})"
        way_out = "Free space; the same command goes on from the last checkpoint."
        raise OutputError(what, where=str(out), way_out=way_out) from error
    return Trained(recipe, network, facts)
