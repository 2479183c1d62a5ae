"""The integer reference: what a quantised model gives, to the bit, without any runtime.

A MatMul, Gemm or Conv whose two operands come from DequantizeLinear, the weight a constant, is computed in whole numbers:
acc = Σ (q - zero) · (weight - zero), then float32(acc) · float32(scale · weight's scale), then + bias, each rounded once.
Sigmoid, Tanh and Softmax are the engine's own functions, repeated to the bit; every other operator is one float32 operation of
NumPy per element. An operator that is not listed here is refused by name.

    python -m martlet.integer_reference MODEL --data DIR

reads features.npy [ticks, F] in DIR, steps the model from a state of zeros and writes each output, NAME.npy, and each last
state, state_NAME_next.npy, to DIR/integer.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np
import onnx
from onnx import helper, numpy_helper

# Sources/Inference/Functions.swift, FunctionConstants.
TANH_LIMIT = 9.0
TANH_P = (0.9999999794650458, 0.13381021394741108, 0.0034955830919659483, 2.0609000641731597e-05, 1.3354552318772486e-08)
TANH_Q = (1.0, 0.46714336990205607, 0.025876963015959997, 0.0003285626622534339, 7.776512684868578e-07)
EXP_LIMIT = -87.0
ROUNDING_MAGIC = 12_582_912.0
LOG2_E = 1.44269504088896341
LN2_HIGH, LN2_LOW = 0.693145751953125, 1.42860682030941723e-6
EXP_C = (1.0, 1.0, 0.4999999345169722, 0.16666520689809394, 0.04166838736353548, 0.00836870982633119, 0.0013814613148505676)


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


def tanh(value) -> np.ndarray:
    limit = np.float32(TANH_LIMIT)
    x = np.clip(np.asarray(value, np.float32), -limit, limit)
    square = x * x
    quotient = x * polynomial(TANH_P, square) / polynomial(TANH_Q, square)
    return np.clip(quotient, np.float32(-1), np.float32(1))


def sigmoid(value) -> np.ndarray:
    half = np.float32(0.5)
    return fma32(half, tanh(np.asarray(value, np.float32) * half), half)


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
        self.attributes = [
            {item.name: helper.get_attribute_value(item) for item in node.attribute} | {"output_count": len(node.output)}
            for node in self.graph.node]
        self._fold()
        self.shapes = {
            value.name: [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
            for value in self.graph.input if value.name not in self.constants}
        self.window = self.shapes["features"][1]
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
        if node is None or node.op_type != "DequantizeLinear" or (is_weight and node.input[0] not in self.constants):
            return None
        levels, scale = values[node.input[0]], np.asarray(values[node.input[1]], np.float32)
        axis = next((item.i for item in node.attribute if item.name == "axis"), 1) % max(levels.ndim, 1)
        zero = values[node.input[2]] if len(node.input) > 2 and node.input[2] else np.zeros((), levels.dtype)
        return levels.astype(np.int64) - along(zero, levels.ndim, axis).astype(np.int64), scale, axis

    def _product(self, node, attributes, values):
        first, weight = node.input[0], node.input[1]
        x = self._quantised_operand(first, values, is_weight=False)
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
        result = convolve(*operands, attributes) if node.op_type == "Conv" else operands[0] @ operands[1]
        if result.dtype == np.int64:
            if w[1].size > 1 and w[2] != output_axis:
                raise ValueError(f"{node.name}: the weight's scales do not lie along its outputs")
            self.integer_products += 1
            scale = along(x[1].reshape(()) * w[1], result.ndim, 1 if node.op_type == "Conv" else result.ndim - 1)
            result = result.astype(np.float32) * scale
        if len(node.input) > 2 and node.input[2]:
            bias = values[node.input[2]]
            result = result + (along(bias, result.ndim, 1) if node.op_type == "Conv" else bias)
        return result

    def _evaluate(self, node, attributes, values):
        inputs = [values[name] if name else None for name in node.input]
        if node.op_type in ("MatMul", "Gemm", "Conv"):
            return self._product(node, attributes, values)
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
