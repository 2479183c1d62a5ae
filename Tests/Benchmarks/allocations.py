"""How often the processor allocates for each message that it receives over TCP, libzmq included.

    allocations.py MARTLET MODEL TICKS

Two feeds of different length are played through `martlet run --inline`, whose allocations a preloaded library counts; the
difference of the two runs leaves out what is allocated once. The pipeline itself allocates nothing (AllocationTests), so
all of it is libzmq's: the memory of a received message, that of one to send, and what its queues and decoder take.
"""

import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
COUNTER = HERE.parent / "CMallocCounter"
TIMEOUT = 300


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def build(folder):
    library = folder / "count.so"
    subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", f"-I{COUNTER}/include", COUNTER / "CMallocCounter.c", HERE / "exit_count.c",
         "-o", library], check=True)
    return library


def play(binary, model, feed, library, cut):
    """Messages and ticks that came, and the allocations of the process."""
    ticks, signals = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    reader = subprocess.Popen(
        [binary, "subscribe", signals, "--once", "--timeout", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    processor = subprocess.Popen(
        [binary, "run", "--inline", "--once", "--json", "--heartbeat", "0", "--timeout", "60", "--subscribers", "1", "--model",
         model, "--input", ticks, "--output", signals], env={"LD_PRELOAD": str(library)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    try:
        replay = subprocess.run(
            [binary, "replay", feed, "--output", ticks, "--speed", "max", "--json", "--heartbeat", "0",
             "--records-per-packet", str(cut)], capture_output=True, text=True, check=True, timeout=TIMEOUT)
        out, errors = processor.communicate(timeout=TIMEOUT)
        reader.wait(TIMEOUT)
    finally:
        processor.kill()
        reader.kill()
    counts = re.search(r"allocations (\d+)", errors)
    if processor.returncode or not counts:
        sys.exit(f"the processor failed: {errors}")
    return (json.loads(replay.stdout)["packets"], json.loads(out)["ticks"], int(counts[1]))


def main():
    binary, model, most = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], int(sys.argv[3])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        library = build(folder)
        feeds = []
        for events in (most // 4, most):
            feeds.append(folder / f"{events}.dbn.zst")
            subprocess.run(
                [binary, "simulate", "--events", str(events), "--quiet", "--out", feeds[-1]], check=True,
                stdout=subprocess.DEVNULL)
        print("records a message   messages    ticks   allocations a message   a tick")
        for cut in (1, 50):
            short, long = (play(binary, model, feed, library, cut) for feed in feeds)
            messages, ticks, count = (b - a for a, b in zip(short, long))
            print(f"{cut:17}   {messages:8}   {ticks:6}   {count / messages:21.2f}   {count / ticks:6.2f}")


if __name__ == "__main__":
    main()
