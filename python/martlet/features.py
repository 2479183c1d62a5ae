"""The features of docs/FEATURES.md, version 1, recomputed with NumPy from DBN records.

An independent twin of the Swift module `Features`: written from the document, and equal to it to the last bit. Every
operation on float32 arrays is rounded by itself, in the order that the document gives. For checks and experiments;
training data come from `martlet features`, which runs the very code that serves.

    ticks = collect_ticks(record_bytes)
    matrix = compute(ticks, tick_size=10_000_000)      # [N, 128] float32
"""

from dataclasses import dataclass

import numpy as np

f32 = np.float32

VERSION = 1
COUNT = 128
TICK_CAP = f32(512)
LOG_CAP = f32(8)
FLOW_CAP = f32(16)
ELAPSED_MAX = 2**42
PRICE_LIMIT = 2**61
FLUSH_THRESHOLD = f32(2.0**-40)
EXPONENT_MAX = f32(30)
TICK_DECAYS = np.array([0.75, 0.9375, 0.984375, 0.99609375], f32)
INVERSE_TIMES = np.array([10, 1, 0.1, 1 / 60], f32)
TICK_NAMES = ["4t", "16t", "64t", "256t"]
TIME_NAMES = ["100ms", "1s", "10s", "60s"]
EVENTS = [
    "add_bid", "add_ask", "cancel_bid", "cancel_ask", "modify_bid", "modify_ask", "unsided_update", "trade_buy",
    "trade_sell", "hidden_trade", "book_reset",
]
UNDEFINED_PRICE = 2**63 - 1
UNDEFINED_TIME = 2**64 - 1
F_LAST, F_SNAPSHOT = 128, 32

LEVEL = np.dtype([
    ("bid_px", "<i8"), ("ask_px", "<i8"), ("bid_sz", "<u4"), ("ask_sz", "<u4"), ("bid_ct", "<u4"), ("ask_ct", "<u4"),
])
COMMON = np.dtype([
    ("length", "u1"), ("rtype", "u1"), ("publisher_id", "<u2"), ("instrument_id", "<u4"), ("ts_event", "<u8"),
    ("price", "<i8"), ("size", "<u4"), ("action", "u1"), ("side", "u1"), ("flags", "u1"), ("depth", "u1"),
    ("ts_recv", "<u8"), ("ts_in_delta", "<i4"), ("sequence", "<u4"),
])


def names():
    """Names of the columns in order."""
    ten = range(1, 11)
    decays = TICK_NAMES + TIME_NAMES
    result = [f"{side}_{what}_{level}" for what in ("distance", "log_size") for side in ("bid", "ask") for level in ten]
    result += ["spread", "microprice_deviation", "size_centre_5", "size_centre_10"]
    result += [f"queue_imbalance_{k}" for k in ("1", "2", "3", "1_to_5", "1_to_10", "weighted")]
    result += [f"order_flow_{level}" for level in ten]
    result += [f"order_flow_{group}_mean_{decay}" for group in ("1", "1_to_10") for decay in decays]
    result += ["trade_sign", "trade_log_volume"]
    result += [f"volume_flow_{decay}" for decay in decays] + [f"trade_sign_flow_{decay}" for decay in TICK_NAMES]
    result += [f"event_{event}" for event in EVENTS] + ["event_level"]
    result += ["log_gap", "log_gap_mean_16t", "log_gap_mean_256t", "log_since_trade", "log_since_mid_change"]
    result += [f"{what}_intensity_{decay}" for what in ("tick", "trade") for decay in TIME_NAMES]
    result += ["mid_change"] + [f"momentum_{decay}" for decay in decays]
    return result + [f"volatility_{decay}" for decay in TICK_NAMES]


def log(x):
    """ln of positive normal float32, as the document's "Elementary functions" builds it."""
    bits = x.view(np.int32)
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    f = (bits - (exponent << np.int32(23))).view(f32) - f32(1)
    n = exponent.astype(f32)
    q = np.full_like(x, -0.07634493)
    for coefficient in (0.12761575, -0.13160183, 0.14201759, -0.16623357, 0.20001227, -0.2500082, 0.3333333):
        q = q * f + f32(coefficient)
    tail = (f * f) * (f * q - f32(0.5))
    return ((n * f32(0.0017409306) + tail) + f) + n * f32(0.69140625)


def exp(x):
    """e to the power of float32 from -80 to 80, as the document builds it."""
    shift = f32(12_582_912)
    shifted = x * f32(1.442695) + shift
    n = shifted - shift
    r = (x - n * f32(0.69140625)) - n * f32(0.0017409306)
    p = np.full_like(x, 0.0013814467)
    for coefficient in (0.008368781, 0.041668393, 0.1666652, 0.49999994):
        p = p * r + f32(coefficient)
    fraction = ((r * r) * p + r) + f32(1)
    return (fraction.view(np.int32) + ((shifted.view(np.int32) - np.int32(0x4B400000)) << np.int32(23))).view(f32)


