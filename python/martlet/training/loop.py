"""One training loop for all networks: truncated back-propagation over lanes of a stream, or minibatches of windows.

AdamW with warm-up and cosine decay, gradients clipped by their norm, an exponential moving average of the weights,
which is what is judged and returned: the one of the epoch with the least validation loss once pruning and quantisation
have settled. The same examples and settings give the same weights on the same machine; a run with a checkpoint goes on
from its last epoch to the same bits.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from . import checkpoint, inference, pruning, steps
from .batches import Examples, Lanes, TrainingError, Windows
from .data import kept_values
from .distillation import MATCH, TEACHER, TEACHER_HIDDEN, Distillation
from .heads import Heads
from .policy import MARKET, Trading, without_helpers
from .progress import Progress
from .pruning import Pruning
from .quantization import Quantization, Ranges, measure
from .steps import Optimization


@dataclass(frozen=True)
class Settings:
    epochs: int = 20
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    #: Share of the training over which the learning rate rises.
    warm_up: float = 0.02
    clip: float = 1.0
    #: How much of the moving average of the weights stays in each step.
    average_decay: float = 0.99
    #: Parallel lanes of a stream, the ticks through which gradients go back, and those before a lane's first loss.
    lanes: int = 32
    steps: int = 50
    burn_in: int = 200
    #: Windows in a batch, and at most in an epoch.
    batch: int = 128
    windows: int | None = None
    #: Of the validation part every so many windows are judged.
    validation_every: int = 1
    seed: int = 1
    #: Epochs without a lower validation loss after which training ends; None for never.
    patience: int | None = None
    #: Share of the training before which no weights are chosen, pruned and quantised or not.
    least_settled: float = 0.1
    pruning: Pruning | None = None
    #: Whether prunable weights that are zero at first stay so: for tuning what is pruned already.
    keeps_zeros: bool = False
    quantization: Quantization | None = None
    distillation: Distillation | None = None
    #: How the head `position` is learned, where it is.
    trading: Trading | None = None

    @property
    def settled(self) -> float:
        """Share of the training from which weights may be chosen."""
        pruned = self.pruning.end if self.pruning else 0
        return max(self.least_settled, pruned, self.quantization.begin if self.quantization else 0)


@dataclass
class Trained:
    weights: dict[str, np.ndarray]
    #: Ranges of the quantised values, where it was trained quantised.
    ranges: Ranges | None
    #: For each epoch: training loss, validation loss (NaN before it counts), sparsity.
    history: list[dict]
    #: From 0.
    best_epoch: int

    def save(self, path: pathlib.Path) -> None:
        """Writes all of it as one `.npz`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {"ranges": self.ranges, "history": self.history, "best_epoch": self.best_epoch}
        with open(path, "wb") as file:
            np.savez(file, json=np.array(json.dumps(values)), **self.weights)

    @staticmethod
    def load(path: pathlib.Path) -> "Trained":
        values, weights = kept_values(path)
        ranges = values.pop("ranges")
        return Trained(weights, ranges and {name: tuple(pair) for name, pair in ranges.items()}, **values)


def train(network, heads: Heads, examples: Examples, settings: Settings, first: dict | None = None,
          folder: pathlib.Path | None = None) -> Trained:
    """Trains from `first` weights, or from random ones; with a folder it keeps a checkpoint there and goes on from
    it."""
    run = _Run(network, heads, examples, settings, first)
    identity = checkpoint.identity(network, heads, settings, examples, first) if folder else {}
    if folder is not None and (folder / checkpoint.NAME).exists():
        run.restore(checkpoint.load(folder, identity))
    progress = Progress(settings.epochs, run.epoch)
    try:
        while run.epoch < settings.epochs and not run.is_over:
            note = run.one_epoch()
            if folder is not None:
                checkpoint.save(folder, identity, run.saved())
            progress.show(run.epoch, note)
    finally:
        # Gives the terminal its cursor back.
        progress.close()
    return run.result()


def importance(network, heads: Heads, examples: Examples, settings: Settings, weights: dict) -> dict[str, np.ndarray]:
    """By weight, (weight · gradient)² of the heads' loss, without distillation, summed over the batches of an epoch of
    training: what the loss would change by without that weight, to first order and squared."""
    return _Run(network, heads, examples, dataclasses.replace(settings, distillation=None), weights).importance()


def training_ranges(network, weights: dict, examples: Examples, settings: Quantization) -> Ranges:
    """The ranges of a network's quantised values on training ticks."""
    first, end = examples.bounds(examples.train)
    return measure(network, weights, examples.features[first:end], examples.reset[first:end], settings)


