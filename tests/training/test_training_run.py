"""A run does what its recipe says; stopped anywhere, it goes on as if it had never stopped."""

import csv
import dataclasses
import json
import math
import resource
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from dermaloop.core.errors import ManifestError, OutputError, RecipeError
from dermaloop.core.manifest import Split
from dermaloop.training import dataset, fit, module, recipe, run
from dermaloop.training.network import normalisation
from support.trainings import lesion_manifest, run_python, small, write_toml

EVERYTHING = {
    "augment": {"mixup": 0.4, "cutmix": 0.5},
    "network": {"lesion_attention": True, "drop_rate": 0.3},
    "run": {"keep": "best", "patience": 9, "steps": 14},  # the last epoch is a short one
}


class PowerCutError(BaseException):
    """Stands for the end of the process: nothing catches it, nothing is saved."""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return lesion_manifest(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def train(images, shared_cache, tmp_path):
    def training(values, name="run", manifest=None):
        rows = images if manifest is None else manifest
        return run.train(recipe.parse(values), rows, tmp_path / name, cache_folder=shared_cache, show_progress=False)

    return training


@pytest.fixture(scope="module")
def uninterrupted(images, shared_cache, tmp_path_factory):
    """The finished run of each set of values, trained once for all tests."""
    made = {}

    def finished(values):
        key = json.dumps(values, sort_keys=True)
        if key not in made:
            out = tmp_path_factory.mktemp("whole") / "run"
            made[key] = run.train(recipe.parse(values), images, out, cache_folder=shared_cache, show_progress=False)
        return made[key]

    return finished


def stop(monkeypatch, how, step, where="train"):
    """Lets the next training be stopped in a step, or in the validation behind so many steps."""

    def fire():
        if how == "power":
            raise PowerCutError
        signal.raise_signal(how)

    steps = {"train": module.Module.training_step, "validation": module.Module.validation_step}

    def patched(self, batch, batch_idx):
        last_of_validation = where == "validation" and batch_idx == 1
        if self.global_step == step and (where == "train" or last_of_validation):
            fire()
        return steps[where](self, batch, batch_idx)

    name = "training_step" if where == "train" else "validation_step"
    monkeypatch.setattr(module.Module, name, patched)


def assert_same(found, expected):
    theirs = expected.network.state_dict()
    for name, value in found.network.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    changing = {"last_session_s", "code_sha256"}  # somebody may edit the package while its tests run
    for name, value in expected.facts.items():
        assert name in changing or found.facts[name] == value, name


def checkpoints(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_the_same_recipe_gives_the_same_weights(train, uninterrupted):
    assert_same(train(small()), uninterrupted(small()))
    other = train({**small(), "seed": 4}, "other")
    assert not torch.equal(first_weights(other), first_weights(uninterrupted(small())))


def first_weights(trained):
    return next(iter(trained.network.parameters()))


@pytest.mark.parametrize("tables", [{}, {"optimiser": {"ema_decay": 0.0}}, EVERYTHING], ids=["plain", "no_ema", "all"])
@pytest.mark.parametrize(
    ("how", "step", "where", "saved"),
    [
        (signal.SIGTERM, 5, "train", 6),  # within an epoch
        (signal.SIGINT, 4, "train", 5),  # Ctrl-C, in an epoch's first step
        (signal.SIGTERM, 7, "train", 4),  # in an epoch's last step: the validation behind it is not begun
        (signal.SIGTERM, 8, "validation", 8),  # averaged and trained weights are exchanged there
        ("power", 8, "train", 4 * 2),  # between epochs
        ("power", 2, "train", None),  # before the first checkpoint
    ],
)
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(  # noqa: PLR0917 - fixtures and parameters
    train, uninterrupted, monkeypatch, tmp_path, tables, how, step, where, saved
):
    values = small(**tables)
    with monkeypatch.context() as patched:
        stop(patched, how, step, where)
        words = rf"stopped by a signal at step \d+ of {values['run']['steps']}; the checkpoint is of step {saved}\. "
        expected = (
            pytest.raises(PowerCutError) if how == "power" else pytest.raises(fit.InterruptedRunError, match=words)
        )
        with expected:
            train(values)
    assert not (tmp_path / "run" / "run.json").exists()
    assert_same(train(values), uninterrupted(values))


def test_a_run_that_is_stopped_again_and_again_is_still_the_same(train, uninterrupted, monkeypatch):
    values = small(**EVERYTHING)
    for step in (1, 3, 6, 9, 12):
        with monkeypatch.context() as patched:
            stop(patched, signal.SIGTERM, step)
            with pytest.raises(fit.InterruptedRunError):
                train(values)
    assert_same(train(values), uninterrupted(values))


@pytest.mark.parametrize("tables", [{}, EVERYTHING], ids=["plain", "all"])
def test_a_run_cut_after_its_last_step_gives_the_averaged_weights(train, uninterrupted, monkeypatch, tables):
    def cut(*_, **__):
        raise PowerCutError

    with monkeypatch.context() as patched:
        patched.setattr(run, "_finish", cut)
        with pytest.raises(PowerCutError):
            train(small(**tables))
        patched.setattr(module.Module, "training_step", cut)
    assert_same(train(small(**tables)), uninterrupted(small(**tables)))


CLI = """
import os, signal, sys
from dermaloop.cli import main
from dermaloop.training import module
step, number = int(sys.argv.pop(1)), int(sys.argv.pop(1))
original = module.Module.training_step
def training_step(self, batch, batch_idx):
    if self.global_step == step:
        os.kill(os.getpid(), number)
    return original(self, batch, batch_idx)
module.Module.training_step = training_step
main()
"""


@pytest.mark.parametrize(("number", "saved"), [(signal.SIGTERM, 6), (signal.SIGKILL, 4)])
def test_a_killed_process_is_resumed(  # noqa: PLR0917 - fixtures and parameters
    images, shared_cache, uninterrupted, tmp_path, number, saved
):
    images.write(tmp_path / "manifest.parquet")
    write_toml(small(), tmp_path / "small.toml")
    names = [str(tmp_path / name) for name in ("small.toml", "manifest.parquet", "run")]
    arguments = ["train", *names[:2], "--out", names[2], "--cache", str(shared_cache)]
    process = run_python(CLI, "5", str(int(number)), *arguments)
    output, errors = process.communicate(timeout=600)
    assert "Traceback" not in output + errors
    if number == signal.SIGTERM:
        assert process.returncode == 1
        assert f"stopped by a signal at step 6 of 12; the checkpoint is of step {saved}. The same command" in errors
    else:
        assert process.returncode == -signal.SIGKILL
    last = fit.last_checkpoint(tmp_path / "run")
    assert torch.load(last, weights_only=False)["global_step"] == saved
    found = run.train(recipe.parse(small()), images, tmp_path / "run", cache_folder=shared_cache, show_progress=False)
    assert_same(found, uninterrupted(small()))


def test_a_second_interrupt_stops_at_once(train, monkeypatch):
    def twice(self, batch, batch_idx):
        if self.global_step == 5:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return original(self, batch, batch_idx)

    original = module.Module.training_step
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a worker of pytest-xdist ignores it
    try:
        with monkeypatch.context() as patched:
            patched.setattr(module.Module, "training_step", twice)
            with pytest.raises(KeyboardInterrupt):
                train(small())
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_no_log_is_lost_when_a_run_resumes(train, monkeypatch, tmp_path):
    with monkeypatch.context() as patched:
        stop(patched, signal.SIGTERM, 5)
        with pytest.raises(fit.InterruptedRunError):
            train(small())
    first = (tmp_path / "run" / "log" / "metrics.csv").read_text()
    train(small())
    assert (tmp_path / "run" / "log" / "metrics-1.csv").read_text() == first
    scores = []
    for name in ("metrics-1.csv", "metrics.csv"):
        with (tmp_path / "run" / "log" / name).open() as stream:
            scores += [(int(row["step"]), row["validation_score"]) for row in csv.DictReader(stream)]
    assert [step for step, score in scores if score] == [3, 7, 11]


def test_a_finished_run_is_returned_without_training_again(train, uninterrupted, monkeypatch, tmp_path):
    first = train(small())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    monkeypatch.setattr(run.fit, "fit", None)
    assert_same(train(small()), first)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


def test_the_folder_of_another_run_is_refused(train, images, tmp_path):
    train(small())
    with pytest.raises(RecipeError, match=r"run of another recipe.*--out"):
        train(small(run={"steps": 16}))
    with pytest.raises(RecipeError, match="run of another manifest"):
        train(small(), manifest=images.select([False, *[True] * (len(images) - 1)]))
    described = images.with_columns(age_years=[50.0] * len(images))  # what training does not read may change
    assert train(small(), manifest=described).facts["steps"] == 12
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["recipe"]["run"]["steps"] == 12


def test_a_finished_run_opens_from_its_files_alone(uninterrupted, tmp_path, train):
    expected = train(small())
    found = run.open_run(tmp_path / "run")
    assert_same(found, expected)
    assert found.recipe == recipe.parse(small())
    assert not found.network.training
    weights = load_file(tmp_path / "run" / "weights.safetensors")
    assert weights.keys() == found.network.state_dict().keys()
    with pytest.raises(RecipeError, match="not the folder of a finished training"):
        run.open_run(tmp_path / "elsewhere")


def copied(images, folder, *, without):
    """The manifest with its own copies of the files, but not of the rows named by column and value."""
    folder.mkdir()
    paths = []
    for row in range(len(images)):
        source, split = images.column("source")[row], images.column("split")[row]
        target = folder / f"{row}.png"
        if source not in without and split not in without:
            shutil.copy(images.image_path(row), target)
        paths.append(str(target))
    return images.with_columns(path=paths)


def test_test_and_calibration_pictures_are_never_read(images, train, tmp_path):
    rows = copied(images, tmp_path / "copy", without={Split.TEST, Split.CALIBRATION})
    found = run.train(recipe.parse(small()), rows, tmp_path / "own", show_progress=False)  # with a cache of its own
    assert found.facts["training_images"] == {"alpha": 24, "beta": 24}


def test_a_source_left_out_is_never_read(images, tmp_path):
    rows = copied(images, tmp_path / "copy", without={"beta"})
    how = recipe.without_source(recipe.parse(small(data={"source_share": {"alpha": 0.5, "beta": 0.5}})), "beta")
    found = run.train(how, rows, tmp_path / "own", show_progress=False)
    assert found.facts["training_images"] == {"alpha": 24}
    assert not [name for name in found.facts["validation"] if name.endswith("/beta")]


def test_a_source_without_a_share_validates_but_does_not_train(train):
    found = train(small(data={"source_share": {"beta": 0.0}}))
    assert found.facts["training_images"] == {"alpha": 24}
    assert "malignant_auc/beta" in found.facts["validation"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"source_share": {"betta": 0.5}}, "data.source_share names 'betta', which is no source of the manifest"),
        ({"leave_out": ["gamma"]}, "data.leave_out names 'gamma', which is no source of the manifest"),
    ],
)
def test_a_source_that_is_not_there_is_refused(train, data, words):
    with pytest.raises(RecipeError, match="The manifest has alpha, beta") as refused:
        train(small(data=data))
    assert words in str(refused.value)


