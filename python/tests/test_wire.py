"""The wire format against golden bytes (shared with the Swift tests), its document, and hostile input."""

import hashlib
import json
import pathlib
import random
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import zmq

import martlet
from martlet import wire
from martlet.subscriber import Stream

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = json.loads((ROOT / "Tests/WireTests/Golden/wire.json").read_text())


def golden(name):
    return bytes.fromhex(GOLDEN[name])


def test_golden_file_is_what_its_script_writes():
    subprocess.run([sys.executable, ROOT / "python/oracles/wire_golden.py", "--check"], check=True)


@pytest.mark.parametrize("name", ["signals_message", "ticks_message", "heartbeat_message", "end_message"])
def test_every_truncation_is_refused(name):
    message = golden(name)
    for length in range(len(message)):
        with pytest.raises(wire.WireError):
            wire.parse(message[:length])


def test_bit_flips_and_noise_give_wire_errors_or_packets_only():
    random.seed(7)
    for _ in range(20_000):
        message = bytearray(golden(random.choice(["signals_message", "heartbeat_message", "ticks_message"])))
        for _ in range(random.randint(1, 4)):
            message[random.randrange(len(message))] ^= 1 << random.randrange(8)
        try:
            packet = wire.parse(message)
            list(wire.iterate(packet.payload))
        except wire.WireError:
            pass


@pytest.mark.parametrize("mutate", [
    lambda m: m[:32] + b"XT" + m[34:], lambda m: m[:34] + b"\2" + m[35:], lambda m: m[:35] + b"\4" + m[36:],
    lambda m: m[:36] + b"\2" + m[37:], lambda m: m[:36] + b"\4" + m[37:], lambda m: m[:38] + b"\1" + m[39:],
    lambda m: m[:48] + bytes(8) + m[56:], lambda m: m[:68] + b"\2" + m[69:], lambda m: m[:72] + b"\3" + m[73:],
    lambda m: m + bytes(8), lambda m: m[:31] + b"x" + m[32:], lambda m: bytes(8) + m, lambda m: b"x" * 600,
])
def test_malformed_packets_are_refused(mutate):
    with pytest.raises(wire.WireError):
        wire.parse(mutate(golden("signals_message")))


def test_signals_read_as_they_were_packed():
    packet = wire.parse(golden("signals_message"))
    assert packet.topic == "sig/default/XNAS.ITCH/BRK.B/"
    assert packet.header.tobytes() == golden("header")
    signals = packet.of_type(wire.SIGNAL_TYPE)
    assert signals["horizon"].tolist() == [10, 20]
    assert signals["direction"].tolist() == [1, 0]
    assert signals["probability_up"].tolist() == [0.625, 0.25]
    assert signals["input_sequence"].tolist() == [42, 42]
    assert signals["model_id"][0].tobytes() == bytes(range(0xA0, 0xA8))
    assert signals["flags"].tolist() == [5, 5]
    assert signals["position"].tolist() == [0.5, 0.5]
    assert np.isnan(signals["value_at_risk_95"]).all() and np.isnan(signals["trend_up"]).all()
    assert signals["mid_price"].tolist() == [100_005_000_000] * 2
    (gap,) = packet.of_type(wire.GAP_TYPE)
    assert (gap["first_missing"], gap["count"], gap["reason"]) == (43, 17, 1)
    with pytest.raises(wire.WireError, match="mixes"):
        packet.records


def test_ticks_heartbeats_and_ends_read_as_they_were_packed():
    topic, header, trades = wire.parse(golden("ticks_message"))
    assert (topic, header["sequence"], trades.dtype) == ("md/XNAS.ITCH/BRK%2FB/", 7, wire.TRADE)
    assert (trades["price"][0], trades["size"][0], trades["side"][0]) == (100_010_000_000, 12, b"B")
    assert wire.parse(golden("heartbeat_message")).address == "tcp://127.0.0.1:5557"
    assert wire.parse(golden("heartbeat_without_address")).address is None
    assert len(wire.parse(golden("end_message")).records) == 0
    assert np.frombuffer(golden("schema_trades"), wire.SCHEMA)["msg"][0] == b"schema=trades"


def test_a_built_message_is_the_golden_one():
    built = wire.build(
        wire.signals_topic("default", "XNAS.ITCH", "BRK.B"),
        [golden("signal"), golden("signal_second_horizon"), golden("gap")], sequence=42,
        session=1_700_000_000_000_000_000, sent=1_700_000_000_123_456_789, publisher=7)
    assert built == golden("signals_message")


@pytest.mark.parametrize("topic, names", [
    ("md/XNAS.ITCH/BRK.B/", ("XNAS.ITCH", "BRK.B")), ("def/D/a%2Fb%25/", ("D", "a/b%")), ("sig/m%0A/D/é/", ("m\n", "D", "é")),
    *((text, None) for text in (
        "", "/", "md/", "md/D/", "md/D/A", "md/D/A/B/", "md//A/", "md/D//", "sig/D/A/", "xx/D/A/", "md/D/a%2fb/", "md/D/%41/",
        "md/D/%/", "md/D/%ZZ/", "md/D/%FF/", "md/D/\x1b/", "md/D/\x85/", "MD/D/A/")),
])
def test_a_topic_is_taken_apart_if_it_is_spelt_as_it_would_be_written(topic, names):
    assert wire.names(topic) == names


