"""A network over all ticks of a stream, in order, as a processor runs it."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ..labels import ticks_since_reset
from .networks.common import FLOAT
from .quantization import Integer, Ranges

#: Ticks of a stream, and windows, that are computed at once; of fewer, the next power of two.
CHUNK_TICKS, CHUNK_WINDOWS = 8_192, 512


@functools.lru_cache(maxsize=16)
def _step(network, heads, ranges):
    numerics = FLOAT if ranges is None else Integer(dict(ranges))

    @jax.jit
    def stream(weights, state, features, keep):
        hidden, state = network.hidden(weights, state, features[:, None], keep[:, None], numerics=numerics)
        return heads.outputs(weights, hidden[:, 0]), hidden[:, 0], state

    @jax.jit
    def window(weights, windows):
        hidden = network.hidden(weights, windows, numerics=numerics)
        return heads.outputs(weights, hidden), hidden

    return stream if network.is_stream else window


def outputs(network, heads, weights: dict, features: np.ndarray, reset: np.ndarray, ranges: Ranges | None = None,
            with_hidden: bool = False, every: int = 1) -> dict[str, np.ndarray]:
    """Outputs [N, …] at all ticks from a zero state; `features` [N, F] is normalised. Quantised where there are ranges.

    Where a window is not full, as after a reset, outputs are NaN. `with_hidden` adds the network's own values, `hidden`
    [N, width]. `every` computes one in so many windows, for networks too slow for all; the others are NaN too.
    """
    step = _step(network, heads, None if ranges is None else tuple(sorted(ranges.items())))
    weights = {name: jnp.asarray(weight) for name, weight in weights.items()}
    features, reset = np.asarray(features, np.float32), np.asarray(reset) != 0
    found = _streamed(step, network, weights, features, reset) if network.is_stream else _windows(
        step, network, weights, features, reset, every)
    if not with_hidden:
        del found["hidden"]
    return found


def _streamed(step, network, weights, features, reset):
    count, parts, size = len(features), [], _chunk(len(features), CHUNK_TICKS)
    keep = 1 - reset.astype(np.float32)
    state = network.start(1, features.shape[1])
    for first in range(0, count, size):
        rows = slice(first, first + size)
        values, hidden, state = step(weights, state, _padded(features[rows], size), _padded(keep[rows], size))
        parts.append({name: np.asarray(value) for name, value in (values | {"hidden": hidden}).items()})
    return {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}


def _windows(step, network, weights, features, reset, every):
    marks = reset.copy()
    marks[0] = True
    ends = np.flatnonzero(ticks_since_reset(marks) >= network.window - 1)[::every]
    found, size = {}, _chunk(len(ends), CHUNK_WINDOWS)
    for first in range(0, len(ends), size):
        chosen = ends[first:first + size]
        windows = features[_padded(chosen, size, chosen[0])[:, None] + np.arange(1 - network.window, 1)]
        values, hidden = step(weights, windows)
        for name, value in (values | {"hidden": hidden}).items():
            if name not in found:
                found[name] = np.full((len(features), *value.shape[1:]), np.nan, np.float32)
            found[name][chosen] = np.asarray(value)[:len(chosen)]
    if not found:
        raise ValueError(f"none of {len(features)} ticks has a window of {network.window} without a reset behind it")
    return found


def _chunk(count, largest):
    return min(largest, 1 << max(count - 1, 0).bit_length())


def _padded(array, count, value=0):
    """Rows added at the end, so that one compiled form serves all."""
    widths = [(0, count - len(array))] + [(0, 0)] * (array.ndim - 1)
    return np.pad(array, widths, constant_values=value)
