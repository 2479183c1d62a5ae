"""GOOG's day of ten levels: the chain from an ensemble to a pruned int8 student, beside all baselines.

    python python/studies/goog.py LOBSTER_SampleFile_GOOG_2012-06-21_10.zip --work DIR --plot docs/frontier_goog.png

Prints Markdown tables; the last one compares the training code's scores with those of `martlet score` over the feed.
What is finished is not done again, so the command can be stopped and repeated.
"""

from __future__ import annotations

import argparse
import dataclasses

import chain
import frontier
import numpy as np
import peers
import recorded
from study import LOGISTIC, Study

from martlet.training import data, loop, networks

HORIZONS, ALPHA, COLUMN = (10, 20, 50, 100), 2e-5, 2
SEEDS = (1, 2, 3)
#: Networks, courses, and densities in floats and in bytes. The wide one is for few blocks: at 10 % it has as many
#: weights as the small one at a third. Convolutions take four times as many steps as the lanes of the others make.
SMALL, WIDE = chain.Course(), chain.Course(dense=6, pruned=10, fixed_from=0.6, learning_rate=5e-3)
STEPPING = chain.Course(lanes=24)
DENSITIES = (0.5, 0.25, 0.1, 0.05)
DROPOUT = {"input_dropout": 0.05, "dropout": 0.1}
STUDENTS = {
    "LSTM": (networks.make("lstm", units=(32,), dense=(64,), **DROPOUT), SMALL, DENSITIES, (0.5, 0.25, 0.1)),
    "MLP": (networks.make("mlp", dense=(64, 32), **DROPOUT), SMALL, DENSITIES, (0.5, 0.25, 0.1)),
    "TCN": (networks.make("tcn", channels=32, layers=5, **DROPOUT), STEPPING, (0.5,), (0.5, 0.25)),
    "wide": (networks.make("lstm", units=(64,), dense=(128,), **DROPOUT), WIDE, (0.1,), (0.25, 0.1))}
#: Convolutions that teach beside two LSTMs.
TEACHING = dataclasses.replace(chain.TEACHER, epochs=8, learning_rate=4e-3, average_decay=0.99, lanes=STEPPING.lanes)
FURTHER = tuple(
    chain.Member(f"teacher member TCN {seed}", networks.make("tcn", channels=48, layers=5, **DROPOUT),
                 dataclasses.replace(TEACHING, seed=seed)) for seed in SEEDS[:2])
#: A large network over windows. It does not teach: validation is no better with it.
MIXER = chain.Member(
    "mixer",
    networks.make("mixer", channels=64, layers=3, window=48, input_dropout=0.05, dropout=0.1),
    loop.Settings(epochs=4, learning_rate=2e-3, weight_decay=3e-2, windows=16_000, validation_every=8,
                  average_decay=0.98))
#: Judged against the teacher and the baselines. The best of them on validation stands for all.
COMPRESSED = ["LSTM int8 50%", "MLP int8 50%", "TCN int8 50%", "wide int8 25%", "wide int8 10%"]


def make_parser() -> argparse.ArgumentParser:
    parser = recorded.make_parser(__doc__)
    parser.add_argument("--without-peers", action="store_true", help="leaves BiN-C(TABL) and DeepLOB out")
    return parser


def main(options: argparse.Namespace) -> None:
    loaded, feeds = recorded.load(options.source, options.work)
    study = Study(options.work, data.prepare(loaded, HORIZONS, alphas=[ALPHA] * len(HORIZONS)), [COLUMN])
    judged = data.prepare(loaded, [HORIZONS[COLUMN]], alphas=[ALPHA])
    trees = study.add_baselines(judged, SEEDS)
    teacher = networks.make("lstm", units=(48,), dense=(64,), input_dropout=0.2, dropout=0.3)
    taught = chain.teach(study, teacher, SEEDS[:2], [unseen(trees, study.plain.train)], FURTHER)
    chain.beside(study, MIXER, taught)
    for kind, (network, course, densities, integer_densities) in STUDENTS.items():
        chain.students(study, kind, network, taught, SEEDS, course, densities, integer_densities)
    if not options.without_peers:
        peers.add_tabl(study, SEEDS)
        peers.add_deeplob(study, SEEDS)
    print(chain.scores(study, COLUMN), "\n")
    dense = [(f"{kind} {variant.name}", f"{kind} fp32 dense") for kind, (_, course, *densities) in STUDENTS.items()
             for variant in course.variants(*densities)]
    print(chain.losses(study, dense, COLUMN), "\n")
    others = ["teacher", "mixer", "persistence", "logistic", LOGISTIC, "trees"]
    others += [] if options.without_peers else [peers.NAME]
    print(chain.losses(study, [(name, other) for name in COMPRESSED for other in others], COLUMN), "\n")
    print(study.table([*others, f"{next(iter(STUDENTS))} fp32 dense", *COMPRESSED], COLUMN), "\n")
    chosen = max(COMPRESSED, key=lambda name: study.rows[name][f"validation_{COLUMN}"][0])
    print(f"By validation: {chosen}\n")
    if not options.without_peers:
        print(peers.table(study, [peers.BOOK_NAME, *COMPRESSED], COLUMN), "\n")
    if options.plot:
        frontier.plot(study, COLUMN, options.plot, "GOOG, 50 ticks")
        study.draw(chosen, COLUMN, options.plot)
    if feeds:
        print(study.reproduced(chosen, study.rows[chosen]["file"], feeds))


def unseen(trees: np.ndarray, train: np.ndarray) -> np.ndarray:
    """The trees' probabilities [N, H, 3], NaN where they were trained [N, H] and speak by heart: a student that learns
    them there learns the labels once more. So trees count where the teacher is judged, and do not teach."""
    return np.where(train[:, :, None], np.nan, trees)


if __name__ == "__main__":
    recorded.start(main, make_parser())
