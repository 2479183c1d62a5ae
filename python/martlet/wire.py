"""Martlet's wire format, version 1, as NumPy dtypes. Byte by byte in docs/WIRE.md.

`parse` checks a message and returns views of it: no record is copied.
"""

from __future__ import annotations

import hashlib
import struct
import urllib.parse
from dataclasses import dataclass
from typing import Iterable, Iterator

import numpy as np

HEADER = np.dtype([
    ("magic", "<u2"), ("version", "u1"), ("kind", "u1"), ("count", "<u2"), ("flags", "<u2"), ("session", "<u8"),
    ("sequence", "<u8"), ("sent", "<u8"), ("publisher", "<u4"), ("record_format", "u1"), ("reserved0", "u1"),
    ("reserved1", "<u2"),
])

_RECORD = [
    ("length", "u1"), ("rtype", "u1"), ("publisher_id", "<u2"), ("instrument_id", "<u4"), ("ts_event", "<u8"),
]
RECORD = np.dtype(_RECORD)

SIGNAL = np.dtype(_RECORD + [
    ("ts_recv", "<u8"), ("input_sequence", "<u8"), ("model_id", "<u8"), ("horizon", "<u4"), ("horizon_unit", "u1"),
    ("direction", "i1"), ("flags", "<u2"), ("probability_down", "<f4"), ("probability_flat", "<f4"),
    ("probability_up", "<f4"), ("expected_return", "<f4"), ("volatility", "<f4"), ("value_at_risk_95", "<f4"),
    ("value_at_risk_99", "<f4"), ("expected_shortfall_95", "<f4"), ("expected_shortfall_99", "<f4"),
    ("trend_down", "<f4"), ("trend_flat", "<f4"), ("trend_up", "<f4"), ("position", "<f4"), ("reserved", "<u4"),
    ("mid_price", "<i8"),
])

GAP = np.dtype(_RECORD + [
    ("input_session", "<u8"), ("first_missing", "<u8"), ("count", "<u4"), ("reason", "u1"), ("reserved0", "u1"),
    ("reserved1", "<u2"), ("reserved2", "<u8"),
])

_TRADE = _RECORD + [
    ("price", "<i8"), ("size", "<u4"), ("action", "S1"), ("side", "S1"), ("flags", "u1"), ("depth", "u1"),
    ("ts_recv", "<u8"), ("ts_in_delta", "<i4"), ("sequence", "<u4"),
]
TRADE = np.dtype(_TRADE)

LEVEL = np.dtype([
    ("bid_px", "<i8"), ("ask_px", "<i8"), ("bid_sz", "<u4"), ("ask_sz", "<u4"), ("bid_ct", "<u4"), ("ask_ct", "<u4"),
])
MBP_1 = np.dtype(_TRADE + [("levels", LEVEL, (1,))])
MBP_10 = np.dtype(_TRADE + [("levels", LEVEL, (10,))])

# The fields that a subscriber needs; the rest is in DBN's own description.
DEFINITION = np.dtype({
    "names": [name for name, _ in _RECORD] + ["ts_recv", "min_price_increment", "unit_of_measure_qty", "raw_symbol"],
    "formats": [kind for _, kind in _RECORD] + ["<u8", "<i8", "<i8", "S71"],
    "offsets": [0, 1, 2, 4, 8, 16, 24, 80, 238],
    "itemsize": 520,
})

SCHEMA = np.dtype(_RECORD + [("msg", "S303"), ("code", "u1")])

RETRANSMISSION_REQUEST = np.dtype([
    ("magic", "<u2"), ("version", "u1"), ("kind", "u1"), ("topic_length", "<u2"), ("reserved0", "<u2"),
    ("request_id", "<u8"), ("session", "<u8"), ("first", "<u8"), ("count", "<u4"), ("reserved1", "<u4"),
])
RETRANSMISSION_RESPONSE = np.dtype([
    ("magic", "<u2"), ("version", "u1"), ("kind", "u1"), ("status", "<u2"), ("packets", "<u2"),
    ("request_id", "<u8"), ("session", "<u8"), ("first_available", "<u8"), ("last_available", "<u8"),
])

#: Which dtype a record type has.
DTYPES = {
    0x00: TRADE, 0x01: MBP_1, 0x0A: MBP_10, 0x13: DEFINITION, 0x17: SCHEMA, 0xE0: SIGNAL, 0xE1: GAP,
}

