"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) of the head `position`, over lanes of a stream.

Each chunk is one rollout: the network runs over it from the state before, actions are drawn, the environment trades
them, advantages come by generalised estimation (GAE, Schulman et al. 2016, arXiv 1506.02438), and `passes` steps of
the clipped objective follow, each over all lanes, since a recurrent state goes round within a lane.

With u what the head has before its tanh, one policy of each kind needs no other weights than a spread or a sharpness s:

* continuous: the action is normal around tanh(u) with deviation s, cut to −1 … 1 where it trades;
* discrete: −1, 0, 1 have the logits −2su, s·log 2, 2su. At s = 1 the mean action is tanh(u) exactly; its mode is 0
  where |tanh(u)| ≤ 1/3. So the model's output `position` is the policy's mean, and the mode a threshold on it.

The critic alone sees the position held: what it expects is linear in it, with both parts linear in the hidden values.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from . import environment

#: Weights that only training needs.
ADDED = ("critic_w", "critic_b", "policy_log_s")
ACTIONS = (-1.0, 0.0, 1.0)


@dataclass(frozen=True)
class PPO:
    #: Discount from tick to tick, and of the estimation.
    discount: float = 0.95
    trace: float = 0.9
    #: How far the ratio of probabilities counts.
    clip: float = 0.2
    passes: int = 4
    value_share: float = 0.5
    entropy_share: float = 1e-3
    #: The first deviation of continuous actions; discrete ones begin with a sharpness of 1.
    deviation: float = 0.3

    def initial(self, width: int, is_discrete: bool) -> dict:
        first = 1.0 if is_discrete else self.deviation
        return {"critic_w": jnp.zeros((width, 2)), "critic_b": jnp.zeros(2), "policy_log_s": jnp.full(1, np.log(first))}


def log_probabilities(weights: dict, hidden: jax.Array, actions: jax.Array, is_discrete: bool):
    """Of actions [T, B], and the policy's entropy at each [T, B]."""
    sums, s = _sums(weights, hidden), jnp.exp(weights["policy_log_s"][0])
    if is_discrete:
        logs = jax.nn.log_softmax(_logits(sums, s))
        picked = jnp.take_along_axis(logs, (actions + 1).astype(jnp.int32)[..., None], axis=-1)[..., 0]
        return picked, -(jnp.exp(logs) * logs).sum(axis=-1)
    distance = (actions - jnp.tanh(sums)) / s
    entropy = jnp.log(s) + 0.5 * np.log(2 * np.pi * np.e)
    return -distance**2 / 2 - jnp.log(s) - 0.5 * np.log(2 * np.pi), jnp.broadcast_to(entropy, actions.shape)


def drawn(weights: dict, hidden: jax.Array, key: jax.Array, is_discrete: bool) -> jax.Array:
    """Actions [T, B] of the policy; continuous ones are not cut."""
    sums, s = _sums(weights, hidden), jnp.exp(weights["policy_log_s"][0])
    if is_discrete:
        return jax.random.categorical(key, _logits(sums, s)) - 1.0
    return jnp.tanh(sums) + s * jax.random.normal(key, sums.shape)


def _sums(weights, hidden):
    return (hidden @ weights["head_position_w"] + weights["head_position_b"])[..., 0]


def _logits(sums, s):
    return s * jnp.stack([-2 * sums, jnp.full_like(sums, np.log(2)), 2 * sums], axis=-1)


def values(weights: dict, hidden: jax.Array, held: jax.Array) -> jax.Array:
    """What the critic expects of a tick's reward in the mean of the discounted ones to come, where `held` is the
    position found: their sum times 1 − discount. It does not shape the network, whose gradients it would drown."""
    parts = jax.lax.stop_gradient(hidden) @ weights["critic_w"] + weights["critic_b"]
    return parts[..., 0] + parts[..., 1] * held


def advantages(rewards: jax.Array, expected: jax.Array, following: jax.Array, goes_on: jax.Array, ppo: PPO):
    """GAE [T, B] of rewards and expected values [T, B], the value `following` the last tick [B], and 0 in `goes_on`
    where no tick of the same segment follows."""
    later = jnp.concatenate([expected[1:], following[None]])
    surprise = rewards + ppo.discount * goes_on * later - expected

    def step(sum_, tick):
        surprise, goes_on = tick
        sum_ = surprise + ppo.discount * ppo.trace * goes_on * sum_
        return sum_, sum_

    return jax.lax.scan(step, jnp.zeros_like(following), (surprise, goes_on), reverse=True)[1]


def rollout(trading, weights, hidden, following, market, next_begin, account, key):
    """What a chunk brought: actions, their log-probabilities, advantages and values to learn [T, B]; the account after
    it, and the mean reward. `following` is the hidden value [B, D] of the tick after the chunk."""
    actions = drawn(weights, hidden, key, trading.is_discrete)
    after, rewards, held = environment.run(account, jnp.clip(actions, -1, 1), market)
    rewards, begin = rewards / trading.scale, market[..., environment.COLUMNS.index("begin")]
    before = jnp.concatenate([account["held"][None], held[:-1]]) * (1 - begin)
    sums = 1 / (1 - trading.ppo.discount)
    expected = sums * values(weights, hidden, before)
    goes_on = 1 - jnp.concatenate([begin[1:], next_begin[None]])
    next_expected = sums * values(weights, following, held[-1])
    gained = advantages(rewards, expected, next_expected, goes_on, trading.ppo)
    kept = {
        "actions": actions, "logs": log_probabilities(weights, hidden, actions, trading.is_discrete)[0],
        "before": before, "gained": (gained - gained.mean()) / (gained.std() + 1e-6),
        "values": (gained + expected) / sums}
    return kept, account | after, rewards.mean()


def loss(trading, weights, hidden, kept) -> jax.Array:
    """The clipped objective, the critic's squared error and the entropy over a rollout."""
    ppo = trading.ppo
    logs, entropy = log_probabilities(weights, hidden, kept["actions"], trading.is_discrete)
    ratio = jnp.exp(logs - kept["logs"])
    clipped = jnp.clip(ratio, 1 - ppo.clip, 1 + ppo.clip)
    gain = jnp.minimum(ratio * kept["gained"], clipped * kept["gained"]).mean()
    error = jnp.square(values(weights, hidden, kept["before"]) - kept["values"]).mean()
    return -gain + ppo.value_share * error - ppo.entropy_share * entropy.mean()