@pytest.mark.parametrize("split", [Split.TRAIN, Split.VALIDATION])
def test_an_empty_split_is_refused(images, train, split):
    rows = images.select(np.array(images.column("split")) != split)
    with pytest.raises(ManifestError, match=f"no row has the split '{split}'") as refused:
        train(small(), manifest=rows)
    assert refused.value.rule == "empty_split"


def scripted(monkeypatch, scores):
    """Lets the validations say what the test wants, one after the other."""
    waiting = iter(scores)
    monkeypatch.setattr(module, "validation_scores", lambda *_: {"validation_score": next(waiting)})


def test_it_stops_early_and_keeps_the_best(train, monkeypatch, tmp_path):
    values = small(run={"steps": 40, "keep": "best", "patience": 2})
    saved = {}
    original = fit.ModelCheckpoint._save_checkpoint

    def remember(self, trainer, filepath):
        original(self, trainer, filepath)
        if filepath.endswith("best.ckpt"):
            saved[trainer.global_step] = fit._load(Path(filepath))["state_dict"]

    monkeypatch.setattr(fit.ModelCheckpoint, "_save_checkpoint", remember)
    scripted(monkeypatch, [0.5, 0.7, 0.6, 0.65, 0.9, 0.9])
    found = train(values)
    assert found.facts["steps"] == 16  # best at 8, then two epochs without a better one
    assert sorted(saved) == [4, 8]
    for name, value in found.network.state_dict().items():
        assert torch.equal(value, saved[8][f"network.{name}"])


