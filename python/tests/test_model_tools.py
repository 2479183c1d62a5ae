"""`martlet model prune` and `martlet model quantize` end to end: what they write, what they say, what they refuse."""

import json

import numpy as np
import pytest

from support import BIN, FEED, MODEL, martlet, one_line

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from martlet import bench_models, integer_reference  # noqa: E402
from martlet.bench_graph import DENSE  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

pytestmark = pytest.mark.skipif(BIN is None, reason="MARTLET_BIN is not set")
#: Ticks that the outputs are compared on.
TICKS = 1_500


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """The features of the feed, as the default model reads them."""
    folder = tmp_path_factory.mktemp("features")
    martlet("features", FEED, "--out", folder)
    names = json.loads((folder / "features.json").read_text())["names"]
    chosen = [names.index(name) for name in metadata(MODEL)["feature_names"]]
    return np.load(folder / "features.npy")[:, chosen]


def metadata(path):
    return {item.key.removeprefix("martlet."): json.loads(item.value) for item in onnx.load(path).metadata_props}


def arrays(path):
    return {item.name: numpy_helper.to_array(item) for item in onnx.load(path).graph.initializer}


def weight_names(path):
    """Names of the weights: of the dense layer, of the GRU's input and its recurrence, and of the last layer."""
    return [name for node in onnx.load(path).graph.node if node.op_type in ("MatMul", "GRU")
            for name in node.input[1:3 if node.op_type == "GRU" else 2]]


def stepped(path, rows):
    """What ONNX Runtime says with its optimisations off, tick by tick from a state of zeros."""
    return bench_models.run(onnx.load(path), rows)[0]["probabilities"]


def prune(out, *arguments, model=MODEL, **options):
    return martlet("model", "prune", model, "--out", out, *arguments, **options)


def quantize(out, *arguments, model=MODEL, **options):
    return martlet("model", "quantize", model, "--out", out, *arguments, **options)


def test_pruning_reports_what_it_did_and_how_the_outputs_changed(tmp_path, features):
    out = tmp_path / "pruned.onnx"
    result = prune(out, "--density", "0.1", "--calibrate", FEED, "--ticks", TICKS, "--json")
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert report["density"] == pytest.approx(0.1, abs=0.01)
    assert metadata(out)["density"] == pytest.approx(report["density"], abs=1e-6)
    assert [layer["block"] for layer in report["layers"]] == ["16x1", "24x1", "24x1", ""]
    onnx.checker.check_model(onnx.load(out), full_check=True)
    before, after = arrays(MODEL), arrays(out)
    pruned = weight_names(MODEL)[:3]
    assert all(np.array_equal(before[name], after[name]) for name in before if name not in pruned)
    gru = after[pruned[1]].reshape(3, 4, 8, 64).transpose(1, 3, 0, 2).reshape(4, 64, 24)
    is_kept = (gru != 0).any(axis=2)
    assert is_kept.mean() == pytest.approx(0.1, abs=0.01)
    # The report is of what the files say.
    change = np.abs(stepped(MODEL, features[:TICKS]) - stepped(out, features[:TICKS]))
    for horizon, found in enumerate(report["change"]["horizons"]):
        assert found["mean_change"] == pytest.approx(change[:, horizon].mean(), rel=1e-3)
        assert found["greatest_change"] == pytest.approx(change[:, horizon].max(), abs=1e-4)
    assert report["change"]["ticks"] == TICKS
    assert report["predicted_nanoseconds_after"] < report["predicted_nanoseconds_before"]


def test_a_density_of_one_changes_no_weight(tmp_path):
    out = tmp_path / "same.onnx"
    text = prune(out, "--density", "1").stdout
    assert "kept as the last layer" in text and "biases and last layer not counted" in text
    before, after = arrays(MODEL), arrays(out)
    assert before.keys() == after.keys() and all(np.array_equal(before[name], after[name]) for name in before)


