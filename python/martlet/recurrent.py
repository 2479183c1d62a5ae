"""The small streaming model in JAX: normalise, dense + relu, GRU, linear + softmax; and block pruning of its weights.

Weights lie as ONNX wants them: gates in the order update, reset, new; `linear_before_reset` = 1.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

DENSE_UNITS, GRU_UNITS = 64, 32
#: Outputs in one block of the dense layer: two vectors of eight floats.
DENSE_BLOCK = 16
#: Units in one block of the GRU; with its three gates the block is 24 outputs.
GRU_BLOCK = 8
#: The weights that are pruned: all but biases and the last layer.
PRUNED = ("dense_w", "gru_w", "gru_r")


def initial(key, feature_count: int, horizon_count: int) -> dict:
    """Glorot-uniform weights, an orthogonal recurrence, an update gate that begins by remembering."""
    keys = jax.random.split(key, 4)

    def glorot(key, rows, columns):
        bound = np.sqrt(6 / (rows + columns))
        return jax.random.uniform(key, (rows, columns), minval=-bound, maxval=bound)

    orthogonal = jax.nn.initializers.orthogonal()
    recurrence = [orthogonal(k, (GRU_UNITS, GRU_UNITS)) for k in jax.random.split(keys[2], 3)]
    update_bias = jnp.concatenate([jnp.ones(GRU_UNITS), jnp.zeros(2 * GRU_UNITS)])
    return {
        "dense_w": glorot(keys[0], feature_count, DENSE_UNITS), "dense_b": jnp.zeros(DENSE_UNITS),
        "gru_w": jnp.concatenate([glorot(k, GRU_UNITS, DENSE_UNITS) for k in jax.random.split(keys[1], 3)]),
        "gru_r": jnp.concatenate(recurrence), "gru_wb": update_bias, "gru_rb": jnp.zeros(3 * GRU_UNITS),
        "out_w": glorot(keys[3], GRU_UNITS, 3 * horizon_count), "out_b": jnp.zeros(3 * horizon_count),
    }


def logits(weights: dict, state, features, keep, dropout=None):
    """Unnormalised log probabilities [T, B, H, 3] and the last state of T steps of B streams.

    `features` [T, B, F] is normalised; `keep` [T, B] is 0 at the first tick after a reset, else 1; `dropout` multiplies
    the features and the dense layer's output.
    """
    if dropout is not None:
        features = features * dropout[0]
    hidden = jax.nn.relu(features @ weights["dense_w"] + weights["dense_b"])
    if dropout is not None:
        hidden = hidden * dropout[1]
    inputs = hidden @ weights["gru_w"].T + weights["gru_wb"]

    def step(state, step_inputs):
        x, kept = step_inputs
        state = state * kept[:, None]
        h = state @ weights["gru_r"].T + weights["gru_rb"]
        update = jax.nn.sigmoid(x[:, :GRU_UNITS] + h[:, :GRU_UNITS])
        reset = jax.nn.sigmoid(x[:, GRU_UNITS:2 * GRU_UNITS] + h[:, GRU_UNITS:2 * GRU_UNITS])
        new = jnp.tanh(x[:, 2 * GRU_UNITS:] + reset * h[:, 2 * GRU_UNITS:])
        state = (1 - update) * new + update * state
        return state, state

    state, states = jax.lax.scan(step, state, (inputs, keep))
    out = states @ weights["out_w"] + weights["out_b"]
    return out.reshape(*out.shape[:2], -1, 3), state


@jax.jit
def _stream(weights, features, keep):
    out, _ = logits(weights, jnp.zeros((1, GRU_UNITS)), features[:, None], keep[:, None])
    return jax.nn.softmax(out[:, 0], axis=-1)


def probabilities(weights: dict, features: np.ndarray, reset: np.ndarray) -> np.ndarray:
    """Probabilities [N, H, 3] of one stream from a zero state, tick by tick; `features` is normalised."""
    keep = jnp.asarray(1 - (reset != 0), jnp.float32)
    return np.asarray(_stream(weights, jnp.asarray(features), keep))


def block_norms(name: str, weight: np.ndarray) -> np.ndarray:
    """The L2 norm of each block of a pruned weight: [inputs, block] for the dense layer, [block, inputs] for the GRU."""
    if name == "dense_w":
        return np.sqrt((weight.reshape(len(weight), -1, DENSE_BLOCK) ** 2).sum(axis=2))
    return np.sqrt((weight.reshape(3, -1, GRU_BLOCK, weight.shape[1]) ** 2).sum(axis=(0, 2)))


def block_mask(name: str, weight: np.ndarray, sparsity: float) -> np.ndarray:
    """1 for the blocks of largest norm, 0 for the `sparsity` share of smallest; shaped as the weight."""
    norms = block_norms(name, weight)
    kept = np.ones(norms.size, np.float32)
    order = np.argsort(norms, axis=None, kind="stable")
    kept[order[:int(round(sparsity * norms.size))]] = 0
    kept = kept.reshape(norms.shape)
    if name == "dense_w":
        return np.repeat(kept, DENSE_BLOCK, axis=1)
    return np.tile(np.repeat(kept, GRU_BLOCK, axis=0), (3, 1))


def cubic_sparsity(progress: float, final: float, begin: float, end: float) -> float:
    """Zhu and Gupta's schedule (arXiv 1710.01878): 0 before `begin`, `final` from `end` on, both shares of training."""
    part = min(max((progress - begin) / (end - begin), 0.0), 1.0)
    return final * (1 - (1 - part) ** 3)


def density(weights: dict) -> float:
    """Share of the prunable weights that are not zero."""
    total = sum(weights[name].size for name in PRUNED)
    return sum(int(np.count_nonzero(np.asarray(weights[name]))) for name in PRUNED) / total
