"""Writes the models of the speed measurements as ONNX files by the model contract (docs/MODEL.md), weights random.

    python -m martlet.bench_models --out DIR [--only NAME ...] [--seed N]

Each model NAME.VARIANT.onnx has a folder NAME.VARIANT.data with features.npy [ticks, F], each expected output OUTPUT.npy
[ticks - window + 1, …], each last state state_S_next.npy, and data.json. Row n of an output belongs to the tick
n + window - 1: a window model has an output once its window is full. The state starts at zero and goes round.

A recurrent step of integers is one LSTM or GRU whose input, previous state and weights come from DequantizeLinear; the
variant int8-explicit has the same as products and gates, node by node.

float32: expected is ONNX Runtime. int8: expected is the integer reference, to the bit; onnxruntime/OUTPUT.npy is what ONNX
Runtime gives with its optimisations off, fed the reference's state at each tick. `models.json` lists all files with their
multiply-adds and density. A model's window and step forms have the same weights and features.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import zlib

import numpy as np
import onnx
import onnxruntime

from . import bench_trees, integer_reference
from .bench_graph import BLOCK90, DENSE, INT8, INT8_BLOCK90, INT8_EXPLICIT, Graph

FLOAT, ALL = (DENSE, BLOCK90), (DENSE, BLOCK90, INT8, INT8_BLOCK90)
RECURRENT = (*ALL, INT8_EXPLICIT)
#: Ticks with an expected output. Of trees so many that no branch predictor learns them by heart.
TICKS, TREE_TICKS = 200, 4000
#: Dilations double, so that the last output of the six layers sees 127 ticks.
TCN_LAYERS, TCN_CHANNELS, TCN_KERNEL = 6, 32, 3
LEAK = 0.01
TREES, TREE_FEATURES, TREE_LEAVES = 250, 60, 11


def mlp(net: Graph, sizes, style):
    value, kind = net.reshape("features", 1, sizes[0]), "features"
    for inputs, outputs in zip(sizes, sizes[1:]):
        value, kind = net.linear(value, kind, inputs, outputs, "Relu", style=style), "relu"
    net.head(value, kind, sizes[-1])


def recurrent(net: Graph, cell, inputs, units, layers):
    """One step with state; a window of several ticks starts from zero instead and gives its last output."""
    value, kind, is_step = "features", "features", net.window == 1
    if not is_step:
        value = net.node("Transpose", [value], perm=[1, 0, 2])
    for layer in range(layers):
        options = {} if cell == "gru" else {"steps": net.window, "has_state": is_step}
        value = getattr(net, cell)(value, kind, inputs, units, f"h{layer}", **options)
        inputs, kind = units, "hidden"
    if not is_step:
        value = net.slice(value, net.window - 1, net.window, 0)
    net.head(value, kind, units)


def tcn(net: Graph):
    """Causal convolutions. A window is padded with zeros in front of each layer; a step keeps what each layer read before."""
    value, kind, channels = net.node("Transpose", ["features"], perm=[0, 2, 1]), "features", net.features
    is_step = net.window == 1
    for layer in range(TCN_LAYERS):
        dilation = 2**layer
        past = dilation * (TCN_KERNEL - 1)
        if is_step:
            shape = [1, channels, past]
            value = net.node("Concat", [net.state(f"conv{layer}", shape), value], axis=2)
            net.next_state(f"conv{layer}", net.slice(value, 1, past + 1, 2), shape)
        else:
            value = net.node("Pad", [value, net.constant(np.array([0, 0, past, 0, 0, 0], np.int64))])
        value = net.convolution(
            value, kind, channels, TCN_CHANNELS, [TCN_KERNEL], net.window, dilations=[dilation])
        value, kind, channels = net.node("Relu", [value]), "relu", TCN_CHANNELS
    net.head(value if is_step else net.slice(value, net.window - 1, net.window, 2), kind, channels)


class DeepLOB:
    """Zhang, Zohren and Roberts 2019, as its authors' program has it: batch-norm after each LeakyReLU.

    The step form is the causal one: convolutions keep what they read before, those of the inception block look back only, and
    the LSTM's state goes on. That is another function than the window's.
    """

    CHANNELS, INCEPTION, UNITS = 32, 64, 64

    def __init__(self, net: Graph):
        self.net, self.is_step, self.rows, self.layers = net, net.window == 1, net.window, 0

    def convolution(self, value, inputs, outputs, kernel, width, stride=1, is_same=False):
        """A convolution over [1, inputs, rows, columns] that leaves `width` columns, with its activation and norm."""
        net, past = self.net, kernel[0] - 1
        pads = [0, 0, 0, 0]
        if self.is_step and past:
            value = self.with_past(value, [1, inputs, past, width])
        elif is_same:
            pads = [past // 2, 0, past // 2, 0]
        elif not self.is_step:
            self.rows -= past
        value = net.convolution(
            value, "", inputs, outputs, kernel, self.rows * width, strides=[1, stride], pads=pads)
        return self.norm(net.node("LeakyRelu", [value], alpha=LEAK), outputs)

    def with_past(self, value, shape):
        net, name = self.net, f"conv{self.layers}"
        self.layers += 1
        value = net.node("Concat", [net.state(name, shape), value], axis=2)
        net.next_state(name, net.slice(value, 1, shape[2] + 1, 2), shape)
        return value

    def norm(self, value, channels):
        random = self.net.random
        parameters = (
            random.uniform(0.8, 1.2, channels), random.normal(0, 0.1, channels), random.normal(0.3, 0.1, channels),
            random.uniform(0.8, 1.2, channels))
        return self.net.node("BatchNormalization", [value, *map(self.net.constant, parameters)])

    def inception(self, value):
        one, three = [1, 1], [3, 1]
        short = self.convolution(value, self.CHANNELS, self.INCEPTION, one, 1)
        short = self.convolution(short, self.INCEPTION, self.INCEPTION, three, 1, is_same=True)
        long = self.convolution(value, self.CHANNELS, self.INCEPTION, one, 1)
        long = self.convolution(long, self.INCEPTION, self.INCEPTION, [5, 1], 1, is_same=True)
        pads = [1, 0, 1, 0]
        if self.is_step:
            value, pads = self.with_past(value, [1, self.CHANNELS, 2, 1]), [0, 0, 0, 0]
        pooled = self.net.node("MaxPool", [value], kernel_shape=three, strides=one, pads=pads)
        pooled = self.convolution(pooled, self.CHANNELS, self.INCEPTION, one, 1)
        return self.net.node("Concat", [short, long, pooled], axis=1)

    def build(self):
        net, count = self.net, self.CHANNELS
        value, inputs = net.reshape("features", 1, 1, net.window, net.features), 1
        for width, kernel, stride in ((20, [1, 2], 2), (10, [1, 2], 2), (1, [1, 10], 1)):
            value = self.convolution(value, inputs, count, kernel, width, stride)
            inputs = count
            for _ in range(2):
                value = self.convolution(value, count, count, [4, 1], width)
        value = self.inception(value)
        value = net.reshape(value, 1, 3 * self.INCEPTION, self.rows)
        value = net.node("Transpose", [value], perm=[2, 0, 1])
        value = net.lstm(
            value, "", 3 * self.INCEPTION, self.UNITS, "lstm", steps=self.rows, has_state=self.is_step)
        if not self.is_step:
            value = net.slice(value, self.rows - 1, self.rows, 0)
        net.head(value, "hidden", self.UNITS)


def bilinear_normalisation(net: Graph, value):
    """BiN (Tran et al. 2021): [1, features, ticks] normalised along each axis, each with a scale and offset, then mixed."""
    parts = []
    for axis, count, shape in ((2, net.window, (net.features, 1)), (1, net.features, (1, net.window))):
        centred = net.node("Sub", [value, net.node("ReduceMean", [value], axes=[axis])])
        square = net.node("ReduceMean", [net.node("Mul", [centred, centred])], axes=[axis])
        unbiased = net.node("Mul", [square, net.constant(np.float32(count / (count - 1)))])
        deviation = net.node("Clip", [net.node("Sqrt", [unbiased]), net.constant(np.float32(1e-4))])
        part = net.node("Mul", [net.node("Div", [centred, deviation]), net.constant(net.random.uniform(0.8, 1.2, shape))])
        part = net.node("Add", [part, net.constant(net.random.normal(0, 0.1, shape))])
        parts.append(net.node("Mul", [part, net.constant(np.float32(0.5))]))
    net.multiply_adds += 6 * net.features * net.window
    return net.node("Add", parts)


def binctabl(net: Graph):
    """BiN-C(TABL) 40×10: two bilinear layers and one with temporal attention, over a window of ten ticks."""
    value = bilinear_normalisation(net, net.node("Transpose", ["features"], perm=[0, 2, 1]))
    rows, ticks = net.features, net.window

    def product(value, outputs, is_last=False):
        net.multiply_adds += outputs * rows * ticks
        weight = net.constant(net.weights(outputs, rows, gain=np.sqrt(2), is_last=is_last), "weight")
        return net.node("MatMul", [weight, value])

    def mix(value, rows, outputs, is_last=False):
        net.multiply_adds += rows * ticks * outputs
        weight = net.weights(outputs, ticks, is_last=is_last).T
        return net.node("MatMul", [value, net.constant(np.ascontiguousarray(weight), "weight")])

    def biased(value, *shape):
        return net.node("Add", [value, net.constant(net.random.normal(0, 0.1, shape), "bias")])

    for outputs, next_ticks in ((60, 10), (120, 5)):
        value = net.node("Relu", [biased(mix(product(value, outputs), outputs, next_ticks), outputs, next_ticks)])
        rows, ticks = outputs, next_ticks
    value = product(value, 3, is_last=True)
    attention = net.random.normal(0, 0.3, (ticks, ticks))
    np.fill_diagonal(attention, 1 / ticks)
    net.multiply_adds += 3 * ticks * ticks
    attention = net.node("Softmax", [net.node("MatMul", [value, net.constant(attention, "weight")])], axis=-1)
    attended = net.node("Mul", [net.node("Mul", [value, attention]), net.constant(np.float32(0.5))])
    value = net.node("Add", [attended, net.node("Mul", [value, net.constant(np.float32(0.5))])])
    net.probabilities(biased(mix(value, 3, 1, is_last=True), 3, 1))


def tree_model(net: Graph, trees):
    """The sum of the leaves is the expected return; the probabilities follow from it."""
    attributes = bench_trees.onnx_attributes(trees)
    score = net.node(
        "TreeEnsembleRegressor", [net.reshape("features", 1, net.features)], domain="ai.onnx.ml", **attributes)
    net.output(score, "expected_return", [1, 1])
    net.probabilities(net.node("Mul", [score, net.constant(np.array([[-1, 0, 1]], np.float32))]))


#: Name: (features, window, variants, what gives the weights their seed, builder)
MODELS = {
    "a_mlp": (40, 1, ALL, "a", lambda net: mlp(net, [40, 64, 64], "Gemm")),
    "b_mlp": (144, 1, ALL, "b", lambda net: mlp(net, [144, 256, 128], "MatMul")),
    "c_lstm": (40, 1, RECURRENT, "c", lambda net: recurrent(net, "lstm", 40, 64, 1)),
    "d_gru": (40, 1, RECURRENT, "d", lambda net: recurrent(net, "gru", 40, 128, 2)),
    "e_deeplob_window": (40, 100, FLOAT, "e", lambda net: DeepLOB(net).build()),
    "e_deeplob_step": (40, 1, FLOAT, "e", lambda net: DeepLOB(net).build()),
    "f_tcn_window": (40, 100, FLOAT, "f", tcn),
    "f_tcn_window127": (40, 127, ALL, "f", tcn),
    "f_tcn_step": (40, 1, ALL, "f", tcn),
    "g_binctabl": (40, 10, FLOAT, "g", binctabl),
    "A_lstm_window": (100, 50, FLOAT, "A", lambda net: recurrent(net, "lstm", 100, 100, 2)),
    "A_lstm_step": (100, 1, RECURRENT, "A", lambda net: recurrent(net, "lstm", 100, 100, 2)),
    "trees": (TREE_FEATURES, 1, (DENSE,), "trees", None),
}


def seeded(seed: int, text: str) -> int:
    return seed * 1_000_003 + zlib.crc32(text.encode())


def ticks(random: np.random.Generator, count: int, features: int) -> np.ndarray:
    """Features of mean 0 and variance 1 that change slowly."""
    rows = random.normal(0, 1, (count, features))
    for tick in range(1, count):
        rows[tick] = 0.9 * rows[tick - 1] + np.sqrt(1 - 0.81) * rows[tick]
    return rows.astype(np.float32)


def session(model: onnx.ModelProto, is_optimised: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not is_optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model: onnx.ModelProto, features: np.ndarray, reference=None) -> tuple[dict, dict]:
    """(Expected outputs and last states, ONNX Runtime's outputs) of all ticks.

    With a reference that is expected, and ONNX Runtime is fed its state at each tick.
    """
    runtime = session(model, is_optimised=reference is None)
    shapes = {item.name: item.shape for item in runtime.get_inputs()}
    state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if name.startswith("state_")}
    names = [item.name for item in runtime.get_outputs()]
    window, rows, runtime_rows = shapes["features"][1], {}, {}
    for tick in range(window, len(features) + 1):
        inputs = features[None, tick - window:tick]
        theirs = dict(zip(names, runtime.run(names, {"features": inputs, **state})))
        expected = theirs if reference is None else reference.step(inputs)
        for name in names:
            if not name.startswith("state_"):
                rows.setdefault(name, []).append(expected[name][0])
                runtime_rows.setdefault(name, []).append(theirs[name][0])
        state = {name: expected[f"{name}_next"] for name in state}
    outputs = {name: np.array(values, np.float32) for name, values in rows.items()}
    outputs |= {f"{name}_next": value for name, value in state.items()}
    return outputs, {name: np.array(values, np.float32) for name, values in runtime_rows.items()}


def make(name: str, variant, seed: int) -> tuple[Graph, list]:
    """The graph of a model, and its trees if it has any."""
    features, window, _, stem, build = MODELS[name]
    net = Graph(f"{name}.{variant.name}", features, variant, seeded(seed, f"{stem} weights"), window)
    if build is not None:
        build(net)
        return net, []
    trees = bench_trees.forest(seeded(seed, stem), TREES, features, TREE_LEAVES)
    tree_model(net, trees)
    return net, trees


def write(out: pathlib.Path, name: str, variant, seed: int) -> dict:
    """Writes one model with its data; returns its line of models.json."""
    net, trees = make(name, variant, seed)
    model, file = net.model(), f"{name}.{variant.name}.onnx"
    (out / file).write_bytes(model.SerializeToString(deterministic=True))
    if trees:
        (out / f"{name}.lightgbm.txt").write_text(bench_trees.lightgbm_text(trees, net.features))
    random = np.random.default_rng(seeded(seed, f"{MODELS[name][3]} features"))
    count = TREE_TICKS if trees else TICKS
    features = ticks(random, count + net.window - 1, net.features)
    reference = integer_reference.IntegerReference(model) if variant.is_integer else None
    outputs, runtime_outputs = run(model, features, reference)
    line = {
        "name": name, "variant": variant.name, "macs": net.multiply_adds, "density": round(net.density, 4)}
    return write_data(out / file, features, outputs, runtime_outputs if variant.is_integer else {}, line)


def write_data(path: pathlib.Path, features, outputs: dict, runtime_outputs: dict, line: dict) -> dict:
    """Writes the data folder of a model file; returns what its data.json says: `line` and more.

    With outputs of ONNX Runtime beside, those expected are the integer reference's, to the bit unless `line` says otherwise.
    """
    data = path.with_suffix(".data")
    data.mkdir(exist_ok=True)
    np.save(data / "features.npy", features)
    for output, value in outputs.items():
        np.save(data / f"{output}.npy", value)
    if runtime_outputs:
        (data / "onnxruntime").mkdir(exist_ok=True)
        for output, value in runtime_outputs.items():
            np.save(data / "onnxruntime" / f"{output}.npy", value)
    ticks = len(outputs["probabilities"])
    expected = "integer reference" if runtime_outputs else f"onnxruntime {onnxruntime.__version__}"
    line = {"expected": expected} | line | {
        "file": path.name, "window": len(features) - ticks + 1, "features": features.shape[1], "ticks": ticks}
    (data / "data.json").write_text(json.dumps(line, indent=1) + "\n")
    return line


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the files")
    parser.add_argument("--only", nargs="+", choices=MODELS, help="these models only")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, (_, _, variants, _, _) in MODELS.items():
        for variant in variants if arguments.only is None or name in arguments.only else ():
            line = write(arguments.out, name, variant, arguments.seed)
            lines.append(line)
            print(f"{line['file']:34} {line['macs']:>10} multiply-adds, density {line['density']}", flush=True)
    (arguments.out / "models.json").write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
