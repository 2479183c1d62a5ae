"""A large teacher over a window: layers that mix ticks and layers that mix features, in turn.

MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601), as MLPLOB has it for order books (Berti and Kasneci 2025, arXiv
2502.15757).
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ..pruning import Layout
from .common import FLOAT, dropped, glorot

EPSILON = 1e-5


@dataclass(frozen=True)
class Mixer:
    """`layers` pairs of residual blocks, each norm, dense, gelu, dense: over the ticks, then over the `channels`.

    What comes out is the last tick's row, which by then has seen all others.
    """

    channels: int = 64
    layers: int = 3
    window: int = 64
    expansion: int = 2
    input_dropout: float = 0.1
    dropout: float = 0.2

    is_stream, is_quantizable = False, False
    neurons = {}

    @property
    def width(self) -> int:
        return self.channels

    def initial(self, key: jax.Array, feature_count: int) -> dict:
        weights = {
            "embed_w": glorot(jax.random.fold_in(key, 0), (feature_count, self.channels), feature_count, self.channels),
            "embed_b": jnp.zeros(self.channels)}
        for number, (name, size) in enumerate(self._blocks()):
            inner = size * self.expansion
            keys = jax.random.split(jax.random.fold_in(key, number + 1))
            weights |= {
                f"{name}_scale": jnp.ones(self.channels), f"{name}_offset": jnp.zeros(self.channels),
                f"{name}_in_w": glorot(keys[0], (size, inner), size, inner), f"{name}_in_b": jnp.zeros(inner),
                f"{name}_out_w": glorot(keys[1], (inner, size), inner, size), f"{name}_out_b": jnp.zeros(size)}
        return weights | {"last_scale": jnp.ones(self.channels), "last_offset": jnp.zeros(self.channels)}

    def _blocks(self):
        return [(f"{kind}{layer}", size) for layer in range(self.layers)
                for kind, size in (("ticks", self.window), ("channels", self.channels))]

    def hidden(self, weights, x, dropout_key=None, numerics=FLOAT):
        x = dropped(x, self.input_dropout, dropout_key, 0)
        x = x @ weights["embed_w"] + weights["embed_b"]
        for number, (name, _) in enumerate(self._blocks()):
            part = _norm(x, weights[f"{name}_scale"], weights[f"{name}_offset"])
            if name.startswith("ticks"):
                part = jnp.swapaxes(part, 1, 2)
            part = jax.nn.gelu(part @ weights[f"{name}_in_w"] + weights[f"{name}_in_b"], approximate=False)
            part = part @ weights[f"{name}_out_w"] + weights[f"{name}_out_b"]
            if name.startswith("ticks"):
                part = jnp.swapaxes(part, 1, 2)
            x = x + dropped(part, self.dropout, dropout_key, number + 1)
        return _norm(x[:, -1], weights["last_scale"], weights["last_offset"])

    @property
    def prunable(self) -> dict[str, Layout]:
        names = ["embed_w"] + [f"{name}_{part}_w" for name, _ in self._blocks() for part in ("in", "out")]
        return {name: Layout("columns") for name in names}

    def exported_window(self, is_integer: bool) -> int:
        return self.window

    def nodes(self, builder, weights: dict, value: str) -> str:
        def norm(value, name):
            parts = [builder.constant(np.asarray(weights[f"{name}_{part}"])) for part in ("scale", "offset")]
            return builder.node("LayerNormalization", [value, *parts], axis=-1, epsilon=EPSILON)

        value = builder.linear("embed", value, weights["embed_w"], weights["embed_b"])
        for name, _ in self._blocks():
            part = norm(value, name)
            if name.startswith("ticks"):
                part = builder.node("Transpose", [part], perm=[0, 2, 1])
            part = _gelu(builder, builder.linear(f"{name}_in", part, weights[f"{name}_in_w"], weights[f"{name}_in_b"]))
            part = builder.linear(f"{name}_out", part, weights[f"{name}_out_w"], weights[f"{name}_out_b"])
            if name.startswith("ticks"):
                part = builder.node("Transpose", [part], perm=[0, 2, 1])
            value = builder.node("Add", [value, part])
        last = builder.reshape(builder.slice(value, self.window - 1, self.window, 1), 1, self.channels)
        return norm(last, "last")


def _norm(x, scale, offset):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON) * scale + offset


def _gelu(builder, value):
    """x · (1 + erf(x / √2)) / 2, which operator set 17 has no name for."""
    half = builder.constant(np.float32(0.5))
    raised = builder.node("Erf", [builder.node("Mul", [value, builder.constant(np.float32(np.sqrt(0.5)))])])
    raised = builder.node("Add", [raised, builder.constant(np.float32(1))])
    return builder.node("Mul", [builder.node("Mul", [value, raised]), half])
