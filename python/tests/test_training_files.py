"""Files and numbers that cannot be used are one line each, whatever is wrong with them."""

import os

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("yaml")

from martlet.training import command, config, data, loop, run  # noqa: E402
from run_support import features, small  # noqa: E402, F401
from support import ROOT  # noqa: E402
from test_training_run import fails  # noqa: E402


def test_what_is_no_text_is_no_configuration(tmp_path, capsys):
    model = ROOT / "models" / "default.onnx"
    fails(["config", model], capsys, "default.onnx is not text in UTF-8")
    (tmp_path / "card.md").write_bytes(model.read_bytes())
    fails(["reproduce", "card", "--models", tmp_path], capsys, "card.md is not text in UTF-8")


@pytest.mark.parametrize("share", [0, 0.3, 0.95])
def test_files_that_are_cut_off_are_named(share, features, tmp_path):  # noqa: F811
    def cut(path):
        os.truncate(path, int(share * path.stat().st_size))
        return path

    np.savez(tmp_path / "trained.npz", json=np.array("{}"), weights=np.zeros(500))
    with pytest.raises(data.DataError, match=r"trained\.npz cannot be read .*; remove it to have it made anew"):
        loop.Trained.load(cut(tmp_path / "trained.npz"))
    np.savez(tmp_path / "baselines.npz", majority=np.zeros(500))
    cut(tmp_path / "baselines.npz")
    with pytest.raises(data.DataError, match=r"baselines\.npz cannot be read"):
        run.baseline_predictions(small(features), None, tmp_path)
    copy = tmp_path / "features"
    copy.mkdir()
    for path in features.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    cut(copy / "mid.npy")
    with pytest.raises(data.DataError, match="features: "):
        data.Data.load(copy)


def test_a_file_of_another_kind_is_named(tmp_path):
    np.savez(tmp_path / "trained.npz", weights=np.zeros(5))
    with pytest.raises(data.DataError, match=r"trained\.npz is no such file as a run keeps"):
        loop.Trained.load(tmp_path / "trained.npz")


@pytest.mark.parametrize("option, text", [
    ("--seeds=-1", "seeds are 0 to 2147483647, not -1"), ("--seeds=4294967296", "seeds are 0 to"),
    ("--seeds=1,1", "named once"), ("--densities=0.5,0.50", "named once"), ("--densities=nan", "between 0 and 1"),
    ("--neurons=0.3,0.30", "named once"), ("--neurons=0", "shares of neurons lie between 0 and 1, not 0"),
    ("--neurons=nan", "shares of neurons lie between"), ("--horizon=1", "--horizon is 0 to 0"), ("--horizon=-1", "--horizon is 0 to 0")])
def test_numbers_that_a_frontier_cannot_have(option, text, features, tmp_path, capsys):  # noqa: F811
    file = tmp_path / "small.yaml"
    file.write_text(config.as_text(small(features)))
    fails(["compress", file, option, "--out", tmp_path / "run"], capsys, text)


@pytest.mark.parametrize("network, text", [
    *[({"kind": kind}, f"--neurons: a network of kind {kind} has no neurons that can be removed")
      for kind in ("tcn", "binctabl", "deeplob", "mixer")],
    ({"kind": "mlp", "dense": [16, 16]},
     "--neurons: in whole blocks 0.3 of the neurons are all of them (dense0 of 16, dense1 of 16)")])
def test_neurons_that_cannot_be_removed(network, text, features, tmp_path, capsys):  # noqa: F811
    file = tmp_path / "small.yaml"
    file.write_text(config.as_text(small(features, network=network)))
    fails(["compress", file, "--neurons=0.3", "--out", tmp_path / "run"], capsys, text)


@pytest.mark.parametrize("option", ["--epochs=0", "--epochs=-1", "--windows=0", "--seed=-1", "--seed=2147483648"])
def test_numbers_that_a_protocol_cannot_have_are_wrong_use(option, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["fi2010", "--data", str(tmp_path), option])
    assert caught.value.code == 2 and "is no whole number from" in capsys.readouterr().err
