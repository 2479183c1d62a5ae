"""FI-2010, the public benchmark of order-book prediction, and its published protocol, for who has the files.

Ntakaris, Magris, Kanniainen, Gabbouj, Iosifidis (2018), arXiv 1705.03233, CC BY 4.0: five Finnish stocks over ten days,
one sample for each block of ten events. A file is a text matrix of 149 rows: 40 of the book (price and size of ask and
bid, ten levels), 104 made by hand, and the labels for 10, 20, 30, 50 and 100 events, where 1 is up, 2 stationary and
3 down. `Train_…_CF_i` holds days 1 to i, `Test_…_CF_i` day i + 1. Stocks follow each other within a day without a mark,
and windows run across them, here as in the published results.

    result = evaluate(logistic, find(folder), setup=2, horizon=10)
    print(fi2010_published.table({"logistic": {10: result.mean["macro_f1"]}}))
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .. import labels
from .baselines import FEATURE_MAX, fit_logistic, shares
from .bootstrap import Interval, Resamples
from .data import DataError
from .metrics import CLASSES, f1_scores, macro_f1

#: In events, in the order of the label rows; a sample is ten events.
HORIZONS = (10, 20, 30, 50, 100)
SAMPLE_EVENTS = 10
BOOK_ROWS, FEATURE_ROWS, ROWS = 40, 144, 149
FOLDS = range(1, 10)
#: Samples that deep models look back in the published results.
WINDOW = 100
VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class Part:
    """Samples in the order of the file."""

    #: [N, F] float32.
    features: np.ndarray
    #: [N] int8: 0 down, 1 flat, 2 up.
    classes: np.ndarray

    def __getitem__(self, rows: slice) -> Part:
        return Part(self.features[rows], self.classes[rows])


@dataclass(frozen=True)
class Fold:
    """Training, validation after it in time, and the days after both."""

    name: str
    train: Part
    validation: Part
    test: Part


#: Learns from training and validation; what it gives takes features [N, F] to probabilities [N, 3] of each sample.
Fit = Callable[[Part, Part], Callable[[np.ndarray], np.ndarray]]


def find(folder: pathlib.Path, normalisation: str = "ZScore", auction: str = "NoAuction") -> dict[str, pathlib.Path]:
    """The files of a normalisation (ZScore, MinMax, DecPre) below `folder`, by "Train 1" to "Test 9", if there."""
    names = {f"{kind} {fold}": f"{kind}_Dst_{auction}_{normalisation}_CF_{fold}.txt"
             for kind in ("Train", "Test") for fold in FOLDS}
    there = {path.name: path for path in sorted(pathlib.Path(folder).rglob("*_CF_?.txt"))}
    found = {key: there[name] for key, name in names.items() if name in there}
    if not found:
        raise DataError(f"{folder} has no file such as {names['Train 7']}")
    return found


def load(path: pathlib.Path, horizon: int, feature_rows: int = BOOK_ROWS) -> Part:
    """One file; `feature_rows` is 40 for the book, 144 with the features made by hand."""
    if horizon not in HORIZONS or not 1 <= feature_rows <= FEATURE_ROWS:
        raise DataError(f"FI-2010 has horizons of {HORIZONS} events and {FEATURE_ROWS} features")
    label_row = FEATURE_ROWS + HORIZONS.index(horizon)
    rows: dict[int, np.ndarray] = {}
    number = -1
    try:
        with open(path) as file:
            for number, line in enumerate(file):
                if number < feature_rows or number == label_row:
                    rows[number] = np.array([float(word) for word in line.split()], np.float32)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}, row {number + 1}: {error}") from error
    if number + 1 != ROWS or len({len(row) for row in rows.values()}) != 1:
        raise DataError(f"{path} has {number + 1} rows, or rows of different lengths; expected {ROWS} of one length")
    marks = rows.pop(label_row)
    if not len(marks) or not np.isin(marks, (1, 2, 3)).all():
        raise DataError(f"{path}: the labels in row {label_row + 1} are not 1, 2 and 3")
    features = np.stack([rows[number] for number in range(feature_rows)], axis=1)
    if not np.isfinite(features).all():
        raise DataError(f"{path} holds values that are not finite")
    return Part(features, (3 - marks).astype(np.int8))


def folds(files: dict[str, pathlib.Path], setup: int, horizon: int, feature_rows: int = BOOK_ROWS) -> Iterator[Fold]:
    """Setup 1: nine folds, trained on days 1 to i, tested on day i + 1. Setup 2: days 1 to 7, tested on 8 to 10.

    The last fifth of the training days in time is for validation; the training labels that look into it are left out.
    """
    if setup not in (1, 2):
        raise DataError("FI-2010 has the setups 1 and 2")
    for fold in FOLDS if setup == 1 else [7]:
        tests = [f"Test {number}" for number in ([fold] if setup == 1 else (7, 8, 9))]
        missing = [key for key in (f"Train {fold}", *tests) if key not in files]
        if missing:
            raise DataError(f"setup {setup} of FI-2010 needs the files {', '.join(missing)} (CF number) too")
        days = load(files[f"Train {fold}"], horizon, feature_rows)
        parts = [load(files[key], horizon, feature_rows) for key in tests]
        bound = round(len(days.classes) * (1 - VALIDATION_SHARE))
        test = Part(np.concatenate([part.features for part in parts]), np.concatenate([part.classes for part in parts]))
        yield Fold(f"CF {fold}", days[:max(bound - horizon // SAMPLE_EVENTS, 0)], days[bound:], test)


def windows(features: np.ndarray, size: int = WINDOW) -> np.ndarray:
    """[N − size + 1, size, F], oldest first, a view: the last row of each is the sample that it is for."""
    return np.moveaxis(np.lib.stride_tricks.sliding_window_view(features, size, axis=0), -1, 1)


@dataclass(frozen=True)
class Result:
    """F1 and accuracy of a model on the test days, beside persistence and majority on the same samples."""

    #: For each fold "model", "persistence", "majority": macro_f1, weighted_f1, accuracy.
    folds: list[dict[str, dict[str, float]]]
    #: Macro F1 of each fold with its bootstrap interval.
    intervals: list[Interval]

    @property
    def mean(self) -> dict[str, float]:
        """The model's scores averaged over the folds, as the papers do."""
        return {key: float(np.mean([fold["model"][key] for fold in self.folds])) for key in self.folds[0]["model"]}


