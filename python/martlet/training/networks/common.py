"""What the networks share: first weights, dropout, and the past that a causal convolution reads."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ..quantization import Float

FLOAT = Float()


def glorot(key: jax.Array, shape: tuple[int, ...], inputs: int, outputs: int) -> jax.Array:
    """Uniform weights of Glorot and Bengio (2010)."""
    bound = np.sqrt(6 / (inputs + outputs))
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def he(key: jax.Array, shape: tuple[int, ...], inputs: int) -> jax.Array:
    """Normal weights of He et al. (2015), before a rectifier."""
    return jax.random.normal(key, shape) * np.sqrt(2 / inputs)


def dropped(x: jax.Array, rate: float, key: jax.Array | None, number: int) -> jax.Array:
    """x with a share `rate` of its values zero and the others larger, or x where there is no key."""
    if key is None or rate == 0:
        return x
    kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - rate, x.shape)
    return x * kept / (1 - rate)


def segments(keep: jax.Array) -> jax.Array:
    """How many resets there were up to each tick of a chunk [T, B]."""
    return jnp.cumsum(keep == 0, axis=0)


def taps(x: jax.Array, past: jax.Array, segment: jax.Array, kernel: int, dilation: int = 1):
    """What a causal convolution reads at each tick, and its past at the next chunk.

    `x` [T, B, …, channels]; `past` [dilation · (kernel − 1), B, …, channels], oldest first. Ticks before a reset read
    as zeros. The result is [T, B, …, kernel · channels], ordered by tap, then by channel.
    """
    length = dilation * (kernel - 1)
    rows = jnp.concatenate([past, x])
    marks = jnp.concatenate([jnp.zeros((length, *segment.shape[1:]), segment.dtype), segment])

    def shaped(mask):
        return mask.reshape(*mask.shape, *[1] * (x.ndim - 2))

    parts = []
    for tap in range(kernel):
        part = slice(tap * dilation, tap * dilation + len(x))
        parts.append(rows[part] * shaped(marks[part] == segment))
    kept = shaped(marks[len(rows) - length:] == segment[-1])
    return jnp.concatenate(parts, axis=-1), rows[len(rows) - length:] * kept


def tap_matrix(weight: jax.Array) -> jax.Array:
    """A convolution's weight [outputs, channels, *taps] as [taps · channels, outputs]."""
    return jnp.moveaxis(weight, 1, -1).reshape(len(weight), -1).T
