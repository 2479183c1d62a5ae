"""What positions earn after costs on GOOG's day or BTCUSDT's: direction models, direct reinforcement and PPO.

    python python/studies/trading.py LOBSTER_SampleFile_GOOG_2012-06-21_10.zip --work DIR --plot trading_goog.png
    python python/studies/trading.py usdm_btcusdt_20240808.gz --work DIR --plot trading_btcusdt.png

Prints two Markdown tables for each fee: the test part with one tick between decision and fill, and what is left of the
net result with a delay in time. Policies begin as the direction model; thresholds and bands are chosen on validation.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib

import days
import numpy as np
import recorded
from days import Day

from martlet.training import backtest, loop, plots, stages
from martlet.training.batches import Examples
from martlet.training.data import Problem
from martlet.training.environment import BASIS_POINT, Account, Market, delayed, simulate
from martlet.training.heads import Heads
from martlet.training.metrics import direction_score
from martlet.training.policy import MARKET, Trading, from_direction, scale_of
from martlet.training.ppo import PPO
from martlet.training.pruning import Pruning
from martlet.training.report import markdown_table

#: Basis points of the value traded; the figure is of the last.
FEES = (0.0, 0.1)
#: Ticks, and milliseconds, between decision and fill.
LATENCY, DELAYS = 1, (1, 10, 100)
DIRECTION_HEADS = ("probabilities", "volatility", "value_at_risk", "expected_shortfall")
DIRECTION = loop.Settings(patience=5)
POLICY = loop.Settings(patience=6, lanes=32, steps=100, learning_rate=2e-3, least_settled=0.0)
PRUNED = dataclasses.replace(POLICY, epochs=24, patience=None, pruning=Pruning(0.1, every=20))
LEARNED_BY_PPO = dataclasses.replace(POLICY, epochs=12, learning_rate=5e-4)
RULES = PPO(discount=0.99, trace=0.95, deviation=0.1)
#: By name: settings and how the position is learned; direct reinforcement by the differential Sharpe ratio.
POLICIES = {
    "direct reinforcement": (POLICY, {"objective": "sharpe"}),
    "direct reinforcement pruned": (PRUNED, {"objective": "sharpe"}),
    "PPO of three positions": (LEARNED_BY_PPO, {"objective": "ppo", "ppo": RULES, "is_discrete": True}),
    "PPO continuous": (LEARNED_BY_PPO, {"objective": "ppo", "ppo": RULES})}


def make_parser() -> argparse.ArgumentParser:
    return recorded.make_parser(__doc__)


def main(options: argparse.Namespace) -> None:
    day, data = days.load(options)
    problem, job = days.job(day, data, DIRECTION_HEADS, DIRECTION)
    direction = stages.trained(job, problem, options.work / "trading/direction")
    probabilities = stages.outputs(job, problem, direction)["probabilities"]
    first = from_direction(direction.weights, day.column)
    print(facts(problem), "\n")
    for fee in FEES:
        market = Market.of(data, fee, [problem.validation_from, problem.test_from])
        positions = by_direction(problem, market, probabilities) | {
            name: policy(problem, job, market, first, name, options.work / f"trading/fee-{fee:g}") for name in POLICIES}
        print(f"{data.instrument}, fee of {fee:g} basis points\n")
        judged(problem, market, positions, day, options.plot if fee == FEES[-1] else None)


def facts(problem: Problem) -> str:
    """Spread and pace of the test part."""
    first, times = problem.test_from, problem.data.ts_recv[problem.test_from:].astype(np.int64)
    part = Market.of(problem.data, cuts=[first]).part(first, len(problem.data.mid))
    return (f"Test part: {(times[-1] - times[0]) / 1e9:,.0f} s, {np.median(np.diff(times)) / 1e3:,.1f} µs from tick to "
            f"tick in the median, half a spread is {part.cost[part.tradable].mean() / BASIS_POINT:.2f} basis points in "
            "the mean.")


def by_direction(problem: Problem, market: Market, probabilities: np.ndarray) -> dict[str, tuple[np.ndarray, float]]:
    """Positions [N] with the least change made, by name, that take no policy."""
    validation = slice(problem.validation_from, problem.test_from)
    count = len(problem.data.mid)
    result = {"flat": np.zeros(count), "always long": np.ones(count)}
    for column, horizon in enumerate(problem.horizons):
        scores = direction_score(probabilities[:, column])
        threshold = backtest.choose_threshold(
            scores[validation], market.part(validation.start, validation.stop), LATENCY)
        result[f"sign over {horizon}"] = sides(scores, problem.test_from)
        result[f"sign over {horizon} beyond {threshold:.3f}"] = sides(scores, problem.test_from, threshold)
    return {name: (positions, 0.0) for name, positions in result.items()}


def sides(scores: np.ndarray, first: int, threshold: float = 0.0) -> np.ndarray:
    """Positions [N] by the sign of the scores from the first tick of the test part on; it begins without a side."""
    return np.concatenate([np.zeros(first), backtest.sign_positions(scores[first:], threshold)])


def policy(problem: Problem, job: stages.Job, market: Market, first: dict, name: str,
           folder: pathlib.Path) -> tuple[np.ndarray, float]:
    """A policy's positions [N], and the band that validation chooses for it."""
    settings, how = POLICIES[name]
    validation_from, test_from = problem.validation_from, problem.test_from
    trading = Trading(scale_of(market, 0, validation_from), latency=LATENCY, **how)
    index = np.arange(len(problem.data.mid))
    parts = {MARKET: index < validation_from}, {MARKET: (index >= validation_from) & (index < test_from)}
    examples = Examples(job.features, problem.data.reset, {MARKET: market.columns}, *parts)
    own = dataclasses.replace(
        job, heads=Heads(1, ("position",)), settings=dataclasses.replace(settings, trading=trading))
    place = folder / name.replace(" ", "-")
    trained = stages.kept(place, lambda: loop.train(
        own.network, own.heads, examples, own.settings, first, place))
    positions = np.asarray(trading.decided(stages.outputs(own, problem, trained)["position"][:, 0]))
    validation = market.part(validation_from, test_from)
    return positions, backtest.choose_band(positions[validation_from:test_from], validation, LATENCY)


def judged(problem: Problem, market: Market, positions: dict[str, tuple[np.ndarray, float]], day: Day,
           path: pathlib.Path | None) -> None:
    """Prints the tables of the test part, and draws what was earned; a band beside its policy without one."""
    test, times = slice(problem.test_from, None), problem.data.ts_recv[problem.test_from:]
    part = market.part(problem.test_from, len(market.move))
    accounts: dict[str, Account] = {}
    delays = [["net, bps, after a delay of", *(f"{delay} ms" for delay in DELAYS)]]
    for name, (targets, best) in positions.items():
        for band in sorted({0.0, best}):
            label = f"{name}, changes from {band:g} on" if band else name
            accounts[label] = simulate(part, targets[test], LATENCY, band)
            late = [simulate(part, delayed(part, targets[test], times, delay * 10**6), 0, band) for delay in DELAYS]
            delays.append([label, *(f"{one.equity[-1] / BASIS_POINT:.1f}" for one in late)])
    rate = backtest.ticks_per_day(times, day.hours)
    print(markdown_table(backtest.table(
        [backtest.judge(label, account, rate) for label, account in accounts.items()])), "\n")
    print(markdown_table(delays), "\n")
    if path:
        curves = {name: accounts[name].equity for name in positions}
        plots.equity_plot(path, curves, f"{problem.data.instrument}, fee of {FEES[-1]:g} basis points")


if __name__ == "__main__":
    recorded.start(main, make_parser())
