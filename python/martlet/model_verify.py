"""Compares what the engine said of some ticks with ONNX Runtime, and of a quantised model with the integer reference.

    python -m martlet.model_verify MODEL --data DIR

`martlet model verify --onnxruntime PYTHON` starts it. DIR/index.json names an array [ticks, values] for each input and for each
output of the engine. A model of the contract is stepped with its state, a free graph run once for each row. Each line that is
printed is one check as JSON: name, status (passed, failed or skipped) and detail.

32-bit floats: each output to 1e-5, relative to values above 1. A model with QuantizeLinear: the bits of the integer
reference; and ONNX Runtime with its optimisations off, fed the reference's state on each tick, within one quantum on 99.9 % of
ticks. A quantum is the step of the quantised values that the output is computed from last.
"""

from __future__ import annotations

import argparse
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from . import bench_models, integer_reference

#: ONNX Runtime's names of element types.
TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16, "tensor(bool)": np.bool_,
    "tensor(int8)": np.int8, "tensor(int16)": np.int16, "tensor(int32)": np.int32, "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8, "tensor(uint16)": np.uint16, "tensor(uint32)": np.uint32, "tensor(uint64)": np.uint64}
TOLERANCE = 1e-5
QUANTUM_SHARE = 0.999
RUNTIME = f"ONNX Runtime {onnxruntime.__version__}"


def check(name, is_passed, detail):
    return {"name": name, "status": "passed" if is_passed else "failed", "detail": detail}


def rows_of(array) -> np.ndarray:
    """[rows, values] in float32, whatever the shape and type."""
    array = np.asarray(array)
    return array.reshape(len(array), -1).astype(np.float32)


def distances(found, expected) -> np.ndarray:
    """Of each value, relative to expected ones above 1. One that is no number is infinitely far from one that is."""
    with np.errstate(invalid="ignore"):
        distance = np.abs(found.astype(np.float64) - expected) / np.maximum(1, np.abs(expected))
    distance[(found == expected) | (np.isnan(found) & np.isnan(expected))] = 0
    return np.where(np.isnan(distance), np.inf, distance)


def place(distance, found, expected, leading):
    row, element = np.unravel_index(np.argmax(distance), distance.shape)
    return (f"greatest difference {distance[row, element]:.3g} at tick {row + leading}, element {element}: "
            f"{found[row, element]}, expected {expected[row, element]}")


def compare_floats(name, found, expected, leading):
    if found.shape != expected.shape:
        return check(name, False, f"{found.shape} values, expected {expected.shape}")
    distance = distances(found, expected)
    return check(
        name, distance.max(initial=0) <= TOLERANCE,
        f"{len(found)} rows of {found.shape[1]}: {place(distance, found, expected, leading)}, limit {TOLERANCE}")


def compare_bits(name, found, expected, leading):
    if found.shape != expected.shape:
        return check(name, False, f"{found.shape} values, expected {expected.shape}")
    differs = found.view(np.uint32) != expected.view(np.uint32)
    if not differs.any():
        return check(name, True, f"{len(found)} rows of {found.shape[1]}: all bits are the same")
    distance = np.where(differs, np.abs(found - expected), -1)
    rows = f"{differs.any(axis=1).sum()} of {len(found)} rows differ"
    return check(name, False, f"{rows}; {place(distance, found, expected, leading)}")


def compare_quanta(name, found, expected, quantum, leading):
    if found.shape != expected.shape:
        return check(name, False, f"{found.shape} values, expected {expected.shape}")
    distance = np.abs(found.astype(np.float64) - expected)
    share = np.mean((distance <= quantum).all(axis=1))
    return check(
        name, share >= QUANTUM_SHARE,
        f"{100 * share:.2f} % of {len(found)} rows within one quantum, {quantum:.3g}, expected {100 * QUANTUM_SHARE} %; "
        f"{place(distance, found, expected, leading)}")


def quantum_of(graph, output):
    """The scale of the QuantizeLinear nodes that an output's path leads back to first; the greatest, if there are several."""
    constants = {array.name: numpy_helper.to_array(array) for array in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            value = helper.get_attribute_value(node.attribute[0])
            constants[node.output[0]] = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.array(value)
    producers = {name: node for node in graph.node for name in node.output}
    scales, waiting, seen = [], [output], set()
    while waiting:
        name = waiting.pop()
        node = producers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type == "QuantizeLinear" and node.input[1] in constants:
            scales.append(float(constants[node.input[1]].max()))
        else:
            waiting += node.input
    return max(scales, default=0.0)


def verify_model(model, features, engine, leading):
    """The checks of a model of the contract; `engine` holds [ticks, values] by output."""
    is_quantised = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    reference = integer_reference.IntegerReference(model) if is_quantised else None
    try:
        expected, runtime = bench_models.run(model, features, reference)
    except (NotImplementedError, ValueError) as error:
        if reference is None:
            raise
        yield {"name": "integer reference", "status": "skipped", "detail": f"{error}"}
        runtime, _ = bench_models.run(model, features)
        reference = None
    for name, found in engine.items():
        found = found[leading:]
        if reference is not None:
            yield compare_bits(f"integer reference, {name}", found, rows_of(expected[name]), leading)
        if is_quantised:
            yield compare_quanta(f"{RUNTIME}, {name}", found, rows_of(runtime[name]), quantum_of(model.graph, name), leading)
        else:
            yield compare_floats(f"{RUNTIME}, {name}", found, rows_of(expected[name]), leading)


def verify_graph(model, inputs, engine):
    """The checks of a free graph. A symbolic extent counts as 1; an input without rows is zero."""
    is_quantised = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    runtime = bench_models.session(model, is_optimised=not is_quantised)
    results = {name: [] for name in engine}
    for tick in range(len(next(iter(engine.values()), []))):
        feeds = {}
        for item in runtime.get_inputs():
            shape = [extent if isinstance(extent, int) else 1 for extent in item.shape]
            value = inputs[item.name][tick] if item.name in inputs else np.zeros(shape)
            feeds[item.name] = value.reshape(shape).astype(TYPES[item.type])
        for name, value in zip(results, runtime.run(list(results), feeds)):
            results[name].append(np.asarray(value))
    for name, found in engine.items():
        expected = rows_of(np.array(results[name]))
        if is_quantised:
            yield compare_quanta(f"{RUNTIME}, {name}", found, expected, quantum_of(model.graph, name), 0)
        else:
            yield compare_floats(f"{RUNTIME}, {name}", found, expected, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with index.json")
    arguments = parser.parse_args()
    index = json.loads((arguments.data / "index.json").read_text())
    inputs, engine = (
        {name: np.load(arguments.data / file) for name, file in sorted(index[side].items())} for side in ("inputs", "outputs"))
    model = onnx.load(arguments.model)
    if index["isContract"]:
        checks = verify_model(model, inputs["features"], engine, index["leadingTicks"])
    else:
        checks = verify_graph(model, inputs, engine)
    for item in checks:
        print(json.dumps(item), flush=True)


if __name__ == "__main__":
    main()
