"""What a weighted product computes in: floats, or the engine's 7-bit codes and ±63 weights, with gradients through
both.

A network asks an arithmetic for its products, so that the same `hidden` trains in floats, measures ranges and trains
quantised. The quantised products are those of docs/MODEL.md: Σ (q − zero) · w in whole numbers, which float32 holds
exactly below 2^24, times the product of both scales. What is left between this and the engine are the gates' functions
and the order of float additions, which can move a value over a rounding edge once in a while.

Rounding has the straight-through gradient (Bengio et al. 2013, arXiv 1308.3432); what is clipped has none. Scales of
weights follow the weights; those of activations are measured once on the float network (`measure`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ..graph_builder import ACTIVATION_MAX, WEIGHT_MAX, WEIGHT_MIN

#: A range, low and high, for each quantised value of a network.
Ranges = dict[str, tuple[float, float]]
#: A recurrent state lies in -1 to 1.
HIDDEN = (np.float32(1 / 63), 64)
#: Whole numbers up to here are exact in float32.
EXACT_MAX = 2**24
#: A range that is narrower has any scale.
SPAN_MIN = 1e-30


def codes_of(low: float, high: float) -> tuple[np.float32, int]:
    """Scale and zero point of the codes 0 to 127 for a range, widened to hold 0, as `martlet model quantize` has it."""
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = (high - low) / ACTIVATION_MAX if high - low > SPAN_MIN else 1.0
    return np.float32(scale), int(min(max(round(-low / scale), 0), ACTIVATION_MAX))


def rounded(x: jax.Array) -> jax.Array:
    """The nearest whole number, of ties the even one; its gradient is 1."""
    return x + jax.lax.stop_gradient(jnp.round(x) - x)


def quotient(x: jax.Array, divisor) -> jax.Array:
    """x / divisor, rounded once. XLA makes a product with the reciprocal of a divisor that it knows."""
    return x / (divisor + 0 * x)


class Float:
    """Products of floats."""

    is_integer = False

    def weight(self, weight: jax.Array, axis: int = -1):
        """A weight made ready for `product`; its outputs lie along `axis`."""
        return weight

    def product(self, name: str, x: jax.Array, weight, function: Callable = jnp.matmul) -> jax.Array:
        """`function(x, weight)`, whose outputs lie along its last axis. `name` is that of the value x."""
        return function(x, weight)

    def state_product(self, x: jax.Array, weight) -> jax.Array:
        """A recurrent layer's previous state by its weight."""
        return x @ weight

    def state(self, x: jax.Array) -> jax.Array:
        """A recurrent layer's previous state as an operator with quantised state reads it."""
        return x


class Observing(Float):
    """Products of floats; notes the range of each value, but for a share of outliers at either end."""

    def __init__(self, percentile: float):
        self.percentile = percentile
        self.ranges: dict[str, jax.Array] = {}

    def product(self, name, x, weight, function=jnp.matmul):
        shares = jnp.array([1 - self.percentile / 100, self.percentile / 100])
        self.ranges[name] = jnp.quantile(x, shares)
        return function(x, weight)


class Integer:
    """Products of whole numbers, as the engine computes them, with straight-through gradients."""

    is_integer = True

    def __init__(self, ranges: Ranges):
        self.ranges = ranges

    def weight(self, weight, axis=-1):
        axis %= weight.ndim
        if weight.size // weight.shape[axis] * ACTIVATION_MAX * WEIGHT_MAX >= EXACT_MAX:
            raise ValueError(f"a weight {weight.shape} has too many inputs for exact sums of products in float32")
        others = tuple(other for other in range(weight.ndim) if other != axis)
        largest = jax.lax.stop_gradient(jnp.abs(weight).max(axis=others))
        scale = quotient(jnp.maximum(largest, WEIGHT_MIN), WEIGHT_MAX)
        return rounded(quotient(weight, jnp.expand_dims(scale, others))), scale

    def _product(self, x, codes, weight, function):
        scale, zero = codes
        low, high = np.float32(-zero) * scale, np.float32(ACTIVATION_MAX - zero) * scale
        levels, weight_scales = weight
        return function(rounded(quotient(jnp.clip(x, low, high), scale)), levels) * (scale * weight_scales)

    def product(self, name, x, weight, function=jnp.matmul):
        return self._product(x, codes_of(*self.ranges[name]), weight, function)

    def state_product(self, x, weight):
        return self._product(x, HIDDEN, weight, jnp.matmul)

    def state(self, x):
        return rounded(quotient(jnp.clip(x, -1, 1), HIDDEN[0])) * HIDDEN[0]


@dataclass(frozen=True)
class Quantization:
    """Quantisation-aware training. It begins at a share of the training, on ranges measured then."""

    begin: float = 0.7
    #: Values beyond this percentile at either end are clipped: the tails of features cost more resolution than they
    #: tell.
    percentile: float = 99.5
    #: Training ticks that ranges are measured on.
    ticks: int = 20_000


def measure(network, weights: dict, features: np.ndarray, reset: np.ndarray, settings: Quantization) -> Ranges:
    """The ranges of a network's quantised values on the last `settings.ticks` of the ticks given; `features` is
    normalised."""
    first = max(len(features) - settings.ticks, 0)
    keep = jnp.asarray(1 - (np.asarray(reset[first:]) != 0), jnp.float32)[:, None]

    @jax.jit
    def observe(weights, inputs):
        numerics = Observing(settings.percentile)
        network.hidden(weights, network.start(1, inputs.shape[-1]), inputs, keep, numerics=numerics)
        return numerics.ranges

    ranges = observe(weights, jnp.asarray(features[first:])[:, None])
    return {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
