"""The frontier of compression: macro F1 against time in the engine, size and density, dense teacher to pruned int8.

Students are dense, with blocks pruned, or with neurons removed and then blocks pruned; in floats, in bytes that they
were trained in, or in bytes that were measured after training.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import pathlib
from dataclasses import dataclass

import numpy as np

from ..labels import most_probable
from . import comparison, engine, evaluation, export, loop, plots, pruning, run, stages
from .bootstrap import Interval, Resamples
from .config import SEED_MAX, Config
from .data import DataError, Problem
from .metrics import macro_f1
from .progress import stage
from .pruning import Pruning
from .quantization import Quantization
from .report import markdown_table

#: Columns of the CSV, in its order.
COLUMNS = ("name", "precision", "density", "block_density", "bytes", "p50_ns", "critical_path_p50_ns", "macro_f1",
           "low", "high", "ratio", "ratio_low", "ratio_high", "engine_macro_f1", "seeds")
#: How a student comes to its numbers: int8 is trained in them, the last is a float student quantised as it is.
FLOAT, INTEGER, POST_TRAINING = "fp32", "int8", "int8, post-training"
#: Share of neurons that is kept where none is named.
NEURONS = 0.5


@dataclass(frozen=True)
class Variant:
    """A student by the shares of neurons and of blocks that it keeps."""

    neurons: float = 1.0
    density: float = 1.0
    precision: str = FLOAT

    @property
    def name(self) -> str:
        parts = [f"neurons {100 * self.neurons:g}%"] if self.neurons < 1 else []
        parts += [f"{100 * self.density:g}%"] if self.density < 1 else []
        return f"{', '.join(parts) or 'dense'} {self.precision}"


def variants(config: Config, densities: tuple[float, ...], shares: tuple[float, ...] = ()) -> list[Variant]:
    """The student dense and at each density, in floats and, where it can be quantised, in bytes, trained so and not;
    with each share of its neurons dense in floats, and at each density in bytes where there are some."""
    is_quantizable = _network(config).is_quantizable
    precisions = [FLOAT, INTEGER, POST_TRAINING] if is_quantizable else [FLOAT]
    result = [Variant(density=density, precision=precision) for precision in precisions
              for density in (1.0, *densities)]
    for share in shares:
        result.append(Variant(share))
        result += [Variant(share, density, INTEGER if is_quantizable else FLOAT) for density in densities]
    return result


def neuron_shares(config: Config, named: tuple[float, ...] | None) -> tuple[float, ...]:
    """The shares of neurons to keep: those named, refused where one removes nothing; without any, NEURONS where that
    removes some."""
    network = _network(config)
    sizes = {layer: size for layer, (size, _) in network.neurons.items()}
    for share in named or ():
        if not 0 < share < 1:
            raise DataError(f"shares of neurons lie between 0 and 1, not {share:g}")
        if not sizes:
            raise DataError(f"--neurons: a network of kind {config.network['kind']} has no neurons that can be removed")
        if pruning.kept_neurons(network, share) == sizes:
            layers = ", ".join(f"{layer} of {size}" for layer, size in sizes.items())
            raise DataError(f"--neurons: in whole blocks {share:g} of the neurons are all of them ({layers})")
    if named is None:
        return (NEURONS,) if pruning.kept_neurons(network, NEURONS) != sizes else ()
    return named


def _network(config):
    return stages.network_of(config.network, config.heads.is_direct, len(config.data.horizons))


def folder_name(variant: Variant, seed: int) -> str:
    """Of what a variant's training leaves; its file is named so too."""
    return f"{variant.name.replace(' ', '-').replace('%', '').replace(',', '')}-{seed}"


def compress(config: Config, folder: pathlib.Path, densities: tuple[float, ...], seeds: tuple[int, ...],
             column: int = 0, neurons: tuple[float, ...] | None = None) -> str:
    """Trains what is missing of the frontier in the run's folder, and measures it; the table as Markdown.

    Writes compress/frontier.md, .csv and .png. `neurons` are the shares that are kept, as `neuron_shares` has them.
    Scores are those of the horizon `column`, with the bootstrap over time, averaged over seeds; times, sizes and what
    `martlet score` says are those of the first seed's file.
    """
    if not all(0 < density < 1 for density in densities) or not 0 <= column < len(config.data.horizons):
        raise DataError(f"densities lie between 0 and 1, and --horizon is 0 to {len(config.data.horizons) - 1}")
    if not all(0 <= seed <= SEED_MAX for seed in seeds):
        raise DataError(f"seeds are 0 to {SEED_MAX}, not {', '.join(map(str, seeds))}")
    students = variants(config, densities, neuron_shares(config, neurons))
    # By their names, which are those of their folders too.
    if len(set(seeds)) < len(seeds) or len({variant.name for variant in students}) < len(students):
        raise DataError("each density, each share of neurons and each seed is named once")
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
    draws = comparison.draws_of(problem, column)
    out = folder / "compress"
    out.mkdir(exist_ok=True)
    rows, reference = [], None
    if taught:
        reference = most_probable(predictions["teacher"][chosen, column])
        rows.append(_teacher_row(config, problem, folder, out) | _scores(draws, expected, reference, reference))
    for variant in students:
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
    too, of bytes the integer reference's."""
    job, result = _trained(config, problem, variant, seed, folder, out, taught)
    found = stages.outputs(job, problem, result)
    if config.is_tilted:
        result, _ = stages.tilt(problem, result, found["probabilities"])
        found = stages.outputs(job, problem, result)
    path = out / f"{folder_name(variant, seed)}.onnx"
    model = run.export_student(config, problem, job, result, path)
    if variant.precision == FLOAT:
        evaluation.check_file(model, problem, found)
    else:
        found = evaluation.exact_outputs(model, problem, found)
    return found["probabilities"], path


