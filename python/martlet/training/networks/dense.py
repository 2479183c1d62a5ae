"""Dense layers with rectifiers: a network of its own, and what stands before recurrent layers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from ..pruning import HEADS, Layout
from .common import FLOAT, dropped, he


def initial_dense(key: jax.Array, sizes: tuple[int, ...], feature_count: int) -> dict:
    weights = {}
    for layer, (inputs, outputs) in enumerate(zip((feature_count, *sizes), sizes)):
        weights[f"dense{layer}_w"] = he(jax.random.fold_in(key, layer), (inputs, outputs), inputs)
        weights[f"dense{layer}_b"] = jnp.zeros(outputs)
    return weights


def dense(sizes: tuple[int, ...], weights: dict, x: jax.Array, dropout: float, key, numerics) -> jax.Array:
    for layer in range(len(sizes)):
        weight = numerics.weight(weights[f"dense{layer}_w"])
        x = jax.nn.relu(numerics.product(f"dense{layer}", x, weight) + weights[f"dense{layer}_b"])
        x = dropped(x, dropout, key, layer + 1)
    return x


def dense_nodes(builder, sizes: tuple[int, ...], weights: dict, value: str) -> str:
    for layer in range(len(sizes)):
        name = f"dense{layer}"
        value = builder.node("Relu", [builder.linear(name, value, weights[f"{name}_w"], weights[f"{name}_b"])])
    return value


def dense_layouts(sizes: tuple[int, ...]) -> dict[str, Layout]:
    return {f"dense{layer}_w": Layout("columns") for layer in range(len(sizes))}


def dense_neurons(sizes: tuple[int, ...], following: tuple[str, int, int]) -> dict:
    """Sizes and places of the layers' neurons; `following` is where those of the last layer are read."""
    neurons = {}
    for layer, size in enumerate(sizes):
        name = f"dense{layer}"
        reader = following if layer == len(sizes) - 1 else (f"dense{layer + 1}_w", 0, 1)
        neurons[name] = (size, [(f"{name}_w", 1, 1), (f"{name}_b", 0, 1), reader])
    return neurons


def replaced(sizes: tuple[int, ...], layer: str, count: int) -> tuple[int, ...]:
    number = int(layer.lstrip("abcdefghijklmnopqrstuvwxyz"))
    return (*sizes[:number], count, *sizes[number + 1:])


@dataclass(frozen=True)
class MLP:
    """Dense layers over the present tick: it remembers nothing."""

    dense: tuple[int, ...] = (64, 64)
    input_dropout: float = 0.2
    dropout: float = 0.2

    is_stream, is_quantizable = True, True

    @property
    def width(self) -> int:
        return self.dense[-1]

    def initial(self, key: jax.Array, feature_count: int) -> dict:
        return initial_dense(key, self.dense, feature_count)

    def exported_window(self, is_integer: bool) -> int:
        return 1

    def start(self, lanes: int, feature_count: int) -> dict:
        return {}

    def hidden(self, weights, state, x, keep, dropout_key=None, numerics=FLOAT):
        x = dropped(x, self.input_dropout, dropout_key, 0)
        return dense(self.dense, weights, x, self.dropout, dropout_key, numerics), state

    @property
    def prunable(self) -> dict[str, Layout]:
        return dense_layouts(self.dense)

    @property
    def neurons(self) -> dict:
        return dense_neurons(self.dense, (HEADS, 0, 1))

    def resized(self, layer: str, count: int) -> "MLP":
        return dataclasses.replace(self, dense=replaced(self.dense, layer, count))

    def nodes(self, builder, weights: dict, value: str) -> str:
        return builder.reshape(dense_nodes(builder, self.dense, weights, value), 1, self.width)
