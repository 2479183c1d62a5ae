"""Labels of mid-price moves: directions, returns, volatility, trend; and persistence, the guess that needs no model.

Classes are 0 down, 1 flat, 2 up, the order of a model's probabilities; -1 stands for a tick without a label.
With m(t) the mid price after tick t as an integer in 1e-9 and a horizon of k ticks:

    smoothed-mid   l(t) = float64(m(t+1) + … + m(t+k) − k·m(t)) / (float64(k) · float64(m(t)))
    two-sided      l(t) = float64(m(t+1) + … + m(t+k) − m(t−k+1) − … − m(t)) / float64(m(t−k+1) + … + m(t))
    class          up if l > α, down if l < −α, else flat

The second is equation 4 of Zhang, Zohren and Roberts (2019), after Tsantekidis et al. (2017). Numerators are sums of
integers, so the order of the additions does not matter.

A horizon is a number of ticks, or an array with the number for each tick: `ticks_within` makes one of a time.
A tick has a label only if the ticks that it looks at all have a positive mid price, and none of them but the first
begins after a reset.
"""

from __future__ import annotations

import numpy as np

DOWN, FLAT, UP, NONE = 0, 1, 2, -1
UNDEFINED_PRICE = 2**63 - 1
NO_LABEL = np.int8(-128)
#: |z| of a standard normal variable lies below it in a third of all cases.
TREND_MULTIPLE = 0.43

#: A horizon: ticks, the same for all, or one number for each tick, -1 where the data end first.
Ticks = int | np.ndarray


def ticks_within(ts: np.ndarray, milliseconds: int) -> np.ndarray:
    """For each tick how many follow within so many milliseconds; -1 where the data end before that time is over.

    `ts` is the capture time in ns. The time is over when a later tick shows it, so the last ticks have no number.
    """
    ts = np.asarray(ts).astype(np.int64)
    if milliseconds < 1 or (np.diff(ts) < 0).any():
        raise ValueError("a time horizon is at least 1 ms, and capture times do not decrease")
    last = np.searchsorted(ts, ts + milliseconds * 1_000_000, side="right") - 1
    return np.where(last + 1 < len(ts), last - np.arange(len(ts)), -1)


def _ahead(count: int, k: Ticks) -> np.ndarray:
    """The horizon of each tick, -1 where it reaches beyond the data."""
    if np.ndim(k):
        return np.asarray(k, np.int64)
    ahead = np.full(count, k, np.int64)
    ahead[max(count - k, 0):] = -1
    return ahead


