"""The network starts from the weights named, or says what does not fit; its maps are exact."""

import dataclasses

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from dermaloop.core.errors import RecipeError
from dermaloop.training.network import build, classifier, normalisation
from dermaloop.training.recipe import Network
from support.trainings import NETWORK


def small(**values):
    return Network(**{"name": NETWORK, "drop_rate": 0.0, **values})


def filled(**values):
    """A network whose classifier and attention are not zero, as training starts them."""
    torch.manual_seed(0)
    network = build(small(**values)).eval()
    torch.nn.init.normal_(classifier(network).weight)
    torch.nn.init.normal_(classifier(network).bias)
    if network.attention is not None:
        torch.nn.init.normal_(network.attention.weight, std=3.0)
    return network


@pytest.mark.parametrize("attention", [False, True])
def test_the_mean_of_the_maps_and_the_bias_are_the_logits(attention):
    network = filled(lesion_attention=attention)
    with torch.no_grad():
        passed = network.run(torch.randn(3, 3, 64, 64))
    logits = passed.activation.mean(dim=(2, 3)) + classifier(network).bias
    torch.testing.assert_close(passed.logits, logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(passed.attention.mean(dim=(1, 2)), torch.ones(3))
    assert (float(passed.attention.std()) > 0.01) == attention
    assert (passed.attention_logits is not None) == attention


def test_without_attention_it_is_timms_network():
    network = filled()
    picture = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(picture), network.backbone(picture), atol=1e-5, rtol=1e-4)


def test_it_begins_undecided():
    with torch.no_grad():
        assert build(small())(torch.randn(2, 3, 64, 64)).abs().max() == 0


def test_the_same_generator_gives_the_same_random_weights():
    made = []
    for _ in range(2):
        torch.manual_seed(5)
        made.append(build(small(lesion_attention=True)).state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


def test_the_colours_it_expects_are_its_own():
    mean, std = normalisation(build(small()))
    config = timm.get_pretrained_cfg(NETWORK)
    assert mean.tolist() == pytest.approx(config.mean)
    assert std.tolist() == pytest.approx(config.std)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mobilnetv2_100", "timm does not know 'mobilnetv2_100'"),
        ("test_vit", "not one linear layer on the mean of its features"),  # tokens
        ("test_convnext", "not one linear layer on the mean of its features"),  # a norm behind the pooling
        ("mobilenetv3_small_050", "not one linear layer on the mean of its features"),  # a layer behind the pooling
    ],
)
def test_a_network_whose_maps_would_not_be_exact_is_refused_at_once(name, words):
    with pytest.raises(RecipeError, match=r"network\.name") as refused:
        build(Network(name=name))
    assert words in str(refused.value)


def test_a_rate_that_the_network_does_not_take_is_refused(monkeypatch):
    def create_model(name, **rates):
        raise TypeError(f"unexpected keyword argument {max(rates)!r}")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(RecipeError, match="does not take drop_rate and drop_path_rate"):
        build(small(drop_path_rate=0.1))


def test_weights_that_cannot_be_fetched_are_an_error_in_words(monkeypatch):
    def create_model(*_, pretrained, **__):
        assert pretrained
        raise OSError("Network is unreachable")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(RecipeError, match=r"network\.start: .*cannot be fetched .*Network is unreachable"):
        build(small(start="hub"))


def state_of_another(folder, **changes):
    """A backbone's weights as a file, some of them replaced; None leaves one out."""
    torch.manual_seed(9)
    state = dict(timm.create_model(NETWORK, num_classes=1000).state_dict())
    state |= changes
    path = folder / "start.safetensors"
    save_file({name: value for name, value in state.items() if value is not None}, path)
    return path


def first_weight(network):
    return next(iter(network.backbone.parameters()))


def test_a_backbones_weights_are_taken_and_a_classifier_of_other_classes_is_not(tmp_path):
    path = state_of_another(tmp_path)
    network = build(small(start=path.name), tmp_path)
    name = next(iter(dict(network.backbone.named_parameters())))
    assert torch.equal(first_weight(network), load_file(path)[name])
    assert classifier(network).weight.abs().max() == 0
    assert torch.equal(first_weight(build(small(start=str(path)))), first_weight(network))


def test_a_finished_network_starts_another(tmp_path):
    first = filled(lesion_attention=True)
    save_file(first.state_dict(), tmp_path / "whole.safetensors")
    second = build(small(start="whole.safetensors", lesion_attention=True), tmp_path)
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    with pytest.raises(RecipeError, match="unknown: attention"):
        build(small(start="whole.safetensors"), tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv_stem.weight": None}, "missing: conv_stem.weight"),
        ({"conv_stem.weight": torch.zeros(4, 4)}, "of another shape: conv_stem.weight"),
        ({"surplus.weight": torch.zeros(2)}, "unknown: surplus.weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_the_name_of_the_first(tmp_path, change, words):
    with pytest.raises(RecipeError, match="does not fit the network") as refused:
        build(small(start=str(state_of_another(tmp_path, **change))))
    assert words in str(refused.value)


def test_a_missing_and_a_broken_file_are_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"there is no file .*none\.safetensors.*--weights"):
        build(small(start="none.safetensors"), tmp_path)
    path = state_of_another(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecipeError, match="not an intact safetensors file"):
        build(small(start=str(path)))


def test_a_block_replaced_by_an_identity_does_nothing_and_needs_no_weights(tmp_path):
    block = "blocks.1.0"
    parameters = list(timm.create_model(NETWORK).get_submodule(block).state_dict())
    dropped = {f"{block}.{name}": None for name in parameters[1:]} | {f"{block}.{parameters[0]}": torch.zeros(3)}
    path = state_of_another(tmp_path, **dropped)
    network = build(small(identity_blocks=(block,), start=str(path)))
    assert isinstance(network.backbone.get_submodule(block), torch.nn.Identity)
    with pytest.raises(RecipeError, match=r"missing|another shape"):
        build(small(start=str(path)))


def test_a_block_that_is_not_there_is_refused():
    with pytest.raises(RecipeError, match=r"network\.identity_blocks: the network has no block 'blocks\.77\.1'"):
        build(small(identity_blocks=("blocks.77.1",)))


@pytest.mark.real_data
def test_the_starting_weights_of_the_reference_recipe_load(data_folder):
    path = data_folder / "weights" / "mobilenetv2_100.safetensors"
    network = build(Network(name="mobilenetv2_100", start=path.name), path.parent)
    state, own = load_file(path), network.backbone.state_dict()
    assert len(state) > 200
    assert all(torch.equal(value, own[name]) for name, value in state.items())


@pytest.mark.real_data
def test_the_partial_efficientnet_loads_with_its_block_replaced(data_folder):
    folder = data_folder / "weights"
    how = Network(name="tf_efficientnet_b4", start="tf_efficientnet_b4_partial.safetensors")
    with pytest.raises(RecipeError, match=r"missing: blocks\.6\.1"):
        build(how, folder)
    network = build(dataclasses.replace(how, identity_blocks=("blocks.6.1",)), folder)
    own, state = network.backbone.state_dict(), load_file(folder / how.start)
    same = [name for name, value in state.items() if name in own and torch.equal(value, own[name])]
    assert len(same) > 500
    with torch.inference_mode():
        assert torch.isfinite(network.eval().run(torch.randn(1, 3, 64, 64)).embedding).all()
