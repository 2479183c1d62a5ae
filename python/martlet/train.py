"""Trains, prunes and exports the default model: `python -m martlet.train --features DIR --out models/default.onnx`.

DIR is what `martlet features FILE --out DIR` wrote: features.npy float32 [N, F], mid.npy int64, ts_recv.npy, reset.npy,
instrument.npy and features.json. Everything is seeded: the same arrays and arguments give the same file on the same machine.

The parts follow each other in time: 60 % to train, 20 % to choose (validation), 20 % to test, which decides
nothing. A label that would look into the next part is not used, nor are the first ticks of a part (the embargo).
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import time

# One thread: the figures hold for one core, and sums are added in one order.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

from . import card, export, labels, recurrent  # noqa: E402
from .training.data import Data, DataError, Problem, prepare  # noqa: E402
from .training.metrics import f1_scores  # noqa: E402

#: Parallel stretches of the training part, and the ticks through which gradients go back.
LANES, STEPS = 32, 50
#: Ticks that a lane runs through before its first loss, so that its state is that of a running stream.
BURN_IN = 200
#: Shares of training between which blocks are pruned; the masks are frozen from then on.
PRUNE_FROM, PRUNE_TO = 0.1, 0.6
#: How much of the moving average of the weights stays in each step: it spans some hundred steps.
AVERAGE_DECAY = 0.99
#: How far ONNX Runtime may be from the training code.
EXPORT_TOLERANCE = 1e-5
EXPORT_CHECK_TICKS = 2_000


def baselines(problem: Problem, chosen: np.ndarray) -> tuple[list[dict], list[dict]]:
    """F1 of the majority class of training, and of persistence, for each horizon on the `chosen` labels."""
    majority, persistent = [], []
    for column in range(len(problem.horizons)):
        expected = problem.classes[:, column]
        select = chosen[:, column]
        counts = np.bincount(expected[problem.train[:, column]], minlength=3)
        guess = np.full(int(select.sum()), int(np.argmax(counts)))
        majority.append(f1_scores(expected[select], guess))
        persistent.append(f1_scores(expected[select], problem.known[select, column]))
    return majority, persistent


def evaluate(problem: Problem, probabilities: np.ndarray, chosen: np.ndarray) -> tuple[list[dict], float]:
    """F1 for each horizon on the `chosen` labels, and the mean cross-entropy."""
    scores, losses = [], []
    for column in range(len(problem.horizons)):
        select = chosen[:, column]
        expected = problem.classes[select, column]
        guess = probabilities[select, column]
        scores.append(f1_scores(expected, labels.most_probable(guess)))
        losses.append(-np.mean(np.log(np.maximum(guess[np.arange(len(guess)), expected], 1e-12))))
    return scores, float(np.mean(losses))


class Lanes:
    """Cuts the training part into `LANES` parallel stretches, elsewhere in each epoch, and these into chunks."""

    def __init__(self, problem: Problem) -> None:
        self.count = problem.validation_from
        self.length = -(-self.count // (LANES * STEPS)) * STEPS
        self.features = jnp.asarray(problem.normalised[:self.count])
        self.keep = jnp.asarray(1 - (problem.data.reset[:self.count] != 0), jnp.float32)
        self.classes = jnp.asarray(np.maximum(problem.classes[:self.count], 0), jnp.int32)
        self.weight = jnp.asarray(problem.train[:self.count], jnp.float32)

    @property
    def chunks(self) -> int:
        """Chunks of one epoch."""
        return (self.length + BURN_IN) // STEPS

    def epoch(self, generator: np.random.Generator):
        """Index [STEPS, LANES] of each chunk, and whether its losses count; begins anew at random."""
        starts = int(generator.integers(self.count)) + np.arange(LANES) * self.length - BURN_IN
        for chunk in range(self.chunks):
            index = (starts[None, :] + chunk * STEPS + np.arange(STEPS)[:, None]) % self.count
            yield jnp.asarray(index), float(chunk * STEPS >= BURN_IN)


def make_update(lanes: Lanes, optimizer, input_dropout: float, dropout: float):
    """One compiled step of truncated back-propagation: weights, optimiser and carried state to the next."""

    def loss(weights, state, index, counts, key):
        features = lanes.features[index]
        keys = jax.random.split(key)
        kept = [jax.random.bernoulli(keys[0], 1 - input_dropout, features.shape) / (1 - input_dropout),
                jax.random.bernoulli(keys[1], 1 - dropout, (*index.shape, recurrent.DENSE_UNITS)) / (1 - dropout)]
        out, state = recurrent.logits(weights, state, features, lanes.keep[index], kept)
        losses = optax.softmax_cross_entropy_with_integer_labels(out, lanes.classes[index])
        weight = lanes.weight[index] * counts
        return (losses * weight).sum() / jnp.maximum(weight.sum(), 1), state

    @jax.jit
    def update(weights, masks, optimizer_state, state, index, counts, key):
        (_, state), gradients = jax.value_and_grad(loss, has_aux=True)(weights, state, index, counts, key)
        changes, optimizer_state = optimizer.update(gradients, optimizer_state, weights)
        weights = optax.apply_updates(weights, changes)
        return masked(weights, masks), optimizer_state, state

    return update


def prune(weights: dict, sparsity: float) -> dict:
    """Masks that leave the blocks of largest norm in each prunable weight."""
    return {name: jnp.asarray(recurrent.block_mask(name, np.asarray(weights[name]), sparsity))
            for name in recurrent.PRUNED}


def masked(weights: dict, masks: dict) -> dict:
    return {name: weight * masks[name] if name in masks else weight for name, weight in weights.items()}


def train(problem: Problem, arguments: argparse.Namespace, sparsity: float) -> dict:
    """Dense training, cubic block pruning to `sparsity`, fine-tuning with frozen masks.

    From the end of pruning on a moving average of the weights is kept; what is returned is the average with the lowest
    validation loss after an epoch.
    """
    lanes = Lanes(problem)
    generator = np.random.default_rng(arguments.seed)
    key = jax.random.key(arguments.seed)
    weights = recurrent.initial(key, len(problem.data.names), len(problem.horizons))
    total = arguments.epochs * lanes.chunks
    rate = optax.warmup_cosine_decay_schedule(0, arguments.learning_rate, total // 50 + 1, total)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=arguments.weight_decay))
    optimizer_state = optimizer.init(weights)
    update = make_update(lanes, optimizer, arguments.input_dropout, arguments.dropout)
    masks = prune(weights, 0)
    # A model that is not pruned may stop as early as it likes.
    last_pruning = int(np.ceil((PRUNE_TO if sparsity > 0 else PRUNE_FROM) * arguments.epochs))
    average, best, best_loss = None, None, np.inf
    progress = Progress(arguments.epochs)
    for epoch in range(arguments.epochs):
        if epoch <= last_pruning:
            share = recurrent.cubic_sparsity(epoch / arguments.epochs, sparsity, PRUNE_FROM, PRUNE_TO)
            masks = prune(weights, share)
            weights = masked(weights, masks)
        state = jnp.zeros((LANES, recurrent.GRU_UNITS))
        for number, (index, counts) in enumerate(lanes.epoch(generator)):
            step_key = jax.random.fold_in(key, epoch * lanes.chunks + number)
            weights, optimizer_state, state = update(
                weights, masks, optimizer_state, state, index, counts, step_key)
            if epoch >= last_pruning:
                average = weights if average is None else blend(average, weights)
        note = ""
        if average is not None:
            loss = validation_loss(problem, host(average))
            note = f"validation loss {loss:.4f}"
            if loss < best_loss:
                best, best_loss = host(average), loss
        progress.show(epoch + 1, note)
    progress.close()
    if best is None:
        raise DataError(f"after {arguments.epochs} epochs there is no finite validation loss")
    return best


@jax.jit
def blend(average: dict, weights: dict) -> dict:
    return jax.tree.map(lambda old, new: AVERAGE_DECAY * old + (1 - AVERAGE_DECAY) * new, average, weights)


def host(weights: dict) -> dict:
    return {name: np.asarray(weight) for name, weight in weights.items()}


def stream(problem: Problem, weights: dict) -> np.ndarray:
    """Probabilities of all ticks in order, as a processor computes them."""
    return recurrent.probabilities(weights, problem.normalised, problem.data.reset)


def validation_loss(problem: Problem, weights: dict) -> float:
    """Cross-entropy on the validation part, streamed from a little before it."""
    first = problem.validation_from - BURN_IN
    rows = slice(first, problem.test_from)
    part = recurrent.probabilities(weights, problem.normalised[rows], problem.data.reset[rows])
    whole = np.full((len(problem.data.mid), *part.shape[1:]), 1 / 3, np.float32)
    whole[rows] = part
    return evaluate(problem, whole, problem.validation)[1]


class Progress:
    """One line that rewrites itself, on a terminal only."""

    def __init__(self, total: int) -> None:
        self.total, self.start, self.is_shown = total, time.monotonic(), sys.stderr.isatty()

    def show(self, done: int, note: str) -> None:
        if self.is_shown:
            left = (time.monotonic() - self.start) / done * (self.total - done)
            print(f"\repoch {done}/{self.total}, {left:.0f} s left  {note}\033[K", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.is_shown:
            print(file=sys.stderr)


def metadata(problem: Problem, weights: dict, results: dict, arguments: argparse.Namespace) -> dict:
    """The `martlet.*` values of docs/MODEL.md."""
    metrics = {}
    for column, horizon in enumerate(problem.horizons):
        for kind in ("model", "persistence", "majority"):
            for score in ("macro_f1", "weighted_f1"):
                prefix = "" if kind == "model" else kind + "_"
                metrics[f"test_{prefix}{score}_{horizon.length}"] = round(results[kind][column][score], 4)
    return {
        "contract_version": 1,
        "feature_set_version": problem.data.description["feature_set_version"],
        "feature_names": problem.data.names,
        "horizons": [
            {"length": horizon.length, "unit": horizon.unit, "label": problem.label, "alpha": alpha}
            for horizon, alpha in zip(problem.horizons, problem.alphas)],
        "warm_up_ticks": arguments.warm_up,
        "name": arguments.out.stem,
        "training_data_sha256": problem.data.description["sha256"],
        # Validation chose the weights, so training ends where the test begins.
        "training_end_timestamp": int(problem.data.ts_recv[problem.test_from - 1]),
        "metrics": metrics,
        "density": round(recurrent.density(weights), 6),
        "precision": "fp32",
    }


def check_export(problem: Problem, probabilities: np.ndarray, path: pathlib.Path) -> float:
    """Largest difference between ONNX Runtime and the training code over the first ticks; refuses a large one."""
    rows = slice(0, EXPORT_CHECK_TICKS)
    found = export.run(path, problem.data.features[rows], problem.data.reset[rows])
    difference = float(np.abs(found - probabilities[rows]).max())
    if not difference <= EXPORT_TOLERANCE:
        raise DataError(f"{path}: ONNX Runtime differs from the training code by {difference:.2g}")
    return difference


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m martlet.train", description=__doc__.split("\n\n")[0])
    parser.add_argument("--features", type=pathlib.Path, required=True, metavar="DIR", help="from `martlet features`")
    parser.add_argument("--out", type=pathlib.Path, required=True, metavar="FILE.onnx")
    parser.add_argument("--instrument", metavar="DATASET/SYMBOL", help="needed where the folder holds several")
    parser.add_argument("--horizons", default="10,20,50,100", help="in ticks (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--weight-decay", type=float, default=1e-2)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--input-dropout", type=float, default=0.2)
    parser.add_argument("--sparsity", type=float, default=0.8, help="share of blocks that become zero")
    parser.add_argument("--warm-up", type=int, help="ticks after a reset that are not judged (default: the features')")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    try:
        arguments.horizons = [int(part) for part in arguments.horizons.split(",")]
    except ValueError:
        parser.error("--horizons is a list of integers such as 10,20,50,100")
    if arguments.epochs < 3:
        parser.error("--epochs is at least 3: dense training, pruning, fine-tuning")
    shares = (arguments.sparsity, arguments.dropout, arguments.input_dropout)
    if min(arguments.horizons) < 1 or not all(0 <= share < 1 for share in shares):
        parser.error("horizons begin at 1; sparsity and both dropouts lie from 0 to below 1")
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    try:
        data = Data.load(arguments.features, arguments.instrument)
        if arguments.warm_up is None:
            arguments.warm_up = data.description["warm_up_ticks"]
        problem = prepare(data, arguments.horizons, arguments.warm_up)
        dense = stream(problem, train(problem, arguments, 0))
        weights = train(problem, arguments, arguments.sparsity)
        probabilities = stream(problem, weights)
        majority, persistent = baselines(problem, problem.test)
        results = {
            "model": evaluate(problem, probabilities, problem.test)[0],
            "dense": evaluate(problem, dense, problem.test)[0], "majority": majority, "persistence": persistent,
        }
        values = metadata(problem, weights, results, arguments)
        model = export.to_onnx(weights, problem.mean, problem.scale, values)
        export.save(model, arguments.out)
        difference = check_export(problem, probabilities, arguments.out)
    except (DataError, OSError) as error:
        print(f"martlet.train: {error}", file=sys.stderr)
        return 1
    text = card.write(problem, weights, results, values, difference, arguments)
    arguments.out.with_suffix(".md").write_text(text)
    print(card.table([horizon.length for horizon in problem.horizons], results))
    print(f"{arguments.out}: density {values['density']:.3f}, within {difference:.1g} of ONNX Runtime")
    return 0


if __name__ == "__main__":
    sys.exit(main())