@dataclass
class Ticks:
    """What the records of each tick said, one row per tick."""

    levels: np.ndarray  # LEVEL [N, 10], the book after the tick
    time: np.ndarray  # uint64, ts_recv or the last one seen; 0 before the first
    events: np.ndarray  # bool [N, 11]
    level: np.ndarray  # uint8, the level of the last book record, at most 10
    bought: np.ndarray  # int64, lots
    sold: np.ndarray
    unsided: np.ndarray
    trades: np.ndarray  # int64, trades, and buys minus sells
    signs: np.ndarray

    def __len__(self):
        return len(self.time)


def is_present(price):
    """Whether a price counts as one."""
    return (price > -PRICE_LIMIT) & (price < PRICE_LIMIT)


def trade_sign(record, book):
    """+1 buyer, -1 seller; without a side by the quote rule against the book before."""
    side = chr(record["side"])
    if side in "BA":
        return 1 if side == "B" else -1
    bid, ask, price = int(book[0]["bid_px"]), int(book[0]["ask_px"]), int(record["price"])
    if not (is_present(bid) and is_present(ask) and is_present(price)):
        return 0
    return (2 * price > bid + ask) - (2 * price < bid + ask)


class _Tick:
    """The tick under way."""

    def __init__(self):
        self.events = set()
        self.level = self.bought = self.sold = self.unsided = self.trades = self.signs = 0
        self.has_trade_record = self.has_book_record = False

    def trade(self, record, book):
        sign = trade_sign(record, book)
        size = int(record["size"])
        self.trades += 1
        self.signs += sign
        if sign > 0:
            self.events.add("trade_buy")
            self.bought += size
        elif sign < 0:
            self.events.add("trade_sell")
            self.sold += size
        else:
            self.unsided += size

    def book(self, record, book):
        """An MBP record, before its levels replace those of `book`."""
        self.has_book_record = True
        self.level = min(int(record["depth"]), 10)
        if record["flags"] & F_SNAPSHOT:
            self.events.add("book_reset")
        action, side = chr(record["action"]), chr(record["side"])
        if action in "ACM":
            word = {"A": "add", "C": "cancel", "M": "modify"}[action]
            self.events.add(word + {"B": "_bid", "A": "_ask"}[side] if side in "AB" else "unsided_update")
        elif action == "R":
            self.events.add("book_reset")
        elif action == "T" and not self.has_trade_record:
            self.trade(record, book)

    def row(self):
        if self.trades and not self.has_book_record:
            self.events.add("hidden_trade")
        return ([event in self.events for event in EVENTS], self.level, self.bought, self.sold, self.unsided,
                self.trades, self.signs)


def empty_levels():
    """A book without levels."""
    levels = np.zeros(10, LEVEL)
    levels["bid_px"] = levels["ask_px"] = UNDEFINED_PRICE
    return levels


def collect_ticks(data):
    """Cuts bare DBN records (version 3 layouts, no metadata) into ticks: `F_LAST` on a trade or MBP record ends one."""
    data = bytes(data)
    offset, clock = 0, 0
    book, tick = empty_levels(), _Tick()
    levels, times, rows = [], [], []
    while offset < len(data):
        size, rtype = data[offset] * 4, data[offset + 1]
        if size < 16 or offset + size > len(data):
            raise ValueError(f"no record of {size} bytes at offset {offset} of {len(data)}")
        depth = {0: 0, 1: 1, 10: 10}.get(rtype)
        if depth is not None and size >= 48 + 32 * depth:
            record = np.frombuffer(data, COMMON, 1, offset)[0]
            if depth == 0:
                tick.has_trade_record = True
                tick.trade(record, book)
            else:
                tick.book(record, book)
                book = empty_levels()
                book[:depth] = np.frombuffer(data, LEVEL, depth, offset + 48)
            if record["flags"] & F_LAST:
                if record["ts_recv"] not in (0, UNDEFINED_TIME):
                    clock = int(record["ts_recv"])
                levels.append(book)
                times.append(clock)
                rows.append(tick.row())
                tick = _Tick()
        offset += size
    columns = [np.array(column) for column in zip(*rows)]
    return Ticks(np.array(levels), np.array(times, np.uint64), columns[0].astype(bool),
                 columns[1].astype(np.uint8), *(column.astype(np.int64) for column in columns[2:]))


