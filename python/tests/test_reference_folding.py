"""The integer reference with what PyTorch's and ONNX Runtime's quantisation write: weights quantised in the graph, paddings."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from martlet import integer_reference


def model(nodes, constants):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "graph", [value("features", TensorProto.FLOAT, [1, 1, 4])], [value("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def test_a_weight_that_the_graph_quantises_makes_a_product_of_whole_numbers():
    node = helper.make_node
    weight = np.array([[0.5, -0.26], [0.25, 0.1], [-1, 0.75], [0.01, 2]], np.float32)
    constants = {"w": weight, "s": np.float32(0.25), "zero": np.uint8(128), "signed": np.int8(0)}
    reference = integer_reference.IntegerReference(model([
        node("QuantizeLinear", ["features", "s", "zero"], ["q"]), node("DequantizeLinear", ["q", "s", "zero"], ["x"]),
        node("QuantizeLinear", ["w", "s", "signed"], ["wq"]), node("DequantizeLinear", ["wq", "s", "signed"], ["wf"]),
        node("MatMul", ["x", "wf"], ["y"])], constants))
    result = reference.step(np.array([1, 0.3, -2, 0.5], np.float32))["y"]
    assert reference.integer_products == 1
    levels = np.array([4, 1, -8, 2]) @ np.array([[2, -1], [1, 0], [-4, 3], [0, 8]])
    assert np.array_equal(result.reshape(-1), levels.astype(np.float32) * np.float32(0.0625))


def test_paddings_may_be_computed_from_constants():
    node = helper.make_node
    reference = integer_reference.IntegerReference(model([
        node("ConstantOfShape", ["count"], ["zeros"], value=numpy_helper.from_array(np.array([0], np.int64))),
        node("Concat", ["zeros", "last"], ["pads"], axis=0), node("Pad", ["features", "pads", "filler"], ["y"])],
        {"count": np.array([4]), "last": np.array([0, 2]), "filler": np.float32(7)}))
    result = reference.step(np.arange(4))["y"]
    assert np.array_equal(result, np.array([[[0, 1, 2, 3, 7, 7]]], np.float32))


def test_a_convolution_may_say_that_its_pads_are_given():
    node = helper.make_node
    reference = integer_reference.IntegerReference(model(
        [node("Conv", ["features", "w"], ["y"], auto_pad="NOTSET", pads=[1, 0])], {"w": np.ones((1, 1, 2), np.float32)}))
    assert np.array_equal(reference.step(np.arange(4))["y"], np.array([[[0, 1, 3, 5]]], np.float32))
