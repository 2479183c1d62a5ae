"""The compiled steps of a training; runs of the same shape, as those of several seeds, share them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from .batches import windows
from .networks.common import FLOAT
from .quantization import Integer


class Optimization(NamedTuple):
    """AdamW (Loshchilov and Hutter 2019) with clipped gradients; the rate rises over `warm_up` of `total` steps, then
    falls as a cosine."""

    learning_rate: float
    weight_decay: float
    warm_up: float
    clip: float
    total: int

    def optimizer(self) -> optax.GradientTransformation:
        """Decay acts on matrices, not on biases."""
        rise = int(self.warm_up * self.total) + 1
        rate = optax.warmup_cosine_decay_schedule(0, self.learning_rate, rise, max(self.total, rise + 1))
        decayed = functools.partial(jax.tree.map, lambda weight: jnp.ndim(weight) > 1)
        return optax.chain(
            optax.clip_by_global_norm(self.clip), optax.adamw(rate, weight_decay=self.weight_decay, mask=decayed))


class Steps(NamedTuple):
    #: (weights, masks, optimiser's state, arrays, state, index, key) to (weights, optimiser's state, state, loss).
    update: Callable
    #: (weights, arrays, state, index) to state, without a loss.
    advance: Callable
    #: (weights, arrays, state, index, key) to the gradients of all weights, zero ones too.
    gradients: Callable


@functools.lru_cache(maxsize=8)
def compiled(network, heads, distillation, optimization: Optimization, ranges: tuple | None) -> Steps:
    """`ranges` are the items of a quantised network's."""
    numerics = FLOAT if ranges is None else Integer(dict(ranges))
    optimizer = optimization.optimizer()

    def loss(weights, arrays, state, index, key):
        if network.is_stream:
            hidden, state = network.hidden(
                weights, state, arrays["features"][index], arrays["keep"][index], dropout_key=key, numerics=numerics)
        else:
            inputs = windows(arrays["features"], index, network.window)
            hidden = network.hidden(weights, inputs, dropout_key=key, numerics=numerics)
        targets = {name: value[index] for name, value in arrays["targets"].items()}
        counts = {name: value[index] for name, value in arrays["counts"].items()}
        raw = heads.raw(weights, hidden)
        losses = heads.losses(raw, targets, counts)
        if distillation:
            losses["probabilities"] = distillation.loss(
                losses["probabilities"], raw["probabilities"], hidden, weights, targets, counts)
        return sum(losses.values()), state

    def update(weights, masks, optimizer_state, arrays, state, index, key):
        (value, state), gradients = jax.value_and_grad(loss, has_aux=True)(weights, arrays, state, index, key)
        changes, optimizer_state = optimizer.update(masked(gradients, masks), optimizer_state, weights)
        return masked(optax.apply_updates(weights, changes), masks), optimizer_state, state, value

    def advance(weights, arrays, state, index):
        _, state = network.hidden(weights, state, arrays["features"][index], arrays["keep"][index], numerics=numerics)
        return state

    def gradients(weights, arrays, state, index, key):
        return jax.grad(loss, has_aux=True)(weights, arrays, state, index, key)[0]

    return Steps(jax.jit(update), jax.jit(advance), jax.jit(gradients))


@functools.lru_cache(maxsize=8)
def compiled_initial(network, heads, distillation, feature_count: int, teacher_width: int) -> Callable:
    """Of a key, the first weights of a network with heads and what distillation adds."""

    def initial(key):
        keys = jax.random.split(key, 3)
        weights = network.initial(keys[0], feature_count) | heads.initial(keys[1], network.width)
        return weights | (distillation.initial(keys[2], network.width, teacher_width) if distillation else {})

    return jax.jit(initial)


@functools.lru_cache(maxsize=8)
def compiled_loss(heads) -> Callable:
    """Of (weights, hidden, targets, counts), the loss of all heads."""

    def loss(weights, hidden, targets, counts):
        return sum(heads.losses(heads.raw(weights, hidden), targets, counts).values())

    return jax.jit(loss)


def masked(weights: dict, masks: dict) -> dict:
    return {name: weight * masks[name] if name in masks else weight for name, weight in weights.items()}


@jax.jit
def blend(average: dict, weights: dict, decay: float) -> dict:
    """The moving average one step on."""
    return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, average, weights)
