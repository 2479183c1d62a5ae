"""The integer reference: what a quantised model gives, to the bit, without any runtime.

A MatMul, Gemm or Conv whose two operands come from DequantizeLinear is computed in whole numbers, if the weight is a constant
within 255 of its zero point, and the other one, perhaps through paddings with zeros and changes of layout, 8 bits that a
QuantizeLinear of the same scale and zero point made:
acc = Σ (q - zero) · (weight - zero), then float32(acc) · float32(scale · weight's scale), then + bias, each rounded once. So are
the products of an LSTM's or a GRU's input and previous state. A MatMul, Gemm or recurrent product in floats is summed in the
engine's chains, and a chain of Add, Sub, Mul and Div with constants is the engine's one fused multiply-add. The gates, Sigmoid,
Tanh and Softmax are the engine's own functions, repeated to the bit; every other operator is one float32 operation of NumPy per
element. An operator that is not listed here is refused by name.

    python -m martlet.integer_reference MODEL --data DIR

reads features.npy [ticks, F] in DIR, steps the model from a state of zeros and writes each output, NAME.npy, and each last
state, state_NAME_next.npy, to DIR/integer.
"""

from __future__ import annotations

import argparse
import collections
import pathlib

import numpy as np
import onnx
from onnx import helper, numpy_helper

# Sources/Inference/FunctionsConstants.swift.
GATE_A = (2.8854082, 0.11523607)
FRACTION_A = (2.88539, 0.11552396, -0.0009204538)
GATE_SIGMOID_LIMIT, GATE_TANH_LIMIT, SIGMOID_LIMIT = 18.0, 9.0, 86.5
EXP_LIMIT = -87.0
ROUNDING_MAGIC = 12_582_912.0
LOG2_E, TWO_LOG2_E = 1.44269504088896341, 2.88539008177792681
LN2_HIGH, LN2_LOW = 0.693145751953125, 1.42860682030941723e-6
EXP_C = (1.0, 1.0, 0.49999994, 0.1666652, 0.041668393, 0.008368781, 0.0013814467)
EXP_LOW = -104.0
AREA_C = (0.33333206, 0.2001085, 0.13999571, 0.1401223)
#: Operators that only say where elements are: through them quantised values stay such.
LAYOUT = {"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Slice", "Split"}
#: The greatest difference of a weight from its zero point that is multiplied in whole numbers.
WEIGHT_MAX = 255
#: The greatest offset of a map that is merged with another one: a greater one rounds what it is added to.
MERGED_OFFSET_MAX = 1_048_576.0
#: The largest part of a folded offset.
FOLDED_OFFSET_MAX = 32.0


def fma32(a, b, c) -> np.ndarray:
    """a · b + c of float32 arrays, rounded once.

    The product is exact in float64. The sum is rounded to odd there: if it is inexact and its last bit is 0, it moves one
    unit towards the exact sum. Then rounding to float32 cannot meet a tie that the exact sum does not have.
    """
    a, b, c = (np.asarray(value, np.float32).astype(np.float64) for value in (a, b, c))
    with np.errstate(invalid="ignore"):
        product = a * b
        total = np.asarray(product + c)
        part = total - product
        error = (product - (total - part)) + (c - part)
        is_even = (total.view(np.int64) & 1) == 0
        moves = np.isfinite(total) & (error != 0) & is_even
        odd = np.where(moves, np.nextafter(total, np.copysign(np.inf, error)), total)
    with np.errstate(over="ignore"):
        return odd.astype(np.float32)


