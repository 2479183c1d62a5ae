"""An ONNX graph under construction by the model contract (docs/MODEL.md), and the two forms of its quantised values.

An int8 graph keeps to what an engine's fast path needs: activations of 7 bits, 0 to 127, which the Clip before each
QuantizeLinear proves, and weights from -63 to 63 with one scale per output, so that no sum of four products of a pair
of vectors leaves 16 bits.
"""

from __future__ import annotations

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, TREE_OPSET, IR_VERSION = 17, 3, 8
ACTIVATION_MAX, WEIGHT_MAX = 127, 63
#: Units of a recurrent layer in one block; with its gates the block is 24 or 32 outputs.
UNITS_IN_BLOCK = 8
#: Weights below this are rounded to zero, whatever their scale would be.
WEIGHT_MIN = 1e-6


def weight_scale(values: np.ndarray, others: tuple[int, ...] | None) -> np.ndarray:
    """The step of int8 weights, so that the largest of each output, or of all with no axes, becomes ±63; float32."""
    largest = np.abs(values).max(axis=others)
    return (np.maximum(largest, WEIGHT_MIN) / WEIGHT_MAX).astype(np.float32)


class GraphBuilder:
    """Values are names; a method that adds nodes returns the name of its result."""

    def __init__(self, features: int, window: int = 1, opset: int = OPSET):
        self.features, self.window = features, window
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []
        self._counter = 0
        self._coded = {}
        self._operator_sets = {"": opset}
        self._add_input("features", [1, window, features])

    def _add_input(self, name, shape):
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def unique(self, stem: str) -> str:
        self._counter += 1
        return f"{stem}_{self._counter}"

    def constant(self, array, stem="constant") -> str:
        array = np.asarray(array)
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        name = self.unique(stem)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator, inputs, outputs=1, domain="", layer=None, **attributes):
        """`layer` is the node's name where it is a layer that people look for."""
        names = [self.unique(operator.lower()) for _ in range(outputs)]
        node = helper.make_node(operator, inputs, names, name=layer or names[0], domain=domain, **attributes)
        self.nodes.append(node)
        if domain:
            self._operator_sets[domain] = TREE_OPSET
        return names[0] if outputs == 1 else names

    def reshape(self, value, *shape):
        return self.node("Reshape", [value, self.constant(np.array(shape, np.int64))])

    def slice(self, value, start, end, axis):
        bounds = [self.constant(np.array([bound], np.int64)) for bound in (start, end, axis)]
        return self.node("Slice", [value, *bounds])

    def output(self, value, name, shape):
        self.nodes.append(helper.make_node("Identity", [value], [name], name=f"output_{name}"))
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def state(self, name, shape) -> str:
        self._add_input(f"state_{name}", shape)
        return f"state_{name}"

    def next_state(self, name, value, shape):
        self.output(value, f"state_{name}_next", shape)

    def through_codes(self, value, scale, zero):
        """The value through 7 bits and back; layers that read the same value with the same codes share them."""
        if (value, scale, zero) not in self._coded:
            self._coded[value, scale, zero] = self._coded_nodes(value, np.float32(scale), zero)
        return self._coded[value, scale, zero]

    def _coded_nodes(self, value, scale, zero):
        bounds = [self.constant(np.float32(level - zero) * scale, "bound") for level in (0, ACTIVATION_MAX)]
        parameters = [self.constant(scale, "scale"), self.constant(np.uint8(zero), "zero_point")]
        clipped = self.node("Clip", [value, *bounds])
        levels = self.node("QuantizeLinear", [clipped, *parameters])
        return self.node("DequantizeLinear", [levels, *parameters])

    def integer_weight(self, values, output_axis, is_per_tensor=False):
        """A constant as int8 behind a DequantizeLinear, with a scale for each output."""
        others = None if is_per_tensor else tuple(axis for axis in range(values.ndim) if axis != output_axis)
        scale = weight_scale(values, others)
        levels = np.rint(values / (scale if is_per_tensor else np.expand_dims(scale, others)))
        assert np.abs(levels).max() <= WEIGHT_MAX
        zero = np.zeros(scale.shape, np.int8)
        parts = ((levels.astype(np.int8), "weight"), (scale, "scale"), (zero, "zero_point"))
        inputs = [self.constant(array, stem) for array, stem in parts]
        attributes = {} if is_per_tensor else {"axis": output_axis}
        return self.node("DequantizeLinear", inputs, **attributes)

    def gru_gates(self, sums, ahead, hidden):
        """A GRU's new state from the sums of its input and of its previous state, as single operators."""
        update_ahead, reset_ahead, new_ahead = self.node("Split", [ahead], outputs=3, axis=-1)
        update, reset, new = self.node("Split", [sums], outputs=3, axis=-1)
        update = self.node("Sigmoid", [self.node("Add", [update, update_ahead])])
        reset = self.node("Sigmoid", [self.node("Add", [reset, reset_ahead])])
        new = self.node("Tanh", [self.node("Add", [new, self.node("Mul", [reset, new_ahead])])])
        return self.node("Add", [new, self.node("Mul", [update, self.node("Sub", [hidden, new])])])

    def finished(self, metadata: dict) -> onnx.ModelProto:
        """The checked model; `metadata` has the keys of the contract without their `martlet.`."""
        graph = helper.make_graph(self.nodes, "martlet", self.inputs, self.outputs, self.constants)
        sets = [helper.make_opsetid(domain, version) for domain, version in self._operator_sets.items()]
        model = helper.make_model(graph, opset_imports=sets, ir_version=IR_VERSION, producer_name="martlet")
        helper.set_model_props(model, {f"martlet.{key}": json.dumps(value) for key, value in sorted(metadata.items())})
        onnx.checker.check_model(model, full_check=True)
        return model
