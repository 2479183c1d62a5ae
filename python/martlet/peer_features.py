"""The features of docs/FEATURES.md for whole batches of ticks, as a NumPy program would compute them: part of `martlet.peer`.

Everything is vectorised over the ticks of a batch, the decayed sums by doubling steps. Values agree with `martlet.features` to
rounding, not to the last bit.
"""

from __future__ import annotations

import numpy as np

from . import features as definition

f32 = np.float32
TRADE, MBP_1, MBP_10 = 0x00, 0x01, 0x0A
EVENT_BIT = {name: 1 << index for index, name in enumerate(definition.EVENTS)}
_SIDES = np.array([1, -1])
_WEIGHTS = (f32(2.0) ** -np.arange(10, dtype=f32))[:, None]


def _event_table():
    """Bits of the events of a book record, by action · 256 + side."""
    table = np.zeros(1 << 16, np.int64)
    for action, word in (("A", "add"), ("C", "cancel"), ("M", "modify")):
        table[ord(action) * 256:ord(action) * 256 + 256] = EVENT_BIT["unsided_update"]
        for side, end in (("B", "_bid"), ("A", "_ask")):
            table[ord(action) * 256 + ord(side)] = EVENT_BIT[word + end]
    table[ord("R") * 256:ord("R") * 256 + 256] = EVENT_BIT["book_reset"]
    return table


_EVENTS = _event_table()


class Records:
    """The trade and book records of a payload in columns; levels as [books, 10, 4] words: bid, ask, sizes, counts."""

    def __init__(self, payload: bytes, offsets: np.ndarray):
        words = np.frombuffer(payload, "<i8")
        at = (offsets >> 3)[:, None]
        self.common = words[at + np.arange(6)].view(definition.COMMON)[:, 0]
        self.is_book = self.common["rtype"] != TRADE
        books = self.common["rtype"][self.is_book]
        at = at[self.is_book]
        if (books == MBP_10).all():
            self.levels = words[at + np.arange(6, 46)].reshape(-1, 10, 4)
        else:
            self.levels = np.repeat(_empty_book(), len(books), axis=0)
            self.levels[:, :1] = words[at + np.arange(6, 10)].reshape(-1, 1, 4)
            deep = books == MBP_10
            self.levels[deep] = words[at[deep] + np.arange(6, 46)].reshape(-1, 10, 4)


def _empty_book() -> np.ndarray:
    return definition.empty_levels().view("<i8").reshape(1, 10, 4)


