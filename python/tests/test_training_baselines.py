"""Baselines and the table of a comparison: they learn what is to be learned, from the training part alone."""

import dataclasses

import numpy as np
import pytest

from martlet import labels
from martlet.training import baselines, comparison, metrics
from martlet.training.bootstrap import Resamples
from martlet.training.data import Data, DataError, prepare
from martlet.training.mirror import Mirror
from training_support import write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def problem(folder):
    return prepare(Data.load(folder), [10, 20], 50)


@pytest.fixture(scope="module")
def after(folder):
    """The same training and validation, and another test part."""
    data = Data.load(folder)
    data.mid[9_600:] = data.mid[9_600:][::-1]
    data.features[9_600:, 0] *= -1
    return prepare(data, [10, 20], 50)


def macro_f1(problem, probabilities, part="test", column=0):
    rows = problem.part(part)[:, column]
    guess = labels.most_probable(probabilities[rows, column])
    return metrics.f1_scores(problem.classes[rows, column], guess)["macro_f1"]


BASELINES = [baselines.majority, baselines.persistence, baselines.logistic, baselines.mirrored, baselines.trees]


@pytest.mark.parametrize("baseline", BASELINES)
def test_probabilities_sum_to_one_and_ignore_the_test_part(problem, after, baseline, monkeypatch):
    if baseline is baselines.trees:
        pytest.importorskip("lightgbm")
        monkeypatch.setattr(baselines, "TREES_MAX", 20)
    found = baseline(problem)
    assert found.shape == (12_000, 2, 3) and found.dtype == np.float32
    assert (found >= 0).all() and np.abs(found.sum(axis=-1) - 1).max() < 1e-5
    assert (found[:9_600] == baseline(after)[:9_600]).all()


def test_majority_and_persistence_are_what_they_say(problem):
    common = np.argmax(np.bincount(problem.classes[problem.train[:, 0], 0]))
    assert (labels.most_probable(baselines.majority(problem)[:, 0]) == common).all()
    found = labels.most_probable(baselines.persistence(problem)[:, 1])
    is_known = problem.known[:, 1] >= 0
    assert (found[is_known] == labels.persistence(problem.classes[:, 1], 20)[is_known]).all()


def test_what_learns_is_better_than_what_does_not(problem):
    persistence, logistic = (macro_f1(problem, one(problem)) for one in (baselines.persistence, baselines.logistic))
    assert logistic > persistence + 0.01 and persistence > macro_f1(problem, baselines.majority(problem)) + 0.1
    pytest.importorskip("lightgbm")
    assert macro_f1(problem, baselines.trees(problem)) > persistence + 0.01


def test_mirrored_regression_says_the_opposite_of_the_mirror_image(problem):
    names = ["momentum_1", "best_bid", "best_ask", *problem.data.names[3:]]
    one = dataclasses.replace(problem, data=dataclasses.replace(
        problem.data, description=problem.data.description | {"names": names}))
    image = Mirror.of(names).features(one.data.features)
    image[:one.test_from] = one.data.features[:one.test_from]
    other = dataclasses.replace(one, data=dataclasses.replace(one.data, features=image))
    found, opposite = (baselines.mirrored(each)[one.test_from:] for each in (one, other))
    assert found == pytest.approx(opposite[..., ::-1], abs=1e-4)
    assert macro_f1(one, baselines.mirrored(one)) > macro_f1(one, baselines.persistence(one)) + 0.01


def test_mirrored_regression_needs_both_sides(problem):
    names = ["event_add_bid", *problem.data.names[1:]]
    one = dataclasses.replace(problem, data=dataclasses.replace(
        problem.data, description=problem.data.description | {"names": names}))
    with pytest.raises(DataError, match="no event_add_ask.*take both sides"):
        baselines.mirrored(one)


def test_logistic_regression_is_that_of_scikit_learn(problem):
    linear_model = pytest.importorskip("sklearn.linear_model")
    rows = problem.train[:, 0]
    x, y = np.clip(problem.normalised[rows], -3, 3), problem.classes[rows, 0]
    ours = baselines.fit_logistic(x, y, x, y, (1e-2,))
    theirs = linear_model.LogisticRegression(C=1 / (1e-2 * len(x)), tol=1e-8, max_iter=1_000).fit(x, y)
    assert np.abs(ours.probabilities(x) - theirs.predict_proba(x)).max() < 1e-3


