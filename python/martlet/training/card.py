"""The card of a model: what it is, what it was made of, how good it is beside what needs no network, and how to make it
again. Its last block is the whole configuration, which `martlet-train reproduce` runs."""

from __future__ import annotations

import datetime
import pathlib

import numpy as np

from . import config as configuration
from . import pruning
from .comparison import Row, table
from .config import Config, ConfigError
from .data import PARTS, Problem
from .report import Report

FENCE = "```yaml\n"


def write(config: Config, problem: Problem, job, result, rows: list[Row], figures: dict) -> Report:
    """`figures` is what metrics.json holds."""
    report = Report(f"Model {config.name}")
    horizons = ", ".join(str(horizon) for horizon in problem.horizons)
    precision = "int8" if result.ranges is not None else "fp32"
    report.paragraph(
        f"Says after each tick whether the mid price will be lower, about equal or higher over the next {horizons}. "
        f"Outputs: {', '.join(f'`{name}`' for name in job.heads.names)}. Written by `martlet-train`; do not edit.")
    report.heading("Shape")
    options = ", ".join(f"{name} {value}" for name, value in config.network.items() if name != "kind")
    report.paragraph(
        f"{len(problem.data.names)} features (set version {problem.data.description['feature_set_version']}) → mean "
        f"and scale → {config.network['kind']} ({options or 'default sizes'}) → linear heads. Precision {precision}; "
        f"{1 - figures['density']:.1%} of all weights but biases and the last layer are zero.")
    _layers(report, job, result)
    _data(report, config, problem)
    report.heading("Results on the test part")
    report.paragraph("Scores with 95 % intervals of the moving-block bootstrap; `student` is this file.")
    report.table(table(rows))
    _other_heads(report, figures["other_heads"])
    _engine(report, figures)
    report.heading("Limits")
    report.paragraph(_limits(config, figures))
    report.heading("How to make it again")
    report.paragraph(
        f"`martlet-train reproduce {config.name}` in the repository's root, where this card is "
        f"`models/{config.name}.md`. The same configuration gives the same file on the same "
        "machine with the same package versions (`python/requirements.txt`). It is:")
    report.code(configuration.as_text(config))
    return report


def read_config(path: pathlib.Path) -> Config:
    """The configuration that a card holds."""
    try:
        text = path.read_text()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
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
    report.paragraph(f"{len(data.mid):,} ticks of {data.instrument} from {feeds}.")
    bounds = (split.train_from, split.validation_from, split.test_from, split.end)
    rows = [["part", "ticks", "from", "to"]]
    for name, first, end in zip(PARTS, bounds, bounds[1:]):
        rows.append([name, f"{first:,} to {end - 1:,}", _when(data.ts_recv[first]), _when(data.ts_recv[end - 1])])
    report.table(rows)
    embargo = max(split.embargo, int(problem.ahead.max()))
    report.paragraph(
        "The parts follow each other in time. Labels that reach into the next part are left out, and so are up to "
        f"{embargo} ticks at the start of a part and the {problem.warm_up} ticks after a reset. Weights, and the power "
        "by which class shares are divided out, were chosen on the validation part; the test part decided nothing.")
    report.paragraph("Labels: `smoothed-mid`, the mean of the mid prices of the horizon against the present one, as a "
                     "fraction; up above α, down below −α.")
    rows = [["horizon", "α", "down / flat / up in training", "in test"]]
    for column, (horizon, alpha) in enumerate(zip(problem.horizons, problem.alphas)):
        shares = [" / ".join(f"{share:.2f}" for share in np.bincount(
            problem.classes[part[:, column], column], minlength=3) / part[:, column].sum())
            for part in (problem.train, problem.test)]
        rows.append([str(horizon), f"{alpha:g}", *shares])
    report.table(rows)


def _other_heads(report, values):
    for name in ("expected_return", "volatility"):
        if name in values:
            keys = list(next(iter(values[name].values())))
            report.table([[name, *(key.replace("_", " ") for key in keys)], *(
                [horizon, *(f"{row[key]:.3f}" for key in keys)] for horizon, row in values[name].items())])
    if "value_at_risk" in values:
        report.paragraph("Value at risk on horizons that do not overlap; a p-value below 0.05 speaks against it.")
        rows = [["value at risk", "level", "horizons", "violations", "expected", "Kupiec p", "Christoffersen p"]]
        for horizon, levels in values["value_at_risk"].items():
            rows += [[horizon, f"{row['level']:.0%}", *(_number(row.get(key)) for key in (
                "horizons", "violations", "expected", "kupiec_p", "christoffersen_p"))] for row in levels]
        report.table(rows)
    if "trend" in values:
        report.table([["trend", "macro F1", "accuracy"], *(
            [name, f"{row['macro_f1']:.3f}", f"{row['accuracy']:.3f}"] for name, row in values["trend"].items())])


def _engine(report, figures):
    report.heading("In the engine")
    latency, check = figures.get("engine"), figures.get("score_check")
    if latency:
        report.paragraph(
            f"{latency['bytes']:,} bytes. A tick takes {latency['p50_ns']:,.0f} ns at the median, "
            f"{latency['p99_ns']:,.0f} ns at the 99th percentile and {latency['critical_path_p50_ns']:,.0f} ns until "
            f"the outputs are there, by `martlet model bench` on {latency['machine']['processor']}, which may have "
            f"been busy; {latency['macs_executed']:,} of {latency['macs']:,} multiply-adds are done.")
    if check is None:
        report.paragraph("`martlet score` was not asked: the features came without their feed.")
        return
    how = "exactly, class by class, and with the integer reference" if check["is_exact"] else "to 1e-4"
    report.paragraph(f"`martlet score` over the feed gives these scores {how}:")
    report.table([["horizon", "ticks", "macro F1, Python", "macro F1, engine", "largest difference of three scores"], *(
        [row["horizon"], f"{row['ticks']:,}", f"{row['python']['macro_f1']:.6f}", f"{row['engine']['macro_f1']:.6f}",
         f"{row['difference']:.1e}"] for row in check["horizons"])])


def _limits(config, figures):
    parts = ["It has seen one feed of one instrument, and nothing says that it carries over to another. Labels on a "
             "smoothed mid price overlap from tick to tick, which favours persistence. No cost of trading is in any of "
             "these figures."]
    if config.is_tilted:
        powers = ", ".join(f"{power:g}" for power in figures["tilt"])
        parts.append("The probabilities are not calibrated: shares of the classes are divided out to the powers "
                     f"{powers} (one for each horizon), for macro F1; `student, not tilted` is what they were.")
    if figures["beaten_by"]:
        parts.append(f"On the test part it is below {', '.join(figures['beaten_by'])}.")
    return " ".join(parts)


def _when(nanoseconds) -> str:
    moment = datetime.datetime.fromtimestamp(int(nanoseconds) // 10**9, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _number(value):
    return "–" if value is None else f"{value:g}" if isinstance(value, int) else f"{value:.3g}"
