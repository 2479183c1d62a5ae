"""What is said of the recorded days in risk and trading: horizons, thresholds, the hours of a trading day."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import recorded

from martlet.training import stages
from martlet.training.config import Config, DataSettings, HeadSettings
from martlet.training.data import Data, DataError, Problem
from martlet.training.loop import Settings


@dataclass(frozen=True)
class Day:
    #: In ticks.
    horizons: tuple[int, ...]
    #: Of each horizon; None makes a third of the training labels flat.
    alphas: tuple[float | None, ...]
    #: The horizon that is drawn, and that a policy begins with, counted from 0.
    column: int
    #: Of trading in a day, for Sharpe ratios.
    hours: float


DAYS = {"GOOG": Day((20, 50, 100), (None, 2e-5, None), 1, 6.5), "BTCUSDT": Day((20, 100), (1e-6, 5e-6), 1, 24.0)}


def load(options: argparse.Namespace) -> tuple[Day, Data]:
    """The day that the recording is of, and its features."""
    data, _ = recorded.load(options.source, options.work)
    symbol = data.instrument.split("/")[-1]
    if symbol not in DAYS:
        raise DataError(f"{options.source} is of {data.instrument}; the study knows {' and '.join(DAYS)}")
    return DAYS[symbol], data


def job(day: Day, data: Data, heads: tuple[str, ...], settings: Settings) -> tuple[Problem, stages.Job]:
    """The day's problem, and a GRU of 32 units with these heads on it."""
    config = Config("study", DataSettings(horizons=day.horizons, alphas=day.alphas), heads=HeadSettings(heads),
                    network={"kind": "gru", "units": (32,), "dense": (64,)}, training=settings)
    problem = stages.problem_of(config, [data])
    return problem, stages.student_job(config, problem, is_taught=False, seed=settings.seed)
