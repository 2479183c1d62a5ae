"""A position learned by what it earns after costs: direct reinforcement, and what proximal policy optimisation shares.

The policy is any streaming network of the kit with the head `position`, trained by `loop.train` with
`Settings(trading=Trading(…))`; pruning, quantisation, early choice and checkpoints are those of every training, and
other heads may be learned beside it. The examples hold a target `market`, the columns of `environment.Market`.

The objectives, over the rewards R of all lanes in units of `scale`:

* `return`: the mean net reward; its gradient goes through positions, costs and the delay (Moody and Saffell 2001,
  https://doi.org/10.1109/72.935097; with a deep encoder: Deng et al. 2016, https://doi.org/10.1109/TNNLS.2016.2522401).
* `sharpe`: the differential Sharpe ratio of the same paper, (B · R − A · R² / 2) / (B − A²)^(3/2), with A and B moving
  means of R and R² over the chunks before.
* `ppo`: see `ppo`.

What a policy holds is a function of the ticks it saw, so a recurrent network can know it; it gets no input for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from ..labels import DOWN, UP
from . import environment
from .ppo import ADDED, PPO

#: The name of the environment's columns among targets.
MARKET = "market"
OBJECTIVES = ("return", "sharpe", "ppo")
#: The least variance of rewards in the Sharpe ratios, in squared units of the scale: a policy that holds nothing has
#: none.
VARIANCE_MIN = 1e-4
#: A discrete policy is long or short where the position goes beyond this, see `ppo`.
LONG = 1 / 3


@dataclass(frozen=True)
class Trading:
    """How a position is learned."""

    #: Standard deviation of the mid's moves from tick to tick in training: `scale_of`.
    scale: float
    objective: str = "sharpe"
    #: Ticks from decision to fill.
    latency: int = 1
    #: Whether the positions are −1, 0 and 1 rather than all between; for `ppo` alone.
    is_discrete: bool = False
    #: How much of the moving means A and B stays from chunk to chunk.
    decay: float = 0.95
    ppo: PPO = field(default_factory=PPO)

    def __post_init__(self):
        if self.objective not in OBJECTIVES or not self.scale > 0 or self.latency < 0:
            raise ValueError(f"an objective is one of {', '.join(OBJECTIVES)}, the scale is above 0, the latency at "
                             f"least 0; not {self}")
        if self.is_discrete and self.objective != "ppo":
            raise ValueError(f"discrete positions have no gradient: they are learned by ppo, not by {self.objective}")

    @property
    def passes(self) -> int:
        """Steps of the optimiser for each chunk."""
        return self.ppo.passes if self.objective == "ppo" else 1

    def initial(self, width: int) -> dict:
        """Weights beside those of network and heads, which only training needs."""
        return self.ppo.initial(width, self.is_discrete) if self.objective == "ppo" else {}

    def start(self, lanes: int) -> dict:
        """The accounts of all lanes, and the moving means A and B."""
        return environment.start(lanes, self.latency) | {"mean": jnp.zeros(()), "square": jnp.ones(())}

    def loss(self, position: jax.Array, market: jax.Array, counts: jax.Array, account: dict) -> tuple[jax.Array, dict]:
        """Of positions [T, B] decided in a market [T, B, 5], and the account after them."""
        after, rewards, _ = environment.run(account, position, market)
        rewards = rewards / self.scale
        mean, square = (_mean(values, counts) for values in (rewards, rewards**2))
        if self.objective == "sharpe":
            first, second = account["mean"], account["square"]
            variance = jnp.maximum(second - first**2, VARIANCE_MIN)
            result = -(second * mean - first * square / 2) / variance**1.5
        else:
            result = -mean
        kept = {name: self.decay * account[name] + (1 - self.decay) * value
                for name, value in (("mean", mean), ("square", square))}
        return result, jax.lax.stop_gradient(after | kept)

    def judged(self, position: jax.Array, market: jax.Array, counts: jax.Array) -> jax.Array:
        """What validation chooses by, over one stream [N]: the negative mean reward or the negative Sharpe ratio."""
        decided = self.decided(position)[:, None]
        _, rewards, _ = environment.run(environment.start(1, self.latency), decided, market[:, None])
        rewards = rewards[:, 0] / self.scale
        mean = _mean(rewards, counts)
        if self.objective != "sharpe":
            return -mean
        return -mean / jnp.sqrt(jnp.maximum(_mean((rewards - mean) ** 2, counts), VARIANCE_MIN))

    def decided(self, position):
        """What is traded where the head says `position`."""
        return jnp.sign(position) * (jnp.abs(position) > LONG) if self.is_discrete else position


def _mean(values, counts):
    return (values * counts).sum() / jnp.maximum(counts.sum(), 1)


def scale_of(market: environment.Market, first: int, end: int) -> float:
    """Root of the mean squared move of the mid from tick to tick."""
    return float(np.sqrt(np.mean(np.square(market.move[first:end]))))


def from_direction(weights: dict, horizon: int = 0, gain: float = 1.0) -> dict:
    """First weights of a policy from a trained direction model with the head `probabilities`: its network, and
    tanh(gain · (logit of up − logit of down) / 2) of one of its horizons (counted from 0) as the position."""
    up, down = 3 * horizon + UP, 3 * horizon + DOWN
    matrix, bias = (np.asarray(weights[f"head_probabilities_{part}"]) for part in "wb")
    if not 0 <= up < len(bias):
        raise ValueError(f"the model has {len(bias) // 3} horizons; there is no number {horizon}")
    found = {name: np.asarray(weight) for name, weight in weights.items() if not name.startswith("head_")}
    return found | {"head_position_w": gain / 2 * (matrix[:, up] - matrix[:, down])[:, None],
                    "head_position_b": gain / 2 * (bias[up] - bias[down])[None]}


def without_helpers(weights: dict) -> dict:
    """The weights of network and heads alone."""
    return {name: weight for name, weight in weights.items() if name not in ADDED}