def test_a_model_over_other_features_is_calibrated_on_an_array(tmp_path):
    net, _ = bench_models.make("c_lstm", DENSE, 1)
    model, rows, out = tmp_path / "c.onnx", tmp_path / "rows.npy", tmp_path / "out.onnx"
    onnx.save(net.model(), model)
    np.save(rows, bench_models.ticks(np.random.default_rng(1), 500, 40))
    report = json.loads(prune(out, "--density", "0.25", "--calibrate", rows, "--json", model=model).stdout)
    assert report["layers"][0]["block"] == "32x1" and report["change"]["ticks"] == 500
    one_line(prune(out, "--density", "0.25", "--calibrate", FEED, model=model, check=False), 65, "feature 'f0'", ".npy")
    np.save(rows, np.zeros((5, 39), np.float32))
    one_line(prune(out, "--density", "0.25", "--calibrate", rows, model=model, check=False), 65, "[5, 39]", "40 features")
    np.save(rows, np.full((5, 40), np.nan, np.float32))
    one_line(prune(out, "--density", "0.25", "--calibrate", rows, model=model, check=False), 65, "not finite")
    rows.write_bytes(b"\x93NUMPY\x01\x00\xff\xff{}")
    one_line(prune(out, "--density", "0.25", "--calibrate", rows, model=model, check=False), 65, "rows.npy")


@pytest.fixture(scope="module")
def quantised(tmp_path_factory):
    out = tmp_path_factory.mktemp("quantised") / "int8.onnx"
    result = quantize(out, "--calibrate", FEED, "--ticks", 8_000, "--json")
    assert result.stderr == ""
    return out, json.loads(result.stdout)


def test_every_layer_but_the_last_is_on_the_fast_path(quantised):
    out, report = quantised
    assert [(layer["precision"], layer["is_fast"]) for layer in report["layers"]] == [
        ("int8", True), ("int8", True), ("fp32", False)]
    assert report["layers"][2]["reason"] == "it is the last layer"
    assert metadata(out)["precision"] == "int8"
    onnx.checker.check_model(onnx.load(out), full_check=True)
    weights = [item for item in onnx.load(out).graph.initializer if item.data_type == TensorProto.INT8 and len(item.dims) > 1]
    assert len(weights) == 3
    assert all(np.abs(numpy_helper.to_array(item).astype(int)).max() == 63 for item in weights)
    names = weight_names(MODEL)
    assert names[3] in arrays(out) and not set(names[:3]) & arrays(out).keys()


def test_the_change_of_the_outputs_is_small_and_as_reported(quantised, features):
    out, report = quantised
    rows = features[:8_000]
    change = np.abs(stepped(MODEL, rows) - stepped(out, rows))
    for horizon, found in enumerate(report["change"]["horizons"]):
        assert found["mean_change"] == pytest.approx(change[:, horizon].mean(), rel=0.1)
        assert found["mean_change"] < 0.02 and found["class_changes"] < 0.1



def test_onnx_runtime_and_the_integer_reference_agree_within_a_quantum(quantised, features):
    model = onnx.load(quantised[0])
    reference = integer_reference.IntegerReference(model)
    expected, runtime = bench_models.run(model, features[:TICKS], reference)
    assert reference.integer_products == 3
    change = np.abs(expected["probabilities"] - runtime["probabilities"]).max(axis=(1, 2))
    assert np.quantile(change, 0.999) < 1 / 63
    assert np.median(change) < 1e-5


def test_a_quantised_model_can_be_pruned_and_a_pruned_one_quantised(quantised, tmp_path):
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    report = json.loads(prune(first, "--block", "8x4", "--density", "0.2", "--json", model=quantised[0]).stdout)
    assert [layer["block"] for layer in report["layers"]] == ["8x4", "24x4", "24x4", ""]
    assert report["density"] <= 0.21
    prune(first, "--block", "8x4", "--density", "0.2")
    report = json.loads(quantize(second, "--calibrate", FEED, "--ticks", 500, "--json", model=first).stdout)
    assert all(layer["is_fast"] for layer in report["layers"][:2])
    assert metadata(second)["density"] <= 0.21


def test_the_last_layer_is_quantised_when_asked_and_a_percentile_narrows_ranges(tmp_path):
    out = tmp_path / "all.onnx"
    reports = [
        json.loads(quantize(out, "--calibrate", FEED, "--ticks", 1_000, "--json", *more).stdout)
        for more in ([], ["--no-keep-last", "--percentile", "99"])]
    assert [layer["precision"] for layer in reports[1]["layers"]] == ["int8"] * 3
    assert all(layer["is_fast"] for layer in reports[1]["layers"])
    assert reports[1]["layers"][0]["high"] < reports[0]["layers"][0]["high"]


