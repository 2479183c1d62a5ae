"""The card of a model: what it is, what it was made of, how good it is beside what needs no network, and how to make it
again. Its last block is the whole configuration, which `martlet-train reproduce` runs."""

from __future__ import annotations

import datetime
import pathlib

import numpy as np

from . import backtest, pruning, risk
from . import config as configuration
from .comparison import Row, table
from .config import Config, ConfigError
from .data import PARTS, SMOOTHED_MID, TWO_SIDED, Problem
from .report import Report

FENCE = "```yaml\n"
#: A mean size of the position below which it is as good as none.
EXPOSURE_MIN = 0.05
LABEL_TEXTS = {
    SMOOTHED_MID: "the mean of the mid prices of the horizon against the present one",
    TWO_SIDED: "the mean of the mid prices of the horizon against that of as many last ticks, this one among them"}
_NO_FILE = ("Labels `two-sided` are not in the model contract (docs/MODEL.md): the engine would refuse the file, and "
            "`martlet score` could not check it. This is a result of research.")


def write(config: Config, problem: Problem, job, result, rows: list[Row], risks: dict, judged: list, figures: dict,
          ) -> Report:
    """`risks` is what `risk.compare` found, `judged` are judgements of `backtest`, `figures` what metrics.json
    holds."""
    report = Report(f"Model {config.name}")
    horizons = ", ".join(str(horizon) for horizon in problem.horizons)
    precision = "int8" if result.ranges is not None else "fp32"
    what = "whether the mid price will be lower, about equal or higher over the next"
    if problem.label == TWO_SIDED:
        what = "whether the mean mid price will be below that of as many last ticks, about equal or above over the next"
    report.paragraph(
        f"Says after each tick {what} {horizons}. "
        f"Outputs: {', '.join(f'`{name}`' for name in job.heads.names)}. Written by `martlet-train`; do not edit.")
    if not figures["is_exported"]:
        report.paragraph(f"**No model file was written.** {_NO_FILE}")
    report.heading("Shape")
    options = ", ".join(f"{name} {value}" for name, value in config.network.items() if name != "kind")
    report.paragraph(
        f"{len(problem.data.names)} features (set version {problem.data.description['feature_set_version']}) → mean "
        f"and scale → {config.network['kind']} ({options or 'default sizes'}) → linear heads. Precision {precision}; "
        f"{1 - figures['density']:.1%} of all weights but biases and the last layer are zero.")
    _layers(report, job, result)
    _data(report, config, problem)
    report.heading("Results on the test part")
    report.paragraph("Scores with 95 % intervals of the moving-block bootstrap; `student` is "
                     + ("this file." if figures["is_exported"] else "what would be the file."))
    if problem.label == TWO_SIDED:
        report.paragraph(
            "`known half` is the class of the present mid against the mean of the last ones, with a threshold of "
            "validation: half of a two-sided label is known at its tick, and persistence does not use it. A macro F1 "
            "that is not above it shows no foresight.")
    report.table(table(rows))
    _other_heads(report, problem, figures["other_heads"])
    if risks:
        _risk(report, problem, risks, figures["risk_factors"])
    if judged:
        _trading(report, config, judged)
    _engine(report, figures)
    report.heading("Limits")
    report.paragraph(_limits(config, figures))
    report.heading("How to make it again")
    how = "`martlet-train run` with the configuration below"
    if figures["is_exported"]:
        how = (f"`martlet-train reproduce {config.name}` in the repository's root, where this card is "
               f"`models/{config.name}.md`")
    report.paragraph(
        f"{how}. The same configuration gives the same {'file' if figures['is_exported'] else 'scores'} on the same "
        "machine with the same package versions (`python/requirements.txt`). It is:")
    report.code(configuration.as_text(config))
    return report


def read_config(path: pathlib.Path) -> Config:
    """The configuration that a card holds."""
    text = configuration.read_text(path)
    if FENCE not in text:
        raise ConfigError(f"{path} holds no configuration: it was not written by `martlet-train run`")
    return configuration.parse(text.rsplit(FENCE, 1)[1].split("\n```", 1)[0], str(path))