def test_it_keeps_the_last_where_the_recipe_says_so(train, monkeypatch, tmp_path):
    scripted(monkeypatch, [0.9, 0.7, 0.6])
    found = train(small(run={"keep": "last"}))
    assert checkpoints(tmp_path / "run") == ["epoch-0002.ckpt"]
    state = fit._load(tmp_path / "run" / "checkpoints" / "epoch-0002.ckpt")
    assert torch.equal(
        first_weights(found), state["state_dict"][f"network.{next(iter(dict(found.network.named_parameters())))}"]
    )


def test_a_run_that_had_stopped_early_stays_stopped(train, monkeypatch):
    values = small(run={"steps": 40, "patience": 1})

    def cut(*_, **__):
        raise PowerCutError

    scripted(monkeypatch, [0.7, 0.6, 0.9, 0.9])
    with monkeypatch.context() as patched:
        patched.setattr(run, "_finish", cut)
        with pytest.raises(PowerCutError):
            train(values)
    assert train(values).facts["steps"] == 8


def test_the_result_is_the_average_of_the_weights_where_the_recipe_averages(train, monkeypatch, tmp_path):
    found = train(small())
    state = fit._load(tmp_path / "run" / "checkpoints" / "epoch-0002.ckpt")
    name = "network." + next(iter(dict(found.network.named_parameters())))
    assert torch.equal(first_weights(found), state["state_dict"][name])
    assert not torch.equal(first_weights(found), state["current_model_state"][name])


