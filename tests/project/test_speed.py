"""The benchmarks of speed run, and the documentation's tables are made from what they leave. No figure is judged here.

Each runs as small as it can be; what it measures then means nothing. Those that need a real network for it (a minute of
a processor) run only where `DERMALOOP_TEST_BENCHMARKS` is set in the environment.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import classify_common
import classify_folder
import classify_one
import pytest
import speed
import torch
from pictures import jpeg
from record import Run

import speed_tables
from dermaloop.core.bundle import open_bundle
from support.toy import toy_bundle

ROOT = Path(__file__).resolve().parents[2]
LONG = pytest.mark.skipif(
    "DERMALOOP_TEST_BENCHMARKS" not in os.environ, reason="a minute: set DERMALOOP_TEST_BENCHMARKS to run it"
)


def ran(name: str, *options: str) -> str:
    """Runs a benchmark as a person does; gives what it printed."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


class Tiny(torch.nn.Module):
    """A network with what the benchmarks touch, that costs nothing."""

    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Sequential()
        self.backbone.add_module("bn2", torch.nn.Conv2d(3, 8, 16, stride=16))

    def forward(self, pictures):
        return self.backbone(pictures).mean((2, 3))


def test_one_picture(tmp_path):
    rows = classify_one.measure(Tiny().eval(), open_bundle(toy_bundle(tmp_path)), [(160, 120)], rounds=2, repeats=1)
    assert {row["threads"] for row in rows} >= {1}
    for row in rows:
        assert 0 < row["ratio"]["least"] <= row["ratio"]["middle"] <= row["ratio"]["greatest"]
        assert row["plain_ms"] > 0 < row["ours_ms"]
    Run().write(tmp_path / "classify_one.json", {"rounds": 2, "repeats": 1, "rows": rows})
    assert speed_tables.classify_one(tmp_path).count("| 160x120, 0.0 MB | ") == len(rows)


def test_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(classify_folder, "BATCH", 2)
    monkeypatch.setattr(classify_folder, "usable_cores", lambda: 1)
    paths = [tmp_path / f"{seed}.jpg" for seed in range(4)]
    for seed, path in enumerate(paths):
        path.write_bytes(jpeg(seed, 120, 90))
    bundle = open_bundle(toy_bundle(tmp_path))
    monkeypatch.setattr(classify_folder, "SIZE_PX", bundle.spec.size_px)
    found = classify_folder.measure(Tiny().eval(), bundle, paths, rounds=2, what="drawn small")
    assert found["pictures_a_round"] == 2
    assert set(found["over_alone"]) < set(found["per_s"])
    Run().write(tmp_path / "classify_folder.json", {"folders": [found]})
    table = speed_tables.classify_folder(tmp_path)
    assert table.count("| drawn small | ") == 4
    assert table.count("the graph alone") == 2


@LONG
def test_both_networks_are_the_same(tmp_path):
    model = classify_common.network()
    assert classify_common.bundle_of(model, tmp_path).spec.network == classify_common.NETWORK


@LONG
def test_training(tmp_path):
    options = ["--threads", "1", "--count", "8", "--size", "32", "--batch", "4", "--steps", "1", "--rounds", "2"]
    printed = ran("training", *options, "--json", str(tmp_path / "training.json"))
    assert "share of our step: fetch " in printed
    found = json.loads((tmp_path / "training.json").read_text())
    assert sum(found["shares"].values()) == pytest.approx(1, abs=0.05)
    assert 0 <= found["plain_fetch_share"] < 1
    assert "times as fast** as the plain loop (mobilenetv2_100, 32 px, batches of 4," in speed_tables.training(tmp_path)


def test_the_server(tmp_path):
    options = ["--requests", "24", "--levels", "1,12", "--alone", "4", "--count", "3"]
    bundle = toy_bundle(tmp_path, packed=True)
    ran("server", *options, "--bundle", str(bundle), "--json", str(tmp_path / "server.json"))
    found = json.loads((tmp_path / "server.json").read_text())
    assert [(level["in_flight"], level["answered"]) for level in found["levels"]] == [(1, 12), (12, 12)]
    assert all(level["share"] == pytest.approx(level["per_s"] / level["alone_per_s"]) for level in found["levels"])
    assert [level["single_share"] is None for level in found["levels"]] == [False, True]
    assert found["memory_mb"]["most"] >= found["memory_mb"]["late"] > 10
    assert "Memory over 24 answered requests: " in speed_tables.server(tmp_path)


def test_a_file_says_what_it_was_measured_on(tmp_path):
    Run().write(tmp_path / "any.json", {"figure": 1})
    about = json.loads((tmp_path / "any.json").read_text())["about"]
    assert about["cores"] >= 1
    assert about["processor"]
    assert {"python", "onnxruntime", "numpy"} <= set(about["versions"])
    assert about["others_share"] is None or 0 <= about["others_share"] <= 1.01


def test_what_was_not_measured_is_said_not_to_be(tmp_path):
    assert speed_tables.summary(tmp_path) == "Not measured on this version."
    assert "--only server" in speed_tables.server(tmp_path)


def test_the_readme_takes_the_strictest_ceiling_and_the_whole_range(tmp_path):
    about = {"date": "2026-01-02", "cores": 3, "processor": "X", "versions": {}, "others_share": 0.5}
    ratio = {"least": 1, "middle": 5.5, "greatest": 9}
    (tmp_path / "classify_one.json").write_text(
        json.dumps({"about": about, "rows": [{"ratio": ratio}, {"ratio": {**ratio, "middle": 4.25}}]})
    )
    alone = {"quick": {"middle": 0.7}, "slow": {"middle": 0.9}}
    (tmp_path / "classify_folder.json").write_text(
        json.dumps({"about": about, "folders": [{"over_plain": ratio, "over_alone": alone}]})
    )
    text = speed_tables.summary(tmp_path)
    assert text.startswith("On 3 cores of X, ")
    assert "4.25 to 5.50 times as fast" in text
    assert "0.70 of the graph alone" in text


def test_all_are_run_with_the_pictures_named():
    for name in speed.NAMES:
        command = speed.command(name, Path("out"), Path("photos"), 7)
        assert Path(command[1]).is_file()
        assert command[2:4] == ["--json", f"out/{name}.json"]
    asked = speed.command("server", Path("out"), Path("photos"), 7)
    assert asked[4:] == ["--requests", "7", "--alone", "8", "--pictures", "photos"]
