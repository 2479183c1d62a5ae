"""What the tests of the built program share: where it is, how it is started, and a publisher that says what a test wants."""

import contextlib
import os
import pathlib
import socket
import subprocess
import time

import numpy as np
import zmq

from martlet import wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("MARTLET_BIN")
FEEDS = os.environ.get("MARTLET_FEEDS")
FEED = ROOT / "feeds" / "simulated_sim1_20240102_mixed.dbn.zst"
MODEL = ROOT / "models" / "default.onnx"
#: A model with all outputs of the contract.
MULTIHEAD = ROOT / "models" / "multihead.onnx"
TIMEOUT = 120


def martlet(*arguments, env=None, check=True):
    result = subprocess.run(
        [BIN, *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT, env={**os.environ, **(env or {})})
    if check:
        assert result.returncode == 0, result.stderr
    return result


def start(*arguments):
    return subprocess.Popen([BIN, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def one_line(result, code, *words):
    assert result.returncode == code, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


def run_once(endpoint, *arguments):
    return ["run", "--once", "--json", "--model", MODEL, "--input", endpoint, "--output", f"tcp://127.0.0.1:{free_port()}",
            *arguments]


@contextlib.contextmanager
def publishing(endpoint, subscriptions, *commands):
    """A publisher of pyzmq and the processes of `commands`, once they have subscribed `subscriptions` times."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher, contextlib.ExitStack() as stack:
        publisher.set(zmq.XPUB_VERBOSER, 1)
        publisher.set(zmq.RCVTIMEO, 20_000)
        publisher.set(zmq.LINGER, 0)
        publisher.bind(endpoint)
        processes = [start(*command) for command in commands]
        for process in processes:
            stack.callback(process.kill)
        for _ in range(subscriptions):
            publisher.recv()
        yield publisher, *processes


def trades(topic, sequence, count=1, session=1, **fields):
    records = np.zeros(count, wire.TRADE)
    records["length"], records["rtype"] = wire.TRADE.itemsize // 4, 0
    records["flags"] = 128  # F_LAST: each is a tick.
    return wire.build(
        topic, [record.tobytes() for record in records], sequence=sequence, session=session, sent=0, publisher=1, **fields)


def end(topic, sequence, session=1):
    return wire.build(topic, [], sequence=sequence, session=session, sent=0, publisher=1, kind=wire.END_OF_SESSION)


def wait_until(condition, process, seconds=TIMEOUT):
    """Looks again and again until `condition` holds, while `process` runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)
