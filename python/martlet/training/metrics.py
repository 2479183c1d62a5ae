"""How good predictions are: of classes, of probabilities, of returns, and of value at risk.

Classes are 0 down, 1 flat, 2 up. Scores of classes are functions of a confusion matrix [..., 3, 3], true class first
and predicted class second, so that thousands of resampled matrices cost as much as one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..labels import DOWN, UP, most_probable

CLASSES = 3


def confusion(expected: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """[3, 3] int64: how often the true class of the row was predicted as that of the column."""
    expected, predicted = np.asarray(expected, np.int64), np.asarray(predicted, np.int64)
    if expected.shape != predicted.shape or expected.ndim != 1:
        raise ValueError(f"one prediction for each label, not {predicted.shape} for {expected.shape}")
    if not (np.isin(expected, range(CLASSES)).all() and np.isin(predicted, range(CLASSES)).all()):
        raise ValueError("classes are 0, 1, 2: choose the labelled ticks first")
    return np.bincount(CLASSES * expected + predicted, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, and 0 where below is 0."""
    below = np.asarray(below, np.float64)
    return np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below != 0)


def class_f1(matrix: np.ndarray) -> np.ndarray:
    """[..., 3]: harmonic mean of precision and recall; 0 for a class that is neither there nor predicted."""
    return _ratio(2 * np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1) + matrix.sum(-2))


def macro_f1(matrix: np.ndarray) -> np.ndarray:
    """Plain mean of the three classes' F1."""
    return class_f1(matrix).mean(-1)


def weighted_f1(matrix: np.ndarray) -> np.ndarray:
    """Mean of the classes' F1, weighted by how often they occur."""
    return _ratio((class_f1(matrix) * matrix.sum(-1)).sum(-1), matrix.sum((-2, -1)))


def accuracy(matrix: np.ndarray) -> np.ndarray:
    return _ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum((-2, -1)))


def matthews(matrix: np.ndarray) -> np.ndarray:
    """Correlation of true and predicted classes (Gorodkin 2004), -1 to 1; 0 where either is always the same."""
    matrix = np.asarray(matrix, np.float64)
    total, hits = matrix.sum((-2, -1)), np.trace(matrix, axis1=-2, axis2=-1)
    true, predicted = matrix.sum(-1), matrix.sum(-2)
    spread = (total**2 - (true**2).sum(-1)) * (total**2 - (predicted**2).sum(-1))
    return _ratio(hits * total - (true * predicted).sum(-1), np.sqrt(spread))


