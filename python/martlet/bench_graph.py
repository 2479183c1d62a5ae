"""Builds the ONNX graphs of the speed measurements: random weights, whole blocks of which may be zero, in float32 or
int8."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx

from .graph_builder import UNITS_IN_BLOCK, GraphBuilder


@dataclasses.dataclass(frozen=True)
class Variant:
    """How a model's weights are stored. `density` is the share of weights that are not zero, last layer not counted."""

    name: str
    density: float = 1.0
    is_integer: bool = False
    #: Whether a recurrent step of integers is written as MatMul, Sigmoid, Tanh and so on instead of as one LSTM or GRU.
    is_explicit: bool = False

    @property
    def outputs_in_block(self):
        return 8 if self.is_integer else 16

    @property
    def inputs_in_block(self):
        return 4 if self.is_integer else 1


DENSE, BLOCK90 = Variant("dense"), Variant("block90", 0.1)
INT8, INT8_BLOCK90 = Variant("int8", is_integer=True), Variant("int8-block90", 0.1, is_integer=True)
INT8_EXPLICIT = Variant("int8-explicit", is_integer=True, is_explicit=True)

#: Scale and zero point of a quantised activation, by what it is: the features lie within 4 standard deviations, a
#: recurrent layer's output within 1.
ACTIVATIONS = {"features": (4 / 63, 64), "hidden": (1 / 64, 64), "relu": (5 / 127, 0)}


