"""Risk forecasts: right ones pass, wrong ones are found out, and no forecast knows what is to come."""

import numpy as np
import pytest

pytest.importorskip("jax")

from martlet import labels  # noqa: E402
from martlet.training import risk  # noqa: E402
from martlet.training.risk import Forecast  # noqa: E402

COUNT, LENGTH = 30_000, 10
#: Of a standard normal distribution.
RISK, SHORTFALL = (1.645, 2.326), (2.063, 2.665)


@pytest.fixture(scope="module")
def walk():
    """A random walk whose volatility goes up and down: moves into each tick, returns of the next ticks, deviations."""
    random = np.random.default_rng(11)
    deviation = 1e-5 * np.exp(np.sin(np.arange(COUNT) / 300))
    moves = deviation * random.normal(size=COUNT)
    sums = np.concatenate([[0], np.cumsum(moves)])
    returns, true = np.full(COUNT, np.nan), np.full(COUNT, np.nan)
    now = np.arange(COUNT - LENGTH)
    returns[now] = sums[now + LENGTH + 1] - sums[now + 1]
    squares = np.concatenate([[0], np.cumsum(deviation**2)])
    true[now] = np.sqrt(squares[now + LENGTH + 1] - squares[now + 1])
    index = np.arange(COUNT)
    parts = index < 10_000, (index >= 10_000) & (index < 15_000), (index >= 15_000) & (index < COUNT - LENGTH)
    return moves, returns, true, np.full(COUNT, LENGTH), parts


def exact(true, factor=1.0):
    return Forecast("exact", *(factor * true[:, None] * np.array(tails) for tails in (RISK, SHORTFALL)), true)


def test_a_right_forecast_passes_and_wrong_ones_do_not(walk):
    moves, returns, true, ahead, (train, validation, test) = walk
    score = risk.evaluate(exact(true), returns, ahead, test)
    near, far = score.tails
    assert near.coverage.count == 1_499 and near.level == 0.95 and far.level == 0.99
    for one in score.tails:
        assert one.coverage.proportion.p_value > 0.05 and one.coverage.conditional.p_value > 0.05
        assert one.z2.low < 0 < one.z2.high
        assert one.exceedance == pytest.approx(1, abs=0.1)
    assert near.rejecting[0] < 0.5
    low = risk.evaluate(exact(true, 0.7), returns, ahead, test)
    assert low.tails[0].coverage.proportion.p_value < 1e-3 and low.tails[0].z2.high < 0
    assert low.tails[0].exceedance > 1.05 and low.tails[0].rejecting == (1.0, 1.0)
    constant = risk.evaluate(risk.historical(returns, train), returns, ahead, test)
    assert constant.tails[0].coverage.independence.p_value < 1e-2
    for other in (low, constant):
        assert other.tails[0].loss.value > near.loss.value
    assert constant.qlike.value > score.qlike.value


def test_the_moving_volatility_beats_the_constant_and_knows_no_future(walk):
    moves, returns, true, ahead, (train, validation, test) = walk
    reset = np.arange(COUNT) == 0
    found = risk.ewma(returns, moves, reset, ahead, train, validation)
    score = risk.evaluate(found, returns, ahead, test)
    constant = risk.evaluate(risk.historical(returns, train), returns, ahead, test)
    assert score.tails[0].loss.value < constant.tails[0].loss.value and score.qlike.value < constant.qlike.value
    assert found.volatility[test] == pytest.approx(true[test], rel=0.9)
    changed = moves.copy()
    changed[20_001:] *= 9
    later = risk.moving_volatility(changed, reset, 50)
    assert np.array_equal(later[:20_001], risk.moving_volatility(moves, reset, 50)[:20_001])
    assert later[20_500] > 5 * risk.moving_volatility(moves, reset, 50)[20_500]


def test_a_moving_volatility_begins_anew_at_a_reset():
    moves = np.array([9.0, 9, 0, 1, 1])
    found = risk.moving_volatility(moves, [1, 0, 0, 1, 0], half_life=1)
    assert found.tolist() == pytest.approx([9, 9, np.sqrt((81 / 8 + 81 / 4) / (1 / 2 + 1 / 4 + 1 / 8)), 1, 1])


