"""Writes a trained network with its heads as one ONNX file by the model contract (docs/MODEL.md), and runs such
files."""

from __future__ import annotations

import pathlib

import numpy as np
import onnx

from .. import bench_models, integer_reference
from ..graph_builder import GraphBuilder
from .pruning import density
from .quantization import HIDDEN, Ranges, codes_of

#: How far ONNX Runtime may be from the training code.
TOLERANCE = 1e-5


class ModelBuilder(GraphBuilder):
    """Layers with trained weights: floats, or integer products where there are ranges."""

    def __init__(self, features: int, window: int, ranges: Ranges | None):
        super().__init__(features, window)
        self.ranges = ranges

    def _product_input(self, name, value):
        return value if self.ranges is None else self.through_codes(value, *codes_of(*self.ranges[name]))

    def _state_input(self, value):
        return value if self.ranges is None else self.through_codes(value, *HIDDEN)

    def weight(self, array, output_axis):
        array = np.asarray(array, np.float32)
        return self.constant(array, "weight") if self.ranges is None else self.integer_weight(array, output_axis)

    def _product(self, name, value, weight, bias):
        sums = self.node("MatMul", [value, self.weight(np.ascontiguousarray(weight), 1)], layer=name)
        return self.node("Add", [sums, self.constant(np.asarray(bias), "bias")])

    def linear(self, name, value, weight, bias):
        """x · weight + bias with a weight [inputs, outputs]."""
        return self._product(name, self._product_input(name, value), weight, bias)

    def last(self, name, value, weight, bias):
        """The same in floats: the error of a last layer goes straight into the outputs."""
        sums = self.node("MatMul", [value, self.constant(np.asarray(weight), "weight")], layer=name)
        return self.node("Add", [sums, self.constant(np.asarray(bias), "bias")])

    def convolution(self, name, value, weight, bias, **attributes):
        operands = [self._product_input(name, value), self.weight(weight, 0), self.constant(np.asarray(bias), "bias")]
        return self.node("Conv", operands, layer=name, kernel_shape=list(np.shape(weight)[2:]), **attributes)

    def _operands(self, name, value, weight, recurrence, bias, recurrent_bias):
        weights = [self.weight(np.asarray(array)[None], 1) for array in (weight, recurrence)]
        biases = np.concatenate([np.asarray(bias), np.asarray(recurrent_bias)])[None]
        return [self._product_input(name, value), *weights, self.constant(biases, "bias")]

    def lstm(self, name, value, weight, recurrence, bias, recurrent_bias, steps=1):
        """One step with its state, or several from zeros, of which the last counts: [1, 1, units]."""
        operands, units = self._operands(name, value, weight, recurrence, bias, recurrent_bias), np.shape(recurrence)[1]
        if steps > 1:
            return self.node("LSTM", operands, outputs=2, layer=name, hidden_size=units)[1]
        shape = [1, 1, units]
        hidden, cell = self._state_input(self.state(name, shape)), self.state(f"{name}_cell", shape)
        _, last, next_cell = self.node("LSTM", [*operands, "", hidden, cell], outputs=3, layer=name, hidden_size=units)
        self.next_state(name, last, shape)
        self.next_state(f"{name}_cell", next_cell, shape)
        return last

    def gru(self, name, value, weight, recurrence, bias, recurrent_bias, keeps_float_state):
        shape = [1, 1, np.shape(recurrence)[1]]
        hidden = self.state(name, shape)
        if self.ranges is not None and keeps_float_state:
            last = self._gru_step(name, value, hidden, weight, recurrence, bias, recurrent_bias)
        else:
            operands = self._operands(name, value, weight, recurrence, bias, recurrent_bias)
            operands += ["", self._state_input(hidden)]
            _, last = self.node(
                "GRU", operands, outputs=2, layer=name, hidden_size=shape[2], linear_before_reset=1)
        self.next_state(name, last, shape)
        return last

    def _gru_step(self, name, value, hidden, weight, recurrence, bias, recurrent_bias):
        """A step as single operators, of which only the products read codes."""
        ahead = self._product(f"{name}_state", self._state_input(hidden), np.asarray(recurrence).T, recurrent_bias)
        sums = self._product(name, self._product_input(name, value), np.asarray(weight).T, bias)
        return self.gru_gates(sums, ahead, hidden)


