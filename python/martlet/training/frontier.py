"""The frontier of compression: macro F1 against time in the engine, size and density, dense teacher to pruned int8."""

from __future__ import annotations

import csv
import dataclasses
import math
import pathlib
from dataclasses import dataclass

import numpy as np

from ..labels import most_probable
from . import engine, evaluation, export, plots, run, stages
from .bootstrap import Interval, Resamples
from .config import SEED_MAX, Config
from .data import DataError, Problem
from .metrics import macro_f1
from .progress import stage
from .pruning import Pruning
from .quantization import Quantization
from .report import markdown_table

#: Columns of the CSV, in its order.
COLUMNS = ("name", "precision", "density", "bytes", "p50_ns", "critical_path_p50_ns", "macro_f1", "low", "high",
           "ratio", "ratio_low", "ratio_high", "engine_macro_f1", "seeds")


@dataclass(frozen=True)
class Variant:
    name: str
    pruned: object = None
    quantized: object = None


def variants(config: Config, densities: tuple[float, ...]) -> list[Variant]:
    """The student dense and at each density, in floats and, where it can be quantised, in bytes."""
    network = stages.network_of(config.network, config.heads.is_direct, len(config.data.horizons))
    pruning = config.pruning or Pruning()
    result = []
    for quantized in [None] + ([config.quantization or Quantization()] if network.is_quantizable else []):
        precision = "fp32" if quantized is None else "int8"
        result.append(Variant(f"dense {precision}", None, quantized))
        result += [Variant(f"{100 * density:g}% {precision}", dataclasses.replace(pruning, density=density), quantized)
                   for density in densities]
    return result


def folder_name(variant: Variant, seed: int) -> str:
    """Of what a variant's training leaves; its file is named so too."""
    return f"{variant.name.replace(' ', '-').replace('%', '')}-{seed}"


def compress(config: Config, folder: pathlib.Path, densities: tuple[float, ...], seeds: tuple[int, ...],
             column: int = 0) -> str:
    """Trains what is missing of the frontier in the run's folder, and measures it; the table as Markdown.

    Writes compress/frontier.md, .csv and .png. Scores are those of the horizon `column`, with the bootstrap over time,
    averaged over seeds; times, sizes and what `martlet score` says are those of the first seed's file.
    """
    if not all(0 < density < 1 for density in densities) or not 0 <= column < len(config.data.horizons):
        raise DataError(f"densities lie between 0 and 1, and --horizon is 0 to {len(config.data.horizons) - 1}")
    if not all(0 <= seed <= SEED_MAX for seed in seeds):
        raise DataError(f"seeds are 0 to {SEED_MAX}, not {', '.join(map(str, seeds))}")
    if len(set(seeds)) < len(seeds) or len(set(densities)) < len(densities):
        raise DataError("each density and each seed is named once")
    run.require_file(config, "compress")
    plots.figure()
    engine.program()
    run.open_folder(config, folder, is_resumed=True)
    feeds = stages.feeds_of(config, folder)
    problem = stages.problem_of(config, stages.load_data(config, folder, feeds))
    predictions: dict[str, np.ndarray] = {}
    taught = run.train_teachers(config, problem, folder, predictions)
    chosen = problem.test[:, column]
    expected = problem.classes[chosen, column]
    draws = Resamples(int(chosen.sum()), max(int(problem.ahead[chosen, column].max()), 1))
    out = folder / "compress"
    out.mkdir(exist_ok=True)
    rows, reference = [], None
    if taught:
        reference = most_probable(predictions["teacher"][chosen, column])
        rows.append(_teacher_row(config, problem, folder, out) | _scores(draws, expected, reference, reference))
    for variant in variants(config, densities):
        guesses, row = [], {}
        for seed in seeds:
            stage(f"{variant.name}, seed {seed}")
            probabilities, file = _student(config, problem, variant, seed, folder, out, taught)
            guesses.append(most_probable(probabilities[chosen, column]))
            # Of each seed's file, not only of the one that stands in the table.
            scored = _engine_score(config, problem, feeds, file, probabilities, variant, column)
            if seed == seeds[0]:
                row = _measured(variant.name, file) | scored
        guesses = np.array(guesses)
        if reference is None:
            # Without a teacher all stand beside the first, the dense student.
            reference = guesses
        rows.append(row | _scores(draws, expected, guesses, reference) | {"seeds": len(seeds)})
    return _written(rows, out, f"{config.name}, {problem.horizons[column]}", "the teacher" if taught else "dense fp32")


