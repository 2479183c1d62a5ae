"""Runs beside the built program: `martlet score` says what Python says, and the frontier is measured."""

import csv
import dataclasses
import json

import numpy as np
import onnx
import pytest

pytest.importorskip("jax")
pytest.importorskip("yaml")

from martlet.training import command, config, evaluation, frontier, loop, run, stages  # noqa: E402
from run_support import features, quick_compiler, small  # noqa: E402, F401
from support import BIN, martlet  # noqa: E402


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    path = tmp_path_factory.mktemp("feed") / "sim.dbn.zst"
    martlet("simulate", "--seed", 5, "--events", 6_000, "--out", path)
    return path


@pytest.mark.skipif(BIN is None, reason="MARTLET_BIN is not set")
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_martlet_score_says_the_same(feed, tmp_path, precision, monkeypatch, capsys):
    monkeypatch.setattr(evaluation, "REFERENCE_BURN_IN", 300)
    file = tmp_path / "feed.yaml"
    horizons = [10, "50ms", 20]
    changes = {"data": {"feeds": [str(feed)], "horizons": horizons, "features": ["queue_*", "momentum_*"]},
               "training": {"epochs": 3}, "has_dense": False} | ({"quantization": {}} if precision == "int8" else {})
    file.write_text(config.as_text(small("x", **changes)))
    assert command.main(["run", str(file), "--out", str(tmp_path / "run"), "--save", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and "martlet score reproduces the scores" in captured.out
    check = json.loads((tmp_path / "run" / "metrics.json").read_text())["score_check"]
    assert check["is_exact"] == (precision == "int8") and len(check["horizons"]) == 2
    assert all(row["ticks"] > 500 and row["confusion_difference"] == 0 for row in check["horizons"])
    # It knows no horizons in time: those are left out by name, and the others keep theirs.
    assert [row["horizon"] for row in check["horizons"]] == ["10 ticks", "20 ticks"] and check["left_out"] == ["50 ms"]
    assert "does not evaluate 50 ms: there the scores are those of" in (tmp_path / "run" / "card.md").read_text()
    assert (tmp_path / "small.onnx").exists() and (tmp_path / "small.md").exists()
    settings = config.load(file)
    problem = stages.problem_of(settings, stages.load_data(settings, tmp_path / "run", [[feed]]))
    other = np.full((*problem.classes.shape, 3), 1 / 3, np.float32)
    with pytest.raises(evaluation.MismatchError, match="martlet score gives a macro F1"):
        evaluation.check_score(tmp_path / "small.onnx", [[feed]], problem, other, precision == "int8")


def test_the_frontier_has_each_density_in_floats_and_bytes(features):
    names = [variant.name for variant in frontier.variants(small(features), (0.5, 0.1))]
    assert names == [
        "dense fp32", "50% fp32", "10% fp32", "dense int8", "50% int8", "10% int8",
        "dense int8, post-training", "50% int8, post-training", "10% int8, post-training"]
    names = [variant.name for variant in frontier.variants(small(features, network={"kind": "mixer"}), (0.5,))]
    assert names == ["dense fp32", "50% fp32"]


def test_the_frontier_has_neurons_removed_alone_and_with_blocks(features):
    every = frontier.variants(small(features), (0.5, 0.25), (0.75, 0.5))
    assert [variant.name for variant in every[9:]] == [
        "neurons 75% fp32", "neurons 75%, 50% int8", "neurons 75%, 25% int8",
        "neurons 50% fp32", "neurons 50%, 50% int8", "neurons 50%, 25% int8"]
    folders = [frontier.folder_name(variant, 1) for variant in every]
    assert folders[8:11] == ["25-int8-post-training-1", "neurons-75-fp32-1", "neurons-75-50-int8-1"]
    assert len(set(folders)) == len(every)


@pytest.mark.parametrize("network, named, expected", [
    ({"kind": "gru", "units": [32]}, None, (0.5,)), ({"kind": "gru", "units": [32]}, (0.25, 0.75), (0.25, 0.75)),
    ({"kind": "gru", "units": [32]}, (), ()), ({"kind": "mixer"}, None, ()), ({"kind": "tcn"}, (), ()),
    # Nothing to remove in whole blocks.
    ({"kind": "mlp", "dense": [16, 16]}, None, ())])
def test_shares_of_neurons_are_for_networks_that_have_some(network, named, expected, features):
    assert frontier.neuron_shares(small(features, network=network), named) == expected


def test_densities_that_differ_by_less_than_a_percent_are_told_apart(features):
    names = [variant.name for variant in frontier.variants(small(features), (0.095, 0.1, 0.07))]
    assert names[1:4] == ["9.5% fp32", "10% fp32", "7% fp32"] and len(set(names)) == len(names)
    folders = [frontier.folder_name(variant, 1) for variant in frontier.variants(small(features), (0.095, 0.1))]
    assert folders[1:3] == ["9.5-fp32-1", "10-fp32-1"] and len(set(folders)) == len(folders)


def table(folder):
    """The rows of a frontier."""
    with open(folder / "compress" / "frontier.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(BIN is None, reason="MARTLET_BIN is not set")
def test_the_frontier_is_measured(features, tmp_path, capsys, monkeypatch):
    every = frontier.variants
    monkeypatch.setattr(frontier, "variants", lambda *arguments: every(*arguments)[:3])
    file = tmp_path / "small.yaml"
    teacher = {"name": "large", "network": {"kind": "gru", "units": [16], "dense": [16]}, "training": {"epochs": 2}}
    file.write_text(config.as_text(small(features, training={"epochs": 3}, teachers=[teacher])))
    folder = tmp_path / "run"
    assert command.main(["compress", str(file), "--out", str(folder), "--densities", "0.5", "--seeds", "1,2"]) == 0
    rows = table(folder)
    assert [row["name"] for row in rows] == ["teacher fp32", "dense fp32", "50% fp32", "dense int8"]
    assert float(rows[0]["ratio"]) == 1 and rows[2]["seeds"] == "2" and float(rows[2]["density"]) < 0.6
    assert all(float(row["p50_ns"]) > 0 and 0.5 < float(row["ratio"]) < 2 for row in rows)
    assert float(rows[2]["block_density"]) < 0.6 and float(rows[1]["block_density"]) > 0.98
    assert rows[3]["precision"] == "int8" and int(rows[3]["bytes"]) < int(rows[1]["bytes"])
    assert (folder / "compress" / "frontier.png").exists()
    assert "50% fp32" in capsys.readouterr().out
    assert command.main(["compress", str(folder), "--densities", "2"]) == 1
    assert "densities lie between 0 and 1" in capsys.readouterr().err


@pytest.mark.skipif(BIN is None, reason="MARTLET_BIN is not set")
def test_neurons_are_removed_once_from_the_dense_student(feed, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluation, "REFERENCE_BURN_IN", 300)
    every, train, trained, wanted = frontier.variants, loop.train, [], {"dense fp32", "neurons 50% fp32"}
    monkeypatch.setattr(frontier, "variants", lambda *arguments: [
        variant for variant in every(*arguments) if variant.name in wanted])

    def noted(network, heads, examples, settings, first=None, folder=None):
        trained.append((folder.name, first))
        return train(network, heads, examples, settings, first, folder)

    monkeypatch.setattr(loop, "train", noted)
    file, folder = tmp_path / "feed.yaml", tmp_path / "run"
    changes = {"data": {"feeds": [str(feed)], "horizons": [10], "features": ["queue_*", "momentum_*"]},
               "network": {"kind": "gru", "units": [16], "dense": [32], "dropout": 0.0}, "training": {"epochs": 2},
               "is_tilted": False}
    file.write_text(config.as_text(small("x", **changes)))
    arguments = ["compress", str(file), "--out", str(folder), "--densities", "0.5"]
    assert command.main(arguments) == 0
    wanted.add("neurons 50%, 50% int8")
    assert command.main(arguments) == 0
    names = ["dense-fp32-1", "neurons-50-fp32-1", "neurons-50-50-int8-1"]
    assert [name for name, _ in trained] == names
    # Both began from the same weights of the same neurons.
    starts = [first for _, first in trained[1:]]
    assert starts[0]["gru0_r"].shape == (24, 8) and starts[0]["dense0_b"].shape == (16,)
    assert all(np.array_equal(starts[0][name], starts[1][name]) for name in starts[0])
    assert [row["name"] for row in table(folder) if float(row["engine_macro_f1"]) > 0] == [
        "dense fp32", "neurons 50% fp32", "neurons 50%, 50% int8"]
    models = [onnx.load(folder / "compress" / f"{name}.onnx") for name in names]
    units = [node.attribute[0].i for model in models for node in model.graph.node if node.op_type == "GRU"]
    assert units == [16, 8, 8]
    dense, *smaller = ([(value.name, [size.dim_value for size in value.type.tensor_type.shape.dim])
                        for value in (*model.graph.input, *model.graph.output)] for model in models)
    for found in smaller:
        assert [name for name, _ in found] == [name for name, _ in dense]
        assert [value for value in found if "state" not in value[0]] == [
            value for value in dense if "state" not in value[0]]
        assert [shape[-1] for name, shape in found if "state" in name] == [8, 8]
    values = [{entry.key: entry.value for entry in model.metadata_props} for model in models]
    differing = {key for one in values for key in one if one[key] != values[0][key]}
    assert differing == {"martlet.density", "martlet.precision"}


@pytest.mark.skipif(BIN is None, reason="MARTLET_BIN is not set")
@pytest.mark.parametrize("precision", ["fp32", "int8", "int8, post-training"])
def test_a_frontier_whose_files_do_not_reproduce_is_refused(feed, tmp_path, precision, capsys, monkeypatch):
    monkeypatch.setattr(evaluation, "REFERENCE_BURN_IN", 300)
    every, exported = frontier.variants, run.export_student
    monkeypatch.setattr(frontier, "variants", lambda *arguments: [
        variant for variant in every(*arguments) if variant.name == f"dense {precision}"])
    file, folder = tmp_path / "feed.yaml", tmp_path / "run"
    changes = {"data": {"feeds": [str(feed)], "horizons": [10, 20], "features": ["queue_*", "momentum_*"]}}
    file.write_text(config.as_text(small("x", training={"epochs": 3}, **changes)))
    arguments = ["compress", str(file), "--out", str(folder), "--horizon", "1"]
    check, checked = evaluation.check_score, []
    monkeypatch.setattr(evaluation, "check_score", lambda *arguments: checked.append(check(*arguments)) or checked[-1])
    assert command.main(arguments) == 0
    row, = table(folder)
    assert checked[0]["is_exact"] == (precision != "fp32") and row["precision"] == precision.split(",")[0]
    assert all(one["confusion_difference"] == 0 for one in checked[0]["horizons"])
    # As the engine has it, and over some more ticks than those whose horizons all end in the part.
    assert float(row["macro_f1"]) == pytest.approx(float(row["engine_macro_f1"]), abs=0.01)

    def other_file(settings, problem, job, result, path):
        """What is written is not what is judged: another bias."""
        weights = result.weights | {"head_probabilities_b": result.weights["head_probabilities_b"] + np.float32(
            [3, 0, 0, 3, 0, 0])}
        exported(settings, problem, job, dataclasses.replace(result, weights=weights), path)
        return exported(settings, problem, job, result, path.with_suffix(".judged.onnx"))

    capsys.readouterr()
    monkeypatch.setattr(run, "export_student", other_file)
    assert command.main(arguments) == 1
    captured = capsys.readouterr()
    assert "martlet score gives a macro F1" in captured.err and len(captured.err.splitlines()) == 1


@pytest.mark.skipif(BIN is None, reason="MARTLET_BIN is not set")
def test_a_float_file_of_a_frontier_is_run_through_onnx_runtime(features, tmp_path, capsys, monkeypatch):
    every, exported = frontier.variants, run.export_student
    monkeypatch.setattr(frontier, "variants", lambda *arguments: every(*arguments)[:1])

    def other_file(settings, problem, job, result, path):
        bias = result.weights["head_probabilities_b"] + np.float32([1, 0, 0])
        weights = result.weights | {"head_probabilities_b": bias}
        return exported(settings, problem, job, dataclasses.replace(result, weights=weights), path)

    monkeypatch.setattr(run, "export_student", other_file)
    file = tmp_path / "small.yaml"
    file.write_text(config.as_text(small(features, training={"epochs": 1})))
    assert command.main(["compress", str(file), "--out", str(tmp_path / "run")]) == 1
    assert "ONNX Runtime differs from the training code" in capsys.readouterr().err
