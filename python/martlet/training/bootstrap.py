"""How far a score may be from the truth: moving blocks of time drawn anew, and the spread over seeds.

Labels overlap, so neighbouring ticks say much the same. The moving-block bootstrap (Künsch 1989) draws stretches of
`block` ticks with replacement, anywhere in the part, until there are as many ticks as before; a block is at least as
long as the horizon. Two predictors are compared on the same draws.

    resamples = Resamples(count, horizon=50)
    resamples.interval(macro_f1, expected, predicted)
    resamples.ratio(macro_f1, expected, student, teacher)

A metric here is a function of confusion matrices [..., 3, 3] from `metrics`; `interval_of` takes any other. Predictions
are classes [n] in the order of time, or [S, n] from S seeds: then the metric is averaged over the seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .metrics import CLASSES, confusion

RESAMPLES = 2_000
LEVEL = 0.95
#: Draws whose sums are made at a time: bounds the memory.
BATCH = 200

ConfusionMetric = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Interval:
    """A score, the bounds of its bootstrap interval (percentiles) and its standard error."""

    value: float
    low: float
    high: float
    standard_error: float

    @staticmethod
    def of(value: float, draws: np.ndarray, level: float = LEVEL) -> Interval:
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        return Interval(float(value), float(low), float(high), float(np.std(draws, ddof=1)))

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Resamples:
    """Draws of blocks of `count` ticks in the order of time; seeded, the same for all that is asked of one object."""

    def __init__(self, count: int, horizon: int, block: int | None = None, resamples: int = RESAMPLES, seed: int = 1,
                 level: float = LEVEL, reach: int = 2) -> None:
        """`block` is in ticks; by default `reach` times the horizon, by default 2, since two labels that far apart
        share no tick, nor do the last labels known there; or the cube root of the count where that is more."""
        block = block or max(reach * horizon, round(count ** (1 / 3)))
        if not 1 <= horizon <= block <= count:
            raise ValueError(f"a block of {block} ticks: at least the horizon of {horizon}, at most all {count} ticks")
        self.count, self.block, self.level = count, block, level
        starts = np.random.default_rng(seed).integers(count - block + 1, size=(resamples, -(-count // block)))
        self._starts, self._rest = starts, count - block * (starts.shape[1] - 1)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """[R, C]: sums of values [n, C] over the ticks of each draw."""
        running = np.concatenate([np.zeros((1, values.shape[1]), values.dtype), np.cumsum(values, axis=0)])
        whole = running[self.block:] - running[:-self.block]
        last = self._starts[:, -1]
        result = running[last + self._rest] - running[last]
        for first in range(0, len(result), BATCH):
            rows = slice(first, first + BATCH)
            result[rows] += whole[self._starts[rows, :-1]].sum(axis=1)
        return result

    def confusions(self, expected: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """[R, 3, 3]: the confusion matrix of each draw."""
        self._require(expected, predicted)
        cells = np.eye(CLASSES**2, dtype=np.int64)[CLASSES * np.asarray(expected, np.int64) + predicted]
        return self.sums(cells).reshape(-1, CLASSES, CLASSES)

    def interval(self, metric: ConfusionMetric, expected: np.ndarray, predicted: np.ndarray) -> Interval:
        return Interval.of(*self._scores(metric, expected, predicted), self.level)

    def difference(
        self, metric: ConfusionMetric, expected: np.ndarray, first: np.ndarray, second: np.ndarray,
    ) -> Interval:
        """metric(first) − metric(second), paired."""
        (value, draws), (other, other_draws) = (self._scores(metric, expected, guess) for guess in (first, second))
        return Interval.of(value - other, draws - other_draws, self.level)

    def ratio(
        self, metric: ConfusionMetric, expected: np.ndarray, first: np.ndarray, second: np.ndarray,
    ) -> Interval:
        """metric(first) / metric(second), paired."""
        (value, draws), (other, other_draws) = (self._scores(metric, expected, guess) for guess in (first, second))
        if other == 0 or not other_draws.all():
            raise ValueError("no ratio to a score of 0")
        return Interval.of(value / other, draws / other_draws, self.level)

    def mean(self, values: np.ndarray) -> Interval:
        """Of one number for each tick, as `brier_terms`; the difference of two predictors' terms pairs them."""
        self._require(values)
        draws = self.sums(np.asarray(values, np.float64)[:, None])[:, 0] / self.count
        return Interval.of(np.mean(values), draws, self.level)

    def interval_of(self, metric: Callable[..., float], *arrays: np.ndarray) -> Interval:
        """Of any metric of arrays [n, …], as the information coefficient; slower, since each draw is put together."""
        self._require(*arrays)
        offsets = np.arange(self.block)
        draws = []
        for starts in self._starts:
            index = (starts[:, None] + offsets).ravel()[:self.count]
            draws.append(metric(*(array[index] for array in arrays)))
        return Interval.of(metric(*arrays), np.array(draws), self.level)

    def _scores(self, metric: ConfusionMetric, expected: np.ndarray, predicted: np.ndarray) -> tuple[float, np.ndarray]:
        """The metric on all ticks and on each draw, averaged over seeds."""
        seeds = np.atleast_2d(predicted)
        value = np.mean([metric(confusion(expected, guess)) for guess in seeds])
        return value, np.mean([metric(self.confusions(expected, guess)) for guess in seeds], axis=0)

    def _require(self, *arrays: np.ndarray) -> None:
        for array in arrays:
            if len(array) != self.count:
                raise ValueError(f"{len(array)} values where {self.count} ticks are drawn")


def deviation_of(scores: Sequence[float]) -> float:
    """The sample standard deviation of scores over seeds; NaN of one seed."""
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else float("nan")
