import os
import subprocess
import sys
import threading

import numpy as np
import onnx
import pytest

from dermaloop.core.bundle import MODEL, open_bundle
from dermaloop.core.errors import BundleError
from dermaloop.inference.session import Session, usable_cores
from support.toy import SIZE_PX, toy_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return open_bundle(toy_bundle(tmp_path_factory.mktemp("session")))


def batch(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)


def test_outputs_have_a_row_per_picture_and_the_maps_average_to_the_logits(bundle):
    out = Session(bundle, threads=1).run(batch(5))
    assert out.logits.shape == (5, 8)
    assert out.embedding.shape == (5, bundle.spec.embedding_length)
    gap = out.logits - out.activation.mean(axis=(2, 3))
    np.testing.assert_allclose(gap, gap[:1].repeat(5, axis=0), atol=1e-4)  # the classifier's bias, the same for all


def test_a_graph_without_textures_gives_the_embedding_for_the_gate(bundle):
    out = Session(bundle, threads=1).run(batch(2))
    np.testing.assert_array_equal(out.texture, out.embedding)


def test_a_graph_with_textures_gives_those(bundle):
    model = onnx.load_from_string(bundle.parts[MODEL])
    model.graph.node.append(onnx.helper.make_node("ReduceMax", ["embedding"], ["texture"], keepdims=1, axes=[1]))
    model.graph.output.append(onnx.helper.make_tensor_value_info("texture", onnx.TensorProto.FLOAT, ["N", 1]))
    session = Session.of_model(model.SerializeToString(), SIZE_PX, threads=1)
    out = session.run(batch(3))
    np.testing.assert_allclose(out.texture[:, 0], out.embedding.max(axis=1))
    assert session.shapes["texture"] == (1,)


def test_one_batch_and_single_pictures_agree(bundle):
    session = Session(bundle, threads=1)
    whole = session.run(batch(6))
    for row, picture in enumerate(batch(6)):
        for got, expected in zip(session.run(picture[None]), whole, strict=True):
            np.testing.assert_allclose(got[0], expected[row], rtol=1e-4, atol=1e-5)


def test_threads_may_share_it(bundle):
    session = Session(bundle, threads=1)
    expected = {seed: session.run(batch(2, seed)).logits for seed in range(8)}
    wrong = set()

    def work(seed):
        for _ in range(20):
            if not np.array_equal(session.run(batch(2, seed)).logits, expected[seed]):
                wrong.add(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda model: b"not a graph", "cannot be loaded"),
        (lambda model: model[: len(model) // 2], "cannot be loaded"),
        (lambda model: model.replace(b"activation", b"activatiom"), "activatiom"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused_with_a_way_out(bundle, spoil, words):
    with pytest.raises(BundleError, match=words) as caught:
        Session.of_model(spoil(bundle.parts[MODEL]), SIZE_PX)
    assert "Export the bundle again" in str(caught.value)


def test_a_graph_of_another_size_is_refused_on_opening(bundle):
    with pytest.raises(BundleError, match="does not run on a picture of 40 x 40"):
        Session.of_model(bundle.parts[MODEL], 40)


def test_cores_are_those_this_process_may_use():
    assert usable_cores() >= 1


def test_the_runtime_reports_its_use_to_nobody(bundle, tmp_path):
    """Its telemetry would keep an identity and a queue of reports in the user's cache folder; neither is made."""
    (tmp_path / "model.onnx").write_bytes(bundle.parts[MODEL])
    script = (
        "from pathlib import Path\nfrom dermaloop.inference.session import Session\n"
        f"Session.of_model(Path('model.onnx').read_bytes(), {SIZE_PX}, threads=1)\n"
    )
    home = tmp_path / "home"
    asked = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "LOCALAPPDATA": str(home)}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=asked | places, check=True)
    assert not home.exists() or not list(home.rglob("*"))
