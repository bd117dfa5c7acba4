"""The loss over fine and coarse labels, its balancing, mixing, and the schedule of a run."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from dermaloop.core.taxonomy import Diagnosis
from dermaloop.training import recipe
from dermaloop.training.dataset import Targets
from dermaloop.training.module import Module, attention_loss, candidate_loss
from dermaloop.training.network import build
from support.trainings import small

K = len(Diagnosis)
some_logits = st.lists(st.floats(-8, 8), min_size=K, max_size=K).map(
    lambda row: torch.tensor([row], dtype=torch.float64)
)
some_candidates = st.lists(st.booleans(), min_size=K, max_size=K).filter(any).map(lambda row: torch.tensor([row]))


def one_hot(*classes):
    return functional.one_hot(torch.tensor(classes), K).bool()


@settings(deadline=None)
@given(some_logits, st.integers(0, K - 1), st.floats(0, 0.5))
def test_for_a_fine_label_it_is_cross_entropy(logits, label, smoothing):
    found = candidate_loss(logits, one_hot(label), label_smoothing=smoothing)
    expected = functional.cross_entropy(
        logits.float(), torch.tensor([label]), label_smoothing=smoothing, reduction="none"
    )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@settings(deadline=None)
@given(some_logits, some_candidates)
def test_for_a_coarse_label_it_is_minus_the_log_of_the_summed_probability(logits, candidates):
    summed = (torch.softmax(logits, dim=1) * candidates).sum(dim=1)
    found = candidate_loss(logits, candidates, label_smoothing=0.1 if candidates.sum() > 1 else 0.0)
    torch.testing.assert_close(found, -summed.log().float(), atol=1e-4, rtol=1e-4)


@settings(deadline=None)
@given(some_logits, some_candidates)
def test_its_gradient_pulls_from_all_towards_the_candidates(logits, candidates):
    logits.requires_grad_(True)
    candidate_loss(logits, candidates).sum().backward()
    probability = torch.softmax(logits.detach(), dim=1)
    within = torch.softmax(logits.detach().masked_fill(~candidates, -torch.inf), dim=1)
    torch.testing.assert_close(logits.grad, probability - within, atol=1e-5, rtol=1e-3)
    assert torch.isfinite(logits.grad).all()


def test_a_label_that_leaves_all_open_teaches_nothing():
    logits = torch.randn(3, K, requires_grad=True)
    loss = candidate_loss(logits, torch.ones(3, K, dtype=torch.bool))
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(logits.grad, torch.zeros(3, K), atol=1e-6, rtol=0)


def test_extreme_logits_stay_finite():
    logits = torch.tensor([[200.0, -200.0] + [0.0] * (K - 2)])
    assert float(candidate_loss(logits, one_hot(1))) == pytest.approx(400)
    assert float(candidate_loss(logits, one_hot(0))) == 0


def test_logit_adjustment_asks_more_of_rare_classes():
    prior = torch.tensor([0.9, 0.1] + [1e-4] * (K - 2)).log()
    logits = torch.zeros(2, K)
    common, rare = candidate_loss(logits, one_hot(0, 1), log_prior=prior)
    assert float(rare) > float(common)
    expected = functional.cross_entropy(logits + prior, torch.tensor([0, 1]), reduction="none")
    torch.testing.assert_close(torch.stack([common, rare]), expected)


def test_class_weights_multiply_and_a_coarse_label_takes_their_mean():
    weight = torch.arange(1.0, K + 1)
    candidates = torch.cat([one_hot(2), torch.tensor([[True, True, False, True] + [False] * (K - 4)])])
    logits = torch.randn(2, K)
    ratio = candidate_loss(logits, candidates, class_weight=weight) / candidate_loss(logits, candidates)
    torch.testing.assert_close(ratio, torch.tensor([3.0, (1 + 2 + 4) / 3]))


def test_attention_is_held_to_the_outlined_rows_only():
    masks = torch.zeros(3, 1, 8, 8)
    masks[:, :, :4] = 1  # the upper half
    right = torch.full((3, 2, 2), -9.0)
    right[:, 0] = 9.0
    wrong = -right
    rows = torch.tensor([True, False, True])
    assert float(attention_loss(right, masks, rows)) == pytest.approx(0, abs=1e-3)
    assert float(attention_loss(wrong, masks, rows)) == pytest.approx(9, abs=0.01)
    mixed = torch.stack([right[0], wrong[1], right[2]])
    assert float(attention_loss(mixed, masks, rows)) == pytest.approx(0, abs=1e-3)
    assert float(attention_loss(wrong, masks, torch.zeros(3, dtype=torch.bool))) == 0


def module(share=None, **tables):
    how = recipe.parse(small(**tables))
    nothing = Targets(np.zeros((0, K), dtype=bool), np.zeros(0, dtype=np.int64), [])
    return Module(build(how.network), how, np.full(K, 1 / K) if share is None else np.asarray(share), nothing)


def test_the_recipes_balance_reaches_the_loss():
    share = np.array([0.8, 0.2] + [0.0] * (K - 2))
    assert module(share).log_prior is None
    adjusted = module(share, loss={"balance": "logit_adjusted", "tau": 0.5})
    torch.testing.assert_close(adjusted.log_prior[:2], 0.5 * torch.tensor([0.8, 0.2]).log())
    weighted = module(share, loss={"balance": "class_weighted", "tau": 1.0})
    assert float(weighted.class_weight[1] / weighted.class_weight[0]) == pytest.approx(4)
    drawn = torch.tensor(share, dtype=torch.float32).clamp_min(1e-4)
    assert float((weighted.class_weight * drawn).sum()) == pytest.approx(1)  # the mean loss keeps its size
    assert torch.isfinite(weighted.class_weight).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["mixup", "cutmix"]))
def test_mixing_shares_pictures_as_it_says(seed, kind):
    made = _mixing[kind]
    images = torch.arange(6.0)[:, None, None, None].expand(6, 3, 32, 32).contiguous()
    before = images.clone()
    mixed, other, share = made._mix(images, torch.Generator().manual_seed(seed))
    assert torch.equal(images, before)
    assert sorted(other.tolist()) == list(range(6))
    assert 0 <= share <= 1
    expected = share * torch.arange(6.0) + (1 - share) * other.float()
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), expected, atol=1e-4, rtol=1e-4)
    if kind == "cutmix":
        values = torch.stack([torch.arange(6.0), other.float()], dim=1)
        for row in range(6):
            assert set(mixed[row].unique().tolist()) <= set(values[row].tolist())


_mixing = {kind: module(augment={kind: 0.6}) for kind in ("mixup", "cutmix")}


def test_without_mixing_nothing_is_mixed():
    images = torch.rand(4, 3, 32, 32)
    mixed, other, share = module()._mix(images, torch.Generator())
    assert mixed is images
    assert other is None
    assert share == 1


def test_the_side_grows_with_the_run():
    made = module(run={"steps": 100, "steps_per_epoch": 10, "train_px": [[0.0, 32], [0.5, 40], [0.85, 48]]})
    assert [made.size_at(step) for step in (0, 49, 50, 84, 85, 99)] == [32, 32, 40, 40, 48, 48]


def test_rates_warm_up_and_fall_to_zero_and_norms_do_not_decay():
    made = module(
        run={"steps": 100, "steps_per_epoch": 10},
        optimiser={"rate": 0.01, "head_rate_factor": 3.0, "weight_decay": 0.1, "warm_up_share": 0.1},
    )
    found = made.configure_optimizers()
    optimiser, scheduler = found["optimizer"], found["lr_scheduler"]["scheduler"]
    assert found["lr_scheduler"]["interval"] == "step"
    rates = []
    for _ in range(100):
        rates.append([group["lr"] for group in optimiser.param_groups])
        optimiser.step()
        scheduler.step()
    highest = np.max(rates, axis=0)
    assert set(highest.round(6)) == {0.01, 0.03}
    relative = np.array(rates) / highest
    assert relative[0] == pytest.approx(0.1)
    assert relative[9] == pytest.approx(1)
    assert (np.diff(relative[10:], axis=0) <= 1e-12).all()
    assert relative[99].max() < 0.001
    for group in optimiser.param_groups:
        assert all(parameter.ndim > 1 for parameter in group["params"]) == (group["weight_decay"] > 0)
    counted = sum(parameter.numel() for group in optimiser.param_groups for parameter in group["params"])
    assert counted == sum(parameter.numel() for parameter in made.network.parameters())
