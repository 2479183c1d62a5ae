"""Linear heads on a network's hidden values: the outputs of the model contract, and their losses.

| head | target | loss |
|---|---|---|
| `probabilities` [H, 3] | `classes` [N, H] | cross-entropy |
| `expected_return` [H] | `returns` [N, H] | Huber's, on scaled returns |
| `volatility` [H] | `returns` or `volatility` [N, H] | QLIKE: log σ² + v / σ² with v the squared target (Patton 2011) |
| `value_at_risk`, `expected_shortfall` [H, 2] | `returns` [N, H] | FZ0 of Patton, Ziegel and Chen (2019) |
| `trend` [3] | `trend` [N] | cross-entropy |
| `position` [1] | – | none: reinforcement learning trains it |

FZ0 is least at both risks together (Fissler and Ziegel 2016); without `expected_shortfall` the loss is the pinball's.
Losses at risk are those of a long position, positive fractions. By construction 0 ≤ value at risk ≤ expected shortfall,
and both are at 99 % at least what they are at 95 %. Returns are learned in units of `scales`, so that gradients of all
heads are of one size; export puts the scales back.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from .networks.common import glorot

#: Tail shares of value at risk and expected shortfall.
TAILS = (0.05, 0.01)
#: A normal distribution's value at risk and expected shortfall at 95 % and the steps to those at 99 %, where tails
#: begin.
NORMAL_TAIL = (1.645, 0.418, 0.681, 0.2)
RISK = ("value_at_risk", "expected_shortfall")
NAMES = ("probabilities", "expected_return", "volatility", *RISK, "trend", "position")
#: The least volatility and expected shortfall in a loss, in units of the scale: logarithms stay finite.
SCALED_MIN = 1e-3
HUBER_LIMIT = 2.0


@dataclass(frozen=True)
class Heads:
    """Which outputs there are, for how many horizons."""

    horizons: int
    names: tuple[str, ...] = ("probabilities",)
    #: Standard deviation of the returns of each horizon in training.
    scales: tuple[float, ...] = ()
    #: What the volatility is learned from: `returns` or `volatility` (realised).
    volatility_target: str = "returns"
    #: What each head's loss counts in the sum; 1 where it is not named.
    shares: tuple[tuple[str, float], ...] = ()
    #: What both risks of each horizon are multiplied by, at all tails, as validation suggests after training
    #: (`risk.factors`); it counts in outputs and export, not in losses. Empty for 1.
    risk_factors: tuple[float, ...] = ()
    #: Whether the hidden values are the logits themselves, without a layer between; for `probabilities` alone.
    is_direct: bool = False

    def __post_init__(self):
        wrong = [name for name in self.names if name not in NAMES]
        if wrong:
            raise ValueError(f"there is no head {', '.join(wrong)}; there are {', '.join(NAMES)}")
        if "expected_shortfall" in self.names and "value_at_risk" not in self.names:
            raise ValueError("the head expected_shortfall needs value_at_risk")
        needs_scales = any(name in self.names for name in ("expected_return", "volatility", *RISK))
        if needs_scales and len(self.scales) != self.horizons:
            raise ValueError(
                f"{self.names} need a scale of returns for each of {self.horizons} horizons; got {self.scales}")
        if self.risk_factors and (len(self.risk_factors) != self.horizons or not min(self.risk_factors) >= 0):
            raise ValueError(f"a risk factor of at least 0 for each of {self.horizons} horizons, not "
                             f"{self.risk_factors}")
        if self.is_direct and self.names != ("probabilities",):
            raise ValueError(f"direct heads are for probabilities alone, not {self.names}")

    def share(self, name: str) -> float:
        """What a head's loss counts."""
        return dict(self.shares).get(name, 1.0)

    def _layers(self) -> dict[str, int]:
        """Outputs of each linear layer."""
        sizes = {"probabilities": 3 * self.horizons, "expected_return": self.horizons, "volatility": self.horizons,
                 "value_at_risk": 4 * self.horizons, "trend": 3, "position": 1}
        return {} if self.is_direct else {name: size for name, size in sizes.items() if name in self.names}

    def initial(self, key: jax.Array, width: int) -> dict:
        """Weights `head_NAME_w` [width, outputs] and `head_NAME_b`; tails begin as a normal distribution's."""
        if self.is_direct and width != 3 * self.horizons:
            raise ValueError(
                f"direct heads of {self.horizons} horizons need {3 * self.horizons} hidden values, not {width}")
        weights = {}
        for number, (name, size) in enumerate(self._layers().items()):
            weights[f"head_{name}_w"] = glorot(jax.random.fold_in(key, number), (width, size), width, size)
            weights[f"head_{name}_b"] = jnp.zeros(size)
        if "position" in self.names:
            # It begins at rest. From random weights, costs would drive it into a corner of the hyperbolic tangent,
            # where it changes least, and which gradients do not leave.
            weights["head_position_w"] = jnp.zeros((width, 1))
        if "value_at_risk" in self.names:
            # What softplus makes the normal distribution's.
            first = np.log(np.expm1(np.array(NORMAL_TAIL)))
            weights["head_value_at_risk_b"] = jnp.asarray(np.repeat(first, self.horizons), jnp.float32)
        if "volatility" in self.names:
            weights["head_volatility_b"] = jnp.full(self.horizons, np.log(np.expm1(1)), jnp.float32)
        return weights

    def raw(self, weights: dict, hidden: jax.Array) -> dict[str, jax.Array]:
        """Logits, and the other outputs in units of the scales, each [..., its own shape]."""
        sums = {name: hidden @ weights[f"head_{name}_w"] + weights[f"head_{name}_b"] for name in self._layers()}
        if self.is_direct:
            sums["probabilities"] = hidden
        if "probabilities" in sums:
            sums["probabilities"] = sums["probabilities"].reshape(*hidden.shape[:-1], self.horizons, 3)
        if "volatility" in sums:
            sums["volatility"] = jax.nn.softplus(sums["volatility"])
        if "value_at_risk" in sums:
            sums |= self._risk(jax.nn.softplus(sums["value_at_risk"]))
        if "position" in sums:
            sums["position"] = jnp.tanh(sums["position"])
        return {name: value for name, value in sums.items() if name in self.names}

    def _risk(self, steps):
        """Both risks at both tails from four steps up: shortfall is value at risk and a step, the second tail a step
        further."""
        near, excess, further, last = jnp.split(steps, 4, axis=-1)
        far, near_shortfall = near + further, near + excess
        far_shortfall = jnp.maximum(far, near_shortfall) + last
        return {"value_at_risk": jnp.stack([near, far], axis=-1),
                "expected_shortfall": jnp.stack([near_shortfall, far_shortfall], axis=-1)}

    def outputs(self, weights: dict, hidden: jax.Array) -> dict[str, jax.Array]:
        """The outputs as the contract names and scales them, [..., its own shape]."""
        values = self.raw(weights, hidden)
        scales = jnp.asarray(self.scales, jnp.float32)
        for name in ("probabilities", "trend"):
            if name in values:
                values[name] = jax.nn.softmax(values[name], axis=-1)
        for name in ("expected_return", "volatility"):
            if name in values:
                values[name] = values[name] * scales
        for name in RISK:
            if name in values:
                values[name] = values[name] * self._risk_scales()[:, None]
        return values

    def _risk_scales(self) -> np.ndarray:
        return (np.asarray(self.scales) * np.asarray(self.risk_factors or 1.0)).astype(np.float32)

    def losses(self, raw: dict, targets: dict, weights: dict) -> dict[str, jax.Array]:
        """The loss of each head over a batch, from `raw`: the mean over targets [..., H] or [...], each with its
        weight."""
        scales = jnp.asarray(self.scales, jnp.float32)
        result = {}
        for name in ("probabilities", "trend"):
            if name in raw:
                target = "classes" if name == "probabilities" else "trend"
                classes = jnp.maximum(targets[target], 0).astype(jnp.int32)
                picked = jnp.take_along_axis(jax.nn.log_softmax(raw[name]), classes[..., None], axis=-1)[..., 0]
                result[name] = _mean(-picked, weights[target])
        if "expected_return" in raw:
            distance = jnp.abs(raw["expected_return"] - targets["returns"] / scales)
            huber = jnp.where(distance < HUBER_LIMIT, distance**2 / 2, HUBER_LIMIT * (distance - HUBER_LIMIT / 2))
            result["expected_return"] = _mean(huber, weights["returns"])
        if "volatility" in raw:
            variance = jnp.maximum(raw["volatility"], SCALED_MIN) ** 2
            square = (targets[self.volatility_target] / scales) ** 2
            result["volatility"] = _mean(jnp.log(variance) + square / variance, weights[self.volatility_target])
        if "value_at_risk" in raw and "expected_shortfall" in raw:
            result["value_at_risk"] = sum(
                _mean(fz0(targets["returns"] / scales, *(raw[name][..., tail] for name in RISK), share),
                      weights["returns"])
                for tail, share in enumerate(TAILS))
        elif "value_at_risk" in raw:
            result["value_at_risk"] = sum(
                _mean(pinball(targets["returns"] / scales, -raw["value_at_risk"][..., tail], share), weights["returns"])
                for tail, share in enumerate(TAILS))
        return {name: value * self.share(name) for name, value in result.items()}

    def targets(self) -> tuple[str, ...]:
        """Names of the targets that the losses need."""
        needs = {"probabilities": "classes", "expected_return": "returns", "volatility": self.volatility_target,
                 "value_at_risk": "returns", "trend": "trend"}
        return tuple(dict.fromkeys(needs[name] for name in self.names if name in needs))

    def nodes(self, builder, weights: dict, value: str) -> None:
        """Adds the outputs to an ONNX graph; `value` is [1, width]."""
        count, scales = self.horizons, np.asarray(self.scales, np.float32)
        sums = {name: builder.last(f"head_{name}", value, weights[f"head_{name}_w"], weights[f"head_{name}_b"])
                for name in self._layers()}
        if self.is_direct:
            sums["probabilities"] = value

        def scaled(value, scales=scales):
            return builder.node("Mul", [value, builder.constant(scales[None], "scale")])

        if "probabilities" in sums:
            logits = builder.reshape(sums["probabilities"], 1, count, 3)
            builder.output(builder.node("Softmax", [logits], axis=-1), "probabilities", [1, count, 3])
        if "expected_return" in sums:
            builder.output(scaled(sums["expected_return"]), "expected_return", [1, count])
        if "volatility" in sums:
            builder.output(scaled(builder.node("Softplus", [sums["volatility"]])), "volatility", [1, count])
        if "value_at_risk" in sums:
            steps = builder.node("Softplus", [sums["value_at_risk"]])
            self._risk_nodes(builder, scaled(steps, np.tile(self._risk_scales(), 4)))
        if "trend" in sums:
            builder.output(builder.node("Softmax", [sums["trend"]], axis=-1), "trend", [1, 3])
        if "position" in sums:
            builder.output(builder.node("Tanh", [sums["position"]]), "position", [1, 1])

    def _risk_nodes(self, builder, steps):
        near, excess, further, last = builder.node("Split", [steps], outputs=4, axis=-1)
        far, near_shortfall = builder.node("Add", [near, further]), builder.node("Add", [near, excess])
        # The greater of two is one and what the other has above it.
        above = builder.node("Relu", [builder.node("Sub", [far, near_shortfall])])
        far_shortfall = builder.node("Add", [builder.node("Add", [near_shortfall, above]), last])
        for name, pair in zip(RISK, ((near, far), (near_shortfall, far_shortfall))):
            if name in self.names:
                parts = [builder.reshape(part, 1, self.horizons, 1) for part in pair]
                builder.output(builder.node("Concat", parts, axis=2), name, [1, self.horizons, 2])


def _mean(losses, weights):
    """The weighted mean; 0 where nothing counts."""
    return (losses * weights).sum() / jnp.maximum(weights.sum(), 1e-6)


def pinball(returns, quantile, share):
    """Koenker and Bassett (1978): least in the mean where `quantile` has the `share` of returns below it."""
    return (share - (returns <= quantile)) * (returns - quantile)


def fz0(returns, value_at_risk, shortfall, share):
    """FZ0: least in the mean at value at risk and expected shortfall of the worst `share`, both positive losses."""
    beyond = jax.nn.relu(-returns - value_at_risk)
    shortfall = jnp.maximum(shortfall, SCALED_MIN)
    return beyond / (share * shortfall) + value_at_risk / shortfall + jnp.log(shortfall) - 1
