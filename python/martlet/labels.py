"""Labels of the training and of the scores: the twin of Sources/Inference/Labels.swift, bit for bit."""

import numpy as np

UNDEFINED = np.iinfo(np.int64).max
NO_LABEL = np.int8(-128)


def smoothed_mid(mids, resets, horizon, alpha):
    """The direction of the mean of the next mid prices: `smoothed-mid` over ticks, see docs/MODEL.md.

    mids: int64 mid prices in 1e-9, UNDEFINED where there is none. resets: True at the first tick after a reset.
    Returns int8: -1 down, 0 flat, 1 up, NO_LABEL where there is no label.
    """
    mids = np.ascontiguousarray(mids, np.int64)
    resets = np.ascontiguousarray(resets, bool)
    if mids.shape != resets.shape or horizon < 1 or not alpha >= 0:
        raise ValueError("one reset flag per tick, a horizon of at least 1, a threshold of at least 0")
    labels = np.full(len(mids), NO_LABEL, np.int8)
    count = len(mids) - horizon
    if count <= 0:
        return labels
    usable = (mids > 0) & (mids != UNDEFINED)
    # Sums wrap modulo 2**64; their differences are right as long as they fit, which sums of differences do.
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mids.astype(np.uint64), dtype=np.uint64)])
    bad = np.concatenate([[0], np.cumsum(~usable)])
    cuts = np.concatenate([[0], np.cumsum(resets)])
    now = mids[:count]
    ahead = sums[horizon + 1 : horizon + 1 + count] - sums[1 : 1 + count]
    difference = (ahead - np.uint64(horizon) * now.astype(np.uint64)).astype(np.int64)
    valid = usable[:count] & (bad[horizon + 1 : horizon + 1 + count] == bad[1 : 1 + count])
    valid &= cuts[horizon + 1 : horizon + 1 + count] == cuts[1 : 1 + count]
    with np.errstate(divide="ignore", invalid="ignore"):
        change = difference.astype(np.float64) / (np.float64(horizon) * now.astype(np.float64))
    direction = np.where(change > alpha, 1, np.where(change < -alpha, -1, 0)).astype(np.int8)
    labels[:count] = np.where(valid, direction, NO_LABEL)
    return labels