class Graph(GraphBuilder):
    """A graph under construction, with layers of random weights."""

    def __init__(self, name: str, features: int, variant: Variant, seed: int, window: int = 1):
        super().__init__(features, window)
        self.name, self.variant = name, variant
        self.random = np.random.default_rng(seed)
        self.multiply_adds = 0
        self.prunable = self.kept = 0
        self._owed = 0.0

    # Weights

    def weights(self, outputs, inputs, gates=1, gain=1.0, is_last=False):
        """Random weights [gates · outputs, inputs], gates one after the other, with the variant's share of blocks kept.

        Each panel of outputs keeps as many blocks as the next, or one more. What rounding left out is owed to the next
        panel.
        """
        density = 1.0 if is_last else self.variant.density
        deviation = gain / np.sqrt(inputs * density)
        values = self.random.normal(0, deviation, (gates * outputs, inputs))
        if not is_last:
            self.prunable += values.size
            if density < 1:
                values *= self._mask(outputs, inputs, gates)
            self.kept += int(np.count_nonzero(values))
        return values.astype(np.float32)

    def _mask(self, outputs, inputs, gates):
        panel = UNITS_IN_BLOCK if gates > 1 else self.variant.outputs_in_block
        width = self.variant.inputs_in_block
        blocks = -(-inputs // width)
        mask = np.zeros((gates, outputs, blocks), bool)
        for start in range(0, outputs, panel):
            rows = min(panel, outputs - start)
            wanted = self.variant.density * blocks + self._owed / (rows * gates * width)
            kept = min(max(int(wanted + 1e-6), 1), blocks)
            self._owed = (wanted - kept) * rows * gates * width
            mask[:, start:start + rows, self.random.permutation(blocks)[:kept]] = True
        return np.repeat(mask.reshape(gates * outputs, blocks), width, axis=1)[:, :inputs]

    def bias(self, size):
        return self.random.normal(0, 0.1, size)

    # Quantisation

    def quantised(self, value, kind):
        return self.through_codes(value, *ACTIVATIONS[kind])

    def weight(self, values, output_axis, is_per_tensor=False):
        """A constant for weights whose outputs lie along an axis: float, or int8 behind a DequantizeLinear."""
        if not self.variant.is_integer:
            return self.constant(values, "weight")
        return self.integer_weight(values, output_axis, is_per_tensor)

    def layer_input(self, value, kind):
        return self.quantised(value, kind) if self.variant.is_integer else value

    # Layers

    def linear(self, value, kind, inputs, outputs, activation=None, is_last=False, style="Gemm"):
        """A linear layer over the last axis. `kind` says what the input is; see ACTIVATIONS."""
        gain = np.sqrt(2) if activation == "Relu" else 1.0
        weights, bias = self.weights(outputs, inputs, gain=gain, is_last=is_last), self.bias(outputs)
        value = self.layer_input(value, kind)
        self.multiply_adds += inputs * outputs
        if style == "Gemm":
            weight = self.weight(weights, 0, is_per_tensor=is_last)
            value = self.node("Gemm", [value, weight, self.constant(bias, "bias")], transB=1)
        else:
            weight = self.weight(np.ascontiguousarray(weights.T), 1, is_per_tensor=is_last)
            value = self.node("Add", [self.node("MatMul", [value, weight]), self.constant(bias, "bias")])
        return self.node(activation, [value]) if activation else value

    def _recurrent_weights(self, inputs, units, gates, steps=1):
        input_weights = self.weights(units, inputs, gates)
        hidden_weights = self.weights(units, units, gates)
        self.multiply_adds += gates * units * (inputs + units) * steps
        return input_weights, hidden_weights, self.bias(gates * units), self.bias(gates * units)

    def _recurrent_operands(self, value, kind, input_weights, hidden_weights, input_bias, hidden_bias):
        weights = [self.weight(array[None], 1) for array in (input_weights, hidden_weights)]
        bias = self.constant(np.concatenate([input_bias, hidden_bias])[None], "bias")
        return [self.layer_input(value, kind), *weights, bias]

    def _product(self, value, kind, weights, bias):
        weight = self.weight(np.ascontiguousarray(weights.T), 1)
        value = self.node("MatMul", [self.quantised(value, kind), weight])
        return self.node("Add", [value, self.constant(bias, "bias")])

    def lstm(self, value, kind, inputs, units, name, steps=1, has_state=True):
        """Gates in ONNX's order i, o, f, c. Over several steps the result is the sequence [steps, 1, units]."""
        input_weights, hidden_weights, input_bias, hidden_bias = self._recurrent_weights(inputs, units, 4, steps)
        shape = [1, 1, units]
        if self.variant.is_explicit:
            return self._lstm_step(value, kind, input_weights, hidden_weights, input_bias + hidden_bias, name)
        operands = self._recurrent_operands(value, kind, input_weights, hidden_weights, input_bias, hidden_bias)
        if has_state:
            hidden = self.layer_input(self.state(name, shape), "hidden")
            operands += ["", hidden, self.state(f"{name}_cell", shape)]
        sequence, last, cell = self.node("LSTM", operands, outputs=3, hidden_size=units)
        if not has_state:
            return self.reshape(sequence, steps, 1, units)
        self.next_state(name, last, shape)
        self.next_state(f"{name}_cell", cell, shape)
        return last

    def _lstm_step(self, value, kind, input_weights, hidden_weights, bias, name):
        shape = [1, 1, len(bias) // 4]
        hidden, cell = self.state(name, shape), self.state(f"{name}_cell", shape)
        ahead = self._product(hidden, "hidden", hidden_weights, bias)
        weight = self.weight(np.ascontiguousarray(input_weights.T), 1)
        sums = self.node("Add", [self.node("MatMul", [self.quantised(value, kind), weight]), ahead])
        enter, leave, keep, candidate = self.node("Split", [sums], outputs=4, axis=-1)
        enter, leave, keep = (self.node("Sigmoid", [gate]) for gate in (enter, leave, keep))
        entered = self.node("Mul", [enter, self.node("Tanh", [candidate])])
        cell = self.node("Add", [self.node("Mul", [keep, cell]), entered])
        hidden = self.node("Mul", [leave, self.node("Tanh", [cell])])
        self.next_state(name, hidden, shape)
        self.next_state(f"{name}_cell", cell, shape)
        return hidden

    def gru(self, value, kind, inputs, units, name):
        """One step; gates in ONNX's order z, r, h; linear before reset."""
        input_weights, hidden_weights, input_bias, hidden_bias = self._recurrent_weights(inputs, units, 3)
        shape = [1, 1, units]
        hidden = self.state(name, shape)
        if self.variant.is_explicit:
            last = self._gru_step(value, kind, hidden, input_weights, hidden_weights, input_bias, hidden_bias)
        else:
            operands = self._recurrent_operands(value, kind, input_weights, hidden_weights, input_bias, hidden_bias)
            _, last = self.node(
                "GRU", [*operands, "", self.layer_input(hidden, "hidden")], outputs=2, hidden_size=units,
                linear_before_reset=1)
        self.next_state(name, last, shape)
        return last

    def _gru_step(self, value, kind, hidden, input_weights, hidden_weights, input_bias, hidden_bias):
        ahead = self._product(hidden, "hidden", hidden_weights, hidden_bias)
        sums = self._product(value, kind, input_weights, input_bias)
        return self.gru_gates(sums, ahead, hidden)

    def convolution(self, value, kind, inputs, outputs, kernel, positions, gain=np.sqrt(2), **attributes):
        """A convolution at so many positions. A block is some outputs by neighbouring channels of one tap."""
        taps = int(np.prod(kernel))
        weights = self.weights(outputs, taps * inputs, gain=gain).reshape(outputs, taps, inputs)
        weights = np.ascontiguousarray(weights.transpose(0, 2, 1)).reshape(outputs, inputs, *kernel)
        self.multiply_adds += weights.size * positions
        operands = [self.layer_input(value, kind), self.weight(weights, 0), self.constant(self.bias(outputs), "bias")]
        return self.node("Conv", operands, kernel_shape=list(kernel), **attributes)

    def head(self, value, kind, inputs):
        """The last layer and the probabilities of one horizon."""
        self.probabilities(self.linear(self.reshape(value, 1, inputs), kind, inputs, 3, is_last=True))

    def probabilities(self, logits):
        shaped = self.reshape(logits, 1, 1, 3)
        self.output(self.node("Softmax", [shaped], axis=-1), "probabilities", [1, 1, 3])

    @property
    def density(self) -> float:
        return self.kept / self.prunable if self.prunable else 1.0

    def model(self) -> onnx.ModelProto:
        return self.finished({
            "contract_version": 1, "feature_set_version": 1, "warm_up_ticks": self.window - 1,
            "feature_names": [f"f{number}" for number in range(self.features)], "name": self.name,
            "horizons": [{"length": 10, "unit": "ticks", "label": "smoothed-mid", "alpha": 1e-5}],
            "density": round(self.density, 6), "precision": "int8" if self.variant.is_integer else "fp32",
        })