def _layers(report, job, result):
    is_integer = result.ranges is not None
    rows = [["weight", "shape", "block", "zero blocks", "zero weights"]]
    densities = pruning.block_density(result.weights, job.network.prunable, is_integer)
    for name, layout in job.network.prunable.items():
        outputs, inputs = layout.block(is_integer)
        weight = result.weights[name]
        rows.append([f"`{name}`", " × ".join(map(str, weight.shape)), f"{outputs * layout.gates}×{inputs}",
                     f"{1 - densities[name]:.1%}", f"{1 - np.count_nonzero(weight) / weight.size:.1%}"])
    report.table(rows)


def _data(report, config, problem):
    report.heading("Data")
    data, split = problem.data, problem.split
    feeds = ", ".join(f"`{name}` (SHA-256 `{digest}`)" for name, digest in
                      zip(data.description["files"], data.description["sha256"]))
    again = " Ticks before a part, from which a state is made, count twice." if len(problem.tests) > 1 else ""
    report.paragraph(f"{len(data.mid):,} ticks of {data.instrument} from {feeds}.{again}")
    bounds = (split.train_from, split.validation_from, split.test_from, split.end)
    rows = [["part", "ticks", "from", "to"]]
    for name, first, end in zip(PARTS, bounds, bounds[1:]):
        times = data.ts_recv[first:end]
        rows.append([name, f"{first:,} to {end - 1:,}", when(times.min()), when(times.max())])
    report.table(rows)
    if len(problem.tests) > 1:
        rows = [["recording", "test part, judged ticks", "from", "to"]]
        for name, part in zip(data.description["files"], problem.tests):
            times = data.ts_recv[part][problem.test[part].any(axis=1)]
            rows.append([f"`{name}`", f"{len(times):,}", when(times[0]), when(times[-1])])
        report.paragraph("Each recording has parts of its own, in time; all are judged together, and apart by "
                         "`martlet score` below.")
        report.table(rows)
    embargo = max(split.embargo, int(problem.ahead.max()), problem.trend_ticks)
    report.paragraph(
        "The parts follow each other in time. Labels that reach into the next part are left out, and so are up to "
        f"{embargo} ticks at the start of a part and the {problem.warm_up} ticks after a reset. Weights, and the power "
        "by which class shares are divided out, were chosen on the validation part. This run took nothing from the "
        "test part.")
    report.paragraph(
        f"Labels: `{problem.label}`, {LABEL_TEXTS[problem.label]}, as a fraction; up above α, down below −α.")
    rows = [["horizon", "α", "down / flat / up in training", "in test"]]
    for column, (horizon, alpha) in enumerate(zip(problem.horizons, problem.alphas)):
        shares = [" / ".join(f"{share:.2f}" for share in np.bincount(
            problem.classes[part[:, column], column], minlength=3) / part[:, column].sum())
            for part in (problem.train, problem.test)]
        rows.append([str(horizon), f"{alpha:g}", *shares])
    report.table(rows)
    for column, horizon in enumerate(problem.horizons):
        if horizon.unit != "ticks":
            ahead = problem.ahead[problem.train[:, column], column]
            report.paragraph(
                f"{horizon} are {np.median(ahead):.0f} ticks in the median of training, {ahead.mean():.0f} in the "
                f"mean, {ahead.min()} to {ahead.max()}. Where none follows the price stands and the label is flat. "
                "Persistence is the last label whose time was over at the tick.")


def _other_heads(report, problem, values):
    if not values:
        return
    many = "as many ticks back"
    if any(horizon.unit != "ticks" for horizon in problem.horizons):
        many += " (of a time horizon, as many as it holds in the mean of training)"
    report.paragraph(
        "The other heads, beside guesses that need no network: ridge regression of the returns on the same features, "
        f"the volatility of {many}, the half of the trend that is known (the present price against the mean "
        "of the last ticks, with a threshold of validation), and the last trend known.")
    for head, horizons in values.items():
        keys = list(next(iter(horizons.values()))["student"])
        report.table([[head, "", *(key.replace("_", " ").replace("f1", "F1") for key in keys)], *(
            [horizon, name, *("–" if row[key] is None else f"{row[key]:.3f}" for key in keys)]
            for horizon, scores in horizons.items() for name, row in scores.items())])
    better = []
    for head, horizons in values.items():
        for horizon, scores in horizons.items():
            key, own = next(iter(scores["student"].items()))
            better += [f"{name} in {head} at {horizon} ({row[key]:.3f} against {own:.3f})"
                       for name, row in scores.items() if row[key] > own]
    report.paragraph(f"**Better than this file without a network: {', '.join(better)}.**" if better else
                     "By the first score of each table none of them is better than this file.")