def polynomial(coefficients, x) -> np.ndarray:
    """Horner's rule with fused multiply-adds; the lowest power first."""
    value = np.float32(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = fma32(x, value, np.float32(coefficient))
    return value


def fraction(value, limit, scale, coefficients):
    """2^(x · scale) as 2^n · (A(r²) + r) / (A(r²) - r): A(r²), r, and where the low bits hold n."""
    limit, scale, magic = np.float32(limit), np.float32(scale), np.float32(ROUNDING_MAGIC)
    x = np.clip(np.asarray(value, np.float32), -limit, limit)
    shifted = fma32(x, scale, magic)
    r = fma32(x, scale, magic - shifted)
    return polynomial(coefficients, r * r), r, shifted.view(np.int32)


def power_of_two(bits):
    return ((bits << 23) + np.int32(127 << 23)).view(np.float32)


def tanh(value) -> np.ndarray:
    a, r, bits = fraction(value, GATE_TANH_LIMIT, TWO_LOG2_E, FRACTION_A)
    power = power_of_two(bits)
    difference, total = power - np.float32(1), power + np.float32(1)
    return fma32(a, difference, r * total) / fma32(a, total, r * difference)


def sigmoid(value) -> np.ndarray:
    a, r, bits = fraction(value, SIGMOID_LIMIT, LOG2_E, FRACTION_A)
    raised = (a + r) * power_of_two(bits)
    return raised / (raised + (a - r))


def gate(value, limit, scale):
    """A gate's function as a fraction, so that gates share a division: denominator and numerator of e^x."""
    a, r, bits = fraction(value, limit, scale, GATE_A)
    return a - r, ((a + r).view(np.int32) + (bits << 23)).view(np.float32)


def gate_sigmoid(value):
    return gate(value, GATE_SIGMOID_LIMIT, LOG2_E)


def gate_tanh(value):
    return gate(value, GATE_TANH_LIMIT, TWO_LOG2_E)


def gru_step(inputs, hidden_sums, hidden):
    """The new state with linear_before_reset = 1, from the sums [3, units] of update, reset and candidate."""
    low, high = gate_sigmoid(inputs[1] + hidden_sums[1])
    part = high * hidden_sums[2] / (low + high)
    return mixed(gate_sigmoid(inputs[0] + hidden_sums[0]), gate_tanh(inputs[2] + part), hidden)


def mixed(update, candidate, hidden):
    whole = candidate[0] + candidate[1]
    kept = update[1] * hidden
    numerator = fma32(kept, whole, update[0] * (candidate[1] - candidate[0]))
    return numerator / ((update[0] + update[1]) * whole)


def lstm_step(sums, cell):
    """The new state and cell from the sums [4, units] of input, output, forget and candidate."""
    enter, forget, candidate = gate_sigmoid(sums[0]), gate_sigmoid(sums[2]), gate_tanh(sums[3])
    forget_whole = forget[0] + forget[1]
    whole = (enter[0] + enter[1]) * (candidate[0] + candidate[1])
    new = enter[1] * (candidate[1] - candidate[0]) * forget_whole
    cell = fma32(cell * forget[1], whole, new) / (forget_whole * whole)
    leave, state = gate_sigmoid(sums[1]), gate_tanh(cell)
    numerator = leave[1] * (state[1] - state[0])
    return numerator / ((leave[0] + leave[1]) * (state[0] + state[1])), cell


def chained(x, weight, chains) -> np.ndarray:
    """Rows of x by a weight [outputs, inputs] in float32: fused products in chains by input index, then neighbours
    are added until one is left."""
    sums = np.zeros((chains, *x.shape[:-1], weight.shape[0]), np.float32)
    for column in range(weight.shape[1]):
        chain = column % chains
        sums[chain] = fma32(x[..., column, None], weight[:, column], sums[chain])
    while len(sums) > 1:
        sums = sums[0::2] + sums[1::2]
    return sums[0]


def exp(value) -> np.ndarray:
    """e^x for x up to 0."""
    x = np.maximum(np.asarray(value, np.float32), np.float32(EXP_LIMIT))
    magic = np.float32(ROUNDING_MAGIC)
    shifted = fma32(x, np.float32(LOG2_E), magic)
    n = shifted - magic
    r = x - n * np.float32(LN2_HIGH)
    r = r - n * np.float32(LN2_LOW)
    bits = polynomial(EXP_C, r).view(np.int32)
    with np.errstate(over="ignore"):
        return (bits + (shifted.view(np.int32) << 23)).view(np.float32)


def softplus(value) -> np.ndarray:
    """ln(1 + e^x): the greater of x and 0, plus 2 artanh(w / (2 + w)) with w = e^-|x|."""
    value = np.asarray(value, np.float32)
    x, magic = np.maximum(-np.abs(value), np.float32(EXP_LOW)), np.float32(ROUNDING_MAGIC)
    shifted = fma32(x, np.float32(LOG2_E), magic)
    n = shifted - magic
    r = (x - n * np.float32(LN2_HIGH)) - n * np.float32(LN2_LOW)
    bits = shifted.view(np.int32) - magic.view(np.int32)
    first = bits >> 1
    w = polynomial(EXP_C, r) * power_of_two(first) * power_of_two(bits - first)
    w = np.where(w < np.finfo(np.float32).tiny, np.float32(0), w)
    s = w / (w + np.float32(2))
    t = s * s
    half = fma32(s * t, polynomial(AREA_C, t), s)
    return np.where(value < 0, np.float32(0), value) + (half + half)


def softmax(value, axis=-1) -> np.ndarray:
    """Powers summed one after the other, then times the inverse of the sum."""
    value = np.moveaxis(np.asarray(value, np.float32), axis, -1)
    powers = exp(value - value.max(axis=-1, keepdims=True))
    total = powers[..., 0]
    for index in range(1, powers.shape[-1]):
        total = total + powers[..., index]
    return np.moveaxis(powers * (np.float32(1) / total)[..., None], -1, axis)


def quantize(x, scale, zero, axis=1):
    scale, zero = along(scale, x.ndim, axis), along(zero, x.ndim, axis)
    limits = np.iinfo(zero.dtype)
    return np.clip(np.rint(x / scale) + zero.astype(np.float32), limits.min, limits.max).astype(zero.dtype)


def along(parameter, rank, axis):
    """A scale or zero point of one axis, shaped to broadcast."""
    parameter = np.asarray(parameter)
    if parameter.ndim == 0 or parameter.size == 1:
        return parameter.reshape(())
    shape = [1] * rank
    shape[axis] = parameter.size
    return parameter.reshape(shape)


def convolve(x, weight, attributes):
    """Σ over channels and taps, for any number of spatial axes, in the type of the operands."""
    rank = weight.ndim - 2
    strides, dilations = attributes.get("strides", [1] * rank), attributes.get("dilations", [1] * rank)
    pads, group = attributes.get("pads", [0] * 2 * rank), attributes.get("group", 1)
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise ValueError(f"Conv: auto_pad {attributes['auto_pad']} is not supported")
    x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:])])
    kernel = weight.shape[2:]
    sizes = [(x.shape[2 + axis] - dilations[axis] * (kernel[axis] - 1) - 1) // strides[axis] + 1 for axis in range(rank)]
    result = np.zeros((x.shape[0], weight.shape[0], *sizes), x.dtype)
    outputs, channels = weight.shape[0] // group, weight.shape[1]
    for tap in np.ndindex(*kernel):
        window = tuple(
            slice(tap[axis] * dilations[axis], tap[axis] * dilations[axis] + (sizes[axis] - 1) * strides[axis] + 1, strides[axis])
            for axis in range(rank))
        for part in range(group):
            inputs = x[(slice(None), slice(part * channels, (part + 1) * channels), *window)]
            rows = slice(part * outputs, (part + 1) * outputs)
            result[:, rows] += np.moveaxis(np.tensordot(weight[(rows, slice(None), *tap)], inputs, (1, 1)), 0, 1)
    return result


class IntegerReference:
    """Steps one model; holds its state."""

    def __init__(self, model: onnx.ModelProto):
        self.graph = model.graph
        self.constants = {array.name: numpy_helper.to_array(array) for array in self.graph.initializer}
        self.producers = {output: node for node in self.graph.node for output in node.output}
        self.places = {output: place for place, node in enumerate(self.graph.node) for output in node.output}
        self.attributes = [
            {item.name: helper.get_attribute_value(item) for item in node.attribute} | {"output_count": len(node.output)}
            for node in self.graph.node]
        self._fold()
        self.shapes = {
            value.name: [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
            for value in self.graph.input if value.name not in self.constants}
        self.window = self.shapes["features"][1]
        self.uses = collections.Counter(name for node in self.graph.node for name in node.input)
        self.uses.update(output.name for output in self.graph.output)
        self.integer_products = 0
        self.reset()

    def _fold(self):
        """Computes what depends on constants alone, such as weights that are quantised in the graph."""
        self.integer_products, self.affine = 0, {}
        for node, attributes in zip(self.graph.node, self.attributes):
            if all(name in self.constants for name in node.input if name):
                results = self._evaluate(node, attributes, self.constants)
                self.constants.update(zip(node.output, results if isinstance(results, (tuple, list)) else [results]))

    def reset(self):
        self.state = {
            name: np.zeros(shape, np.float32) for name, shape in self.shapes.items() if name.startswith("state_")}

    def step(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """All outputs, the next states among them, for features of the input's shape."""
        values = dict(self.constants)
        values.update(self.state)
        values["features"] = np.asarray(features, np.float32).reshape(self.shapes["features"])
        self.integer_products = 0
        self.affine = {}
        for node, attributes in zip(self.graph.node, self.attributes):
            results = self._evaluate(node, attributes, values)
            values.update(zip(node.output, results if isinstance(results, (tuple, list)) else [results]))
        outputs = {output.name: values[output.name] for output in self.graph.output}
        for name in self.state:
            self.state[name] = outputs[f"{name}_next"]
        return outputs

    def _quantised_operand(self, name, values, is_weight):
        """(whole numbers less their zero point, scale, axis) of a DequantizeLinear's output, or nothing."""
        node = self.producers.get(name)
        if node is not None and not is_weight and self._moves(node, values):
            return self._moved_operand(node, name, values)
        if node is None or node.op_type != "DequantizeLinear" or (is_weight and node.input[0] not in self.constants):
            return None
        if not is_weight and not self._undoes_a_quantize(node, values):
            return None
        levels, scale = values[node.input[0]], np.asarray(values[node.input[1]], np.float32)
        axis = next((item.i for item in node.attribute if item.name == "axis"), 1) % max(levels.ndim, 1)
        zero = values[node.input[2]] if len(node.input) > 2 and node.input[2] else np.zeros((), levels.dtype)
        levels = levels.astype(np.int64) - along(zero, levels.ndim, axis).astype(np.int64)
        return None if is_weight and np.abs(levels).max(initial=0) > WEIGHT_MAX else (levels, scale, axis)

    def _undoes_a_quantize(self, node, values):
        """Whether a DequantizeLinear has the scale and zero point of the QuantizeLinear that made its 8 bits."""
        source = self.producers.get(node.input[0])
        while source is not None and source.op_type in LAYOUT:
            source = self.producers.get(source.input[0])
        if source is None or source.op_type != "QuantizeLinear" or values[node.input[0]].dtype not in (np.uint8, np.int8):
            return False
        scales, zeros = zip(*(
            (values[one.input[1]].reshape(-1), values[one.input[2]].reshape(-1) if one.input[2:] and one.input[2] else [0])
            for one in (source, node)))
        return len(scales[0]) == 1 and np.array_equal(*scales) and np.array_equal(*zeros)

    def _moves(self, node, values):
        """Whether a node only moves the elements of its first input, or puts zeros around them."""
        if node.op_type == "Gather":
            index = np.asarray(values[node.input[1]])
            steps = np.diff(index.reshape(-1))
            return index.ndim <= 1 and index.size > 0 and not (steps == 0).any() and (steps == steps[:1]).all()
        if node.op_type == "Pad":
            fill = values[node.input[2]] if len(node.input) > 2 and node.input[2] else 0
            mode = next((item.s for item in node.attribute if item.name == "mode"), b"constant")
            return mode == b"constant" and fill == 0 and self._keeps_zero(node.input[0])
        return node.op_type in LAYOUT

    def _moved_operand(self, node, name, values):
        source = self._quantised_operand(node.input[0], values, is_weight=False)
        if source is None or source[1].size != 1:
            return None
        result = self._evaluate(node, self.attributes[self.places[name]], {**values, node.input[0]: source[0]})
        if isinstance(result, (tuple, list)):
            result = result[list(node.output).index(name)]
        return result, source[1], source[2]

    def _keeps_zero(self, name):
        """Whether zeros around a quantised value may be quantised like it: no Clip before QuantizeLinear keeps them out."""
        node, scale = self.producers.get(name), None
        while node is not None and node.op_type in LAYOUT | {"Gather", "Pad", "DequantizeLinear", "QuantizeLinear"}:
            if node.op_type == "QuantizeLinear":
                scale = self.constants[node.input[1]]
            elif node.op_type in ("Pad", "DequantizeLinear") and scale is not None:
                return True
            node = self.producers.get(node.input[0])
        if node is None or node.op_type != "Clip" or scale is None:
            return True
        bounds = [self.constants.get(name) for name in node.input[1:]]
        low, high = (None if bound is None else np.rint(bound / scale) for bound in (*bounds, None, None)[:2])
        return (low is None or low <= 0) and (high is None or high >= 0)

    def _product(self, node, attributes, values):
        first, weight = node.input[0], node.input[1]
        x = self._quantised_operand(first, values, is_weight=False)
        if node.op_type == "Conv" and any(attributes.get("pads", [])) and not self._keeps_zero(first):
            x = None
        w = self._quantised_operand(weight, values, is_weight=True)
        if x is not None and (x[1].size != 1 or w is None):
            x = None
        operands = (values[first], values[weight]) if x is None or w is None else (x[0], w[0])
        operands = list(operands)
        output_axis = {"MatMul": operands[1].ndim - 1, "Gemm": 1, "Conv": 0}[node.op_type]
        if node.op_type == "Gemm":
            if attributes.get("transA") or attributes.get("alpha", 1) != 1 or attributes.get("beta", 1) != 1:
                raise ValueError(f"{node.name}: Gemm with transA, alpha or beta is not supported")
            if attributes.get("transB"):
                operands[1], output_axis = operands[1].T, 0
        bias = values[node.input[2]] if len(node.input) > 2 and node.input[2] else None
        if node.op_type != "Conv" and operands[0].dtype == np.float32 and operands[1].ndim == 2 and self._is_constant(weight):
            return self._float_product(first, operands[0], operands[1].T, bias)
        result = convolve(*operands, attributes) if node.op_type == "Conv" else operands[0] @ operands[1]
        if result.dtype == np.int64:
            if w[1].size > 1 and w[2] != output_axis:
                raise ValueError(f"{node.name}: the weight's scales do not lie along its outputs")
            self.integer_products += 1
            scale = along(x[1].reshape(()) * w[1], result.ndim, 1 if node.op_type == "Conv" else result.ndim - 1)
            result = result.astype(np.float32) * scale
        if bias is not None:
            result = result + (along(bias, result.ndim, 1) if node.op_type == "Conv" else bias)
        return result

    def _is_constant(self, name):
        node = self.producers.get(name)
        return name in self.constants or node is not None and node.op_type == "DequantizeLinear" and node.input[0] in self.constants

    def _float_product(self, name, x, weight, bias, chains=None):
        """x by a weight [outputs, inputs]; a mean and scale right before it go into the weights, as in the engine."""
        chains = chains or (8 if weight.shape[0] <= 8 else 4 if weight.shape[0] <= 16 else 2)
        bias = np.zeros(weight.shape[0], np.float32) if bias is None else np.broadcast_to(bias, weight.shape[:1])
        if name in self.affine and self.uses[name] == 1 and x.size == x.shape[-1]:
            base, scale, offset = self.affine[name]
            parts = weight.astype(np.float64) * offset.reshape(-1)
            if np.abs(parts).sum(axis=1).max() <= FOLDED_OFFSET_MAX:
                total = bias.astype(np.float64)
                for column in range(weight.shape[1]):
                    total = total + parts[:, column]
                x, weight = base, (weight.astype(np.float64) * scale.reshape(-1)).astype(np.float32)
                bias = total.astype(np.float32)
        return chained(x, weight, chains) + (bias + np.float32(0))

    def _recurrent_product(self, name, weight_name, values, state, bias):
        """A product of one step [units of input] by a weight [1, rows, inputs]."""
        x = self._quantised_operand(name, values, is_weight=False) if state is None else None
        w = self._quantised_operand(weight_name, values, is_weight=True)
        if x is None or w is None or x[1].size != 1:
            row = values[name].reshape(-1) if state is None else state
            return self._float_product("" if state is not None else name, row, values[weight_name][0], bias, chains=2)
        if w[1].size > 1 and w[2] != 1:
            raise ValueError(f"{weight_name}: the weight's scales do not lie along its rows")
        self.integer_products += 1
        scale = np.broadcast_to(x[1].reshape(()) * w[1], w[0].shape[1:2])
        return (w[0][0] @ x[0].reshape(-1)).astype(np.float32) * scale + bias

    def _recurrent(self, node, attributes, values):
        """A step of an LSTM or GRU; a window of several is not supported."""
        gates = 4 if node.op_type == "LSTM" else 3
        names = list(node.input) + [""] * (8 - len(node.input))
        rows = values[names[1]].shape[1]
        units = rows // gates
        if values[names[0]].shape[:2] != (1, 1) or attributes.get("direction", b"forward") != b"forward" or names[4] or names[7]:
            raise ValueError(f"{node.name}: only one forward step of one sequence is supported")
        if gates == 3 and not attributes.get("linear_before_reset"):
            raise ValueError(f"{node.name}: a GRU with linear_before_reset = 0 is not supported")
        bias = values[names[3]][0] if names[3] else np.zeros(2 * rows, np.float32)
        zeros = np.zeros(units, np.float32)
        hidden = values[names[5]].reshape(-1) if names[5] else zeros
        inputs = self._recurrent_product(names[0], names[1], values, None, bias[:rows])
        ahead = self._recurrent_product(names[5], names[2], values, None if names[5] else zeros, bias[rows:])
        inputs, ahead, shape = inputs.reshape(gates, units), ahead.reshape(gates, units), (1, 1, units)
        if gates == 3:
            hidden = gru_step(inputs, ahead, hidden).reshape(shape)
            return hidden[None], hidden
        cell = values[names[6]].reshape(-1) if names[6] else zeros
        hidden, cell = (value.reshape(shape) for value in lstm_step(inputs + ahead, cell))
        return hidden[None], hidden, cell

    def _arithmetic(self, node, values):
        """Add, Sub, Mul or Div of a value and a constant as part of one map x · scale + offset; nothing for two values."""
        is_constant = [name in self.constants for name in node.input]
        if sum(is_constant) != 1 or node.op_type == "Div" and is_constant[0]:
            return None
        constant, name = values[node.input[is_constant.index(True)]], node.input[is_constant.index(False)]
        value = values[name]
        if value.dtype != np.float32 or np.broadcast_shapes(value.shape, constant.shape) != value.shape:
            return None
        producer = self.producers.get(name)
        if node.op_type == "Add" and producer is not None and producer.op_type in ("MatMul", "Gemm", "Conv"):
            return None
        base, scale, offset = value, np.ones(value.shape), np.zeros(value.shape)
        rounds = node.op_type in ("Add", "Sub") and np.abs(constant).max(initial=0) > MERGED_OFFSET_MAX
        if name in self.affine and self.uses[name] == 1 and not rounds:
            if np.abs(self.affine[name][2]).max(initial=0) <= MERGED_OFFSET_MAX:
                base, scale, offset = self.affine[name]
        constant = constant.astype(np.float64)
        if node.op_type == "Add":
            offset = offset + constant
        elif node.op_type == "Sub":
            scale, offset = (-scale, constant - offset) if is_constant[0] else (scale, offset - constant)
        elif node.op_type == "Mul":
            scale, offset = scale * constant, offset * constant
        else:
            scale, offset = scale / constant, offset / constant
        self.affine[node.output[0]] = base, scale, offset
        return fma32(base, scale.astype(np.float32), offset.astype(np.float32))

    def _evaluate(self, node, attributes, values):
        inputs = [values[name] if name else None for name in node.input]
        if node.op_type in ("MatMul", "Gemm", "Conv"):
            return self._product(node, attributes, values)
        if node.op_type in ("LSTM", "GRU"):
            return self._recurrent(node, attributes, values)
        if node.op_type in ("Add", "Sub", "Mul", "Div"):
            result = self._arithmetic(node, values)
            if result is not None:
                return result
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            x, scale = inputs[0], inputs[1]
            zero = inputs[2] if len(inputs) > 2 and inputs[2] is not None else np.zeros((), np.uint8)
            axis = attributes.get("axis", 1)
            if node.op_type == "QuantizeLinear":
                return quantize(x, scale, zero, axis)
            difference = x.astype(np.int32) - along(zero, x.ndim, axis).astype(np.int32)
            return difference.astype(np.float32) * along(scale, x.ndim, axis)
        function = OPERATORS.get(node.op_type)
        if function is None:
            raise NotImplementedError(f"{node.name}: operator {node.op_type} is not in the integer reference")
        return function(attributes, *inputs)


def _clip(attributes, x, low=None, high=None):
    """By comparisons, which leave -0 as it is."""
    x = x if low is None else np.where(x < low, low, x)
    return x if high is None else np.where(x > high, high, x)


def _slice(attributes, x, starts, ends, axes=None, steps=None):
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps):
        index[axis] = slice(int(start), int(end), int(step))
    return x[tuple(index)]


def _split(attributes, x, sizes=None):
    """Without sizes all parts are equal but for the last, which may be smaller."""
    axis, count = attributes.get("axis", 0), attributes["output_count"]
    sizes = [-(-x.shape[axis] // count)] * count if sizes is None else sizes
    return np.split(x, np.cumsum(sizes)[:-1], axis)


def _reshape(attributes, x, shape):
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(shape.tolist())])


def _filler(attributes):
    return numpy_helper.to_array(attributes["value"]).reshape(()) if "value" in attributes else np.float32(0)


def _pad(attributes, x, pads, value=None, axes=None):
    if attributes.get("mode", b"constant") != b"constant":
        raise ValueError(f"Pad: mode {attributes['mode']} is not supported")
    widths, axes = [(0, 0)] * x.ndim, list(range(x.ndim)) if axes is None else axes.tolist()
    for place, axis in enumerate(axes):
        widths[axis] = (int(pads[place]), int(pads[place + len(axes)]))
    return np.pad(x, widths, constant_values=0 if value is None else value)


def _axes(attributes, axes):
    return tuple(np.asarray(attributes.get("axes") if axes is None else axes, int).tolist())


def _leaky(attributes, x):
    return np.where(x < 0, x * np.float32(attributes.get("alpha", 0.01)), x)


OPERATORS = {
    "Add": lambda attributes, a, b: a + b,
    "Sub": lambda attributes, a, b: a - b,
    "Mul": lambda attributes, a, b: a * b,
    "Div": lambda attributes, a, b: a / b,
    "Sqrt": lambda attributes, x: np.sqrt(x),
    "Neg": lambda attributes, x: -x,
    "Identity": lambda attributes, x: x,
    "Relu": lambda attributes, x: np.where(x < 0, np.float32(0), x),
    "LeakyRelu": _leaky,
    "Tanh": lambda attributes, x: tanh(x),
    "Sigmoid": lambda attributes, x: sigmoid(x),
    "Softplus": lambda attributes, x: softplus(x),
    "Softmax": lambda attributes, x: softmax(x, attributes.get("axis", -1)),
    "Clip": _clip,
    "Shape": lambda attributes, x: np.array(x.shape[attributes.get("start", 0):attributes.get("end")], np.int64),
    "Constant": lambda attributes: numpy_helper.to_array(attributes["value"]),
    "ConstantOfShape": lambda attributes, shape: np.full(shape, _filler(attributes)),
    "Pad": _pad,
    "Reshape": _reshape,
    "Flatten": lambda attributes, x: x.reshape(int(np.prod(x.shape[:attributes.get("axis", 1)])), -1),
    "Transpose": lambda attributes, x: x.transpose(attributes.get("perm")),
    "Squeeze": lambda attributes, x, axes=None: x.squeeze(_axes(attributes, axes)),
    "Unsqueeze": lambda attributes, x, axes=None: np.expand_dims(x, _axes(attributes, axes)),
    "Concat": lambda attributes, *parts: np.concatenate(parts, attributes["axis"]),
    "Gather": lambda attributes, x, index: np.take(x, index, attributes.get("axis", 0)),
    "Slice": _slice,
    "Split": _split,
}


def run(model: onnx.ModelProto, features: np.ndarray) -> dict[str, np.ndarray]:
    """Steps a model over all ticks [ticks, F]: outputs by tick, and the last states.

    A window model starts once its window is full.
    """
    reference = IntegerReference(model)
    rows = {}
    for tick in range(reference.window, len(features) + 1):
        outputs = reference.step(features[tick - reference.window:tick])
        for name, value in outputs.items():
            if not name.startswith("state_"):
                rows.setdefault(name, []).append(value[0])
    results = {name: np.array(values, np.float32) for name, values in rows.items()}
    return results | {f"{name}_next": value for name, value in reference.state.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with features.npy")
    arguments = parser.parse_args()
    results = run(onnx.load(arguments.model), np.load(arguments.data / "features.npy"))
    (arguments.data / "integer").mkdir(exist_ok=True)
    for name, value in results.items():
        np.save(arguments.data / "integer" / f"{name}.npy", value)
        print(name, list(value.shape))


if __name__ == "__main__":
    main()
