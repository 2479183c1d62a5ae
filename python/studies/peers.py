"""BiN-C(TABL) and DeepLOB by the same loop on the same split.

BiN-C(TABL) has the kit's plain scales and the judged horizons, as it normalises each window itself. DeepLOB has what our
networks have, robust scales, mirrored examples and all horizons, but only the 40 features of the book.
"""

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

#: Of all windows.
TABL = loop.Settings(epochs=6, learning_rate=1e-3, average_decay=0.98, validation_every=4)
#: Windows of 100 ticks are dear: each epoch has some of them, in small batches, and every eighth tick is judged.
DEEPLOB = loop.Settings(epochs=8, learning_rate=1e-3, windows=10_000, batch=32, validation_every=32)
DEEPLOB_EVERY, DEEPLOB_NETWORK = 8, networks.make("deeplob")
#: A small network on what DeepLOB reads, over all ticks: what the book alone tells.
BOOK = loop.Settings(epochs=6, learning_rate=5e-3, average_decay=0.98, lanes=96)
BOOK_NETWORK = networks.make("lstm", units=(32,), dense=(64,), input_dropout=0.05, dropout=0.1)
NAME, DEEPLOB_NAME, BOOK_NAME = "BiN-C(TABL)", "DeepLOB", "LSTM, book alone"


def add_tabl(study: Study, seeds: tuple[int, ...]) -> None:
    """Adds BiN-C(TABL) of some seeds, for the horizons that the study judges."""
    problem, chosen, count = study.plain, study.columns, len(study.columns)
    parts = [{"classes": problem.part(part)[:, chosen]} for part in ("train", "validation")]
    plain = Examples(problem.normalised, problem.data.reset, {"classes": problem.classes[:, chosen]}, *parts)
    tabl, direct = networks.make("binctabl", outputs=3 * count), Heads(count, is_direct=True)
    study.add(NAME, [_made(study, f"peers/binctabl-{seed}", tabl, direct, plain,
                           dataclasses.replace(TABL, seed=seed), chosen) for seed in seeds], is_mirrored=False)


def add_deeplob(study: Study, seeds: tuple[int, ...]) -> None:
    """Adds an LSTM that reads what DeepLOB reads, of some seeds, and DeepLOB of one."""
    problem = study.plain
    mirrored = study.mirror.examples(problem, study.features)
    mirrored.features = np.ascontiguousarray(mirrored.features[:, deeplob.columns(problem.data.names)])
    study.add(BOOK_NAME, [_made(study, f"peers/book-{seed}", BOOK_NETWORK, study.heads, mirrored,
                                dataclasses.replace(BOOK, seed=seed), slice(None)) for seed in seeds])
    study.predictions[DEEPLOB_NAME] = _made(
        study, "peers/deeplob-1", DEEPLOB_NETWORK, study.heads, mirrored, DEEPLOB, slice(None), DEEPLOB_EVERY)[None]


def _made(study, name, network, heads, examples, settings, chosen, every=1):
    """[N, H, 3] from shortly before the validation part on, NaN where there is nothing; `examples` end with the stream
    itself."""
    problem = study.plain

    def make():
        trained = loop.train(network, heads, examples, settings, folder=study.folder / "checkpoints" / name)
        first = problem.validation_from
        stream = examples.features[-len(problem.classes):]
        found = inference.outputs(
            network, heads, trained.weights, stream[first:], problem.data.reset[first:], every=every)
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
    tilted = {DEEPLOB_NAME: baselines.tilted(seen, np.nan_to_num(probabilities, nan=1 / 3), True)[0][None]}
    tilted |= {name: study.predictions[name] for name in others}
    chosen = study.problem.test[:, column] & is_known
    expected = study.problem.classes[chosen, column]
    draws = Resamples(len(expected), -(-int(study.problem.ahead[chosen, column].max()) // DEEPLOB_EVERY))
    guesses = {name: most_probable(values[:, chosen, column]) for name, values in tilted.items()}
    rows = [[name, draws.interval(macro_f1, expected, guess),
             draws.ratio(macro_f1, expected, guess, guesses[DEEPLOB_NAME])] for name, guess in guesses.items()]
    return markdown_table([[f"every {DEEPLOB_EVERY}th tick", "test macro F1", "ratio to DeepLOB"], *rows])
