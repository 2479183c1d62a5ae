"""What peers send that no publisher would: believed by nobody, told to its reader, and harmless to all else."""

import json
import threading
import time

import pytest

from martlet import wire
from martlet.subscriber import LOSS_MAX, SESSION_AHEAD_MAX, STREAMS_MAX, Stream, Subscription, subscribe
from support import BIN, TIMEOUT, end, free_port, publishing, run_once, trades

needs_program = pytest.mark.skipif(not BIN, reason="MARTLET_BIN is not set")


@needs_program
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


def subscribed(messages, timeout):
    """A subscription in Python that ends with the sessions it has met, once it has read these messages, and what it gave."""
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    subscription = subscribe(endpoint, "md/", timeout=timeout, until_end=True)
    packets = []
    reader = threading.Thread(target=lambda: packets.extend(subscription), daemon=True)
    with publishing(endpoint, 0) as (publisher,):
        reader.start()
        publisher.recv()
        for message in messages:
            publisher.send(message)
        reader.join(TIMEOUT)
    assert not reader.is_alive()
    return subscription, [(packet.topic, int(packet.header["sequence"])) for packet in packets]


def test_a_forged_packet_opens_no_stream_that_would_never_end():
    messages = [trades(b"md/D/C/", 1, session=2**63), trades(b"md/D/A/", 1), end(b"md/D/A/", 2)]
    subscription, packets = subscribed(messages, timeout=5)
    assert packets == [("md/D/A/", 1)]
    assert list(subscription.streams) == [(1, "md/D/A/")] and subscription.refused == 1


def test_the_python_subscriber_follows_streams_up_to_a_number():
    messages = [trades(f"md/D/{number}/".encode(), 1) for number in range(STREAMS_MAX + 2)]
    messages += [trades(b"md/D/0/", 2), end(b"md/D/0/", 3), trades(b"md/D/0/%1b/", 1), trades(b"md/\x1b[2J/A/", 1)]
    subscription = Subscription("", "md/")
    accepted = [subscription._accept(message) for message in messages]
    assert sum(packet is not None for packet in accepted) == STREAMS_MAX + 1
    assert len(subscription.streams) == STREAMS_MAX and subscription.refused == 4
    assert subscription.streams[1, "md/D/0/"].received == 2


def test_the_python_subscriber_drops_a_peer_whose_messages_fit_no_queue():
    too_long = b"md/D/A/" + bytes(4 * wire.MESSAGE_LENGTH_MAX)
    subscription, packets = subscribed([trades(b"md/D/A/", 1), too_long, end(b"md/D/A/", 2)], timeout=1)
    assert packets == [("md/D/A/", 1)]
    assert subscription.malformed == 0 and not subscription.streams[1, "md/D/A/"].ended


@needs_program
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


@needs_program
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