class BatchFeatures:
    """The features of one instrument for all ticks of a batch at once; what the next batch needs is carried."""

    def __init__(self, tick_size: int):
        self.scale = 0.5 / float(tick_size)
        self.reset()

    def reset(self) -> None:
        self.book = _empty_book()  # After the last record.
        self.before = _empty_book()  # At the end of the last tick.
        self.sums = np.zeros((11, 8), f32)
        self.doubled_mid: int | None = None
        self.last = self.last_trade = self.last_change = 0

    def compute(self, records: Records, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features [T, 128], doubled mids and whether they are known; `ends` are the ticks' last records, the very last among them."""
        common, is_book = records.common, records.is_book
        books = np.concatenate([self.book, records.levels])
        starts = np.concatenate([[0], ends[:-1] + 1])
        book_after = np.cumsum(is_book)
        levels = books[book_after[ends]]
        self.book = books[-1:]
        events, traded = self._events(common, is_book, starts, ends, books[:, 0], book_after)
        out = np.empty((len(ends), definition.COUNT), f32)
        doubled, known = self._compute(out, common["ts_recv"][ends].astype(np.int64), levels, events, traded)
        out[:, 101] = self._depth(common, is_book, starts, ends)
        return out, doubled, known

    @staticmethod
    def _depth(common, is_book, starts, ends):
        last = np.maximum.accumulate(np.where(is_book, np.arange(len(common)), -1))[ends]
        return np.where(last >= starts, np.minimum(common["depth"][last], 10), 0).astype(f32) * f32(0.1)

    @staticmethod
    def _events(common, is_book, starts, ends, best, book_after):
        """Event bits of each tick, and [T, 5] of bought, sold and unsided lots, trades, and buys minus sells."""
        action, side = common["action"], common["side"]
        bits = np.where(is_book, _EVENTS[action.astype(np.int64) * 256 + side], 0)
        bits |= np.where(is_book & ((common["flags"] & definition.F_SNAPSHOT) != 0), EVENT_BIT["book_reset"], 0)
        is_trade = ~is_book
        executed = is_book & (action == ord("T"))
        if executed.any():
            trades = np.cumsum(is_trade)
            tick = np.repeat(np.arange(len(ends)), ends - starts + 1)
            is_trade = is_trade | (executed & (trades - (trades - is_trade)[starts][tick] == 0))
        if not is_trade.any():
            return np.bitwise_or.reduceat(bits, starts), np.zeros((len(ends), 5), np.int64)
        sign = (side == ord("B")).astype(np.int64) - (side == ord("A"))
        unsided = is_trade & (sign == 0)
        if unsided.any():
            bid, ask = best[book_after - is_book, 0], best[book_after - is_book, 1]
            price = common["price"]
            known = definition.is_present(bid) & definition.is_present(ask) & definition.is_present(price)
            rule = np.sign(2 * price - np.where(known, bid, 0) - np.where(known, ask, 0))
            sign = np.where(unsided, np.where(known, rule, 0), sign)
        size = common["size"].astype(np.int64)
        sums = np.stack([size * (sign > 0), size * (sign < 0), size * (sign == 0), np.ones_like(size), sign], axis=1)
        sums = np.add.reduceat(np.where(is_trade[:, None], sums, 0), starts, axis=0)
        bits |= np.where(is_trade, np.array([EVENT_BIT["trade_sell"], 0, EVENT_BIT["trade_buy"]])[sign + 1], 0)
        bits = np.bitwise_or.reduceat(bits, starts)
        hidden = (sums[:, 3] > 0) & (np.add.reduceat(is_book.astype(np.int64), starts) == 0)
        return bits | np.where(hidden, EVENT_BIT["hidden_trade"], 0), sums

    def _mid_changes(self, doubled, known):
        change = np.zeros(len(doubled), f32)
        at = np.flatnonzero(known)
        if len(at):
            first = doubled[at[0]] if self.doubled_mid is None else self.doubled_mid
            change[at] = self._ticks(np.diff(doubled[at], prepend=first))
            self.doubled_mid = doubled[at[-1]]
        return change

    def _ticks(self, half_units, sign=1):
        return np.clip((half_units * (self.scale * sign)).astype(f32), -definition.TICK_CAP, definition.TICK_CAP)

    def _elapsed(self, times, traded, change):
        """Nanoseconds [3, T] since the last tick, trade and change of the mid."""
        if not times.all():
            for index in np.flatnonzero(times == 0):
                times[index] = times[index - 1] if index else self.last
        if not self.last:
            self.last = self.last_trade = self.last_change = times[0]
        index = np.arange(len(times))

        def latest(happened, before):
            at = np.maximum.accumulate(np.where(happened, index, -1))
            return np.where(at >= 0, times[at], before)

        trade, moved = latest(traded, self.last_trade), latest(change != 0, self.last_change)
        before = np.concatenate([[self.last], times[:-1]])
        self.last, self.last_trade, self.last_change = times[-1], trade[-1], moved[-1]
        return np.clip(times - np.stack([before, trade, moved]), 0, definition.ELAPSED_MAX)

    def _decayed(self, values, powers, rows):
        """sum ← sum · λ + value for [T, C] values, by doubling steps: [T, C, 8]. Carries rows `rows` of the sums."""
        sums = np.repeat(values[:, :, None], 8, axis=2)
        sums[0] += powers[0][1][0] * self.sums[rows]
        for step, power in powers[1:]:
            sums[step:] += power * sums[:-step]
        self.sums[rows] = sums[-1]
        return sums

    @staticmethod
    def _powers(decays):
        """The decays [T, 1, 8] over 1, 1, 2, 4, … ticks, each from the tick on that has so many before it."""
        powers = [(0, decays)]
        step, span = 1, decays
        while step < len(decays):
            powers.append((step, span[step:]))
            longer = span.copy()
            longer[step:] = span[step:] * span[:-step]
            span, step = longer, 2 * step
        return powers

    def _compute(self, out, times, levels, events, traded):
        price = levels[:, :, :2]
        found = definition.is_present(price)
        size = np.ascontiguousarray(levels[:, :, 2]).view("<u4").reshape(-1, 10, 2).astype(f32) * found
        known = found[:, 0].all(axis=1)
        doubled = np.where(known, price[:, 0, 0] + price[:, 0, 1], 0)
        change = self._mid_changes(doubled, known)
        elapsed = self._elapsed(times, traded[:, 3] > 0, change)
        seconds = (elapsed[0] * 1e-9).astype(f32)
        decays = np.empty((len(out), 1, 8), f32)
        decays[:, 0, :4] = definition.TICK_DECAYS
        decays[:, 0, 4:] = np.exp(seconds[:, None] * -definition.INVERSE_TIMES)
        powers = self._powers(decays)

        total = np.cumsum(size, axis=1)
        depth = total[:, 9].sum(axis=1) / np.maximum(found.sum(axis=(1, 2)), 1).astype(f32)
        counted = self._decayed(np.stack([np.ones_like(depth), depth], axis=1), powers, slice(0, 2))
        counts = counted[:, 0]
        usual = np.maximum(counted[:, 1, 3] / counts[:, 3], f32(1))
        self._write_book(out, price, size, found, total, doubled, known, usual)
        flow = self._order_flow(levels, found, size, events, usual)
        logs = np.log((elapsed * 1e-3).astype(f32) + f32(1))
        self._write_sums(out, flow, traded, change, logs, counts, usual, powers)
        out[:, 90:101] = (events[:, None] >> np.arange(11)) & 1
        out[:, 102], out[:, 105], out[:, 106] = logs
        return doubled, known

    def _write_book(self, out, price, size, found, total, doubled, known, usual):
        distance = self._ticks(doubled[:, None, None] - 2 * price, _SIDES)
        if not found.all():
            distance = np.where(known[:, None, None], np.where(found, distance, definition.TICK_CAP), f32(0))
        logs = np.log((size + f32(1)) * (f32(1) / (usual + f32(1)))[:, None, None])
        out[:, :10], out[:, 10:20] = distance[:, :, 0], distance[:, :, 1]
        np.clip(logs, -definition.LOG_CAP, definition.LOG_CAP, out=logs)
        out[:, 20:30], out[:, 30:40] = logs[:, :, 0], logs[:, :, 1]
        out[:, 40] = np.where(known, self._ticks(2 * (price[:, 0, 1] - price[:, 0, 0])), f32(0))
        pairs = np.concatenate([size[:, :3], total[:, [4, 9]], (size * _WEIGHTS).sum(axis=1, keepdims=True)], axis=1)
        both = np.maximum(pairs[:, :, 0] + pairs[:, :, 1], f32(1))
        out[:, 44:50] = (pairs[:, :, 0] - pairs[:, :, 1]) / both
        out[:, 41] = out[:, 40] * f32(0.5) * out[:, 44]
        moment = np.cumsum(distance[:, :, 1] * size[:, :, 1] - distance[:, :, 0] * size[:, :, 0], axis=1)
        out[:, 42:44] = moment[:, [4, 9]] / both[:, 3:5]

    def _order_flow(self, levels, found, size, events, usual):
        before = np.concatenate([self.before, levels[:-1]])
        self.before = levels[-1:]
        had = np.empty_like(found)
        had[1:], had[0] = found[:-1], definition.is_present(before[0, :, :2])
        past = np.empty_like(size)
        past[1:], past[0] = size[:-1], np.ascontiguousarray(before[0, :, 2]).view("<u4").reshape(10, 2) * had[0]
        now, then = levels[:, :, :2] * _SIDES, before[:, :, :2] * _SIDES
        flow = size * (now >= then) - past * (now <= then)
        counts = found & had & ((events & EVENT_BIT["book_reset"]) == 0)[:, None, None]
        flow *= counts
        flow = (flow[:, :, 0] - flow[:, :, 1]) * (f32(1) / usual)[:, None]
        return np.clip(flow, -definition.FLOW_CAP, definition.FLOW_CAP)

    def _write_sums(self, out, flow, traded, change, logs, counts, usual, powers):
        net = (traded[:, 0] - traded[:, 1]).astype(f32)
        values = np.empty((len(out), 9), f32)
        values[:, 0], values[:, 1] = flow[:, 0], flow.sum(axis=1) * f32(0.1)
        values[:, 2], values[:, 3] = net, traded[:, :3].sum(axis=1)
        values[:, 4], values[:, 5] = traded[:, 4], traded[:, 3]
        values[:, 6], values[:, 7], values[:, 8] = change, change * change, logs[0]
        sums = self._decayed(values, powers, slice(2, 11))
        out[:, 50:60] = flow
        means = sums[:, [0, 1, 8, 7]] / counts[:, None]
        out[:, 60:68], out[:, 68:76] = means[:, 0], means[:, 1]
        out[:, 76] = np.sign(net)
        out[:, 77] = out[:, 76] * np.minimum(np.log(f32(1) + np.abs(net) / usual), definition.LOG_CAP)
        out[:, 78:86] = sums[:, 2] / (sums[:, 3] + usual[:, None])
        out[:, 86:90] = sums[:, 4, :4] / (sums[:, 5, :4] + f32(1))
        out[:, 103], out[:, 104] = means[:, 2, 1], means[:, 2, 3]
        out[:, 107:111] = np.log(counts[:, 4:] * definition.INVERSE_TIMES + f32(1))
        out[:, 111:115] = np.log(sums[:, 5, 4:] * definition.INVERSE_TIMES + f32(1))
        out[:, 115] = change
        out[:, 116:124] = np.clip(sums[:, 6], -definition.TICK_CAP, definition.TICK_CAP)
        out[:, 124:128] = np.sqrt(np.maximum(means[:, 3, :4], 0))
