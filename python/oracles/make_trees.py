"""Makes small ONNX tree ensembles and, with ONNX Runtime, their outputs for some rows.

    make_trees.py OUT [--rows N]

For each ensemble NAME the folder OUT gets NAME.onnx, NAME.features.f32 (rows by features, little-endian), NAME.scores.f32 (rows
by outputs) and for a classifier NAME.labels.i64; for labels that are text these are their indices. `trees.txt` lists them:
name, features, outputs, "labels" or "-". A fifth of the features are thresholds, zeros, infinities and NaN.
"""

import argparse
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
THRESHOLDS = np.array([-2, -1, -0.5, -0.0, 0, 0.25, 0.5, 1, 3], np.float32)


def random_trees(random, trees, leaves, features, modes=MODES, missing=True):
    """Nodes as lists by attribute, in preorder, and the leaves as (tree, node)."""
    keys = ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true")
    nodes, found = {f"nodes_{key}": [] for key in keys}, []
    for tree in range(trees):
        first, pending = len(nodes["nodes_treeids"]), [(int(random.integers(max(1, leaves // 2), leaves + 1)), None, "")]
        while pending:
            count, parent, side = pending.pop()
            number = len(nodes["nodes_treeids"]) - first
            if parent is not None:
                nodes[side][first + parent] = number
            mode = "LEAF" if count == 1 else str(random.choice(modes))
            # ONNX Runtime sends NaN to the true side of an unequal test whatever the file says; here both say so.
            tracks = int(mode == "BRANCH_NEQ" or (missing and random.random() < 0.5)) if count > 1 else 0
            values = (tree, number, mode, int(random.integers(features)), float(random.choice(THRESHOLDS)), 0, 0, tracks)
            for key, value in zip(keys, values):
                nodes[f"nodes_{key}"].append(value)
            if count == 1:
                found.append((tree, number))
                continue
            left = int(random.integers(1, count))
            pending.append((count - left, number, "nodes_falsenodeids"))
            pending.append((left, number, "nodes_truenodeids"))
    return nodes, found


def votes(random, prefix, leaves, targets, share=1.0, positive=False):
    """Votes of each leaf for some of the targets, at least one."""
    rows = []
    for tree, node in leaves:
        chosen = [t for t in targets if random.random() < share] or [targets[0]]
        rows += [(tree, node, t, float(np.float32(random.random() if positive else random.standard_normal()))) for t in chosen]
    keys = ("treeids", "nodeids", "ids", "weights")
    return {f"{prefix}_{key}": [row[i] for row in rows] for i, key in enumerate(keys)}


def model(operator, attributes, features, outputs, version):
    node = helper.make_node(operator, ["features"], [o.name for o in outputs], "trees", domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph(
        [node], "trees", [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, features])], outputs)
    result = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", version)], ir_version=8)
    onnx.checker.check_model(result)
    return result


def regressor(features, targets, nodes, leaf_votes, **attributes):
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, targets])]
    return model("TreeEnsembleRegressor", nodes | leaf_votes | attributes | {"n_targets": targets}, features, outputs, 3)


def classifier(features, labels, nodes, leaf_votes, **attributes):
    kind = TensorProto.STRING if isinstance(labels[0], str) else TensorProto.INT64
    key = "classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s"
    outputs = [helper.make_tensor_value_info("label", kind, [1]),
               helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, len(labels)])]
    return model("TreeEnsembleClassifier", nodes | leaf_votes | attributes | {key: labels}, features, outputs, 3)


def version5(random, features, targets, nodes, leaves, **attributes):
    """The same trees as the operator TreeEnsemble has them; every third test becomes a membership. No tree is a leaf."""
    tree_of, modes = nodes["nodes_treeids"], nodes["nodes_modes"]
    branch = {(tree_of[i], nodes["nodes_nodeids"][i]): k
              for k, i in enumerate(i for i, mode in enumerate(modes) if mode != "LEAF")}
    leaf = {key: k for k, key in enumerate(leaves)}
    result = {key: [] for key in ("nodes_featureids", "nodes_truenodeids", "nodes_trueleafs", "nodes_falsenodeids",
                                  "nodes_falseleafs", "nodes_missing_value_tracks_true", "tree_roots")}
    numbers, splits, members = [], [], []
    for i, mode in enumerate(modes):
        if mode == "LEAF":
            continue
        if nodes["nodes_nodeids"][i] == 0:
            result["tree_roots"].append(len(numbers))
        is_member = attributes.get("members", False) and random.random() < 1 / 3
        numbers.append(6 if is_member else MODES.index(mode))
        splits.append(nodes["nodes_values"][i])
        if is_member:
            members += [*random.choice(THRESHOLDS[4:], 3, replace=False).tolist(), float("nan")]
        for side in ("true", "false"):
            child = (tree_of[i], nodes[f"nodes_{side}nodeids"][i])
            result[f"nodes_{side}leafs"].append(int(child in leaf))
            result[f"nodes_{side}nodeids"].append(leaf[child] if child in leaf else branch[child])
        result["nodes_featureids"].append(nodes["nodes_featureids"][i])
        result["nodes_missing_value_tracks_true"].append(nodes["nodes_missing_value_tracks_true"][i])
    result["nodes_modes"] = numpy_helper.from_array(np.array(numbers, np.uint8))
    result["nodes_splits"] = numpy_helper.from_array(np.array(splits, np.float32))
    result["leaf_weights"] = numpy_helper.from_array(random.standard_normal(len(leaves)).astype(np.float32))
    result["leaf_targetids"] = random.integers(0, targets, len(leaves)).tolist()
    if members:
        result["membership_values"] = numpy_helper.from_array(np.array(members, np.float32))
    attributes.pop("members", None)
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, targets])]
    return model("TreeEnsemble", result | attributes | {"n_targets": targets}, features, outputs, 5)


