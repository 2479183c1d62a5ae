"""The trainer end to end on small synthetic data: it learns, prunes in whole blocks, exports what it trained, repeats."""

import json

import numpy as np
import pytest

jax = pytest.importorskip("jax")
onnx = pytest.importorskip("onnx")

from martlet import export, labels, recurrent, train  # noqa: E402
from training_support import COUNT, FEATURES, write_folder  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "small.onnx"
    arguments = ["--features", str(folder), "--out", str(out), "--epochs", "40", "--horizons", "10,20"]
    assert train.main(arguments) == 0
    return out, arguments


def test_unusable_folders_are_refused_in_one_line(folder, tmp_path, capsys):
    out = ["--out", str(tmp_path / "m.onnx")]
    assert train.main(["--features", str(tmp_path), *out]) == 1
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("features.npy", "mid.npy", "ts_recv.npy", "reset.npy", "instrument.npy", "features.json"):
        (broken / name).write_bytes((folder / name).read_bytes())
    np.save(broken / "mid.npy", np.zeros(5))
    assert train.main(["--features", str(broken), *out]) == 1
    np.save(broken / "mid.npy", np.full(COUNT, labels.UNDEFINED_PRICE))
    assert train.main(["--features", str(broken), *out]) == 1
    assert train.main(["--features", str(folder), *out, "--instrument", "TEST/B"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and "expected float32 (5, 12)" in lines[1] and "labelled" in lines[2]
    assert "TEST/A" in lines[3]
    for wrong in (["--horizons", "ten"], ["--horizons", "0"], ["--sparsity", "1"], ["--epochs", "2"]):
        with pytest.raises(SystemExit):
            train.main(["--features", str(folder), *out, *wrong])


def test_labels_never_look_into_the_next_part(folder):
    problem = train.prepare(train.Data.load(folder), [10, 20], 50)
    for column, k in enumerate([10, 20]):
        for part, first, end in [(problem.train, 0, 7_200), (problem.validation, 7_200, 9_600), (problem.test, 9_600, COUNT)]:
            chosen = np.flatnonzero(part[:, column])
            assert chosen[0] >= (first + 20 if first else 50) and chosen[-1] + k < end
        assert not problem.train[2_999 - k + 1:3_050, column].any()
    assert problem.scale[1] == 0


def test_the_model_beats_its_baselines(made):
    metrics = metadata(made[0])["metrics"]
    assert metrics["test_macro_f1_10"] > metrics["test_persistence_macro_f1_10"] + 0.05
    assert metrics["test_macro_f1_10"] > metrics["test_majority_macro_f1_10"] + 0.2


def metadata(path):
    properties = onnx.load(path).metadata_props
    return {p.key.removeprefix("martlet."): json.loads(p.value) for p in properties}


def test_the_file_says_what_the_contract_asks_for(made):
    values = metadata(made[0])
    assert values["contract_version"] == values["feature_set_version"] == 1
    assert values["feature_names"] == [f"f{i}" for i in range(FEATURES)]
    assert [(h["length"], h["unit"], h["label"]) for h in values["horizons"]] == [
        (10, "ticks", "smoothed-mid"), (20, "ticks", "smoothed-mid")]
    assert values["warm_up_ticks"] == 50 and values["precision"] == "fp32" and values["name"] == "small"
    assert values["training_end_timestamp"] == 1_700_000_000_000_000_000 + (9_600 - 1) * 10**6
    assert values["training_data_sha256"] == ["ab" * 32]
    graph = onnx.load(made[0]).graph
    assert [i.name for i in graph.input] == ["features", "state_gru"]
    assert [o.name for o in graph.output] == ["probabilities", "state_gru_next"]


def test_pruned_weights_are_whole_blocks_and_as_many_as_asked(made):
    arrays = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(made[0]).graph.initializer}
    pruned = {"dense_w": arrays["dense_weight"], "gru_w": arrays["gru_weight"][0], "gru_r": arrays["gru_recurrence"][0]}
    for name, weight in pruned.items():
        kept = recurrent.block_norms(name, weight) > 0
        assert abs(kept.mean() - 0.2) < 0.02
        width = recurrent.DENSE_BLOCK if name == "dense_w" else 3 * recurrent.GRU_BLOCK
        assert np.count_nonzero(weight) == kept.sum() * width
    assert metadata(made[0])["density"] == pytest.approx(recurrent.density(pruned), abs=1e-6)
    assert recurrent.density(pruned) <= 0.25


def test_the_same_arguments_give_the_same_bytes(made, tmp_path):
    out, arguments = made
    again = tmp_path / out.name
    assert train.main([str(again) if a == str(out) else a for a in arguments]) == 0
    assert again.read_bytes() == out.read_bytes()
    assert again.with_suffix(".md").read_text() == out.with_suffix(".md").read_text()


def test_a_model_with_all_weights_streams_as_onnx_runtime_does(tmp_path):
    weights = train.host(recurrent.initial(jax.random.key(3), FEATURES, 4))
    mean, scale = np.full(FEATURES, 0.5, np.float32), np.full(FEATURES, 2, np.float32)
    path = tmp_path / "dense.onnx"
    export.save(export.to_onnx(weights, mean, scale, {"contract_version": 1}), path)
    features = np.random.default_rng(7).normal(size=(300, FEATURES)).astype(np.float32)
    reset = np.zeros(300, np.uint8)
    reset[[0, 120]] = 1
    expected = recurrent.probabilities(weights, (features - mean) * scale, reset)
    found = export.run(path, features, reset)
    assert found.shape == (300, 4, 3) and np.abs(found - expected).max() < 1e-5
    assert np.abs(found[120] - export.run(path, features[120:], reset[120:])[0]).max() < 1e-6
