"""A signal processor as one would write it today: pyzmq, NumPy features, ONNX Runtime. Martlet is measured against it.

It takes the same packets, computes the same features (docs/FEATURES.md) and runs the same model, and publishes the same
signal records; the last bits differ, because it uses NumPy's logarithm and adds decayed sums in another order. Everything
that can be is done for all ticks of a packet at once. It takes feeds whose ticks end with `F_LAST`, from a lossless publisher.

    python -m martlet.peer --input tcp://127.0.0.1:5556 --output tcp://127.0.0.1:5557 --model models/default.onnx
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pathlib
import resource
import struct
import sys
import time

import numpy as np
import onnxruntime
import zmq

from . import features as definition
from . import wire
from .peer_features import MBP_1, MBP_10, TRADE, BatchFeatures, Records

f32 = np.float32
HEADER = struct.Struct("<HBBHHQQQIBBH")
STATUS = 0x12
HALTED, TRADING = (8, 9, 10), 7
NANOSECONDS_PER_DAY = 86_400 * 10**9
FIRST_AFTER_RESET = 16
HIGH_WATER_MARK = 16_384
BYTES_AT_ONCE = 32 << 10
#: In one message, which has at most 65,536 bytes.
SIGNALS_AT_ONCE = 512


class Model:
    """The ONNX file in ONNX Runtime on one thread, tick by tick; buffers are bound once, and two take turns as states."""

    def __init__(self, path: str):
        data = pathlib.Path(path).read_bytes()
        self.id = int.from_bytes(hashlib.sha256(data).digest()[:8], "little")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.metadata = {key.removeprefix("martlet."): json.loads(value) for key, value in metadata.items()}
        if self.metadata["feature_set_version"] != definition.VERSION:
            raise ValueError(f"{path}: feature set {self.metadata['feature_set_version']}, not {definition.VERSION}")
        names = definition.names()
        chosen = [names.index(name) for name in self.metadata["feature_names"]]
        self.columns = None if chosen == list(range(len(names))) else np.array(chosen)
        self.horizons = self.metadata["horizons"]
        self.states = {i.name: i.shape for i in self.session.get_inputs() if i.name.startswith("state_")}

    def stream(self) -> "ModelStream":
        return ModelStream(self)


class ModelStream:
    """One instrument's state in a model."""

    def __init__(self, model: Model):
        self.model = model
        shapes = {name: tuple(extent if isinstance(extent, int) else 1 for extent in shape)
                  for name, shape in model.states.items()}
        self.states = [{name: np.zeros(shape, f32) for name, shape in shapes.items()} for _ in range(2)]
        count = len(model.metadata["feature_names"])
        self.input = np.zeros((1, 1, count), f32)
        self.output = np.zeros((1, len(model.horizons), 3), f32)
        self.bindings = [self._bind(self.states[turn], self.states[1 - turn]) for turn in range(2)]
        self.turn = 0

    def _bind(self, states, next_states):
        binding = self.model.session.io_binding()

        def bind(how, name, array):
            how(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

        bind(binding.bind_input, "features", self.input)
        bind(binding.bind_output, "probabilities", self.output)
        for name, array in states.items():
            bind(binding.bind_input, name, array)
            bind(binding.bind_output, f"{name}_next", next_states[name])
        return binding

    def reset(self) -> None:
        for states in self.states:
            for array in states.values():
                array[...] = 0

    def run(self, features: np.ndarray) -> np.ndarray:
        """Probabilities [T, H, 3] of T ticks."""
        if self.model.columns is not None:
            features = features[:, self.model.columns]
        result = np.empty((len(features), *self.output.shape[1:]), f32)
        run, row, out = self.model.session.run_with_iobinding, self.input[0, 0], self.output[0]
        for index in range(len(features)):
            row[:] = features[index]
            run(self.bindings[self.turn])
            self.turn = 1 - self.turn
            result[index] = out
        return result


class Instrument:
    """One input topic: what its packets become."""

    def __init__(self, model: Model, tick_size: int):
        self.features = BatchFeatures(tick_size)
        self.stream = model.stream()
        self.warm_up = model.metadata["warm_up_ticks"]
        self.session = 0
        self.ticks = 0  # Since the last reset.
        self.day = 0  # Of the last record.
        self.is_halted = False
        self.rest = b""  # Records of a tick that has not ended, and their sequences.
        self.rest_sequences = np.zeros(0, np.int64)
        units = {"ticks": 0, "milliseconds": 1}
        self.template = np.zeros(len(model.horizons), wire.SIGNAL)
        self.template["length"], self.template["rtype"] = wire.SIGNAL.itemsize // 4, wire.SIGNAL_TYPE
        self.template["model_id"] = model.id
        self.template["horizon"] = [horizon["length"] for horizon in model.horizons]
        self.template["horizon_unit"] = [units[horizon["unit"]] for horizon in model.horizons]
        for name in wire.SIGNAL.names:
            if wire.SIGNAL[name].kind == "f":
                self.template[name] = np.nan

    def reset(self) -> None:
        self.features.reset()
        self.stream.reset()
        self.ticks = 0

    def process(self, payload: bytes, session: int, sequence: int) -> np.ndarray:
        """Signal records of the ticks that end in a packet."""
        if session != self.session:
            if self.session:
                self.reset()
            self.session, self.rest, self.rest_sequences = session, b"", self.rest_sequences[:0]
        payload = self.rest + payload
        offsets, offset = [], 0
        while offset < len(payload):
            offsets.append(offset)
            offset += payload[offset] * 4
        offsets = np.array(offsets)
        news = len(offsets) - len(self.rest_sequences)
        sequences = np.concatenate([self.rest_sequences, np.arange(sequence, sequence + news)])
        types = np.frombuffer(payload, "u1")[offsets + 1]
        days = np.frombuffer(payload, "<i8")[(offsets >> 3) + 4] // NANOSECONDS_PER_DAY
        if ((types == MBP_10) | (types == TRADE) | (types == MBP_1)).all() and (days == self.day).all():
            return self._segment(payload, offsets, sequences)
        return self._with_resets(payload, offsets, sequences, types, days)

    def _with_resets(self, payload, offsets, sequences, types, days) -> np.ndarray:
        """The same where a new day or the end of a halt may stand between two records; other records are passed over."""
        segment, parts = [], []

        def flush(is_last):
            parts.append(self._segment(payload, offsets[segment], sequences[segment]))
            segment.clear()
            if not is_last:
                self.reset()

        for index, rtype in enumerate(types):
            if rtype in (TRADE, MBP_1, MBP_10):
                if 0 < self.day < days[index]:
                    flush(False)
                self.day = days[index]
                segment.append(index)
            elif rtype == STATUS:
                action = int.from_bytes(payload[offsets[index] + 24:offsets[index] + 26], "little")
                if action == TRADING and self.is_halted:
                    flush(False)
                # Quoting and auctions between a halt and the next trading belong to the halt.
                self.is_halted = action in HALTED or self.is_halted and action != TRADING
        flush(True)
        return np.concatenate(parts)

    def _segment(self, payload, offsets, sequences) -> np.ndarray:
        """Ticks without a reset among them. Records behind the last whole tick wait for the next packet."""
        last = np.flatnonzero(np.frombuffer(payload, "u1")[offsets + 30] & definition.F_LAST)
        end = last[-1] + 1 if len(last) else 0
        self.rest = b"".join(payload[at:at + payload[at] * 4] for at in offsets[end:])
        self.rest_sequences = sequences[end:]
        if end == 0:
            return self.template[:0]
        return self._signals(Records(payload, offsets[:end]), last, sequences[last])

    def _signals(self, records: Records, ends: np.ndarray, sequences: np.ndarray) -> np.ndarray:
        features, doubled, known = self.features.compute(records, ends)
        probabilities = self.stream.run(features)
        last = records.common[ends]
        signals = np.tile(self.template, (len(ends), 1))
        for name, source in [("publisher_id", "publisher_id"), ("instrument_id", "instrument_id"),
                             ("ts_event", "ts_event"), ("ts_recv", "ts_recv")]:
            signals[name] = last[source][:, None]
        signals["input_sequence"] = sequences[:, None]
        signals["mid_price"] = np.where(known, doubled >> 1, wire.UNDEFINED_PRICE)[:, None]
        number = self.ticks + 1 + np.arange(len(ends))
        flags = np.where(number <= self.warm_up, wire.WARMING_UP, 0) | np.where(number == 1, FIRST_AFTER_RESET, 0)
        flags |= np.where(known, np.where(features[:, 40] <= 0, wire.CROSSED_BOOK, 0), wire.ONE_SIDED_BOOK)
        signals["flags"] = flags[:, None]
        self.ticks += len(ends)
        names = ("probability_down", "probability_flat", "probability_up")
        for index, name in enumerate(names):
            signals[name] = np.where(known[:, None], probabilities[:, :, index], f32(np.nan))
        direction = np.array([0, -1, 1])[np.argmax(probabilities[:, :, [1, 0, 2]], axis=2)]
        signals["direction"] = np.where(known[:, None], direction, 0)
        return signals.reshape(-1)


class Processor:
    """Messages in, messages out."""

    def __init__(self, model: Model, name: str):
        self.model, self.name = model, name
        self.instruments: dict[bytes, Instrument] = {}
        self.outputs: dict[bytes, list] = {}
        self.ticks = self.ended = self.lost = 0
        self.expected: dict[bytes, int] = {}
        self.session = time.time_ns()

    def process(self, messages: list[bytes]) -> list[bytes]:
        """What to publish for these messages: what follows within one stream is handled at once."""
        replies, payloads = [], []
        open_key = open_session = first = None
        for message in messages:
            length = message.index(0)
            topic, start = message[:length], wire.padded_length(length)
            if topic.startswith(b"def/"):
                self._define(topic, message)
                continue
            _, _, kind, count, _, session, sequence, *_ = HEADER.unpack_from(message, start)
            key = topic[3:]
            self.lost += max(0, sequence - self.expected.get(key, 1))
            follows = kind == wire.RECORDS and key == open_key and session == open_session
            if payloads and not (follows and sequence == self.expected[key]):
                self._flush(replies, payloads, open_key, open_session, first)
            self.expected[key] = sequence + count
            if kind == wire.END_OF_SESSION:
                self.ended += 1
                replies.append(self._message(key, b"", 0, wire.END_OF_SESSION))
            elif kind == wire.RECORDS:
                if not payloads:
                    open_key, open_session, first = key, session, sequence
                payloads.append(message[start + HEADER.size:])
        if payloads:
            self._flush(replies, payloads, open_key, open_session, first)
        return replies

    def _flush(self, replies, payloads, key, session, sequence) -> None:
        instrument = self.instruments.get(key)
        if instrument is not None:
            signals = instrument.process(b"".join(payloads), session, sequence)
            self.ticks += len(signals) // len(self.model.horizons)
            most = SIGNALS_AT_ONCE // len(self.model.horizons) * len(self.model.horizons)
            for begin in range(0, len(signals), most):
                part = signals[begin:begin + most]
                replies.append(self._message(key, part.tobytes(), len(part), wire.RECORDS))
        payloads.clear()

    def _define(self, topic: bytes, message: bytes) -> None:
        if topic[4:] not in self.instruments:
            for record in wire.parse(message).of_type(0x13):
                self.instruments[topic[4:]] = Instrument(self.model, int(record["min_price_increment"]))

    def _message(self, key: bytes, payload: bytes, count: int, kind: int) -> bytes:
        output = self.outputs.get(key)
        if output is None:
            output = self.outputs[key] = [wire.padded(f"sig/{self.name}/".encode() + key), 1]
        header = HEADER.pack(
            wire.MAGIC, wire.VERSION, kind, count, 0, self.session, output[1], time.time_ns(), 1, wire.RECORD_FORMAT, 0, 0)
        output[1] += count
        return output[0] + header + payload


def serve(options) -> dict:
    """Runs until as many streams as `options.streams` have ended; what was measured."""
    processor = Processor(Model(options.model), pathlib.Path(options.model).stem)
    with zmq.Context() as context, context.socket(zmq.XPUB) as output, context.socket(zmq.SUB) as source:
        output.set(zmq.XPUB_NODROP, 1)
        for socket in (output, source):
            socket.set(zmq.SNDHWM, HIGH_WATER_MARK)
            socket.set(zmq.RCVHWM, HIGH_WATER_MARK)
        output.set(zmq.LINGER, 60_000)  # Everything is delivered.
        source.set(zmq.LINGER, 0)
        output.bind(options.output)
        if options.json:
            print(json.dumps({"endpoint": output.get_string(zmq.LAST_ENDPOINT).rstrip("\0")}), flush=True)
        output.recv()  # The first subscription.
        source.subscribe(b"def/")
        source.subscribe(b"md/")
        source.connect(options.input)
        start = None
        while processor.ended < options.streams:
            messages = [source.recv()]
            if start is None:
                start, usage = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
            try:  # What else is there, so that short messages are not handled one by one.
                byte_count = len(messages[0])
                while byte_count < BYTES_AT_ONCE:
                    messages.append(source.recv(zmq.NOBLOCK))
                    byte_count += len(messages[-1])
            except zmq.Again:
                pass
            for reply in processor.process(messages):
                output.send(reply)
        seconds = time.perf_counter() - start
    end = resource.getrusage(resource.RUSAGE_SELF)
    cpu = end.ru_utime + end.ru_stime - usage.ru_utime - usage.ru_stime
    return {"cpuSeconds": cpu, "lost": processor.lost, "seconds": seconds, "ticks": processor.ticks}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", default="tcp://127.0.0.1:5556", help="where ticks come from")
    parser.add_argument("--output", default="tcp://127.0.0.1:5557", help="where signals go, bound")
    parser.add_argument("--model", default="models/default.onnx")
    parser.add_argument("--streams", type=int, default=1, help="end when so many streams have ended their session")
    parser.add_argument("--json", action="store_true", help="say the endpoint and the result as JSON, one object a line")
    options = parser.parse_args()
    result = serve(options)
    if options.json:
        print(json.dumps(result), flush=True)
    else:
        rate = result["ticks"] / max(result["seconds"], 1e-9)
        print(f"{result['ticks']} ticks, {rate:.0f} ticks/s, {result['lost']} lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