def _risk(report, problem, risks, factors):
    report.heading("Value at risk and expected shortfall")
    report.paragraph(
        "Losses of a long position, at mid prices, over horizons of the test part that do not overlap; a violation is "
        "a loss strictly above the value at risk. Tests: Kupiec's of the number of violations, Christoffersen's of "
        "their independence and of both, which reject below 0.05; from how many of the ticks at which the first "
        "horizon may begin they would; Z2 of Acerbi and Szekely, below 0 where risk is understated. FZ0 and QLIKE are "
        "losses, the lower the better. `student` is this file; its risks hold one factor for each horizon "
        f"({', '.join(f'{factor:.3f}' for factor in factors)}), the larger of those by which 95 % of validation, and "
        "of training and validation together, are covered. This run took no factor from the test part, but **the "
        "larger of the two became the rule after a table of the test part of the repository's simulated feed had been "
        "seen**, where the second alone was rejected at one horizon: on that feed these tests are no proof. The rivals, "
        "the quantile of training and a moving volatility, are calibrated alike.")
    in_time = [str(horizon) for horizon in problem.horizons if horizon.unit != "ticks"]
    if in_time:
        report.paragraph(
            f"Of {', '.join(in_time)} the next horizon begins at the first tick after the time of the last is over. "
            "The factor is that of ticks, which come in bursts; of horizons in time more are in quiet stretches. A "
            "risk that is right for most ticks may be too high there.")
    rows = [["horizon", *risk.table([])[0]]]
    for horizon, found in risks.items():
        rows += [[horizon, *row] for row in risk.table([score for _, score in found])[1:]]
    report.table(rows)
    report.paragraph(_coverage({horizon: [score for _, score in found] for horizon, found in risks.items()}))


def _coverage(scores: dict) -> str:
    """What the tests say of the student's risks, the first score of each horizon, in words."""
    texts, lowest = [], 0
    for number in (0, 1):
        for horizon, (own, *rivals) in scores.items():
            tail = own.tails[number]
            found, place = tail.coverage, f"{100 * tail.level:.0f} % and {horizon}"
            lowest += tail.loss.value < min(rival.tails[number].loss.value for rival in rivals)
            tests = {"Kupiec": found.proportion, "independence": found.independence, "both": found.conditional}
            wrong = [name for name, test in tests.items() if test.p_value < risk.SIGNIFICANCE]
            expected = found.count * (1 - tail.level)
            what = (f"{found.violations} violations where {expected:.1f} are expected, risk is "
                    f"{'understated' if found.violations > expected else 'overstated'}")
            if wrong:
                texts.append(f"**At {place} the tests reject ({', '.join(wrong)})**: {what}.")
            elif max(tail.rejecting) > 0.5:
                texts.append(f"**At {place} no test rejects, but from {100 * max(tail.rejecting):.0f} % of the other "
                             f"beginnings one does**: {what}.")
    if not texts:
        texts.append("No test rejects at any horizon, at 95 or 99 %, nor from more than half of the other beginnings.")
    return " ".join([*texts, f"FZ0 is below that of both rivals in {lowest} of {2 * len(scores)} cases."])


def _trading(report, config, judged):
    report.heading("Trading")
    settings = config.trading
    report.paragraph(
        f"Positions traded over the test part, in basis points of one whole position: filled {settings.latency} "
        f"tick{'' if settings.latency == 1 else 's'} after the decision at the quotes of that tick, whatever the size, "
        f"with a fee of {settings.fee_bps:g} basis points of the value traded. The position was learned at these costs "
        f"by direct reinforcement ({settings.objective}) in the training part, beside the other heads. The sign of the "
        "prediction is the side of p(up) − p(down), taken at once, or where its size is beyond a threshold that was "
        f"chosen in validation. A Sharpe ratio of a day takes {settings.day_hours:g} hours of independent ticks; in "
        "and out of a whole position is a turnover of 2; the fee left is what more would leave nothing.")
    report.table(backtest.table(judged))
    report.paragraph(_outcome(judged))


