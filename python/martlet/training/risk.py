"""How good value at risk, expected shortfall and volatility are, on horizons that do not overlap, beside forecasts that
take no model.

    for horizon, rows in compare(problem, "model", outputs).items():
        for forecast, score in rows: …

Losses are those of a long position, positive fractions. A violation is a loss strictly above the value at risk.
Forecasts at tick t know the mids up to t; what they are made of comes from the training part, and one factor may come
from training and validation together (`cautious`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import labels
from .bootstrap import Interval, Resamples
from .data import Problem
from .heads import TAILS, fz0
from .metrics import Coverage, coverage, non_overlapping, violations

#: Half-lives of the moving volatility to choose from, in horizons.
HALF_LIVES = (0.5, 1, 2, 5, 10, 20, 50)
#: The least risk stated, relative to the largest: a ratio to it stays finite.
RELATIVE_MIN = 1e-6
#: Below this p-value a test rejects.
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Forecast:
    """What is said of each tick's horizon; fractions. The tails are 5 % and 1 %."""

    name: str
    #: [N, 2] each.
    value_at_risk: np.ndarray
    expected_shortfall: np.ndarray
    #: [N], the standard deviation of the return.
    volatility: np.ndarray

    @staticmethod
    def of(name: str, outputs: dict[str, np.ndarray], horizon: int) -> Forecast:
        """Of a model's outputs; an `expected_shortfall` or `volatility` that it lacks is NaN."""
        risk = np.asarray(outputs["value_at_risk"][:, horizon], np.float64)
        shortfall, volatility = (
            np.asarray(outputs[key][:, horizon], np.float64) if key in outputs else np.full(shape, np.nan)
            for key, shape in (("expected_shortfall", risk.shape), ("volatility", len(risk))))
        return Forecast(name, risk, shortfall, volatility)

    def scaled(self, factor: float) -> Forecast:
        """Both risks times a factor."""
        return Forecast(self.name, factor * self.value_at_risk, factor * self.expected_shortfall, self.volatility)


