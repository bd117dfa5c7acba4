"""The loop: Lightning's trainer, set up so that a stopped run goes on as if it had never stopped.

Owns checkpoints, signals and what is read back from a checkpoint. Loop, precision, devices, averaging and schedule are
Lightning's. A checkpoint is written after each epoch, and where a signal stops the run within one; never in the middle
of a step or of a validation, where the averaged weights stand in for the trained ones. The trade-off: a signal in a
validation waits for its end.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from numpy.typing import NDArray

from dermaloop.core.errors import DermaloopError, OutputError
from dermaloop.training import dataset
from dermaloop.training.module import Module
from dermaloop.training.recipe import Recipe

CHECKPOINTS = "checkpoints"
BEST, INTERRUPTED = "best.ckpt", "interrupted.ckpt"
_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
_HARMLESS = (
    r".*does not have many workers.*",  # batches come from memory, see dataset
    r".*smaller than the logging interval.*",
    r".*lr_scheduler\.step.*",  # said wrongly after each resume
    r".*Experiment logs directory .* exists and is not empty.*",  # former logs are set aside first
    r".*Checkpoint directory .* exists and is not empty.*",  # that is what resuming is
    r".*could not find the monitored key.*",  # at an epoch end passed once more, see _Stopping
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning by way of torch
    r".*Precision .*-mixed is not supported by the model summary.*",
    r".*GPU available but not used.*",
    r".*in eval mode at the start of training.*",  # frozen blocks must be
    r".*Be aware that when using `ckpt_path`, callbacks used to create the checkpoint.*",
)


class InterruptedRunError(DermaloopError):
    """The run was stopped by a signal; a checkpoint is saved."""

    code = "interrupted"


def fit(
    module: Module,
    training: dataset.Pictures,
    weights: NDArray[np.float64],
    validation: dataset.Pictures,
    folder: Path,
    *,
    show_progress: bool,
) -> tuple[lightning.Trainer, float]:
    """Trains to the recipe's end, from the last checkpoint in the folder where there is one.

    Args:
        module: The network, with its recipe.
        training: Pictures to draw from.
        weights: float64 (N,), probability of each to be drawn.
        validation: Pictures to validate on.
        folder: Run folder.
        show_progress: Bars on a terminal.

    Returns:
        The trainer, and the seconds that this session took.

    Raises:
        InterruptedRunError: A signal stopped the run; its checkpoint is saved.
        OutputError: A checkpoint or a log cannot be written.
    """
    recipe, run = module.recipe, module.recipe.run
    with quiet():
        trainer = make_trainer(
            recipe, folder, callbacks(recipe, folder, show_progress=show_progress), show_progress=show_progress
        )
        sampler = dataset.StepSampler(
            weights,
            run.batch,
            recipe.seed,
            run.steps_per_epoch,
            lambda: trainer.global_step,
            ranks=lambda: (trainer.global_rank, trainer.world_size),
        )
        loaders = (
            dataset.loader(training, sampler, batch=run.batch, workers=run.workers),
            dataset.loader(validation, None, batch=run.batch, workers=0),
        )
        _set_former_log_aside(folder / "log" / "metrics.csv")
        begun = time.monotonic()
        try:
            with _gentle_interrupt():
                trainer.fit(module, *loaders, ckpt_path=last_checkpoint(folder), weights_only=False)
        except SIGTERMException as error:
            raise _interrupted(trainer, folder) from error
        except SystemExit as error:  # Lightning's answer to a second Ctrl-C
            raise KeyboardInterrupt from error
        except OSError as error:
            if error.errno not in _CANNOT_WRITE:
                raise
            what = f"the run cannot be stored ({error.strerror})"
            way_out = "Free space; the same command resumes from the last checkpoint."
            raise OutputError(what, where=str(folder), way_out=way_out) from error
    if trainer.global_step < run.steps and not trainer.should_stop:
        raise _interrupted(trainer, folder)
    return trainer, time.monotonic() - begun


def _interrupted(trainer: lightning.Trainer, folder: Path) -> InterruptedRunError:
    path = last_checkpoint(folder)
    saved = f"the checkpoint is of step {_load(path)['global_step']}" if path else "there is no checkpoint yet"
    return InterruptedRunError(
        f"stopped by a signal at step {trainer.global_step} of {trainer.max_steps}; {saved}",
        where=str(folder),
        way_out="The same command resumes.",
    )


def make_trainer(recipe: Recipe, folder: Path, hooks: list[Callback], *, show_progress: bool) -> lightning.Trainer:
    """Lightning's trainer by the recipe's `run` and `optimiser`."""
    run = recipe.run
    return lightning.Trainer(
        max_steps=run.steps,
        max_epochs=-1,
        limit_train_batches=run.steps_per_epoch,
        precision=precision(run.precision),
        gradient_clip_val=recipe.optimiser.clip_norm or None,
        devices=run.devices,
        num_nodes=run.nodes,
        strategy=run.strategy,
        logger=CSVLogger(folder, name=None, version="log"),
        callbacks=hooks,
        enable_progress_bar=show_progress,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=20,
        num_sanity_val_steps=0,
        benchmark=True,
        default_root_dir=folder,
    )


def precision(wanted: str) -> Any:
    """Lightning's name of the precision; `auto` takes bf16, else fp16, where the hardware has it."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "bf16-mixed" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "32-true"  # noqa: SLF001 - no public test exists


