"""The market seen from the other side: bids for asks, buyers for sellers, up for down.

One day has few independent moves, and often a drift that the next day does not have. What holds for buyers should hold
for sellers, so a training part and its mirror image are twice the examples, without the drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .batches import Examples
from .data import Problem

#: Words of a feature's name that change places …
SIDES = {"bid": "ask", "ask": "bid", "buy": "sell", "sell": "buy"}
#: … and beginnings of the names of features that change their sign (docs/FEATURES.md).
SIGNED = ("microprice_deviation", "size_centre", "queue_imbalance", "order_flow", "trade_sign", "trade_log_volume",
          "volume_flow", "mid_change", "momentum")
#: The share of ticks below and above the range that makes up the scale, and the width of that range of a normal
#: variable in standard deviations.
TAIL, WIDTH = 5, 3.29
#: Features normalised so are cut off there: what lies beyond tells one day's story only.
LIMIT = 1.5
#: A range narrower than this share of the standard deviation is that of a feature that rarely moves.
RANGE_MIN = 0.1


@dataclass(frozen=True)
class Mirror:
    """Where each feature's counterpart stands, [F], and its sign, [F]."""

    order: np.ndarray
    sign: np.ndarray

    @staticmethod
    def of(names: list[str]) -> Mirror:
        """Of features by their names."""
        places = {name: place for place, name in enumerate(names)}
        others = ["_".join(SIDES.get(word, word) for word in name.split("_")) for name in names]
        missing = [other for other in others if other not in places]
        if missing:
            raise ValueError(f"the features have no {missing[0]}, which mirrors {names[others.index(missing[0])]}")
        sign = np.float32([-1 if name.startswith(SIGNED) else 1 for name in names])
        return Mirror(np.array([places[other] for other in others]), sign)

    def features(self, features: np.ndarray) -> np.ndarray:
        """Of features [N, F], raw or normalised by `scales`."""
        return features[:, self.order] * self.sign

    def normalised(self, problem: Problem) -> np.ndarray:
        """[N, F] float32 by `scales`, cut off at `LIMIT`."""
        centre, scale = self.scales(problem)
        return np.clip((problem.data.features - centre) * scale, -LIMIT, LIMIT)

    def scales(self, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
        """Centre and scale [F] of the training part and its mirror image: median, and what makes the range from the 5th
        to the 95th percentile that of a standard normal variable. Outliers, of which books have many, do not count, nor
        does the warm-up at the beginning of the data."""
        first = max(problem.split.train_from, problem.warm_up)
        rows = problem.data.features[first:problem.validation_from]
        both = np.concatenate([rows, self.features(rows)])
        low, centre, high = np.percentile(both, [TAIL, 50, 100 - TAIL], axis=0)
        deviation, width = both.std(axis=0, dtype=np.float64), (high - low) / WIDTH
        width = np.where(width < RANGE_MIN * deviation, deviation, width)
        scale = np.where(deviation > 0, 1 / np.maximum(width, 1e-2), 0)
        return centre.astype(np.float32), scale.astype(np.float32)

    def examples(self, problem: Problem, features: np.ndarray, teacher: np.ndarray | None = None) -> Examples:
        """The mirrored training part, then the stream as it is; `features` [N, F] are normalised. `teacher` [N, H, 3]
        are probabilities to distil."""
        end = problem.validation_from

        def joined(array, mirrored):
            return np.concatenate([mirrored[:end], array])

        classes = problem.classes
        targets = {"classes": joined(classes, np.where(classes >= 0, 2 - classes, classes))}
        if teacher is not None:
            targets["teacher"] = joined(teacher, teacher[..., ::-1])
        train = joined(problem.train, problem.train)
        # Nothing of the mirror image is judged: no tick of the training part counts in validation.
        validation = joined(problem.validation, problem.validation)
        reset = joined(problem.data.reset, problem.data.reset)
        mirrored = self.features(features[:end])
        return Examples(np.concatenate([mirrored, features]), reset, targets, dict.fromkeys(targets, train),
                        dict.fromkeys(targets, validation))
