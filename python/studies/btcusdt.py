"""BTCUSDT futures, book ticker and trades: what pruning costs, at 20 and 100 ticks.

    martlet features btcusdt.dbn.zst --out FEATURES
    python python/studies/btcusdt.py FEATURES --work DIR [--plot FILE.png]

Prints Markdown tables. What is finished is not done again, so the command can be stopped and repeated.
"""

from __future__ import annotations

import argparse
import json
import pathlib

import chain
import frontier
import numpy as np
import onnx
from study import Study

from martlet.training import baselines, data, export, networks

HORIZONS, ALPHAS = (20, 100), (1e-6, 5e-6)
SEEDS = (1, 2, 3)
STUDENT = networks.make("lstm", units=(64,), dense=(128,), input_dropout=0.05, dropout=0.1)
COURSE = chain.Course(dense=5, pruned=8, fixed_from=0.6, learning_rate=5e-3)
DENSITIES = (0.1, 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="keeps what is finished")
    parser.add_argument("--feed", type=pathlib.Path, help="the feed: compares the scores of `martlet score` over it")
    parser.add_argument("--model", type=pathlib.Path, help="writes the first seed's student of 10 % in floats there")
    parser.add_argument("--plot", type=pathlib.Path, help="the frontier at 100 ticks as a PNG")
    options = parser.parse_args()
    problem = data.prepare(data.Data.load(options.features), HORIZONS, alphas=list(ALPHAS))
    study = Study(options.work, problem, list(range(len(HORIZONS))))
    trees = add_baselines(study)
    teacher = networks.make("lstm", units=(48,), dense=(64,), input_dropout=0.2, dropout=0.3)
    taught = chain.teach(study, teacher, SEEDS[:2], [trees])
    chain.students(study, "LSTM", STUDENT, taught, SEEDS, COURSE, DENSITIES, (0.1,))
    variants = [variant.name for variant in COURSE.variants(DENSITIES, (0.1,))]
    for column, horizon in enumerate(study.problem.horizons):
        print(f"{horizon}\n\n{chain.scores(study, column)}\n")
        print(chain.losses(study, [(f"LSTM {variant}", "LSTM fp32 dense") for variant in variants], column), "\n")
        others = ("teacher", "persistence", "logistic", "trees")
        print(chain.losses(study, [("LSTM int8 10%", other) for other in others], column), "\n")
    if options.feed:
        for name in ("LSTM fp32 10%", "LSTM int8 10%"):
            print(study.reproduced(name, study.rows[name]["file"], options.feed), "\n")
    if options.model:
        ship(study.rows["LSTM fp32 10%"]["file"], options.model)
    if options.plot:
        frontier.plot(study, len(HORIZONS) - 1, options.plot, f"BTCUSDT, {HORIZONS[-1]} ticks")


def ship(file: pathlib.Path, path: pathlib.Path) -> None:
    """Writes the file under a name of its own."""
    model = onnx.load(file)
    name = next(entry for entry in model.metadata_props if entry.key == "martlet.name")
    name.value = json.dumps(path.stem)
    export.save(model, path)


def add_baselines(study: Study) -> np.ndarray:
    """Adds the baselines of the kit, and returns the trees' probabilities [N, H, 3]."""
    made = {
        "majority": lambda: baselines.majority(study.plain)[None],
        "persistence": lambda: baselines.persistence(study.plain)[None],
        "logistic": lambda: baselines.logistic(study.plain)[None],
        "trees": lambda: np.stack([baselines.trees(study.plain, seed) for seed in SEEDS])}
    found = {name: study.kept(f"baselines/{name}", make) for name, make in made.items()}
    for name, seeds in found.items():
        study.add(name, list(seeds), is_mirrored=False)
    return np.mean(found["trees"], axis=0)


if __name__ == "__main__":
    main()
