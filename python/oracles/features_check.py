"""Compares features that Swift wrote with those that NumPy recomputes from the same records, bit for bit.

Usage: features_check.py RECORDS TICK_SIZE FEATURES.npy

RECORDS holds bare DBN records, or is a DBN file (plain or, where the package `zstandard` is there, compressed).
Prints one line and exits 0 where all agree; names the first differences and exits 1 where not.
"""

import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from martlet import features  # noqa: E402


def read_records(path):
    """The records of a file, without the metadata."""
    data = pathlib.Path(path).read_bytes()
    if data[:4] == b"\x28\xb5\x2f\xfd":
        import io

        import zstandard
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()
    if data[:3] == b"DBN":
        data = data[8 + int.from_bytes(data[4:8], "little"):]
    return data


def compare(found, expected, names):
    """Lines that name the differences; none where every bit agrees."""
    if found.shape != expected.shape or found.dtype != np.float32:
        return [f"shape {found.shape} {found.dtype}, expected {expected.shape} float32"]
    lines = []
    if not np.isfinite(found).all():
        lines.append("not all are finite")
    differs = found.view(np.uint32) != expected.view(np.uint32)
    for column in np.flatnonzero(differs.any(axis=0)):
        row = int(np.argmax(differs[:, column]))
        lines.append(f"{names[column]}: {int(differs[:, column].sum())} ticks differ, first {row}: "
                     f"found {found[row, column]!r}, expected {expected[row, column]!r}")
    return lines


def main(records, tick_size, array):
    names = features.names()
    listed = pathlib.Path(array).with_name("names.json")
    if listed.exists() and json.loads(listed.read_text()) != names:
        print("names.json does not list the names of this version")
        return 1
    ticks = features.collect_ticks(read_records(records))
    lines = compare(np.load(array), features.compute(ticks, int(tick_size)), names)
    for line in lines[:20]:
        print(line)
    if not lines:
        print(f"{len(ticks)} ticks, {features.COUNT} features: equal to the last bit")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
