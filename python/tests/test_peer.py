"""The Python peer gives Martlet's signals: through real sockets, on a simulated feed, beside `martlet run`."""

import os
import pathlib
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from martlet import features, peer, subscriber, wire  # noqa: E402
from martlet.peer_features import BatchFeatures, Records  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/default.onnx"
TICK = 10_000_000
BINARY = os.environ.get("MARTLET_BIN")
needs_binary = pytest.mark.skipif(not BINARY, reason="MARTLET_BIN is not set")


def free_endpoint():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def record(random, time, rtype, mid):
    """An MBP-10 or trade record; some books are one-sided, some trades have no side."""
    common = np.zeros((), features.COMMON)
    common["rtype"], common["ts_recv"], common["size"] = rtype, time, random.integers(1, 90)
    common["side"], common["action"] = random.choice(list(b"ABN")), random.choice(list(b"ACMRT"), p=[.4, .25, .3, .01, .04])
    common["price"] = (mid + random.integers(-2, 3)) * TICK
    common["flags"], common["depth"] = features.F_LAST * (rtype == 10 or random.random() < 0.3), random.integers(0, 10)
    levels = features.empty_levels()
    if rtype == 10:
        for level in range(random.choice([0, 3, 10, 10, 10, 10])):
            levels[level] = ((mid - level - 1) * TICK, (mid + level + 1) * TICK, *random.integers(1, 500, 2), 0, 0)
    common["length"] = 92 if rtype == 10 else 12
    return common.tobytes() + (levels.tobytes() if rtype == 10 else b"")


@pytest.mark.parametrize("batch", [1, 7, 50])
def test_batched_features_agree_with_the_exact_ones_on_a_disorderly_stream(batch):
    random = np.random.default_rng(8)
    time, mid, records = 1_700_000_000_000_000_000, 10_000, []
    for _ in range(2_000):
        time += int(random.exponential(5e6))
        mid += int(random.integers(-1, 2))
        records.append(record(random, time, 0 if random.random() < 0.2 else 10, mid))
    instrument = BatchFeatures(TICK)
    found, rest = [], []
    for begin in range(0, len(records), batch):
        rest += records[begin:begin + batch]
        ends = np.array([i for i, r in enumerate(rest) if r[30] & features.F_LAST])
        if len(ends):
            whole = rest[:ends[-1] + 1]
            offsets = np.cumsum([0] + [len(r) for r in whole[:-1]])
            found.append(instrument.compute(Records(b"".join(whole), offsets), ends)[0])
            rest = rest[ends[-1] + 1:]
    found = np.concatenate(found)
    expected = features.compute(features.collect_ticks(b"".join(records)), TICK)[:len(found)]
    assert len(found) > 1_500
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=5e-4)


def processed(command, feed, records_per_packet):
    """Signal records by topic of a processor between a replay and this process."""
    source, output = free_endpoint(), free_endpoint()
    arguments = [str(BINARY), "replay", str(feed), "--output", source, "--subscribers", "1", "--speed", "max",
                 "--records-per-packet", str(records_per_packet)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    replay = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    middle = subprocess.Popen([*command, "--input", source, "--output", output, "--model", str(MODEL)],
                              stdout=subprocess.DEVNULL, env=environment)
    watchdog = threading.Timer(60, lambda: [process.kill() for process in (replay, middle)])
    watchdog.start()
    topics = {}
    try:
        subscription = subscriber.subscribe(output, "sig/", timeout=60, until_end=True)
        for packet in subscription:
            topics.setdefault(packet.topic, []).append(packet.of_type(wire.SIGNAL_TYPE))
        assert replay.wait(60) == 0 and middle.wait(60) == 0 and subscription.lost == 0
    finally:
        watchdog.cancel()
        for process in (replay, middle):
            process.kill()
    return {topic: np.concatenate(parts) for topic, parts in topics.items()}


@needs_binary
@pytest.mark.parametrize("records_per_packet", [1, 50])
def test_the_peer_publishes_the_signals_that_martlet_publishes(tmp_path, records_per_packet):
    feed = tmp_path / "sim.dbn.zst"
    subprocess.run([BINARY, "simulate", "--seed", "5", "--events", "5000", "--out", str(feed), "--quiet"], check=True,
                   stdout=subprocess.DEVNULL)
    ours = processed([str(BINARY), "run", "--inline", "--once", "--subscribers", "1"], feed, records_per_packet)
    peers = processed([sys.executable, "-m", "martlet.peer"], feed, records_per_packet)
    assert ours.keys() == peers.keys() and len(ours) == 1
    for topic, expected in ours.items():
        found = peers[topic]
        assert len(found) == len(expected) == 5_000 * len(peer.Model(str(MODEL)).horizons)
        for name in wire.SIGNAL.names:
            if name.startswith("probability"):
                np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-5, err_msg=name)
            else:
                np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
