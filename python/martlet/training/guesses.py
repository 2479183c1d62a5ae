"""Guesses of expected return, volatility, trend and two-sided labels that need no network: what a
model stands beside.

Each is made at tick t of what is known there; training and validation choose what there is to choose.
"""

from __future__ import annotations

import numpy as np

from .. import labels
from .baselines import FEATURE_MAX, PENALTIES, majority, shares
from .data import Problem
from .metrics import CLASSES, confusion, macro_f1

#: Thresholds tried for the trend's known half: quantiles of its size in validation.
QUANTILES = np.arange(2, 100, 2) / 100


def ridge(problem: Problem, column: int) -> np.ndarray:
    """[N]: returns of a horizon by ridge regression on the normalised features, cut off at `FEATURE_MAX`; the penalty
    is the one of least squared error in validation."""
    features = np.clip(problem.normalised, -FEATURE_MAX, FEATURE_MAX).astype(np.float64)
    inputs = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    returns = problem.returns[:, column]
    train, validation = (part[:, column] & np.isfinite(returns) for part in (problem.train, problem.validation))
    square = inputs[train].T @ inputs[train] / train.sum()
    moment = inputs[train].T @ returns[train] / train.sum()
    # The bias is not penalised; the little that stands in its place keeps the matrix regular.
    fits = [inputs @ np.linalg.solve(square + np.diag(np.append(np.full(features.shape[1], penalty), 1e-9)), moment)
            for penalty in PENALTIES]
    return min(fits, key=lambda fit: np.square(fit - returns)[validation].sum())


def trailing_volatility(problem: Problem, column: int) -> np.ndarray:
    """[N]: the realised volatility of as many ticks back as the horizon has ahead, in training's mean where it is a
    time; training's mean volatility where that is not known."""
    train, volatility = problem.train[:, column], problem.volatility[:, column]
    length = max(round(float(problem.ahead[train, column].mean())), 1)
    result = np.full(len(volatility), np.nan)
    result[length:] = labels.realised_volatility(problem.data.mid, problem.data.reset, length)[:-length]
    return np.where(np.isfinite(result), result, volatility[train].mean())


def known_trend(problem: Problem) -> np.ndarray:
    """[N]: the trend's class by the half of it that is known, the present price against the mean of the last ticks. The
    threshold is the one of best macro F1 in validation."""
    found = labels.known_trend_score(problem.data.mid, problem.data.reset, problem.trend_ticks)
    return _by_best_threshold(*found, problem.trend, problem.trend_validation)


def known_two_sided(problem: Problem) -> np.ndarray:
    """[N, H, 3]: probability 1 for the class of two-sided labels by the half of them that is known, as `known_trend`;
    the shares of training where it is not."""
    result = majority(problem)
    for column, horizon in enumerate(problem.horizons):
        score, usable = labels.known_two_sided(problem.data.mid, problem.data.reset, horizon.length)
        guess = _by_best_threshold(score, usable, problem.classes[:, column], problem.validation[:, column])
        result[usable, column] = np.eye(CLASSES, dtype=np.float32)[guess[usable]]
    return result


def _by_best_threshold(score, usable, classes, validation):
    """The class of each score by the threshold of best macro F1 on the ticks of `validation`."""
    expected, sizes = classes[validation], np.abs(score[validation])
    thresholds = np.unique(np.quantile(sizes[np.isfinite(sizes)], QUANTILES))
    best = max(thresholds, key=lambda threshold: macro_f1(confusion(
        expected, labels.classify(score[validation], usable[validation], threshold))))
    return labels.classify(score, usable, best)


def last_trend(problem: Problem) -> np.ndarray:
    """[N]: the last class of the trend that is known, training's most frequent one where none is."""
    last = labels.persistence(problem.trend, problem.trend_ticks)
    return np.where(last == labels.NONE, common_trend(problem), last)


def common_trend(problem: Problem) -> int:
    """The most frequent class of the trend in training."""
    return int(np.argmax(shares(problem.trend[problem.trend_train])))