def test_the_penalty_is_the_one_that_validates_best():
    random = np.random.default_rng(2)
    x = random.normal(size=(900, 80)).astype(np.float32)
    y = np.clip(np.round(x[:, 0] + random.normal(size=900) + 1), 0, 2).astype(int)
    halves = (x[:300], y[:300], x[300:], y[300:])
    chosen = baselines.fit_logistic(*halves)
    losses = {p: metrics.log_loss(y[300:], baselines.fit_logistic(*halves, (p,)).probabilities(x[300:]))
              for p in baselines.PENALTIES}
    assert chosen.penalty == min(losses, key=losses.get) not in (baselines.PENALTIES[0], baselines.PENALTIES[-1])


def test_trees_are_the_same_each_time_and_differ_by_seed(problem):
    pytest.importorskip("lightgbm")
    first, again, other = (baselines.fit_trees(problem, 0, seed) for seed in (1, 1, 2))
    assert first.model_to_string() == again.model_to_string() != other.model_to_string()
    assert 1 < first.best_iteration < baselines.TREES_MAX


def test_trees_become_a_model_file(problem):
    pytest.importorskip("lightgbm")
    onnxruntime = pytest.importorskip("onnxruntime")
    from martlet.lightgbm_export import to_onnx
    booster = baselines.fit_trees(problem, 0)
    session = onnxruntime.InferenceSession(to_onnx(booster).SerializeToString(), providers=["CPUExecutionProvider"])
    rows = problem.data.features[9_000:9_100]
    found = np.concatenate([session.run(["probabilities"], {"features": row[None]})[0] for row in rows])
    assert np.abs(found - booster.predict(rows)).max() < 1e-5


def test_tilting_helps_a_shy_predictor_and_leaves_a_bold_one(problem):
    expected = problem.classes
    random = np.random.default_rng(4)
    is_right = random.random(expected.shape) < 0.5
    sure = np.eye(3)[np.where(is_right, np.maximum(expected, 0), random.integers(0, 3, expected.shape))]
    tilted, exponents = baselines.tilted(problem, np.float32(sure * 0.9 + 0.1 / 3))
    assert exponents == [0, 0] and np.abs(tilted - (sure * 0.9 + 0.1 / 3)).max() < 1e-6
    rare = prepare(problem.data, [10, 20], 50, alphas=[2e-6, 1e-3])
    shy = 0.3 * sure + 0.7 * np.stack([baselines.shares(rare.classes[rare.train[:, c], c]) for c in (0, 1)])
    tilted, exponents = baselines.tilted(rare, shy)
    assert exponents[1] > 0 and np.abs(tilted.sum(axis=-1) - 1).max() < 1e-6
    assert macro_f1(rare, tilted, "validation", 1) > macro_f1(rare, shy, "validation", 1)


def test_the_table_has_every_predictor_with_its_interval(problem):
    persistence, logistic = baselines.persistence(problem), baselines.logistic(problem)
    predictions = {"persistence": persistence, "logistic": np.stack([logistic, logistic])}
    rows = comparison.compare(problem, predictions, resamples=100)
    assert [(row.name, row.horizon) for row in rows] == [
        ("persistence", "10 ticks"), ("logistic", "10 ticks"), ("persistence", "20 ticks"), ("logistic", "20 ticks")]
    chosen = problem.test[:, 1]
    expected = problem.classes[chosen, 1]
    guess = labels.most_probable(logistic[chosen, 1])
    row = rows[3]
    draws = Resamples(len(expected), 20, resamples=100)
    assert row.intervals["macro_f1"] == draws.interval(metrics.macro_f1, expected, guess)
    assert row.intervals["brier"].value == pytest.approx(metrics.brier(expected, logistic[chosen, 1]))
    assert (row.confusion == 2 * metrics.confusion(expected, guess)).all() and row.deviation == 0
    assert row.information_coefficient[1] > 0.2
    head, *lines = comparison.table(rows)
    assert len(lines) == 4 and {len(line) for line in lines} == {len(head)}
    assert lines[3][:4] == ["20 ticks", "logistic", str(row.intervals["macro_f1"]), "0.000"] and lines[0][3] == "–"
