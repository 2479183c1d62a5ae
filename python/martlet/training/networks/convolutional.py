"""Causal dilated convolutions (Bai, Kolter and Koltun 2018, arXiv 1803.01271)."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from ..pruning import Layout
from .common import FLOAT, dropped, he, segments, tap_matrix, taps


@dataclass(frozen=True)
class TCN:
    """Layers of one convolution and a rectifier each; dilations double; from the second layer on the input is added.

    `convN_w` [channels, inputs, kernel], as ONNX's Conv has it; the last tap is the present tick.
    """

    channels: int = 32
    layers: int = 6
    kernel: int = 3
    input_dropout: float = 0.2
    dropout: float = 0.2

    is_stream, is_quantizable = True, True
    neurons = {}

    def exported_window(self, is_integer: bool) -> int:
        """In bytes all ticks that an output sees: streamed from there each is quantised once, which a step cannot
        say."""
        return 1 + sum(self._past(layer) for layer in range(self.layers)) if is_integer else 1

    @property
    def width(self) -> int:
        return self.channels

    def _past(self, layer: int) -> int:
        return 2**layer * (self.kernel - 1)

    def initial(self, key: jax.Array, feature_count: int) -> dict:
        weights, inputs = {}, feature_count
        for layer in range(self.layers):
            shape = (self.channels, inputs, self.kernel)
            weights[f"conv{layer}_w"] = he(jax.random.fold_in(key, layer), shape, inputs * self.kernel)
            weights[f"conv{layer}_b"] = jnp.zeros(self.channels)
            inputs = self.channels
        return weights

    def start(self, lanes: int, feature_count: int) -> dict:
        inputs = [feature_count] + [self.channels] * (self.layers - 1)
        return {f"conv{layer}": jnp.zeros((self._past(layer), lanes, inputs[layer])) for layer in range(self.layers)}

    def hidden(self, weights, state, x, keep, dropout_key=None, numerics=FLOAT):
        x, state, segment = dropped(x, self.input_dropout, dropout_key, 0), dict(state), segments(keep)
        for layer in range(self.layers):
            name = f"conv{layer}"
            weight = numerics.weight(tap_matrix(weights[f"{name}_w"]))
            read, state[name] = taps(x, state[name], segment, self.kernel, 2**layer)
            out = jax.nn.relu(numerics.product(name, read, weight) + weights[f"{name}_b"])
            x = out if layer == 0 else x + out
            x = dropped(x, self.dropout, dropout_key, layer + 1)
        return x, state

    @property
    def prunable(self) -> dict[str, Layout]:
        return {f"conv{layer}_w": Layout("taps") for layer in range(self.layers)}

    def nodes(self, builder, weights: dict, value: str) -> str:
        """A step that keeps what each layer read before, or the whole window without padding, which the engine
        streams."""
        value = builder.node("Transpose", [value], perm=[0, 2, 1])
        inputs, rows, is_step = builder.features, builder.window, builder.window == 1
        for layer in range(self.layers):
            name, past = f"conv{layer}", self._past(layer)
            read, shape = value, [1, inputs, past]
            if is_step:
                read = builder.node("Concat", [builder.state(name, shape), value], axis=2)
                builder.next_state(name, builder.slice(read, 1, past + 1, 2), shape)
            out = builder.convolution(name, read, weights[f"{name}_w"], weights[f"{name}_b"], dilations=[2**layer])
            out = builder.node("Relu", [out])
            if layer > 0:
                added = value if is_step else builder.slice(value, past, rows, 2)
                out = builder.node("Add", [added, out])
            value, inputs, rows = out, self.channels, rows if is_step else rows - past
        return builder.reshape(value, 1, self.channels)