def test_a_quantised_model_is_scored_like_any_other(quantised):
    result = json.loads(martlet("score", FEED, "--model", quantised[0], "--passes", 1, "--json").stdout)
    assert result["ticks"] == 80_000 and result["signals"] == 320_000


@pytest.mark.parametrize("density", ["0", "-1", "1.5", "nan"])
def test_a_density_that_is_none_is_refused(tmp_path, density):
    one_line(prune(tmp_path / "out.onnx", f"--density={density}", check=False), 64, "--density")
    assert not (tmp_path / "out.onnx").exists()


def test_wrong_use_is_refused_in_one_line(tmp_path):
    out = tmp_path / "out.onnx"
    missing = tmp_path / "missing.dbn.zst"
    one_line(prune(out, "--density", "0.5", "--block", "3x3", check=False), 64, "--block '3x3'", "16x1", "8x4")
    one_line(prune(out, check=False), 64, "--density")
    one_line(prune(out, "--density", "0.5", "--calibrate", missing, check=False), 66, "missing.dbn.zst")
    one_line(prune(out, "--density", "0.5", model=missing, check=False), 66, "missing.dbn.zst")
    one_line(prune(MODEL, "--density", "0.5", check=False), 64, "the model itself")
    one_line(prune(tmp_path / "no" / "out.onnx", "--density", "0.5", check=False), 66, "cannot be written")
    one_line(prune(out, "--density", "0.5", model=FEED, check=False), 65, "not an ONNX file")
    one_line(prune(out, "--density", "0.5", "--calibrate", FEED, "--ticks", "-1", check=False), 64, "--ticks")
    one_line(quantize(out, check=False), 64, "--calibrate")
    one_line(quantize(out, "--calibrate", missing, check=False), 66, "missing.dbn.zst")
    one_line(quantize(out, "--calibrate", MODEL, check=False), 65, "default.onnx")
    one_line(quantize(out, "--calibrate", FEED, "--percentile", "20", check=False), 64, "--percentile")
    assert not out.exists()


def test_an_array_without_rows_is_refused(tmp_path):
    empty, out = tmp_path / "empty.npy", tmp_path / "out.onnx"
    np.save(empty, np.zeros((0, 128), np.float32))
    one_line(quantize(out, "--calibrate", empty, check=False), 65, "the array is empty")
    one_line(prune(out, "--density", "0.5", "--calibrate", empty, check=False), 65, "the array is empty")


def free(name, path):
    """A model of the measurements without metadata, as a program that knows nothing of the contract writes it."""
    model = bench_models.make(name, DENSE, 1)[0].model()
    del model.metadata_props[:]
    onnx.save(model, path)
    return model


