"""Whole runs on small data: what is exported is what was judged, twice the same, resumed without repeating; and what is
refused in one line."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

pytest.importorskip("jax")
onnx = pytest.importorskip("onnx")
pytest.importorskip("yaml")

from martlet import labels  # noqa: E402
from martlet.training import card, command, config, evaluation, export, heads, loop, run, stages  # noqa: E402
from run_support import COUNT, features, interrupt, quick_compiler, small  # noqa: E402, F401
from test_fi2010 import folder as fi2010_folder  # noqa: E402, F401
from training_support import FEATURES, describe  # noqa: E402


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
    with monkeypatch.context() as patch:
        interrupt(patch, 5)
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


def test_reproduce_says_whether_it_is_the_shipped_file(done, tmp_path, capsys):
    made, models = done[0] / "model.onnx", tmp_path / "models"
    run.save_to(done[0], models, "small")
    arguments = ["reproduce", "small", "--models", str(models), "--out", str(done[0]), "--resume"]

    def verdict(*more):
        assert command.main([*arguments, *more]) == 0
        return capsys.readouterr().out.splitlines()[-1]

    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    assert verdict() == f"{made} equals {models / 'small.onnx'} to the byte (SHA-256 {digest})"
    (models / "small.onnx").write_bytes(b"other")
    other = hashlib.sha256(b"other").hexdigest()
    assert f"{made} differs from {models / 'small.onnx'} (SHA-256 {digest}, there {other})" in verdict()
    assert "one of them holds no scores that can be read" in verdict("--save", str(models))
    assert "to the byte" in verdict()
    shipped = onnx.load(made)
    entry = next(entry for entry in shipped.metadata_props if entry.key == "martlet.metrics")
    scores = json.loads(entry.value)
    entry.value = json.dumps(scores | {"test_macro_f1_10": scores["test_macro_f1_10"] + 0.02})
    onnx.save(shipped, models / "small.onnx")
    assert verdict().endswith("apart by at most 0.0200 (test_macro_f1_10)")
    (models / "small.onnx").unlink()
    assert "is not there" in verdict()


@pytest.mark.parametrize("arguments, hint", [
    (["run", "a.yaml"], "; --resume goes on"), (["reproduce", "a"], "; --resume goes on"),
    (["walk", "a.yaml"], "; --resume goes on"), (["compress", "a.yaml"], ""),
    (["fi2010", "--data", "a"], ""), (["config", "a.yaml"], "")])
def test_an_interrupted_command_names_resume_where_there_is_such_an_option(arguments, hint, capsys, monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setitem(command.COMMANDS, arguments[0], interrupted)
    assert command.main(arguments) == 130
    assert capsys.readouterr().err == f"martlet-train: interrupted{hint}\n"


def test_direct_heads_are_those_of_the_configuration(features, tmp_path):
    direct = small(features, heads={"is_direct": True}, network={"kind": "binctabl"}, pruning=None, is_tilted=False)
    problem = stages.problem_of(small(features), stages.load_data(direct, tmp_path, []))
    found = stages.heads_of(direct, problem)
    assert found.is_direct and found.risk_factors == ()


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
    peer = teacher | {"name": "peer"}
    names = list(heads.NAMES)
    settings = small(
        features, data={"folder": str(features), "horizons": [10], "trend_ticks": 20, "features": ["f[0-7]"],
                        "shares": [0.8, 0.15, 0.05]},
        heads={"names": names}, trading={"fee_bps": 0.1}, quantization={"begin": 0.6}, teachers=[teacher], peers=[peer],
        training={"epochs": 4})
    values = run.run(settings, tmp_path)
    assert {row["name"] for row in values["test"]} >= {"student", "teacher", "peer", "student, not tilted"}
    assert macro_f1(values, "teacher") == macro_f1(values, "peer") > 0.3
    found = metadata(tmp_path / "model.onnx")
    assert found["precision"] == "int8" and found["feature_names"] == [f"f{number}" for number in range(8)]
    outputs = [output.name for output in onnx.load(tmp_path / "model.onnx").graph.output]
    assert outputs[:7] == names
    assert set(values["other_heads"]) == {"expected_return", "volatility", "trend"}
    risk = values["risk"][0]
    assert risk["level"] == 0.95 and 25 < risk["horizons"] < 41 and risk["violations"] < 0.5 * risk["horizons"]
    assert len(values["trading"]) == 6


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
        "features", "mid", "ts_recv", "reset", "instrument", "bid", "ask")}), capsys, "has 900 ticks; 5000 are the least")
    arguments = broken("version")
    describe(tmp_path / "version", ticks=COUNT, feature_set_version=9)
    fails(arguments, capsys, "version 9 of the feature set", "write the features anew")
    window = tmp_path / "window.yaml"
    window.write_text(f"name: small\ndata: {{folder: {features}}}\nnetwork: {{kind: mixer, window: 64}}\n")
    fails(["run", window, "--out", tmp_path / "window-run"], capsys, "looks back 64 ticks", "warm_up is at least 63")
    none = tmp_path / "none.yaml"
    none.write_text(f"name: small\ndata: {{folder: {features}, features: [x*]}}\n")
    fails(["run", none, "--out", tmp_path / "none-run"], capsys, "no feature fits x*")


def test_a_test_part_too_short_for_intervals_is_refused_before_the_training(features, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run.baselines, "majority", lambda problem: pytest.fail("went on"))
    file = tmp_path / "long.yaml"
    # Of 8,000 ticks the test part has 1,600, of which the first and the last 600 are not judged.
    file.write_text(f"name: small\ndata: {{folder: {features}, horizons: [10, 600]}}\n")
    fails(["run", file, "--out", tmp_path / "run"], capsys, "400 judged ticks for the horizon of 600 ticks", "need 1200")
    # Just enough is enough: 1,600 − 2 · 400 = 800.
    stages.problem_of(small(features, data={"folder": str(features), "horizons": [400]}),
                      stages.load_data(small(features), tmp_path, []))
    with pytest.raises(stages.DataError, match="798 judged ticks for the horizon of 401 ticks"):
        stages.problem_of(small(features, data={"folder": str(features), "horizons": [401]}),
                          stages.load_data(small(features), tmp_path, []))


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
    words = ("run", "reproduce", "walk", "compress", "fi2010", "config", "--resume", "docs/MODELS.md")
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
