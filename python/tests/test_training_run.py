"""Whole runs on small data: what is exported is what was judged, twice the same, resumed without repeating; and what is
refused in one line."""

import dataclasses
import json

import numpy as np
import pytest

jax = pytest.importorskip("jax")
onnx = pytest.importorskip("onnx")
yaml = pytest.importorskip("yaml")

from martlet import labels  # noqa: E402
from martlet.training import card, command, config, evaluation, export, loop, run, stages  # noqa: E402
from support import BIN, martlet  # noqa: E402
from test_fi2010 import folder as fi2010_folder  # noqa: E402, F401
from training_support import FEATURES, describe, write_folder  # noqa: E402

COUNT = 8_000


@pytest.fixture(scope="module", autouse=True)
def quick_compiler():
    """Most of the time here is the compiler's, for which small networks are not worth it."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("features"), count=COUNT)
    describe(folder, ticks=COUNT)
    return folder


def small(features, **changes):
    values = {
        "name": "small", "data": {"folder": str(features), "horizons": [10]},
        "network": {"kind": "gru", "units": [16], "dense": [16], "dropout": 0.0},
        "training": {"epochs": 8, "learning_rate": 1e-2, "burn_in": 50, "lanes": 8, "steps": 25},
        "pruning": {"density": 0.5, "every": 5},
        "baselines": ["majority", "persistence"], "has_dense": False} | changes
    return config.parse(yaml.safe_dump(values))


@pytest.fixture(scope="module")
def done(features, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "small"
    return folder, run.run(small(features), folder)


def metadata(path):
    return {p.key.removeprefix("martlet."): json.loads(p.value) for p in onnx.load(path).metadata_props}


def macro_f1(values, name):
    return next(row["macro_f1"]["value"] for row in values["test"] if row["name"] == name)


def test_a_run_leaves_a_model_that_is_worth_something(done):
    folder, values = done
    assert macro_f1(values, "student") > macro_f1(values, "persistence") + 0.05
    assert macro_f1(values, "student") > macro_f1(values, "majority") + 0.2
    assert values["beaten_by"] == [] and values["largest_difference"] < 1e-5
    found = metadata(folder / "model.onnx")
    assert found["metrics"]["test_macro_f1_10"] == round(macro_f1(values, "student"), 4)
    assert found["feature_names"] == [f"f{number}" for number in range(FEATURES)] and found["warm_up_ticks"] == 50
    assert found["training_end_timestamp"] == 1_700_000_000_000_000_000 + (6_400 - 1) * 10**6
    assert found["density"] == pytest.approx(0.5, abs=0.07) and found["precision"] == "fp32"


def test_the_folder_tells_all(done):
    folder, values = done
    assert json.loads((folder / "metrics.json").read_text())["test"] == values["test"]
    text, page = (folder / "report.md").read_text(), (folder / "report.html").read_text()
    assert "## Limits" in text and "martlet-train reproduce small" in text and "not asked" in text
    pictures = sorted(path.name for path in (folder / "plots").iterdir())
    assert pictures == ["confusion-10ticks.png", "f1.png", "loss.png", "reliability-10ticks.png"]
    assert page.count("data:image/png;base64,") == len(pictures) and "src=\"plots" not in page
    assert all(f"plots/{name}" in text for name in pictures)
    assert card.read_config(folder / "card.md") == config.load(folder / "config.yaml")


def test_the_same_configuration_gives_the_same_file_interrupted_or_not(done, features, tmp_path, monkeypatch):
    def stop(progress, epoch, note):
        if epoch == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.Progress, "show", stop)
        with pytest.raises(KeyboardInterrupt):
            run.run(small(features), tmp_path)
    assert not (tmp_path / "model.onnx").exists()
    run.run(small(features), tmp_path, is_resumed=True)
    assert (tmp_path / "model.onnx").read_bytes() == (done[0] / "model.onnx").read_bytes()


def test_finished_stages_are_not_repeated(done, features, monkeypatch):
    folder, values = done
    before = (folder / "model.onnx").read_bytes()
    for name in ("train",):
        monkeypatch.setattr(loop, name, lambda *arguments, **options: pytest.fail("trained again"))
    monkeypatch.setattr(run.baselines, "persistence", lambda problem: pytest.fail("computed again"))
    again = run.run(small(features), folder, is_resumed=True)
    assert (folder / "model.onnx").read_bytes() == before and again["test"] == values["test"]


def test_a_folder_of_another_run_is_left_alone(done, features, tmp_path):
    with pytest.raises(config.ConfigError, match="holds a run already: --resume"):
        run.run(small(features), done[0])
    with pytest.raises(config.ConfigError, match="another configuration"):
        run.run(small(features, seed=2), done[0], is_resumed=True)
    (tmp_path / "mine").write_text("")
    with pytest.raises(config.ConfigError, match="not empty"):
        run.run(small(features), tmp_path, is_resumed=True)


def test_what_was_tilted_decides_in_the_file(done, features):
    """p / share^e, made to sum to 1, is what the exported model gives."""
    folder, values = done
    problem = stages.problem_of(small(features), stages.load_data(small(features), folder, []))
    job = stages.student_job(small(features), problem, is_taught=False, pruned=small(features).pruning)
    result = loop.Trained.load(folder / "student" / "trained.npz")
    plain = stages.outputs(job, problem, result)["probabilities"][:500]
    share = np.bincount(problem.classes[problem.train[:, 0], 0], minlength=3) / problem.train.sum()
    expected = plain / share ** values["tilt"][0]
    found = export.run(onnx.load(folder / "model.onnx"), problem.data.features[:500], problem.data.reset[:500])
    assert found["probabilities"] == pytest.approx(expected / expected.sum(axis=2, keepdims=True), abs=1e-5)
    tilted, _ = stages.tilt(problem, dataclasses.replace(result), plain.repeat(16, axis=0)[:COUNT])
    assert tilted.weights is not result.weights


def test_a_quantised_student_of_a_teacher_has_all_heads(features, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "REFERENCE_BURN_IN", 100)
    teacher = {"name": "large", "network": {"kind": "gru", "units": [24], "dense": []}, "training": {"epochs": 2}}
    table = {"name": "table", "network": {"kind": "binctabl", "sizes": [[8, 10], [8, 5]]}, "is_direct": True,
             "training": {"epochs": 1, "windows": 512}}
    names = ["probabilities", "expected_return", "volatility", "value_at_risk", "expected_shortfall", "trend"]
    settings = small(
        features, data={"folder": str(features), "horizons": [10], "trend_ticks": 20, "features": ["f[0-7]"],
                        "shares": [0.7, 0.2, 0.1]},
        heads={"names": names}, quantization={"begin": 0.6}, teachers=[teacher], peers=[table], training={"epochs": 4})
    values = run.run(settings, tmp_path)
    assert {row["name"] for row in values["test"]} >= {"student", "teacher", "table", "student, not tilted"}
    found = metadata(tmp_path / "model.onnx")
    assert found["precision"] == "int8" and found["feature_names"] == [f"f{number}" for number in range(8)]
    outputs = [output.name for output in onnx.load(tmp_path / "model.onnx").graph.output]
    assert outputs[:6] == names
    others = values["other_heads"]
    assert set(others) == {"expected_return", "volatility", "value_at_risk", "trend"}
    risk = others["value_at_risk"]["10 ticks"][0]
    assert risk["level"] == 0.95 and 50 < risk["horizons"] < 81 and risk["violations"] < 0.5 * risk["horizons"]
    assert "Kupiec" in (tmp_path / "report.md").read_text()


def fails(arguments, capsys, *texts):
    """The command says no in one line that holds all texts."""
    assert command.main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1 and captured.err.startswith("martlet-train: ")
    for text in texts:
        assert text in captured.err


def test_data_that_cannot_be_used_are_refused_in_one_line(features, tmp_path, capsys):
    def broken(name, **changes):
        folder = tmp_path / name
        folder.mkdir()
        for path in features.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        for key, value in changes.items():
            np.save(folder / f"{key}.npy", value)
        file = tmp_path / f"{name}.yaml"
        file.write_text(f"name: small\ndata: {{folder: {folder}, horizons: [10]}}\nnetwork: {{kind: gru}}\n")
        return ["run", file, "--out", tmp_path / f"{name}-run"]

    nothing = np.load(features / "features.npy")
    nothing[5, 2] = np.nan
    fails(broken("nan", features=nothing), capsys, "not finite, as in f2")
    fails(broken("still", mid=np.full(COUNT, 10**11)), capsys, "are flat", "another threshold")
    fails(broken("absent", mid=np.full(COUNT, labels.UNDEFINED_PRICE)), capsys, "no labelled ticks")
    fails(broken("short", **{name: np.load(features / f"{name}.npy")[:900] for name in (
        "features", "mid", "ts_recv", "reset", "instrument")}), capsys, "has 900 ticks; 5000 are the least")
    arguments = broken("version")
    describe(tmp_path / "version", ticks=COUNT, feature_set_version=9)
    fails(arguments, capsys, "version 9 of the feature set", "write the features anew")
    window = tmp_path / "window.yaml"
    window.write_text(f"name: small\ndata: {{folder: {features}}}\nnetwork: {{kind: mixer, window: 64}}\n")
    fails(["run", window, "--out", tmp_path / "window-run"], capsys, "looks back 64 ticks", "warm_up is at least 63")
    none = tmp_path / "none.yaml"
    none.write_text(f"name: small\ndata: {{folder: {features}, features: [x*]}}\n")
    fails(["run", none, "--out", tmp_path / "none-run"], capsys, "no feature fits x*")


def test_a_missing_program_or_feed_is_said_at_once(tmp_path, capsys, monkeypatch):
    file = tmp_path / "feed.yaml"
    file.write_text("name: small\ndata: {feeds: [nowhere.dbn]}\n")
    monkeypatch.setenv("MARTLET_BIN", "")
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    fails(["run", file], capsys, "the program martlet is not found", "make build", "--martlet")
    assert not (tmp_path / "runs").exists()
    fails(["--martlet", tmp_path / "no", "run", file], capsys, "which is no program")
    (tmp_path / "martlet").write_text("#!/bin/sh\n")
    (tmp_path / "martlet").chmod(0o755)
    fails(["--martlet", tmp_path / "martlet", "run", file], capsys, "nowhere.dbn is not there")
    fails(["reproduce", "none", "--models", tmp_path], capsys, "none.md", "No such file")
    (tmp_path / "old.md").write_text("# A card")
    fails(["reproduce", "old", "--models", tmp_path], capsys, "holds no configuration")


def test_the_command_line_teaches(capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    words = ("run", "reproduce", "compress", "fi2010", "config", "--resume", "docs/MODELS.md")
    assert all(word in text for word in words)
    for wrong in ([], ["none"], ["compress", "x", "--densities", "half"]):
        with pytest.raises(SystemExit) as caught:
            command.main(wrong)
        assert caught.value.code == 2


def test_fi2010_stands_beside_the_papers(fi2010_folder, tmp_path, capsys):  # noqa: F811
    options = ["fi2010", "--data", str(fi2010_folder), "--horizons", "10", "--epochs", "1"]
    assert command.main([*options, "--windows", "256", "--models", "logistic,binctabl"]) == 0
    captured = capsys.readouterr()
    ours = [line for line in captured.out.splitlines() if "| ours |" in line]
    assert len(ours) == 2 and "| TLOB |" in captured.out and captured.err == ""
    fails(["fi2010", "--data", tmp_path], capsys, "has no file such as")
    fails([*options, "--models", "lstm"], capsys, "--models are of")


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    path = tmp_path_factory.mktemp("feed") / "sim.dbn.zst"
    martlet("simulate", "--seed", 5, "--events", 9_000, "--out", path)
    return path


@pytest.mark.skipif(BIN is None, reason="MARTLET_BIN is not set")
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_martlet_score_says_the_same(feed, tmp_path, precision, monkeypatch, capsys):
    file = tmp_path / "feed.yaml"
    changes = {"data": {"feeds": [str(feed)], "horizons": [10, 20], "features": ["queue_*", "momentum_*"]},
               "training": {"epochs": 3}, "has_dense": False} | ({"quantization": {}} if precision == "int8" else {})
    file.write_text(config.as_text(small("x", **changes)))
    assert command.main(["run", str(file), "--out", str(tmp_path / "run"), "--save", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and "martlet score reproduces the scores" in captured.out
    check = json.loads((tmp_path / "run" / "metrics.json").read_text())["score_check"]
    assert check["is_exact"] == (precision == "int8") and len(check["horizons"]) == 2
    assert all(row["ticks"] > 1_000 and row["confusion_difference"] == 0 for row in check["horizons"])
    assert (tmp_path / "feed.onnx").exists() is False and (tmp_path / "small.onnx").exists()
    settings = config.load(file)
    problem = stages.problem_of(settings, stages.load_data(settings, tmp_path / "run", [feed]))
    other = np.full((*problem.classes.shape, 3), 1 / 3, np.float32)
    with pytest.raises(evaluation.MismatchError, match="martlet score gives a macro F1"):
        evaluation.check_score(tmp_path / "small.onnx", [feed], problem, other, precision == "int8")


@pytest.mark.skipif(BIN is None, reason="MARTLET_BIN is not set")
def test_the_frontier_is_measured(done, capsys):
    folder = done[0]
    assert command.main(["compress", str(folder), "--densities", "0.5", "--seeds", "1,2"]) == 0
    lines = (folder / "compress" / "frontier.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["dense fp32", "50% fp32", "dense int8", "50% int8"]
    row = dict(zip(lines[0].split(","), lines[2].split(",")))
    assert row["seeds"] == "2" and float(row["p50_ns"]) > 0 and 0.5 < float(row["ratio"]) < 1.5
    assert (folder / "compress" / "frontier.png").exists()
    assert "50% int8" in capsys.readouterr().out
    fails(["compress", folder, "--densities", "2"], capsys, "densities lie between 0 and 1")