def f1_scores(expected: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Macro F1, weighted F1 and accuracy; 0 of no labels."""
    matrix = confusion(expected, predicted)
    return {"macro_f1": float(macro_f1(matrix)), "weighted_f1": float(weighted_f1(matrix)),
            "accuracy": float(accuracy(matrix))}


def brier_terms(expected: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """[n]: the squared distance of each probability vector to the class that came, 0 to 2 (Brier 1950)."""
    return np.square(probabilities - np.eye(CLASSES)[expected]).sum(-1)


def brier(expected: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean of `brier_terms`: 0 is perfect, 2/3 is what equal probabilities get."""
    return float(brier_terms(expected, probabilities).mean())


def log_loss(expected: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean cross-entropy in nats; a probability counts as at least 1e-12."""
    chosen = np.asarray(probabilities, np.float64)[np.arange(len(expected)), expected]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


@dataclass(frozen=True)
class Reliability:
    """Predictions by their stated probability. Bins are (i/B, (i+1)/B], the first with 0."""

    #: [B]: predictions in each bin, their mean probability, and how often they came true; NaN in an empty bin.
    count: np.ndarray
    confidence: np.ndarray
    frequency: np.ndarray

    @property
    def calibration_error(self) -> float:
        """Mean distance of confidence and frequency, weighted by count (ECE, Naeini et al. 2015)."""
        filled = self.count > 0
        gap = np.abs(self.confidence[filled] - self.frequency[filled])
        return float((gap * self.count[filled]).sum() / self.count.sum())


def reliability(
    expected: np.ndarray, probabilities: np.ndarray, bins: int = 10, label: int | None = None,
) -> Reliability:
    """Of the most probable class, or of one class where `label` names it."""
    probabilities = np.asarray(probabilities, np.float64)
    if label is None:
        guess = most_probable(probabilities)
        stated, came = probabilities[np.arange(len(guess)), guess], guess == expected
    else:
        stated, came = probabilities[:, label], np.asarray(expected) == label
    place = np.clip(np.ceil(stated * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(count, np.bincount(place, stated, bins) / count, np.bincount(place, came, bins) / count)


def direction_score(probabilities: np.ndarray) -> np.ndarray:
    """p(up) − p(down): what a classifier expects of the return, in arbitrary units."""
    return np.asarray(probabilities)[..., UP] - np.asarray(probabilities)[..., DOWN]


def ranks(values: np.ndarray) -> np.ndarray:
    """1 for the least; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def pearson(first: np.ndarray, second: np.ndarray) -> float:
    """Linear correlation; 0 where either does not vary."""
    first, second = (np.asarray(values, np.float64) - np.mean(values) for values in (first, second))
    return float(_ratio(first @ second, np.sqrt((first @ first) * (second @ second))))


def information_coefficient(predicted: np.ndarray, realised: np.ndarray) -> tuple[float, float]:
    """Correlation of a score or expected return with the return that came: Pearson's and Spearman's (of the ranks)."""
    return pearson(predicted, realised), pearson(ranks(predicted), ranks(realised))


def pinball(realised: np.ndarray, quantile: np.ndarray, level: float) -> float:
    """Mean quantile loss (Koenker and Bassett 1978), least for the value not exceeded with probability `level`."""
    above = np.asarray(realised, np.float64) - quantile
    return float(np.maximum(level * above, (level - 1) * above).mean())


def non_overlapping(chosen: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Indices of `chosen` ticks whose horizons do not overlap: the first, then each that begins `apart` ticks after.

    The horizon of k ticks of tick t is t+1 … t+k, so the next may begin at t+k (`Problem.apart`).
    """
    result, free = [], 0
    for tick in np.flatnonzero(chosen):
        if tick >= free:
            result.append(tick)
            free = tick + max(int(apart[tick]), 1)
    return np.array(result, np.int64)


@dataclass(frozen=True)
class LikelihoodRatio:
    """A statistic and its p-value: a small one speaks against what the test supposes. NaN where there is no test."""

    statistic: float
    p_value: float


@dataclass(frozen=True)
class Coverage:
    """Whether losses exceed a value at risk as often as they should, and at random."""

    count: int
    violations: int
    #: Kupiec (1995), proportion of failures: as many violations as the level says.
    proportion: LikelihoodRatio
    #: Christoffersen (1998): a violation is no likelier after a violation …
    independence: LikelihoodRatio
    #: … and both together.
    conditional: LikelihoodRatio


def violations(returns: np.ndarray, value_at_risk: np.ndarray) -> np.ndarray:
    """Whether the loss, the negative return, is strictly above the value at risk, a positive fraction."""
    return -np.asarray(returns) > np.asarray(value_at_risk)


def coverage(violated: np.ndarray, level: float) -> Coverage:
    """Tests of the violations of horizons that do not overlap, in the order of time; `level` is 0.95 or 0.99."""
    violated = np.asarray(violated, bool)
    count, hits = len(violated), int(violated.sum())
    if count < 2 or not 0 < level < 1:
        raise ValueError("at least two horizons, and a level between 0 and 1")
    expected = 1 - level
    proportion = 2 * (_log_likelihood(hits, count - hits, hits / count) - _log_likelihood(hits, count - hits, expected))
    before, after = violated[:-1], violated[1:]
    table = [[int(np.sum((before == a) & (after == b))) for b in (False, True)] for a in (False, True)]
    (quiet, entered), (left, stayed) = table
    share = (entered + stayed) / (count - 1)
    apart = sum(_log_likelihood(hit, miss, hit / (hit + miss)) for miss, hit in table if hit + miss)
    independence = 2 * (apart - _log_likelihood(entered + stayed, quiet + left, share))
    # Rounding may leave either a hair below zero.
    first, second = max(proportion, 0.0), max(independence, 0.0)
    if hits in (0, count):
        second = math.nan
    return Coverage(
        count, hits, _likelihood_ratio(first, 1), _likelihood_ratio(second, 1), _likelihood_ratio(first + second, 2))


def _log_likelihood(hits: int, misses: int, share: float) -> float:
    """Of so many hits and misses where each is a hit with probability `share`; 0 · log 0 is 0."""
    return (hits * math.log(share) if hits else 0.0) + (misses * math.log1p(-share) if misses else 0.0)


def _likelihood_ratio(statistic: float, freedom: int) -> LikelihoodRatio:
    """With P(χ² > statistic) for 1 or 2 degrees of freedom, in closed form."""
    return LikelihoodRatio(statistic, math.erfc(math.sqrt(statistic / 2)) if freedom == 1 else math.exp(-statistic / 2))
