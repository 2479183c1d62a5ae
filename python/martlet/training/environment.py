"""Trading as it would have been: recorded quotes, fees and a delay between decision and fill.

A decision at tick t is a target position in −1 … 1, in units of one whole position: so much of the instrument as was
worth 1 at the mid of the segment's first quoted tick. It is filled `latency` ticks later at the quotes of that tick,
buys at the ask and sells at the bid, whatever the size, and a fee is paid on what was traded, at its mid value.
Latency 0 trades at the very quotes that the decision saw, which no one does, and ticks may be microseconds apart:
`delayed` has a latency in time. The market does not answer to the trades.

The reward of tick t is what came of it until t + 1:

    reward(t) = held(t) · move(t) − |held(t) − held(t − 1)| · cost(t),    cost = half spread + fee

in units of the whole position. So the sum of the rewards, the equity, is to the bit of rounding the cash of all fills
plus the worth of what is held, at the mid (`tests/test_training_environment.py` keeps the books by hand).

A segment begins at each reset and at each cut (where a part of the data begins); nothing is carried over: what is held
is sold at the segment's last quoted tick, and decisions under way lapse. Through the warm-up after a reset the position
is 0. A tick without both quotes, or with crossed ones, trades nothing and moves nothing; the next one makes up for it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ..labels import UNDEFINED_PRICE, ticks_since_reset
from .data import Data, DataError

#: What `Market.columns` holds of each tick.
COLUMNS = ("move", "cost", "tradable", "flat", "begin")
BASIS_POINT = 1e-4


@dataclass(frozen=True)
class Market:
    """What trading one instrument would have brought and cost at each tick, float64."""

    #: [N]: the mid's change to the next tick, a fraction of the segment's first mid; 0 at a segment's end.
    move: np.ndarray
    #: [N]: what a change of the position by 1 costs, the same fraction.
    cost: np.ndarray
    #: [N] bool each: whether there are quotes; whether the position must be 0; whether a segment begins.
    tradable: np.ndarray
    flat: np.ndarray
    begin: np.ndarray

    @staticmethod
    def of(data: Data, fee_bps: float = 0.0, cuts: Sequence[int] = (), warm_up: int | None = None) -> Market:
        """`fee_bps` is in basis points of the value traded, negative for a rebate; `cuts` are the first ticks of parts;
        `warm_up` is the number of ticks after a reset without a position (None: that of the features)."""
        count = len(data.bid)
        if any(not 0 <= cut < count for cut in cuts):
            raise DataError(f"cuts are ticks from 0 to {count - 1}, not {list(cuts)}")
        warm_up = data.description["warm_up_ticks"] if warm_up is None else warm_up
        begin = np.asarray(data.reset) != 0
        flat = ticks_since_reset(begin) < warm_up
        begin[[0, *cuts]] = True
        is_quoted = (data.bid != UNDEFINED_PRICE) & (data.ask != UNDEFINED_PRICE)
        tradable = is_quoted & (data.bid <= data.ask) & (data.bid > 0)
        bid, ask = (np.where(tradable, side, 0).astype(np.float64) for side in (data.bid, data.ask))
        mid, half = (bid + ask) / 2, (ask - bid) / 2
        move, cost = np.zeros(count), np.zeros(count)
        firsts = np.flatnonzero(begin)
        for first, end in zip(firsts, [*firsts[1:], count]):
            quoted = first + np.flatnonzero(tradable[first:end])
            if not len(quoted):
                flat[first:end] = True
                continue
            whole = mid[quoted[0]]
            move[quoted[1:] - 1] = np.diff(mid[quoted]) / whole
            cost[quoted] = (half[quoted] + fee_bps * BASIS_POINT * mid[quoted]) / whole
            flat[quoted[-1]:end] = True
        return Market(move, cost, tradable, flat, begin)

    def part(self, first: int, end: int) -> Market:
        """The ticks from `first` to `end`, which begin and end segments."""
        rows = slice(first, end)
        if not self.begin[first] or end < len(self.begin) and not self.begin[end]:
            raise ValueError(f"ticks {first} and {end} are no cuts of this market")
        return Market(*(getattr(self, name)[rows] for name in COLUMNS))

    @property
    def columns(self) -> np.ndarray:
        """[N, 5] float32, for training: a target named `market`."""
        return np.stack([getattr(self, name) for name in COLUMNS], axis=1).astype(np.float32)


def start(lanes: int, latency: int) -> dict[str, jax.Array]:
    """Accounts that hold nothing; decisions under way lie oldest first."""
    return {"held": jnp.zeros(lanes), "pending": jnp.zeros((latency, lanes))}


def run(account: dict, targets: jax.Array, market: jax.Array, band=0.0) -> tuple[dict, jax.Array, jax.Array]:
    """Trades decisions [T, B] in a market [T, B, 5]: the account after it, rewards and positions held [T, B].

    A change smaller than `band`, a number or one for each lane, is not made, unless the position must be 0.
    """

    def step(account, tick):
        target, (move, cost, tradable, flat, begin) = tick[0], jnp.moveaxis(tick[1], -1, 0)
        held = account["held"] * (1 - begin)
        queue = jnp.concatenate([account["pending"] * (1 - begin), target[None]])
        wanted = queue[0] * (1 - flat)
        is_filled = (tradable > 0) & ((jnp.abs(wanted - held) >= band) | (flat > 0))
        now = jnp.where(is_filled, wanted, held)
        reward = now * move - jnp.abs(now - held) * cost
        return {"held": now, "pending": queue[1:]}, (reward, now)

    first = {name: account[name] for name in ("held", "pending")}
    account, (rewards, held) = jax.lax.scan(step, first, (targets, market))
    return account, rewards, held


@dataclass(frozen=True)
class Account:
    """What came of decisions: [N] or, of several sets of decisions, [N, C]; float64."""

    market: Market
    rewards: np.ndarray
    #: The position from each tick to the next.
    held: np.ndarray

    @property
    def equity(self) -> np.ndarray:
        """The sum of the rewards up to each tick."""
        return np.cumsum(self.rewards, axis=0)

    @property
    def before(self) -> np.ndarray:
        """The position that each tick found."""
        return np.concatenate([np.zeros_like(self.held[:1]), self.held[:-1]])

    @property
    def traded(self) -> np.ndarray:
        """How much the position changed at each tick, positive."""
        return np.abs(self.held - self.before)

    @property
    def costs(self) -> np.ndarray:
        """Half spreads and fees paid at each tick."""
        return self.traded * self.market.cost.reshape(-1, *[1] * (self.held.ndim - 1))


def simulate(market: Market, targets: np.ndarray, latency: int = 1, band: np.ndarray | float = 0.0) -> Account:
    """Trades decisions [N], or several sets of them [N, C] at once, through a whole market, in float64.

    A decision that is NaN, as where a window is not full, is 0.
    """
    targets = np.nan_to_num(np.asarray(targets, np.float64))
    if len(targets) != len(market.move) or np.abs(targets).max(initial=0) > 1 or latency < 0:
        raise ValueError(f"one decision in -1 to 1 for each of {len(market.move)} ticks, and no latency below 0")
    lanes = targets.reshape(len(targets), -1)
    with jax.enable_x64(True):
        rewards, held = _simulated(latency)(
            lanes, np.stack([getattr(market, name) for name in COLUMNS], axis=1).astype(np.float64),
            np.broadcast_to(np.asarray(band, np.float64), lanes.shape[1:]))
        rewards, held = np.asarray(rewards), np.asarray(held)
    return Account(market, rewards.reshape(targets.shape), held.reshape(targets.shape))


def delayed(market: Market, targets: np.ndarray, ts_recv: np.ndarray, nanoseconds: int) -> np.ndarray:
    """Decisions [N] as they arrive after a time: at each tick the last one of its segment that is so old, or 0. Traded
    with latency 0; ticks may be microseconds apart, and then a latency in ticks flatters."""
    times = np.asarray(ts_recv, np.uint64)
    last = np.searchsorted(times, times - np.uint64(nanoseconds), side="right") - 1
    first = np.maximum.accumulate(np.where(market.begin, np.arange(len(times)), 0))
    return np.where(last >= first, np.asarray(targets)[np.maximum(last, 0)], 0.0)


@functools.lru_cache(maxsize=8)
def _simulated(latency):
    @jax.jit
    def all_ticks(targets, columns, band):
        market = jnp.broadcast_to(columns[:, None], (*targets.shape, len(COLUMNS)))
        _, rewards, held = run(start(targets.shape[1], latency), targets, market, band)
        return rewards, held

    return all_ticks
