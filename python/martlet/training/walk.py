"""Walking forward: what a configuration names, trained and judged again and again as time goes on, in one folder.

    config.yaml origin.json features/                           as a run has them
    fold-1/ …     baselines.npz teachers/ peers/ dense/ student/ of each fold
    walk.csv plots/ report.md report.html

No model is left: it says what the way of making one is worth, not what a file is. Each student is exported and run all
the same, so that its scores are those of the file that it would be.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib

import numpy as np

from .. import labels
from ..labels import most_probable
from . import comparison, plots, run, stages
from . import config as configuration
from .card import when
from .comparison import Row
from .config import Config, ConfigError
from .data import PARTS, Data, DataError, Problem, walk_forward
from .metrics import macro_f1
from .progress import stage
from .report import Report, markdown_table

#: Columns of the CSV, in its order; `fold` is a number, or `ALL` for all test parts together.
COLUMNS = ("fold", "from", "to", "horizon", "alpha", "ticks", "name", "macro_f1", "low", "high", "weighted_f1",
           "matthews", "brier", "calibration_error")
ALL = "all"


def walk(
    config: Config, folder: pathlib.Path, folds: int, *, is_anchored: bool = True, is_resumed: bool = False,
) -> str:
    """All stages of each fold up to the judgement; the table as Markdown, beside a CSV, a figure and a report."""
    if len(config.data.recordings) > 1:
        raise ConfigError(f"walk goes through one recording, and data.recordings names {len(config.data.recordings)}")
    run.require_tools(config)
    run.open_folder(config, folder, is_resumed, {"folds": [folds, "anchored" if is_anchored else "rolling"]})
    stage("features")
    (data,) = stages.load_data(config, folder, stages.feeds_of(config, folder))
    # All of them before the first training, so that a part that is too short is said at once.
    problems = problems_of(config, data, folds, is_anchored)
    predictions = []
    for number, problem in enumerate(problems, 1):
        stage(f"fold {number} of {folds}")
        predictions.append(predictions_of(config, problem, folder / f"fold-{number}"))
    stage("report")
    rows = [comparison.compare(problem, found) for problem, found in zip(problems, predictions)]
    together, found = pooled(problems, predictions)
    names = shown(found)
    pooled_rows = comparison.compare(together, found)
    _write_csv(problems, rows, together, pooled_rows, folder / "walk.csv")
    table = fold_table(problems, rows, pooled_rows, names)
    report = _report(config, problems, is_anchored, table, against_student(together, found, rows, names))
    path = folder / "plots" / "folds.png"
    plots.folds_plot(path, [str(horizon) for horizon in together.horizons], names, [
        {(row.name, row.horizon): row.intervals["macro_f1"] for row in one} for one in rows])
    report.figure(path, "Macro F1 by fold with 95 % intervals")
    report.heading("How to make it again")
    rolling = "" if is_anchored else " --rolling"
    report.paragraph(f"`martlet-train walk CONFIG.yaml --folds {folds}{rolling}` with:")
    report.code(configuration.as_text(config))
    report.write(folder)
    stage(None)
    return markdown_table(table)


def problems_of(config: Config, data: Data, folds: int, is_anchored: bool) -> list[Problem]:
    """The problem of each fold; none knows of ticks after its test part."""
    problems = []
    for number, split in enumerate(walk_forward(
            len(data.mid), folds, config.data.embargo, is_anchored=is_anchored), 1):
        known = {item.name: getattr(data, item.name)[:split.end] for item in dataclasses.fields(data)
                 if isinstance(getattr(data, item.name), np.ndarray)}
        try:
            problems.append(stages.problem_of(config, [dataclasses.replace(data, **known)], [split]))
        except DataError as error:
            ticks = split.end - split.test_from
            raise DataError(f"fold {number} of {folds}, whose parts have {ticks:,} ticks: {error}; fewer folds have "
                            "longer parts") from error
    return problems


def predictions_of(config: Config, problem: Problem, folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Probabilities [N, H, 3] of all predictors of a fold, of which only the test part is judged."""
    folder.mkdir(exist_ok=True)
    predictions, _, job, result = run.train_all(config, problem, folder)
    run.judged_student(config, problem, job, result, predictions)
    return predictions


def pooled(problems: list[Problem], predictions: list[dict]) -> tuple[Problem, dict[str, np.ndarray]]:
    """All test parts as one problem, with the predictions of each fold in its part. Classes are by each fold's own
    thresholds."""
    last = problems[-1]
    test, classes = np.zeros_like(last.test), np.full_like(last.classes, labels.NONE)
    together = {name: np.zeros_like(array) for name, array in predictions[-1].items()}
    for problem, found in zip(problems, predictions):
        part = slice(problem.test_from, problem.split.end)
        test[part], classes[part] = problem.test[part], problem.classes[part]
        for name, array in together.items():
            array[part] = found[name][part]
    return dataclasses.replace(last, test=test, classes=classes), together


def shown(names) -> list[str]:
    """Of the predictors those that are judged as they should be: tilted where there are both."""
    return [name for name in names if f"{name}, tilted" not in names and name != "student, not tilted"]


