"""The compiled steps of a training; runs of the same shape, as those of several seeds, share them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from . import ppo
from .batches import windows
from .environment import COLUMNS
from .networks.common import FLOAT
from .policy import MARKET
from .quantization import Integer

#: Where a step's state keeps what the lanes hold.
ACCOUNT = "account"


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
    #: (weights, arrays, state, index, key) to (gradients of all weights, zero ones too, and state).
    gradients: Callable


@functools.lru_cache(maxsize=8)
def compiled(network, heads, distillation, trading, optimization: Optimization, ranges: tuple | None) -> Steps:
    """`ranges` are the items of a quantised network's. Where a position is learned, the state is that of the network
    and `account`."""
    numerics = FLOAT if ranges is None else Integer(dict(ranges))
    optimizer = optimization.optimizer()

    def streamed(weights, arrays, state, index, key=None):
        state = {name: value for name, value in state.items() if name != ACCOUNT}
        return network.hidden(
            weights, state, arrays["features"][index], arrays["keep"][index], dropout_key=key, numerics=numerics)

    def loss(weights, arrays, state, index, key, kept=None):
        """`kept` is what PPO learns from; without it direct reinforcement trades anew."""
        account = state.get(ACCOUNT)
        if network.is_stream:
            hidden, state = streamed(weights, arrays, state, index, None if kept else key)
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
        if kept is not None:
            losses["position"] = heads.share("position") * ppo.loss(trading, weights, hidden, kept)
        elif trading:
            value, account = trading.loss(raw["position"][..., 0], targets[MARKET], counts[MARKET], account)
            losses["position"] = heads.share("position") * value
        return sum(losses.values()), state if account is None else state | {ACCOUNT: account}

    def stepped(weights, masks, optimizer_state, gradients):
        changes, optimizer_state = optimizer.update(masked(gradients, masks), optimizer_state, weights)
        return masked(optax.apply_updates(weights, changes), masks), optimizer_state

    def update(weights, masks, optimizer_state, arrays, state, index, key):
        (value, state), gradients = jax.value_and_grad(loss, has_aux=True)(weights, arrays, state, index, key)
        return *stepped(weights, masks, optimizer_state, gradients), state, value

    def explored(weights, arrays, state, index, key):
        """A rollout, the state after it and its mean reward."""
        hidden, after = streamed(weights, arrays, state, index)
        following = (index[-1:] + 1) % len(arrays["keep"])
        ahead, _ = streamed(weights, arrays, after, following)
        market, begin = arrays["targets"][MARKET], COLUMNS.index("begin")
        kept, account, reward = ppo.rollout(
            trading, weights, hidden, ahead[0], market[index], market[following[0], begin], state[ACCOUNT], key)
        return kept, after | {ACCOUNT: account}, reward

    def explore_and_update(weights, masks, optimizer_state, arrays, state, index, key):
        kept, after, reward = explored(weights, arrays, state, index, key)

        def one(carried, _):
            gradients = jax.grad(loss, has_aux=True)(carried[0], arrays, state, index, key, kept)[0]
            return stepped(carried[0], masks, carried[1], gradients), None

        (weights, optimizer_state), _ = jax.lax.scan(one, (weights, optimizer_state), length=trading.passes)
        return weights, optimizer_state, after, -reward

    def advance(weights, arrays, state, index):
        return state | streamed(weights, arrays, state, index)[1]

    def gradients(weights, arrays, state, index, key):
        kept = explored(weights, arrays, state, index, key)[0] if is_explored else None
        return jax.grad(loss, has_aux=True)(weights, arrays, state, index, key, kept)

    is_explored = trading is not None and trading.objective == "ppo"
    return Steps(jax.jit(explore_and_update if is_explored else update), jax.jit(advance), jax.jit(gradients))


@functools.lru_cache(maxsize=8)
def compiled_initial(network, heads, distillation, trading, feature_count: int, teacher_width: int) -> Callable:
    """Of a key, the first weights of a network with heads and what distillation and reinforcement add."""

    def initial(key):
        keys = jax.random.split(key, 3)
        weights = network.initial(keys[0], feature_count) | heads.initial(keys[1], network.width)
        weights |= trading.initial(network.width) if trading else {}
        return weights | (distillation.initial(keys[2], network.width, teacher_width) if distillation else {})

    return jax.jit(initial)


@functools.lru_cache(maxsize=8)
def compiled_loss(heads, trading) -> Callable:
    """Of (weights, hidden, targets, counts) of a stream, the loss of all heads."""

    def loss(weights, hidden, targets, counts):
        raw = heads.raw(weights, hidden)
        losses = heads.losses(raw, targets, counts)
        if trading:
            judged = trading.judged(raw["position"][:, 0], targets[MARKET], counts[MARKET])
            losses["position"] = heads.share("position") * judged
        return sum(losses.values())

    return jax.jit(loss)


def masked(weights: dict, masks: dict) -> dict:
    return {name: weight * masks[name] if name in masks else weight for name, weight in weights.items()}


@jax.jit
def blend(average: dict, weights: dict, decay: float) -> dict:
    """The moving average one step on."""
    return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, average, weights)