MAGIC = 0x544D
VERSION = 1
RECORD_FORMAT = 3
RECORDS, HEARTBEAT, END_OF_SESSION = 1, 2, 3
SIGNAL_TYPE, GAP_TYPE = 0xE0, 0xE1
WARMING_UP, STALE_AFTER_GAP, CROSSED_BOOK, ONE_SIDED_BOOK, FIRST_AFTER_RESET = 1, 2, 4, 8, 16
UNDEFINED_PRICE = 2**63 - 1
TOPIC_LENGTH_MAX = 511
#: Of a whole message, topic included.
MESSAGE_LENGTH_MAX = 65_536
ADDRESS_LENGTH_MAX = 278


class WireError(ValueError):
    """A message is not of this protocol; the text says what is wrong and at which byte."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One message, taken apart; unpacks as topic, header, records. `header` is one element of `HEADER`, `payload` the bytes behind it."""

    topic: str
    header: np.void
    payload: memoryview

    def __iter__(self) -> Iterator:
        return iter((self.topic, self.header, self.records))

    @property
    def records(self) -> np.ndarray:
        """All records as one array, if they are of one type; a heartbeat has none, a mix must be iterated."""
        if self.header["kind"] != RECORDS:
            return np.empty(0, RECORD)
        lengths_and_types = {record[:2].tobytes() for record in iterate(self.payload)}
        if len(lengths_and_types) != 1:
            raise WireError("the packet mixes record types: use iterate() or of_type()")
        return np.frombuffer(self.payload, _dtype(next(iterate(self.payload))))

    def of_type(self, rtype: int) -> np.ndarray:
        """The records of one type that `DTYPES` knows, in order; copied if the packet mixes types."""
        parts = [bytes(record) for record in iterate(self.payload) if record[1] == rtype]
        return np.frombuffer(b"".join(parts), DTYPES[rtype])

    @property
    def address(self) -> str | None:
        """The retransmission address in a heartbeat, or None."""
        if self.header["kind"] != HEARTBEAT:
            return None
        (length,) = struct.unpack_from("<H", self.payload)
        return bytes(self.payload[2:2 + length]).decode() or None


def _dtype(record: memoryview) -> np.dtype:
    dtype = DTYPES.get(record[1])
    if dtype is not None and dtype.itemsize == len(record):
        return dtype
    return np.dtype(_RECORD + [("body", "V", len(record) - 16)]) if len(record) > 16 else RECORD


def iterate(payload) -> Iterator[memoryview]:
    """The records of a payload that `parse` returned, as bytes, one by one."""
    payload = memoryview(payload)
    offset = 0
    while offset < len(payload):
        length = payload[offset] * 4
        yield payload[offset:offset + length]
        offset += length


def view(record: memoryview) -> np.void:
    """One record of `iterate` with its fields by name."""
    return np.frombuffer(record, _dtype(record))[0]


def parse(message) -> Packet:
    """Checks one message (bytes, or a ZeroMQ frame's buffer) and takes it apart; raises `WireError`."""
    message = memoryview(message).cast("B")
    if len(message) > MESSAGE_LENGTH_MAX:
        raise WireError(f"message of {len(message)} bytes; at most {MESSAGE_LENGTH_MAX} are allowed")
    text = bytes(message[:TOPIC_LENGTH_MAX + 1])
    length = text.find(b"\0")
    if length <= 0:
        raise WireError("topic without text" if length == 0 else "topic without NUL, or longer than 511 bytes")
    start = padded_length(length)
    if any(message[length:start]):
        raise WireError(f"topic padding that is not NUL, after byte {length}")
    if len(message) < start + HEADER.itemsize:
        raise WireError(f"message ends inside the header, at byte {len(message)}")
    header = np.frombuffer(message, HEADER, 1, start)[0]
    payload = message[start + HEADER.itemsize:]
    _check_header(header, start)
    if header["kind"] == RECORDS:
        _check_records(payload, int(header["count"]), start + HEADER.itemsize)
    elif header["kind"] == HEARTBEAT:
        _check_address(payload)
    elif len(payload):
        raise WireError("bytes after an end of session")
    try:
        return Packet(text[:length].decode(), header, payload)
    except UnicodeDecodeError as error:
        raise WireError("topic is not UTF-8") from error