def test_the_figures_stored_are_those_of_the_weights_stored(train, images, shared_cache, tmp_path):
    found = train(small(**EVERYTHING))
    rows = images.where(split=Split.VALIDATION)
    labels = dataset.targets(rows)
    cache = run.open_cache(rows, shared_cache, 48)
    network = run.open_run(tmp_path / "run").network
    mean, std = (value.view(1, 3, 1, 1) for value in normalisation(network))
    with torch.inference_mode():
        pictures = torch.from_numpy(cache.pictures.copy()).permute(0, 3, 1, 2) / 255
        probability = torch.softmax(network((pictures - mean) / std), dim=1).numpy()
    expected = module.validation_scores(probability, labels, np.arange(len(rows)))
    assert found.facts["validation"] == pytest.approx(expected, abs=1e-5)


def test_it_learns(images, shared_cache, tmp_path):
    """On pictures drawn so that their tint tells the class, a minute of training tells more than chance."""
    values = small(
        run={"steps": 120, "steps_per_epoch": 60, "batch": 16, "train_px": [[0.0, 32]]},
        augment={"saturation": 0.0, "hue": 0.0, "white_balance": 0.0, "vignette": 0.0, "erase": 0.0},
        optimiser={"rate": 4e-3, "ema_decay": 0.9},
    )
    found = run.train(recipe.parse(values), images, tmp_path / "run", cache_folder=shared_cache, show_progress=False)
    assert found.facts["validation"]["validation_score"] > 0.65


def test_a_training_that_diverges_says_so(train):
    with pytest.raises(RecipeError, match=r"the training diverged.*optimiser\.rate"):
        train(small(optimiser={"rate": 1e20, "clip_norm": 0.0, "warm_up_share": 0.0}))


def test_a_full_disk_is_an_error_in_words(train, tmp_path, shared_cache, uninterrupted, monkeypatch):
    expected = uninterrupted(small())  # and so the cache is there
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # no checkpoint fits
    try:
        with pytest.raises(OutputError, match=r"the run cannot be stored .*resumes"):
            train(small())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "run" / "run.json").exists()
    assert_same(train(small()), expected)


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(train, tmp_path):
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(OutputError, match="the run folder cannot be written"):
        train(small())


