"""Subscribers and readers that are slow, or leave: nothing false is said of what they got."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time

import pytest
import zmq

from martlet import wire
from support import BIN, FEED, MODEL, TIMEOUT, free_port, martlet, start, wait_until

pytestmark = pytest.mark.skipif(not BIN, reason="MARTLET_BIN is not set")


@contextlib.contextmanager
def running(*commands):
    """Processes of `commands`, ended with the block."""
    with contextlib.ExitStack() as stack:
        processes = [start(*command) for command in commands]
        for process in processes:
            stack.callback(process.kill)
        yield processes


@contextlib.contextmanager
def subscriber(endpoint, prefix=b""):
    """One of pyzmq that takes one message at a time, and so stalls its publisher when it does not read."""
    with zmq.Context() as context, context.socket(zmq.SUB) as reader:
        reader.set(zmq.RCVHWM, 1)
        reader.set(zmq.RCVBUF, 4_096)
        reader.set(zmq.RCVTIMEO, 1_000 * TIMEOUT)
        reader.set(zmq.LINGER, 0)
        reader.set(zmq.SUBSCRIBE, prefix)
        reader.connect(endpoint)
        yield reader


def read_to_end(reader):
    """Records of the messages up to the first end of a session."""
    count = 0
    while True:
        packet = wire.parse(reader.recv())
        if packet.header["kind"] == wire.END_OF_SESSION:
            return count
        count += int(packet.header["count"])


@pytest.fixture(scope="module")
def long_feed(tmp_path_factory):
    """More than the queues of all sockets between a replay and a subscriber hold."""
    path = tmp_path_factory.mktemp("feeds") / "long.dbn.zst"
    martlet("simulate", "--events", 400_000, "--quiet", "--out", path)
    return path


@pytest.fixture
def endpoints():
    return [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)]


def replay_to(endpoint, feed, *arguments):
    return ["replay", feed, "--output", endpoint, "--speed", "max", "--json", *arguments]


def run_between(ticks, signals, *arguments):
    return ["run", "--once", "--json", "--model", MODEL, "--input", ticks, "--output", signals, "--subscribers", 1,
            *arguments]


def test_a_publisher_survives_the_reader_of_what_it_says(endpoints):
    with running(replay_to(endpoints[0], FEED)) as [replay]:
        replay.stderr.close()
        time.sleep(2)  # It says that it waits, to nobody.
        assert replay.poll() is None
        with subscriber(endpoints[0]) as reader:
            assert read_to_end(reader) > 80_000
        report = json.loads(replay.stdout.read())
        assert replay.wait(TIMEOUT) == 0 and report["lost"] == 0 and report["is_drained"]


def test_a_reader_of_the_output_that_has_gone_ends_a_command_in_silence():
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run([BIN, "inspect", str(FEED)], stdout=write, stderr=subprocess.PIPE, timeout=TIMEOUT)
    os.close(write)
    assert result.returncode == -signal.SIGPIPE and result.stderr == b""


def test_a_slow_subscriber_is_no_silent_input(endpoints, long_feed):
    ticks, signals = endpoints
    command = run_between(ticks, signals, "--timeout", 2, "--ring-bytes", 262_144)
    with running(command, replay_to(ticks, long_feed)) as [processor, replay], subscriber(signals) as reader:
        reader.recv()
        time.sleep(5)
        read_to_end(reader)
        out, errors = processor.communicate(timeout=TIMEOUT)
        assert processor.returncode == 0, errors
        report = json.loads(out)
        assert report["ticks"] == 400_000 and report["lost"] == 0


@pytest.mark.parametrize("records_per_packet", [1, 4_096])
def test_a_subscriber_that_left_is_told_by_a_replay_of_any_length(endpoints, records_per_packet):
    command = replay_to(endpoints[0], FEED, "--records-per-packet", records_per_packet)
    with running(command) as [replay]:
        with subscriber(endpoints[0]) as reader:
            reader.recv()
            time.sleep(1)
        out, errors = replay.communicate(timeout=TIMEOUT)
    report = json.loads(out)
    # What was queued in whole when the subscriber left was taken by nobody, and libzmq does not say so.
    left = report["subscribers_left"]
    assert replay.returncode == (69 if left else 0)
    assert left == ("a subscriber left" in errors) == (report["lost"] is None)
    assert left or records_per_packet > 1


def test_a_subscriber_that_left_is_told_by_the_processor(endpoints, long_feed):
    ticks, signals = endpoints
    with running(run_between(ticks, signals), replay_to(ticks, long_feed)) as [processor, replay]:
        with subscriber(signals) as reader:
            reader.recv()
        out, errors = processor.communicate(timeout=TIMEOUT)
    assert processor.returncode == 69 and "a subscriber left" in errors
    assert json.loads(out)["ticks"] == 400_000


def test_a_stranger_on_the_port_is_no_subscriber(endpoints):
    port = int(endpoints[0].rsplit(":", 1)[1])
    with running(replay_to(endpoints[0], FEED, "--records-per-packet", 1)) as [replay]:
        assert "0 of 1" in replay.stderr.readline()
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(b"\x01\x00")  # What ZMTP 1.0 begins with.
            time.sleep(1)
            assert replay.poll() is None
            with subscriber(endpoints[0]) as reader:
                count = int(wire.parse(reader.recv()).header["count"])
                # It leaves: the end of what it never had is not the true subscriber's.
                stranger.close()
                time.sleep(0.5)
                assert count + read_to_end(reader) > 80_000
                out, errors = replay.communicate(timeout=TIMEOUT)
    assert replay.returncode == 0, errors
    assert json.loads(out)["ticks"] == 80_000


def test_a_stranger_with_many_prefixes_keeps_no_subscriber_from_being_counted(endpoints):
    command = replay_to(endpoints[0], FEED, "--subscribers", 2)
    with running(command) as [replay], zmq.Context() as context, context.socket(zmq.SUB) as stranger:
        stranger.set(zmq.LINGER, 0)
        stranger.set(zmq.SNDHWM, 0)
        stranger.connect(endpoints[0])
        for number in range(2_000):
            stranger.set(zmq.SUBSCRIBE, b"md/stranger/%d/" % number)
        wait_until(lambda: "1 of 2" in replay.stderr.readline(), replay)
        with subscriber(endpoints[0]) as reader:
            reader.set(zmq.RCVTIMEO, 20_000)
            assert read_to_end(reader) > 80_000
        assert replay.wait(TIMEOUT) == 0


def test_a_replay_that_fails_says_what_it_sent_and_what_it_waits_for(endpoints, tmp_path):
    cut = tmp_path / "cut.dbn.zst"
    cut.write_bytes(FEED.read_bytes()[:-100_000])
    with running(replay_to(endpoints[0], cut)) as [replay]:
        with subscriber(endpoints[0]) as reader:
            reader.recv()
            # What is left fits into the queue.
            assert "waiting up to" in replay.stderr.readline()
            read_to_end(reader)
        out, errors = replay.communicate(timeout=TIMEOUT)
    assert replay.returncode == 65 and "cut.dbn.zst" in errors
    assert 0 < json.loads(out)["ticks"] < 80_000


def test_an_interruption_without_data_is_no_failure(endpoints, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(MODEL)
    model.metadata_props.add(key="martlet.foo", value="1")
    onnx.save(model, tmp_path / "model.onnx")
    command = ["run", "--json", "--model", tmp_path / "model.onnx", "--input", endpoints[0], "--output", endpoints[1]]
    with running(command) as [processor], zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.set(zmq.RCVTIMEO, 1_000 * TIMEOUT)
        publisher.bind(endpoints[0])
        publisher.recv()
        processor.send_signal(signal.SIGINT)
        out, errors = processor.communicate(timeout=TIMEOUT)
    assert processor.returncode == 0, errors
    assert any("martlet.foo" in text for text in json.loads(out)["incidents"])


@pytest.mark.parametrize("command, variable", [
    (["run", "--subscribers", 1, "--evaluate-from", "soon"], {}),
    (["run", "--subscribers", 1], {"MARTLET_RUN_JSON": "on"}),
    (["run", "--subscribers", 1], {"MARTLET_RUN_INLINE": "on"}),
    (["run", "--subscribers", 1, "--timeout", "-1"], {}),
    (["replay", FEED], {"MARTLET_REPLAY_JSON": "on"}),
    (["score", FEED], {"MARTLET_SCORE_JSON": "on"}),
    (["inspect", FEED], {"MARTLET_INSPECT_JSON": "on"}),
])
def test_wrong_options_are_refused_before_the_work(command, variable):
    result = subprocess.run(
        [BIN, *map(str, command)], capture_output=True, text=True, timeout=10, env={**os.environ, **variable})
    assert result.returncode == 64 and result.stdout == "" and len(result.stderr.strip().splitlines()) == 1