def decayed(values, decays):
    """sum ← sum · λ + value for each column of `values` [N, C], under `decays` [N, 8]; returns [N, C, 8]."""
    result = np.empty((len(values), values.shape[1], 8), f32)
    state = np.zeros((values.shape[1], 8), f32)
    for index in range(len(values)):
        state = state * decays[index] + values[index][:, None]
        state[np.abs(state) < FLUSH_THRESHOLD] = 0
        result[index] = state
    return result


def to_ticks(half_units, scale):
    """int64 half units to ticks within ±TICK_CAP."""
    return np.clip((half_units.astype(np.float64) * scale).astype(f32), -TICK_CAP, TICK_CAP)


class _Clock:
    """Elapsed nanoseconds per tick: since the last tick, trade and change of the mid."""

    def __init__(self, ticks, mid_change):
        count = len(ticks)
        self.gap, self.trade, self.mid = (np.zeros(count, np.int64) for _ in range(3))
        last = trade = mid = 0
        started = False
        for index in range(count):
            now = int(ticks.time[index]) or last
            if not started:
                last = trade = mid = now
                started = now != 0
            if ticks.trades[index]:
                trade = now
            if mid_change[index] != 0:
                mid = now
            self.gap[index] = self.elapsed(last, now)
            self.trade[index] = self.elapsed(trade, now)
            self.mid[index] = self.elapsed(mid, now)
            last = now

    @staticmethod
    def elapsed(since, now):
        return min(max(now - since, 0), ELAPSED_MAX)


def log_microseconds(nanoseconds):
    """ln(1 + µs)."""
    return log(f32(1) + (nanoseconds.astype(np.float64) * 1e-3).astype(f32))


def mid_changes(bid, ask, scale):
    """Doubled mids, whether they are known, and their changes since last known, in ticks."""
    known = is_present(bid) & is_present(ask)
    doubled = np.where(known, np.where(known, bid, 0) + np.where(known, ask, 0), 0)
    change = np.zeros(len(bid), f32)
    at = np.flatnonzero(known)
    change[at[1:]] = to_ticks(np.diff(doubled[at]), scale)
    return doubled, known, change


def running_sum(columns):
    """Prefix sums along axis 1, added in order in float32."""
    result = np.empty_like(columns)
    result[:, 0] = columns[:, 0]
    for index in range(1, columns.shape[1]):
        result[:, index] = result[:, index - 1] + columns[:, index]
    return result


def imbalance(bid, ask):
    """(bid - ask) / max(bid + ask, 1)."""
    return (bid - ask) / np.maximum(bid + ask, f32(1))


def order_flow(price, size, counts):
    """Arrived minus left per level of one side; `price` is larger where better."""
    flow = np.zeros(size.shape, f32)
    now, before = price[1:], price[:-1]
    arrived = np.where(now >= before, size[1:], f32(0))
    left = np.where(now <= before, size[:-1], f32(0))
    both = is_present(now) & is_present(before) & counts[1:, None]
    flow[1:] = np.where(both, arrived - left, f32(0))
    return flow


