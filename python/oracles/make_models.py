"""Makes a zoo of small ONNX models and, with ONNX Runtime, their outputs over a few hundred ticks.

    make_models.py zoo OUT [--steps N] [--only NAME ...]

For each model NAME the folder OUT gets NAME.onnx, NAME.features.f32 (ticks by features, little-endian) and for each
output NAME.OUTPUT.f32 (ticks by elements). `zoo.txt` lists them: name, ticks, features, then output:elements.
"""

import argparse
import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8


class Net:
    """A graph under construction. Values are names; every method returns the name of its result."""

    def __init__(self, features, horizons=1, seed=1):
        self.random = np.random.default_rng(seed)
        self.features = features
        self.horizons = horizons
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []
        self.inputs.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 1, features]))
        self.counter = 0

    def name(self, stem):
        self.counter += 1
        return f"{stem}_{self.counter}"

    def constant(self, array, stem="c"):
        name = self.name(stem)
        dtype = np.int64 if np.asarray(array).dtype.kind == "i" else np.float32
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def node(self, operator, inputs, outputs=1, **attributes):
        names = [self.name(operator.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def output(self, value, name, shape):
        self.nodes.append(helper.make_node("Identity", [value], [name], name=f"out_{name}"))
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def state(self, name, shape):
        self.inputs.append(helper.make_tensor_value_info(f"state_{name}", TensorProto.FLOAT, shape))
        return f"state_{name}"

    def next_state(self, name, value, shape):
        self.output(value, f"state_{name}_next", shape)

    # Weights. Blocks run along the outputs: 16 of them, or 8 units times the gates.

    def weights(self, outputs, inputs, density=1.0, gates=0, unstructured=False):
        w = self.random.normal(0, 1 / np.sqrt(max(inputs, 1)), (outputs, inputs)).astype(np.float32)
        if density >= 1:
            return w
        if unstructured:
            return (w * (self.random.random(w.shape) < density)).astype(np.float32)
        units = outputs // gates if gates else outputs
        group = 8 if gates else 16
        for start in range(0, units, group):
            kept = np.zeros(inputs, bool)
            kept[self.random.permutation(inputs)[: max(1, round(density * inputs))]] = True
            for gate in range(max(gates, 1)):
                w[gate * units + start : gate * units + min(start + group, units), ~kept] = 0
        return w

    def flat(self, value, size):
        return self.node("Reshape", [value, self.constant(np.array([1, size]))])

    def gemm(self, value, inputs, outputs, activation=None, density=1.0, **options):
        w = self.weights(outputs, inputs, density, **options)
        b = self.random.normal(0, 0.1, outputs)
        value = self.node("Gemm", [value, self.constant(w, "w"), self.constant(b, "b")], transB=1)
        return self.node(activation, [value]) if activation else value

    def matmul(self, value, inputs, outputs, activation=None, density=1.0):
        w = self.weights(outputs, inputs, density).T
        value = self.node("MatMul", [value, self.constant(w, "w")])
        value = self.node("Add", [value, self.constant(self.random.normal(0, 0.1, outputs), "b")])
        return self.node(activation, [value]) if activation else value

    def normalise(self, value, divide=True):
        mean = self.random.normal(0, 1, self.features)
        scale = self.random.uniform(0.5, 2, self.features)
        value = self.node("Sub", [value, self.constant(mean, "mean")])
        return self.node("Div" if divide else "Mul", [value, self.constant(scale, "scale")])

    def gru(self, value, inputs, units, name="h", linear_before_reset=1, density=1.0, bias=True):
        w = self.weights(3 * units, inputs, density, gates=3)[None]
        r = self.weights(3 * units, units, density, gates=3)[None]
        b = self.random.normal(0, 0.1, (1, 6 * units))
        h = self.state(name, [1, 1, units])
        _, last = self.node(
            "GRU", [value, self.constant(w, "w"), self.constant(r, "r"), self.constant(b, "b") if bias else "", "", h],
            outputs=2, hidden_size=units, linear_before_reset=linear_before_reset)
        self.next_state(name, last, [1, 1, units])
        return last

    def lstm(self, value, inputs, units, name="h", density=1.0, bias=True):
        w = self.weights(4 * units, inputs, density, gates=4)[None]
        r = self.weights(4 * units, units, density, gates=4)[None]
        b = self.random.normal(0, 0.1, (1, 8 * units))
        h, c = self.state(name, [1, 1, units]), self.state(name + "_cell", [1, 1, units])
        _, last, cell = self.node(
            "LSTM",
            [value, self.constant(w, "w"), self.constant(r, "r"), self.constant(b, "b") if bias else "", "", h, c],
            outputs=3, hidden_size=units)
        self.next_state(name, last, [1, 1, units])
        self.next_state(name + "_cell", cell, [1, 1, units])
        return last

    def probabilities(self, logits):
        shaped = self.node("Reshape", [logits, self.constant(np.array([1, self.horizons, 3]))])
        self.output(self.node("Softmax", [shaped], axis=-1), "probabilities", [1, self.horizons, 3])

    def head(self, value, inputs):
        self.probabilities(self.gemm(value, inputs, 3 * self.horizons))

    def model(self):
        graph = helper.make_graph(self.nodes, "net", self.inputs, self.outputs, self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="martlet-zoo")
        model.ir_version = IR_VERSION
        horizons = [
            {"length": 10 * (i + 1), "unit": "ticks", "label": "smoothed-mid", "alpha": 1e-5}
            for i in range(self.horizons)
        ]
        metadata = {
            "contract_version": 1, "feature_set_version": 1, "warm_up_ticks": 20, "horizons": horizons,
            "feature_names": [f"f{i}" for i in range(self.features)], "name": "zoo",
        }
        helper.set_model_props(model, {f"martlet.{k}": json.dumps(v) for k, v in metadata.items()})
        onnx.checker.check_model(model)
        return model


def mlp(sizes, horizons=1, style="gemm", activation="Relu", norm=None, density=1.0, **options):
    net = Net(sizes[0], horizons)
    value = "features"
    if norm:
        value = net.normalise(value, divide=norm == "divide")
    if style == "gemm":
        value = net.flat(value, sizes[0])
    for a, b in zip(sizes, sizes[1:]):
        layer = net.gemm if style == "gemm" else net.matmul
        value = layer(value, a, b, activation, density, **options)
    if style != "gemm":
        value = net.flat(value, sizes[-1])
    net.head(value, sizes[-1])
    return net.model()


def recurrent(cell, features, units, horizons=1, layers=1, dense=0, norm=False, **options):
    net = Net(features, horizons)
    value = net.normalise("features") if norm else "features"
    size = features
    if dense:
        value = net.matmul(value, features, dense, "Relu", options.get("density", 1.0))
        size = dense
    for layer in range(layers):
        value = getattr(net, cell)(value, size, units, name=f"h{layer}", **options)
        size = units
    net.head(net.flat(value, units), units)
    return net.model()


def all_heads():
    net = Net(30, horizons=3)
    value = net.gru(net.normalise("features", divide=False), 30, 19)
    value = net.flat(value, 19)
    net.head(value, 19)
    net.output(net.gemm(value, 19, 3), "expected_return", [1, 3])
    net.output(net.gemm(value, 19, 3, "Sigmoid"), "volatility", [1, 3])
    for name in ("value_at_risk", "expected_shortfall"):
        shaped = net.node("Reshape", [net.gemm(value, 19, 6, "Relu"), net.constant(np.array([1, 3, 2]))])
        net.output(shaped, name, [1, 3, 2])
    net.output(net.node("Softmax", [net.gemm(value, 19, 3)], axis=1), "trend", [1, 3])
    net.output(net.gemm(value, 19, 1, "Tanh"), "position", [1, 1])
    return net.model()


def two_readers():
    """The normalised features have two readers, so that they cannot go into weights."""
    net = Net(21, horizons=2)
    value = net.normalise("features")
    a = net.matmul(value, 21, 21, "Tanh")
    value = net.node("Mul", [net.node("Sub", [value, a]), net.node("Sigmoid", [value])])
    value = net.node("Sub", [net.constant(np.ones(21)), value])
    net.head(net.flat(value, 21), 21)
    return net.model()


def layouts():
    """Every operator that only moves elements."""
    net = Net(32)
    part = net.node("Gather", ["features", net.constant(np.array([3, 1, 30, 7, 7, -1]))], axis=2)
    whole = net.node("Squeeze", ["features", net.constant(np.array([0]))])
    whole = net.node("Identity", [net.node("Unsqueeze", [whole, net.constant(np.array([0]))])])
    left = net.node(
        "Slice", [whole, net.constant(np.array([1])), net.constant(np.array([9])), net.constant(np.array([-1]))])
    right = net.node(
        "Slice",
        [whole, net.constant(np.array([16])), net.constant(np.array([2**40])), net.constant(np.array([2])),
         net.constant(np.array([2]))])
    table = net.node("Reshape", [net.matmul(whole, 32, 24, "Tanh"), net.constant(np.array([0, 4, -1]))])
    table = net.node("Transpose", [table], perm=[0, 2, 1])
    table = net.node("Reshape", [table, net.constant(np.array([1, 1, 24]))])
    value = net.node("Concat", [part, left, right, table], axis=2)
    value = net.node("Clip", [value, net.constant(np.float32(-0.7)), net.constant(np.float32(0.9))])
    value = net.node("Flatten", [value], axis=1)
    stacked = net.node("Reshape", [value, net.constant(np.array([2, 23]))])
    value = net.flat(net.node("Concat", [stacked, stacked], axis=1), 92)
    net.head(net.gemm(value, 92, 40, "Relu"), 40)
    return net.model()


def window():
    """A convolution over the last four ticks, whose inputs are the state."""
    net = Net(12)
    past = net.state("window", [1, 3, 12])
    whole = net.node("Concat", [past, "features"], axis=1)
    rest = net.node(
        "Slice", [whole, net.constant(np.array([1])), net.constant(np.array([4])), net.constant(np.array([1]))])
    net.next_state("window", rest, [1, 3, 12])
    net.head(net.gemm(net.flat(whole, 48), 48, 20, "Tanh"), 20)
    return net.model()


def swapped():
    """Two states that take over each other's value."""
    net = Net(5)
    a, b = net.state("a", [1, 1, 5]), net.state("b", [1, 1, 5])
    mixed = net.node("Add", [net.node("Mul", [a, net.constant(np.full(5, 0.9))]), "features"])
    net.next_state("a", b, [1, 1, 5])
    net.next_state("b", mixed, [1, 1, 5])
    net.head(net.flat(net.node("Tanh", [net.node("Add", [a, b])]), 5), 5)
    return net.model()


ZOO = {
    "mlp": lambda: mlp([40, 64, 64]),
    "mlp_odd": lambda: mlp([37, 23, 17], horizons=3, style="matmul", activation="Tanh"),
    "mlp_sigmoid": lambda: mlp([9, 70, 1], style="matmul", activation="Sigmoid"),
    "mlp_norm": lambda: mlp([112, 64], horizons=3, style="matmul", norm="divide"),
    "mlp_norm_multiply": lambda: mlp([33, 48], norm="multiply"),
    "mlp_pruned": lambda: mlp([96, 80, 64], horizons=2, density=0.1),
    "mlp_unstructured": lambda: mlp([96, 80, 64], density=0.1, unstructured=True),
    "gru": lambda: recurrent("gru", 40, 32, horizons=3),
    "gru_odd": lambda: recurrent("gru", 13, 11, horizons=2),
    "gru_after_reset": lambda: recurrent("gru", 40, 27, linear_before_reset=0),
    "gru_no_bias": lambda: recurrent("gru", 8, 8, bias=False),
    "gru_stack": lambda: recurrent("gru", 40, 48, layers=2, density=0.25),
    "gru_after_reset_pruned": lambda: recurrent("gru", 40, 64, linear_before_reset=0, density=0.2),
    "lstm": lambda: recurrent("lstm", 40, 64),
    "lstm_odd": lambda: recurrent("lstm", 17, 13, horizons=3, norm=True),
    "lstm_no_bias": lambda: recurrent("lstm", 6, 5, bias=False),
    "lstm_stack": lambda: recurrent("lstm", 30, 40, layers=2, density=0.15),
    "default_shape": lambda: recurrent("gru", 112, 32, horizons=3, dense=64, norm=True, density=0.25),
    "all_heads": all_heads,
    "two_readers": two_readers,
    "layouts": layouts,
    "window": window,
    "swapped": swapped,
}

def run(model, features):
    """Steps a model with ONNX Runtime, carrying the state, and returns its outputs by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    states = {
        i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs() if i.name.startswith("state_")}
    names = [o.name for o in session.get_outputs()]
    results = {name: [] for name in names if not name.startswith("state_")}
    for row in features:
        values = dict(zip(names, session.run(names, {"features": row[None, None], **states})))
        for name in results:
            results[name].append(values[name].ravel())
        states = {name: values[name + "_next"] for name in states}
    return {name: np.array(rows, np.float32) for name, rows in results.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["zoo"])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, make in ZOO.items():
        if arguments.only and name not in arguments.only:
            continue
        model = make()
        count = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
        random = np.random.default_rng(len(name))
        features = random.normal(0, 1, (arguments.steps, count)).astype("<f4")
        outputs = run(model, features)
        onnx.save(model, arguments.out / f"{name}.onnx")
        features.tofile(arguments.out / f"{name}.features.f32")
        for output, values in outputs.items():
            values.astype("<f4").tofile(arguments.out / f"{name}.{output}.f32")
        sizes = " ".join(f"{output}:{values.shape[1]}" for output, values in sorted(outputs.items()))
        lines.append(f"{name} {arguments.steps} {count} {sizes}\n")
    (arguments.out / "zoo.txt").write_text("".join(lines))
    print("done", flush=True)


if __name__ == "__main__":
    main()
