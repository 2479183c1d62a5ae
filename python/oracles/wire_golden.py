"""Writes Tests/WireTests/Golden/wire.json: messages in hexadecimal, packed here by hand with `struct`.

Independent of both readers: it shares no layout with the Swift structures or the NumPy dtypes. `--check` compares.
"""

import hashlib
import json
import pathlib
import struct
import sys

PATH = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "WireTests" / "Golden" / "wire.json"
NAN = struct.unpack("<f", struct.pack("<I", 0x7FC00000))[0]


def header(kind, count, sequence):
    return struct.pack("<2sBBHHQQQIBBH", b"MT", 1, kind, count, 0, 1_700_000_000_000_000_000, sequence,
                       1_700_000_000_123_456_789, 7, 3, 0, 0)


def padded(topic):
    return topic + b"\0" * (8 - len(topic) % 8)


def signal(sequence, horizon, direction, down, flat, up):
    return struct.pack("<BBHIQQQ8sIBbH13fIq", 28, 0xE0, 2, 1001, 1_700_000_000_000_000_100, 1_700_000_000_000_000_200,
                       sequence, bytes(range(0xA0, 0xA8)), horizon, 0, direction, 5, down, flat, up,
                       *[NAN] * 9, 0.5, 0, 100_005_000_000)


def gap():
    return struct.pack("<BBHIQQQIBBHQ", 12, 0xE1, 2, 1001, 1_700_000_000_000_000_100, 1_699_999_999_000_000_000, 43, 17,
                       1, 0, 0, 0)


def trade():
    return struct.pack("<BBHIQqI1s1sBBQiI", 12, 0x00, 2, 1001, 1_700_000_000_000_000_300, 100_010_000_000, 12, b"T", b"B",
                       128, 0, 1_700_000_000_000_000_400, 100, 99)


def schema(name):
    return struct.pack("<BBHIQ303sB", 80, 0x17, 2, 1001, 1_700_000_000_000_000_300, b"schema=" + name, 255)


def heartbeat(address):
    payload = struct.pack("<H", len(address)) + address
    return payload + b"\0" * (-len(payload) % 8)


def golden():
    signals_topic = padded(b"sig/default/XNAS.ITCH/BRK.B/")
    ticks_topic = padded(b"md/XNAS.ITCH/BRK%2FB/")
    first, second = signal(42, 10, 1, 0.125, 0.25, 0.625), signal(42, 20, 0, 0.25, 0.5, 0.25)
    digests = {b"sig/default/XNAS.ITCH/BRK.B/": first + second, b"sig/default/XNAS.ITCH/A/": second}
    run = b"".join(padded(topic) + hashlib.sha256(data).digest() for topic, data in sorted(digests.items()))
    request = struct.pack("<2sBBHHQQQII", b"MR", 1, 1, 21, 0, 77, 1_700_000_000_000_000_000, 43, 17, 0) + ticks_topic
    response = struct.pack("<2sBBHHQQQQ", b"MR", 1, 2, 1, 3, 77, 1_700_000_000_000_000_000, 11, 99)
    return {
        "signal": first.hex(),
        "signal_second_horizon": second.hex(),
        "gap": gap().hex(),
        "trade": trade().hex(),
        "schema_trades": schema(b"trades").hex(),
        "schema_mixed": schema(b"mixed").hex(),
        "header": header(1, 3, 42).hex(),
        "signals_message": (signals_topic + header(1, 3, 42) + first + second + gap()).hex(),
        "ticks_message": (ticks_topic + header(1, 1, 7) + trade()).hex(),
        "heartbeat_message": (ticks_topic + header(2, 0, 8) + heartbeat(b"tcp://127.0.0.1:5557")).hex(),
        "heartbeat_without_address": (ticks_topic + header(2, 0, 8) + heartbeat(b"")).hex(),
        "end_message": (ticks_topic + header(3, 0, 8)).hex(),
        "request": request.hex(),
        "response": response.hex(),
        "digest_of_run": hashlib.sha256(run).hexdigest(),
        "topics": {
            "plain": ["md", "", "XNAS.ITCH", "BRK.B", b"md/XNAS.ITCH/BRK.B/".hex()],
            "escaped": ["sig", "a/b", "100%", "\u0001é\u0085", b"sig/a%2Fb/100%25/%01\xc3\xa9%C2%85/".hex()],
            "definitions": ["def", "", "BINANCE", "BTCUSDT", b"def/BINANCE/BTCUSDT/".hex()],
        },
    }


def main():
    text = json.dumps(golden(), indent=1) + "\n"
    if "--check" in sys.argv:
        sys.exit(0 if PATH.read_text() == text else "wire.json differs from wire_golden.py")
    PATH.write_text(text)


if __name__ == "__main__":
    main()
