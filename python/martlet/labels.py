"""Labels of mid-price moves, the baselines that need no model, and F1 scores.

Classes are 0 down, 1 flat, 2 up, the order of a model's probabilities; -1 stands for a tick without a label.

`smoothed-mid`, horizon k in ticks, threshold α: with m(t) the mid price after tick t as an integer in 1e-9,

    l(t) = float64(m(t+1) + … + m(t+k) − k·m(t)) / (float64(k) · float64(m(t)))
    up if l > α, down if l < −α, else flat

The numerator is a sum of integers, so the order of the additions does not matter.

A tick has a label only if the ticks t to t+k all have a positive mid price and none of t+1 … t+k begins after a reset.
"""

from __future__ import annotations

import numpy as np

DOWN, FLAT, UP, NONE = 0, 1, 2, -1
UNDEFINED_PRICE = 2**63 - 1
NO_LABEL = np.int8(-128)


def smoothed_mid(mid: np.ndarray, reset: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """l(t) as float64, and whether it exists; `mid` int64, `reset` true at the first tick after a reset."""
    count = len(mid)
    mid = np.ascontiguousarray(mid, np.int64)
    is_usable = (mid > 0) & (mid != UNDEFINED_PRICE)
    usable = np.zeros(count, bool)
    values = np.zeros(count)
    if count <= k:
        return values, usable
    # Sums wrap modulo 2**64; their differences are right as long as they fit, which sums of differences do.
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mid.astype(np.uint64), dtype=np.uint64)])
    absent = np.concatenate([[0], np.cumsum(~is_usable)])
    resets = np.concatenate([[0], np.cumsum(np.asarray(reset) != 0)])
    now = np.arange(count - k)
    usable[now] = (absent[now + k + 1] == absent[now]) & (resets[now + k + 1] == resets[now + 1])
    ahead = sums[now + k + 1] - sums[now + 1]
    moved = (ahead - np.uint64(k) * mid[now].astype(np.uint64)).astype(np.int64)
    scale = np.where(is_usable[now], mid[now], 1).astype(np.float64) * np.float64(k)
    values[now] = np.where(usable[now], moved.astype(np.float64) / scale, 0)
    return values, usable


def directions(mids, resets, horizon: int, alpha: float) -> np.ndarray:
    """`smoothed-mid` as Sources/Inference/Labels.swift gives it, bit for bit: int8 -1, 0, 1, or `NO_LABEL`."""
    mids = np.ascontiguousarray(mids, np.int64)
    resets = np.ascontiguousarray(resets, bool)
    if mids.shape != resets.shape or horizon < 1 or not alpha >= 0:
        raise ValueError("one reset flag per tick, a horizon of at least 1, a threshold of at least 0")
    classes = classify(*smoothed_mid(mids, resets, horizon), alpha)
    return np.where(classes == NONE, NO_LABEL, classes - 1).astype(np.int8)


def classify(values: np.ndarray, usable: np.ndarray, alpha: float) -> np.ndarray:
    """The class of each tick, or `NONE`."""
    classes = np.full(len(values), FLAT, np.int8)
    classes[values > alpha] = UP
    classes[values < -alpha] = DOWN
    classes[~usable] = NONE
    return classes


def choose_alpha(values: np.ndarray) -> float:
    """The threshold that makes a third of `values` flat, in three digits; 0 where more than a third do not move."""
    if len(values) == 0:
        raise ValueError("no labelled ticks to choose a threshold from")
    return float(f"{np.quantile(np.abs(values), 1 / 3):.3g}")


def persistence(classes: np.ndarray, k: int) -> np.ndarray:
    """The last label known at each tick, that of tick t−k, or `NONE`. Labels do not cross a reset, so nor does this."""
    last = np.full(len(classes), NONE, np.int8)
    last[k:] = classes[:-k]
    return last


def ticks_since_reset(reset: np.ndarray) -> np.ndarray:
    """0 for the first tick after a reset, and so on."""
    index = np.arange(len(reset))
    return index - np.maximum.accumulate(np.where(reset != 0, index, 0))


def f1_scores(expected: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Macro F1 (plain mean of the three classes; a class that never occurs counts 0), weighted F1 and accuracy."""
    if len(expected) == 0:
        return {"macro_f1": 0.0, "weighted_f1": 0.0, "accuracy": 0.0}
    scores, weights = [], []
    for label in (DOWN, FLAT, UP):
        hits = int(np.sum((expected == label) & (predicted == label)))
        total = int(np.sum(expected == label) + np.sum(predicted == label))
        scores.append(2 * hits / total if total else 0.0)
        weights.append(float(np.mean(expected == label)))
    return {
        "macro_f1": float(np.mean(scores)), "weighted_f1": float(np.dot(scores, weights)),
        "accuracy": float(np.mean(expected == predicted)),
    }


def most_probable(probabilities: np.ndarray) -> np.ndarray:
    """The class of the last axis; of equals the first of flat, down, up, as in a signal record."""
    order = np.array([FLAT, DOWN, UP])
    return order[np.argmax(probabilities[..., order], axis=-1)]
