"""BTCUSDT futures and spot, book ticker and trades: what pruning costs, at 20 and 100 ticks.

    python python/studies/btcusdt.py usdm_btcusdt_20240808.gz spot_btcusdt_20240808.gz spot_btcusdt_20240809.gz \
        --work DIR --model models/btcusdt.onnx --also cm_btcusd_perp_20240808.gz cm_btcusd_perp_20240809.gz

Each recording has parts of its own, in time; one network learns from all. Prints Markdown tables; among the last ones
those that compare the training code's scores with those of `martlet score` over the feeds. What is finished is not
done again, so the command can be stopped and repeated.
"""

from __future__ import annotations

import argparse
import json
import pathlib

import chain
import frontier
import onnx
import peers
import recorded
from study import LOGISTIC, Study

from martlet import labels
from martlet.training import data, engine, evaluation, export, networks
from martlet.training.bootstrap import Resamples
from martlet.training.metrics import macro_f1
from martlet.training.report import markdown_table

HORIZONS, ALPHAS = (20, 100), (1e-6, 5e-6)
SEEDS = (1, 2, 3)
STUDENT = networks.make("lstm", units=(64,), dense=(128,), input_dropout=0.05, dropout=0.1)
COURSE = chain.Course(dense=5, pruned=8, fixed_from=0.6, learning_rate=5e-3)
DENSITIES = (0.1, 0.05)
SHIPPED = "LSTM fp32 10%"
#: Both are shipped; the first is judged on other recordings.
COMPARED = (SHIPPED, "LSTM int8 10%")


def make_parser() -> argparse.ArgumentParser:
    parser = recorded.make_parser(__doc__, is_of_several=True)
    parser.add_argument("--model", type=pathlib.Path, metavar="FILE.onnx",
                        help="writes the first seed's student of 10 %% in floats there, and beside it, as "
                             "FILE-8bit.onnx, that of bytes")
    parser.add_argument("--also", type=pathlib.Path, nargs="+", default=[], metavar="FEED",
                        help="recordings of any kind on which that student is judged as it is")
    return parser


def main(options: argparse.Namespace) -> None:
    recordings, feeds = recorded.load_all(options.sources, options.work)
    problem = data.prepare_all(recordings, HORIZONS, alphas=list(ALPHAS))
    study = Study(options.work, problem, list(range(len(HORIZONS))))
    trees = study.add_baselines(study.plain, SEEDS)
    teacher = networks.make("lstm", units=(48,), dense=(64,), input_dropout=0.2, dropout=0.3)
    taught = chain.teach(study, teacher, SEEDS[:2], [trees])
    chain.students(study, "LSTM", STUDENT, taught, SEEDS, COURSE, DENSITIES, (0.1,))
    peers.add_tabl(study, SEEDS)
    variants = [variant.name for variant in COURSE.variants(DENSITIES, (0.1,))]
    for column, horizon in enumerate(study.problem.horizons):
        print(f"{horizon}\n\n{chain.scores(study, column)}\n")
        print(chain.losses(study, [(f"LSTM {variant}", "LSTM fp32 dense") for variant in variants], column), "\n")
        others = ["teacher", "persistence", "logistic", LOGISTIC, "trees", peers.NAME]
        print(chain.losses(study, [(name, other) for name in COMPARED for other in others], column), "\n")
        print(study.table([*others, "LSTM fp32 dense", *COMPARED], column), "\n")
        print(study.by_recording([*others, *COMPARED], column), "\n")
    for name in COMPARED if feeds else ():
        print(study.reproduced(name, study.rows[name]["file"], feeds), "\n")
    if options.also:
        print(elsewhere(problem, study.rows[SHIPPED]["file"], options.also, options.work), "\n")
    if options.model:
        for name, path in zip(COMPARED, (options.model, options.model.with_stem(f"{options.model.stem}-8bit"))):
            ship(study.rows[name]["file"], path)
    if options.plot:
        frontier.plot(study, len(HORIZONS) - 1, options.plot, f"BTCUSDT, {HORIZONS[-1]} ticks")
        study.draw(SHIPPED, len(HORIZONS) - 1, options.plot)


def elsewhere(problem: data.Problem, file: pathlib.Path, sources: list[pathlib.Path], work: pathlib.Path) -> str:
    """A table of what the model is worth over each of other recordings as a whole, beside persistence, with intervals,
    and of what `martlet score` says, which has to be the same."""
    rows = [["recording", "horizon", "ticks", "macro F1", "of persistence", "ratio", "macro F1, engine"]]
    for source in sources:
        name = source.name.split(".")[0]
        one, feeds = recorded.load(source, work / "also" / name)
        probabilities = export.run(onnx.load(file), one.features, one.reset)["probabilities"]
        for column, found in enumerate(engine.score(feeds[0], file, 0.0)["horizons"]):
            horizon = problem.horizons[column]
            ahead = horizon.ahead(one)
            classes = labels.classify(*labels.smoothed_mid(one.mid, one.reset, ahead), problem.alphas[column])
            known = labels.persistence(classes, horizon.length)
            is_judged = (classes != labels.NONE) & (known != labels.NONE) & (
                labels.ticks_since_reset(one.reset) >= problem.warm_up)
            expected, rival = classes[is_judged], known[is_judged]
            guess = labels.most_probable(probabilities[is_judged, column])
            draws = Resamples(len(expected), horizon.length)
            score = draws.interval(macro_f1, expected, guess)
            if len(expected) != found["evaluated"] or abs(score.value - found["macro_f1"]) > evaluation.SCORE_TOLERANCE:
                raise evaluation.MismatchError(f"{name}, {horizon}: martlet score gives a macro F1 of "
                                               f"{found['macro_f1']:.6f}, the training code {score.value:.6f}")
            rows.append([name, horizon, f"{len(expected):,}", score, draws.interval(macro_f1, expected, rival),
                         draws.ratio(macro_f1, expected, guess, rival), f"{found['macro_f1']:.6f}"])
    return markdown_table(rows)


def ship(file: pathlib.Path, path: pathlib.Path) -> None:
    """Writes the file under a name of its own."""
    model = onnx.load(file)
    name = next(entry for entry in model.metadata_props if entry.key == "martlet.name")
    name.value = json.dumps(path.stem)
    export.save(model, path)


if __name__ == "__main__":
    recorded.start(main, make_parser())
