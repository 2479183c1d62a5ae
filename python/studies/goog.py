"""GOOG's day of ten levels: the chain from an ensemble to a pruned int8 student, beside all baselines.

    python python/studies/goog.py LOBSTER_SampleFile_GOOG_2012-06-21_10.zip --work DIR --plot docs/frontier_goog.png

Prints Markdown tables; the last one compares the training code's scores with those of `martlet score` over the feed.
What is finished is not done again, so the command can be stopped and repeated.
"""

from __future__ import annotations

import argparse

import chain
import frontier
import peers
import recorded
from study import LOGISTIC, Study

from martlet.training import data, networks

HORIZONS, ALPHA, COLUMN = (10, 20, 50, 100), 2e-5, 2
SEEDS = (1, 2, 3)
#: Networks, courses, and densities in floats and in bytes. The wide one is for few blocks: at 10 % it has as many
#: weights as the small one at a third.
SMALL, WIDE = chain.Course(), chain.Course(dense=6, pruned=10, fixed_from=0.6, learning_rate=5e-3)
DENSITIES = (0.5, 0.25, 0.1, 0.05)
DROPOUT = {"input_dropout": 0.05, "dropout": 0.1}
STUDENTS = {
    "LSTM": (networks.make("lstm", units=(32,), dense=(64,), **DROPOUT), SMALL, DENSITIES, (0.5, 0.25, 0.1)),
    "MLP": (networks.make("mlp", dense=(64, 32), **DROPOUT), SMALL, DENSITIES, (0.5, 0.25, 0.1)),
    "wide": (networks.make("lstm", units=(64,), dense=(128,), **DROPOUT), WIDE, (0.1,), (0.1,))}
#: Judged against the teacher and the baselines.
COMPRESSED = ["LSTM int8 50%", "MLP int8 50%", "wide int8 10%"]


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
    taught = chain.teach(study, teacher, SEEDS, [trees])
    for kind, (network, course, densities, integer_densities) in STUDENTS.items():
        chain.students(study, kind, network, taught, SEEDS, course, densities, integer_densities)
    if not options.without_peers:
        peers.add(study, COLUMN)
    print(chain.scores(study, COLUMN), "\n")
    dense = [(f"{kind} {variant.name}", f"{kind} fp32 dense") for kind, (_, course, *densities) in STUDENTS.items()
             for variant in course.variants(*densities)]
    print(chain.losses(study, dense, COLUMN), "\n")
    others = ["teacher", "persistence", "logistic", LOGISTIC, "trees"]
    others += [] if options.without_peers else ["BiN-C(TABL)"]
    print(chain.losses(study, [(name, other) for name in COMPRESSED for other in others], COLUMN), "\n")
    print(study.table([*others, "LSTM fp32 dense", *COMPRESSED], COLUMN), "\n")
    if not options.without_peers:
        print(peers.table(study, COMPRESSED, COLUMN), "\n")
    if options.plot:
        frontier.plot(study, COLUMN, options.plot, "GOOG, 50 ticks")
    if feeds:
        print(study.reproduced(COMPRESSED[0], study.rows[COMPRESSED[0]]["file"], feeds))


if __name__ == "__main__":
    recorded.start(main, make_parser())
