"""What `martlet model verify` asks of ONNX Runtime, without the program."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from martlet import model_verify


def graph_of(nodes, element_type=TensorProto.FLOAT):
    value = helper.make_tensor_value_info
    return helper.make_graph(
        nodes, "one", [value("x", element_type, [1, 3])], [value("y", TensorProto.FLOAT, [1, 3])])


@pytest.mark.parametrize(
    "name", ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BOOL", "DOUBLE", "FLOAT16"])
def test_an_input_of_any_type_is_fed_to_onnx_runtime(name):
    graph = graph_of([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)], getattr(TensorProto, name))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checks = list(model_verify.verify_graph(model, {}, {"y": np.zeros((2, 3), np.float32)}))
    assert [item["status"] for item in checks] == ["passed"], checks


@pytest.mark.parametrize("form", [{"value_float": 0.25}, {"value": helper.make_tensor("", TensorProto.FLOAT, [], [0.25])}])
def test_the_scale_of_a_quantum_may_be_that_of_a_node(form):
    graph = graph_of([helper.make_node("Constant", [], ["s"], **form), helper.make_node("QuantizeLinear", ["x", "s"], ["y"])])
    assert model_verify.quantum_of(graph, "y") == 0.25
