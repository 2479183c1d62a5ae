"""Random gradient-boosted trees of the speed measurements, as an ONNX operator and as LightGBM's text format.

Trees grow leaf by leaf, as LightGBM's do: the leaf that most ticks reach is split, with some chance, at a threshold inside
the interval that its path leaves open, so that every leaf is reached.
"""

from __future__ import annotations

import dataclasses
import statistics

import numpy as np

NORMAL = statistics.NormalDist()


@dataclasses.dataclass
class Tree:
    """Inner nodes and leaves apart; a child below zero is the leaf ~child, as in LightGBM. Left where value <= threshold."""

    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    value: list[float]


def grow(random: np.random.Generator, features: int, leaves: int) -> Tree:
    """One tree for features that are normally distributed."""
    tree = Tree([], [], [], [], [0.0])
    # Of each leaf: the share of ticks that reach it, the open interval of each feature as probabilities, and its parent.
    open_leaves = [(1.0, {}, None)]
    while len(open_leaves) < leaves:
        weights = np.array([share for share, _, _ in open_leaves]) ** 0.5
        leaf = int(random.choice(len(open_leaves), p=weights / weights.sum()))
        share, intervals, parent = open_leaves[leaf]
        feature = int(random.integers(features))
        low, high = intervals.get(feature, (0.0, 1.0))
        part = random.uniform(0.2, 0.8)
        threshold = np.float32(NORMAL.inv_cdf(low + part * (high - low)))
        node, new_leaf = len(tree.feature), len(open_leaves)
        tree.feature.append(feature)
        tree.threshold.append(float(threshold))
        tree.left.append(~leaf)
        tree.right.append(~new_leaf)
        if parent is not None:
            side = tree.left if parent[1] == "left" else tree.right
            side[parent[0]] = node
        middle = NORMAL.cdf(float(threshold))
        open_leaves[leaf] = (share * part, {**intervals, feature: (low, middle)}, (node, "left"))
        open_leaves.append((share * (1 - part), {**intervals, feature: (middle, high)}, (node, "right")))
    tree.value = [float(np.float32(value)) for value in random.normal(0, 0.05, leaves)]
    return tree


def forest(seed: int, trees: int, features: int, leaves: int) -> list[Tree]:
    random = np.random.default_rng(seed)
    return [grow(random, features, leaves) for _ in range(trees)]


def onnx_attributes(trees: list[Tree]) -> dict:
    """The attributes of a TreeEnsembleRegressor that sums the leaves."""
    nodes = {key: [] for key in (
        "treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
    targets = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for number, tree in enumerate(trees):
        inner = len(tree.feature)

        def identifier(child):
            return child if child >= 0 else inner + ~child

        for node in range(inner + len(tree.value)):
            is_leaf = node >= inner
            nodes["treeids"].append(number)
            nodes["nodeids"].append(node)
            nodes["featureids"].append(0 if is_leaf else tree.feature[node])
            nodes["values"].append(0.0 if is_leaf else tree.threshold[node])
            nodes["modes"].append("LEAF" if is_leaf else "BRANCH_LEQ")
            nodes["truenodeids"].append(0 if is_leaf else identifier(tree.left[node]))
            nodes["falsenodeids"].append(0 if is_leaf else identifier(tree.right[node]))
            if is_leaf:
                targets["treeids"].append(number)
                targets["nodeids"].append(node)
                targets["ids"].append(0)
                targets["weights"].append(tree.value[node - inner])
    attributes = {f"nodes_{key}": values for key, values in nodes.items()}
    attributes |= {f"target_{key}": values for key, values in targets.items()}
    return {**attributes, "n_targets": 1, "aggregate_function": "SUM", "post_transform": "NONE"}


def lightgbm_text(trees: list[Tree], features: int) -> str:
    """A model file that LightGBM and lleaves read."""
    blocks = [_tree_text(number, tree) for number, tree in enumerate(trees)]
    header = [
        "tree", "version=v4", "num_class=1", "num_tree_per_iteration=1", "label_index=0",
        f"max_feature_idx={features - 1}", "objective=regression",
        "feature_names=" + " ".join(f"f{number}" for number in range(features)),
        "feature_infos=" + " ".join(["[-10:10]"] * features),
        "tree_sizes=" + " ".join(str(len(block)) for block in blocks), "", ""]
    return "\n".join(header) + "".join(blocks) + "end of trees\n\npandas_categorical:null\n"


def _tree_text(number: int, tree: Tree) -> str:
    inner, leaves = len(tree.feature), len(tree.value)
    rows = {
        "split_feature": tree.feature, "split_gain": [1] * inner, "threshold": map(repr, tree.threshold),
        # Numerical, and nothing is missing.
        "decision_type": [2] * inner,
        "left_child": tree.left, "right_child": tree.right, "leaf_value": map(repr, tree.value),
        "leaf_weight": [1] * leaves, "leaf_count": [1] * leaves,
        "internal_value": [0] * inner, "internal_weight": [1] * inner, "internal_count": [1] * inner}
    lines = [f"Tree={number}", f"num_leaves={leaves}", "num_cat=0"]
    lines += [f"{key}=" + " ".join(map(str, values)) for key, values in rows.items()]
    return "\n".join([*lines, "is_linear=0", "shrinkage=1", "", "", ""])
