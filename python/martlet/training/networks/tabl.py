"""BiN-C(TABL): bilinear normalisation, two bilinear layers and one with temporal attention, over a window of ten
ticks."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ..pruning import Layout
from .common import FLOAT, dropped, glorot

DEVIATION_MIN = np.float32(1e-4)


@dataclass(frozen=True)
class BiNCTABL:
    """Tran et al. 2021 (BiN, arXiv 2003.00598) before Tran et al. 2019 (TABL, arXiv 1712.00975), topology C: 60×10,
    120×5, outputs×1.

    The last layer attends to the ticks for each of its `outputs`; with three of them and heads that are direct
    (`heads.Heads.is_direct`) this is the published classifier.
    """

    outputs: int = 3
    sizes: tuple[tuple[int, int], ...] = ((60, 10), (120, 5))
    window: int = 10
    dropout: float = 0.1

    is_stream, is_quantizable = False, False
    neurons = {}

    def __post_init__(self):
        if self.window < 2:
            raise ValueError(f"BiN-C(TABL) normalises over a window of at least 2 ticks, not {self.window}")

    @property
    def width(self) -> int:
        return self.outputs

    def _layers(self, feature_count):
        """Rows and ticks of each layer's input, then of its output."""
        shapes = [(feature_count, self.window), *map(tuple, self.sizes), (self.outputs, 1)]
        return list(zip(shapes, shapes[1:]))

    def initial(self, key: jax.Array, feature_count: int) -> dict:
        weights = {
            "bin_ticks_scale": jnp.ones((feature_count, 1)), "bin_ticks_offset": jnp.zeros((feature_count, 1)),
            "bin_rows_scale": jnp.ones((1, self.window)), "bin_rows_offset": jnp.zeros((1, self.window)),
            "bin_mix": jnp.full(2, 0.5)}
        for layer, ((rows, ticks), (next_rows, next_ticks)) in enumerate(self._layers(feature_count)):
            keys = jax.random.split(jax.random.fold_in(key, layer))
            weights[f"bl{layer}_w"] = glorot(keys[0], (next_rows, rows), rows, next_rows)
            weights[f"bl{layer}_t"] = glorot(keys[1], (ticks, next_ticks), ticks, next_ticks)
            weights[f"bl{layer}_b"] = jnp.zeros((next_rows, next_ticks))
        last = self.sizes[-1][1]
        return weights | {"attention_t": jnp.full((last, last), 1 / last), "attention_mix": jnp.full((1,), 0.5)}

    def hidden(self, weights, x, dropout_key=None, numerics=FLOAT):
        x = self._normalised(weights, jnp.swapaxes(x, 1, 2))
        for layer in range(len(self.sizes)):
            x = jax.nn.relu(weights[f"bl{layer}_w"] @ x @ weights[f"bl{layer}_t"] + weights[f"bl{layer}_b"])
            x = dropped(x, self.dropout, dropout_key, layer)
        name = f"bl{len(self.sizes)}"
        x = weights[f"{name}_w"] @ x
        share = jnp.clip(weights["attention_mix"], 0, 1)
        attention = jax.nn.softmax(x @ _attention(jnp, weights["attention_t"]), axis=-1)
        x = share * (x * attention) + (1 - share) * x
        return (x @ weights[f"{name}_t"] + weights[f"{name}_b"])[..., 0]

    def _normalised(self, weights, x):
        """x [B, features, ticks] normalised along each axis, each with a scale and offset, then mixed."""
        total = 0
        for number, (axis, name) in enumerate(((-1, "ticks"), (-2, "rows"))):
            centred = x - x.mean(axis=axis, keepdims=True)
            variance = (centred**2).mean(axis=axis, keepdims=True) * (x.shape[axis] / (x.shape[axis] - 1))
            part = centred / jnp.sqrt(jnp.maximum(variance, DEVIATION_MIN**2))
            part = part * weights[f"bin_{name}_scale"] + weights[f"bin_{name}_offset"]
            total = total + jax.nn.relu(weights["bin_mix"][number]) * part
        return total

    @property
    def prunable(self) -> dict[str, Layout]:
        return {f"bl{layer}_w": Layout("rows") for layer in range(len(self.sizes))}

    def exported_window(self, is_integer: bool) -> int:
        return self.window

    def nodes(self, builder, weights: dict, value: str) -> str:
        def named(item, stem):
            return item if isinstance(item, str) else builder.constant(np.asarray(item), stem)

        def product(left, right, layer=None):
            return builder.node("MatMul", [named(left, "weight"), named(right, "weight")], layer=layer)

        def arithmetic(operator, left, right):
            return builder.node(operator, [left, named(right, "constant")])

        value = self._normalised_nodes(builder, weights, builder.node("Transpose", [value], perm=[0, 2, 1]), arithmetic)
        for layer in range(len(self.sizes)):
            value = product(product(weights[f"bl{layer}_w"], value, f"bl{layer}"), weights[f"bl{layer}_t"])
            value = builder.node("Relu", [arithmetic("Add", value, weights[f"bl{layer}_b"])])
        name = f"bl{len(self.sizes)}"
        value = product(weights[f"{name}_w"], value)
        share = np.clip(np.asarray(weights["attention_mix"]), 0, 1).astype(np.float32)
        mixed = product(value, _attention(np, np.asarray(weights["attention_t"])))
        attention = builder.node("Softmax", [mixed], axis=-1)
        attended = arithmetic("Mul", builder.node("Mul", [value, attention]), share)
        value = builder.node("Add", [attended, arithmetic("Mul", value, 1 - share)])
        value = arithmetic("Add", product(value, weights[f"{name}_t"]), weights[f"{name}_b"])
        return builder.reshape(value, 1, self.outputs)

    def _normalised_nodes(self, builder, weights, value, arithmetic):
        parts = []
        for number, (axis, count, name) in enumerate(((2, self.window, "ticks"), (1, builder.features, "rows"))):
            centred = builder.node("Sub", [value, builder.node("ReduceMean", [value], axes=[axis])])
            square = builder.node("ReduceMean", [builder.node("Mul", [centred, centred])], axes=[axis])
            unbiased = arithmetic("Mul", square, np.float32(count / (count - 1)))
            deviation = builder.node("Clip", [builder.node("Sqrt", [unbiased]), builder.constant(DEVIATION_MIN)])
            part = builder.node("Div", [centred, deviation])
            part = arithmetic("Mul", part, weights[f"bin_{name}_scale"])
            part = arithmetic("Add", part, weights[f"bin_{name}_offset"])
            parts.append(arithmetic("Mul", part, max(float(weights["bin_mix"][number]), 0.0)))
        return builder.node("Add", parts)


def _attention(library, weight):
    """The matrix of the attention over ticks, whose diagonal is fixed."""
    count = len(weight)
    return library.where(library.eye(count, dtype=bool), 1 / count, weight).astype(np.float32)