def tail(losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value at risk and expected shortfall [2] of losses: their quantiles, and the means of the worst."""
    ordered = np.sort(np.asarray(losses, np.float64))
    quantiles = np.array([np.quantile(ordered, 1 - share, method="inverted_cdf") for share in TAILS])
    # The mean of the worst share, of which the quantile itself makes up what strictly larger losses leave.
    means = np.array([quantile + np.maximum(ordered - quantile, 0).mean() / share
                      for quantile, share in zip(quantiles, TAILS)])
    return quantiles, means


def historical(returns: np.ndarray, train: np.ndarray) -> Forecast:
    """The same at all ticks: tails and deviation of the training part's returns [N]."""
    risk, shortfall = tail(-returns[train])
    count = len(returns)
    deviation = np.full(count, np.sqrt(np.mean(np.square(returns[train]))))
    return Forecast("historical", np.tile(np.maximum(risk, 0), (count, 1)), np.tile(shortfall, (count, 1)), deviation)


def moving_volatility(moves: np.ndarray, reset: np.ndarray, half_life: float) -> np.ndarray:
    """[N]: root of the exponentially weighted mean of squared moves into each tick (RiskMetrics 1996); `moves` [N] is
    the return from the tick before, 0 where there is none. It begins anew at a reset, with the mean of what it saw."""
    decay = 0.5 ** (1 / half_life)
    result, square, weight = np.empty(len(moves)), 0.0, 0.0
    for tick, (move, is_first) in enumerate(zip(moves.tolist(), (np.asarray(reset) != 0).tolist())):
        if is_first:
            square = weight = 0.0
        square, weight = decay * square + (1 - decay) * move * move, decay * weight + (1 - decay)
        result[tick] = square / weight
    return np.sqrt(result)


def moves(mid: np.ndarray, reset: np.ndarray) -> np.ndarray:
    """[N]: the return from the tick before into each tick; 0 after a reset and beside an absent price."""
    return np.concatenate([[0], np.nan_to_num(labels.returns(mid, reset, 1)[:-1])])


def ewma(
    returns: np.ndarray, moves: np.ndarray, reset: np.ndarray, ahead: np.ndarray, train: np.ndarray,
    validation: np.ndarray, half_lives: Sequence[float] = HALF_LIVES,
) -> Forecast:
    """The moving volatility times the tails of training returns in units of that (filtered historical simulation,
    Barone-Adesi et al. 1999); the half-life of least FZ0 at 95 % in validation. It is in horizons of `ahead` ticks, in
    their mean over training: how many ticks a time will hold is not known before it is over."""
    length = max(float(np.mean(ahead[train])), 1.0)
    best, least = None, np.inf
    for half_life in half_lives:
        deviation = moving_volatility(moves, reset, half_life * length)
        deviation = np.maximum(deviation, RELATIVE_MIN * deviation[train].max())
        risk, shortfall = tail(-returns[train] / deviation[train])
        scale = np.sqrt(np.mean(np.square(returns[train] / deviation[train])))
        found = Forecast(
            f"EWMA, half-life {round(half_life * length, 1):g} ticks", deviation[:, None] * np.maximum(risk, 0),
            deviation[:, None] * shortfall, deviation * scale)
        loss = tail_loss(found, returns, validation, 0).mean()
        if loss < least:
            best, least = found, loss
    return best


def tail_loss(forecast: Forecast, returns: np.ndarray, chosen: np.ndarray, number: int) -> np.ndarray:
    """FZ0 (Patton, Ziegel and Chen 2019) of chosen ticks, in units of their returns' deviation: the lower the better,
    and comparable between forecasts."""
    scale = np.sqrt(np.mean(np.square(returns[chosen])))
    parts = (returns[chosen], forecast.value_at_risk[chosen, number], forecast.expected_shortfall[chosen, number])
    return np.asarray(fz0(*(part / scale for part in parts), TAILS[number]), np.float64)


def calibrated(forecast: Forecast, returns: np.ndarray, chosen: np.ndarray) -> tuple[Forecast, float]:
    """Both risks times one factor, and that factor: with it a share of 95 % of the chosen ticks has a loss that is not
    above the value at risk at 95 %."""
    risk = forecast.value_at_risk[chosen, 0]
    least = max(RELATIVE_MIN * risk.max(), np.finfo(np.float64).tiny)
    factor = np.quantile(-returns[chosen] / np.maximum(risk, least), 1 - TAILS[0], method="inverted_cdf")
    factor = float(max(factor, 0.0))
    return forecast.scaled(factor), factor


def cautious(
    forecast: Forecast, returns: np.ndarray, train: np.ndarray, validation: np.ndarray,
) -> tuple[Forecast, float]:
    """`calibrated` by the larger of two factors, those of validation and of training and validation together: training
    flatters what learned there, and validation is one stretch of the day, which may be calmer than the next."""
    return max((calibrated(forecast, returns, chosen) for chosen in (validation, train | validation)),
               key=lambda found: found[1])


@dataclass(frozen=True)
class TailScore:
    """One tail of a forecast, on horizons that do not overlap."""

    #: 0.95 or 0.99.
    level: float
    coverage: Coverage
    #: Of the ticks of the first horizon at which one could have begun to count: the share from which Kupiec's test, and
    #: Christoffersen's of both together, reject at 5 %.
    rejecting: tuple[float, float]
    #: Mean loss of the violations over the mean expected shortfall stated for them: above 1 it was worse than stated.
    exceedance: float
    #: Z2 of Acerbi and Szekely (2014), 1 − mean of loss · violated / (share · shortfall), with its interval: 0 is
    #: right, below 0 risk was understated, by size or number.
    z2: Interval
    #: Mean FZ0.
    loss: Interval


@dataclass(frozen=True)
class Score:
    name: str
    tails: tuple[TailScore, TailScore]
    #: QLIKE of the volatility, log σ² + r² / σ² in units of the returns' deviation; 1 at least for a constant.
    qlike: Interval


def evaluate(
    forecast: Forecast, returns: np.ndarray, apart: np.ndarray, chosen: np.ndarray, block: int = 10,
    resamples: int = 2_000,
) -> Score:
    """Of the chosen ticks [N] bool of a part; the next horizon may begin `apart` [N] ticks after one, and `block` is in
    horizons."""
    ticks = non_overlapping(chosen, apart)
    draws = Resamples(len(ticks), 1, min(block, len(ticks)), resamples)
    starts = _other_starts(chosen, apart)
    tails = []
    for number, share in enumerate(TAILS):
        risk, shortfall = forecast.value_at_risk[:, number], forecast.expected_shortfall[:, number]
        violated = violations(returns[ticks], risk[ticks])
        others = [coverage(violations(returns[other], risk[other]), 1 - share) for other in starts]
        rejecting = tuple(float(np.mean([getattr(one, test).p_value < SIGNIFICANCE for one in others]))
                          for test in ("proportion", "conditional"))
        terms = 1 + returns[ticks] * violated / (share * np.maximum(shortfall[ticks], np.finfo(np.float64).tiny))
        hit = ticks[violated]
        exceedance = -returns[hit].mean() / shortfall[hit].mean() if len(hit) else float("nan")
        tails.append(TailScore(
            1 - share, coverage(violated, 1 - share), rejecting, float(exceedance), draws.mean(terms),
            draws.mean(tail_loss(forecast, returns, ticks, number))))
    return Score(forecast.name, tuple(tails), draws.mean(_qlike(forecast.volatility[ticks], returns[ticks])))


def _other_starts(chosen, apart):
    """Sets of horizons that do not overlap, one from each tick of the first horizon."""
    first = np.flatnonzero(chosen)[0]
    index = np.arange(len(chosen))
    return [non_overlapping(chosen & (index >= first + offset), apart) for offset in range(int(apart[first]))]


def _qlike(volatility, returns):
    scale = np.sqrt(np.mean(np.square(returns)))
    variance = np.square(np.maximum(volatility / scale, 1e-3))
    return np.log(variance) + np.square(returns / scale) / variance


def factors(problem: Problem, outputs: dict[str, np.ndarray]) -> tuple[float, ...]:
    """`Heads.risk_factors` of a model by its outputs [N, …]: of each horizon the factor of `cautious`."""
    return tuple(cautious(Forecast.of("", outputs, column), problem.returns[:, column], train, validation)[1]
                 for column, (train, validation, _) in enumerate(_parts(problem)))


def compare(problem: Problem, name: str, outputs: dict[str, np.ndarray]) -> dict[str, list[tuple[Forecast, Score]]]:
    """By horizon, a model's risks as they are, then its rivals' calibrated as the model's should be: the past quantile
    and the moving volatility; judged on the test part."""
    data, result = problem.data, {}
    steps = moves(data.mid, data.reset)
    for column, (train, validation, test) in enumerate(_parts(problem)):
        returns, ahead = problem.returns[:, column], problem.ahead[:, column]
        rivals = historical(returns, train), ewma(returns, steps, data.reset, ahead, train, validation)
        forecasts = [Forecast.of(name, outputs, column),
                     *(cautious(one, returns, train, validation)[0] for one in rivals)]
        result[str(problem.horizons[column])] = [
            (one, evaluate(one, returns, problem.apart(column), test)) for one in forecasts]
    return result


def _parts(problem):
    """For each horizon, the ticks of training, validation and test with a return."""
    is_known = np.isfinite(problem.returns)
    return np.moveaxis(np.stack([problem.train, problem.validation, problem.test]) & is_known, 2, 0)


def plain(found: dict[str, list[tuple[Forecast, Score]]]) -> list[dict]:
    """What `compare` found as JSON has it: an entry for each horizon, forecast and tail."""
    return [{
        "horizon": horizon, "forecast": score.name, "level": one.level, "horizons": one.coverage.count,
        "violations": one.coverage.violations, "expected": one.coverage.count * (1 - one.level),
        "kupiec_p": one.coverage.proportion.p_value, "independence_p": one.coverage.independence.p_value,
        "christoffersen_p": one.coverage.conditional.p_value, "starts_rejecting": list(one.rejecting),
        "loss_over_shortfall": one.exceedance, "z2": dataclasses.asdict(one.z2), "fz0": one.loss.value,
        "qlike": score.qlike.value}
        for horizon, rows in found.items() for _, score in rows for one in score.tails]


def table(scores: Sequence[Score]) -> list[list[str]]:
    """A head, and a row for each forecast and tail, for a report; – for what there is none of."""
    rows = [["forecast", "level", "violations", "expected", "Kupiec p", "Christoffersen p, independent", "both",
             "starts rejecting, Kupiec / both", "loss beyond / shortfall", "Z2 [95 %]", "FZ0", "QLIKE"]]
    for score in scores:
        for one in score.tails:
            found = one.coverage
            rows.append([
                score.name, f"{100 * one.level:.0f} %", f"{found.violations} of {found.count}",
                f"{found.count * (1 - one.level):.1f}",
                *(_probability(test.p_value) for test in (found.proportion, found.independence, found.conditional)),
                f"{100 * one.rejecting[0]:.0f} % / {100 * one.rejecting[1]:.0f} %", _number(one.exceedance, 2),
                f"{one.z2.value:.2f} [{one.z2.low:.2f}, {one.z2.high:.2f}]", _number(one.loss.value),
                _number(score.qlike.value)])
    return rows


def _probability(value):
    return "< 0.001" if value < 0.0005 else _number(value)


def _number(value, digits=3):
    return "–" if np.isnan(value) else f"{value:.{digits}f}"
