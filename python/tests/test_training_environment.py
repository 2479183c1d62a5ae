"""Trading in recorded quotes: the equity is what the fills are worth, to the last digit, and nothing crosses a
reset."""

from fractions import Fraction

import numpy as np
import pytest
from training_support import write_folder

jax = pytest.importorskip("jax")

from martlet.labels import UNDEFINED_PRICE  # noqa: E402
from martlet.training import environment  # noqa: E402
from martlet.training.data import Data, DataError  # noqa: E402
from martlet.training.environment import Market, simulate  # noqa: E402

COUNT, WARM_UP = 6_000, 20
RESET, CUT = 1_500, 4_000


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = Data.load(write_folder(tmp_path_factory.mktemp("features"), count=COUNT))
    random = np.random.default_rng(1)
    data.bid[random.random(COUNT) < 0.02] = UNDEFINED_PRICE
    data.ask[random.random(COUNT) < 0.02] = UNDEFINED_PRICE
    crossed = (random.random(COUNT) < 0.01) & (data.bid != UNDEFINED_PRICE)
    data.ask[crossed] = data.bid[crossed] - 10_000_000
    # The last ticks before the reset, and the first after the cut, have no quotes.
    data.bid[RESET - 3:RESET] = data.bid[CUT:CUT + 2] = UNDEFINED_PRICE
    return data


def books(data, targets, latency, fee_bps, band=0):
    """Cash and holding of each segment by hand, in exact fractions: the final equity, and the fills."""
    starts = sorted({*np.flatnonzero(data.reset), CUT}) + [COUNT]
    total, fills = Fraction(0), []
    for first, end in zip(starts, starts[1:]):
        quotes = {tick: (Fraction(int(data.bid[tick])), Fraction(int(data.ask[tick]))) for tick in range(first, end)
                  if UNDEFINED_PRICE not in (data.bid[tick], data.ask[tick]) and data.bid[tick] <= data.ask[tick]}
        whole = sum(quotes[min(quotes)]) / 2
        cash = units = held = Fraction(0)
        for tick, (bid, ask) in sorted(quotes.items()):
            decided = tick - latency
            wanted = Fraction(float(targets[decided])) if decided >= first else Fraction(0)
            since_reset = tick - max(reset for reset in np.flatnonzero(data.reset) if reset <= tick)
            must_close = tick == max(quotes) or since_reset < WARM_UP
            if must_close:
                wanted = Fraction(0)
            if wanted == held or abs(wanted - held) < band and not must_close:
                continue
            bought = (wanted - held) / whole
            price = ask if bought > 0 else bid
            cash -= bought * price + abs(bought) * (bid + ask) / 2 * Fraction(fee_bps) / 10_000
            units, held = units + bought, wanted
            fills.append((tick, held))
        assert units == 0
        total += cash
    return float(total), fills


@pytest.mark.parametrize("latency, fee_bps, band", [(0, 0, 0), (1, 0.5, 0), (3, 0.1, 0), (1, 0.5, 0.7), (2, -0.2, 0)])
@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_equity_is_the_worth_of_the_fills(data, latency, fee_bps, band, kind):
    random = np.random.default_rng(2)
    targets = random.uniform(-1, 1, COUNT) if kind == "continuous" else random.integers(-1, 2, COUNT)
    market = Market.of(data, fee_bps, [CUT], WARM_UP)
    account = simulate(market, targets, latency, band)
    expected, fills = books(data, targets, latency, fee_bps, band)
    assert account.equity[-1] == pytest.approx(expected, abs=1e-12)
    assert len(fills) > 1_000 and abs(expected) > 1e-3
    found = np.flatnonzero(account.traded)
    assert found.tolist() == [tick for tick, _ in fills]
    assert account.held[found] == pytest.approx([float(held) for _, held in fills])
    assert account.rewards.sum() == pytest.approx((account.held * market.move - account.costs).sum(), abs=1e-12)


def test_training_in_lanes_earns_what_the_whole_stream_earns(data):
    targets = np.random.default_rng(3).uniform(-1, 1, (COUNT, 2)).astype(np.float32)
    market = Market.of(data, 0.5, [CUT], WARM_UP)
    whole = simulate(market, targets, 2)
    account, parts = environment.start(2, 2), []
    columns = np.broadcast_to(market.columns[:, None], (COUNT, 2, 5))
    for rows in (slice(0, 1_700), slice(1_700, 1_701), slice(1_701, COUNT)):
        account, rewards, _ = jax.jit(environment.run)(account, targets[rows], columns[rows])
        parts.append(rewards)
    assert np.concatenate(parts) == pytest.approx(whole.rewards, abs=1e-8)


def test_nothing_is_held_across_a_reset_or_a_cut_or_in_the_warm_up(data):
    market = Market.of(data, 0.0, [CUT], WARM_UP)
    held = simulate(market, np.ones(COUNT), 2).held
    for begin in (0, RESET):
        assert not held[begin:begin + WARM_UP].any() and held[begin + WARM_UP + 5] == 1
    assert held[RESET - 5] == 1 and not held[RESET - 4:RESET].any()
    assert held[CUT - 2] == 1 and held[CUT - 1] == 0
    # The cut's first two ticks have no quotes, and the first decision arrives two ticks late.
    assert held[CUT:CUT + 2].tolist() == [0, 0] and held[CUT + 4] == 1
    assert market.move[RESET - 1] == 0 and market.move[CUT - 1] == 0
    part = market.part(CUT, COUNT)
    assert simulate(part, np.ones(COUNT - CUT), 2).held.tolist() == held[CUT:].tolist()
    with pytest.raises(ValueError, match="no cuts"):
        market.part(CUT + 1, COUNT)


def test_a_later_fill_is_a_fill_of_later_quotes(data):
    market = Market.of(data, 0.3, [CUT], WARM_UP)
    targets = np.zeros(COUNT)
    targets[2_000:2_040] = 1
    early, late = simulate(market, targets, 0), simulate(market, np.roll(targets, -3), 3)
    assert early.rewards == pytest.approx(late.rewards, abs=1e-15)
    assert early.equity[-1] != simulate(market, targets, 3).equity[-1]


def test_a_delay_in_time_takes_the_last_decision_that_is_old_enough(data):
    market = Market.of(data, 0.0, [CUT], WARM_UP)
    targets = np.arange(COUNT) / COUNT
    times = np.full(COUNT, 10**15, np.uint64) + np.cumsum(np.random.default_rng(5).integers(0, 2_000, COUNT)).astype(
        np.uint64)
    found = environment.delayed(market, targets, times, 5_000)
    begins = np.flatnonzero(market.begin)
    for tick in (0, 3, 700, RESET + 1, RESET + 40, CUT - 1, CUT + 2, COUNT - 1):
        first = begins[begins <= tick][-1]
        old = [one for one in range(first, COUNT) if times[one] + np.uint64(5_000) <= times[tick]]
        assert found[tick] == (targets[old[-1]] if old else 0)
    assert np.array_equal(environment.delayed(market, targets, times, 0)[:-1][np.diff(times) > 0],
                          targets[:-1][np.diff(times) > 0])


def test_what_cannot_be_traded_is_refused(data):
    market = Market.of(data, 0.0)
    for targets, latency in [(np.ones(3), 1), (np.full(COUNT, 1.5), 1), (np.ones(COUNT), -1)]:
        with pytest.raises(ValueError, match="one decision"):
            simulate(market, targets, latency)
    with pytest.raises(DataError, match="cuts"):
        Market.of(data, cuts=[COUNT])
    assert not simulate(market, np.full(COUNT, np.nan), 1).held.any()
