"""One training, from recipe and manifest to a run folder; resumes where an interrupted one stopped.

A run folder holds `recipe.json`, `checkpoints/`, `metrics.csv` and, at the end, `weights.safetensors` and `run.json`; the
last is written last and means "complete". Loop, precision, devices, checkpoints, averaging and signals are Lightning's.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from rich.progress import Progress
from safetensors.torch import load_file, save_file

from dermaloop.core.errors import DermaloopError, ManifestError, OutputError, RecipeError
from dermaloop.core.manifest import Manifest, Split
from dermaloop.training import dataset
from dermaloop.training.module import Module
from dermaloop.training.network import LesionNetwork, build
from dermaloop.training.recipe import Recipe, parse

WEIGHTS, RUN, RECIPE = "weights.safetensors", "run.json", "recipe.json"


class Interrupted(DermaloopError):
    """The run was stopped by a signal after saving a checkpoint."""

    code = "interrupted"


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished run.

    Attributes:
        network: The trained network, on the CPU, in evaluation mode.
        facts: What `run.json` says: steps, images by source, validation figures, manifest and code identity.
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
) -> Trained:
    """Trains by a recipe; a run already begun in `out` with the same recipe and manifest is resumed or returned.

    Args:
        recipe: What to do.
        manifest: Rows with splits; `train` and `validation` are used, no other is opened.
        out: Run folder.
        weights_folder: Where the recipe's relative starting weights lie.
        cache_folder: Where pre-decoded pictures lie; default `out/../cache`.
        show_progress: Bars on a terminal.

    Raises:
        ManifestError: No rows to train or validate on, or a picture cannot be read.
        RecipeError: `out` holds a run of another recipe or manifest.
        Interrupted: A signal stopped the run; its checkpoint is saved.
    """
    out = Path(out).absolute()
    rows = _rows(recipe, manifest)
    identity = {"recipe_sha256": recipe.identity(), "rows_sha256": dataset.rows_identity(rows)}
    _claim(out, recipe, identity)
    if (out / RUN).is_file():
        return open_run(out)
    with Progress(disable=not show_progress) as progress:
        cache = dataset.open_cache(rows, cache_folder or out.parent / "cache", recipe.data.cache_px, progress=progress)
    labels, splits = dataset.targets(rows), np.asarray(rows.column("split"))
    parts = {split: np.flatnonzero(splits == split) for split in (Split.TRAIN, Split.VALIDATION)}
    train_labels, validation_labels = (_take(labels, parts[split]) for split in (Split.TRAIN, Split.VALIDATION))
    weights = dataset.sampling_weights(train_labels, recipe.data)
    module = Module(
        build(recipe.network, weights_folder), recipe, _class_share(train_labels, weights), validation_labels
    )
    module.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pictures = {split: dataset.Pictures(cache, parts[split], _take(labels, parts[split])) for split in parts}
    seconds = _fit(
        recipe, module, pictures[Split.TRAIN], pictures[Split.VALIDATION], weights, out, show_progress=show_progress
    )
    return _finish(recipe, module, rows, out, identity, seconds)


def open_run(out: Path) -> Trained:
    """Opens a finished run.

    Raises:
        RecipeError: The folder holds none.
    """
    if not (out / RUN).is_file():
        raise RecipeError(
            "this is not the folder of a finished training", where=str(out), way_out="Let 'dermaloop train' finish it."
        )
    recipe = parse(json.loads((out / RECIPE).read_text())["recipe"], where=str(out / RECIPE))
    network = build(recipe.network, start=False)
    network.load_state_dict(load_file(out / WEIGHTS))
    return Trained(recipe, network.eval(), json.loads((out / RUN).read_text()))


def code_identity() -> str:
    """SHA-256 over the package's Python files, names and contents; lower-case hex."""
    root = Path(__file__).resolve().parents[1]
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def _rows(recipe: Recipe, manifest: Manifest) -> Manifest:
    wanted = manifest.where(split=[Split.TRAIN, Split.VALIDATION])
    silent = {source for source, share in recipe.data.source_share.items() if share == 0}
    sources, splits = np.asarray(wanted.column("source")), np.asarray(wanted.column("split"))
    keep = ~np.isin(sources, list(recipe.data.leave_out)) & ~(np.isin(sources, list(silent)) & (splits == Split.TRAIN))
    rows = wanted.select(keep)
    for split in (Split.TRAIN, Split.VALIDATION):
        if not len(rows.where(split=split)):
            raise ManifestError(
                "empty_split", f"no row has the split {split.value!r}", way_out="Run 'dermaloop curate split' first."
            )
    return rows