class _Windows:
    """Exact sums of mid prices over stretches of ticks, and which stretches can carry a label."""

    def __init__(self, mid: np.ndarray, reset: np.ndarray) -> None:
        self.mid = np.ascontiguousarray(mid, np.int64)
        self.is_usable = (self.mid > 0) & (self.mid != UNDEFINED_PRICE)
        # Sums wrap modulo 2**64; their differences are right as long as they fit, which sums of differences do.
        self.sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(self.mid.astype(np.uint64), dtype=np.uint64)])
        self.absent = np.concatenate([[0], np.cumsum(~self.is_usable)])
        self.resets = np.concatenate([[0], np.cumsum(np.asarray(reset) != 0)])

    def are_whole(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Whether the ticks `first` to `last` all have a mid, and none after the first follows a reset."""
        return (self.absent[last + 1] == self.absent[first]) & (self.resets[last + 1] == self.resets[first + 1])

    def last_sums(self, now: np.ndarray, k: int) -> np.ndarray:
        """Sums of the last k mids of the ticks `now`, each tick's own among them, uint64; refuses ones that wrap."""
        if len(now) and int(self.mid[self.is_usable].max()) * k >= 2**64:
            raise ValueError(f"prices are too large for sums of {k}")
        return self.sums[now + 1] - self.sums[now - k + 1]

    def usable(self, ahead: np.ndarray) -> np.ndarray:
        """Whether each tick and the ticks of its horizon can carry a label."""
        now = np.arange(len(self.mid))
        return (ahead >= 0) & self.are_whole(now, now + np.maximum(ahead, 0))


def smoothed_mid(mid: np.ndarray, reset: np.ndarray, k: Ticks) -> tuple[np.ndarray, np.ndarray]:
    """l(t) as float64, and whether it exists; `mid` int64, `reset` true at the first tick after a reset.

    Where no tick follows within a time horizon the price stands, and l is 0.
    """
    ahead = _ahead(len(mid), k)
    windows = _Windows(mid, reset)
    usable = windows.usable(ahead)
    now, n = np.flatnonzero(usable), ahead[usable]
    values = np.zeros(len(mid))
    present = windows.mid[now]
    moved = windows.sums[now + n + 1] - windows.sums[now + 1] - n.astype(np.uint64) * present.astype(np.uint64)
    scale = present.astype(np.float64) * np.maximum(n, 1).astype(np.float64)
    values[now] = moved.astype(np.int64).astype(np.float64) / scale
    return values, usable


def smoothed_two_sided(mid: np.ndarray, reset: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the next k mids against that of the last k, this tick's among them; and whether it exists."""
    count = len(mid)
    values, usable = np.zeros(count), np.zeros(count, bool)
    windows = _Windows(mid, reset)
    now = np.arange(k - 1, max(count - k, k - 1))
    now = now[windows.are_whole(now - k + 1, now + k)]
    past = windows.last_sums(now, k)
    moved = windows.sums[now + k + 1] - windows.sums[now + 1] - past
    usable[now] = True
    values[now] = moved.astype(np.int64).astype(np.float64) / past.astype(np.float64)
    return values, usable


def directions(mids, resets, horizon: int, alpha: float) -> np.ndarray:
    """`smoothed-mid` as Sources/Inference/Labels.swift gives it, bit for bit: int8 -1, 0, 1, or `NO_LABEL`."""
    mids = np.ascontiguousarray(mids, np.int64)
    resets = np.ascontiguousarray(resets, bool)
    if mids.shape != resets.shape or horizon < 1 or not alpha >= 0:
        raise ValueError("one reset flag per tick, a horizon of at least 1, a threshold of at least 0")
    classes = classify(*smoothed_mid(mids, resets, horizon), alpha)
    return np.where(classes == NONE, NO_LABEL, classes - 1).astype(np.int8)


def returns(mid: np.ndarray, reset: np.ndarray, k: Ticks) -> np.ndarray:
    """(m(t+k) − m(t)) / m(t), a fraction, NaN where there is none; the difference is exact."""
    ahead = _ahead(len(mid), k)
    windows = _Windows(mid, reset)
    now = np.flatnonzero(windows.usable(ahead))
    values = np.full(len(mid), np.nan)
    present = windows.mid[now]
    values[now] = (windows.mid[now + ahead[now]] - present).astype(np.float64) / present.astype(np.float64)
    return values


def log_returns(mid: np.ndarray, reset: np.ndarray, k: Ticks) -> np.ndarray:
    """log(m(t+k) / m(t)), NaN where there is none; from the exact difference, so that small moves keep their digits."""
    return np.log1p(returns(mid, reset, k))


def realised_volatility(mid: np.ndarray, reset: np.ndarray, k: Ticks) -> np.ndarray:
    """Root of the sum of the squared returns of the next k ticks, a fraction of the price; NaN where there is none."""
    ahead = _ahead(len(mid), k)
    windows = _Windows(mid, reset)
    now = np.flatnonzero(windows.usable(ahead))
    values = np.full(len(mid), np.nan)
    values[now] = np.sqrt(_sums(_squared_moves(windows), now + 1, now + 1 + ahead[now]))
    return values


def _squared_moves(windows: _Windows) -> np.ndarray:
    """The squared return from the tick before to each tick; 0 where either has no mid."""
    mid = windows.mid
    squares = np.zeros(len(mid))
    known = np.flatnonzero(windows.is_usable[1:] & windows.is_usable[:-1])
    squares[known + 1] = np.square((mid[known + 1] - mid[known]).astype(np.float64) / mid[known].astype(np.float64))
    return squares


def _sums(values: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Sum of values[first:end] for each pair, each by itself: differences of running sums would lose small ones."""
    if len(first) == 0:
        return np.zeros(0)
    bounds = np.stack([first, end], axis=1).ravel()
    return np.where(end > first, np.add.reduceat(np.append(values, 0.0), bounds)[::2], 0.0)


def trend_score(mid: np.ndarray, reset: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The two-sided smoothed move over k ticks in units of what a random walk of the present volatility makes of it.

    z(t) = l(t) / (√(2/3) · v(t)): l is the two-sided label, v the realised volatility of the last k ticks, which is
    known at tick t. The mean of k steps ahead of a random walk and that of k steps behind it differ by √(2/3) of the
    deviation over k steps, so z would have a variance of about 1. Where the price stood still, z is 0 or infinite. Also
    returned is whether z exists: 2k ticks without a reset or an absent price.
    """
    values, usable = smoothed_two_sided(mid, reset, k)
    return _in_deviations(values, np.flatnonzero(usable), _Windows(mid, reset), k), usable


def known_two_sided(mid: np.ndarray, reset: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """`smoothed_two_sided` as if the next k mids were the present one: the half of it that is known at tick t."""
    count, windows = len(mid), _Windows(mid, reset)
    values, usable = np.zeros(count), np.zeros(count, bool)
    now = np.arange(k - 1, max(count, k - 1))
    now = now[windows.are_whole(now - k + 1, now)]
    past = windows.last_sums(now, k)
    moved = np.uint64(k) * windows.mid[now].astype(np.uint64) - past
    usable[now] = True
    values[now] = moved.astype(np.int64).astype(np.float64) / past.astype(np.float64)
    return values, usable


def known_trend_score(mid: np.ndarray, reset: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """`trend_score` as if the next k mids were the present one: the half of it that is known at tick t."""
    values, usable = known_two_sided(mid, reset, k)
    return _in_deviations(values, np.flatnonzero(usable), _Windows(mid, reset), k), usable


def _in_deviations(values: np.ndarray, now: np.ndarray, windows: _Windows, k: int) -> np.ndarray:
    """The values at the ticks `now` over what a random walk of the last k ticks' volatility would make of them."""
    result = np.zeros(len(values))
    deviation = np.sqrt(2 / 3 * _sums(_squared_moves(windows), now - k + 2, now + 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        result[now] = np.where(values[now] == 0, 0, values[now] / deviation)
    return result


def trend(mid: np.ndarray, reset: np.ndarray, k: int, multiple: float = TREND_MULTIPLE) -> np.ndarray:
    """The regime at each tick, int8: up where `trend_score` is above `multiple`, down below its negative, else flat."""
    return classify(*trend_score(mid, reset, k), multiple)


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


def persistence_in_time(classes: np.ndarray, reset: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """As `persistence` where the horizon is `ahead` ticks, from `ticks_within`: the last label whose time is over."""
    now = np.arange(len(classes))
    end = np.where(ahead >= 0, now + ahead, len(classes))
    known = np.searchsorted(end, now, side="left") - 1
    is_known = (known >= 0) & (known >= now - ticks_since_reset(reset))
    return np.where(is_known, np.asarray(classes)[np.maximum(known, 0)], NONE).astype(np.int8)


def ticks_since_reset(reset: np.ndarray) -> np.ndarray:
    """0 for the first tick after a reset, and so on."""
    index = np.arange(len(reset))
    return index - np.maximum.accumulate(np.where(reset != 0, index, 0))


def most_probable(probabilities: np.ndarray) -> np.ndarray:
    """The class of the last axis; of equals the first of flat, down, up, as in a signal record."""
    order = np.array([FLAT, DOWN, UP])
    return order[np.argmax(probabilities[..., order], axis=-1)]