def _outcome(judged) -> str:
    """What the student's position came to after costs, beside the others, in words."""
    own, *others = judged
    net, low, high = (1e4 * value for value in (own.net.value, own.net.low, own.net.high))
    if own.turnover == 0:
        return "The position never trades."
    # What is printed as 0.0.
    if abs(net) < 0.05:
        text = f"The position comes to nothing after costs, {_signed(own.gross)} basis points before them."
    elif net < 0:
        text = f"**The position loses {-net:.1f} basis points after costs**, {_signed(own.gross)} before them."
    else:
        text = f"The position earns {net:.1f} basis points after costs, {_signed(own.gross)} before them."
    text += (f" Its 95 % interval, [{low:.1f}, {high:.1f}], "
             + ("holds zero: it is not told apart from holding nothing." if low <= 0 <= high
                else "does not hold zero."))
    above = [f"{one.name} ({_signed(one.net.value)}, trades: {one.trades})" for one in others
             if one.net.value > own.net.value]
    text += f" On average it held {own.exposure:.3f} of a whole position"
    text += ": it stays out of the market." if own.exposure < EXPOSURE_MIN else "."
    return text + (f" Better on this part: {', '.join(above)}." if above else " Nothing in the table does better.")


def _signed(fraction):
    return f"{1e4 * fraction:+.1f}"


def _engine(report, figures):
    report.heading("In the engine")
    latency, check = figures.get("engine"), figures.get("score_check")
    if latency:
        report.paragraph(
            f"{latency['bytes']:,} bytes. A tick takes {latency['p50_ns']:,.0f} ns at the median, "
            f"{latency['p99_ns']:,.0f} ns at the 99th percentile and {latency['critical_path_p50_ns']:,.0f} ns until "
            f"the outputs are there, by `martlet model bench` on {latency['machine']['processor']}, which may have "
            f"been busy; {latency['macs_executed']:,} of {latency['macs']:,} multiply-adds are done.")
    if not figures["is_exported"]:
        report.paragraph(f"The engine was not asked. {_NO_FILE} What was judged was exported all the same, and "
                         + ("run through the integer reference." if figures["precision"] == "int8" else
                            "agrees with ONNX Runtime."))
        return
    if check is None:
        report.paragraph("`martlet score` was not asked: the features came without their feed.")
        return
    if check["left_out"]:
        other = "the integer reference" if check["is_exact"] else "the training code, which agrees with ONNX Runtime"
        report.paragraph(f"`martlet score` knows horizons in ticks only and does not evaluate "
                         f"{', '.join(check['left_out'])}: there the scores are those of {other}.")
    if not check["horizons"]:
        return
    how = "exactly, class by class, and with the integer reference" if check["is_exact"] else "to 1e-4"
    report.paragraph(f"`martlet score` over the feed gives these scores {how}:")
    several = len(check["horizons"]) > len({row["horizon"] for row in check["horizons"]})
    head = ["horizon", "ticks", "macro F1, Python", "macro F1, engine", "largest difference of three scores"]
    report.table([["recording"] * several + head, *(
        [row["recording"]] * several +
        [row["horizon"], f"{row['ticks']:,}", f"{row['python']['macro_f1']:.6f}", f"{row['engine']['macro_f1']:.6f}",
         f"{row['difference']:.1e}"] for row in check["horizons"])])


def _limits(config, figures):
    favoured = ("smoothed mid price overlap from tick to tick, which favours persistence" if figures["is_exported"] else
                "price smoothed on both sides look back as far as ahead, so that half of each is known at its tick")
    seen = f"{len(config.data.recordings)} recordings" if config.data.recordings else "one feed of one instrument"
    parts = [f"It has seen {seen}, and nothing says that it carries over to another. Labels on a "
             f"{favoured}. No cost of trading is in the "
             "scores of directions."]
    if config.trading:
        parts.append("The market does not answer to the position, whatever its size.")
    if config.is_tilted:
        powers = ", ".join(f"{power:g}" for power in figures["tilt"])
        parts.append("The probabilities are not calibrated: shares of the classes are divided out to the powers "
                     f"{powers} (one for each horizon), for macro F1; `student, not tilted` is what they were.")
    if figures["beaten_by"]:
        parts.append(f"On the test part it is below {', '.join(figures['beaten_by'])}.")
    return " ".join(parts)


def when(nanoseconds) -> str:
    """A time in ns since the Unix epoch, to the second."""
    moment = datetime.datetime.fromtimestamp(int(nanoseconds) // 10**9, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
