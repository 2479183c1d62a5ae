"""What Databento's own library makes of DBN files: the oracle of the Swift tests of module DBN.

    dbn_oracle.py conformance FOLDER OUT
        writes every file of FOLDER to OUT as plain DBN version 3 (of fragments the records only), and prints
        their digests by file name
    dbn_oracle.py digest IN
        prints one JSON object: the number of records, and a sum for every field of every record class
    dbn_oracle.py generate SEED COUNT OUT
        writes COUNT random records of all classes, a fifth of the values from boundaries, and prints their digest

Field places and types come from the library (`_dtypes`). Record number i of its class adds value * (2 i + 1) to
a number field's sum; byte j of a text of n bytes adds byte * (2 (i n + j) + 1); all modulo 2 ** 64.
"""

import json
import os
import sys

import databento_dbn as dbn
import numpy as np

ZSTD_MAGIC = bytes.fromhex("28b52ffd")
CHUNK = 4 << 20


def compression_of(data):
    return dbn.Compression.ZSTD if data[:4] == ZSTD_MAGIC else dbn.Compression.NONE


def has_metadata(path):
    return ".frag" not in path


def reencode(path, out):
    data = open(path, "rb").read()
    with open(out, "wb") as file:
        if compression_of(data) == dbn.Compression.ZSTD:
            # The transcoder reads plain input only; the decoder tells what is inside.
            data = plain(data, has_metadata(path))
        transcoder = dbn.Transcoder(
            file,
            dbn.Encoding.DBN,
            dbn.Compression.NONE,
            has_metadata=has_metadata(path),
            upgrade_policy=dbn.VersionUpgradePolicy.UPGRADE_TO_V3,
        )
        transcoder.write(data)
        transcoder.finish()


def plain(data, metadata):
    decoder = dbn.DBNDecoder(
        has_metadata=metadata,
        upgrade_policy=dbn.VersionUpgradePolicy.AS_IS,
        compression=compression_of(data),
    )
    return b"".join(bytes(item) for item in decoder.write_and_decode(data))


class Digest:
    def __init__(self):
        self.count = 0
        self.classes = {}
        self.seen = {}

    def add(self, records):
        groups = {}
        for record in records:
            if isinstance(record, dbn.Metadata):
                continue
            self.count += 1
            groups.setdefault(type(record), []).append(bytes(record))
        for kind, parts in groups.items():
            dtype = np.dtype(kind._dtypes)
            if len(parts[0]) == dtype.itemsize + 8:
                dtype = np.dtype(kind._dtypes + [("ts_out", "<u8")])
            self.add_class(kind, np.frombuffer(b"".join(parts), dtype=dtype))

    def add_class(self, kind, rows):
        name = kind.__name__
        sums = self.classes.setdefault(name, {})
        first = self.seen.get(name, 0)
        self.seen[name] = first + len(rows)
        index = np.arange(first, first + len(rows), dtype=np.uint64)
        for field in rows.dtype.names:
            column = np.ascontiguousarray(rows[field])
            with np.errstate(over="ignore"):
                if column.dtype.kind == "S":
                    width = column.dtype.itemsize
                    values = column.view(np.uint8).reshape(len(rows), width).astype(np.uint64)
                    place = index[:, None] * np.uint64(width) + np.arange(width, dtype=np.uint64)
                    total = np.sum(values * (place * np.uint64(2) + np.uint64(1)), dtype=np.uint64)
                else:
                    values = column.astype(np.int64 if column.dtype.kind == "i" else np.uint64)
                    weights = index * np.uint64(2) + np.uint64(1)
                    total = np.sum(values.view(np.uint64) * weights, dtype=np.uint64)
            sums[field] = (sums.get(field, 0) + int(total)) % 2**64

    def json(self):
        classes = {
            name: {"count": self.seen[name], "sums": {field: str(sum) for field, sum in sums.items()}}
            for name, sums in self.classes.items()
        }
        return json.dumps({"count": self.count, "classes": classes})


