"""Judging positions: figures by hand on a few ticks, thresholds chosen by what they earn."""

import numpy as np
import pytest

pytest.importorskip("jax")

from martlet.training import backtest  # noqa: E402
from martlet.training.environment import Market, simulate  # noqa: E402

NAN = float("nan")


def market(moves, cost=0.0):
    count = len(moves)
    flat, begin = np.zeros(count, bool), np.zeros(count, bool)
    flat[-1], begin[0] = True, True
    moves = np.where(flat, 0.0, moves)
    return Market(moves, np.broadcast_to(np.float64(cost), count), np.ones(count, bool), flat, begin)


def test_figures_are_those_by_hand():
    # Long over +3 and −1, short over −2 and +4, half long over +2; a cost of 0.5 for each whole change.
    account = simulate(market([3.0, -1, -2, 4, 2, 9, 9], 0.5), np.array([1, 1, -1, -1, 0.5, 0, 0]), latency=0)
    # 1 in; 2 turned; 1.5 turned; 0.5 out.
    expected = [3 - 0.5, -1, 2 - 1, -4, 1 - 0.75, -0.25, 0]
    assert account.rewards == pytest.approx(expected)
    assert backtest.trades(account) == pytest.approx([3 - 0.5 - 1 - 0.5, 2 - 0.5 - 4 - 0.5, 1 - 0.25 - 0.25])
    row = backtest.judge("by hand", account, ticks_per_day=49.0, block=2)
    assert row.net.value == pytest.approx(sum(expected)) and row.net.low < row.net.value < row.net.high
    assert row.costs == pytest.approx(2.5) and row.gross == pytest.approx(sum(expected) + 2.5)
    assert row.turnover == 5 and row.fee_left_bps == pytest.approx(sum(expected) / 5 * 1e4)
    assert row.trades == 3 and row.hit_rate == pytest.approx(2 / 3)
    # From 2.5, the highest equity, to −1.5.
    assert row.drawdown == pytest.approx(4)
    assert row.sharpe_tick == pytest.approx(np.mean(expected) / np.std(expected))
    assert row.sharpe_day == pytest.approx(7 * row.sharpe_tick)


def test_the_first_loss_is_a_drawdown_and_flat_has_no_ratio():
    losing = backtest.judge("long", simulate(market([-1.0, -1, 5, 0]), np.ones(4), 0), 1.0, 1)
    assert losing.drawdown == 2
    flat = backtest.judge("flat", simulate(market([-1.0, -1, 5, 0]), np.zeros(4), 0), 1.0, 1)
    assert np.isnan([flat.sharpe_tick, flat.hit_rate, flat.fee_left_bps]).all()
    assert flat.trades == 0 and flat.net.value == 0
    head, first, second = backtest.table([losing, flat])
    assert second[:2] == ["flat", "0.0 [0.0, 0.0]"] and "30000.0" in first[1] and len(head) == len(first) == len(second)


def test_trades_sum_to_the_equity():
    random = np.random.default_rng(4)
    moves, positions = random.normal(size=400), random.integers(-2, 3, 400) / 2
    account = simulate(market(moves, 0.3), positions, 1)
    earned = backtest.trades(account)
    assert len(earned) > 50 and earned.sum() == pytest.approx(account.equity[-1])


def test_a_side_stays_below_the_threshold():
    scores = np.array([0.1, -0.3, 0.2, NAN, 0.5, -0.2, -0.6])
    assert backtest.sign_positions(scores).tolist() == [1, -1, 1, 1, 1, -1, -1]
    assert backtest.sign_positions(scores, 0.25).tolist() == [0, -1, -1, -1, 1, 1, -1]
    assert not backtest.sign_positions(scores, np.inf).any()


def test_thresholds_and_bands_are_those_that_earn_most():
    random = np.random.default_rng(5)
    count = 4_000
    sure = random.random(count) < 0.1
    moves = np.where(sure, 4.0, 0.1) * random.choice([-1, 1], count)
    # Small scores tell the truth too, but what they tell is not worth the cost.
    scores = np.where(sure, 1.0, 0.1) * np.sign(moves) * random.uniform(0.9, 1.1, count)
    cheap, dear = market(moves, 1.0), market(moves, 90.0)
    threshold = backtest.choose_threshold(scores, cheap, 0)
    assert 0.11 < threshold < 1.0
    assert simulate(cheap, backtest.sign_positions(scores, threshold), 0).equity[-1] > 0
    assert simulate(cheap, backtest.sign_positions(scores), 0).equity[-1] < 0
    assert backtest.choose_threshold(scores, dear, 0) == np.inf
    positions = np.where(sure, 1.0, 0.1) * np.sign(moves)
    assert 0.2 <= backtest.choose_band(positions, cheap, 0) <= 0.9
    assert backtest.choose_band(positions, dear, 0) == 3.0


def test_a_day_has_as_many_ticks_as_the_part_suggests():
    times = np.arange(0, 3_600, 2, dtype=np.uint64) * np.uint64(10**9)
    assert backtest.ticks_per_day(times, 6.5) == pytest.approx(6.5 * 1_801, rel=1e-3)
    with pytest.raises(ValueError, match="different times"):
        backtest.ticks_per_day(times[:1], 6.5)
