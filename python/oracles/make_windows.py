"""Makes small ONNX models over a window of ticks and, with ONNX Runtime, their outputs for each full window.

    make_windows.py OUT

The folder OUT gets NAME.onnx, NAME.features.f32 (ticks by features) and NAME.probabilities.f32 (one row for each tick
from the first full window on); `zoo.txt` lists them: name, ticks, features, output:elements, window.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Net:
    """A graph under construction over `features` [1, T, F]. Every method returns the name of its result."""

    def __init__(self, window, features, seed):
        self.random = np.random.default_rng(seed)
        self.window, self.features = window, features
        self.nodes, self.constants = [], []

    def constant(self, array):
        name = f"c{len(self.constants)}"
        dtype = {"f": np.float32, "i": np.int64}.get(np.asarray(array).dtype.kind)
        array = np.asarray(array)
        if array.dtype not in (np.int8, np.uint8):
            array = array.astype(dtype)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator, inputs, outputs=1, **attributes):
        names = [f"{operator.lower()}{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=f"{operator}{len(self.nodes)}", **attributes))
        return names[0] if outputs == 1 else names

    def weights(self, *shape):
        return self.random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    def conv(self, value, outputs, inputs, kernel, **attributes):
        w = self.weights(outputs, inputs, *kernel)
        return self.node("Conv", [value, self.constant(w), self.constant(self.weights(outputs))], **attributes)

    def left_pad(self, value, count):
        return self.node("Pad", [value, self.constant(np.array([0, 0, count, 0, 0, 0]))])

    def transposed(self, value="features"):
        return self.node("Transpose", [value], perm=[0, 2, 1])

    def last(self, value, axis=2):
        starts, ends, axes = (self.constant(np.array([v])) for v in (-1, 2**31, axis))
        return self.node("Slice", [value, starts, ends, axes])

    def head(self, value, count):
        flat = self.node("Reshape", [value, self.constant(np.array([1, count]))])
        w = self.constant(self.weights(3, count))
        logits = self.node("Gemm", [flat, w, self.constant(self.weights(3))], transB=1)
        out = self.node("Softmax", [self.node("Reshape", [logits, self.constant(np.array([1, 1, 3]))])], axis=-1)
        self.nodes.append(helper.make_node("Identity", [out], ["probabilities"], name="head"))

    def model(self):
        graph = helper.make_graph(
            self.nodes, "window",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, self.window, self.features])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 1, 3])], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        entries = {
            "contract_version": 1, "feature_set_version": 1,
            "feature_names": [f"f{index}" for index in range(self.features)],
            "horizons": [{"length": 10, "unit": "ticks", "label": "smoothed-mid", "alpha": 1e-5}],
            "warm_up_ticks": self.window,
        }
        helper.set_model_props(model, {f"martlet.{key}": json.dumps(value) for key, value in entries.items()})
        onnx.checker.check_model(model)
        return model


def causal(net, channels=11, dilations=(1, 2), pad="before"):
    value = net.transposed()
    inputs = net.features
    for dilation in dilations:
        if pad == "before":
            value_in = net.left_pad(value, 2 * dilation)
            result = net.conv(value_in, channels, inputs, [3], dilations=[dilation])
        else:
            result = net.conv(value, channels, inputs, [3], dilations=[dilation], pads=[2 * dilation, 2 * dilation])
            zero, end, axis = (net.constant(np.array([v])) for v in (0, -2 * dilation, 2))
            result = net.node("Slice", [result, zero, end, axis])
        result = net.node("Relu", [result])
        value = net.node("Add", [value, result]) if inputs == channels else result
        inputs = channels
    return value


def tcn(net):
    net.head(net.last(causal(net)), 11)


def tcn_residual(net):
    net.head(net.last(causal(net, channels=5, dilations=(1, 2, 4))), 5)


def tcn_chomped(net):
    net.head(net.last(causal(net, pad="both")), 11)


def picked(net):
    """Each tick on its own, then the last but two."""
    w = net.constant(net.weights(net.features, 9))
    value = net.node("Tanh", [net.node("MatMul", ["features", w])])
    mean, scale = net.constant(net.weights(9)), net.constant(np.abs(net.weights(9)) + 0.5)
    value = net.node("Div", [net.node("Sub", [value, mean]), scale])
    net.head(net.node("Gather", [value, net.constant(np.array(-3))], axis=1), 9)


def pooled(net):
    value = net.conv(net.transposed(), 8, net.features, [2])
    value = net.node("MaxPool", [value], kernel_shape=[3], strides=[1])
    value = net.node("AveragePool", [value], kernel_shape=[2], strides=[1])
    net.head(net.node("ReduceMean", [value], axes=[2], keepdims=0), 8)


def strided(net):
    value = net.node("Relu", [net.conv(net.transposed(), 8, net.features, [2])])
    value = net.conv(value, 6, 8, [2], strides=[2])
    net.head(net.last(value), 6)


def book(net):
    """Shaped as DeepLOB: pairs of columns, ticks, three kernels side by side that look ahead, an LSTM."""
    value = net.node("Reshape", ["features", net.constant(np.array([1, 1, net.window, net.features]))])
    value = net.node("LeakyRelu", [net.conv(value, 4, 1, [1, 2], strides=[1, 2])], alpha=0.01)
    parameters = [net.constant(np.abs(net.weights(4)) + 0.3) for _ in range(4)]
    value = net.node("BatchNormalization", [value, *parameters])
    value = net.node("LeakyRelu", [net.conv(value, 5, 4, [4, 1])], alpha=0.01)
    value = net.node("Tanh", [net.conv(value, 5, 5, [1, net.features // 2])])
    short = net.conv(value, 3, 5, [3, 1], pads=[1, 0, 1, 0])
    long = net.conv(value, 3, 5, [5, 1], pads=[2, 0, 2, 0])
    value = net.node("Concat", [short, long], axis=1)
    steps = net.window - 3
    value = net.node("Reshape", [net.node("Transpose", [value], perm=[2, 0, 1, 3]),
                                 net.constant(np.array([steps, 1, 6]))])
    w, r, b = net.weights(1, 28, 6), net.weights(1, 28, 7), net.weights(1, 56)
    _, hidden, _ = net.node("LSTM", [value, *map(net.constant, (w, r, b))], outputs=3, hidden_size=7)
    net.head(hidden, 7)


def bilinear(net):
    """Shaped as BiN-C(TABL): normalised along ticks, a bilinear layer, attention over ticks."""
    x = net.transposed()
    mean = net.node("ReduceMean", [x], axes=[2], keepdims=1)
    centred = net.node("Sub", [x, mean])
    deviation = net.node("Sqrt", [net.node("ReduceMean", [net.node("Mul", [centred, centred])], axes=[2], keepdims=1)])
    x = net.node("Div", [centred, net.node("Add", [deviation, net.constant(np.float32(1e-3))])])
    x = net.node("MatMul", [net.constant(net.weights(9, net.features)), x])
    x = net.node("MatMul", [x, net.constant(net.weights(net.window, 4))])
    x = net.node("Relu", [net.node("Add", [x, net.constant(net.weights(9, 4))])])
    x = net.node("MatMul", [net.constant(net.weights(6, 9)), x])
    energy = net.node("Softmax", [net.node("MatMul", [x, net.constant(net.weights(4, 4))])], axis=-1)
    mixed = net.node("Add", [net.node("Mul", [x, energy]), x])
    net.head(net.node("MatMul", [mixed, net.constant(net.weights(4, 1))]), 6)


def recurrent(net):
    ticks_first = net.node("Transpose", ["features"], perm=[1, 0, 2])
    w, r, b = net.weights(1, 18, net.features), net.weights(1, 18, 6), net.weights(1, 36)
    _, hidden = net.node("GRU", [ticks_first, *map(net.constant, (w, r, b))], outputs=2, hidden_size=6)
    net.head(hidden, 6)


def stacked(net):
    """Two LSTMs from zeros, and the last tick of the second one."""
    value, inputs = net.node("Tanh", [net.node("Transpose", ["features"], perm=[1, 0, 2])]), net.features
    for units in (9, 6):
        w, r, b = net.weights(1, 4 * units, inputs), net.weights(1, 4 * units, units), net.weights(1, 8 * units)
        value = net.node("LSTM", [value, *map(net.constant, (w, r, b))], hidden_size=units)
        shape = net.constant(np.array([net.window, 1, units]))
        value, inputs = net.node("Relu", [net.node("Reshape", [value, shape])]), units
    net.head(net.last(value, axis=0), 6)


def recurrent_batched(net):
    """A GRU whose products of the hidden state are one, after a convolution of the ticks."""
    value = net.conv(net.transposed(), 7, net.features, [2])
    ticks_first = net.node("Transpose", [value], perm=[2, 0, 1])
    w, r, b = net.weights(1, 24, 7), net.weights(1, 24, 8), net.weights(1, 48)
    _, hidden = net.node(
        "GRU", [ticks_first, *map(net.constant, (w, r, b))], outputs=2, hidden_size=8, linear_before_reset=1)
    net.head(hidden, 8)


def spoilt(net):
    """A recurrent node all of whose steps are read."""
    ticks_first = net.node("Transpose", ["features"], perm=[1, 0, 2])
    w, r, b = net.weights(1, 20, net.features), net.weights(1, 20, 5), net.weights(1, 40)
    value = net.node("LSTM", [ticks_first, *map(net.constant, (w, r, b))], hidden_size=5)
    net.head(net.node("ReduceMean", [value], axes=[0], keepdims=0), 5)


def attention(net):
    width = 8
    x = net.node("MatMul", ["features", net.constant(net.weights(net.features, width))])
    q, k, v = (net.node("MatMul", [x, net.constant(net.weights(width, width))]) for _ in range(3))
    scores = net.node("MatMul", [q, net.node("Transpose", [k], perm=[0, 2, 1])])
    mixed = net.node("MatMul", [net.node("Softmax", [scores], axis=-1), v])
    x = net.node("Add", [x, mixed])
    x = net.node("LayerNormalization", [x, net.constant(net.weights(width)), net.constant(net.weights(width))], axis=-1)
    net.head(net.last(x, axis=1), width)


def quantized(net):
    """A causal convolution of bytes."""
    value, inputs = net.transposed(), net.features
    for dilation in (1, 2):
        low, high = net.constant(np.float32(-2)), net.constant(np.float32(2))
        scale, zero = net.constant(np.float32(4 / 126)), net.constant(np.uint8(64))
        value = net.node("Clip", [value, low, high])
        value = net.node("DequantizeLinear", [net.node("QuantizeLinear", [value, scale, zero]), scale, zero])
        w = net.random.integers(-63, 64, (12, inputs, 3)).astype(np.int8)
        weight = net.node("DequantizeLinear", [net.constant(w), net.constant(np.full(12, 0.01, np.float32)),
                                               net.constant(np.zeros(12, np.int8))], axis=0)
        value = net.node("Conv", [net.left_pad(value, 2 * dilation), weight, net.constant(net.weights(12))],
                         dilations=[dilation])
        inputs = 12
    net.head(net.last(value), 12)


def turned(net):
    """The ticks in the opposite order, which move the other way."""
    start, end, axis, step = (net.constant(np.array([v])) for v in (-1, -2**31, 1, -1))
    value = net.transposed(net.node("Slice", ["features", start, end, axis, step]))
    net.head(net.last(net.node("Relu", [net.conv(value, 6, net.features, [3])])), 6)


def shifted(net):
    """The ticks two places later, beside the ticks as they are: as many positions as there were."""
    late = net.node("Pad", [net.transposed(), net.constant(np.array([0, 0, 2, 0, 0, -2]))])
    value = net.node("Relu", [net.conv(late, 6, net.features, [3])])
    net.head(net.node("Concat", [net.last(value), net.last(net.transposed())], axis=1), 6 + net.features)


def vector(net):
    """A constant vector by a matrix of each tick."""
    value = net.node("Reshape", ["features", net.constant(np.array([1, net.window, 2, net.features // 2]))])
    value = net.node("Tanh", [net.node("MatMul", [net.constant(net.weights(1, 2)[0]), value])])
    value = net.node("MatMul", [value, net.constant(net.weights(net.features // 2, 6))])
    net.head(net.last(value, axis=1), 6)


def squeezed(net):
    """All axes of one position away, of a value that moves and of one whose windows are under way."""
    value = net.node("Squeeze", [net.node("MatMul", ["features", net.constant(net.weights(net.features, 7))])])
    value = net.node("Concat", [value, net.node("Tanh", [value])], axis=1)
    value = net.node("MatMul", [value, net.constant(net.weights(14, 5))])
    value = net.node("Reshape", [value, net.constant(np.array([net.window, 1, 5]))])
    w, r, b = net.weights(1, 24, 5), net.weights(1, 24, 6), net.weights(1, 48)
    value = net.node("Squeeze", [net.node("LSTM", [value, *map(net.constant, (w, r, b))], hidden_size=6)])
    net.head(net.node("Gather", [value, net.constant(np.array(-1))], axis=0), 6)


def last_state(net):
    """Two GRUs as PyTorch writes them where only the last state of the second one is wanted."""
    value, inputs = net.node("Transpose", ["features"], perm=[1, 0, 2]), net.features
    for units, outputs in ((8, ["sequence", ""]), (5, ["", "state"])):
        weights = (net.weights(1, 3 * units, inputs), net.weights(1, 3 * units, units), net.weights(1, 6 * units))
        net.nodes.append(helper.make_node(
            "GRU", [value, *map(net.constant, weights)], outputs, name=f"GRU{units}", hidden_size=units, linear_before_reset=1))
        value, inputs = net.node("Squeeze", ["sequence", net.constant(np.array([1]))]) if outputs[0] else "state", units
    net.head(value, 5)


def rounded_up(net):
    """A pool over more columns than there are."""
    value = net.node("Reshape", ["features", net.constant(np.array([1, 1, net.window, net.features]))])
    size = net.features + 1
    value = net.node("MaxPool", [value], kernel_shape=[2, size], strides=[1, size], ceil_mode=1)
    value = net.node("Tanh", [net.conv(value, 6, 1, [2, 1])])
    net.head(net.last(value), 6)


def shape_of(net):
    """The shape of a padded convolution, and a part of it that sees no padding."""
    value = net.node("Relu", [net.conv(net.transposed(), 6, net.features, [3], pads=[2, 0])])
    value = net.node("Reshape", [value, net.node("Shape", [value])])
    net.head(net.last(value), 6)


def quantized_padded(net):
    """Bytes that are padded along the ticks or the columns, in a convolution and before it, then read whole."""
    def codes(value):
        low, high = net.constant(np.float32(-2)), net.constant(np.float32(2))
        scale, zero = net.constant(np.float32(4 / 126)), net.constant(np.uint8(64))
        value = net.node("QuantizeLinear", [net.node("Clip", [value, low, high]), scale, zero])
        return net.node("DequantizeLinear", [value, scale, zero])

    def weight(*shape):
        values = net.constant(net.random.integers(-63, 64, shape).astype(np.int8))
        scale = net.constant(np.full(shape[0], 0.01, np.float32))
        return net.node("DequantizeLinear", [values, scale, net.constant(np.zeros(shape[0], np.int8))], axis=0)

    value = net.node("Reshape", ["features", net.constant(np.array([1, 1, net.window, net.features]))])
    value = codes(net.conv(value, 4, 1, [1, 2], strides=[1, 2]))
    inside = net.node("Conv", [value, weight(4, 4, 2, 3)], pads=[0, 1, 0, 1])
    around = net.node("Pad", [value, net.constant(np.array([0, 0, 0, 1, 0, 0, 0, 1]))])
    value = net.node("Add", [inside, net.node("Conv", [around, weight(4, 4, 2, 3)])])
    value = net.node("Conv", [codes(value), weight(3, 4, 2, net.features // 2)], pads=[1, 0, 0, 0])
    net.head(net.node("ReduceMean", [value], axes=[2, 3], keepdims=0), 3)


def refilled(net):
    """Ticks beside themselves with zeros for the newest two: read whole, and where no zero is seen."""
    start, end, axis = (net.constant(np.array([v])) for v in (0, -2, 1))
    older = net.node("Slice", ["features", start, end, axis])
    filled = net.node("Pad", [older, net.constant(np.array([0, 0, 0, 0, 2, 0]))])
    value = net.node("Tanh", [net.node("Add", ["features", filled])])
    picked = net.node("Gather", [value, net.constant(np.array(-4))], axis=1)
    net.head(net.node("Add", [picked, net.node("ReduceMean", [filled], axes=[1], keepdims=0)]), net.features)


MODELS = {
    "tcn": (tcn, 7, 5), "tcn_short": (tcn, 6, 5), "tcn_residual": (tcn_residual, 15, 5),
    "tcn_chomped": (tcn_chomped, 9, 6), "picked": (picked, 5, 7), "pooled": (pooled, 8, 5),
    "strided": (strided, 9, 4), "book": (book, 12, 8), "bilinear": (bilinear, 6, 5),
    "recurrent": (recurrent, 5, 6), "attention": (attention, 6, 5), "quantized": (quantized, 7, 8),
    "stacked": (stacked, 5, 6), "recurrent_batched": (recurrent_batched, 6, 5), "spoilt": (spoilt, 4, 5),
    "turned": (turned, 7, 5), "shifted": (shifted, 8, 5), "vector": (vector, 5, 8), "squeezed": (squeezed, 6, 5),
    "last_state": (last_state, 6, 5), "rounded_up": (rounded_up, 6, 4), "shape_of": (shape_of, 7, 5),
    "quantized_padded": (quantized_padded, 6, 8), "refilled": (refilled, 7, 5),
}


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for seed, (name, (build, window, features)) in enumerate(MODELS.items()):
        net = Net(window, features, seed)
        build(net)
        model = net.model()
        onnx.save(model, out / f"{name}.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        ticks = 2 * window + 12
        x = net.random.normal(0, 1, (ticks, features)).astype(np.float32)
        rows = [session.run(["probabilities"], {"features": x[None, end - window:end]})[0].ravel()
                for end in range(window, ticks + 1)]
        x.tofile(out / f"{name}.features.f32")
        np.stack(rows).astype(np.float32).tofile(out / f"{name}.probabilities.f32")
        lines.append(f"{name} {ticks} {features} probabilities:3 {window}")
    (out / "zoo.txt").write_text("\n".join(lines) + "\n")
    print("done", flush=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