def _check_header(header: np.void, start: int) -> None:
    expected = [("magic", MAGIC, 0), ("version", VERSION, 2), ("flags", 0, 6), ("record_format", RECORD_FORMAT, 36)]
    for name, value, offset in expected:
        if header[name] != value:
            raise WireError(f"{name} is {header[name]}, not {value}, at byte {start + offset}")
    if header["kind"] not in (RECORDS, HEARTBEAT, END_OF_SESSION):
        raise WireError(f"unknown kind {header['kind']} at byte {start + 3}")
    if (header["count"] > 0) != (header["kind"] == RECORDS):
        raise WireError(f"count {header['count']} does not suit kind {header['kind']}, at byte {start + 4}")
    if not 0 < int(header["sequence"]) <= 2**64 - 1 - int(header["count"]):
        raise WireError(f"sequence {header['sequence']} at byte {start + 16}")


def _check_records(payload: memoryview, count: int, start: int) -> None:
    offset = 0
    for _ in range(count):
        if offset >= len(payload):
            raise WireError(f"message ends before record {count}, at byte {start + offset}")
        length = payload[offset] * 4
        if length < 16 or length > len(payload) - offset:
            raise WireError(f"record length {length} at byte {start + offset}")
        offset += length
    if offset != len(payload):
        raise WireError(f"bytes after the last record, at byte {start + offset}")


def _check_address(payload: memoryview) -> None:
    length = payload[0] | payload[1] << 8 if len(payload) >= 8 else -1
    text, padding = payload[2:2 + length], payload[2 + length:]
    if not 0 <= length <= ADDRESS_LENGTH_MAX or (length + 9) & ~7 != len(payload) or any(padding) or not all(text):
        raise WireError("heartbeat address that is not its length, text and NULs")
    try:
        bytes(text).decode()
    except UnicodeDecodeError as error:
        raise WireError("heartbeat address is not UTF-8") from error


def padded_length(length: int) -> int:
    """Bytes that a topic of `length` bytes takes in a message."""
    return (length + 8) & ~7


def padded(text: bytes) -> bytes:
    """A topic with its NUL padding."""
    return text + bytes(padded_length(len(text)) - len(text))


def _component(name: str) -> str:
    def escape(character: str) -> str:
        if character in "/%" or ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F:
            return "".join(f"%{byte:02X}" for byte in character.encode())
        return character

    if not name:
        raise WireError("a name in a topic is empty")
    return "".join(escape(character) for character in name) + "/"


def names(topic: str) -> tuple[str, ...] | None:
    """What stands in a topic behind its first component, or None if it is not one that `ticks_topic`, `signals_topic` or
    `definitions_topic` writes: each stream has one spelling."""
    kind, *components = topic.split("/")
    write = {("md", 3): ticks_topic, ("def", 3): definitions_topic, ("sig", 4): signals_topic}.get((kind, len(components)))
    if write is None:
        return None
    try:
        found = tuple(urllib.parse.unquote(component, errors="strict") for component in components[:-1])
        return found if write(*found).decode() == topic else None
    except (UnicodeDecodeError, WireError):
        return None


def ticks_topic(dataset: str, symbol: str) -> bytes:
    return ("md/" + _component(dataset) + _component(symbol)).encode()


def signals_topic(model: str, dataset: str, symbol: str) -> bytes:
    return ("sig/" + _component(model) + _component(dataset) + _component(symbol)).encode()


def definitions_topic(dataset: str, symbol: str) -> bytes:
    return ("def/" + _component(dataset) + _component(symbol)).encode()


def build(
    topic: bytes, records: Iterable[bytes], *, sequence: int, session: int, sent: int, publisher: int,
    kind: int = RECORDS,
) -> bytes:
    """A message, of records unless `kind` says otherwise, for tests and for publishers in Python."""
    records = [bytes(record) for record in records]
    header = np.array(
        (MAGIC, VERSION, kind, len(records), 0, session, sequence, sent, publisher, RECORD_FORMAT, 0, 0), HEADER)
    return padded(topic) + header.tobytes() + b"".join(records)


class SignalDigest:
    """The digest of a run (docs/WIRE.md): add each topic's signal records in sequence order, then `hexdigest`."""

    def __init__(self) -> None:
        self._topics: dict[bytes, "hashlib._Hash"] = {}

    def add(self, topic: bytes | str, records) -> None:
        """Adds a payload, or an array of `SIGNAL`. Records of other types are passed over."""
        topic = topic.encode() if isinstance(topic, str) else topic
        data = records.tobytes() if isinstance(records, np.ndarray) else records
        for record in iterate(data):
            if record[1] == SIGNAL_TYPE:
                self._topics.setdefault(topic, hashlib.sha256()).update(record)

    def digest(self) -> bytes:
        run = hashlib.sha256()
        for topic in sorted(self._topics):
            run.update(padded(topic) + self._topics[topic].digest())
        return run.digest()

    def hexdigest(self) -> str:
        return self.digest().hex()
