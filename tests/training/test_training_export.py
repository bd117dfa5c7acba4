"""The exported graph says what the network says, and nothing of the machine that exported it."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from dermaloop.core.preprocess import Preprocess, network_input
from dermaloop.core.synthetic import draw_lesion
from dermaloop.training.export import INPUT, OUTPUTS, onnx_graph
from dermaloop.training.network import build, classifier, normalisation
from dermaloop.training.recipe import Network

SIDE = 64


def filled(how, folder=None):
    """A network whose classifier and attention are drawn, as a trained one's are not zero."""
    torch.manual_seed(0)
    network = build(how, folder).eval()
    torch.nn.init.normal_(classifier(network).weight, std=0.1)
    torch.nn.init.normal_(classifier(network).bias)
    torch.nn.init.normal_(network.attention.weight, std=0.5)
    return network


@pytest.fixture(scope="module")
def network():
    return filled(Network(name="test_efficientnet", lesion_attention=True))


@pytest.fixture(scope="module")
def graph(network):
    return onnx_graph(network, SIDE)


@pytest.fixture(scope="module")
def session(graph):
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def drawn(number):
    return np.stack([network_input(draw_lesion(seed, size_px=90), Preprocess(SIDE)) for seed in range(number)])


def pytorch(network, pictures):
    """The way a reader of timm's manual would go: scale, normalise, run."""
    mean, std = (value.view(1, 3, 1, 1) for value in normalisation(network))
    with torch.inference_mode():
        return network.run((torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255 - mean) / std)


def probabilities(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def outputs(session, pictures):
    return dict(zip(OUTPUTS, session.run(list(OUTPUTS), {INPUT: pictures}), strict=True))


def test_the_probabilities_are_pytorchs(network, session):
    pictures = drawn(16)
    found, expected = outputs(session, pictures), pytorch(network, pictures)
    assert np.abs(probabilities(found["logits"]) - torch.softmax(expected.logits, 1).numpy()).max() < 1e-4
    np.testing.assert_allclose(found["embedding"], expected.embedding, atol=1e-4)
    np.testing.assert_allclose(found["activation"], expected.activation, atol=1e-4)
    np.testing.assert_allclose(found["attention"], expected.attention, atol=1e-4)
    texture = torch.cat([expected.middle.mean(dim=(2, 3)), expected.middle.std(dim=(2, 3), correction=0)], dim=1)
    np.testing.assert_allclose(found["texture"], texture, atol=1e-3)
    assert probabilities(found["logits"]).std(axis=0).max() > 1e-4  # they are not all the same


def test_the_mean_of_the_maps_and_the_bias_are_the_logits(network, session):
    found = outputs(session, drawn(5))
    bias = classifier(network).bias.detach().numpy()
    np.testing.assert_allclose(found["activation"].mean(axis=(2, 3)) + bias, found["logits"], atol=1e-4)
    np.testing.assert_allclose(found["attention"].mean(axis=(1, 2)), 1, atol=1e-4)


@pytest.mark.parametrize("number", [1, 2, 7])
def test_any_number_of_pictures_each_for_itself(session, number):
    pictures = drawn(7)
    all_of_them, some = outputs(session, pictures), outputs(session, pictures[:number])
    for name in OUTPUTS:
        assert some[name].dtype == np.float32
        np.testing.assert_allclose(some[name], all_of_them[name][:number], atol=1e-5)


def test_the_contract_of_the_graph(session):
    (entry,) = session.get_inputs()
    assert (entry.name, entry.type, entry.shape[1:]) == (INPUT, "tensor(uint8)", [SIDE, SIDE, 3])
    assert isinstance(entry.shape[0], str)
    shapes = {output.name: output.shape[1:] for output in session.get_outputs()}
    assert list(shapes) == list(OUTPUTS)
    assert shapes["logits"] == [8]
    assert shapes["activation"][0] == 8
    assert shapes["activation"][1:] == shapes["attention"]


def test_no_path_user_or_source_line_is_in_the_graph(graph):
    text = graph.decode("latin-1")
    root = Path(__file__).resolve().parents[2]
    for trace in (str(root), str(Path.home()), "site-packages", ".py", "dermaloop/"):
        assert trace not in text
    assert not re.search(r"/(home|root|Users|usr|tmp|opt|work)/", text)
    model = onnx.load_from_string(graph)
    assert not model.metadata_props
    assert all(not node.doc_string and not node.metadata_props for node in model.graph.node)


def test_exporting_twice_gives_the_same_bytes_and_leaves_the_network_alone(network, graph):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert onnx_graph(network, SIDE) == graph
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.real_data
@pytest.mark.slow
def test_the_reference_network_on_real_pictures(data_folder):
    how = Network(name="mobilenetv2_100", start="mobilenetv2_100.safetensors", lesion_attention=True)
    network = filled(how, data_folder / "weights")
    session = onnxruntime.InferenceSession(onnx_graph(network, 224), providers=["CPUExecutionProvider"])
    paths = sorted((data_folder / "ham10000" / "images").glob("*.jpg"))[::700]
    paths += sorted((data_folder / "pad_ufes_20" / "images").rglob("*.*"))[::100]
    assert len(paths) >= 15
    pictures = np.stack([network_input(Image.open(path).convert("RGB"), Preprocess(224)) for path in paths])
    found, expected = outputs(session, pictures), pytorch(network, pictures)
    gap = np.abs(probabilities(found["logits"]) - torch.softmax(expected.logits, 1).numpy()).max()
    assert gap < 1e-4
    assert probabilities(found["logits"]).std(axis=0).max() > 0.01