def alone(path, rows):
    """What ONNX Runtime says with its optimisations off, each row by itself."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options)
    names = [value.name for value in session.get_outputs()]
    count = len(next(iter(rows.values())))
    runs = [session.run(names, {name: values[row] for name, values in rows.items()}) for row in range(count)]
    return {name: np.array([run[place] for run in runs]) for place, name in enumerate(names)}


def test_a_file_without_metadata_is_compressed_as_a_free_graph(tmp_path):
    model, rows, out, small = (tmp_path / name for name in ("a.onnx", "rows.npy", "out.onnx", "small.onnx"))
    free("a_mlp", model)
    values = bench_models.ticks(np.random.default_rng(1), 300, 40).reshape(300, 1, 1, 40)
    np.save(rows, values)
    prune(small, "--density", "0.3", "--block", "8x4", model=model)
    report = json.loads(quantize(out, "--calibrate", rows, "--json", model=small).stdout)
    assert [layer["precision"] for layer in report["layers"]] == ["int8", "int8", "fp32"]
    assert all(layer["is_fast"] for layer in report["layers"][:2])
    assert report["change"]["horizons"] == [] and report["change"]["ticks"] == 300
    assert not metadata(out) and not metadata(small)
    onnx.checker.check_model(onnx.load(out), full_check=True)
    before, after = (alone(path, {"features": values})["probabilities"] for path in (small, out))
    (output,) = report["change"]["outputs"]
    assert output["name"] == "probabilities" and output["greatest_change"] > 0
    assert output["mean_change"] == pytest.approx(np.abs(after - before).mean(), rel=1e-3)
    assert output["greatest_change"] == pytest.approx(np.abs(after - before).max(), abs=1e-5)
    assert output["mean_magnitude"] == pytest.approx(np.abs(before).mean(), rel=1e-5)
    text = quantize(out, "--calibrate", rows, model=model).stdout
    assert "output   probabilities: |change| mean" in text and "over 300 runs" in text
    one_line(quantize(out, "--calibrate", FEED, model=model, check=False), 65, "128 features", "features [1, 1, 40]")
    np.save(rows, np.zeros((5, 1, 39), np.float32))
    one_line(quantize(out, "--calibrate", rows, model=model, check=False), 65, "[5, 1, 39]", "[1, 1, 40]")


def test_a_graph_of_several_inputs_is_calibrated_on_a_folder(tmp_path):
    model, folder, out = tmp_path / "c.onnx", tmp_path / "rows", tmp_path / "out.onnx"
    inputs = {item.name: [axis.dim_value for axis in item.type.tensor_type.shape.dim]
              for item in free("c_lstm", model).graph.input}
    assert len(inputs) == 3
    folder.mkdir()
    random = np.random.default_rng(2)
    rows = {name: np.tanh(random.normal(size=(200, *shape))).astype(np.float32) for name, shape in inputs.items()}
    one_line(quantize(out, "--calibrate", folder, model=model, check=False), 66, ".npy")
    for name, values in rows.items():
        np.save(folder / f"{name}.npy", values)
    report = json.loads(quantize(out, "--calibrate", folder, "--json", model=model).stdout)
    assert report["layers"][0]["precision"] == "int8" and report["layers"][0]["is_fast"]
    before, after = alone(model, rows), alone(out, rows)
    assert [output["name"] for output in report["change"]["outputs"]] == sorted(before)
    for output in report["change"]["outputs"]:
        change = np.abs(after[output["name"]] - before[output["name"]])
        assert output["mean_change"] == pytest.approx(change.mean(), rel=0.02)
    one_line(quantize(out, "--calibrate", folder / "features.npy", model=model, check=False), 65, "a folder with")
    np.save(folder / "features.npy", rows["features"][:7])
    one_line(quantize(out, "--calibrate", folder, model=model, check=False), 65, "200 rows", "has 7")


def test_a_graph_over_windows_of_the_feature_set_is_calibrated_on_a_feed(tmp_path):
    model, out = tmp_path / "w.onnx", tmp_path / "out.onnx"
    random = np.random.default_rng(3)
    constants = {
        "w": random.normal(0, 0.05, (256, 32)), "v": random.normal(0, 0.1, (32, 2)), "shape": np.array([1, 256])}
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "shape"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["h"]),
         helper.make_node("Tanh", ["h"], ["t"]), helper.make_node("MatMul", ["t", "v"], ["y"])], "two ticks",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, 128])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(value.astype(np.int64 if name == "shape" else np.float32), name)
         for name, value in constants.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model)
    report = json.loads(quantize(out, "--calibrate", FEED, "--ticks", "400", "--json", model=model).stdout)
    assert report["change"]["ticks"] == 399
    martlet("features", FEED, "--out", tmp_path / "features")
    features = np.load(tmp_path / "features" / "features.npy")[:400]
    windows = np.stack([features[row:row + 2] for row in range(399)])[:, None]
    change = np.abs(alone(out, {"x": windows})["y"] - alone(model, {"x": windows})["y"])
    assert report["change"]["outputs"][0]["mean_change"] == pytest.approx(change.mean(), rel=0.02)
    assert report["layers"][0]["high"] == pytest.approx(max(windows.max(), 0), rel=0.02)


def test_a_model_without_weights_is_refused(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Softmax", ["features"], ["probabilities"])], "one",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 1, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 1, 3])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    values = {
        "contract_version": 1, "feature_set_version": 1, "warm_up_ticks": 0, "feature_names": ["a", "b", "c"],
        "horizons": [{"length": 10, "unit": "ticks", "label": "smoothed-mid", "alpha": 1e-5}]}
    helper.set_model_props(model, {f"martlet.{key}": json.dumps(value) for key, value in values.items()})
    path, rows, out = tmp_path / "none.onnx", tmp_path / "rows.npy", tmp_path / "out.onnx"
    onnx.save(model, path)
    np.save(rows, np.zeros((5, 3), np.float32))
    one_line(prune(out, "--density", "0.5", model=path, check=False), 65, "no constant weight")
    one_line(quantize(out, "--calibrate", rows, model=path, check=False), 65, "no constant weight")
