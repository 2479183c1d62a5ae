"""Distillation (Hinton, Vinyals and Dean 2015, arXiv 1503.02531): a student learns from a teacher's probabilities too.

loss = (1 − share) · cross-entropy + share · T² · KL(teacher ‖ student), both softened by the temperature T. The
teacher's probabilities are given for all ticks; those of T = 1 are enough, because p^(1/T), made to sum to 1, is the
softmax of logits / T.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from .networks.common import glorot

#: Targets that distillation reads: [N, H, 3], and hidden values [N, D].
TEACHER, TEACHER_HIDDEN = "teacher", "teacher_hidden"
PROBABILITY_MIN = 1e-6
#: The projection that features are matched through; it is not part of the trained model.
MATCH = "match_w"


@dataclass(frozen=True)
class Distillation:
    temperature: float = 2.0
    share: float = 0.6
    #: What the squared distance of projected hidden values from the teacher's counts (FitNets, Romero et al. 2015); 0
    #: for none.
    features: float = 0.0

    def initial(self, key: jax.Array, width: int, teacher_width: int) -> dict:
        """The projection, where features are matched."""
        return {MATCH: glorot(key, (width, teacher_width), width, teacher_width)} if self.features else {}

    def loss(self, supervised: jax.Array, logits: jax.Array, hidden: jax.Array, weights: dict, targets: dict,
             counts: dict) -> jax.Array:
        """The loss that stands for `supervised`, that of the head `probabilities`, over a batch."""
        weight = counts[TEACHER]
        teacher = jnp.log(jnp.maximum(targets[TEACHER], PROBABILITY_MIN)) / self.temperature
        student = jax.nn.log_softmax(logits / self.temperature)
        teacher = jax.nn.log_softmax(teacher)
        divergence = (jnp.exp(teacher) * (teacher - student)).sum(axis=-1)
        soft = self.temperature**2 * (divergence * weight).sum() / jnp.maximum(weight.sum(), 1e-6)
        total = (1 - self.share) * supervised + self.share * soft
        if self.features:
            counted = counts[TEACHER_HIDDEN]
            distance = ((hidden @ weights[MATCH] - targets[TEACHER_HIDDEN]) ** 2).mean(axis=-1)
            total = total + self.features * (distance * counted).sum() / jnp.maximum(counted.sum(), 1e-6)
        return total


def ensemble(members: list[np.ndarray]) -> np.ndarray:
    """The mean of probabilities [N, H, 3] of several teachers; NaN where one has none."""
    return np.mean(np.stack(members), axis=0, dtype=np.float64).astype(np.float32)