def evaluate(
    fit: Fit, files: dict[str, pathlib.Path], setup: int, horizon: int, *, window: int = WINDOW,
    feature_rows: int = BOOK_ROWS,
) -> Result:
    """The published protocol with any model. The first window − 1 samples of a test are not judged."""
    scores, intervals = [], []
    lag = horizon // SAMPLE_EVENTS
    for fold in folds(files, setup, horizon, feature_rows):
        first = max(window - 1, lag)
        expected = fold.test.classes[first:]
        if len(fold.train.classes) < window or len(fold.validation.classes) < window or len(expected) < 2 * lag:
            raise DataError(f"{fold.name} has too few samples for windows of {window}, a horizon of {horizon} events")
        probabilities = np.asarray(fit(fold.train, fold.validation)(fold.test.features))
        if probabilities.shape != (len(fold.test.classes), CLASSES) or not np.isfinite(probabilities[first:]).all():
            raise ValueError(f"the model gave {probabilities.shape}, or values that are not finite")
        guess = labels.most_probable(probabilities[first:])
        common = np.full(len(expected), np.argmax(shares(fold.train.classes)))
        scores.append({"model": f1_scores(expected, guess), "majority": f1_scores(expected, common),
                       "persistence": f1_scores(expected, fold.test.classes[first - lag:-lag])})
        intervals.append(Resamples(len(expected), lag).interval(macro_f1, expected, guess))
    return Result(scores, intervals)


def scales(train: Part) -> tuple[np.ndarray, np.ndarray]:
    """[F] each: normalised = (features − mean) · scale; a feature that stands still becomes 0."""
    mean, deviation = train.features.mean(axis=0), train.features.std(axis=0)
    return mean, np.where(deviation > 0, 1 / np.maximum(deviation, 1e-12), 0)


def logistic(train: Part, validation: Part) -> Callable[[np.ndarray], np.ndarray]:
    """A `Fit`: logistic regression on each sample's features, normalised on the training part and cut off."""
    mean, scale = scales(train)

    def normalised(features: np.ndarray) -> np.ndarray:
        return np.clip((features - mean) * scale, -FEATURE_MAX, FEATURE_MAX).astype(np.float32)

    model = fit_logistic(normalised(train.features), train.classes, normalised(validation.features), validation.classes)
    return lambda features: model.probabilities(normalised(features))
