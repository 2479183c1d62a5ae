"""A subscriber in a loop: packets of a topic prefix, and what was lost between them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Iterator

import zmq

from . import wire


#: The largest loss that is believed, in records, and how far ahead of the clock a session may begin, in nanoseconds:
#: followed further, one forged header would make all that comes after it old.
LOSS_MAX = 2**32
SESSION_AHEAD_MAX = 86_400 * 10**9
#: What a peer may queue here, as in all of Martlet's receivers: libzmq limits a queue in messages, and drops for good the
#: connection of a peer that sends a longer one, so that 256 MiB are the most.
QUEUED_MESSAGES_MAX = 1_024
RECEIVED_BYTES_MAX = 4 * wire.MESSAGE_LENGTH_MAX
#: Streams that are followed, as in `martlet subscribe`: a hostile publisher could name topics without end.
STREAMS_MAX = 4_096


@dataclass
class Stream:
    """Accounting of one (publisher, topic), by the table in docs/WIRE.md, "Accounting for loss"."""

    session: int = 0
    expected: int = 0
    ended: bool = False
    received: int = 0
    lost: int = 0
    before_join: int = 0
    duplicates: int = 0
    stale_packets: int = 0
    implausible_packets: int = 0
    unknown_losses: int = 0

    def feed(self, header) -> int | None:
        """Takes account of a packet; returns how many of its records came before, or None to refuse it all."""
        session, sequence, count = int(header["session"]), int(header["sequence"]), int(header["count"])
        skip = 0
        if session > self.session and session > time.time_ns() + SESSION_AHEAD_MAX:
            self.implausible_packets += 1
            return None
        if self.expected == 0:
            self.before_join = sequence - 1
            self.session, self.expected = session, sequence + count
        elif session < self.session:
            self.stale_packets += 1
            return None
        elif sequence > (1 if session > self.session else self.expected) + LOSS_MAX:
            self.implausible_packets += 1
            return None
        elif session > self.session:
            self.lost += sequence - 1
            self.unknown_losses += not self.ended
            self.session, self.expected = session, sequence + count
        else:
            self.lost += max(0, sequence - self.expected)
            skip = min(max(0, self.expected - sequence), count)
            self.duplicates += skip
            self.expected = max(self.expected, sequence + count)
        self.received += count - skip
        self.ended = int(header["kind"]) == wire.END_OF_SESSION
        return skip


@dataclass
class Subscription:
    """Iterate over it for packets of records; `lost` and `streams` say what is missing, `malformed` and `refused` how many
    messages were not believed: `refused` has those of texts that are no topics and of streams beyond `STREAMS_MAX` too.

    Stops when a stream's session has ended and `until_end` is set, or after `timeout` seconds without a message.
    Heartbeats and ends of session are accounted for and not returned. Used on one thread.
    """

    endpoint: str
    topic: str = ""
    timeout: float | None = None
    until_end: bool = False
    streams: dict[tuple[int, str], Stream] = field(default_factory=dict)
    malformed: int = 0
    refused: int = 0

    @property
    def lost(self) -> int:
        return sum(stream.lost for stream in self.streams.values())

    def __iter__(self) -> Iterator[wire.Packet]:
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.set(zmq.LINGER, 0)
            socket.set(zmq.RCVHWM, QUEUED_MESSAGES_MAX)
            socket.set(zmq.MAXMSGSIZE, RECEIVED_BYTES_MAX)
            socket.set(zmq.RCVTIMEO, -1 if self.timeout is None else int(self.timeout * 1000))
            socket.set(zmq.SUBSCRIBE, self.topic.encode())
            socket.connect(self.endpoint)
            while True:
                try:
                    message = socket.recv()
                except zmq.Again:
                    return
                packet = self._accept(message)
                if packet is not None:
                    yield packet
                if self.until_end and self.streams and all(stream.ended for stream in self.streams.values()):
                    return

    def _accept(self, message: bytes) -> wire.Packet | None:
        try:
            packet = wire.parse(message)
        except wire.WireError:
            self.malformed += 1
            return None
        header = packet.header
        key = int(header["publisher"]), packet.topic
        stream = self.streams.get(key) or self._new_stream(packet.topic)
        skip = None if stream is None else stream.feed(header)
        if skip is None:
            self.refused += 1
            return None
        # Not before: a forged packet alone would make a stream that never ends.
        self.streams[key] = stream
        if header["kind"] != wire.RECORDS or skip == header["count"]:
            return None
        payload = packet.payload
        for _ in range(skip):
            payload = payload[payload[0] * 4:]
        return wire.Packet(packet.topic, header, payload)

    def _new_stream(self, topic: str) -> Stream | None:
        if len(self.streams) >= STREAMS_MAX or wire.names(topic) is None:
            return None
        return Stream()


def subscribe(endpoint: str, topic: str = "", *, timeout: float | None = None, until_end: bool = False) -> Subscription:
    """Subscribes to every topic that begins with `topic` ("sig/", "md/XNAS.ITCH/GOOG/", "" for all)."""
    return Subscription(endpoint, topic, timeout, until_end)
