"""Labels and persistence against plain loops and hand-made cases."""

import numpy as np
import pytest

from martlet import labels

NONE = labels.UNDEFINED_PRICE


def slow_label(mid, reset, t, k):
    """The definition, word by word; None without a label."""
    window = range(t + 1, t + k + 1)
    if t + k >= len(mid) or any(mid[i] == NONE for i in range(t, t + k + 1)) or any(reset[i] for i in window):
        return None
    return float(sum(int(mid[i]) for i in window) - k * int(mid[t])) / (float(k) * float(mid[t]))


@pytest.mark.parametrize("seed, price, k", [(1, 577_000_000_000, 1), (2, 60_000 * 10**9, 10), (3, 9 * 10**16, 7)])
def test_smoothed_mid_is_its_definition(seed, price, k):
    random = np.random.default_rng(seed)
    mid = price + np.cumsum(random.integers(-2, 3, 400)) * 5_000_000
    mid[random.random(400) < 0.01] = NONE
    reset = (random.random(400) < 0.01).astype(np.uint8)
    values, usable = labels.smoothed_mid(mid, reset, k)
    for t in range(400):
        expected = slow_label(mid, reset, t, k)
        assert usable[t] == (expected is not None)
        assert expected is None or values[t] == expected


def test_short_or_empty_streams_have_no_labels():
    for mid in ([], [5], [5, 6], [NONE] * 9):
        values, usable = labels.smoothed_mid(np.array(mid, np.int64), np.zeros(len(mid), np.uint8), 2)
        assert len(values) == len(mid) and not usable.any()


def test_classes_are_strict_about_the_threshold():
    values = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 2.0])
    usable = np.array([1, 1, 1, 1, 1, 0], bool)
    assert labels.classify(values, usable, 1.0).tolist() == [0, 1, 1, 1, 2, -1]


def test_alpha_makes_a_third_flat():
    values = np.random.default_rng(4).normal(size=30_000)
    alpha = labels.choose_alpha(values)
    assert abs(np.mean(np.abs(values) <= alpha) - 1 / 3) < 0.01
    assert labels.choose_alpha(np.array([0.0, 0.0, 1.0])) == 0
    with pytest.raises(ValueError):
        labels.choose_alpha(np.array([]))


def test_persistence_is_the_label_of_k_ticks_before():
    classes = np.array([2, 0, -1, 1, 2], np.int8)
    assert labels.persistence(classes, 1).tolist() == [-1, 2, 0, -1, 1]
    assert labels.persistence(classes, 3).tolist() == [-1, -1, -1, 2, 0]


def test_ties_go_to_flat_then_down():
    rows = np.array([[1, 1, 1], [2, 1, 2], [0, 1, 2], [2, 2, 1]], np.float32)
    assert labels.most_probable(rows).tolist() == [1, 0, 2, 1]


def stream(seed, count=400, price=577_000_000_000):
    """Mids with absent ones, resets, and capture times that often repeat."""
    random = np.random.default_rng(seed)
    mid = price + np.cumsum(random.integers(-2, 3, count)) * 5_000_000
    mid[random.random(count) < 0.01] = NONE
    reset = (random.random(count) < 0.01).astype(np.uint8)
    ts = 1_700_000_000_000_000_000 + np.cumsum(random.integers(0, 4, count) * random.integers(0, 2, count)) * 500_000
    return mid, reset, ts.astype(np.uint64)


def is_whole(mid, reset, first, last):
    """Whether ticks first to last are there, have a mid, and none after the first follows a reset."""
    return (first >= 0 and last < len(mid) and NONE not in mid[first:last + 1].tolist()
            and not reset[first + 1:last + 1].any())


@pytest.mark.parametrize("seed, k", [(1, 1), (2, 5), (3, 20)])
def test_two_sided_is_its_definition(seed, k):
    mid, reset, _ = stream(seed, price=3 * 10**16)
    values, usable = labels.smoothed_two_sided(mid, reset, k)
    assert usable.any() and not usable.all()
    for t in range(len(mid)):
        assert usable[t] == is_whole(mid, reset, t - k + 1, t + k)
        if usable[t]:
            ahead, past = (sum(int(m) for m in part) for part in (mid[t + 1:t + k + 1], mid[t - k + 1:t + 1]))
            assert values[t] == float(ahead - past) / float(past)


def test_two_sided_refuses_prices_whose_sums_would_wrap():
    with pytest.raises(ValueError, match="too large"):
        labels.smoothed_two_sided(np.full(9, 2**62), np.zeros(9), 4)
    for score in (labels.known_two_sided, labels.known_trend_score, labels.trend_score):
        with pytest.raises(ValueError, match="too large"):
            score(np.full(9, 2**62), np.zeros(9), 4)


