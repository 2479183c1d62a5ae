"""Decodes a DBN file with Databento's own library into plain tuples, and compares them with what an oracle expects."""

import sys

import databento_dbn as dbn

UNDEFINED = 2**63 - 1
UNDEFINED_TIME = 2**64 - 1
EMPTY = (UNDEFINED, UNDEFINED, 0, 0, 0, 0)


def levels_of(bids, asks):
    """Ten levels of (bid price, ask price, bid size, ask size, 0, 0) from two lists of (price, size), best first."""
    rows = []
    for index in range(10):
        bid = bids[index] if index < len(bids) else (UNDEFINED, 0)
        ask = asks[index] if index < len(asks) else (UNDEFINED, 0)
        rows.append((bid[0], ask[0], bid[1], ask[1], 0, 0))
    return rows


def decode(path):
    """All records, each as a tuple that begins with its kind. The file is decoded in one go."""
    decoder = dbn.DBNDecoder(compression=dbn.Compression.ZSTD)
    for record in decoder.write_and_decode(open(path, "rb").read()):
        if isinstance(record, dbn.Metadata):
            yield ("metadata", record.dataset, record.version, record.start, [str(s) for s in record.symbols])
        elif isinstance(record, dbn.InstrumentDefMsg):
            yield ("definition", record.publisher_id, record.instrument_id, record.raw_symbol,
                   record.min_price_increment, record.unit_of_measure_qty)
        elif isinstance(record, dbn.TradeMsg):
            yield ("trade", *common(record))
        elif isinstance(record, dbn.MBP10Msg):
            rows = [(row.bid_px, row.ask_px, row.bid_sz, row.ask_sz, row.bid_ct, row.ask_ct) for row in record.levels]
            yield ("book", *common(record), rows)
        elif isinstance(record, dbn.StatusMsg):
            yield ("status", record.instrument_id, record.ts_event, record.ts_recv, int(record.action))
        elif isinstance(record, dbn.SystemMsg):
            yield ("system", record.instrument_id, record.msg)
        else:
            yield ("unexpected", type(record).__name__)


def common(record):
    return (record.publisher_id, record.instrument_id, record.ts_event, record.ts_recv, record.price, record.size,
            str(record.action), str(record.side), int(record.flags), record.sequence)


def compare(path, expected):
    """Compares the file with the expected records. Prints the first difference and exits with 1, or prints the count."""
    count = 0
    found = decode(path)
    for wanted in expected:
        got = next(found, None)
        if got != wanted:
            print(f"record {count}: found {got}\nexpected {wanted}")
            sys.exit(1)
        count += 1
    rest = next(found, None)
    if rest is not None:
        print(f"record {count}: found {rest}, expected the end")
        sys.exit(1)
    print(f"equal: {count}")
