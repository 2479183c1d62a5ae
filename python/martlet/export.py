"""Writes the model as one ONNX file by the model contract (docs/MODEL.md), and checks it with ONNX Runtime."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from .recurrent import GRU_UNITS

OPSET, IR_VERSION = 17, 8


def to_onnx(weights: dict, mean: np.ndarray, scale: np.ndarray, metadata: dict) -> onnx.ModelProto:
    """The graph. `scale` multiplies: it is one over the standard deviation."""
    feature_count, dense_units = weights["dense_w"].shape
    horizon_count = weights["out_b"].size // 3
    constants = {
        "mean": mean, "scale": scale, "dense_weight": weights["dense_w"], "dense_bias": weights["dense_b"],
        "gru_weight": weights["gru_w"][None], "gru_recurrence": weights["gru_r"][None],
        "gru_bias": np.concatenate([weights["gru_wb"], weights["gru_rb"]])[None],
        "out_weight": weights["out_w"], "out_bias": weights["out_b"],
    }
    initializers = [numpy_helper.from_array(np.asarray(v, np.float32), name) for name, v in constants.items()]
    initializers.append(numpy_helper.from_array(np.array([1, horizon_count, 3], np.int64), "out_shape"))
    node = helper.make_node
    nodes = [
        node("Sub", ["features", "mean"], ["centred"], "centre"),
        node("Mul", ["centred", "scale"], ["normalised"], "normalise"),
        node("MatMul", ["normalised", "dense_weight"], ["dense_sums"], "dense"),
        node("Add", ["dense_sums", "dense_bias"], ["dense_biased"], "dense_add"),
        node("Relu", ["dense_biased"], ["dense_out"], "dense_relu"),
        node("GRU", ["dense_out", "gru_weight", "gru_recurrence", "gru_bias", "", "state_gru"],
             ["", "state_gru_next"], "gru", hidden_size=GRU_UNITS, linear_before_reset=1),
        node("MatMul", ["state_gru_next", "out_weight"], ["out_sums"], "out"),
        node("Add", ["out_sums", "out_bias"], ["out_biased"], "out_add"),
        node("Reshape", ["out_biased", "out_shape"], ["logits"], "out_reshape"),
        node("Softmax", ["logits"], ["probabilities"], "softmax", axis=-1),
    ]

    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes, "martlet", [value("features", [1, 1, feature_count]), value("state_gru", [1, 1, GRU_UNITS])],
        [value("probabilities", [1, horizon_count, 3]), value("state_gru_next", [1, 1, GRU_UNITS])], initializers)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="martlet")
    helper.set_model_props(model, {f"martlet.{key}": json.dumps(value) for key, value in sorted(metadata.items())})
    onnx.checker.check_model(model, full_check=True)
    return model


def save(model: onnx.ModelProto, path: pathlib.Path) -> None:
    """Writes the file; the same model gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def run(path: pathlib.Path, features: np.ndarray, reset: np.ndarray) -> np.ndarray:
    """Probabilities [N, H, 3] of the file for one stream, tick by tick, by ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    state = np.zeros((1, 1, GRU_UNITS), np.float32)
    rows = []
    for row, is_reset in zip(features, reset):
        if is_reset:
            state = np.zeros_like(state)
        out, state = session.run(
            ["probabilities", "state_gru_next"], {"features": row[None, None], "state_gru": state})
        rows.append(out[0])
    return np.array(rows)
