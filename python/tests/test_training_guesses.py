"""Guesses that need no network: right in closed form, and none of them knows what is to come."""

import json

import numpy as np
import pytest

pytest.importorskip("jax")

from martlet import labels  # noqa: E402
from martlet.training import card, evaluation, guesses  # noqa: E402
from martlet.training.comparison import compare  # noqa: E402
from martlet.training.data import Data, prepare  # noqa: E402
from martlet.training.report import Report  # noqa: E402
from martlet.training.run import finite  # noqa: E402
from training_support import COUNT, write_folder  # noqa: E402

TICKS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def problem(folder):
    return prepare(Data.load(folder), [10, "20ms"], trend_ticks=TICKS)


def changed_after(folder, tick):
    """The same data with other prices from a tick on, which reach no label of the parts before the test."""
    data = Data.load(folder)
    data.mid[tick:] += np.arange(COUNT - tick) % 9 * 10**7
    return prepare(data, [10, "20ms"], trend_ticks=TICKS)


def test_no_guess_knows_what_is_to_come(folder, problem):
    tick = problem.test_from + 1_000
    other = changed_after(folder, tick)
    for guess in (lambda one: guesses.ridge(one, 0), lambda one: guesses.trailing_volatility(one, 0),
                  lambda one: guesses.trailing_volatility(one, 1), guesses.known_trend, guesses.last_trend):
        assert np.array_equal(guess(problem)[:tick], guess(other)[:tick])


def test_ridge_is_least_squares_where_the_penalty_is_small(problem, monkeypatch):
    monkeypatch.setattr(guesses, "PENALTIES", (1e-9,))
    chosen = problem.train[:, 0]
    inputs = np.c_[np.clip(problem.normalised, -3, 3), np.ones(COUNT)]
    weights, *_ = np.linalg.lstsq(inputs[chosen], problem.returns[chosen, 0], rcond=None)
    assert guesses.ridge(problem, 0) == pytest.approx(inputs @ weights, abs=1e-9)


def test_ridge_takes_the_penalty_that_validation_likes(problem, monkeypatch):
    rows = problem.validation[:, 0]

    def error(*penalties):
        monkeypatch.setattr(guesses, "PENALTIES", penalties)
        return np.square(guesses.ridge(problem, 0) - problem.returns[:, 0])[rows].sum()

    assert error(1e3, 1e-3) == error(1e-3) < error(1e3)


def test_trailing_volatility_is_that_of_the_ticks_before(problem):
    found, mid = guesses.trailing_volatility(problem, 0), problem.data.mid.astype(float)
    assert found[500] == pytest.approx(np.sqrt(np.square(np.diff(mid[490:501]) / mid[490:500]).sum()))
    # Over a reset there is none, and what training has in the mean is said.
    assert found[COUNT // 4 + 3] == problem.volatility[problem.train[:, 0], 0].mean()


def test_the_known_half_of_the_trend_is_what_a_price_that_stands_would_make_of_it():
    random = np.random.default_rng(4)
    mid = 10**12 + np.cumsum(random.integers(-3, 4, 400)) * 10**7
    mid[201:] = mid[200]
    reset = np.zeros(400)
    known, usable = labels.known_trend_score(mid, reset, TICKS)
    whole, _ = labels.trend_score(mid, reset, TICKS)
    assert known[200] == pytest.approx(whole[200]) and known[200] != 0
    assert not usable[:TICKS - 1].any() and usable[TICKS - 1:].all()
    reset[100] = 1
    assert np.flatnonzero(~labels.known_trend_score(mid, reset, TICKS)[1]).tolist() == [
        *range(TICKS - 1), *range(100, 100 + TICKS - 1)]


def test_the_trends_threshold_is_the_best_of_validation(problem):
    score, usable = labels.known_trend_score(problem.data.mid, problem.data.reset, TICKS)
    found, chosen = guesses.known_trend(problem), problem.trend_validation

    def worth(classes):
        return evaluation.metrics.f1_scores(problem.trend[chosen], classes[chosen])["macro_f1"]

    assert all(worth(found) >= worth(labels.classify(score, usable, multiple)) - 0.01 for multiple in (0.2, 0.5, 1))
    assert worth(found) > 0.4


def test_the_last_trend_is_the_one_of_a_horizon_before(problem):
    found = guesses.last_trend(problem)
    assert np.array_equal(found[5_000:6_000], problem.trend[5_000 - TICKS:6_000 - TICKS])
    assert (found[:TICKS] == guesses.common_trend(problem)).all()


def test_a_head_below_a_guess_is_said_to_be(problem):
    returns, random = np.nan_to_num(problem.returns), np.random.default_rng(5)
    perfect = {"expected_return": returns, "volatility": np.nan_to_num(problem.volatility),
               "trend": np.eye(3)[np.maximum(problem.trend, 0)]}
    useless = {"expected_return": random.normal(size=returns.shape), "volatility": random.random(returns.shape),
               "trend": np.tile([0.2, 0.5, 0.3], (COUNT, 1))}
    rows = compare(problem, {"logistic": random.dirichlet(np.ones(3), returns.shape)}, resamples=10)
    texts = []
    for outputs in (perfect, useless):
        found = finite(evaluation.other_heads(problem, outputs, rows))
        assert set(found["trend"]["40 ticks"]) == {"student", "known half", "persistence", "majority"}
        assert found["expected_return"]["10 ticks"]["logistic, p(up) − p(down)"]["r_squared_against_zero"] is None
        json.dumps(found, allow_nan=False)
        report = Report("")
        card._other_heads(report, problem, found)
        texts.append(report.markdown())
    assert "of a time horizon, as many as it holds in the mean of training" in texts[0]
    assert "none of them is better" in texts[0] and "| 40 ticks | known half |" in texts[0]
    assert found["expected_return"]["10 ticks"]["ridge"]["information_coefficient"] > 0.2
    for name in ("ridge in expected_return at 10 ticks", "trailing in volatility", "known half in trend at 40 ticks"):
        assert name in texts[1].split("**Better than this file without a network: ")[1]
