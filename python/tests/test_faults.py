"""What goes wrong outside the program is said in one line, and loses nothing else."""

import contextlib
import json
import os
import socket
import subprocess
import time

import numpy as np
import pytest
import zmq

from martlet import wire
from martlet.subscriber import LOSS_MAX, SESSION_AHEAD_MAX, Stream
from test_processes import BIN, FEED, MODEL, TIMEOUT, free_port, martlet

pytestmark = pytest.mark.skipif(not BIN, reason="MARTLET_BIN is not set")


def start(*arguments):
    return subprocess.Popen([BIN, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def trades(topic, sequence, count=1, session=1, **fields):
    records = np.zeros(count, wire.TRADE)
    records["length"], records["rtype"] = wire.TRADE.itemsize // 4, 0
    records["flags"] = 128  # F_LAST: each is a tick.
    return wire.build(
        topic, [record.tobytes() for record in records], sequence=sequence, session=session, sent=0, publisher=1, **fields)


def end(topic, sequence, session=1):
    return wire.build(topic, [], sequence=sequence, session=session, sent=0, publisher=1, kind=wire.END_OF_SESSION)


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


def run_once(endpoint, *arguments):
    return ["run", "--once", "--json", "--model", MODEL, "--input", endpoint, "--output", f"tcp://127.0.0.1:{free_port()}",
            *arguments]


def one_line(result, code, *words):
    assert result.returncode == code, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


def test_a_name_that_no_option_has_is_refused(tmp_path):
    one_line(martlet("run", env={"MARTLET_RUN_WORKER": "2"}, check=False), 64, "MARTLET_RUN_WORKER", "workers")
    config = tmp_path / "martlet.yaml"
    for text, words in [
        ("run:\n  workrs: 2\n", (":2:", "workrs", "workers")),
        ("rum:\n  workers: 2\n", (":1:", "rum", "replay")),
        ("run:\n  workers: {a: 1}\n", (":2:", "one value")),
        ("run:\n  workers: [1, 2]\n", (":2:", "one value")),
        ("run: 3\n", (":1:", "no mapping")),
        ("- 3\n", ("mapping",)),
        ("run: [\n", ("YAML",)),
    ]:
        config.write_text(text)
        one_line(martlet("run", "--config", config, check=False), 64, *words)


def test_every_command_reads_the_file_and_the_environment(tmp_path):
    config = tmp_path / "martlet.yaml"
    config.write_text("inspect:\n  json: true\nsimulate:\n  events: 100\n")
    assert json.loads(martlet("inspect", FEED, "--config", config).stdout)["records"] == 84_050
    out = tmp_path / "sim.dbn"
    martlet("simulate", "--out", out, "--config", config, env={"MARTLET_SIMULATE_QUIET": "true"})
    assert json.loads(martlet("inspect", out, env={"MARTLET_INSPECT_JSON": "1"}).stdout)["ticks"] == 100


@pytest.mark.parametrize("command", [["inspect", FEED], ["score", FEED, "--model", MODEL, "--passes", 1]])
def test_output_that_cannot_be_written_is_a_failure(command):
    with open("/dev/full", "w") as full:
        result = subprocess.run([BIN, *map(str, command)], stdout=full, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
    one_line(result, 66, "cannot be written")


def test_files_that_are_none_are_told_from_bad_data(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "nothing"):
        one_line(martlet("score", path, "--model", MODEL, check=False), 66, str(path))
    one_line(martlet("simulate", "--events", 10, "--out", tmp_path, check=False), 66, "regular file")
    one_line(martlet("simulate", "--events", 10, "--out", tmp_path / "no" / "x.dbn", check=False), 66, "No such file")
    one_line(martlet("score", FEED, FEED, "--model", MODEL, check=False), 64, "twice")


def test_rings_larger_than_the_machine_are_refused():
    result = martlet("run", "--workers", 64, "--ring-bytes", 1 << 30, "--model", MODEL, check=False)
    one_line(result, 64, "131072 MiB")


def test_a_publisher_says_whom_it_waits_for_and_counts_narrower_subscribers():
    ticks, signals = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    replay = start("replay", FEED, "--output", ticks, "--speed", "max", "--json")
    try:
        said = replay.stderr.readline()
        assert "waiting for subscribers to md/" in said and "0 of 1" in said
        processor = start(
            "run", "--once", "--json", "--model", MODEL, "--topic", "md/MARTLET.SIM/SIM1/", "--input", ticks, "--output", signals)
        out, errors = processor.communicate(timeout=TIMEOUT)
        assert json.loads(replay.communicate(timeout=TIMEOUT)[0])["lost"] == 0
    finally:
        replay.kill()
        processor.kill()
    assert processor.returncode == 0, errors
    assert json.loads(out)["ticks"] == 80_000


def test_a_stranger_on_the_port_is_no_subscriber():
    port = free_port()
    replay = start("replay", FEED, "--output", f"tcp://127.0.0.1:{port}", "--speed", "max", "--json")
    try:
        assert "0 of 1" in replay.stderr.readline()
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(b"\x01\x00")  # What ZMTP 1.0 begins with.
            time.sleep(1)
            assert replay.poll() is None
        replay.terminate()
        assert json.loads(replay.communicate(timeout=TIMEOUT)[0])["ticks"] == 0
    finally:
        replay.kill()


def test_a_silent_publisher_is_given_up_after_the_timeout():
    ticks, signals = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    processor = start("run", "--once", "--timeout", 2, "--json", "--model", MODEL, "--input", ticks, "--output", signals)
    reader = start("subscribe", signals, "--once", "--timeout", 4, "--format", "csv")
    replay = start("replay", FEED, "--output", ticks, "--speed", 1000)
    try:
        time.sleep(1)
        replay.kill()
        out, errors = processor.communicate(timeout=TIMEOUT)
        assert processor.returncode == 69 and "--timeout" in errors
        assert json.loads(out)["ticks"] > 0
        # The processor ended its sessions; a reader of nothing at all gives up by itself.
        reader.communicate(timeout=TIMEOUT)
        assert reader.returncode == 0
    finally:
        for process in (processor, reader, replay):
            process.kill()
    result = martlet("subscribe", signals, "--timeout", 0.3, check=False)
    assert result.returncode == 69 and "0.3 s" in result.stderr


def test_forged_headers_do_not_mute_a_stream():
    endpoint, topic = f"tcp://127.0.0.1:{free_port()}", b"md/D/A/"
    instruments = ["--instrument", "A:tick=0.01,lot=1", "--instrument", "B:tick=0.01,lot=1"]
    reader = ["subscribe", endpoint, "--topic", "md/", "--once", "--format", "csv"]
    with publishing(endpoint, 3, run_once(endpoint, *instruments), reader) as (publisher, processor, reader):
        publisher.send(trades(b"md/D/B/", 1, session=2**63))  # A stream cannot begin so.
        publisher.send(trades(b"md/D/B/", 2**63 + 5))  # A join may be anywhere.
        publisher.send(trades(topic, 1))
        publisher.send(trades(topic, 2**63 + 5))
        publisher.send(trades(topic, 9, session=2**63))
        publisher.send(end(topic, 2**40))
        publisher.send(trades(topic, 3, count=2))  # 2 is lost.
        publisher.send(trades(topic, 3))  # Comes again.
        publisher.send(end(topic, 5))
        publisher.send(trades(b"md/D/C/", 1, session=2**63))  # None at all: it would never end.
        publisher.send(end(b"md/D/B/", 2**63 + 6))
        out, errors = processor.communicate(timeout=TIMEOUT)
        said = reader.communicate(timeout=TIMEOUT)[1]
    assert processor.returncode == 0, errors
    report = json.loads(out)
    assert report["lost"] == 1
    assert report["counters"]["messages_refused"] == 5
    # One trouble does not hide another.
    for words in ("D A: a packet refused that would mean a loss of more than 2^32", "D A: records that came before",
                  "D B: a packet refused whose session"):
        assert any(text.startswith(words) for text in report["incidents"]), report["incidents"]
    assert reader.returncode == 0 and "1 lost" in said and "5 refused" in said


def test_the_python_subscriber_does_not_believe_them_either():
    def header(sequence, session=1, count=1, kind=wire.RECORDS):
        return {"session": session, "sequence": sequence, "count": count, "kind": kind}

    stream = Stream()
    assert stream.feed(header(1)) == 0
    assert stream.feed(header(3 + LOSS_MAX)) is None
    assert stream.feed(header(2, session=time.time_ns() + 2 * SESSION_AHEAD_MAX)) is None
    assert stream.feed(header(2)) == 0 and stream.lost == 0 and stream.implausible_packets == 2
    assert stream.feed(header(3 + LOSS_MAX)) == 0 and stream.lost == LOSS_MAX


def test_a_message_longer_than_the_contract_allows_is_refused_by_name():
    endpoint, topic = f"tcp://127.0.0.1:{free_port()}", b"md/D/A/"
    with publishing(endpoint, 2, run_once(endpoint, "--instrument", "A:tick=0.01,lot=1")) as (publisher, processor):
        publisher.send(trades(topic, 1))
        publisher.send(trades(topic, 2, count=2_000))
        publisher.send(trades(topic, 2_002))
        publisher.send(end(topic, 2_003))
        out, errors = processor.communicate(timeout=TIMEOUT)
    assert processor.returncode == 0, errors
    report = json.loads(out)
    assert report["lost"] == 2_000 and report["counters"]["messages_malformed"] == 1
    assert any("65536 bytes" in text for text in report["incidents"])


def with_metadata(path, **changes):
    """The default model with other metadata."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(MODEL)
    entries = {entry.key: entry for entry in model.metadata_props}
    for key, change in changes.items():
        entry = entries.get(f"martlet.{key}") or model.metadata_props.add(key=f"martlet.{key}")
        entry.value = change(entry.value)
    onnx.save(model, path)
    return path


def test_a_horizon_that_is_not_evaluated_is_shown_as_such(tmp_path):
    model = with_metadata(tmp_path / "ms.onnx", horizons=lambda text: text.replace('"ticks"', '"milliseconds"', 1))
    report = json.loads(martlet("score", FEED, "--model", model, "--passes", 1, "--json").stdout)
    assert report["macro_f1"] is None and len(report["horizons"]) == 4
    assert report["horizons"][0]["milliseconds"] == 10 and report["horizons"][0]["evaluated"] == 0
    assert report["horizons"][1]["ticks"] == 20 and report["horizons"][1]["macro_f1"] > 0.5


def test_a_label_that_has_no_definition_and_a_key_that_is_not_known(tmp_path):
    model = with_metadata(tmp_path / "label.onnx", horizons=lambda text: text.replace("smoothed-mid", "nope", 1))
    one_line(martlet("score", FEED, "--model", model, check=False), 65, "label", "smoothed-mid")
    model = with_metadata(tmp_path / "key.onnx", foo=lambda _: "1")
    report = json.loads(martlet("score", FEED, "--model", model, "--passes", 1, "--json").stdout)
    assert report["incidents"] == ["the model's metadata key martlet.foo is not known and has no effect"]


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_closed_streams_trap_nothing(redirection):
    result = subprocess.run(f"{BIN} score /nonexistent {redirection}", shell=True, timeout=TIMEOUT)
    assert result.returncode == 66


def test_names_from_outside_cannot_steer_a_terminal():
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    command = [argument for argument in run_once(endpoint) if argument != "--json"]
    with publishing(endpoint, 2, command) as (publisher, processor):
        for name in (b"%1B[2J", b"A%0Alost 0"):
            publisher.send(trades(b"md/D/" + name + b"/", 1))
            publisher.send(end(b"md/D/" + name + b"/", 2))
        out, errors = processor.communicate(timeout=TIMEOUT)
    assert processor.returncode == 65
    assert "\x1b" not in out + errors and "\ufffd[2J: refused" in out and "A\ufffdlost 0" in out
    assert len(errors.strip().splitlines()) == 1


def test_the_same_key_press_told_twice_is_one_interruption():
    ticks, signals = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    processor = start("run", "--json", "--model", MODEL, "--input", ticks, "--output", signals)
    replay = start("replay", FEED, "--output", ticks, "--speed", 100, "--json")
    try:
        time.sleep(1.5)
        for process in (processor, replay):
            process.terminate()
            process.terminate()
        out = processor.communicate(timeout=TIMEOUT)[0]
        played = json.loads(replay.communicate(timeout=TIMEOUT)[0])
    finally:
        processor.kill()
        replay.kill()
    assert processor.returncode == 0 and json.loads(out)["lost"] == 0
    assert played["was_interrupted"] and 0 < played["ticks"] < 80_000


def test_an_interrupted_simulation_leaves_no_part_of_a_file(tmp_path):
    process = start("simulate", "--events", 20_000_000, "--quiet", "--out", tmp_path / "x.dbn.zst")
    try:
        while not list(tmp_path.iterdir()):
            time.sleep(0.05)
        time.sleep(0.2)
        process.terminate()
        errors = process.communicate(timeout=TIMEOUT)[1]
    finally:
        process.kill()
    assert process.returncode == 143 and "nothing was written" in errors
    assert not list(tmp_path.iterdir())


def test_other_wrong_values(tmp_path):
    one_line(martlet("subscribe", "tcp://127.0.0.1:1", "--topic", "foo/", check=False), 64, "sig/")
    twice = ["--instrument", "A:tick=1,lot=1", "--instrument", "A:tick=2,lot=1"]
    one_line(martlet("score", FEED, "--model", MODEL, *twice, check=False), 64, "twice")
    result = martlet("convert", "--from", "binance", FEED, "--out", tmp_path / "x.dbn", check=False)
    one_line(result, 65)
