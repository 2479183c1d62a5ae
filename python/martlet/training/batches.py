"""What a network is trained on, as plain arrays, and how it is cut into lanes of a stream or into windows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from ..labels import ticks_since_reset


class TrainingError(ValueError):
    """What is given cannot be trained on; the text says why."""


@dataclass
class Examples:
    """One stream of ticks with targets, and which of them count for training and for validation.

    `targets` and the counts are by target: `classes` [N, H], `returns` [N, H], `trend` [N], `teacher` [N, H, 3] … The
    counts are [N, H] or [N], 0 where a target does not count; the parts are stretches of time. A target that is not
    finite, or a class below 0, never counts.
    """

    #: [N, F], normalised, float32.
    features: np.ndarray
    #: [N], not 0 at the first tick after a reset.
    reset: np.ndarray
    targets: dict[str, np.ndarray]
    train: dict[str, np.ndarray]
    validation: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        count = len(self.features)
        if self.features.ndim != 2 or not np.isfinite(self.features).all():
            raise TrainingError(f"features are {self.features.shape}; expected finite numbers [ticks, features]")
        self.features = np.ascontiguousarray(self.features, np.float32)
        self.reset = np.array(self.reset) != 0
        if self.reset.shape != (count,):
            raise TrainingError(f"reset is {self.reset.shape}; expected ({count},)")
        self.reset[0] = True
        for part in (self.train, self.validation):
            missing = self.targets.keys() - part.keys()
            if missing:
                raise TrainingError(f"no weights for {', '.join(sorted(missing))}")
        self.train, self.validation = (
            {name: self._counts(name, part[name]) for name in self.targets} for part in (self.train, self.validation))
        self.targets = {name: np.nan_to_num(np.asarray(value, np.float32), nan=0, posinf=0, neginf=0)
                        for name, value in self.targets.items()}
        for name, part in (("train", self.train), ("validation", self.validation)):
            if not any(weight.any() for weight in part.values()):
                raise TrainingError(f"nothing counts in the part {name}")

    def _counts(self, name, weight):
        target = np.asarray(self.targets[name])
        weight = np.asarray(weight, np.float32)
        if len(target) != len(self.features) or weight.shape != target.shape[:weight.ndim]:
            raise TrainingError(f"{name} is {target.shape}, its weights {weight.shape}, of {len(self.features)} ticks")
        is_usable = target >= 0 if name in ("classes", "trend") else np.isfinite(target)
        others = tuple(range(weight.ndim, target.ndim))
        return weight * is_usable.all(axis=others)

    def bounds(self, part: dict[str, np.ndarray]) -> tuple[int, int]:
        """The first tick that counts in a part, and the one after the last."""
        rows = np.flatnonzero(np.any([weight.reshape(len(weight), -1).any(axis=1) for weight in part.values()], axis=0))
        return int(rows[0]), int(rows[-1]) + 1

    def digest(self) -> str:
        """SHA-256 over all arrays, so that a run is not continued on others."""
        sha = hashlib.sha256()
        parts = (self.targets, self.train, self.validation)
        for array in (self.features, self.reset, *(part[name] for part in parts for name in sorted(part))):
            sha.update(np.ascontiguousarray(array))
        return sha.hexdigest()


class Batches:
    """The training part on the device. A batch is indices of its ticks: [steps, lanes] or [windows]."""

    def __init__(self, examples: Examples, names: tuple[str, ...]):
        self.first, end = examples.bounds(examples.train)
        rows = slice(self.first, end)
        self.count = end - self.first
        self.keep = 1 - examples.reset[rows].astype(np.float32)
        self.keep[0] = 0
        #: Compiled steps take these as an argument: closed over they would be constants of the program.
        self.arrays = {
            "features": jnp.asarray(examples.features[rows]), "keep": jnp.asarray(self.keep),
            "targets": {name: jnp.asarray(examples.targets[name][rows]) for name in names},
            "counts": {name: jnp.asarray(examples.train[name][rows]) for name in names}}


class Lanes(Batches):
    """Cuts the training part into parallel stretches, elsewhere in each epoch, and these into chunks of `steps` ticks.

    A lane runs through `burn_in` ticks before its first loss, so that its state is that of a running stream.
    """

    def __init__(self, examples: Examples, names: tuple[str, ...], lanes: int, steps: int, burn_in: int):
        super().__init__(examples, names)
        if self.count < lanes * steps:
            raise TrainingError(f"{self.count} training ticks are fewer than {lanes} lanes of {steps}")
        self.lanes, self.steps, self.burn_in_chunks = lanes, steps, -(-burn_in // steps)
        self.length = -(-self.count // (lanes * steps)) * steps

    @property
    def chunks(self) -> int:
        """Batches of one epoch."""
        return self.length // self.steps

    def burn_in(self, generator: np.random.Generator) -> Iterator[jax.Array]:
        """Where each lane begins in the next epoch, and the chunks before that, without losses."""
        self.starts = int(generator.integers(self.count)) + np.arange(self.lanes) * self.length
        return (self._chunk(chunk) for chunk in range(-self.burn_in_chunks, 0))

    def epoch(self, generator: np.random.Generator) -> Iterator[jax.Array]:
        return (self._chunk(chunk) for chunk in range(self.chunks))

    def _chunk(self, chunk):
        return jnp.asarray((self.starts + chunk * self.steps + np.arange(self.steps)[:, None]) % self.count)


class Windows(Batches):
    """Windows that no reset lies in, in random order; of each epoch at most `limit` of them."""

    def __init__(self, examples: Examples, names: tuple[str, ...], window: int, size: int, limit: int | None):
        super().__init__(examples, names)
        self.window, self.size = window, size
        is_full = ticks_since_reset(1 - self.keep) >= window - 1
        parts = [np.asarray(weight).reshape(self.count, -1).any(axis=1) for weight in self.arrays["counts"].values()]
        self.ends = np.flatnonzero(is_full & np.any(parts, axis=0))
        if len(self.ends) < size:
            raise TrainingError(f"{len(self.ends)} training windows of {window} ticks are fewer than a batch of {size}")
        self.limit = min(limit or len(self.ends), len(self.ends))

    @property
    def chunks(self) -> int:
        return max(self.limit // self.size, 1)

    def burn_in(self, generator: np.random.Generator) -> Iterator[jax.Array]:
        """None: a window has no state."""
        return iter(())

    def epoch(self, generator: np.random.Generator) -> Iterator[jax.Array]:
        ends = generator.permutation(self.ends)[:self.chunks * self.size]
        return (jnp.asarray(chunk) for chunk in ends.reshape(self.chunks, self.size))


def windows(features: jax.Array, index: jax.Array, window: int) -> jax.Array:
    """The windows [batch, window, F] that end at some ticks."""
    return features[index[:, None] + jnp.arange(1 - window, 1)]
