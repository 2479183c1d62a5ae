"""Networks of the kit in FI-2010's protocol, and the papers' table with ours above it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np

from . import fi2010, fi2010_published, inference, loop, networks
from .batches import Examples
from .data import DataError
from .fi2010 import Fit, Part
from .heads import Heads
from .progress import stage
from .report import markdown_table

#: Options of each network; both look at the book's 40 rows as the files have them.
NETWORKS = {"binctabl": {"outputs": 3}, "deeplob": {}}
MODELS = ("logistic", *NETWORKS)
SETTINGS = loop.Settings(epochs=10, learning_rate=1e-3, batch=128, weight_decay=1e-4, patience=5)


def network_fit(kind: str, settings: loop.Settings) -> Fit:
    """A `Fit` by the kit's loop."""

    def fit(train: Part, validation: Part) -> Callable[[np.ndarray], np.ndarray]:
        network, heads = networks.make(kind, **NETWORKS[kind]), Heads(1, is_direct=kind == "binctabl")
        mean, scale = fi2010.scales(train)

        def normalised(features):
            return ((features - mean) * scale).astype(np.float32)

        bound = len(train.classes)
        features = np.concatenate([normalised(train.features), normalised(validation.features)])
        classes = np.concatenate([train.classes, validation.classes])[:, None]
        reset, is_training = np.zeros(len(features)), np.arange(len(features))[:, None] < bound
        # Windows of validation do not look into training, whose last labels are left out between the two.
        reset[[0, bound]] = 1
        examples = Examples(features, reset, {"classes": classes}, {"classes": is_training}, {"classes": ~is_training})
        result = loop.train(network, heads, examples, settings)

        def predict(features):
            start = np.zeros(len(features))
            start[0] = 1
            return inference.outputs(network, heads, result.weights, normalised(features), start)["probabilities"][:, 0]

        return predict

    return fit


def report(folder: pathlib.Path, setup: int, horizons: tuple[int, ...], models: tuple[str, ...], *, epochs: int,
           windows: int | None = None, seed: int = 1) -> str:
    """Macro F1 of `models` beside the published ones, then intervals and persistence of ours; Markdown."""
    wrong = [name for name in models if name not in MODELS]
    if wrong:
        raise DataError(f"--models are of {', '.join(MODELS)}, not {', '.join(wrong)}")
    files = fi2010.find(folder)
    settings = dataclasses.replace(SETTINGS, epochs=epochs, windows=windows, seed=seed)
    ours: dict[str, dict[int, float]] = {}
    rows = [["model", "k", "macro F1 of each fold, 95 % interval", "persistence", "majority"]]
    for name in models:
        fit = fi2010.logistic if name == "logistic" else network_fit(name, settings)
        for horizon in horizons:
            stage(f"{name}, k = {horizon}")
            result = fi2010.evaluate(fit, files, setup, horizon)
            ours.setdefault(name, {})[horizon] = result.mean["macro_f1"]
            simple = [np.mean([fold[kind]["macro_f1"] for fold in result.folds])
                      for kind in ("persistence", "majority")]
            rows.append([name, horizon, "; ".join(map(str, result.intervals)), *(f"{value:.3f}" for value in simple)])
    return fi2010_published.table(ours, setup) + "\n\n" + markdown_table(rows)
