"""BiN-C(TABL) and DeepLOB by the same loop on the same split, with the kit's plain scales and one horizon."""

from __future__ import annotations

import dataclasses

import numpy as np
from study import Study

from martlet.labels import most_probable
from martlet.training import baselines, inference, loop, networks
from martlet.training.batches import Examples
from martlet.training.bootstrap import Resamples
from martlet.training.heads import Heads
from martlet.training.metrics import macro_f1
from martlet.training.networks import deeplob
from martlet.training.report import markdown_table

TABL = loop.Settings(epochs=5, learning_rate=1e-3, windows=30_000, average_decay=0.98)
#: Windows of 100 ticks are dear: some of them are trained on, and every eighth tick is judged.
DEEPLOB = loop.Settings(epochs=3, learning_rate=1e-3, windows=8_000, batch=64, validation_every=32, average_decay=0.98)
DEEPLOB_EVERY = 8
NAME, DEEPLOB_NAME = "BiN-C(TABL)", "DeepLOB"


def add(study: Study, column: int, seeds: tuple[int, ...] = (1, 2, 3)) -> None:
    """Adds both: BiN-C(TABL) of some seeds, DeepLOB of one."""
    features = study.plain.normalised
    tabl, direct = networks.make("binctabl", outputs=3), Heads(1, is_direct=True)
    study.add(NAME, [_made(study, f"peers/binctabl-{seed}", tabl, direct, features,
                           dataclasses.replace(TABL, seed=seed), column, 1) for seed in seeds], is_mirrored=False)
    levels = features[:, deeplob.columns(study.plain.data.names)]
    study.predictions[DEEPLOB_NAME] = _made(
        study, "peers/deeplob-1", networks.make("deeplob"), Heads(1), levels, DEEPLOB, column, DEEPLOB_EVERY)[None]


def _made(study, name, network, heads, features, settings, column, every):
    problem = study.plain
    chosen = slice(column, column + 1)

    def make():
        parts = [{"classes": problem.part(part)[:, chosen]} for part in ("train", "validation")]
        examples = Examples(features, problem.data.reset, {"classes": problem.classes[:, chosen]}, *parts)
        trained = loop.train(network, heads, examples, settings, folder=study.folder / "checkpoints" / name)
        first = problem.validation_from
        found = inference.outputs(
            network, heads, trained.weights, features[first:], problem.data.reset[first:], every=every)
        whole = np.full((*problem.classes.shape, 3), np.nan, np.float32)
        whole[first:, chosen] = found["probabilities"]
        return whole
    return study.kept(f"{name}-outputs", make)


def table(study: Study, others: list[str], column: int) -> str:
    """DeepLOB, and others at the ticks at which it is judged; its decision is tilted on validation too."""
    probabilities = study.predictions[DEEPLOB_NAME][0]
    is_known = np.isfinite(probabilities[:, column, 0])
    seen = dataclasses.replace(
        study.problem, validation=study.problem.validation & is_known[:, None], train=study.problem.train)
    tilted = {DEEPLOB_NAME: baselines.tilted(seen, np.nan_to_num(probabilities, nan=1 / 3))[0][None]}
    tilted |= {name: study.predictions[name] for name in others}
    chosen = study.problem.test[:, column] & is_known
    expected = study.problem.classes[chosen, column]
    draws = Resamples(len(expected), -(-int(study.problem.ahead[chosen, column].max()) // DEEPLOB_EVERY))
    guesses = {name: most_probable(values[:, chosen, column]) for name, values in tilted.items()}
    rows = [[name, draws.interval(macro_f1, expected, guess),
             draws.ratio(macro_f1, expected, guess, guesses[DEEPLOB_NAME])] for name, guess in guesses.items()]
    return markdown_table([[f"every {DEEPLOB_EVERY}th tick", "test macro F1", "ratio to DeepLOB"], *rows])
