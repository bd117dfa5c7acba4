"""Changes are random, bounded, a function of the generator, and off where the recipe says 0."""

import dataclasses

import numpy as np
import pytest
import torch

from dermaloop.core.synthetic import draw_lesion
from dermaloop.training.augment import augment, plain
from dermaloop.training.recipe import Augment

OFF = Augment(
    rotate=False,
    scale=(1.0, 1.0),
    **{field.name: 0.0 for field in dataclasses.fields(Augment) if field.type == "float"},
)
SWITCHES = {
    "rotate": True,
    "scale": (0.6, 0.7),
    "aspect": 0.5,
    "shift": 0.2,
    "brightness": 0.5,
    "contrast": 0.5,
    "saturation": 0.5,
    "white_balance": 0.3,
    "hue": 0.2,
    "gamma": 0.5,
    "light": 0.8,
    "blur": 1.0,
    "noise": 0.2,
    "vignette": 1.0,
    "hair": 1.0,
    "erase": 1.0,
    "jpeg": 1.0,
}


def batch(number=6, side=48):
    return torch.from_numpy(np.stack([np.asarray(draw_lesion(seed, size_px=side)) for seed in range(number)]))


def one_picture(number=6, side=48):
    return batch(1, side).repeat(number, 1, 1, 1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def changed(pictures, how, size_px=48, seed=0):
    return augment(pictures, size_px, how, generator(seed))[0]


def test_with_every_switch_at_0_the_picture_stays():
    pictures = batch()
    torch.testing.assert_close(changed(pictures, OFF), plain(pictures, 48), atol=2e-3, rtol=0)


def test_the_switches_named_here_are_all_there_are():
    assert set(SWITCHES) | {"mixup", "cutmix"} == {field.name for field in dataclasses.fields(Augment)}


@pytest.mark.parametrize("name", SWITCHES)
def test_each_switch_changes_the_picture_and_stays_in_range(name):
    how = dataclasses.replace(OFF, **{name: SWITCHES[name]})
    pictures = one_picture()
    found = changed(pictures, how)
    assert found.shape == (6, 3, 48, 48)
    assert found.dtype == torch.float32
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert torch.isfinite(found).all()
    differences = (found - plain(pictures, 48)).abs().mean(dim=(1, 2, 3))
    assert float(differences.max()) > 2e-3


# One strength of blur a batch; of the whole-numbered qualities two pictures may draw the same.
@pytest.mark.parametrize("name", [name for name in SWITCHES if name not in {"blur", "jpeg"}])
def test_each_picture_gets_its_own_draw(name):
    found = changed(one_picture(), dataclasses.replace(OFF, **{name: SWITCHES[name]}))
    # Powers and noise take every second or third picture only, so look at those.
    some = found[::2] if name == "gamma" else found[::3] if name == "noise" else found
    for first in range(len(some)):
        for second in range(first):
            assert float((some[first] - some[second]).abs().max()) > 1e-3


def test_compression_draws_many_qualities():
    found = changed(one_picture(24), dataclasses.replace(OFF, jpeg=1.0))
    assert len({picture.numpy().tobytes() for picture in found}) > 12


@pytest.mark.parametrize("name", ["blur", "vignette", "hair", "erase", "jpeg"])
def test_a_probability_is_the_share_of_pictures_changed(name):
    pictures = one_picture(400, side=32)
    how = dataclasses.replace(OFF, **{name: 0.3})
    touched = (changed(pictures, how, 32) - plain(pictures, 32)).abs().amax(dim=(1, 2, 3)) > 0.01
    assert float(touched.float().mean()) == pytest.approx(0.3, abs=0.09)


def test_the_generator_decides_everything():
    pictures, how = batch(), Augment()
    torch.manual_seed(1)
    first = changed(pictures, how, seed=4)
    torch.manual_seed(2)
    np.random.default_rng(3)
    assert torch.equal(first, changed(pictures, how, seed=4))
    assert not torch.equal(first, changed(pictures, how, seed=5))


def test_the_stored_pictures_are_not_touched():
    pictures = batch()
    before = pictures.clone()
    changed(pictures, Augment())
    assert torch.equal(pictures, before)


@pytest.mark.parametrize("size_px", [20, 32, 48, 64])
def test_the_result_has_the_side_asked_for_and_the_memory_order_of_the_network(size_px):
    found = changed(batch(), Augment(), size_px)
    assert found.shape == (6, 3, size_px, size_px)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert plain(batch(), size_px).shape == (6, 3, size_px, size_px)


def test_plain_at_the_stored_side_is_the_picture():
    pictures = batch()
    assert torch.equal((plain(pictures, 48) * 255).round().to(torch.uint8), pictures.permute(0, 3, 1, 2))


def test_rotation_turns_and_flips_but_keeps_the_colours():
    pictures = one_picture(40)
    found = changed(pictures, dataclasses.replace(OFF, rotate=True))
    original = plain(pictures, 48)
    torch.testing.assert_close(
        found[:, :, 12:36, 12:36].mean(dim=(2, 3)), original[:, :, 12:36, 12:36].mean(dim=(2, 3)), atol=0.03, rtol=0
    )
    top = found[:, :, :8].mean(dim=(1, 2, 3)) - found[:, :, -8:].mean(dim=(1, 2, 3))
    assert float(top.std()) > 1e-3  # no direction is up


def test_masks_follow_the_geometry_of_their_picture_and_nothing_else():
    side = 64
    pictures = torch.zeros(8, side, side, 3, dtype=torch.uint8)
    pictures[:, 10:40, 20:30] = 255
    masks = pictures[..., 0].clone()
    how = dataclasses.replace(Augment(), blur=0.0, hair=0.0, erase=0.0, vignette=0.0, noise=0.0, light=0.0)
    moved, placed = augment(pictures, side, how, generator(), masks=masks)
    assert placed.shape == (8, 1, side // 4, side // 4)
    assert float(placed.min()) >= 0
    assert float(placed.max()) <= 1
    bright = torch.nn.functional.adaptive_avg_pool2d((moved.mean(dim=1, keepdim=True) > 0.3).float(), side // 4)
    for row in range(8):
        pair = torch.stack([bright[row].flatten(), placed[row].flatten()])
        assert float(torch.corrcoef(pair)[0, 1]) > 0.9
    assert augment(pictures, side, how, generator())[1] is None
    torch.testing.assert_close(augment(pictures, side, how, generator())[0], moved)  # a mask takes no draw