def normalised(features: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(features − mean) · scale to the bit as the engine has it before a quantised layer: one fused multiply-add, so
    that no value that is trained on stands on the other side of a rounding edge."""
    offset = (-mean.astype(np.float64) * scale.astype(np.float64)).astype(np.float32)
    return integer_reference.fma32(features, scale, offset)


def to_onnx(network, heads, weights: dict, mean: np.ndarray, scale: np.ndarray, metadata: dict,
            ranges: Ranges | None = None, limit: float | None = None) -> onnx.ModelProto:
    """The model: mean and scale (which multiplies), network, heads. `metadata` as docs/MODEL.md has it, without
    `martlet.`; density and precision are filled in. With `ranges` the network is one of integer products. Normalised
    features are cut off at ±`limit`, where there is one."""
    if ranges is not None and not network.is_quantizable:
        raise ValueError(
            f"{type(network).__name__} is not trained quantised; `martlet model quantize` quantises its file")
    builder = ModelBuilder(len(mean), network.exported_window(ranges is not None), ranges)
    value = builder.node("Sub", ["features", builder.constant(mean, "mean")])
    value = builder.node("Mul", [value, builder.constant(scale, "scale")])
    if limit is not None:
        bounds = [builder.constant(np.float32(bound), "limit") for bound in (-limit, limit)]
        value = builder.node("Clip", [value, *bounds])
    heads.nodes(builder, weights, network.nodes(builder, weights, value))
    # Outputs before next states, as in the contract's list.
    builder.outputs.sort(key=lambda output: output.name.startswith("state_"))
    return builder.finished(metadata | {
        "density": round(density(weights, network.prunable), 6), "precision": "fp32" if ranges is None else "int8"})


def save(model: onnx.ModelProto, path: pathlib.Path) -> None:
    """Writes the file; the same model gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def run(model: onnx.ModelProto, features: np.ndarray, reset: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs [N, …] of a model for one stream of raw features, tick by tick: of float models by ONNX Runtime, of
    quantised ones by the integer reference. The first ticks after a reset that do not fill a window are NaN."""
    is_integer = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    starts = np.flatnonzero(np.asarray(reset) != 0)
    starts = np.union1d(starts, [0])
    outputs: dict[str, np.ndarray] = {}
    for first, end in zip(starts, [*starts[1:], len(features)]):
        rows = features[first:end]
        found = integer_reference.run(model, rows) if is_integer else bench_models.run(model, rows)[0]
        for name, value in found.items():
            if name.startswith("state_"):
                continue
            if name not in outputs:
                outputs[name] = np.full((len(features), *value.shape[1:]), np.nan, np.float32)
            outputs[name][end - len(value):end] = value
    return outputs


def check(model: onnx.ModelProto, expected: dict[str, np.ndarray], features: np.ndarray, reset: np.ndarray) -> float:
    """The largest difference of a float model's outputs from those of the training code, relative to values above 1 and
    to the largest of an output that stays below, such as a return; over ticks where both are defined. Refuses one above
    `TOLERANCE`."""
    found, largest = run(model, features, reset), 0.0
    for name, value in expected.items():
        size = np.abs(found[name])
        unit = min(np.nanmax(size, initial=np.finfo(np.float32).tiny), 1)
        distance = np.abs(found[name] - value[:len(features)]) / np.maximum(unit, size)
        if np.isfinite(distance).any():
            largest = max(largest, float(np.nanmax(distance)))
    if not largest <= TOLERANCE:
        raise ValueError(f"ONNX Runtime differs from the training code by {largest:.2g}, more than {TOLERANCE}")
    return largest
