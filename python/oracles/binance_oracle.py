"""Compares converted Binance captures with the captures, read plainly one line after the other:

    binance_oracle.py MARKET TICK LOT CONVERTED.dbn.zst CAPTURE.gz...      MARKET is spot, usdm or coinm

The book is what the diffs say, and on top of it what the tickers since the last diff did.
"""

import bisect
import functools
import gzip
import json
import sys
from fractions import Fraction

from feed_records import UNDEFINED, UNDEFINED_TIME, compare, levels_of

MARKETS = {"spot": (60011, "BINANCE.SPOT"), "usdm": (60012, "BINANCE.USDM"), "coinm": (60013, "BINANCE.COINM")}
NANO = 10**9


@functools.cache
def exact(text):
    value = Fraction(text) * NANO
    assert value.denominator == 1, text
    return value.numerator


class Side:
    """One side: what the diffs say (`base`, its prices sorted), and on top what tickers did since the last diff."""

    def __init__(self, sign):
        self.sign, self.base, self.order, self.top = sign, {}, [], {}

    def set(self, price, size):
        key = self.sign * price
        if size and price not in self.base:
            bisect.insort(self.order, key)
        if not size and price in self.base:
            del self.order[bisect.bisect_left(self.order, key)]
        if size:
            self.base[price] = size
        else:
            self.base.pop(price, None)

    def put(self, price, size):
        """A ticker's best level: levels better than it are gone."""
        for better in [k * self.sign for k in self.order[: bisect.bisect_left(self.order, self.sign * price)]]:
            self.top[better] = 0
        for other in self.top:
            if self.sign * other < self.sign * price:
                self.top[other] = 0
        self.top[price] = size

    def best(self):
        near = {k * self.sign: None for k in self.order[: 10 + len(self.top)]}
        rows = {p: self.top.get(p, self.base.get(p)) for p in [*near, *self.top]}
        return sorted(((p, s) for p, s in rows.items() if s), key=lambda row: self.sign * row[0])[:10]


class Book:
    def __init__(self):
        self.bids, self.asks, self.update, self.ticker = Side(-1), Side(1), None, None

    def replace(self, message):
        self.bids, self.asks, self.update = Side(-1), Side(1), message["lastUpdateId"]
        self.change(message["bids"], message["asks"])

    def change(self, bids, asks):
        for side, rows in ((self.bids, bids), (self.asks, asks)):
            side.top = {}
            for price, size in rows:
                side.set(exact(price), exact(size))

    def apply(self, data):
        self.change(data["b"], data["a"])
        self.update = data["u"]
        if self.ticker and self.ticker["u"] > self.update:
            self.put(self.ticker)

    def put(self, ticker):
        self.bids.put(exact(ticker["b"]), exact(ticker["B"]))
        self.asks.put(exact(ticker["a"]), exact(ticker["A"]))

    def newest(self):
        return max(self.update or 0, self.ticker["u"] if self.ticker else 0)

    def levels(self, lot):
        return levels_of(*([(p, s // lot) for p, s in side.best()] for side in (self.bids, self.asks)))


def joins(data, update, after_snapshot, market):
    if market == "spot":
        return data["U"] <= update + 1 <= data["u"] if after_snapshot else data["U"] == update + 1
    if after_snapshot:
        return data["U"] <= update <= data["u"] or data["pu"] == update
    return data["pu"] == update


def expected(market, tick, lot, paths):
    publisher, dataset = MARKETS[market]
    lines = [(int(t), json.loads(text)) for path in paths for t, _, text in
             (line.partition(" ") for line in gzip.open(path, "rt"))]
    symbol = next(m["data"]["s"] for _, m in lines if "data" in m)
    snapshots = [m["lastUpdateId"] for _, m in lines if "lastUpdateId" in m]
    yield ("metadata", dataset, 3, lines[0][0], [symbol])
    yield ("definition", publisher, 1, symbol, tick, lot)
    book, held, good, after = Book(), [], False, False
    ticks = superseded = 0
    doubtful = lambda: 0 if good else 4

    def record(time, data, flags, side="N"):
        stamp = data.get("T", data.get("E"))
        stamp = UNDEFINED_TIME if stamp is None else stamp * 1_000_000
        return ("book", publisher, 1, stamp, time, UNDEFINED, 0, "M", side, 128 | flags | doubtful(),
                data["u"] & 0xFFFFFFFF, book.levels(lot))

    def diff_side(data):
        return {(True, False): "B", (False, True): "A"}.get((bool(data["b"]), bool(data["a"])), "N")

    for time, message in lines:
        if "lastUpdateId" in message:
            snapshots.pop(0)
            book.replace(message)
            good, after = True, True
            ticks += 1
            yield record(time, dict(message, u=book.update), 32 | 16)
            for data in held:
                assert joins(data, book.update, after, market)
                after = False
                book.apply(data)
                ticks += 1
                yield record(time, data, 16, diff_side(data))
            held = []
            continue
        data, kind = message["data"], message["stream"].split("@")[1]
        if kind == "trade":
            ticks += 1
            assert data.get("X", "MARKET") == "MARKET"
            yield ("trade", publisher, 1, data["T"] * 1_000_000, time, exact(data["p"]), exact(data["q"]) // lot,
                   "T", "A" if data["m"] else "B", 128, data["t"] & 0xFFFFFFFF)
        elif kind == "bookTicker":
            if data["u"] > book.newest():
                book.ticker = data
                book.put(data)
            ticks += 1
            yield record(time, data, 64)
        elif kind == "depth":
            if not good and snapshots:
                old = data["u"] <= snapshots[0] if market == "spot" else data["u"] < snapshots[0]
                if old:
                    superseded += 1
                else:
                    held.append(data)
                continue
            assert book.update is None or joins(data, book.update, after, market), data
            after = False
            book.apply(data)
            ticks += 1
            yield record(time, data, 16, diff_side(data))
    yield ("system", 1, f"martlet.conversion lines={len(lines)} ticks={ticks} superseded={superseded} gaps=0 "
           "resyncs=0 trade_gaps=0 malformed=0 ignored=0 halts=0")


compare(sys.argv[4], expected(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[5:]))