def ensembles():
    """Name and model of each."""
    random = np.random.default_rng(7)

    def trees(count, leaves, features, **options):
        return random_trees(random, count, leaves, features, **options)

    nodes, leaves = trees(37, 12, 9)
    yield "sum", regressor(9, 1, nodes, votes(random, "target", leaves, [0]), base_values=[0.25])
    for name, function, targets in (("average", "AVERAGE", 2), ("minimum", "MIN", 3), ("maximum", "MAX", 1)):
        nodes, leaves = trees(11, 8, 5)
        yield name, regressor(5, targets, nodes, votes(random, "target", leaves, list(range(targets)), 0.7),
                              aggregate_function=function, base_values=[0.5, -0.25, 1.0][:targets])
    for name in ("SOFTMAX", "SOFTMAX_ZERO", "LOGISTIC"):
        nodes, leaves = trees(6, 20, 7)
        yield name.lower(), regressor(
            7, 3, nodes, votes(random, "target", leaves, [0, 1, 2], 0.6), post_transform=name)
    nodes, leaves = trees(3, 300, 40, modes=["BRANCH_LEQ"])
    yield "wide", regressor(40, 1, nodes, votes(random, "target", leaves, [0]))
    for name, ids, positive, transform, base in (
            ("binary", [0], False, "LOGISTIC", [0.125]), ("binary_plain", [0], False, "NONE", []),
            ("binary_positive", [0], True, "NONE", []), ("binary_second", [1], True, "NONE", [])):
        nodes, leaves = trees(5 if positive else 20, 9, 6)
        leaf_votes = votes(random, "class", leaves, ids, positive=positive)
        if positive:
            leaf_votes["class_weights"] = [w / 5 for w in leaf_votes["class_weights"]]
        extra = {"base_values": base} if base else {}
        yield name, classifier(6, [4, -9], nodes, leaf_votes, post_transform=transform, **extra)
    nodes, leaves = trees(12, 7, 6)
    yield "three", classifier(6, [5, 3, 9], nodes, votes(random, "class", leaves, [0, 1, 2]), post_transform="SOFTMAX",
                              base_values=[0.1, -0.2, 0.3])
    nodes, leaves = trees(12, 7, 6)
    by_tree = votes(random, "class", leaves, [0])
    by_tree["class_ids"] = [tree % 4 for tree in by_tree["class_treeids"]]
    yield "four_names", classifier(6, ["up", "down", "flat", "none"], nodes, by_tree, post_transform="LOGISTIC")
    nodes, leaves = random_trees(random, 10, 11, 6)
    yield "version5", version5(random, 6, 2, nodes, leaves, aggregate_function=0)
    nodes, leaves = random_trees(random, 4, 9, 6, modes=MODES[:4])
    yield "member", version5(random, 6, 1, nodes, leaves, members=True)


def rows(random, count, features):
    values = random.standard_normal((count, features)).astype(np.float32)
    special = np.concatenate([THRESHOLDS, np.array([np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.4e38], np.float32)])
    mask = random.random(values.shape) < 0.2
    values[mask] = random.choice(special, mask.sum())
    return values


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=48)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, net in ensembles():
        name = f"trees_{name}"
        width = net.graph.input[0].type.tensor_type.shape.dim[1].dim_value
        features = rows(np.random.default_rng(len(lines)), arguments.rows, width)
        session = onnxruntime.InferenceSession(net.SerializeToString(), providers=["CPUExecutionProvider"])
        results = [session.run(None, {"features": row[None]}) for row in features]
        scores = np.concatenate([result[-1].reshape(1, -1) for result in results])
        assert np.isfinite(scores).all(), name
        has_labels = len(results[0]) == 2
        if net.graph.output[0].type.tensor_type.elem_type == TensorProto.STRING:
            del net.graph.output[0]  # Text is no value of a Martlet graph; the node still makes it.
        (arguments.out / f"{name}.onnx").write_bytes(net.SerializeToString(deterministic=True))
        features.astype("<f4").tofile(arguments.out / f"{name}.features.f32")
        scores.astype("<f4").tofile(arguments.out / f"{name}.scores.f32")
        if has_labels:
            labels = [result[0][0] for result in results]
            names = [a for a in net.graph.node[0].attribute if a.name == "classlabels_strings"]
            if names:
                labels = [list(names[0].strings).index(label.encode()) for label in labels]
            np.array(labels, "<i8").tofile(arguments.out / f"{name}.labels.i64")
        lines.append(f"{name} {width} {scores.shape[1]} {'labels' if has_labels else '-'}\n")
    (arguments.out / "trees.txt").write_text("".join(lines))
    print("done", flush=True)


if __name__ == "__main__":
    main()
