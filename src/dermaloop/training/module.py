"""One training step, one validation, as a Lightning module.

Owns the loss over coarse labels and the seeding of each step, which makes a step a function of (seed, step, weights)
and so a resumed run equal to an uninterrupted one.
"""

from __future__ import annotations

import math
from typing import Any, Self

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from timm.optim import param_groups_weight_decay  # type: ignore[attr-defined]  # timm lists no exports
from torch import Tensor
from torch.nn import functional

from dermaloop.core.errors import RecipeError
from dermaloop.training.augment import augment, plain
from dermaloop.training.dataset import Batch, Targets
from dermaloop.training.network import LesionNetwork, Passed, classifier, frozen_blocks, normalisation
from dermaloop.training.recipe import Recipe
from dermaloop.training.validation import validation_scores

_OTHER_RANK = 15_485_863
"""A prime between the seeds of processes that train together; the first one keeps the run's own."""


def candidate_loss(
    logits: Tensor,
    candidates: Tensor,
    *,
    label_smoothing: float = 0.0,
    log_prior: Tensor | None = None,
    class_weight: Tensor | None = None,
) -> Tensor:
    """Negative log of the summed probability of the diagnoses that a label leaves possible.

    For a fine label this is cross-entropy. For a coarse one it asks only for what is known.

    Args:
        logits: float (N, K).
        candidates: bool (N, K), at least one true in each row.
        label_smoothing: Weight of the uniform distribution, for fine labels.
        log_prior: float (K,), added to the logits (logit adjustment). Source: Menon et al. 2021, arXiv:2007.07314.
        class_weight: float (K,); a coarse label takes the mean weight of its candidates.

    Returns:
        float (N,), at least 0 without smoothing.
    """
    adjusted = logits if log_prior is None else logits + log_prior
    log_probability = functional.log_softmax(adjusted.float(), dim=1)
    loss = -torch.logsumexp(log_probability.masked_fill(~candidates, -torch.inf), dim=1)
    if label_smoothing:
        fine = candidates.sum(dim=1) == 1
        smooth = (1 - label_smoothing) * loss - label_smoothing * log_probability.mean(dim=1)
        loss = torch.where(fine, smooth, loss)
    if class_weight is not None:
        loss = loss * (candidates * class_weight).sum(dim=1) / candidates.sum(dim=1)
    return loss


def attention_loss(attention_logits: Tensor, masks: Tensor, outlined: Tensor) -> Tensor:
    """Binary cross-entropy of the attention against the share of each place that the outlined lesion covers.

    Args:
        attention_logits: float (N, h, w).
        masks: float (N, 1, H, W) in [0, 1], 1 on the lesion.
        outlined: bool (N,), rows that have a mask; the others do not count.

    Returns:
        The mean over the outlined rows; 0 where there is none.
    """
    covered = functional.adaptive_avg_pool2d(masks, (attention_logits.shape[1], attention_logits.shape[2]))[:, 0]
    loss = functional.binary_cross_entropy_with_logits(attention_logits.float(), covered, reduction="none").mean(
        dim=(1, 2)
    )
    return (loss * outlined).sum() / outlined.sum().clamp_min(1)