def test_another_package_section_goes_with_the_same_training(uninterrupted):
    trained = uninterrupted(small())
    other = recipe.parse(small(package={"sensitivity": [0.8]}, run={"evaluate_px": 64, "steps": 99}))
    found = trained.with_package(other)
    assert found.recipe.package.sensitivity == (0.8,)
    assert found.recipe.run.evaluate_px == 64
    assert found.recipe.run.steps == 12
    assert found.network is trained.network


def test_the_codes_identity_is_that_of_the_packages_python_files(tmp_path, monkeypatch):
    package = tmp_path / "package"
    (package / "training").mkdir(parents=True)
    (package / "training" / "run.py").write_text("1")
    (package / "core.py").write_text("2")
    monkeypatch.setattr(run, "__file__", str(package / "training" / "run.py"))
    found = run.code_identity()
    (package / "core.cfg").write_text("3")
    assert run.code_identity() == found
    (package / "core.py").write_text("4")
    changed = run.code_identity()
    (package / "core.py").rename(package / "other.py")
    assert len({found, changed, run.code_identity()}) == 3


def test_precision_is_what_the_hardware_has(monkeypatch):
    assert fit.precision("16-mixed") == "16-mixed"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert fit.precision("auto") == "16-mixed"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert fit.precision("auto") == "bf16-mixed"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert fit.precision("auto") == "32-true"


def test_half_precision_trains_to_finite_weights(train):
    found = train(small(run={"precision": "bf16-mixed", "steps": 4}))
    assert all(torch.isfinite(value).all() for value in found.network.state_dict().values())
    assert found.facts["precision"] == "bf16-mixed"
    assert math.isfinite(found.facts["validation"]["validation_score"])


def test_guided_attention_takes_the_outlined_rows(images, train, tmp_path):
    file = tmp_path / "mask.png"
    Image.fromarray(np.pad(np.full((36, 36), 255, np.uint8), 18)).save(file)
    outlined = images.with_columns(
        mask_path=[str(file) if source == "alpha" else "" for source in images.column("source")]
    )
    run_for_log = {"steps": 22, "steps_per_epoch": 22}  # every twentieth step is logged
    values = small(network={"lesion_attention": True}, loss={"mask_weight": 1.0}, run=run_for_log)
    found = train(values, manifest=outlined)
    with (tmp_path / "run" / "log" / "metrics.csv").open() as stream:
        assert any(row.get("mask_loss") for row in csv.DictReader(stream))
    free = train(dataclasses.replace(recipe.parse(values)).plain() | {"loss": {"mask_weight": 0.0}}, "free")
    assert not torch.equal(found.network.attention.weight, free.network.attention.weight)


@pytest.mark.slow
def test_two_processes_train_as_one_run_and_draw_differently(images, tmp_path):
    images.write(tmp_path / "manifest.parquet")
    write_toml(small(run={"devices": 2, "strategy": "ddp", "steps": 8}), tmp_path / "small.toml")
    seen = tmp_path / "seen"
    seen.mkdir()
    code = f"""
import json, sys
from pathlib import Path
from dermaloop.training import module, recipe, run
from dermaloop.core.manifest import read
original = module.Module.training_step
def training_step(self, batch, batch_idx):
    Path({str(seen)!r}, f"{{self.global_rank}}-{{self.global_step}}").write_text(json.dumps(batch["index"].tolist()))
    return original(self, batch, batch_idx)
module.Module.training_step = training_step
found = run.train(recipe.load(Path(sys.argv[1])), read(Path(sys.argv[2])), Path(sys.argv[3]), show_progress=False)
print("finished" if found else "helped")
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    arguments = [str(script), *(str(tmp_path / name) for name in ("small.toml", "manifest.parquet", "run"))]
    process = run_python(
        "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')", *arguments
    )
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert "finished" in output
    for step in range(8):
        assert (seen / f"0-{step}").read_text() != (seen / f"1-{step}").read_text()
    assert run.open_run(tmp_path / "run").facts["steps"] == 8
