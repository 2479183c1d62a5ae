"""What positions brought on held-out time after costs, beside those that take no model.

    market = Market.of(data, fee_bps, [problem.validation_from, problem.test_from]).part(problem.test_from, count)
    rows = [judge(name, simulate(market, decisions), ticks_per_day(...)) for name, decisions in positions.items()]
    report.table(table(rows))

Positions are decisions [N]; the account trades them (`environment`). Returns are fractions of one whole position, not
of a capital, and are added up, not compounded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .bootstrap import Interval, Resamples
from .data import Problem
from .environment import BASIS_POINT, Account, Market, simulate
from .metrics import direction_score

#: Of the scores' sizes in validation, the shares below which a threshold forbids to trade; beyond the last, never.
THRESHOLD_SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
#: Changes of the position that are too small to make, to choose from; beyond 1 nothing but full turns is traded, beyond
#: 2 nothing at all.
BANDS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9, 1.5, 3.0)
#: Names of the sides that are taken at each prediction begin so.
SIGN = "sign of the prediction"
#: Ticks of a block of the bootstrap: far longer than rewards remember.
BLOCK = 500


@dataclass(frozen=True)
class Judgement:
    """Sums over the ticks of a part; fractions of a whole position."""

    name: str
    #: The sum of the rewards, with the interval of its mean times the number of ticks, …
    net: Interval
    #: … and what they were before half spreads and fees, which are `costs`.
    gross: float
    costs: float
    #: Mean over standard deviation of the rewards of all ticks, and that times the root of the ticks in a day, as if
    #: they were independent; NaN where nothing was held.
    sharpe_tick: float
    sharpe_day: float
    #: Mean of the size of what was held.
    exposure: float
    #: The sum of all changes of the position: one trade in and out of a whole one is 2.
    turnover: float
    #: What a fee more, in basis points of the value traded, would leave of the net return nothing; NaN where nothing
    #: was traded.
    fee_left_bps: float
    #: The largest fall of the equity from its highest value before, which is at least 0.
    drawdown: float
    #: A trade lasts from taking a side to leaving it, by itself or for the other side; it hits where it earned more
    #: than it cost. NaN of none.
    trades: int
    hit_rate: float


def judge(
    name: str, account: Account, ticks_per_day: float, block: int = BLOCK, resamples: int = 2_000,
) -> Judgement:
    """One set of decisions [N]. `ticks_per_day` scales the Sharpe ratio: `ticks_per_day(...)`."""
    rewards, costs = account.rewards, account.costs.sum()
    block = min(block, len(rewards))
    mean = Resamples(len(rewards), 1, block, resamples).mean(rewards)
    net = Interval(*(len(rewards) * value for value in (mean.value, mean.low, mean.high, mean.standard_error)))
    deviation = rewards.std()
    sharpe = rewards.mean() / deviation if deviation > 0 else float("nan")
    turnover = float(account.traded.sum())
    equity = np.concatenate([[0.0], account.equity])
    earned = trades(account)
    return Judgement(
        name, net, float(rewards.sum() + costs), float(costs), float(sharpe), float(sharpe * np.sqrt(ticks_per_day)),
        float(np.abs(account.held).mean()), turnover,
        float(rewards.sum() / turnover / BASIS_POINT) if turnover > 0 else float("nan"),
        float((np.maximum.accumulate(equity) - equity).max()), len(earned),
        float((earned > 0).mean()) if len(earned) else float("nan"))


def trades(account: Account) -> np.ndarray:
    """The net reward of each trade, in the order of time; they sum to the equity."""
    held, before, cost = account.held, account.before, account.market.cost
    side = np.sign(held)
    enters = (side != 0) & (side != np.sign(before))
    # What closes the old side is paid by it, what opens the new one by that.
    is_turned = side != np.sign(before)
    closing = np.where(is_turned, np.abs(before) * cost, 0.0)
    own = account.rewards + closing
    number = np.cumsum(enters)
    count = int(number[-1]) if len(number) else 0
    result = np.bincount(number, own, count + 1) - np.bincount(number - enters, closing, count + 1)
    return result[1:]


def ticks_per_day(ts_recv: np.ndarray, day_hours: float) -> float:
    """Ticks in a trading day of so many hours (6.5 for US equities, 24 for crypto-currencies) at the rate of `ts_recv`,
    ns, of a part."""
    hours = (int(ts_recv[-1]) - int(ts_recv[0])) / 3.6e12
    if hours <= 0:
        raise ValueError("the ticks of a part are at different times")
    return len(ts_recv) * day_hours / hours


def sign_positions(scores: np.ndarray, threshold: float = 0.0) -> np.ndarray:
    """Long where a score is above `threshold`, short where it is below its negative; between them, and where it is NaN,
    the side stays what it was, at first 0."""
    scores = np.nan_to_num(np.asarray(scores, np.float64))
    sides = np.where(np.abs(scores) > threshold, np.sign(scores), 0.0)
    last = np.maximum.accumulate(np.where(sides != 0, np.arange(len(sides)), -1))
    return np.where(last >= 0, sides[np.maximum(last, 0)], 0.0)


def choose_threshold(scores: np.ndarray, market: Market, latency: int = 1) -> float:
    """The threshold of `sign_positions` of largest net return in a part, of equals the largest; infinite where each
    loses."""
    sizes = np.abs(np.nan_to_num(np.asarray(scores, np.float64)))
    grid = [*np.unique(np.quantile(sizes, THRESHOLD_SHARES)), np.inf]
    sides = np.stack([sign_positions(scores, threshold) for threshold in grid], axis=1)
    return float(grid[_best(simulate(market, sides, latency))])


def choose_band(positions: np.ndarray, market: Market, latency: int = 1, bands: Sequence[float] = BANDS) -> float:
    """The change of position below which none is made, of largest net return in a part, of equals the largest."""
    lanes = np.repeat(np.asarray(positions, np.float64).reshape(-1, 1), len(bands), axis=1)
    return float(bands[_best(simulate(market, lanes, latency, np.asarray(bands)))])


def _best(account: Account) -> int:
    totals = account.rewards.sum(axis=0)
    return int(np.flatnonzero(totals == totals.max())[-1])


def compare(
    problem: Problem, market: Market, positions: dict[str, np.ndarray], probabilities: np.ndarray, latency: int,
) -> dict[str, Account]:
    """By name, what came in the test part of learned `positions` [N], of holding nothing, of always being long or short,
    which is the part's own drift, and for each horizon of the side that `probabilities` [N, H, 3] are on, at once or
    beyond a threshold of validation."""
    before, rows = slice(problem.validation_from, problem.test_from), slice(problem.test_from, problem.split.end)
    validation, test = (market.part(part.start, part.stop) for part in (before, rows))
    count = len(test.move)
    decisions = {name: one[rows] for name, one in positions.items()}
    decisions |= {"flat": np.zeros(count), "always long": np.ones(count), "always short": -np.ones(count)}
    for column, horizon in enumerate(problem.horizons):
        scores = direction_score(probabilities[:, column])
        threshold = choose_threshold(scores[before], validation, latency)
        decisions[f"{SIGN} over {horizon}"] = sign_positions(scores[rows])
        decisions[f"beyond a threshold, {horizon}"] = sign_positions(scores[rows], threshold)
    return {name: simulate(test, one, latency) for name, one in decisions.items()}


def plain(rows: Sequence[Judgement]) -> list[dict]:
    """As dictionaries; a number that there is none of is NaN."""
    return [dataclasses.asdict(row) for row in rows]


def table(rows: Sequence[Judgement]) -> list[list[str]]:
    """A head and a row for each, for a report; returns, costs and drawdown in basis points of a whole position."""
    lines = [["positions", "net, bps [95 %]", "gross", "costs", "Sharpe/tick", "Sharpe/day", "mean size",
              "turnover", "fee left, bps", "drawdown", "trades", "hits"]]
    for row in rows:
        net, low, high = (1e4 * value for value in (row.net.value, row.net.low, row.net.high))
        hits = "–" if np.isnan(row.hit_rate) else f"{100 * row.hit_rate:.0f} %"
        ratios = ["–" if np.isnan(value) else f"{value:.{digits}f}"
                  for value, digits in ((row.sharpe_tick, 4), (row.sharpe_day, 1), (row.fee_left_bps, 2))]
        lines.append([
            row.name, f"{net:.1f} [{low:.1f}, {high:.1f}]", f"{1e4 * row.gross:.1f}", f"{1e4 * row.costs:.1f}",
            *ratios[:2], f"{row.exposure:.3f}", f"{row.turnover:,.1f}", ratios[2], f"{1e4 * row.drawdown:.1f}",
            f"{row.trades:,}", hits])
    return lines
