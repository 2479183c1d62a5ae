"""Value at risk at 95 and 99 % of GOOG's day or of BTCUSDT's: a network beside forecasts that take none.

    python python/studies/risk.py LOBSTER_SampleFile_GOOG_2012-06-21_10.zip --work DIR --plot risk_goog.png
    python python/studies/risk.py usdm_btcusdt_20240808.gz --work DIR --plot risk_btcusdt.png

Prints a Markdown table for each horizon, on horizons of the test part that do not overlap: forecasts as they are, and
times the one factor that training and validation together choose; of the network also the one of validation alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib

import days
import numpy as np
import recorded

from martlet.training import loop, plots, risk, stages
from martlet.training.data import Problem
from martlet.training.metrics import violations
from martlet.training.report import markdown_table
from martlet.training.risk import Forecast

HEADS = ("volatility", "value_at_risk", "expected_shortfall")
SETTINGS = loop.Settings(epochs=10, patience=3, learning_rate=2e-3)
SEEDS = (1, 2)


def make_parser() -> argparse.ArgumentParser:
    return recorded.make_parser(__doc__)


def main(options: argparse.Namespace) -> None:
    day, data = days.load(options)
    outputs = []
    for seed in SEEDS:
        problem, job = days.job(day, data, HEADS, dataclasses.replace(SETTINGS, seed=seed))
        trained = stages.trained(job, problem, options.work / f"risk/{seed}")
        outputs.append(stages.outputs(job, problem, trained))
    for column, horizon in enumerate(problem.horizons):
        returns, ahead, test = problem.returns[:, column], problem.ahead[:, column], problem.test[:, column]
        models = [Forecast.of(f"GRU, seed {seed}", found, column) for seed, found in zip(SEEDS, outputs)]
        found = forecasts(problem, column, models)
        scores = [risk.evaluate(one, returns, ahead, test) for one in found]
        print(f"{data.instrument}, {horizon}\n\n{markdown_table(risk.table(scores))}\n")
        if options.plot and column == day.column:
            draw(options.plot, found[3], found[5], returns, risk.non_overlapping(test, ahead),
                 f"{data.instrument}, {horizon}: value at risk at 95 %")


def forecasts(problem: Problem, column: int, models: list[Forecast]) -> list[Forecast]:
    """Past quantile, moving volatility and the networks; each as it is and then scaled."""
    returns, ahead = problem.returns[:, column], problem.ahead[:, column]
    train, validation = problem.train[:, column], problem.validation[:, column]
    data = problem.data
    moves = risk.moves(data.mid, data.reset)
    result = []
    for one in [risk.historical(returns, train),
                risk.ewma(returns, moves, data.reset, ahead, train, validation), *models]:
        result += [one, scaled(one, returns, train | validation)]
        if any(one is model for model in models):
            result.append(scaled(one, returns, validation, " of validation"))
    return result


def scaled(forecast: Forecast, returns: np.ndarray, chosen: np.ndarray, of: str = "") -> Forecast:
    """The forecast times the factor that the chosen ticks ask for, which is in its name."""
    found, factor = risk.calibrated(forecast, returns, chosen)
    return dataclasses.replace(found, name=f"{forecast.name}, × {factor:.3f}{of}")


def draw(path: pathlib.Path, moving: Forecast, model: Forecast, returns: np.ndarray, ticks: np.ndarray,
         title: str) -> None:
    """The network's value at risk and the moving volatility's on horizons that begin at `ticks`."""
    values = {"network": model.value_at_risk[ticks, 0], "moving volatility": moving.value_at_risk[ticks, 0]}
    plots.value_at_risk_plot(path, returns[ticks], values, violations(returns[ticks], values["network"]), title)


if __name__ == "__main__":
    recorded.start(main, make_parser())