class Module(lightning.LightningModule):
    """The network in training.

    Args:
        network: See `training.network`.
        recipe: All settings.
        class_share: float (K,), share of each class among the drawn fine labels, for the balancing losses.
        validation: Labels of the validation rows.
    """

    mean: Tensor
    std: Tensor
    log_prior: Tensor | None
    class_weight: Tensor | None

    def __init__(
        self, network: LesionNetwork, recipe: Recipe, class_share: NDArray[np.float64], validation: Targets
    ) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self._validation = validation
        self._frozen = tuple(frozen_blocks(network, recipe.network))
        self._outputs: list[tuple[Tensor, Tensor]] = []
        mean, std = normalisation(network)
        self.register_buffer("mean", mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", std.view(1, 3, 1, 1), persistent=False)
        share = torch.tensor(class_share, dtype=torch.float32).clamp_min(1e-4)
        balance, tau = recipe.loss.balance, recipe.loss.tau
        self.register_buffer("log_prior", tau * share.log() if balance == "logit_adjusted" else None, persistent=False)
        weight = share**-tau
        self.register_buffer(
            "class_weight", weight / (weight * share).sum() if balance == "class_weighted" else None, persistent=False
        )
        self.train()  # Lightning keeps the modes as it finds them

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's signature
        """Training or evaluation mode; frozen blocks stay in the second."""
        super().train(mode)
        for block in self._frozen:
            block.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of pictures, float (N, 3, S, S) in [0, 1]."""
        return self.run(images).logits

    def run(self, images: Tensor) -> Passed:
        """All outputs of the network for pictures, float (N, 3, S, S) in [0, 1]."""
        return self.network.run((images - self.mean) / self.std)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Makes the network's input of the stored pictures, on the training device and in full precision."""
        del dataloader_idx
        if not self.trainer.training:
            return {**batch, "image": plain(batch["picture"], self.recipe.run.evaluate_px)}
        generator = torch.Generator().manual_seed(self._step_seed())
        size_px = self.size_at(self.global_step)
        images, masks = augment(batch["picture"], size_px, self.recipe.augment, generator, masks=batch.get("mask"))
        images, other, share = self._mix(images, generator)
        mixed = {} if other is None else {"other": other, "share": torch.tensor(share)}
        outlines = {} if masks is None else {"outline": masks}
        return {**batch, "image": images, **mixed, **outlines}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one drawn batch."""
        del batch_idx  # within the epoch; all draws depend on the step of the run
        torch.manual_seed(self._step_seed())  # dropout
        passed, candidates = self.run(batch["image"]), batch["candidates"]
        logits = passed.logits
        loss = self._loss(logits, candidates)
        if "other" in batch:
            share = batch["share"]
            loss = share * loss + (1 - share) * self._loss(logits, candidates[batch["other"]])
        mean = loss.mean()
        if "outline" in batch and passed.attention_logits is not None:
            mask_loss = attention_loss(passed.attention_logits, batch["outline"], batch["outlined"])
            self.log("mask_loss", mask_loss.detach())
            mean = mean + self.recipe.loss.mask_weight * mask_loss
        self.log("train_loss", mean.detach(), prog_bar=True)
        return mean

    def _step_seed(self) -> int:
        return self.recipe.seed * 1_000_003 + self.global_step + _OTHER_RANK * self.global_rank

    def size_at(self, step: int) -> int:
        """Side of the training pictures at a step, in pixels."""
        done = step / self.recipe.run.steps
        return [px for start, px in self.recipe.run.train_px if start <= done][-1]

    def _loss(self, logits: Tensor, candidates: Tensor) -> Tensor:
        how = self.recipe.loss
        return candidate_loss(
            logits,
            candidates,
            label_smoothing=how.label_smoothing,
            log_prior=self.log_prior,
            class_weight=self.class_weight,
        )

    def _mix(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None, float]:
        """Mixup or cutmix of the batch with a shuffle of itself; the shuffle and the share of the first."""
        how = self.recipe.augment
        kinds = [kind for kind, alpha in (("mixup", how.mixup), ("cutmix", how.cutmix)) if alpha > 0]
        if not kinds:
            return images, None, 1.0
        kind = kinds[int(torch.randint(len(kinds), (1,), generator=generator))]
        alpha = how.mixup if kind == "mixup" else how.cutmix
        draw = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
        share = float(draw.beta(alpha, alpha))
        other = torch.randperm(len(images), generator=generator).to(images.device)
        if kind == "mixup":
            return share * images + (1 - share) * images[other], other, share
        size = images.shape[-1]
        side = int(size * math.sqrt(1 - share))
        top, left = (int(draw.integers(0, size - side + 1)) for _ in range(2))
        images = images.clone()
        images[:, :, top : top + side, left : left + side] = images[other][:, :, top : top + side, left : left + side]
        return images, other, 1 - (side / size) ** 2

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keeps the probabilities of one batch."""
        del batch_idx
        logits = self(batch["image"])
        self._outputs.append((batch["index"], functional.softmax(logits.float(), dim=1)))

    def on_validation_epoch_end(self) -> None:
        """Logs the validation figures and `validation_score`, higher is better; see `training.validation`.

        Raises:
            RecipeError: The network has come to nothing: its probabilities are not numbers.
        """
        index = torch.cat([rows for rows, _ in self._outputs]).cpu().numpy()
        probability = torch.cat([values for _, values in self._outputs]).cpu().numpy()
        self._outputs.clear()
        if not np.isfinite(probability).all():
            what = f"the training diverged: after {self.global_step} steps the network's output is not a number"
            way_out = "Lower optimiser.rate or optimiser.clip_norm, or set run.precision to '32-true'."
            raise RecipeError(what, where=self.recipe.name, way_out=way_out)
        for name, value in validation_scores(probability, self._validation, index).items():
            self.log(name, value, prog_bar=name == "validation_score")

    def configure_optimizers(self) -> Any:
        """AdamW without decay of norms and biases, linear warm-up, cosine decay to zero."""
        how, steps = self.recipe.optimiser, self.recipe.run.steps
        head = {id(parameter) for parameter in classifier(self.network).parameters()}
        groups = []
        for group in param_groups_weight_decay(self.network, how.weight_decay):
            for is_head in (False, True):
                chosen = [parameter for parameter in group["params"] if (id(parameter) in head) == is_head]
                rate = how.rate * (how.head_rate_factor if is_head else 1)
                if chosen:
                    groups.append({"params": chosen, "weight_decay": group["weight_decay"], "lr": rate})
        optimiser = torch.optim.AdamW(groups)
        warm_up = max(1, round(how.warm_up_share * steps))

        def factor(step: int) -> float:
            if step < warm_up:
                return (step + 1) / warm_up
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / max(1, steps - warm_up))))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