def test_a_time_horizon_counts_the_ticks_within_it():
    ts = np.array([0, 0, 1, 2, 2, 3, 10], np.uint64) * 1_000_000
    assert labels.ticks_within(ts, 2).tolist() == [4, 3, 3, 2, 1, 0, -1]
    assert labels.ticks_within(ts, 8).tolist() == [5, 4, 3, -1, -1, -1, -1]
    with pytest.raises(ValueError, match="decrease"):
        labels.ticks_within(ts[::-1], 2)
    with pytest.raises(ValueError, match="1 ms"):
        labels.ticks_within(ts, 0)


def test_labels_over_a_time_are_their_definition():
    mid, reset, ts = stream(4)
    ahead = labels.ticks_within(ts, 1)
    values, usable = labels.smoothed_mid(mid, reset, ahead)
    classes = labels.classify(values, usable, 1e-5)
    last = labels.persistence_in_time(classes, reset, ahead)
    assert (ahead == 0).any() and usable.any()
    for t in range(len(mid)):
        within = [j for j in range(t + 1, len(mid)) if int(ts[j]) <= int(ts[t]) + 1_000_000]
        over = int(ts[-1]) > int(ts[t]) + 1_000_000
        assert usable[t] == (over and is_whole(mid, reset, t, within[-1] if within else t))
        if usable[t]:
            moved = sum(int(mid[j]) - int(mid[t]) for j in within)
            assert values[t] == (float(moved) / (float(mid[t]) * float(len(within))) if within else 0)
        known = [s for s in range(t) if int(ts[s]) + 1_000_000 < int(ts[t])]
        expected = classes[known[-1]] if known and not reset[known[-1] + 1:t + 1].any() else labels.NONE
        assert last[t] == expected


@pytest.mark.parametrize("horizon", [1, 7, "time"])
def test_returns_and_volatility_are_their_definitions(horizon):
    mid, reset, ts = stream(5)
    k = labels.ticks_within(ts, 1) if horizon == "time" else horizon
    returns, logs = labels.returns(mid, reset, k), labels.log_returns(mid, reset, k)
    volatility = labels.realised_volatility(mid, reset, k)
    for t in range(len(mid)):
        n = int(k[t]) if horizon == "time" else horizon
        if n < 0 or not is_whole(mid, reset, t, t + n):
            assert np.isnan([returns[t], logs[t], volatility[t]]).all()
            continue
        m = [int(price) for price in mid[t:t + n + 1]]
        assert returns[t] == float(m[n] - m[0]) / float(m[0])
        assert logs[t] == pytest.approx(np.log(m[n] / m[0]), rel=1e-7, abs=1e-15)
        assert volatility[t] == pytest.approx(sum(((b - a) / a) ** 2 for a, b in zip(m, m[1:])) ** 0.5, rel=1e-12)


def test_small_moves_keep_their_volatility_after_large_ones():
    mid = np.full(200, 577_000_000_000)
    mid[100:] *= 2_000
    mid[150:] += 5_000
    move = 5_000 / (577_000_000_000 * 2_000)
    assert labels.realised_volatility(mid, np.zeros(200), 20)[140] == pytest.approx(move, rel=1e-12)


def test_trend_weighs_the_move_against_the_volatility_known_then():
    mid, reset, _ = stream(6)
    k = 12
    z, usable = labels.trend_score(mid, reset, k)
    moves, also = labels.smoothed_two_sided(mid, reset, k)
    assert (usable == also).all()
    for t in np.flatnonzero(usable):
        m = [int(price) for price in mid[t - k + 1:t + 1]]
        deviation = (2 / 3 * sum(((b - a) / a) ** 2 for a, b in zip(m, m[1:]))) ** 0.5
        assert z[t] == pytest.approx(moves[t] / deviation, rel=1e-12)
    assert (labels.trend(mid, reset, k, 0.5) == labels.classify(z, usable, 0.5)).all()


def test_trend_of_a_random_walk_is_split_in_thirds_and_follows_a_drift():
    random = np.random.default_rng(8)
    steps = random.integers(-1, 2, 100_000) * 5_000_000
    walk = labels.trend(10**12 + np.cumsum(steps), np.zeros(100_000), 50)
    shares = np.bincount(walk[walk >= 0], minlength=3) / np.sum(walk >= 0)
    assert np.abs(shares - 1 / 3).max() < 0.04
    rising = labels.trend(10**12 + np.cumsum(steps[:2_000] + 4_000_000), np.zeros(2_000), 50)
    assert (rising[rising >= 0] == labels.UP).mean() > 0.99


def test_trend_of_a_still_price_is_flat_and_of_its_first_move_is_not():
    mid = np.full(60, 10**12)
    mid[30:] += 5_000_000
    trend = labels.trend(mid, np.zeros(60), 10)
    assert np.nan_to_num(labels.trend_score(mid, np.zeros(60), 10)[0], nan=9, posinf=7)[[15, 25]].tolist() == [0, 7]
    assert trend[15] == labels.FLAT and trend[25] == labels.UP and trend[45] == labels.FLAT
