"""What the studies share: a problem with mirrored examples, stages that are kept on disk, tables with intervals.

Every training, prediction and measurement is a file in the study's folder and is made only if it is not there, so a
study that is stopped goes on where it was. A file is of the settings it was made with: choose another folder for
others.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
from collections.abc import Callable

import numpy as np
import onnx

from martlet.labels import most_probable
from martlet.training import baselines, comparison, engine, evaluation, export, inference, loop, plots, pruning, stages
from martlet.training.bootstrap import Interval, Resamples
from martlet.training.data import Problem
from martlet.training.heads import Heads
from martlet.training.metrics import confusion, log_loss, macro_f1
from martlet.training.mirror import LIMIT, Mirror
from martlet.training.report import markdown_table

#: The baseline `mirrored` of the kit in the tables.
LOGISTIC = "logistic, mirrored"


class Study:
    """One problem, its folder and its predictors; judged at the horizons in `columns`."""

    def __init__(self, folder: pathlib.Path, problem: Problem, columns: list[int]):
        self.folder, self.columns = pathlib.Path(folder), columns
        self.mirror = Mirror.of(problem.data.names)
        mean, scale = self.mirror.scales(problem)
        self.plain = problem
        self.problem = dataclasses.replace(problem, mean=mean, scale=scale)
        self.heads = Heads(len(problem.horizons))
        self.features = np.clip(export.normalised(problem.data.features, mean, scale), -LIMIT, LIMIT)
        #: Tilted probabilities [S, N, H, 3] by name, in the order of the tables.
        self.predictions: dict[str, np.ndarray] = {}
        self.rows: dict[str, dict] = {}
        self.draws = {column: comparison.draws_of(problem, column) for column in columns}

    # Stages

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def kept(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """An array that is made once."""
        path = self.folder / f"{name}.npy"
        if not path.exists():
            self.say(name)
            array = make()
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path.with_suffix(".new.npy"), array)
            path.with_suffix(".new.npy").rename(path)
        return np.load(path)

    def kept_json(self, name: str, make: Callable[[], dict]) -> dict:
        """What JSON holds, made once."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            self.say(name)
            values = make()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        return json.loads(path.read_text())

    def trained(self, name: str, network, settings: loop.Settings, teacher: np.ndarray | None = None,
                first: dict | None = None) -> loop.Trained:
        """A network trained on the part and its mirror image."""
        path = self.folder / f"{name}.npz"
        if not path.exists():
            self.say(name)
            examples = self.mirror.examples(self.problem, self.features, teacher)
            result = loop.train(network, self.heads, examples, settings, first, self.folder / "checkpoints" / name)
            result.save(path)
        return loop.Trained.load(path)

    def outputs(self, name: str, network, trained: loop.Trained, is_mirrored: bool = False) -> np.ndarray:
        """[N, H, 3] of the stream; `is_mirrored` takes the mean with what is said of its mirror image."""
        def of(features):
            found = inference.outputs(
                network, self.heads, trained.weights, features, self.problem.data.reset, trained.ranges)
            return found["probabilities"]

        def make():
            straight = of(self.features)
            return (straight + of(self.mirror.features(self.features))[..., ::-1]) / 2 if is_mirrored else straight
        return self.kept(f"{name}-outputs", make)

    # Judging

    def add(self, name: str, seeds: list[np.ndarray], is_mirrored: bool = True) -> None:
        """A predictor by the probabilities [N, H, 3] of each seed, tilted as all are."""
        tilted = [baselines.tilted(self.problem, np.nan_to_num(one, nan=1 / 3), is_mirrored) for one in seeds]
        self.predictions[name] = np.stack([values for values, _ in tilted])
        self.rows[name] = {"exponents": tilted[0][1]}
        for column in self.columns:
            rows = self.problem.validation[:, column]
            expected = self.problem.classes[rows, column]
            losses = [log_loss(expected, np.nan_to_num(one[rows, column], nan=1 / 3)) for one in seeds]
            scores = [macro_f1(_confusion(expected, values[rows, column])) for values, _ in tilted]
            self.rows[name][f"validation_{column}"] = (float(np.mean(scores)), float(np.mean(losses)))

    def add_baselines(self, problem: Problem, seeds: tuple[int, ...]) -> np.ndarray:
        """Adds the baselines of the kit at the horizons of `problem`, which are some of the study's; returns the trees'
        probabilities [N, H, 3], NaN at the study's other horizons."""
        made = {
            "majority": lambda: baselines.majority(problem)[None],
            "persistence": lambda: baselines.persistence(problem)[None],
            "logistic": lambda: baselines.logistic(problem)[None],
            LOGISTIC: lambda: baselines.mirrored(problem)[None],
            "trees": lambda: np.stack([baselines.trees(problem, seed) for seed in seeds])}
        columns = [self.plain.horizons.index(horizon) for horizon in problem.horizons]
        for name, make in made.items():
            found = self.kept(f"baselines/{name}", make)
            widened = np.full((len(found), *self.plain.classes.shape, 3), np.nan, np.float32)
            widened[:, :, columns] = found
            self.add(name, list(widened), is_mirrored=name == LOGISTIC)
        return np.mean(widened, axis=0)

    def guesses(self, name: str, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Classes [n] of the test part, and those predicted [S, n]."""
        rows = self.problem.test[:, column]
        return self.problem.classes[rows, column], most_probable(self.predictions[name][:, rows, column])

    def score(self, name: str, column: int) -> Interval:
        expected, guesses = self.guesses(name, column)
        return self.draws[column].interval(macro_f1, expected, guesses)

    def ratio(self, name: str, other: str, column: int) -> Interval:
        expected, guesses = self.guesses(name, column)
        return self.draws[column].ratio(macro_f1, expected, guesses, self.guesses(other, column)[1])

    def difference(self, name: str, other: str, column: int) -> Interval:
        expected, guesses = self.guesses(name, column)
        return self.draws[column].difference(macro_f1, expected, guesses, self.guesses(other, column)[1])

    def table(self, names: list[str], column: int) -> str:
        """All scores of some predictors at one horizon, of their tilted probabilities, with the spread over seeds."""
        sliced = {name: getattr(self.problem, name)[:, [column]]
                  for name in ("classes", "known", "ahead", "returns", "volatility", "train", "validation", "test")}
        single = dataclasses.replace(self.problem, horizons=[self.problem.horizons[column]],
                                     alphas=[self.problem.alphas[column]], **sliced)
        return markdown_table(comparison.table(comparison.compare(
            single, {name: self.predictions[name][:, :, [column]] for name in names})))

    def by_recording(self, names: list[str], column: int) -> str:
        """Macro F1 of some predictors on the test part of each recording."""
        files, horizon = self.problem.data.description["files"], self.problem.horizons[column]
        rows = [[f"test part, {horizon}", "ticks", *names]]
        for file, part in zip(files, self.problem.tests):
            chosen = part.start + np.flatnonzero(self.problem.test[part, column])
            draws = Resamples(len(chosen), int(self.problem.ahead[chosen, column].max()))
            expected = self.problem.classes[chosen, column]
            rows.append([file, f"{len(chosen):,}", *(
                draws.interval(macro_f1, expected, most_probable(self.predictions[name][:, chosen, column]))
                for name in names)])
        return markdown_table(rows)

    def draw(self, name: str, column: int, path: pathlib.Path) -> None:
        """How often what a predictor's first seed states came true on the test part, and what it confuses, in files
        named after `path`."""
        expected, guesses = self.guesses(name, column)
        stated = self.predictions[name][0, self.problem.test[:, column], column]
        title = f"{name}, {self.problem.horizons[column]}"
        plots.reliability_plot(path.with_stem(f"{path.stem}_reliability"), expected, stated, title)
        plots.confusion_plot(path.with_stem(f"{path.stem}_confusion"), confusion(expected, guesses[0]), title)

    # The engine

    def exported(self, name: str, network, trained: loop.Trained, exponents: list[float]) -> pathlib.Path:
        """The model's file, which decides as it was judged: the tilt is in the last bias."""
        shares = [baselines.prior(self.problem, column, True) for column in range(self.heads.horizons)]
        metadata = stages.metadata(name.replace("/", "-"), self.problem, {})
        del metadata["metrics"]  # There are none of a single file: all seeds are judged together.
        model = export.to_onnx(
            network, self.heads, stages.tilted_weights(trained.weights, shares, exponents), self.problem.mean,
            self.problem.scale, metadata, trained.ranges, LIMIT)
        path = self.folder / f"{name}.onnx"
        export.save(model, path)
        return path

    def measured(self, name: str, network, trained: loop.Trained, exponents: list[float]) -> dict:
        """What the engine says of the model's file, measured once."""
        def make():
            row = engine.frontier_row(self.exported(name, network, trained, exponents))
            return row | {"prunable": pruning.density(trained.weights, network.prunable)}
        return self.kept_json(name, make)

    def reproduced(self, name: str, path: pathlib.Path, feeds: list[list[pathlib.Path]]) -> str:
        """A table of what `martlet score` says of the file over each recording, and of this Python's scores on the same
        ticks: of floats by the training code, of bytes by the integer reference. They have to agree."""
        model, found = onnx.load(path), {"probabilities": self.predictions[name][0]}
        is_integer = any(node.op_type == "QuantizeLinear" for node in model.graph.node)

        def make():
            judged = evaluation.exact_outputs(model, self.problem, found) if is_integer else found
            return evaluation.check_score(path, feeds, self.problem, judged["probabilities"], is_integer)
        check = self.kept_json(f"{path.relative_to(self.folder).with_suffix('')}-check", make)
        by = "integer reference" if is_integer else "training code"
        rows = [[row["recording"], row["horizon"], f"{row['ticks']:,}", f"{row['python']['macro_f1']:.6f}",
                 f"{row['engine']['macro_f1']:.6f}"] for row in check["horizons"]]
        return markdown_table([[name, "horizon", "ticks", f"macro F1, {by}", "macro F1, engine"], *rows])


def _confusion(expected, probabilities):
    return confusion(expected, most_probable(probabilities))