def _claim(out: Path, recipe: Recipe, identity: dict[str, str]) -> None:
    """Takes the folder for this recipe and manifest, or finds that it is theirs already."""
    path = out / RECIPE
    try:
        if path.is_file():
            found = json.loads(path.read_text())["identity"]
            differs = [name.removesuffix("_sha256") for name in identity if found[name] != identity[name]]
            if differs:
                raise RecipeError(
                    f"this folder holds a run of another {' and '.join(differs)}",
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
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    temporary.replace(path)


def _take(labels: dataset.Targets, index: np.ndarray[Any, np.dtype[np.int64]]) -> dataset.Targets:
    return dataset.Targets(labels.candidates[index], labels.fine[index], [labels.sources[i] for i in index.tolist()])


def _class_share(
    labels: dataset.Targets, weights: np.ndarray[Any, np.dtype[np.float64]]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    shares = labels.candidates / labels.candidates.sum(axis=1, keepdims=True)
    total: np.ndarray[Any, np.dtype[np.float64]] = (shares * weights[:, None]).sum(axis=0)
    return total


def _precision(wanted: str) -> Any:
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "bf16-mixed" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "32-true"  # noqa: SLF001 - no public test exists


class _LastCheckpoint(ModelCheckpoint):
    """Saves at each epoch's end, and where a signal or an error stops the run."""

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, SIGTERMException | KeyboardInterrupt):
            folder = Path(self.dirpath or ".")
            trainer.save_checkpoint(folder / "interrupted.tmp")
            (folder / "interrupted.tmp").replace(folder / "interrupted.ckpt")
        del pl_module


def _callbacks(recipe: Recipe, folder: Path, *, show_progress: bool) -> list[Callback]:
    checkpoints = folder / "checkpoints"
    callbacks: list[Callback] = [
        _LastCheckpoint(
            checkpoints, filename="epoch-{epoch:04d}", monitor=None, save_top_k=1, auto_insert_metric_name=False
        ),
    ]
    if recipe.run.keep == "best":
        callbacks.append(
            ModelCheckpoint(
                checkpoints,
                filename="best",
                monitor="validation_score",
                mode="max",
                save_top_k=1,
                enable_version_counter=False,
            )
        )
    if recipe.run.patience:
        callbacks.append(EarlyStopping("validation_score", mode="max", patience=recipe.run.patience))
    if recipe.optimiser.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=recipe.optimiser.ema_decay))
    if show_progress:
        callbacks.append(RichProgressBar())
    return callbacks


def _resume_point(folder: Path) -> Path | None:
    found = [path for path in (folder / "checkpoints").glob("*.ckpt") if path.name != "best.ckpt"]
    steps = {
        path: int(torch.load(path, map_location="cpu", weights_only=False, mmap=True)["global_step"]) for path in found
    }
    return max(steps, key=lambda path: steps[path]) if steps else None


def _fit(
    recipe: Recipe,
    module: Module,
    train_pictures: dataset.Pictures,
    validation_pictures: dataset.Pictures,
    weights: Any,
    out: Path,
    *,
    show_progress: bool,
) -> float:
    run = recipe.run
    rank, ranks = int(os.environ.get("RANK", "0")), max(1, run.devices * run.nodes)
    trainer = lightning.Trainer(
        max_steps=run.steps, max_epochs=-1, limit_train_batches=run.steps_per_epoch, precision=_precision(run.precision),
        gradient_clip_val=recipe.optimiser.clip_norm or None, devices=run.devices, num_nodes=run.nodes, strategy=run.strategy,
        logger=CSVLogger(out, name=None, version="log"), callbacks=_callbacks(recipe, out, show_progress=show_progress),
        enable_progress_bar=show_progress, enable_model_summary=False, use_distributed_sampler=False, log_every_n_steps=20,
        num_sanity_val_steps=0, benchmark=True, default_root_dir=out,
    )  # fmt: skip
    sampler = dataset.StepSampler(
        weights, run.batch, recipe.seed, run.steps_per_epoch, lambda: trainer.global_step, rank=rank, ranks=ranks
    )
    loaders = (
        dataset.loader(train_pictures, sampler, batch=run.batch, workers=run.workers),
        dataset.loader(validation_pictures, None, batch=run.batch, workers=0),
    )
    begun = time.monotonic()
    resume = _resume_point(out)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", module="lightning"
            )  # hints about workers and logging that do not apply here
            warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
            trainer.fit(module, *loaders, ckpt_path=resume, weights_only=False)
    except SIGTERMException as error:
        raise Interrupted(
            f"stopped by a signal at step {trainer.global_step} of {run.steps}; a checkpoint is saved",
            where=str(out),
            way_out="The same command resumes.",
        ) from error
    if trainer.global_step < run.steps and not trainer.should_stop:
        raise Interrupted(
            f"stopped at step {trainer.global_step} of {run.steps}; a checkpoint is saved",
            where=str(out),
            way_out="The same command resumes.",
        )
    return time.monotonic() - begun


def _finish(
    recipe: Recipe, module: Module, rows: Manifest, out: Path, identity: dict[str, str], seconds: float
) -> Trained:
    """Stores the weights that the recipe keeps, and what the run was."""
    best = out / "checkpoints" / "best.ckpt"
    if recipe.run.keep == "best" and best.is_file():
        state = torch.load(best, map_location="cpu", weights_only=False)["state_dict"]
        module.load_state_dict(state)
    network = module.network.cpu().to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    temporary = out / f"{WEIGHTS}.tmp"
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, temporary)
    temporary.replace(out / WEIGHTS)
    train_rows = rows.where(split=Split.TRAIN)
    sources, counts = np.unique(train_rows.column("source"), return_counts=True)
    facts = {
        **identity,
        "code_sha256": code_identity(),
        "steps": recipe.run.steps,
        "last_session_s": round(seconds, 1),
        "training_images": dict(zip(sources.tolist(), counts.tolist(), strict=True)),
        "validation": {
            name: float(value) for name, value in module.trainer.callback_metrics.items() if name != "train_loss"
        },
    }
    _write_json(out / RUN, facts)
    return Trained(recipe, network, facts)
