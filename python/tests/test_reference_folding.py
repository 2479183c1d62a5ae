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


def quantised(nodes, low=-4, high=4):
    """`features` through bytes as `x`, and a weight [1, 1, 2] from bytes as `wf`; then `nodes`."""
    node = helper.make_node
    constants = {
        "s": np.float32(0.25), "zero": np.uint8(16), "w": np.array([[[3, -2]]], np.int8), "signed": np.int8(0),
        "low": np.float32(low), "high": np.float32(high), "pads": np.array([0, 0, 1, 0, 0, 0]), "shape": np.array([1, 1, 2, 2]),
        "back": np.array([1, 1, 4]), "last": np.array([3, 2, 1, 0]), "one": np.float32(1), "none": np.float32(0)}
    reference = integer_reference.IntegerReference(model([
        node("Clip", ["features", "low", "high"], ["c"]), node("QuantizeLinear", ["c", "s", "zero"], ["q"]),
        node("DequantizeLinear", ["q", "s", "zero"], ["x"]), node("DequantizeLinear", ["w", "s", "signed"], ["wf"]), *nodes],
        constants))
    result = reference.step(np.array([1, 0.3, 2, 0.5], np.float32))["y"].reshape(-1)
    return reference.integer_products, result


def test_a_product_of_whole_numbers_looks_through_paddings_and_layout():
    node, levels = helper.make_node, np.array([0, 4, 1, 8, 2])
    expected = (3 * levels[:-1] - 2 * levels[1:]).astype(np.float32) * np.float32(0.0625)
    padded = node("Pad", ["x", "pads"], ["p"])
    for nodes in (
        [padded, node("Conv", ["p", "wf"], ["y"])], [node("Conv", ["x", "wf"], ["y"], pads=[1, 0])],
        [node("Reshape", ["x", "shape"], ["r"]), node("Transpose", ["r"], ["t"], perm=[0, 1, 2, 3]),
         node("Reshape", ["t", "back"], ["b"]), node("Pad", ["b", "pads", "none"], ["p"]), node("Conv", ["p", "wf"], ["y"])],
    ):
        count, result = quantised(nodes)
        assert count == 1 and np.array_equal(result, expected)
    turned = [node("Gather", ["x", "last"], ["g"], axis=2), node("Conv", ["g", "wf"], ["y"], pads=[1, 0])]
    levels = np.array([0, 2, 8, 1, 4])
    count, result = quantised(turned)
    assert count == 1 and np.array_equal(result, (3 * levels[:-1] - 2 * levels[1:]) * np.float32(0.0625))


def test_zeros_that_the_bytes_cannot_be_make_a_product_of_floats():
    node = helper.make_node
    padded = [node("Pad", ["x", "pads"], ["p"]), node("Conv", ["p", "wf"], ["y"])]
    assert quantised(padded, low=0.25)[0] == 0
    assert quantised([node("Conv", ["x", "wf"], ["y"], pads=[1, 0])], low=0.25)[0] == 0
    assert quantised([node("Conv", ["x", "wf"], ["y"])], low=0.25)[0] == 1
    assert quantised([node("Pad", ["x", "pads", "one"], ["p"]), node("Conv", ["p", "wf"], ["y"])])[0] == 0


def test_a_great_offset_is_no_part_of_a_map():
    node = helper.make_node
    constants = {"two": np.float32(2), "magic": np.float32(12_582_912)}
    reference = integer_reference.IntegerReference(model([
        node("Mul", ["features", "two"], ["d"]), node("Add", ["d", "magic"], ["sum"]), node("Sub", ["sum", "magic"], ["y"])],
        constants))
    assert reference.step(np.array([0.3, 0.7, -1.3, 20.2], np.float32))["y"].reshape(-1).tolist() == [1, 1, -3, 40]
