"""DeepLOB: convolutions over prices and sizes of the levels, an inception block, an LSTM."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ..pruning import Layout
from .common import FLOAT, dropped, glorot, he, segments, tap_matrix, taps

LEAK = 0.01
TICKS_KERNEL = 4
#: By which the six convolutions over ticks make a window shorter.
TICKS_LOST = 6 * (TICKS_KERNEL - 1)
#: Kernel over ticks of each branch of the inception block; the last one pools instead.
BRANCHES = {"short": 3, "long": 5, "pooled": 0}
POOL = 3


def columns(names: list[str], levels: int = 10) -> list[int]:
    """Where the features that DeepLOB reads are, in its order: of each level ask distance and size, bid distance and
    size."""
    kinds = ("ask_distance", "ask_log_size", "bid_distance", "bid_log_size")
    return [names.index(f"{kind}_{level}") for level in range(1, levels + 1) for kind in kinds]


@dataclass(frozen=True)
class DeepLOB:
    """Zhang, Zohren and Roberts 2019 (arXiv 1808.03668): 4 numbers of each level in order, a window of 100 ticks.

    As published but that convolutions over ticks are not padded, as in the authors' PyTorch program, so that the engine
    streams them; there is no batch norm, as in the paper. `is_causal`: a stream instead, whose inception block looks
    back only and whose LSTM goes on. That is another function.
    """

    is_causal: bool = False
    window: int = 100
    channels: int = 32
    inception: int = 64
    units: int = 64
    dropout: float = 0.2

    is_quantizable = False
    neurons = {}

    def __post_init__(self):
        if self.window <= TICKS_LOST:
            raise ValueError(f"DeepLOB's convolutions leave nothing of a window of {TICKS_LOST} ticks or fewer")

    @property
    def is_stream(self) -> bool:
        return self.is_causal

    @property
    def width(self) -> int:
        return self.units

    def exported_window(self, is_integer: bool) -> int:
        return 1 if self.is_causal else self.window

    def _convolutions(self, feature_count):
        """Name, inputs, outputs, kernel, stride along the features, width after it and padding of each before the
        inception."""
        if feature_count % 4:
            raise ValueError(f"DeepLOB reads 4 features of each level; {feature_count} are no multiple of 4")
        width, inputs, parts = feature_count, 1, []
        for block, kernel in enumerate((2, 2, feature_count // 4)):
            width = width // kernel
            parts.append((f"conv{block}0", inputs, self.channels, (1, kernel), kernel, width))
            inputs = self.channels
            parts += [(f"conv{block}{n}", inputs, inputs, (TICKS_KERNEL, 1), 1, width) for n in (1, 2)]
        return parts

    def _branches(self):
        """Name, inputs, outputs and kernel over ticks of the inception block's convolutions."""
        for branch, kernel in BRANCHES.items():
            yield f"{branch}0", self.channels, self.inception, 1
            if kernel:
                yield f"{branch}1", self.inception, self.inception, kernel

    def initial(self, key: jax.Array, feature_count: int) -> dict:
        weights = {}
        shapes = [(name, (outputs, inputs, *kernel))
                  for name, inputs, outputs, kernel, _, _ in self._convolutions(feature_count)]
        shapes += [(name, (outputs, inputs, kernel, 1)) for name, inputs, outputs, kernel in self._branches()]
        for number, (name, shape) in enumerate(shapes):
            weights[f"{name}_w"] = he(jax.random.fold_in(key, number), shape, int(np.prod(shape[1:])))
            weights[f"{name}_b"] = jnp.zeros(shape[0])
        keys, inputs = jax.random.split(jax.random.fold_in(key, 99), 8), 3 * self.inception
        orthogonal = jax.nn.initializers.orthogonal()
        remembering = jnp.zeros((4, self.units)).at[2].set(1).ravel()
        return weights | {
            "lstm_w": jnp.concatenate([glorot(k, (self.units, inputs), inputs, self.units) for k in keys[:4]]),
            "lstm_r": jnp.concatenate([orthogonal(k, (self.units, self.units)) for k in keys[4:]]),
            "lstm_wb": remembering, "lstm_rb": jnp.zeros(4 * self.units)}

    def start(self, lanes: int, feature_count: int) -> dict:
        """The past that each convolution over ticks reads, and the LSTM's state."""
        state = {
            name: jnp.zeros((kernel[0] - 1, lanes, width, inputs))
            for name, inputs, _, kernel, _, width in self._convolutions(feature_count) if kernel[0] > 1}
        state |= {name: jnp.zeros((kernel - 1, lanes, 1, inputs))
                  for name, inputs, _, kernel in self._branches() if kernel > 1}
        state["pool"] = jnp.zeros((POOL - 1, lanes, 1, self.channels))
        return state | {name: jnp.zeros((lanes, self.units)) for name in ("lstm", "lstm_cell")}

    def hidden(self, weights, *inputs, dropout_key=None, numerics=FLOAT):
        """Of a window (x), of a stream (state, x, keep)."""
        if self.is_causal:
            return self._streamed(weights, *inputs, dropout_key)
        x = inputs[0][..., None]

        def convolve(x, name, stride=1, pad=0):
            x = jax.lax.conv_general_dilated(
                x, weights[f"{name}_w"], (1, stride), ((pad, pad), (0, 0)), dimension_numbers=("NHWC", "OIHW", "NHWC"))
            return jax.nn.leaky_relu(x + weights[f"{name}_b"], LEAK)

        for name, _, _, _, stride, _ in self._convolutions(x.shape[2]):
            x = convolve(x, name, stride)
        parts = []
        for branch, kernel in BRANCHES.items():
            padding = ((0, 0), (POOL // 2, POOL // 2), (0, 0), (0, 0))
            part = x if kernel else jax.lax.reduce_window(
                x, -jnp.inf, jax.lax.max, (1, POOL, 1, 1), (1, 1, 1, 1), padding)
            part = convolve(part, f"{branch}0")
            parts.append(convolve(part, f"{branch}1", pad=kernel // 2) if kernel else part)
        x = jnp.swapaxes(jnp.concatenate(parts, axis=-1)[:, :, 0], 0, 1)
        start = tuple(jnp.zeros((x.shape[1], self.units)) for _ in range(2))
        return self._lstm(weights, start, dropped(x, self.dropout, dropout_key, 0), jnp.ones(x.shape[:2]))[0][-1]

    def _streamed(self, weights, state, x, keep, dropout_key):
        state, segment, x = dict(state), segments(keep), x[..., None]

        def convolve(x, name, kernel=1):
            if kernel > 1:
                x, state[name] = taps(x, state[name], segment, kernel)
            return jax.nn.leaky_relu(x @ tap_matrix(weights[f"{name}_w"]) + weights[f"{name}_b"], LEAK)

        for name, _, _, kernel, stride, width in self._convolutions(x.shape[2]):
            x = convolve(x.reshape(*x.shape[:2], width, -1), name, kernel[0])
        parts = []
        for branch, kernel in BRANCHES.items():
            part = x
            if not kernel:
                read, state["pool"] = taps(x, state["pool"], segment, POOL)
                part = read.reshape(*x.shape[:-1], POOL, self.channels).max(axis=-2)
            part = convolve(part, f"{branch}0")
            parts.append(convolve(part, f"{branch}1", kernel) if kernel else part)
        x = dropped(jnp.concatenate(parts, axis=-1)[:, :, 0], self.dropout, dropout_key, 0)
        x, (state["lstm"], state["lstm_cell"]) = self._lstm(weights, (state["lstm"], state["lstm_cell"]), x, keep)
        return x, state

    def _lstm(self, weights, start, x, keep):
        def step(carried, inputs):
            (hidden, cell), (sums, kept) = carried, inputs
            hidden, cell = hidden * kept[:, None], cell * kept[:, None]
            enter, leave, keeping, candidate = jnp.split(sums + hidden @ weights["lstm_r"].T, 4, axis=-1)
            cell = jax.nn.sigmoid(keeping) * cell + jax.nn.sigmoid(enter) * jnp.tanh(candidate)
            hidden = jax.nn.sigmoid(leave) * jnp.tanh(cell)
            return (hidden, cell), hidden

        last, x = jax.lax.scan(step, start, (x @ weights["lstm_w"].T + weights["lstm_wb"] + weights["lstm_rb"], keep))
        return x, last

    @property
    def prunable(self) -> dict[str, Layout]:
        names = [f"conv{block}{n}" for block in range(3) for n in range(3) if (block, n) != (0, 0)]
        names += [name for name, *_ in self._branches()]
        return {f"{name}_w": Layout("taps") for name in names} | {f"lstm_{part}": Layout("rows", 4) for part in "wr"}

    def nodes(self, builder, weights: dict, value: str) -> str:
        feature_count = builder.features
        value = builder.reshape(value, 1, 1, builder.window, feature_count)

        def with_past(value, name, past, inputs, width):
            shape = [1, inputs, past, width]
            value = builder.node("Concat", [builder.state(name, shape), value], axis=2)
            builder.next_state(name, builder.slice(value, 1, past + 1, 2), shape)
            return value

        def convolve(value, name, past, inputs, width, stride=1, pad=0):
            if past and self.is_causal:
                value, pad = with_past(value, name, past, inputs, width), 0
            value = builder.convolution(
                name, value, weights[f"{name}_w"], weights[f"{name}_b"], strides=[1, stride], pads=[pad, 0, pad, 0])
            return builder.node("LeakyRelu", [value], alpha=LEAK)

        for name, inputs, _, kernel, stride, width in self._convolutions(feature_count):
            value = convolve(value, name, kernel[0] - 1, inputs, width, stride)
        parts = []
        for branch, kernel in BRANCHES.items():
            part, pad = value, POOL // 2
            if not kernel:
                if self.is_causal:
                    part, pad = with_past(value, "pool", POOL - 1, self.channels, 1), 0
                part = builder.node("MaxPool", [part], kernel_shape=[POOL, 1], strides=[1, 1], pads=[pad, 0, pad, 0])
            part = convolve(part, f"{branch}0", 0, self.channels, 1)
            if kernel:
                part = convolve(part, f"{branch}1", kernel - 1, self.inception, 1, pad=kernel // 2)
            parts.append(part)
        rows = 1 if self.is_causal else self.window - TICKS_LOST
        value = builder.reshape(builder.node("Concat", parts, axis=1), 1, 3 * self.inception, rows)
        value = builder.node("Transpose", [value], perm=[2, 0, 1])
        recurrent = [weights[f"lstm_{part}"] for part in ("w", "r", "wb", "rb")]
        value = builder.lstm("lstm", value, *recurrent, steps=rows)
        return builder.reshape(value, 1, self.units)
