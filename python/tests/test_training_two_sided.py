"""Two-sided labels from a configuration: a result of research, beside what half of them is known, without a file."""

import json

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("onnx")
pytest.importorskip("yaml")

from martlet import labels  # noqa: E402
from martlet.training import comparison, config, data, guesses, metrics, run, stages  # noqa: E402
from martlet.training.data import TWO_SIDED  # noqa: E402
from run_support import features, quick_compiler, small  # noqa: E402, F401
from test_training_run import fails  # noqa: E402

K = 10


def settings(features, horizons=(K,)):
    return small(features, data={"folder": str(features), "horizons": list(horizons), "label": TWO_SIDED},
                 training={"epochs": 3, "learning_rate": 1e-2, "lanes": 8, "steps": 25})


@pytest.fixture(scope="module")
def problem(features, tmp_path_factory):
    chosen = settings(features)
    return stages.problem_of(chosen, stages.load_data(chosen, tmp_path_factory.mktemp("none"), []))


def test_a_run_gives_results_and_says_why_there_is_no_file(features, tmp_path):
    values = run.run(settings(features), tmp_path)
    assert not values["is_exported"] and not {"engine", "score_check"} & set(values)
    assert not list(tmp_path.rglob("*.onnx"))
    assert {row["name"] for row in values["test"]} >= {"student", "persistence", "known half"}
    for name in ("card.md", "report.md", "report.html"):
        text = (tmp_path / name).read_text()
        assert "No model file was written." in text and "not in the model contract" in text
        assert "the mean of the mid prices of the horizon against that of as many last ticks" in text
        assert "smoothed-mid" not in text and "martlet-train reproduce" not in text and "half of each is known" in text
    assert "no model file: the model contract does not have these labels" in run.summary(values)
    assert json.loads((tmp_path / "metrics.json").read_text())["is_exported"] is False


def test_persistence_is_the_last_label_that_is_known(problem, features):
    values, usable = labels.smoothed_two_sided(problem.data.mid, problem.data.reset, K)
    classes = labels.classify(values, usable, problem.alphas[0])
    assert problem.label == TWO_SIDED and (problem.classes[:, 0] == classes).all()
    assert (problem.known[K:, 0] == classes[:-K]).all() and (problem.known[problem.test[:, 0], 0] >= 0).all()
    tick = problem.test_from + 500
    other = data.Data.load(features)
    other.mid[tick + 1:] -= 10**9
    again = data.prepare(other, [K], alphas=problem.alphas, label=TWO_SIDED)
    assert (again.known[:tick + 1] == problem.known[:tick + 1]).all()
    assert (again.classes[tick - K + 1:tick + 1] != problem.classes[tick - K + 1:tick + 1]).any()


def test_the_known_half_is_its_definition_and_knows_no_more(problem, features):
    found = guesses.known_two_sided(problem)
    mid = problem.data.mid.astype(object)
    moves = np.full(len(mid), np.nan)
    for tick in range(K - 1, len(mid)):
        past = sum(mid[tick - K + 1:tick + 1])
        if not problem.data.reset[tick - K + 2:tick + 1].any():
            moves[tick] = float(K * mid[tick] - past) / float(past)
    is_known = np.isfinite(moves)
    guess = found[:, 0].argmax(axis=1)
    up, down = np.nanmin(moves[is_known & (guess == 2)]), np.nanmax(moves[is_known & (guess == 0)])
    assert up > 0 and down < 0
    threshold = np.nanmax(np.abs(moves[is_known & (guess == 1)]))
    assert threshold < min(up, -down)
    assert (labels.classify(np.nan_to_num(moves), is_known, threshold)[is_known] == guess[is_known]).all()
    shares = np.bincount(problem.classes[problem.train[:, 0], 0], minlength=3) / problem.train.sum()
    unknown = found[~is_known, 0]
    assert len(unknown) and unknown == pytest.approx(np.tile(shares, (len(unknown), 1)), abs=1e-6)
    rows = problem.test[:, 0]
    scores = [metrics.macro_f1(metrics.confusion(problem.classes[rows, 0], one[rows]))
              for one in (guess, problem.known[:, 0])]
    assert scores[0] > scores[1] + 0.1
    tick = problem.test_from + 500
    other = data.Data.load(features)
    other.mid[tick + 1:] += 10**9
    again = guesses.known_two_sided(data.prepare(other, [K], alphas=problem.alphas, label=TWO_SIDED))
    assert (again[:tick + 1] == found[:tick + 1]).all()


def test_blocks_of_ticks_are_as_long_as_label_and_last_label_reach(problem, features, tmp_path):
    assert comparison.draws_of(problem, 0).block == 3 * K
    chosen = small(features)
    one_sided = stages.problem_of(chosen, stages.load_data(chosen, tmp_path, []))
    assert comparison.draws_of(one_sided, 0).block == 2 * K
    # The test part has 1,600 ticks, of which the first and the last 400 are not judged.
    with pytest.raises(data.DataError, match="800 judged ticks for the horizon of 400 ticks.* need 1200, 3 times"):
        chosen = settings(features, [400])
        stages.problem_of(chosen, stages.load_data(chosen, tmp_path, []))


def test_what_needs_a_file_is_refused_before_the_training(features, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "train_all", lambda *arguments: pytest.fail("went on"))
    file, out = tmp_path / "small.yaml", tmp_path / "run"
    file.write_text(config.as_text(settings(features)))
    fails(["run", file, "--out", out, "--save", tmp_path / "models"], capsys, "--save needs a model file", "two-sided")
    fails(["compress", file, "--out", out], capsys, "compress needs a model file", "`run` gives its metrics and report")
    (tmp_path / "card.md").write_text(f"# A card\n\n```yaml\n{config.as_text(settings(features))}\n```\n")
    fails(["reproduce", "card", "--models", tmp_path, "--out", out], capsys, "reproduce needs a model file")
    assert not out.exists()


def test_horizons_of_two_sided_labels_are_ticks(features):
    with pytest.raises(config.ConfigError, match="data.label: two-sided labels have horizons in ticks, not 250 ms"):
        settings(features, [10, "250ms"])
    with pytest.raises(config.ConfigError, match="data.label is one of smoothed-mid, two-sided, not 'median'"):
        small(features, data={"folder": str(features), "label": "median"})