def digest(path):
    total = Digest()
    with open(path, "rb") as file:
        data = file.read(CHUNK)
        decoder = dbn.DBNDecoder(
            has_metadata=has_metadata(path),
            upgrade_policy=dbn.VersionUpgradePolicy.AS_IS,
            compression=compression_of(data),
        )
        while data:
            total.add(decoder.write_and_decode(data))
            data = file.read(CHUNK)
    left = decoder.buffer()
    if left:
        raise SystemExit(f"{len(left)} bytes are left behind the last record")
    return total.json()


# Record class, its types, and its share of the records.
CLASSES = [
    (dbn.TradeMsg, [0x00], 300),
    (dbn.MBP1Msg, [0x01], 150),
    (dbn.MBP10Msg, [0x0A], 40),
    (dbn.MBOMsg, [0xA0], 300),
    (dbn.BBOMsg, [0xC3, 0xC4], 50),
    (dbn.CMBP1Msg, [0xB1, 0xC2], 50),
    (dbn.CBBOMsg, [0xC0, 0xC1], 20),
    (dbn.OHLCVMsg, [0x20, 0x21, 0x22, 0x23, 0x24], 30),
    (dbn.StatusMsg, [0x12], 20),
    (dbn.StatMsg, [0x18], 10),
    (dbn.ImbalanceMsg, [0x14], 10),
    (dbn.InstrumentDefMsg, [0x13], 10),
    (dbn.SymbolMappingMsg, [0x16], 5),
    (dbn.ErrorMsg, [0x15], 2),
    (dbn.SystemMsg, [0x17], 3),
]


def random_column(random, dtype, count):
    if dtype.kind == "S":
        width = dtype.itemsize
        text = random.integers(33, 127, size=(count, width), dtype=np.uint8)
        if width > 1:
            length = random.integers(0, width, size=(count, 1))
            text[np.arange(width)[None, :] >= length] = 0
        return text.reshape(-1).view(dtype)
    limits = np.iinfo(dtype)
    values = random.integers(limits.min, limits.max, size=count, dtype=dtype, endpoint=True)
    boundaries = np.array([limits.min, 0, 1, limits.max - 1, limits.max], dtype=dtype)
    at = random.random(count) < 0.2
    values[at] = random.choice(boundaries, size=int(at.sum()))
    return values


def generate(seed, count, out):
    random = np.random.default_rng(seed)
    weights = np.array([share for _, _, share in CLASSES], dtype=float)
    kinds = random.choice(len(CLASSES), size=count, p=weights / weights.sum())
    sizes = np.array([np.dtype(kind._dtypes).itemsize for kind, _, _ in CLASSES])
    ends = np.cumsum(sizes[kinds])
    stream = np.zeros(int(ends[-1]) if count else 0, dtype=np.uint8)
    for number, (kind, types, _) in enumerate(CLASSES):
        dtype = np.dtype(kind._dtypes)
        starts = (ends - sizes[kinds])[kinds == number]
        rows = np.zeros(len(starts), dtype=dtype)
        for field in dtype.names:
            rows[field] = random_column(random, dtype.fields[field][0], len(starts))
        rows["length"] = dtype.itemsize // 4
        rows["rtype"] = random.choice(types, size=len(starts))
        bytes_of_rows = rows.view(np.uint8).reshape(len(starts), dtype.itemsize)
        stream[starts[:, None] + np.arange(dtype.itemsize)[None, :]] = bytes_of_rows
    metadata = dbn.Metadata(
        dataset="MARTLET.TEST",
        start=1,
        stype_in=None,
        stype_out=dbn.SType.INSTRUMENT_ID,
        schema=None,
        version=3,
    )
    with open(out, "wb") as file:
        transcoder = dbn.Transcoder(file, dbn.Encoding.DBN, dbn.Compression.NONE)
        transcoder.write(bytes(metadata))
        data = stream.data
        for start in range(0, len(stream), CHUNK):
            transcoder.write(bytes(data[start : start + CHUNK]))
        transcoder.finish()
    return digest(out)


def conformance(folder, out):
    digests = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        reencode(path, os.path.join(out, name))
        digests[name] = json.loads(digest(path))
    return json.dumps(digests)


def main(arguments):
    match arguments:
        case ["conformance", folder, out]:
            print(conformance(folder, out))
        case ["digest", path]:
            print(digest(path))
        case ["generate", seed, count, out]:
            print(generate(int(seed), int(count), out))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
