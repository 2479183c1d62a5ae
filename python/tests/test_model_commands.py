"""The tools for a model file: what they say of it, that they find a model that computes something else, and how they fail."""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from martlet import model_verify
from onnx import TensorProto, helper, numpy_helper

from support import BIN, FEEDS, MODEL, martlet, one_line

pytestmark = pytest.mark.skipif(not BIN, reason="MARTLET_BIN is not set")
NO_PYTHON = {"MARTLET_PYTHON": ""}
NAMES = ["a_mlp.dense", "a_mlp.block90", "a_mlp.int8", "c_lstm.dense", "c_lstm.int8-block90"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    subprocess.run(
        [sys.executable, "-m", "martlet.bench_models", "--out", folder, "--only", "a_mlp", "c_lstm", "g_binctabl"],
        check=True, capture_output=True)
    return folder


@pytest.fixture
def copy(models, tmp_path):
    """A model with its data that a test may spoil."""
    def make(name):
        shutil.copy(models / f"{name}.onnx", tmp_path)
        shutil.copytree(models / f"{name}.data", tmp_path / f"{name}.data")
        return tmp_path / f"{name}.onnx"
    return make


@pytest.fixture
def free_graph(tmp_path):
    """A graph without metadata: two inputs, two outputs."""
    random = np.random.default_rng(1)
    weight = random.normal(0, 0.3, (6, 20)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["product"]), helper.make_node("Add", ["product", "y"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["bounded"]), helper.make_node("ReduceMean", ["bounded"], ["mean"], axes=[1])]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", ["batch", 6]), ("y", [1, 20]), ("bounded", ["batch", 20]), ("mean", ["batch", 1]))]
    graph = helper.make_graph(nodes, "free", values[:2], values[2:], [numpy_helper.from_array(weight, "weight")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "free.onnx"
    onnx.save(model, path)
    return path


def verify(*arguments, check=True, env=NO_PYTHON):
    result = martlet("model", "verify", *arguments, "--json", check=check, env=env)
    return json.loads(result.stdout), result


def statuses(report):
    return {check["name"]: check["status"] for check in report["checks"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_good_model_passes_every_check(models, name):
    report, _ = verify(models / f"{name}.onnx", "--onnxruntime", sys.executable)
    assert report["is_passed"] and report["ticks"] == 200
    found = statuses(report)
    assert set(found.values()) == {"passed"}
    wanted = {"stored probabilities", "scalar twin", "dense and sparse"}
    wanted |= {"after the outputs"} if name.startswith("c_") else set()
    wanted |= {"integer reference, probabilities"} if "int8" in name else set()
    wanted |= {name for name in found if name.startswith("ONNX Runtime ")}
    assert set(found) == wanted and any(name.startswith("ONNX Runtime ") for name in found)


def test_a_window_model_is_compared_from_its_first_full_window(models):
    report, _ = verify(models / "g_binctabl.dense.onnx", "--onnxruntime", sys.executable)
    assert report["ticks"] == 209
    assert "failed" not in statuses(report).values()
    assert statuses(report)["stream and window"] == "passed"
    assert "200 rows" in report["checks"][0]["detail"]


def test_a_stored_value_that_is_off_is_found_with_its_place(copy):
    model = copy("c_lstm.dense")
    path = model.with_suffix(".data") / "probabilities.npy"
    values = np.load(path)
    values[150, 0, 2] += 1e-4
    np.save(path, values)
    report, result = verify(model, check=False)
    assert statuses(report)["stored probabilities"] == "failed" and not report["is_passed"]
    assert "tick 150, element 2" in report["checks"][0]["detail"]
    one_line(result, 65, "1 of", "stored probabilities")


def test_one_bit_of_the_integer_reference_counts(copy):
    model = copy("a_mlp.int8")
    path = model.with_suffix(".data") / "probabilities.npy"
    values = np.load(path)
    values[3, 0, 1] = np.nextafter(values[3, 0, 1], np.float32(1))
    np.save(path, values)
    report, _ = verify(model, check=False)
    assert statuses(report)["stored probabilities"] == "failed"
    assert "tick 3, element 1" in report["checks"][0]["detail"]
    description = model.with_suffix(".data") / "data.json"
    description.write_text(description.read_text().replace("integer reference", "somebody"))
    assert verify(model)[0]["is_passed"], "to 1e-5 it is the same"


def test_without_stored_data_the_inputs_are_random(models, tmp_path):
    path = tmp_path / "alone.onnx"
    shutil.copy(models / "a_mlp.dense.onnx", path)
    report, _ = verify(path, "--onnxruntime", sys.executable)
    assert report["inputs"] == "random" and report["ticks"] == 256
    assert statuses(report)["stored outputs"] == "skipped"
    assert list(statuses(report).values()).count("passed") == 3
    report, _ = verify(path)
    assert statuses(report)["ONNX Runtime"] == "skipped"


@pytest.mark.parametrize("path", sorted(MODEL.parent.glob("*.onnx")), ids=lambda path: path.stem)
def test_the_shipped_models_are_verified(path):
    report, _ = verify(path, env={"MARTLET_PYTHON": sys.executable})
    assert "failed" not in statuses(report).values()
    compared = [check for check in report["checks"] if check["name"].startswith("ONNX Runtime ")]
    outputs = {check["name"].rsplit(", ", 1)[1] for check in compared}
    assert outputs >= {output.name for output in onnx.load(path).graph.output if not output.name.startswith("state_")}
    assert all(check["status"] == "passed" for check in compared)
    if path.stem.endswith("-8bit"):
        assert all(f"integer reference, {output}" in statuses(report) for output in outputs)
        assert set(statuses(report).values()) == {"passed", "skipped"} and all(
            "within one quantum" in check["detail"] for check in compared)
    else:
        assert all(check["detail"].endswith("limit 1e-05") for check in compared)


@pytest.mark.skipif(not FEEDS, reason="MARTLET_FEEDS is not set")
@pytest.mark.parametrize("name", ["btcusdt", "btcusdt-8bit"])
def test_the_cards_of_btcusdt_say_what_their_files_score(name, tmp_path):
    feed, model = tmp_path / "btcusdt.dbn.zst", MODEL.with_name(f"{name}.onnx")
    martlet("convert", "--from", "binance", pathlib.Path(FEEDS) / "binance/spot_btcusdt_20240809.gz", "--out", feed)
    report = json.loads(martlet("score", feed, "--model", model, "--passes", 1, "--json").stdout)
    stated = re.search(r"says without options (0\.\d{4}) and (0\.\d{4})", model.with_suffix(".md").read_text())
    assert report["evaluated"].startswith("from the end of the model's training "), "it knows the feed that it was trained on"
    assert [row["ticks"] for row in report["horizons"]] == [20, 100]
    assert [row["macro_f1"] for row in report["horizons"]] == pytest.approx([float(one) for one in stated.groups()], abs=1e-4)


def test_a_free_graph_is_verified_and_timed(free_graph):
    report, _ = verify(free_graph, "--onnxruntime", sys.executable)
    found = statuses(report)
    assert [found.pop("stored outputs"), *set(found.values())] == ["skipped", "passed"]
    assert len(found) == 4, "each output has a check with ONNX Runtime"
    data = free_graph.with_suffix(".data")
    data.mkdir()
    random = np.random.default_rng(2)
    x, y = random.normal(0, 1, (7, 6)).astype(np.float32), random.normal(0, 1, (7, 1, 20)).astype(np.float32)
    weight = numpy_helper.to_array(onnx.load(free_graph).graph.initializer[0])
    for name, value in (("x", x), ("y", y), ("bounded", np.tanh(x @ weight + y[:, 0]))):
        np.save(data / f"{name}.npy", value.astype(np.float32))
    report, _ = verify(free_graph)
    assert statuses(report)["stored bounded"] == "passed" and report["ticks"] == 7
    np.save(data / "x.npy", x + 1)
    assert statuses(verify(free_graph, check=False)[0])["stored bounded"] == "failed"
    bench = json.loads(martlet("model", "bench", free_graph, "--steps", 300, "--json").stdout)
    assert bench["steps"] == 300 and bench["macs"] == 120 and "critical_path_p50_ns" not in bench


@pytest.mark.parametrize("name", NAMES)
def test_a_bench_has_its_keys_and_the_checksum_of_the_stored_outputs(models, name):
    report = json.loads(
        martlet("model", "bench", models / f"{name}.onnx", "--steps", 400, "--warm-up", 100, "--json").stdout)
    assert {"p50_ns", "p99_ns", "p999_ns", "timer_ns", "macs", "model", "sha256", "precision", "density", "checksum",
            "machine", "macs_per_ns", "share_of_peak"} <= report.keys()
    assert 0 < report["p50_ns"] <= report["p99_ns"] <= report["p999_ns"]
    critical = {"critical_path_p50_ns", "critical_path_p99_ns", "critical_path_p999_ns"}
    assert critical & report.keys() == (critical if name.startswith("c_") else set())
    line = next(
        line for line in json.loads((models / "models.json").read_text()) if line["file"] == f"{name}.onnx")
    assert report["macs"] == line["macs"]
    assert report["precision"] == ("int8" if "int8" in name else "fp32")
    assert ("block90" in name) == (report["density"] < 0.2) == (report["macs_executed"] < report["macs"] / 2)
    stored = np.load(models / f"{name}.data" / "probabilities.npy").astype(np.float64)
    assert report["checksum"] == pytest.approx((stored @ [1, 2, 3]).sum(), abs=1e-3)


def test_people_get_tables(models):
    text = martlet("model", "bench", models / "c_lstm.dense.onnx", "--steps", 200, "--core=-1").stdout
    for word in ("machine", "full step", "critical path", "subtracted", "not pinned", "checksum"):
        assert word in text
    text = martlet("model", "inspect", models / "c_lstm.dense.onnx").stdout
    for word in ("machine", "GB/s", "chosen by", "LSTM", "ahead", "state an instrument", "multiply-adds"):
        assert word in text
    text = martlet("model", "verify", models / "c_lstm.dense.onnx", env=NO_PYTHON).stdout
    assert "ok" in text and "skipped" in text and "FAILED" not in text
    for command in ([], ["inspect"], ["verify"], ["bench"]):
        assert "martlet model" in martlet("model", *command, "--help").stdout


def test_inspect_shows_what_was_chosen_and_why(models):
    reports = {
        name: json.loads(martlet("model", "inspect", models / f"{name}.onnx", "--json").stdout)
        for name in ("a_mlp.dense", "a_mlp.block90", "a_mlp.int8", "c_lstm.dense")}
    dense, sparse = reports["a_mlp.dense"], reports["a_mlp.block90"]
    assert dense["macs"] == sparse["macs"] == 6848
    assert sparse["packed_bytes"] < dense["packed_bytes"] / 2 and sparse["predicted_ns"] < dense["predicted_ns"]
    for report, kernel in ((dense, "dense"), (sparse, "block-sparse")):
        layers = [layer for layer in report["layers"] if layer["planner_dense_ns"] is not None]
        assert len(layers) == 2, "the last layer is narrow, so that there is nothing to choose"
        for layer in layers:
            assert layer["kernel"].startswith(kernel)
            assert (layer["planner_sparse_ns"] < layer["planner_dense_ns"]) == (kernel == "block-sparse")
    assert reports["a_mlp.int8"]["precision"] == "int8"
    lstm = reports["c_lstm.dense"]
    assert lstm["state_bytes"] > 0 and any(layer["is_ahead"] for layer in lstm["layers"])
    assert lstm["predicted_critical_path_ns"] < lstm["predicted_ns"]
    assert all(rate > 0 for rate in lstm["measured"].values())
    assert lstm["is_contract"] and lstm["metadata"]["features"] == 40


@pytest.mark.parametrize("command", ["inspect", "verify", "bench"])
def test_files_that_are_no_models_are_one_line(command, models, tmp_path):
    def fails(path, code, *words):
        one_line(martlet("model", command, path, check=False, env=NO_PYTHON), code, *words)

    fails(tmp_path / "nothing.onnx", 66, "nothing.onnx")
    fails(tmp_path, 66, "regular file")
    text = tmp_path / "text.onnx"
    text.write_text("This is no model.")
    fails(text, 65, "text.onnx")
    whole = (models / "a_mlp.dense.onnx").read_bytes()
    text.write_bytes(whole[: len(whole) // 2])
    fails(text, 65, "text.onnx")
    model = onnx.load_from_string(whole)
    model.graph.node.append(helper.make_node("Det", ["features"], ["odd"], name="strange"))
    text.write_bytes(model.SerializeToString())
    fails(text, 65, "strange", "Det")
    model = onnx.load_from_string(whole)
    del model.metadata_props[:]
    model.metadata_props.add(key="martlet.contract_version", value="7")
    text.write_bytes(model.SerializeToString())
    fails(text, 65, "martlet.contract_version")


def test_stored_data_that_do_not_fit_are_one_line(copy):
    model = copy("a_mlp.dense")
    data = model.with_suffix(".data")
    features = np.load(data / "features.npy")

    def fails(code, *words, arguments=()):
        one_line(martlet("model", "verify", model, *arguments, check=False, env=NO_PYTHON), code, *words)

    fails(66, "elsewhere", arguments=["--data", model.parent / "elsewhere"])
    for wrong, word in (
            (features[:, :39], "39"), (features.astype(np.float64), "<f8"), (np.asfortranarray(features), "rows first"),
            (features[:0], "rows"), (np.float32(1), "1")):
        np.save(data / "features.npy", wrong)
        fails(65, word)
    (data / "features.npy").write_bytes(b"nothing")
    fails(65, "features.npy", "NumPy")
    one_line(martlet("model", "bench", model, check=False), 65, "features.npy")
    (data / "features.npy").unlink()
    fails(65, "without stored inputs")
    (data / "probabilities.npy").unlink()
    one_line(martlet("model", "bench", model, "--data", data, check=False), 66, "features.npy")
    np.save(data / "features.npy", features)
    (data / "data.json").write_text("[")
    fails(65, "data.json")
    (data / "data.json").unlink()
    np.save(data / "probabilities.npy", np.zeros((200, 1, 4), np.float32))
    fails(65, "stored probabilities")


def test_options_that_are_wrong_are_one_line(models):
    model = models / "a_mlp.dense.onnx"
    one_line(martlet("model", "bench", model, "--steps", 0, check=False), 64, "--steps")
    one_line(martlet("model", "bench", model, "--core", 4000, check=False), 64, "--core")
    one_line(martlet("model", "bench", model, "--core=-2", check=False), 64, "--core")
    one_line(martlet("model", "verify", model, "--onnxruntime", "/nowhere/python", check=False), 66, "/nowhere/python")
    one_line(martlet("model", "verify", model, "--onnxruntime", "/bin/false", check=False), 65, "ONNX Runtime")
    one_line(martlet("model", "verify", model, "--onnxruntime", "/bin/true", check=False), 65, "ONNX Runtime")


# What compares in Python.

def test_the_comparisons_can_fail():
    values = np.ones((1000, 3), np.float32)
    assert model_verify.compare_floats("a", values, values + np.float32(5e-6), 0)["status"] == "passed"
    off = values.copy()
    off[7, 2] += 1e-4
    failed = model_verify.compare_floats("a", off, values, 9)
    assert failed["status"] == "failed" and "tick 16, element 2" in failed["detail"]
    off[7, 2] = np.nan
    assert model_verify.compare_floats("a", off, values, 0)["status"] == "failed"
    assert model_verify.compare_bits("a", off, values, 0)["status"] == "failed"
    assert model_verify.compare_bits("a", values, values, 0)["status"] == "passed"
    assert model_verify.compare_bits("a", values, values[:-1], 0)["status"] == "failed"
    wide = values + np.float32(0.01) * (np.arange(1000) < 1)[:, None]
    assert model_verify.compare_quanta("a", wide, values, 0.001, 0)["status"] == "passed"
    wide[1] += 0.01
    assert model_verify.compare_quanta("a", wide, values, 0.001, 0)["status"] == "failed"


def test_a_quantum_is_that_of_the_last_quantised_values(models):
    graph = onnx.load(models / "a_mlp.int8.onnx").graph
    assert model_verify.quantum_of(graph, "probabilities") == pytest.approx(5 / 127)
    assert model_verify.quantum_of(onnx.load(models / "a_mlp.dense.onnx").graph, "probabilities") == 0