class _LastCheckpoint(ModelCheckpoint):
    """Saves at each epoch's end, and where a signal stops the run within one."""

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Saves, where the run stands between two steps; at an epoch's end there is a checkpoint already."""
        del pl_module
        if isinstance(exception, SIGTERMException) and trainer.global_step % int(trainer.limit_train_batches):
            folder = Path(self.dirpath or ".")
            trainer.save_checkpoint(folder / "interrupted.tmp")
            if trainer.is_global_zero:
                (folder / "interrupted.tmp").replace(folder / INTERRUPTED)


class _Stopping(EarlyStopping):
    """Early stopping that a resumed run may have too.

    Lightning passes the end of an epoch once more when it resumes from there, without figures; they were counted before
    the checkpoint was written. And a run that had stopped stays stopped when it is opened again before it was finished.
    """

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stops at once where the checkpoint says that the run had stopped."""
        del pl_module
        if self.stopped_epoch:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Counts the epoch, where it was validated now."""
        if self.monitor in trainer.callback_metrics:
            super().on_train_epoch_end(trainer, pl_module)


class _WholeValidation(Callback):
    """Lets SIGTERM wait for the end of a validation: within one, averaged and trained weights are exchanged."""

    def __init__(self) -> None:
        self._former: Any = None
        self._received = False

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Remembers a signal from here on ..."""
        del trainer, pl_module

        def remember(number: int, frame: FrameType | None) -> None:
            del number, frame
            self._received = True

        if threading.current_thread() is threading.main_thread():
            self._former = signal.signal(signal.SIGTERM, remember)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """... and passes it on."""
        del trainer, pl_module
        if self._former is not None:
            signal.signal(signal.SIGTERM, self._former)
            self._former = None
        if self._received:
            self._received = False
            signal.raise_signal(signal.SIGTERM)


def callbacks(recipe: Recipe, folder: Path, *, show_progress: bool) -> list[Callback]:
    """Checkpoints, early stopping, weight averaging and progress by the recipe."""
    checkpoints = folder / CHECKPOINTS
    found: list[Callback] = [
        _LastCheckpoint(
            checkpoints, filename="epoch-{epoch:04d}", monitor=None, save_top_k=1, auto_insert_metric_name=False
        ),
        _WholeValidation(),
    ]
    if recipe.run.keep == "best":
        found.append(
            ModelCheckpoint(
                checkpoints,
                filename=Path(BEST).stem,
                monitor="validation_score",
                mode="max",
                save_top_k=1,
                enable_version_counter=False,
            )
        )
    if recipe.run.patience:
        found.append(_Stopping("validation_score", mode="max", patience=recipe.run.patience))
    if recipe.optimiser.ema_decay:
        found.append(EMAWeightAveraging(decay=recipe.optimiser.ema_decay))
    if show_progress:
        found.append(RichProgressBar())
    return found


def last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the latest step; None where there is none."""
    found = [path for path in sorted((folder / CHECKPOINTS).glob("*.ckpt")) if path.name != BEST]
    steps = {path: int(_load(path)["global_step"]) for path in found}
    return max(steps, key=lambda path: steps[path]) if steps else None


def kept_state(recipe: Recipe, folder: Path) -> dict[str, torch.Tensor]:
    """The weights that the recipe keeps, averaged where it averages: the module's state of a finished run."""
    best = folder / CHECKPOINTS / BEST
    path = best if recipe.run.keep == "best" and best.is_file() else last_checkpoint(folder)
    assert path is not None, "a finished run has a checkpoint"
    state: dict[str, torch.Tensor] = _load(path)["state_dict"]
    return state


def _load(path: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False, mmap=True)
    return checkpoint


def _set_former_log_aside(path: Path) -> None:
    """Renames the log of the session before, which the logger would delete."""
    if path.is_file():
        number = 1 + len(list(path.parent.glob(f"{path.stem}-*.csv")))
        path.rename(path.with_name(f"{path.stem}-{number}.csv"))


@contextlib.contextmanager
def _gentle_interrupt() -> Iterator[None]:
    """The first Ctrl-C stops as SIGTERM does, after the step; the second at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.getsignal(signal.SIGINT)

    def once(number: int, frame: FrameType | None) -> None:
        del number, frame
        signal.signal(signal.SIGINT, former)
        signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps Lightning from saying what does not apply here."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in _HARMLESS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        log.setLevel(level)
