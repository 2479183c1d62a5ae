#!/usr/bin/env python3
"""Alternates short runs of the ring and its peers and prints medians, spread and the ratio to the best peer.

Usage: compare.py RING_BENCH RING_PEERS [--runs N] [--microseconds M] [--ring-bytes B] [--items BYTES ...]

Each run is a process with two threads, pinned to CPUs 0 and 1, that moves fixed items and prints nanoseconds per item, a
checksum, and how often the kernel took a CPU from it. The order turns from round to round, so that a busy neighbour
meets all contestants alike, and a run that lost its CPU is not counted: with one of two spinning threads stopped it
measures the scheduler. What was left out is printed; if hardly a run is left, the exit code is 75 and nothing is wrong but
the moment. Every run must give the checksum that the items imply.
"single" publishes and releases each item, "batch" up to 64 at once, where a queue can. In "batch", "packed" is the ring
with 64 items in one record, as a feed's packet travels.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys

ITEM_BYTES = (8, 80, 368)
# Medians and quartiles of fewer runs say nothing.
RUNS_MIN = 3
MASK = (1 << 64) - 1


def machine_line():
    model = "unknown CPU"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/loadavg") as file:
        load = file.read().split()[0]
    return f"{model}, {platform.system()} {platform.release()}, load {load} at start"


def expected_checksum(item_bytes, count):
    """Item n has the words n, n + 1, …; the sum over all items, modulo 2^64."""
    words = item_bytes // 8
    return (words * (count * (count - 1) // 2) + count * (words * (words - 1) // 2)) & MASK


def run(command, item_bytes, count):
    """Nanoseconds per item and whether the run kept its CPUs."""
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    nanoseconds, checksum, switches = result.stdout.split()
    if int(checksum) != expected_checksum(item_bytes, count):
        sys.exit(f"wrong checksum from {' '.join(command)}")
    return float(nanoseconds), int(switches) == 0


def alternate(contestants, item_bytes, count, runs):
    """Times by name, `runs` undisturbed ones each (or fewer, if the machine stays busy), and how many were left out."""
    times = {name: [] for name in contestants}
    left_out = 0
    names = list(contestants)
    for turn in range(8 * runs):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            nanoseconds, undisturbed = run(contestants[name], item_bytes, count)
            if undisturbed:
                times[name].append(nanoseconds)
            else:
                left_out += 1
        if min(len(values) for values in times.values()) >= runs:
            break
    return times, left_out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ring_bench")
    parser.add_argument("ring_peers")
    parser.add_argument("--runs", type=int, default=101, help="undisturbed runs of each")
    parser.add_argument("--microseconds", type=int, default=1000, help="aimed length of one run")
    parser.add_argument("--ring-bytes", type=int, default=131072, help="memory of each queue, a power of two")
    parser.add_argument("--items", type=int, nargs="*", default=ITEM_BYTES, help="item sizes in bytes")
    options = parser.parse_args()
    print(machine_line())
    print(f"{options.runs} runs of about {options.microseconds} us each, {options.ring_bytes} bytes per queue; ns per item")
    print(f"{'items':>7} {'mode':>7} {'queue':>8} {'median':>8} {'p25':>8} {'p75':>8} {'min':>8} {'M/s':>7} {'runs':>5}")
    for item_bytes in options.items:
        count = int(options.microseconds * 1e3 / (10 + item_bytes / 8))
        tail = [str(item_bytes), str(count), str(options.ring_bytes)]
        for mode in ("single", "batch"):
            contestants = {
                "martlet": [options.ring_bench, mode, *tail],
                "boost": [options.ring_peers, "boost", mode, *tail],
                "padded": [options.ring_peers, "padded", mode, *tail],
            }
            if mode == "batch":
                contestants["packed"] = [options.ring_bench, "packed", *tail]
            times, left_out = alternate(contestants, item_bytes, count, options.runs)
            medians = {}
            for name, values in times.items():
                if len(values) < RUNS_MIN:
                    print("the machine is too busy: hardly a run kept its CPUs", file=sys.stderr)
                    sys.exit(os.EX_TEMPFAIL)
                low, medians[name], high = statistics.quantiles(values, n=4, method="inclusive")
                print(
                    f"{item_bytes:>5} B {mode:>7} {name:>8} {medians[name]:>8.2f} {low:>8.2f} {high:>8.2f} "
                    f"{min(values):>8.2f} {1e3 / medians[name]:>7.1f} {len(values):>5}"
                )
            best = min(medians["boost"], medians["padded"])
            for name in ("martlet", "packed"):
                if name in medians:
                    print(f"{'':>16} {name}: {best / medians[name]:.2f} times the best peer's rate")
            print(f"{'':>16} {left_out} runs left out", flush=True)


if __name__ == "__main__":
    main()