@pytest.mark.parametrize("kind, model, dataset, symbol, text", GOLDEN["topics"].values())
def test_topics_are_the_golden_ones(kind, model, dataset, symbol, text):
    made = {
        "md": lambda: wire.ticks_topic(dataset, symbol), "def": lambda: wire.definitions_topic(dataset, symbol),
        "sig": lambda: wire.signals_topic(model, dataset, symbol),
    }[kind]()
    assert made.hex() == text


def test_the_digest_of_a_run_ignores_packets_interleaving_and_gaps():
    first, second, gap = golden("signal"), golden("signal_second_horizon"), golden("gap")
    digest = martlet.SignalDigest()
    digest.add("sig/default/XNAS.ITCH/BRK.B/", first)
    digest.add("sig/default/XNAS.ITCH/A/", np.frombuffer(second, wire.SIGNAL))
    digest.add("sig/default/XNAS.ITCH/BRK.B/", gap + second)
    digest.add("sig/default/XNAS.ITCH/C/", gap)
    assert digest.hexdigest() == GOLDEN["digest_of_run"]
    assert martlet.SignalDigest().hexdigest() == hashlib.sha256().hexdigest()


DOCUMENTED = {
    "PacketHeader": wire.HEADER, "SignalRecord": wire.SIGNAL, "GapRecord": wire.GAP, "SchemaRecord": wire.SCHEMA,
    "RetransmissionRequest": wire.RETRANSMISSION_REQUEST, "RetransmissionResponse": wire.RETRANSMISSION_RESPONSE,
}


@pytest.mark.parametrize("name, dtype", DOCUMENTED.items())
def test_the_document_has_the_offsets_of_the_dtypes(name, dtype):
    table = (ROOT / "docs/WIRE.md").read_text().split(f"<!-- layout: {name} -->\n")[1].split("\n\n")[0]
    rows = re.findall(r"^\| (\d+) \| ([\w\[\]]+) \| `(\w+)` \|", table, re.M)
    codes = {"u1": "u8", "u2": "u16", "u4": "u32", "u8": "u64", "i1": "i8", "i8": "i64", "f4": "f32", "S303": "char[303]"}
    expected = []
    for field in dtype.names:
        kind, offset = dtype.fields[field][:2]
        expected.append((str(offset), codes[kind.str.lstrip("<|")], field))
    assert rows == expected


def test_dbn_dtypes_have_the_offsets_of_databento():
    dbn = pytest.importorskip("databento_dbn")
    pairs = [(wire.TRADE, dbn.TradeMsg), (wire.DEFINITION, dbn.InstrumentDefMsg), (wire.SCHEMA, dbn.SystemMsg)]
    for ours, message in pairs:
        theirs = np.dtype(message._dtypes)
        assert ours.itemsize == theirs.itemsize
        for field in set(ours.names) & set(theirs.names):
            assert ours.fields[field][1] == theirs.fields[field][1], field
            assert ours.fields[field][0].itemsize == theirs.fields[field][0].itemsize, field
    assert wire.MBP_1.itemsize == np.dtype(dbn.MBP1Msg._dtypes).itemsize == 80
    assert wire.MBP_10.itemsize == np.dtype(dbn.MBP10Msg._dtypes).itemsize == 368


def header(sequence, count, session=5, kind=wire.RECORDS):
    return np.array((wire.MAGIC, 1, kind, count, 0, session, sequence, 0, 1, 3, 0, 0), wire.HEADER)


def test_streams_count_every_record_once():
    stream = Stream()
    assert stream.feed(header(11, 5)) == 0 and stream.before_join == 10
    assert stream.feed(header(18, 2)) == 0 and stream.lost == 2
    assert stream.feed(header(19, 3)) == 1 and stream.duplicates == 1
    assert stream.feed(header(25, 0, kind=wire.HEARTBEAT)) == 0 and stream.lost == 5
    assert stream.feed(header(3, 1, session=6)) == 0 and (stream.lost, stream.unknown_losses) == (7, 1)
    assert stream.feed(header(30, 1)) is None and stream.stale_packets == 1
    assert stream.received == 5 + 2 + 2 + 1


def test_a_subscription_reads_packets_and_counts_losses():
    topic = wire.signals_topic("default", "XNAS.ITCH", "BRK.B")

    def message(sequence):
        return wire.build(topic, [golden("signal")], sequence=sequence, session=1, sent=0, publisher=7)

    end = bytearray(message(6)[:-112])
    end[35:38] = b"\3\0\0"
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.set(zmq.LINGER, 0)
        port = publisher.bind_to_random_port("tcp://127.0.0.1")

        def publish():
            publisher.recv()
            for frame in [message(1), message(2), b"noise", message(2), message(4), bytes(end)]:
                publisher.send(b"sig/noise" if frame == b"noise" else frame)

        thread = threading.Thread(target=publish)
        thread.start()
        subscription = martlet.subscribe(f"tcp://127.0.0.1:{port}", "sig/", timeout=20, until_end=True)
        got = [(int(header["sequence"]), len(signals)) for _, header, signals in subscription]
        thread.join()
    assert got == [(1, 1), (2, 1), (4, 1)]
    assert (subscription.lost, subscription.malformed) == (2, 1)