def test_tails_are_the_quantile_and_the_mean_beyond():
    quantiles, means = risk.tail(np.arange(1, 101))
    assert quantiles.tolist() == [95, 99]
    assert means == pytest.approx([98, 100])
    normal = risk.tail(np.random.default_rng(12).normal(size=400_000))
    assert normal[0] == pytest.approx(RISK, abs=0.02) and normal[1] == pytest.approx(SHORTFALL, abs=0.03)


def test_calibration_puts_the_chosen_ticks_right_by_one_factor(walk):
    moves, returns, true, ahead, (train, validation, test) = walk
    found, factor = risk.calibrated(exact(true, 0.5), returns, validation)
    assert factor == pytest.approx(2, rel=0.15)
    assert found.value_at_risk == pytest.approx(exact(true, 0.5 * factor).value_at_risk, nan_ok=True)
    violated = -returns[validation] > found.value_at_risk[validation, 0]
    assert 0.049 < violated.mean() <= 0.05
    assert np.array_equal(found.volatility, true, equal_nan=True)
    # It comes from the chosen ticks alone.
    other = np.where(test, 10 * returns, returns)
    assert risk.calibrated(exact(true, 0.5), other, validation)[1] == factor


def test_the_larger_factor_is_the_cautious_one(walk):
    _, returns, true, _, (train, validation, _) = walk
    both = risk.calibrated(exact(true), returns, train | validation)[1]
    calm, wild = (np.where(validation, factor * returns, returns) for factor in (0.1, 2))
    alone = risk.calibrated(exact(true), wild, validation)[1]
    assert risk.cautious(exact(true), wild, train, validation)[1] == alone > both
    found, factor = risk.cautious(exact(true), calm, train, validation)
    assert factor == risk.calibrated(exact(true), calm, train | validation)[1]
    assert factor > 5 * risk.calibrated(exact(true), calm, validation)[1]
    assert found.value_at_risk == pytest.approx(factor * exact(true).value_at_risk, nan_ok=True)


def test_the_table_has_a_row_for_each_tail(walk):
    _, returns, true, ahead, (_, _, test) = walk
    head, near, far = risk.table([risk.evaluate(exact(true), returns, ahead, test)])
    assert near[:2] == ["exact", "95 %"] and "of 1499" in far[2]
    low = risk.table([risk.evaluate(exact(true, 0.5), returns, ahead, test)])[1]
    assert low[4] == "< 0.001" and float(near[4]) > 0.05
    assert len(head) == len(near) == len(far)


def test_a_models_outputs_are_a_forecast():
    outputs = {"value_at_risk": np.ones((4, 2, 2)), "expected_shortfall": 2 * np.ones((4, 2, 2))}
    outputs["value_at_risk"][:, 1] = 3
    found = risk.Forecast.of("model", outputs, 1)
    assert found.value_at_risk.tolist() == [[3, 3]] * 4 and np.isnan(found.volatility).all()
    del outputs["expected_shortfall"]
    assert np.isnan(risk.Forecast.of("model", outputs, 0).expected_shortfall).all()


def test_the_moving_volatility_does_not_know_how_many_ticks_a_time_will_hold(walk):
    moves, returns, _, ahead, (train, validation, test) = walk
    reset = np.arange(COUNT) == 0
    found = risk.ewma(returns, moves, reset, ahead, train, validation)
    busy = risk.ewma(returns, moves, reset, np.where(train, ahead, 9 * ahead), train, validation)
    assert np.array_equal(busy.value_at_risk, found.value_at_risk) and busy.name == found.name
    assert np.array_equal(busy.volatility, found.volatility)


def test_no_move_comes_from_a_reset_or_an_absent_price():
    mid = np.array([100, 101, labels.UNDEFINED_PRICE, 202, 404, 100], np.int64)
    found = risk.moves(mid, np.array([1, 0, 0, 0, 0, 1], np.uint8))
    assert found.tolist() == [0, 0.01, 0, 0, 1, 0]
