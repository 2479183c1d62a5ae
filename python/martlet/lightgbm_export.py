"""Writes a LightGBM model as ONNX-ML trees, so that every float32 row takes the same way as in LightGBM.

    from martlet.lightgbm_export import to_onnx
    onnx.save(to_onnx(lightgbm.Booster(model_file="model.txt")), "model.onnx")

Regression becomes a TreeEnsembleRegressor, binary and multiclass a TreeEnsembleClassifier with the label and the probabilities.
LightGBM compares in float64: each threshold is rounded down to the next float32, which changes nothing for a float32 feature.
What ONNX cannot say is refused: categorical splits, zero as a missing value, objectives with another link function.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
LINKS = {"regression": "NONE", "regression_l1": "NONE", "huber": "NONE", "fair": "NONE", "quantile": "NONE", "mape": "NONE",
         "binary": "LOGISTIC", "multiclass": "SOFTMAX", "multiclassova": "LOGISTIC"}


def threshold_below(threshold: float) -> float:
    """The greatest float32 that is not above `threshold`."""
    largest = float(np.finfo(np.float32).max)
    if threshold < -largest:
        raise ValueError(f"a threshold of {threshold}, below all float32 numbers")
    rounded = np.float32(min(threshold, largest))
    if float(rounded) > threshold:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return float(rounded)


def _missing_goes_left(node: dict) -> bool:
    kind = node["missing_type"]
    if kind == "NaN":
        return node["default_left"]
    if kind == "None":  # LightGBM reads NaN as 0 then.
        return 0.0 <= node["threshold"]
    raise ValueError(f"a split of feature {node['split_feature']} takes zero as missing, which ONNX cannot say")


def _add_tree(root: dict, tree: int, nodes: dict, leaves: list) -> None:
    """Appends the nodes in preorder, without recursion: trees may be deep."""
    pending, number = [(root, None, "")], 0
    first = len(nodes["nodes_treeids"])
    while pending:
        node, parent, side = pending.pop()
        is_leaf = "leaf_value" in node
        if parent is not None:
            nodes[side][first + parent] = number
        if not is_leaf and node["decision_type"] != "<=":
            raise ValueError(f"a split of feature {node['split_feature']} is categorical, which is not supported")
        for key, value in [
                ("nodes_treeids", tree), ("nodes_nodeids", number), ("nodes_modes", "LEAF" if is_leaf else "BRANCH_LEQ"),
                ("nodes_featureids", 0 if is_leaf else node["split_feature"]),
                ("nodes_values", 0.0 if is_leaf else threshold_below(node["threshold"])),
                ("nodes_missing_value_tracks_true", 0 if is_leaf else int(_missing_goes_left(node))),
                ("nodes_truenodeids", 0), ("nodes_falsenodeids", 0)]:
            nodes[key].append(value)
        if is_leaf:
            leaves.append((tree, number, node["leaf_value"]))
        else:
            pending.append((node["right_child"], number, "nodes_falsenodeids"))
            pending.append((node["left_child"], number, "nodes_truenodeids"))
        number += 1


def to_onnx(booster, input_name: str = "features") -> onnx.ModelProto:
    """The graph: `input_name` [1, features] to `score` [1, 1], or to `label` [1] and `probabilities` [1, classes]."""
    model = booster.dump_model()
    objective, *options = model.get("objective", "regression").split()
    if objective not in LINKS or "sqrt" in options:
        raise ValueError(f"objective '{model.get('objective')}' is not supported")
    slope = 1.0
    for option in options:
        if option.startswith("sigmoid:"):
            slope = float(option.removeprefix("sigmoid:"))
    per_iteration = model["num_tree_per_iteration"]
    keys = ("treeids", "nodeids", "modes", "featureids", "values", "missing_value_tracks_true", "truenodeids", "falsenodeids")
    nodes, leaves = {f"nodes_{key}": [] for key in keys}, []
    for index, tree in enumerate(model["tree_info"]):
        _add_tree(tree["tree_structure"], index, nodes, leaves)
    if model.get("average_output"):
        slope /= len(model["tree_info"]) / per_iteration
    prefix = "target" if LINKS[objective] == "NONE" else "class"
    attributes = nodes | {
        f"{prefix}_treeids": [tree for tree, _, _ in leaves], f"{prefix}_nodeids": [node for _, node, _ in leaves],
        f"{prefix}_ids": [tree % per_iteration for tree, _, _ in leaves],
        f"{prefix}_weights": [value * slope for _, _, value in leaves], "post_transform": LINKS[objective]}
    features = model["max_feature_idx"] + 1
    value = helper.make_tensor_value_info
    if prefix == "target":
        attributes["n_targets"] = per_iteration
        operator, outputs = "TreeEnsembleRegressor", [value("score", TensorProto.FLOAT, [1, per_iteration])]
    else:
        classes = max(2, per_iteration)
        attributes["classlabels_int64s"] = list(range(classes))
        operator = "TreeEnsembleClassifier"
        outputs = [value("label", TensorProto.INT64, [1]), value("probabilities", TensorProto.FLOAT, [1, classes])]
    node = helper.make_node(operator, [input_name], [o.name for o in outputs], "trees", domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph([node], "lightgbm", [value(input_name, TensorProto.FLOAT, [1, features])], outputs)
    result = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION, producer_name="martlet")
    onnx.checker.check_model(result)
    return result