def _student(config, problem, variant, seed, folder, out, taught):
    """Probabilities of a variant's file, and the file: of floats the training code's, which ONNX Runtime has to give
    too, of bytes the integer reference's. The run's own dense student is taken where it is there."""
    job = stages.student_job(config, problem, is_taught=bool(taught), pruned=variant.pruned,
                             quantized=variant.quantized, seed=seed)
    place = out / folder_name(variant, seed)
    is_dense = variant.pruned is None and variant.quantized is None
    if is_dense and seed == config.seed and (folder / "dense" / "trained.npz").exists():
        place = folder / "dense"
    result = stages.trained(job, problem, place, taught)
    found = stages.outputs(job, problem, result)
    if config.is_tilted:
        result, _ = stages.tilt(problem, result, found["probabilities"])
        found = stages.outputs(job, problem, result)
    path = out / f"{place.name}.onnx"
    model = run.export_student(config, problem, job, result, path)
    if variant.quantized is None:
        evaluation.check_file(model, problem, found)
    else:
        found = evaluation.exact_outputs(model, problem, found)
    return found["probabilities"], path


def _engine_score(config, problem, feeds, file, probabilities, variant, column) -> dict:
    """The macro F1 of `martlet score`, which has to be that of the probabilities; nothing without feeds, or of a
    horizon that it does not evaluate."""
    if not feeds:
        return {}
    check = evaluation.check_score(
        file, feeds, problem, probabilities, variant.quantized is not None, config.data.sizes)
    found = [row["engine"]["macro_f1"] for row in check["horizons"] if row["horizon"] == str(problem.horizons[column])]
    return {"engine_macro_f1": found[0]} if found else {}


def _teacher_row(config, problem: Problem, folder, out) -> dict:
    """Times of the ensemble are the sum of its members', of those that the engine runs."""
    total: dict = {"name": "teacher fp32", "precision": "fp32", "density": 1.0, "bytes": 0, "p50_ns": 0.0,
                   "critical_path_p50_ns": 0.0}
    for peer in config.teachers:
        job = stages.peer_job(config, peer, problem)
        result = stages.trained(job, problem, folder / "teachers" / peer.name)
        names = problem.data.names if job.columns is None else [problem.data.names[column] for column in job.columns]
        columns = slice(None) if job.columns is None else job.columns
        mean, scale = problem.mean[columns], problem.scale[columns]
        values = stages.metadata(config.name, problem, {}) | {"feature_names": names}
        path = out / f"teacher-{peer.name}.onnx"
        export.save(export.to_onnx(job.network, job.heads, result.weights, mean, scale, values), path)
        row = _measured(peer.name, path)
        for key in ("bytes", "p50_ns", "critical_path_p50_ns"):
            total[key] += row[key]
    return total


def _measured(name, path) -> dict:
    row = engine.frontier_row(path)
    return {"name": name, **{key: row[key] for key in (
        "precision", "density", "bytes", "p50_ns", "critical_path_p50_ns")}}


def _scores(draws: Resamples, expected, guesses, reference) -> dict:
    score = draws.interval(macro_f1, expected, guesses)
    ratio = draws.ratio(macro_f1, expected, guesses, reference)
    return {"macro_f1": score.value, "low": score.low, "high": score.high, "ratio": ratio.value, "ratio_low": ratio.low,
            "ratio_high": ratio.high}


def _written(rows, out, title, reference) -> str:
    with open(out / "frontier.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    head = ["", "precision", "density", "bytes", "p50, ns", "to the outputs, ns", "macro F1", f"ratio to {reference}",
            "macro F1, engine"]
    body = [[row["name"], row["precision"], f"{row['density']:.3f}", f"{row['bytes']:,}", f"{row['p50_ns']:,.0f}",
             f"{row['critical_path_p50_ns']:,.0f}", f"{row['macro_f1']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
             f"{row['ratio']:.3f} [{row['ratio_low']:.3f}, {row['ratio_high']:.3f}]",
             f"{row['engine_macro_f1']:.3f}" if "engine_macro_f1" in row else "–"] for row in rows]
    text = markdown_table([head, *body])
    (out / "frontier.md").write_text(
        f"# Frontier of {title}\n\nMacro F1 on the test part and its ratio, paired, with 95 % intervals of the "
        f"moving-block bootstrap.\n\n{text}\n\n![frontier](frontier.png)\n")
    plots.frontier_plot(out / "frontier.png", [row["name"] for row in rows], [row["p50_ns"] for row in rows],
                        [Interval(row["macro_f1"], row["low"], row["high"], math.nan) for row in rows], title)
    return text
