"""Walking forward: each fold is a run of its own that knows nothing of later ticks, and all of them make one table."""

import csv
import dataclasses

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("onnx")
pytest.importorskip("yaml")

from martlet import labels  # noqa: E402
from martlet.training import config, loop, metrics, run, stages, walk  # noqa: E402
from martlet.training.policy import MARKET  # noqa: E402
from run_support import COUNT, features, interrupt, quick_compiler, small  # noqa: E402, F401
from test_training_run import fails  # noqa: E402

FOLDS = 2


def settings(features, **changes):
    return small(features, training={"epochs": 16, "learning_rate": 1e-2, "burn_in": 50, "lanes": 8, "steps": 25},
                 pruning=None,
                 baselines=["majority", "persistence", "logistic"], **changes)


@pytest.fixture(scope="module")
def done(features, tmp_path_factory):
    folder = tmp_path_factory.mktemp("walks") / "small"
    return folder, walk.walk(settings(features), folder, FOLDS)


def problems(features, folder, folds=FOLDS, is_anchored=True, **changes):
    chosen = settings(features, **changes)
    return walk.problems_of(chosen, stages.load_data(chosen, folder, [])[0], folds, is_anchored)


def rows_of(folder):
    with open(folder / "walk.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_holds_each_fold_and_all_together(done, features):
    folder, _ = done
    found = {(row["fold"], row["name"]): row for row in rows_of(folder)}
    names = ["majority", "persistence", "logistic", "logistic, tilted", "student, not tilted", "student"]
    assert list(found) == [(fold, name) for fold in ("1", "2", walk.ALL) for name in names]
    matrices = []
    for number, problem in enumerate(problems(features, folder), 1):
        rows = np.flatnonzero(problem.test[:, 0])
        begin = COUNT * (number + 1) // 4
        assert rows[0] == begin + 10 and rows[-1] == begin + COUNT // 4 - 11
        matrices.append(metrics.confusion(problem.classes[rows, 0], problem.known[rows, 0]))
        row = found[str(number), "persistence"]
        assert float(row["macro_f1"]) == pytest.approx(metrics.macro_f1(matrices[-1]), abs=1e-6)
        assert int(row["ticks"]) == len(rows) and float(row["alpha"]) == problem.alphas[0]
        assert float(found[str(number), "student"]["macro_f1"]) > float(row["macro_f1"]) + 0.03
    together = found[walk.ALL, "persistence"]
    assert float(together["macro_f1"]) == pytest.approx(metrics.macro_f1(sum(matrices)), abs=1e-6)
    assert int(together["ticks"]) == sum(matrix.sum() for matrix in matrices) and together["alpha"] == ""
    student = [found[fold, "student"] for fold in ("1", "2", walk.ALL)]
    widths = [float(row["high"]) - float(row["low"]) for row in student]
    assert widths[2] < min(widths[:2])
    mean = np.mean([float(row["macro_f1"]) for row in student[:2]])
    assert float(student[2]["macro_f1"]) == pytest.approx(mean, abs=0.03)


def test_a_folds_student_is_what_its_file_would_give(done, features, monkeypatch):
    folder, _ = done
    chosen, problem = settings(features), problems(features, folder)[0]
    with monkeypatch.context() as patch:
        patch.setattr(run.baselines, "TILTS", (1.5,))
        found = walk.predictions_of(chosen, problem, folder / "fold-1")
        plain = found["student, not tilted"] / run.baselines.prior(problem, 0) ** 1.5
    assert found["student"] == pytest.approx(plain / plain.sum(axis=2, keepdims=True), abs=1e-5)
    assert np.abs(found["student"] - found["student, not tilted"]).max() > 1e-3
    job = stages.student_job(chosen, problem, is_taught=False, pruned=chosen.pruning)
    result = loop.Trained.load(folder / "fold-1" / "student" / "trained.npz")
    result, _ = stages.tilt(problem, result, stages.outputs(job, problem, result)["probabilities"])
    probabilities = stages.outputs(job, problem, result)["probabilities"]
    rows = problem.test[:, 0]
    guess = labels.most_probable(probabilities[rows, 0])
    row = next(row for row in rows_of(folder) if (row["fold"], row["name"]) == ("1", "student"))
    assert float(row["macro_f1"]) == pytest.approx(
        metrics.macro_f1(metrics.confusion(problem.classes[rows, 0], guess)), abs=1e-6)


def test_report_and_figure_tell_it_without_a_model(done):
    folder, table = done
    text = (folder / "report.md").read_text()
    assert table in text and "![Macro F1 by fold" in text and "martlet-train walk CONFIG.yaml --folds 2`" in text
    lines = [line for line in table.splitlines() if line.startswith("| 10 ticks | all |")]
    assert len(lines) == 1 and "2023-11-14 22:13:24 to 22:13:27 UTC" in lines[0]
    assert "| horizon | fold | test part | majority | persistence | logistic, tilted | student |" in table
    assert "| 10 ticks | persistence | +" in text and "| 2 of 2 |" in text
    assert "data:image/png;base64," in (folder / "report.html").read_text()
    assert not list(folder.rglob("*.onnx"))


def test_a_walk_goes_on_where_it_was_interrupted(done, features, tmp_path, monkeypatch):
    before = (done[0] / "walk.csv").read_bytes()
    begun = []

    def named(text):
        begun.append(text)
        if text == "fold 2 of 2":
            interrupt(patch, 2)

    with monkeypatch.context() as patch:
        patch.setattr(walk, "stage", named)
        with pytest.raises(KeyboardInterrupt):
            walk.walk(settings(features), tmp_path, FOLDS)
    assert begun == ["features", "fold 1 of 2", "fold 2 of 2"]
    assert (tmp_path / "fold-1" / "student" / "trained.npz").exists()
    assert not (tmp_path / "fold-2" / "student" / "trained.npz").exists()
    walk.walk(settings(features), tmp_path, FOLDS, is_resumed=True)
    assert (tmp_path / "walk.csv").read_bytes() == before
    monkeypatch.setattr(loop, "train", lambda *arguments, **options: pytest.fail("trained again"))
    walk.walk(settings(features), tmp_path, FOLDS, is_resumed=True)


def test_a_folder_of_other_folds_or_of_a_run_is_left_alone(done, features):
    folder, _ = done
    for options in ({"folds": 3}, {"folds": FOLDS, "is_anchored": False}):
        with pytest.raises(config.ConfigError, match="holds a run of other folds"):
            walk.walk(settings(features), folder, is_resumed=True, **options)
    with pytest.raises(config.ConfigError, match="holds a run of other folds"):
        run.run(settings(features), folder, is_resumed=True)
    with pytest.raises(config.ConfigError, match="holds a run already: --resume"):
        walk.walk(settings(features), folder, FOLDS)


@pytest.mark.parametrize("horizon", [10, "10ms"])
def test_no_fold_knows_what_comes_after_its_test_part(features, tmp_path, horizon):
    data = {"folder": str(features), "horizons": [horizon]}
    chosen = settings(features, data=data)
    (whole,) = stages.load_data(chosen, tmp_path, [])
    first = walk.problems_of(chosen, whole, FOLDS, True)[0]
    end = first.split.end
    other = dataclasses.replace(whole, mid=whole.mid.copy(), features=whole.features.copy())
    other.mid[end:], other.features[end:] = other.mid[end:][::-1], 1e6
    again = walk.problems_of(chosen, other, FOLDS, True)[0]
    for item in dataclasses.fields(first):
        one, two = getattr(first, item.name), getattr(again, item.name)
        if isinstance(one, np.ndarray):
            assert np.array_equal(one, two, equal_nan=True), item.name
    assert len(first.classes) == end < COUNT


def test_a_rolling_fold_trains_on_one_stretch_and_trades_there(features, tmp_path):
    chosen = {"heads": {"names": ["probabilities", "position"]}, "trading": {"fee_bps": 0.1}}
    anchored, rolling = (problems(features, tmp_path, is_anchored=kind, **chosen)[1] for kind in (True, False))
    assert np.flatnonzero(anchored.train)[0] < 100
    assert np.flatnonzero(rolling.train)[0] >= COUNT // 4 and rolling.validation.sum() == anchored.validation.sum()
    assert (rolling.mean != anchored.mean).any()
    settled = settings(features, **chosen)
    for problem, first in ((anchored, 0), (rolling, COUNT // 4)):
        examples = stages.examples_of(stages.student_job(settled, problem, is_taught=False), problem)
        assert np.flatnonzero(examples.train[MARKET])[0] >= first
        assert examples.bounds(examples.train)[1] <= problem.validation_from


def test_folds_that_cannot_be_are_refused_in_one_line(features, tmp_path, capsys):
    file = tmp_path / "small.yaml"
    file.write_text(config.as_text(settings(features)))
    fails(["walk", file, "--folds", "600", "--out", tmp_path / "a"], capsys, "fold 1 of 600, whose parts have 13 ticks",
          "train part has no labelled ticks", "fewer folds have longer parts")
    fails(["walk", file, "--folds", "200", "--out", tmp_path / "b"], capsys, "fold 1 of 200", "fewer folds")
    fails(["walk", file, "--folds", "9000", "--out", tmp_path / "c"], capsys, "9000 need 9002 ticks, not 8000")
    assert not list(tmp_path.glob("*/fold-*"))


def test_times_are_said_once_a_day():
    assert walk.when_range(0, 5 * 10**9) == "1970-01-01 00:00:00 to 00:00:05 UTC"
    assert walk.when_range(0, 86_400 * 10**9) == "1970-01-01 00:00:00 to 1970-01-02 00:00:00 UTC"


def test_a_walk_goes_through_one_recording(tmp_path, capsys):
    file = tmp_path / "two.yaml"
    file.write_text("name: two\ndata: {recordings: [a.dbn, b.dbn]}\n")
    fails(["walk", file, "--out", tmp_path / "d"], capsys, "walk goes through one recording", "names 2")