class _Run:
    """A training under way: all that a checkpoint holds, and the compiled steps."""

    def __init__(self, network, heads, examples, settings, first):
        if settings.quantization and not network.is_quantizable:
            raise TrainingError(
                f"{type(network).__name__} is not trained quantised; `martlet model quantize` quantises its file")
        self.network, self.heads, self.examples, self.settings = network, heads, examples, settings
        if settings.trading and not (network.is_stream and "position" in heads.names):
            raise TrainingError("trading is learned by a network that streams, with the head position")
        names = _targets(heads, settings.trading)
        if settings.distillation:
            names += (TEACHER, TEACHER_HIDDEN) if settings.distillation.features else (TEACHER,)
        missing = [name for name in names if name not in examples.targets]
        if missing:
            raise TrainingError(f"the heads, the distillation and the trading need the targets {', '.join(missing)}")
        if network.is_stream:
            self.batches = Lanes(examples, names, settings.lanes, settings.steps, settings.burn_in)
        else:
            self.batches = Windows(examples, names, network.window, settings.batch, settings.windows)
        total = settings.epochs * self.batches.chunks
        if settings.settled * total > total - 1:
            raise TrainingError(
                f"weights are chosen from a share of {settings.settled:g} of the training on, which leaves none of its "
                f"{total} steps: an earlier end of the pruning, begin of the quantisation or least_settled")
        self.optimization = Optimization(
            settings.learning_rate, settings.weight_decay, settings.warm_up, settings.clip,
            total * (settings.trading.passes if settings.trading else 1))
        self.key = jax.random.key(settings.seed)
        self.weights = {name: jnp.asarray(w, jnp.float32) for name, w in self._first(first).items()}
        self.optimizer_state = jax.jit(self.optimization.optimizer().init)(self.weights)
        self.masks: dict[str, jax.Array] = {}
        if settings.keeps_zeros:
            self.masks = {name: jnp.asarray(self.weights[name] != 0, jnp.float32) for name in network.prunable}
        self.average, self.best, self.ranges = None, None, None
        self.best_loss, self.best_epoch = np.inf, -1
        self.epoch, self.history = 0, []
        self._compile()

    def _first(self, first):
        """What is given, and of what is not, as distillation and trading add, the first weights."""
        return self._initial() | (first or {})

    def _initial(self):
        teacher = self.examples.targets.get(TEACHER_HIDDEN)
        make = steps.compiled_initial(
            self.network, self.heads, self.settings.distillation, self.settings.trading,
            self.examples.features.shape[1], 0 if teacher is None else teacher.shape[1])
        return make(self.key)

    def _compile(self):
        ranges = None if self.ranges is None else tuple(sorted(self.ranges.items()))
        self.steps = steps.compiled(
            self.network, self.heads, self.settings.distillation, self.settings.trading, self.optimization, ranges)

    # Epochs

    def one_epoch(self) -> str:
        settings, chunks = self.settings, self.batches.chunks
        generator = np.random.default_rng([settings.seed, self.epoch])
        state = self._start(generator)
        losses, total = [], settings.epochs * chunks
        for number, index in enumerate(self.batches.epoch(generator)):
            step = self.epoch * chunks + number
            key = jax.random.fold_in(self.key, step)
            self._prune(step, total, state, index, key)
            self._quantize(step / total)
            self.weights, self.optimizer_state, state, loss = self.steps.update(
                self.weights, self.masks, self.optimizer_state, self.batches.arrays, state, index, key)
            losses.append(loss)
            if step >= settings.settled * total:
                old = self.weights if self.average is None else self.average
                self.average = steps.blend(old, self.weights, settings.average_decay)
        return self._judge(float(np.mean([float(loss) for loss in losses])))

    def _start(self, generator):
        """The state of the lanes at an epoch's first batch."""
        lanes, trading = self.settings.lanes, self.settings.trading
        state = self.network.start(lanes, self.examples.features.shape[1]) if self.network.is_stream else {}
        if trading:
            state |= {steps.ACCOUNT: trading.start(lanes)}
        for index in self.batches.burn_in(generator):
            state = self.steps.advance(self.weights, self.batches.arrays, state, index)
        return state

    def importance(self):
        generator = np.random.default_rng([self.settings.seed, 0])
        state, sums = self._start(generator), {name: 0.0 for name in self.weights}
        for number, index in enumerate(self.batches.epoch(generator)):
            key = jax.random.fold_in(self.key, number)
            gradients, state = self.steps.gradients(self.weights, self.batches.arrays, state, index, key)
            sums = {name: sums[name] + (weight * gradients[name]) ** 2 for name, weight in self.weights.items()}
        return {name: np.asarray(value) for name, value in sums.items()}

    def _prune(self, step, total, state, index, key):
        schedule, progress = self.settings.pruning, step / total
        if schedule is None:
            return
        first, last = (int(np.ceil(share * total)) for share in (schedule.begin, schedule.end))
        if not first <= step <= last or ((step - first) % schedule.every and step != last):
            return
        gradients, exchanged = None, schedule.exchanged(progress)
        if exchanged > 0:
            gradients, _ = self.steps.gradients(self.weights, self.batches.arrays, state, index, key)
        masks = pruning.masks(
            self.weights, self.network.prunable, schedule.sparsity(progress), schedule, gradients, exchanged)
        self.masks = {name: jnp.asarray(mask) for name, mask in masks.items()}
        self.weights = steps.masked(self.weights, self.masks)

    def _quantize(self, progress):
        settings = self.settings.quantization
        if settings is None or self.ranges is not None or progress < settings.begin:
            return
        self.ranges = training_ranges(self.network, self.weights, self.examples, settings)
        self._compile()

    def _judge(self, training_loss) -> str:
        line = {"training_loss": training_loss, "validation_loss": float("nan"),
                "sparsity": 1 - pruning.density(self.weights, self.network.prunable)}
        self.epoch += 1
        if self.average is not None:
            loss = validation_loss(
                self.network, self.heads, self.average, self.examples, self.ranges, self.settings.validation_every,
                self.settings.trading)
            line["validation_loss"] = loss
            if loss < self.best_loss:
                self.best, self.best_loss, self.best_epoch = self.average, loss, self.epoch - 1
        self.history.append(line)
        return f"loss {training_loss:.4f}, validation {line['validation_loss']:.4f}"

    @property
    def is_over(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.best is not None and self.epoch - 1 - self.best_epoch >= patience

    def result(self) -> Trained:
        if self.best is None:
            raise TrainingError(
                f"after {self.epoch} epochs there is no finite validation loss; the learning rate may be too high")
        weights = {name: np.asarray(w) for name, w in without_helpers(self.best).items() if name != MATCH}
        return Trained(weights, self.ranges, self.history, self.best_epoch)

    # Checkpoints

    def saved(self) -> tuple[dict, dict]:
        """Arrays, and what JSON holds."""
        arrays = {"weights": self.weights, "masks": self.masks, "average": self.average, "best": self.best,
                  "optimizer": self.optimizer_state}
        values = {"epoch": self.epoch, "history": self.history, "ranges": self.ranges, "best_loss": self.best_loss,
                  "best_epoch": self.best_epoch}
        return arrays, values

    def restore(self, saved) -> None:
        leaves, values = saved
        self.epoch, self.history = values["epoch"], values["history"]
        self.best_loss, self.best_epoch = values["best_loss"], values["best_epoch"]
        for name in ("weights", "masks", "average", "best"):
            found = {key.split("/", 1)[1]: value for key, value in leaves.items() if key.startswith(f"{name}/")}
            setattr(self, name, found or ({} if name == "masks" else None))
        structure = jax.tree.structure(self.optimizer_state)
        count = structure.num_leaves
        self.optimizer_state = jax.tree.unflatten(structure, [leaves[f"optimizer/{number}"] for number in range(count)])
        if values["ranges"] is not None:
            self.ranges = {name: tuple(range_) for name, range_ in values["ranges"].items()}
            self._compile()


def validation_loss(network, heads: Heads, weights: dict, examples: Examples, ranges: Ranges | None = None,
                    every: int = 1, trading: Trading | None = None, burn_in: int = 500) -> float:
    """The heads' loss over the validation part, streamed from a little before it; without distillation. Where a
    position is learned, it trades as it will."""
    first, end = examples.bounds(examples.validation)
    rows = slice(max(first - burn_in, 0), end)
    names = _targets(heads, trading)
    found = inference.outputs(
        network, heads, weights, examples.features[rows], examples.reset[rows], ranges, True, every)
    hidden = found["hidden"]
    is_known = np.isfinite(hidden).all(axis=1)
    counts = {name: _rows(examples.validation[name][rows], is_known) for name in names}
    targets = {name: examples.targets[name][rows] for name in names}
    return float(steps.compiled_loss(heads, trading)(weights, np.nan_to_num(hidden), targets, counts))


def _targets(heads, trading):
    return heads.targets() + ((MARKET,) if trading else ())


def _rows(weight, chosen):
    return weight * chosen.reshape(-1, *[1] * (weight.ndim - 1))