def fold_table(problems: list[Problem], rows: list[list[Row]], pooled_rows: list[Row], names: list[str],
               ) -> list[list[str]]:
    """A head, and for each horizon a row for each fold and one for all: macro F1 of each predictor."""
    table = [["horizon", "fold", "test part", *names]]
    whole = when_range(problems[0].data.ts_recv[problems[0].test_from], problems[-1].data.ts_recv[-1])
    folds = [(str(number), test_range(problem), one) for number, (problem, one) in enumerate(zip(problems, rows), 1)]
    for horizon in map(str, problems[0].horizons):
        for fold, place, found in [*folds, (ALL, whole, pooled_rows)]:
            scores = {row.name: str(row.intervals["macro_f1"]) for row in found if row.horizon == horizon}
            table.append([horizon, fold, place, *(scores[name] for name in names)])
    return table


def against_student(together: Problem, found: dict[str, np.ndarray], rows: list[list[Row]], names: list[str],
                    ) -> list[list[str]]:
    """A head, and for each horizon and rival a row: the student's macro F1 less the rival's on the same ticks of all
    test parts, paired, and in how many folds it is above."""
    table = [["horizon", "student less", "macro F1, all test parts [95 %]", "folds in which it is above"]]
    for column, horizon in enumerate(map(str, together.horizons)):
        chosen = together.test[:, column]
        draws = comparison.draws_of(together, column)
        guesses = {name: most_probable(array[chosen, column]) for name, array in found.items()}
        scores = [{row.name: row.intervals["macro_f1"].value for row in one if row.horizon == horizon} for one in rows]
        for name in names:
            if name != "student":
                gap = draws.difference(
                    macro_f1, together.classes[chosen, column], guesses["student"], guesses[name])
                above = sum(one["student"] > one[name] for one in scores)
                table.append([horizon, name, f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]",
                              f"{above} of {len(rows)}"])
    return table


def test_range(problem: Problem) -> str:
    """When the test part was."""
    return when_range(problem.data.ts_recv[problem.test_from], problem.data.ts_recv[problem.split.end - 1])


def when_range(first, last) -> str:
    """Two times in ns, in words; the date once where it is the same."""
    first, last = when(first), when(last)
    return f"{first.removesuffix(' UTC')} to {last.split(' ', 1)[1] if first[:10] == last[:10] else last}"


def _report(config: Config, problems: list[Problem], is_anchored: bool, table, rivals) -> Report:
    report = Report(f"Walking forward with {config.name}")
    folds, description = len(problems), problems[0].data.description
    trained = "all before that" if is_anchored else "the stretch before that"
    embargo = f", at least {config.data.embargo}" if config.data.embargo else ""
    report.paragraph(
        f"{len(problems[-1].data.mid):,} ticks of {problems[0].data.instrument} from "
        f"{', '.join(f'`{name}`' for name in description['files'])}, in {folds + 2} equal stretches. Each fold is "
        f"tested on one, from the third on, chooses on the one before (epoch, tilt, penalty) and trains on {trained}. "
        "Labels that reach into the next part are left out, and so are as many ticks at the start of a part as the "
        f"longest horizon has{embargo}. Each fold has its own scales and thresholds. Only directions are "
        "judged. No model file is left; the shares of the configuration are not used.")
    rows = [["fold", *PARTS, "α"]]
    for number, problem in enumerate(problems, 1):
        bounds = (problem.split.train_from, problem.split.validation_from, problem.split.test_from, problem.split.end)
        rows.append([str(number), *(f"{first:,} to {end - 1:,}" for first, end in zip(bounds, bounds[1:])),
                     ", ".join(f"{alpha:g}" for alpha in problem.alphas)])
    report.table(rows)
    report.heading("Macro F1 by fold")
    report.paragraph(
        f"With 95 % intervals of the moving-block bootstrap. Rows `{ALL}` are of all test parts together, each "
        "predicted by its own fold. What learns is tilted where the configuration says so; `walk.csv` has the rest.")
    report.table(table)
    report.paragraph(
        "The student beside the others on all test parts, on the same draws. Intervals are over ticks, not over seeds "
        "or trainings, and the folds are of the same recording, so that they share much of what they learned from.")
    report.table(rivals)
    return report


def _write_csv(problems, rows, together, pooled_rows, path) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        first, last = problems[0], problems[-1]
        folds = [(problem, problem.test_from, problem.split.end, str(number), one)
                 for number, (problem, one) in enumerate(zip(problems, rows), 1)]
        for problem, begin, end, fold, found in [*folds, (together, first.test_from, last.split.end, ALL, pooled_rows)]:
            times = [when(problem.data.ts_recv[tick]) for tick in (begin, end - 1)]
            places = {str(horizon): column for column, horizon in enumerate(problem.horizons)}
            for row in found:
                column, score = places[row.horizon], row.intervals
                alpha = "" if fold == ALL else f"{problem.alphas[column]:g}"
                macro = score["macro_f1"]
                numbers = (macro.value, macro.low, macro.high, score["weighted_f1"].value, score["matthews"].value,
                           score["brier"].value, row.calibration_error)
                writer.writerow([fold, *times, row.horizon, alpha, int(problem.test[:, column].sum()), row.name,
                                 *(f"{number:.6f}" for number in numbers)])