def compute(ticks, tick_size):
    """The features of every tick, [N, 128] float32; `tick_size` in 1e-9."""
    scale = 0.5 / float(tick_size)
    price, size, found = {}, {}, {}
    for side in ("bid", "ask"):
        price[side] = ticks.levels[f"{side}_px"]
        found[side] = is_present(price[side])
        size[side] = np.where(found[side], ticks.levels[f"{side}_sz"].astype(f32), f32(0))
    doubled, known, change = mid_changes(price["bid"][:, 0], price["ask"][:, 0], scale)
    clock = _Clock(ticks, change)
    seconds = (clock.gap.astype(np.float64) * 1e-9).astype(f32)
    exponent = seconds[:, None] * INVERSE_TIMES
    over = exponent > EXPONENT_MAX
    time_decays = np.where(over, f32(0), exp(f32(0) - np.where(over, f32(0), exponent)))
    decays = np.concatenate([np.broadcast_to(TICK_DECAYS, time_decays.shape), time_decays], axis=1)

    total = {side: running_sum(size[side]) for side in size}
    present = found["bid"].sum(axis=1) + found["ask"].sum(axis=1)
    depth = (total["bid"][:, 9] + total["ask"][:, 9]) / np.maximum(present, 1).astype(f32)
    first = decayed(np.stack([np.ones(len(ticks), f32), depth], axis=1), decays)
    counts = first[:, 0]
    usual = np.maximum(first[:, 1, 3] / counts[:, 3], f32(1))
    inverse = f32(1) / usual

    out = {}
    _book(out, price, size, found, total, doubled, known, usual, scale)
    reset = ticks.events[:, EVENTS.index("book_reset")]
    flow = order_flow(np.where(found["bid"], price["bid"], UNDEFINED_PRICE), size["bid"], ~reset)
    flow = flow - order_flow(np.where(found["ask"], -price["ask"], UNDEFINED_PRICE), size["ask"], ~reset)
    flow = np.clip(flow * inverse[:, None], -FLOW_CAP, FLOW_CAP)
    out["order_flow"] = flow
    net = ticks.bought - ticks.sold
    sign = np.sign(net).astype(f32)
    log_gap = log_microseconds(clock.gap)
    values = [
        flow[:, 0], running_sum(np.concatenate([np.zeros((len(ticks), 1), f32), flow], axis=1))[:, 10] * f32(0.1),
        net.astype(f32), (ticks.bought + ticks.sold + ticks.unsided).astype(f32), ticks.signs.astype(f32),
        ticks.trades.astype(f32), change, change * change, log_gap,
    ]
    best, all_levels, signed, volume, signs, trades, momentum, squares, gaps = np.moveaxis(
        decayed(np.stack(values, axis=1), decays), 1, 0)
    out["best"], out["all"] = best / counts, all_levels / counts
    out["sign"] = sign
    out["volume"] = sign * np.minimum(log(f32(1) + np.abs(net.astype(f32)) * inverse), LOG_CAP)
    out["volume_flow"] = signed / (volume + usual[:, None])
    out["sign_flow"] = (signs / (trades + f32(1)))[:, :4]
    out["events"] = ticks.events.astype(f32)
    out["level"] = ticks.level.astype(f32) * f32(0.1)
    gap_means = gaps / counts
    out["times"] = np.stack([log_gap, gap_means[:, 1], gap_means[:, 3], log_microseconds(clock.trade),
                             log_microseconds(clock.mid)], axis=1)
    out["ticks"] = log(counts[:, 4:] * INVERSE_TIMES + f32(1))
    out["trades"] = log(trades[:, 4:] * INVERSE_TIMES + f32(1))
    out["change"] = change
    out["momentum"] = np.clip(momentum, -TICK_CAP, TICK_CAP)
    out["volatility"] = np.sqrt((squares / counts)[:, :4])
    return _assemble(out, len(ticks))


def _book(out, price, size, found, total, doubled, known, usual, scale):
    distance = {}
    for side, sign in (("bid", 1), ("ask", -1)):
        safe = np.where(found[side] & known[:, None], price[side], 0)
        ticks = to_ticks(sign * (doubled[:, None] - 2 * safe), scale)
        distance[side] = np.where(known[:, None], np.where(found[side], ticks, TICK_CAP), f32(0))
        logs = log((size[side] + f32(1)) * (f32(1) / (usual + f32(1)))[:, None])
        out[f"{side}_distance"], out[f"{side}_size"] = distance[side], np.clip(logs, -LOG_CAP, LOG_CAP)
    gap = np.where(known, price["ask"][:, 0], 0) - np.where(known, price["bid"][:, 0], 0)
    out["spread"] = np.where(known, to_ticks(2 * gap, scale), f32(0))
    weights = f32(2.0) ** -np.arange(10, dtype=f32)
    weighted = {side: running_sum(size[side] * weights)[:, 9] for side in size}
    bid, ask = size["bid"], size["ask"]
    pairs = [(bid[:, k], ask[:, k]) for k in range(3)]
    pairs += [(total["bid"][:, k], total["ask"][:, k]) for k in (4, 9)] + [(weighted["bid"], weighted["ask"])]
    out["imbalances"] = np.stack([imbalance(*pair) for pair in pairs], axis=1)
    out["microprice"] = (out["spread"] * f32(0.5)) * out["imbalances"][:, 0]
    moment = running_sum(np.concatenate(
        [np.zeros((len(bid), 1), f32), distance["ask"] * ask - distance["bid"] * bid], axis=1))
    for levels in (5, 10):
        both = total["bid"][:, levels - 1] + total["ask"][:, levels - 1]
        out[f"centre_{levels}"] = moment[:, levels] / np.maximum(both, f32(1))


def _assemble(out, count):
    order = [
        "bid_distance", "ask_distance", "bid_size", "ask_size", "spread", "microprice", "centre_5", "centre_10",
        "imbalances", "order_flow", "best", "all", "sign", "volume", "volume_flow", "sign_flow", "events", "level", "times",
        "ticks", "trades", "change", "momentum", "volatility",
    ]
    columns = [out[key].reshape(count, -1) for key in order]
    result = np.concatenate(columns, axis=1)
    assert result.shape[1] == COUNT and result.dtype == f32, (result.shape, result.dtype)
    return result
