"""The market seen from the other side: features, classes and parts of mirrored examples."""

import dataclasses

import numpy as np
import pytest
from training_support import write_folder

pytest.importorskip("jax")

from martlet import features, labels  # noqa: E402
from martlet.training import baselines, data  # noqa: E402
from martlet.training.mirror import Mirror  # noqa: E402

NAMES = features.names()


def test_each_feature_has_its_counterpart_and_twice_mirrored_is_the_same():
    mirror = Mirror.of(NAMES)
    rows = np.random.default_rng(1).normal(size=(5, len(NAMES))).astype(np.float32)
    found = mirror.features(rows)
    for name, other, sign in [("bid_distance_3", "ask_distance_3", 1), ("event_trade_buy", "event_trade_sell", 1),
                              ("queue_imbalance_1", "queue_imbalance_1", -1), ("spread", "spread", 1),
                              ("order_flow_1_to_10_mean_10s", "order_flow_1_to_10_mean_10s", -1),
                              ("trade_intensity_1s", "trade_intensity_1s", 1), ("volatility_4t", "volatility_4t", 1)]:
        assert np.array_equal(found[:, NAMES.index(name)], sign * rows[:, NAMES.index(other)]), name
    assert np.array_equal(mirror.features(found), rows)


def ticks(levels):
    """Features of a small market of two-sided books with trades; `levels` turns it round."""
    random = np.random.default_rng(7)
    count = 400
    book = np.zeros((count, 10), features.LEVEL)
    steps = np.cumsum(random.integers(-1, 2, count))
    sizes = random.integers(1, 50, (count, 10, 2))
    bought = random.integers(0, 3, (count, 2))
    tick, centre = 10_000_000, 100_000_000_000
    sides = ("bid", "ask") if levels > 0 else ("ask", "bid")
    for level in range(10):
        book[f"{sides[0]}_px"][:, level] = centre + levels * (steps - 1 - level) * tick
        book[f"{sides[1]}_px"][:, level] = centre + levels * (steps + 1 + level) * tick
        for side, column in zip(sides, (0, 1)):
            book[f"{side}_sz"][:, level] = sizes[:, level, column]
    return book, bought if levels > 0 else bought[:, ::-1]


def test_features_of_a_market_turned_round_are_the_mirrored_ones():
    mirror, tick = Mirror.of(NAMES), 10_000_000
    found = []
    for levels in (1, -1):
        book, trades = ticks(levels)
        count = len(book)
        events = np.zeros((count, len(features.EVENTS)), bool)
        events[:, features.EVENTS.index("trade_buy")] = trades[:, 0] > 0
        events[:, features.EVENTS.index("trade_sell")] = trades[:, 1] > 0
        bought, sold = trades.astype(np.int64).T
        found.append(features.compute(features.Ticks(
            book, 10**18 + np.arange(count, dtype=np.uint64) * 10**7, events, np.ones(count, np.uint8), bought, sold,
            unsided=np.zeros(count, np.int64), trades=bought + sold, signs=bought - sold), tick))
    assert np.abs(found[0]).max(axis=0).astype(bool).sum() > 90
    assert found[1] == pytest.approx(mirror.features(found[0]), abs=1e-5)


def test_a_name_without_counterpart_is_refused():
    with pytest.raises(ValueError, match="no event_add_ask, which mirrors event_add_bid"):
        Mirror.of(["event_add_bid", "spread"])


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    return data.prepare(data.Data.load(write_folder(tmp_path_factory.mktemp("features"))), [10, 20])


def test_scales_do_not_see_outliers_nor_what_follows_training(problem):
    mirror = Mirror(np.arange(12), np.float32([-1] + [1] * 11))
    centre, scale = mirror.scales(problem)
    assert centre[0] == pytest.approx(0, abs=1e-6) and scale[1] == 0
    changed = problem.data.features.copy()
    changed[problem.validation_from:] *= 100
    changed[100:200:7, 2] = 50
    other = dataclasses.replace(problem, data=dataclasses.replace(problem.data, features=changed))
    for one, two in zip((centre, scale), mirror.scales(other)):
        assert two == pytest.approx(one, rel=0.05, abs=0.05)


def test_scales_are_of_all_warm_ticks_of_training(problem):
    """Of a fold that begins later all its ticks are; a shorter warm-up than that of the features leaves it some."""
    mirror = Mirror.of(problem.data.names)
    description = problem.data.description | {"warm_up_ticks": 10**6}
    cold = dataclasses.replace(problem.data, description=description)
    later = dataclasses.replace(problem.split, train_from=problem.warm_up + 100)
    for split, first in ((problem.split, problem.warm_up), (later, later.train_from)):
        rows = cold.features[first:split.validation_from]
        both = np.concatenate([rows, mirror.features(rows)])
        centre, _ = mirror.scales(dataclasses.replace(problem, data=cold, split=split))
        assert (centre == np.float32(np.median(both, axis=0))).all()


def test_the_mirrored_part_trains_and_the_stream_is_judged(problem):
    mirror = Mirror(np.arange(12), np.float32([-1] + [1] * 11))
    teacher = np.random.default_rng(2).dirichlet(np.ones(3), problem.classes.shape).astype(np.float32)
    rows, end = problem.normalised, problem.validation_from
    found = mirror.examples(problem, rows, teacher)
    assert np.array_equal(found.features[end:], rows)
    assert np.array_equal(found.features[:end, 0], -rows[:end, 0]) and found.reset[end]
    known = problem.classes[:end] != labels.NONE
    assert np.array_equal(found.targets["classes"][:end][known], 2 - problem.classes[:end][known])
    assert np.array_equal(found.targets["teacher"][:end], teacher[:end, :, ::-1])
    assert np.array_equal(found.train["classes"][:end], problem.train[:end])
    assert np.array_equal(found.train["classes"][end:], problem.train)
    assert not found.validation["classes"][:end].any()
    assert np.array_equal(found.validation["classes"][end:], problem.validation)


def test_a_mirrored_prior_is_the_same_both_ways(problem):
    plain, both = (baselines.prior(problem, 0, is_mirrored) for is_mirrored in (False, True))
    assert both[0] == both[2] and both[1] == plain[1] and both.sum() == pytest.approx(1)
