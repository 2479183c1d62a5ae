"""The moving-block bootstrap: its fast sums against plain indices, its coverage on dependent data, its pairing."""

import numpy as np
import pytest

from martlet.training import metrics
from martlet.training.bootstrap import Interval, Resamples, deviation_of


def noisy(random, expected, share):
    """Predictions of which `share` are drawn anew."""
    return np.where(random.random(len(expected)) < share, random.integers(0, 3, len(expected)), expected)


@pytest.fixture(scope="module")
def classes():
    random = np.random.default_rng(1)
    return random, np.repeat(random.integers(0, 3, 150), random.integers(1, 14, 150))[:700]


def by_index(metric):
    return lambda expected, predicted: float(metric(metrics.confusion(expected, predicted)))


@pytest.mark.parametrize("block", [10, 33, 70, 350, 700])
def test_fast_sums_are_those_of_the_drawn_ticks(classes, block):
    random, expected = classes
    predicted = noisy(random, expected, 0.5)
    draws = Resamples(len(expected), 10, block, resamples=60)
    assert (draws.confusions(expected, predicted).sum(axis=(1, 2)) == len(expected)).all()
    for metric in (metrics.macro_f1, metrics.matthews):
        assert draws.interval(metric, expected, predicted) == draws.interval_of(by_index(metric), expected, predicted)
    terms = random.normal(size=len(expected))
    fast, plain = draws.mean(terms), draws.interval_of(np.mean, terms)
    assert (fast.value, fast.low, fast.high) == pytest.approx((plain.value, plain.low, plain.high), abs=1e-12)


def test_a_block_of_all_ticks_is_the_score_itself(classes):
    random, expected = classes
    predicted = noisy(random, expected, 0.3)
    found = Resamples(len(expected), 1, len(expected)).interval(metrics.macro_f1, expected, predicted)
    assert found.low == found.value == found.high and found.standard_error < 1e-12


def test_the_same_seed_draws_the_same(classes):
    random, expected = classes
    predicted = noisy(random, expected, 0.5)
    first, again, other = (Resamples(len(expected), 10, seed=seed).interval(metrics.macro_f1, expected, predicted)
                           for seed in (1, 1, 2))
    assert first == again != other and abs(first.low - other.low) < 0.02


def test_intervals_hold_the_truth_where_neighbours_say_the_same():
    """Means of 25 ticks' noise, as overlapping labels are: blocks cover the true mean of 0, single ticks do not."""
    random = np.random.default_rng(3)
    held = {100: 0, 1: 0}
    for _ in range(150):
        values = np.convolve(random.normal(size=2_524), np.ones(25) / 25, "valid")
        for block in held:
            found = Resamples(2_500, 1, block, resamples=300).mean(values)
            held[block] += found.low <= 0 <= found.high
    assert held[100] / 150 > 0.85 and held[1] / 150 < 0.5


def test_pairs_are_compared_on_the_same_draws(classes):
    random, expected = classes
    better, worse = noisy(random, expected, 0.3), noisy(random, expected, 0.6)
    draws = Resamples(len(expected), 10)
    same = draws.ratio(metrics.macro_f1, expected, better, better)
    assert same == Interval(1, 1, 1, 0) and draws.difference(metrics.macro_f1, expected, worse, worse).high == 0
    almost = better.copy()
    almost[::40] = 1
    paired = draws.difference(metrics.macro_f1, expected, better, almost)
    alone = draws.interval(metrics.macro_f1, expected, better)
    assert paired.standard_error < alone.standard_error / 2
    assert draws.difference(metrics.macro_f1, expected, better, worse).low > 0
    with pytest.raises(ValueError, match="score of 0"):
        draws.ratio(metrics.macro_f1, np.zeros(len(expected), int), expected * 0, expected * 0 + 1)


def test_seeds_are_averaged(classes):
    random, expected = classes
    guesses = [noisy(random, expected, share) for share in (0.2, 0.4, 0.5)]
    draws = Resamples(len(expected), 10)
    together = draws.interval(metrics.macro_f1, expected, np.stack(guesses))
    alone = [draws.interval(metrics.macro_f1, expected, guess).value for guess in guesses]
    assert together.value == pytest.approx(np.mean(alone)) and together.low < together.value < together.high
    assert deviation_of(alone) == pytest.approx(np.std(alone, ddof=1)) and np.isnan(deviation_of([0.5]))


def test_blocks_are_at_least_as_long_as_the_horizon():
    assert Resamples(30_000, 50).block == 100 and Resamples(30_000, 1).block == 31
    for count, horizon, block in ((1_000, 50, 49), (60, 50, 70), (80, 50, None), (100, 0, 10)):
        with pytest.raises(ValueError, match="block"):
            Resamples(count, horizon, block)


def test_arrays_of_another_length_are_refused(classes):
    _, expected = classes
    draws = Resamples(len(expected), 10)
    with pytest.raises(ValueError, match="699 values"):
        draws.mean(np.zeros(699))
    with pytest.raises(ValueError):
        draws.interval(metrics.macro_f1, expected[:-1], expected[:-1])
    with pytest.raises(ValueError):
        draws.interval_of(lambda a, b: 0, expected, expected[:-1])
