"""Compares a converted LOBSTER day with its zip, read plainly: lobster_oracle.py CONVERTED.dbn.zst INPUT.zip"""

import datetime
import io
import sys
import zipfile
import zoneinfo

from feed_records import EMPTY, compare, levels_of

SCALE = 100_000


def nanoseconds(text):
    whole, _, fraction = text.partition(".")
    return int(whole) * 10**9 + int(fraction.ljust(9, "0"))


def expected(path):
    archive = zipfile.ZipFile(path)
    name = next(n for n in archive.namelist() if "_message_" in n)
    symbol, date = name.split("_")[:2]
    midnight = datetime.datetime.fromisoformat(date).replace(tzinfo=zoneinfo.ZoneInfo("America/New_York"))
    base = int(midnight.timestamp()) * 10**9
    messages = io.TextIOWrapper(archive.open(name)).read().splitlines()
    books = io.TextIOWrapper(archive.open(name.replace("_message_", "_orderbook_"))).read().splitlines()
    assert len(messages) == len(books)
    start = base + nanoseconds(messages[0].split(",")[0])
    yield ("metadata", "XNAS.LOBSTER", 3, start, [symbol])
    yield ("definition", 60001, 1, symbol, 10_000_000, 1_000_000_000)
    counts = dict(ticks=0, halts=0)
    for row, (message, book) in enumerate(zip(messages, books), 1):
        time, kind, _, size, price, direction = message.split(",")
        time, price, size = base + nanoseconds(time), int(price) * SCALE, int(size)
        resting = "B" if direction == "1" else "A"
        aggressor = "A" if direction == "1" else "B"
        head = (60001, 1, time, time, price, size)
        if kind == "7":
            counts["halts"] += 1
            yield ("status", 1, time, time, {"-1": 8, "0": 3, "1": 7}[message.split(",")[4]])
            continue
        counts["ticks"] += 1
        if kind in "56":
            yield ("trade", *head, "T", aggressor if kind == "5" else "N", 128, row)
            continue
        if kind == "4":
            yield ("trade", *head, "T", aggressor, 0, row)
        fields = list(map(int, book.split(",")))
        asks = [(p * SCALE, v) for p, v in zip(fields[0::4], fields[1::4]) if p != 9999999999]
        bids = [(p * SCALE, v) for p, v in zip(fields[2::4], fields[3::4]) if p != -9999999999]
        action = {"1": "A", "2": "C", "3": "C", "4": "F"}[kind]
        yield ("book", *head, action, resting, 128, row, levels_of(bids[:10], asks[:10]))
    yield ("system", 1, f"martlet.conversion lines={len(messages)} ticks={counts['ticks']} superseded=0 gaps=0 "
           f"resyncs=0 trade_gaps=0 malformed=0 ignored=0 halts={counts['halts']}")


assert levels_of([], []) == [EMPTY] * 10
compare(sys.argv[1], expected(sys.argv[2]))
