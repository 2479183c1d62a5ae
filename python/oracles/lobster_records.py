"""Turns a LOBSTER zip into bare DBN records: an oracle for the converter, and input for checks of the features.

Usage: lobster_records.py ZIP OUT [ROWS]

One row of the message file is one tick. A visible execution (type 4) is a trade record, then the book after it; a hidden
one (5) is a trade record alone; the others are book records. Prices are given in 1e-4 and written in 1e-9.
"""

import io
import itertools
import sys
import zipfile

import numpy as np

LEVEL = np.dtype([
    ("bid_px", "<i8"), ("ask_px", "<i8"), ("bid_sz", "<u4"), ("ask_sz", "<u4"), ("bid_ct", "<u4"), ("ask_ct", "<u4"),
])
COMMON = [
    ("length", "u1"), ("rtype", "u1"), ("publisher_id", "<u2"), ("instrument_id", "<u4"), ("ts_event", "<u8"),
    ("price", "<i8"), ("size", "<u4"), ("action", "u1"), ("side", "u1"), ("flags", "u1"), ("depth", "u1"),
    ("ts_recv", "<u8"), ("ts_in_delta", "<i4"), ("sequence", "<u4"),
]
TRADE = np.dtype(COMMON)
MBP10 = np.dtype(COMMON + [("levels", LEVEL, 10)])
UNDEFINED = 2**63 - 1
LAST = 128
# 2012-06-21 00:00 in New York, in nanoseconds since the epoch.
MIDNIGHT = 1_340_251_200 * 10**9
ACTIONS = {1: "A", 2: "M", 3: "C", 4: "C"}


def load(path, rows):
    """Message and book rows of the zip as integers; times in nanoseconds since midnight."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()

        def lines(word):
            name = next(n for n in names if word in n)
            with archive.open(name) as stream:
                return list(itertools.islice(io.TextIOWrapper(stream), rows))

        messages = []
        for line in lines("message"):
            time, kind, order, size, price, side = line.strip().split(",")[:6]
            seconds, _, fraction = time.partition(".")
            messages.append((int(seconds) * 10**9 + int((fraction + "000000000")[:9]),
                             int(kind), int(size), int(price), int(side)))
        books = np.array([[int(v) for v in line.split(",")] for line in lines("orderbook")], dtype=np.int64)
    return messages, books


def records(path, rows=None):
    """The records as bytes."""
    messages, books = load(path, rows)
    books = books.reshape(len(books), -1, 4)[:, :10]
    ask, ask_size, bid, bid_size = (books[:, :, k] for k in range(4))
    levels = np.zeros((len(books), 10), LEVEL)
    levels["bid_px"] = levels["ask_px"] = UNDEFINED
    width = books.shape[1]
    levels["bid_px"][:, :width] = np.where(np.abs(bid) < 9_999_999_999, bid * 100_000, UNDEFINED)
    levels["ask_px"][:, :width] = np.where(np.abs(ask) < 9_999_999_999, ask * 100_000, UNDEFINED)
    levels["bid_sz"][:, :width] = np.where(np.abs(bid) < 9_999_999_999, bid_size, 0)
    levels["ask_sz"][:, :width] = np.where(np.abs(ask) < 9_999_999_999, ask_size, 0)
    out = bytearray()
    for (time, kind, size, price, side), level in zip(messages, levels):
        if kind not in (1, 2, 3, 4, 5):
            continue
        stamp = MIDNIGHT + time
        trade = np.zeros((), TRADE)
        trade["length"], trade["price"], trade["size"] = 12, price * 100_000, size
        trade["ts_event"] = trade["ts_recv"] = stamp
        trade["action"] = ord("T")
        # LOBSTER names the resting order's side: the aggressor is on the other one.
        trade["side"] = ord("A" if side == 1 else "B")
        if kind == 5:
            trade["flags"], trade["side"] = LAST, ord("N")
            out += trade.tobytes()
            continue
        if kind == 4:
            out += trade.tobytes()
        book = np.zeros((), MBP10)
        for field in ("price", "size", "ts_event", "ts_recv"):
            book[field] = trade[field]
        book["length"], book["rtype"], book["flags"] = 92, 10, LAST
        book["action"] = ord(ACTIONS[kind])
        book["side"] = ord("B" if side == 1 else "A")
        same = level["bid_px"] == price * 100_000 if side == 1 else level["ask_px"] == price * 100_000
        book["depth"] = int(np.argmax(same)) if same.any() else 0
        book["levels"] = level
        out += book.tobytes()
    return bytes(out)


if __name__ == "__main__":
    zip_path, out_path = sys.argv[1:3]
    row_limit = int(sys.argv[3]) if len(sys.argv) > 3 else None
    with open(out_path, "wb") as sink:
        sink.write(records(zip_path, row_limit))
