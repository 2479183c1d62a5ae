"""What `martlet features` wrote, with labels, parts and scales: the problem that a model is trained on."""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass

import numpy as np

from . import labels

#: Shares of the ticks at which validation and test begin.
VALIDATION_FROM, TEST_FROM = 0.6, 0.8
#: A feature that hardly ever moves in training must not be blown up where it does.
DEVIATION_MIN = 0.02
#: Fewer ticks leave nothing to learn from after the parts are cut.
TICKS_MIN = 5_000


class DataError(ValueError):
    """The features folder is not usable; the text says why."""


@dataclass
class Data:
    """What `martlet features` wrote of one instrument."""

    features: np.ndarray
    mid: np.ndarray
    ts_recv: np.ndarray
    reset: np.ndarray
    #: features.json: names, feature_set_version, warm_up_ticks, files, sha256, instruments.
    description: dict
    instrument: str

    @property
    def names(self) -> list[str]:
        return self.description["names"]

    @staticmethod
    def load(folder: pathlib.Path, instrument: str | None = None) -> "Data":
        """Reads the folder; `instrument` is DATASET/SYMBOL, needed only where there are several."""
        try:
            description = json.loads((folder / "features.json").read_text())
            wanted = ("names", "feature_set_version", "warm_up_ticks", "files", "sha256", "instruments")
            missing = [key for key in wanted if key not in description]
            arrays = {name: np.load(folder / f"{name}.npy")
                      for name in ("features", "mid", "ts_recv", "reset", "instrument")}
        except (OSError, ValueError) as error:
            raise DataError(f"{folder}: {error}") from error
        if missing:
            raise DataError(f"{folder}/features.json lacks {', '.join(missing)}")
        count = len(arrays["mid"])
        for name, dtype in [("features", np.float32), ("mid", np.int64), ("ts_recv", np.uint64), ("reset", np.uint8),
                            ("instrument", np.uint32)]:
            shape = (count, len(description["names"])) if name == "features" else (count,)
            array = arrays[name]
            if array.dtype != dtype or array.shape != shape:
                raise DataError(
                    f"{folder}/{name}.npy is {array.dtype} {array.shape}, expected {dtype.__name__} {shape}")
        if not np.isfinite(arrays["features"]).all():
            raise DataError(f"{folder}/features.npy holds values that are not finite")
        names = description["instruments"]
        if instrument is None and len(names) != 1 or instrument is not None and instrument not in names:
            raise DataError(f"{folder}: --instrument is one of {', '.join(names)}")
        chosen = instrument or names[0]
        rows = arrays.pop("instrument") == names.index(chosen)
        if rows.sum() < TICKS_MIN:
            raise DataError(f"{folder}: {chosen} has {rows.sum()} ticks; {TICKS_MIN} are the least to train on")
        data = Data(**{name: array[rows] for name, array in arrays.items()}, description=description, instrument=chosen)
        data.reset[0] = 1
        return data


@dataclass
class Problem:
    """Data with labels and parts: what is learned, and on what it is judged."""

    data: Data
    horizons: list[int]
    alphas: list[float]
    #: [N, H], -1 for none.
    classes: np.ndarray
    #: [N, H] for each part: the labels that count in it.
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    validation_from: int
    test_from: int
    mean: np.ndarray
    scale: np.ndarray

    @property
    def normalised(self) -> np.ndarray:
        return ((self.data.features - self.mean) * self.scale).astype(np.float32)


def prepare(data: Data, horizons: list[int], warm_up: int) -> Problem:
    """Labels, parts, and the means and scales of the training part."""
    count = len(data.mid)
    bounds = [0, int(VALIDATION_FROM * count), int(TEST_FROM * count), count]
    embargo = max(horizons)
    index = np.arange(count)
    is_warm = labels.ticks_since_reset(data.reset) >= warm_up
    parts = np.zeros((3, count, len(horizons)), bool)
    classes = np.empty((count, len(horizons)), np.int8)
    alphas = []
    for column, k in enumerate(horizons):
        values, usable = labels.smoothed_mid(data.mid, data.reset, k)
        # As in `martlet score`: judged where persistence has a label to go by.
        is_known = labels.persistence(np.where(usable, labels.FLAT, labels.NONE), k) != labels.NONE
        for part in range(3):
            first = bounds[part] + (embargo if part else 0)
            inside = (index >= first) & (index + k < bounds[part + 1])
            parts[part, :, column] = inside & usable & is_known & is_warm
        if not parts[:, :, column].any(axis=1).all():
            raise DataError(f"a part of the data has no labelled ticks for the horizon of {k} ticks")
        alphas.append(labels.choose_alpha(values[parts[0, :, column]]))
        classes[:, column] = labels.classify(values, usable, alphas[-1])
    warm = data.features[:bounds[1]][is_warm[:bounds[1]]]
    mean = warm.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = warm.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 0, 1 / np.maximum(deviation, DEVIATION_MIN), 0).astype(np.float32)
    return Problem(data, horizons, alphas, classes, *parts, bounds[1], bounds[2], mean, scale)