def _trained(config, problem, variant, seed, folder, out, taught):
    """A variant's job and its training; the run's own dense student is taken where it is there."""
    if variant.precision == POST_TRAINING:
        plain = dataclasses.replace(variant, precision=FLOAT)
        job, result = _trained(config, problem, plain, seed, folder, out, taught)
        ranges = loop.training_ranges(job.network, result.weights, stages.examples_of(job, problem, taught),
                                      config.quantization or Quantization())
        return job, dataclasses.replace(result, ranges=ranges)
    pruned = dataclasses.replace(config.pruning or Pruning(), density=variant.density) if variant.density < 1 else None
    quantized = config.quantization or Quantization() if variant.precision == INTEGER else None
    job = stages.student_job(
        config, problem, is_taught=bool(taught), pruned=pruned, quantized=quantized, seed=seed)
    place, first = out / folder_name(variant, seed), None
    if variant.neurons < 1:
        first = _without_neurons(config, problem, variant.neurons, seed, folder, out, taught)
        counts = pruning.kept_neurons(job.network, variant.neurons)
        job = dataclasses.replace(job, network=pruning.resized(job.network, counts))
    elif variant == Variant() and seed == config.seed and (folder / "dense" / "trained.npz").exists():
        place = folder / "dense"
    return job, stages.trained(job, problem, place, taught, first)


def _without_neurons(config, problem, share, seed, folder, out, taught):
    """The dense student's weights of the most important neurons, chosen once for all that is trained from there."""
    job, dense = _trained(config, problem, Variant(), seed, folder, out, taught)

    def removed():
        scores = loop.importance(
            job.network, job.heads, stages.examples_of(job, problem, taught), job.settings, dense.weights)
        counts = pruning.kept_neurons(job.network, share)
        _, weights = pruning.without_neurons(job.network, dense.weights, counts, scores)
        return loop.Trained(weights, None, [], -1)

    return stages.kept(out / f"neurons-{100 * share:g}-{seed}", removed).weights


def _engine_score(config, problem, feeds, file, probabilities, variant, column) -> dict:
    """The macro F1 of `martlet score`, which has to be that of the probabilities; nothing without feeds, of several
    recordings, which have one each, or of a horizon that it does not evaluate."""
    if not feeds:
        return {}
    check = evaluation.check_score(
        file, feeds, problem, probabilities, variant.precision != FLOAT, config.data.sizes)
    found = [row["engine"]["macro_f1"] for row in check["horizons"] if row["horizon"] == str(problem.horizons[column])]
    return {"engine_macro_f1": found[0]} if len(found) == 1 else {}


def _teacher_row(config, problem: Problem, folder, out) -> dict:
    """Times of the ensemble are the sum of its members', of those that the engine runs."""
    total: dict = {"name": f"teacher {FLOAT}", "precision": FLOAT, "density": 1.0, "block_density": 1.0, "bytes": 0,
                   "p50_ns": 0.0, "critical_path_p50_ns": 0.0}
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
        "precision", "density", "block_density", "bytes", "p50_ns", "critical_path_p50_ns")}}


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
    head = ["", "precision", "density", "blocks", "bytes", "p50, ns", "to the outputs, ns", "macro F1",
            f"ratio to {reference}", "macro F1, engine"]
    body = [[row["name"], row["precision"], f"{row['density']:.3f}", f"{row['block_density']:.3f}",
             f"{row['bytes']:,}", f"{row['p50_ns']:,.0f}", f"{row['critical_path_p50_ns']:,.0f}",
             f"{row['macro_f1']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
             f"{row['ratio']:.3f} [{row['ratio_low']:.3f}, {row['ratio_high']:.3f}]",
             f"{row['engine_macro_f1']:.3f}" if "engine_macro_f1" in row else "–"] for row in rows]
    text = markdown_table([head, *body])
    (out / "frontier.md").write_text(
        f"# Frontier of {title}\n\nMacro F1 on the test part and its ratio, paired, with 95 % intervals of the "
        "moving-block bootstrap. Density is the share of weights that are not zero, blocks that of the blocks of the "
        f"engine's kernels.\n\n{text}\n\n![frontier](frontier.png)\n")
    points = {kind: [(row["name"].removesuffix(f" {kind}"), row["p50_ns"],
                      Interval(row["macro_f1"], row["low"], row["high"], math.nan))
                     for row in rows if row["name"].endswith(f" {kind}")] for kind in (FLOAT, INTEGER, POST_TRAINING)}
    plots.frontier_plot(out / "frontier.png", points, title)
    return text
